import av
import numpy as np
import pytest

from core.video import writer
from core.video.reader import FilmReader
from core.video.writer import FilmWriter, encoder
from tests.video.films import film, frames, number, write


def test_what_was_written_is_read_again(tmp_path):
    pictures = frames(25, (131, 97))
    with FilmWriter(tmp_path / "out.mp4", (131, 97), 25) as out:
        for k, picture in enumerate(pictures):
            out.write(k / 25, picture)
        assert not (tmp_path / "out.mp4").exists(), "not before it is whole"
    assert [path.name for path in tmp_path.iterdir()] == ["out.mp4"]
    with FilmReader(tmp_path / "out.mp4") as opened:
        pairs = list(opened.frames())
        assert opened.info.size_wh == (132, 98), "even sides, as H.264 has them"
        assert opened.info.duration_s == pytest.approx(1, abs=0.05)
    assert [number(frame) for _, frame in pairs] == list(range(25))
    assert np.abs(pairs[5][1][:97, :131].astype(int) - pictures[5]).mean() < 4, "the colours are those that went in"


def test_it_plays_in_browsers_and_its_index_comes_first(tmp_path):
    with FilmWriter(tmp_path / "out.mp4", (128, 96), 25) as out:
        for k, picture in enumerate(frames(5)):
            out.write(k / 25, picture)
    data = (tmp_path / "out.mp4").read_bytes()
    assert data.index(b"moov") < data.index(b"mdat")
    with av.open(str(tmp_path / "out.mp4")) as file:
        context = file.streams.video[0].codec_context
        assert (context.codec.canonical_name, context.pix_fmt) == ("h264", "yuv420p")
        assert (context.colorspace, context.color_range) == (6, 1), "players are told which colours these are"


def test_the_times_of_a_variable_frame_rate_are_kept(tmp_path):
    times_s = [0, 0.04, 0.3, 0.31, 0.9, 1.5]
    with FilmWriter(tmp_path / "out.mp4", (128, 96), 25) as out:
        for time_s, picture in zip(times_s, frames(6), strict=True):
            out.write(time_s, picture)
    with FilmReader(tmp_path / "out.mp4") as opened:
        assert [time_s for time_s, _ in opened.frames()] == pytest.approx(times_s, abs=0.001)


def copy_with_sound(tmp_path, data: bytes, end_s: float = 1.0) -> list[tuple[str, float]]:
    """Codec and length of each stream after a film was written anew with its sound."""
    source = write(tmp_path, data, "source")
    with FilmReader(source) as opened, FilmWriter(tmp_path / "out.mp4", opened.info.size_wh, 25, source) as out:
        for time_s, picture in opened.frames():
            if time_s < end_s:
                out.write(time_s, picture)
    with av.open(str(tmp_path / "out.mp4")) as file:
        return [(s.codec_context.codec.canonical_name, float(s.duration * s.time_base)) for s in file.streams]


@pytest.mark.parametrize(
    ("format", "video", "sound", "becomes"),
    [
        pytest.param("mp4", "libx264", "aac", "aac", id="AAC is copied"),
        pytest.param("mp4", "libx264", "libmp3lame", "mp3", id="MP3 is copied"),
        pytest.param("webm", "libvpx", "libopus", "aac", id="Opus becomes AAC"),
        pytest.param("mov", "libx264", "pcm_s16le", "aac", id="plain samples become AAC"),
    ],
)
def test_the_sound_comes_along(tmp_path, format, video, sound, becomes):
    (_, video_s), (codec, sound_s) = copy_with_sound(tmp_path, film(format=format, codec=video, sound=sound))
    assert codec == becomes
    assert video_s == pytest.approx(1, abs=0.05) and sound_s == pytest.approx(1, abs=0.1)


def test_a_film_without_sound_stays_without(tmp_path):
    assert [codec for codec, _ in copy_with_sound(tmp_path, film())] == ["h264"]


def test_sound_ends_with_the_film(tmp_path):
    (_, video_s), (_, sound_s) = copy_with_sound(tmp_path, film(sound="aac", seconds=3), end_s=0.5)
    assert video_s == pytest.approx(0.52, abs=0.03) and sound_s < 0.7


def test_sound_that_cannot_be_read_does_not_cost_the_film(tmp_path, monkeypatch):
    def broken(self):
        raise ValueError("no sound")
        yield

    monkeypatch.setattr(writer.Sound, "_copied", broken)
    assert [codec for codec, _ in copy_with_sound(tmp_path, film(sound="aac"))] == ["h264"]


def test_nothing_is_left_of_a_film_that_fails(tmp_path):
    with pytest.raises(RuntimeError, match="stop"), FilmWriter(tmp_path / "out.mp4", (128, 96), 25) as out:
        out.write(0.0, frames(1)[0])
        raise RuntimeError("stop")
    assert not list(tmp_path.iterdir())


def test_the_encoder_falls_back_in_a_clear_order(monkeypatch):
    assert encoder() == "libx264"
    monkeypatch.setattr(writer, "_can_encode", lambda name: name == "libvpx-vp9")
    assert encoder() == "libvpx-vp9"
    monkeypatch.setattr(writer, "_can_encode", lambda name: False)
    with pytest.raises(ValueError, match="cannot write videos"):
        encoder()
