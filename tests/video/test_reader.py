import io
from collections.abc import Iterator

import av
import numpy as np
import pytest

from core.video import reader
from core.video.reader import NOT_READABLE, NOTHING_IN_IT, FilmError, FilmReader
from tests.helpers import peak_megabytes, picture_bytes, png_header_bomb
from tests.video.films import film, frames, number, promising, turned, write


def read(path, **options) -> tuple[list[float], list[np.ndarray], FilmReader]:
    with FilmReader(path, **options) as opened:
        pairs = list(opened.frames())
    return [time_s for time_s, _ in pairs], [frame for _, frame in pairs], opened


@pytest.mark.parametrize(
    ("format", "codec", "pix_fmt"),
    [
        pytest.param("mp4", "libx264", "yuv420p", id="mp4"),
        pytest.param("mov", "mpeg4", "yuv420p", id="mov"),
        pytest.param("webm", "libvpx", "yuv420p", id="webm"),
        pytest.param("matroska", "libx264", "yuv444p", id="mkv with all colours"),
        pytest.param("avi", "mpeg4", "yuv420p", id="avi"),
        pytest.param("mp4", "libx264", "yuv420p10le", id="10 bits"),
        pytest.param("gif", "gif", "rgb8", id="gif"),
    ],
)
def test_every_format_gives_the_frames_that_went_in(tmp_path, format, codec, pix_fmt):
    options = {"b": "5M"} if codec == "mpeg4" else {}
    data = film(codec=codec, format=format, pix_fmt=pix_fmt, options=options)
    times, pictures, opened = read(write(tmp_path, data, "whatever.bin"))
    assert [number(picture) for picture in pictures] == list(range(25))
    assert times == pytest.approx([k / 25 for k in range(25)], abs=0.011)  # GIF counts hundredths
    assert pictures[0].shape == (96, 128, 3) and pictures[0].dtype == np.uint8
    blue, green, red = pictures[0][10, 10].tolist()
    assert red > 170 and blue < 90 and green < 90
    assert not opened.problem and not opened.too_long
    assert opened.info.fps == pytest.approx(25, rel=0.02)


def test_the_times_of_a_variable_frame_rate_are_kept(tmp_path):
    times_s = [0, 0.04, 0.3, 0.31, 0.9, 1.5]
    times, pictures, _ = read(write(tmp_path, film(frames(6), times_s.__getitem__)))
    assert times == pytest.approx(times_s, abs=0.002) and len(pictures) == 6


def test_a_film_that_begins_later_begins_at_0(tmp_path):
    times, _, _ = read(write(tmp_path, film(times_s=lambda k: 5 + k / 25, format="matroska")))
    assert times[0] == 0 and times[-1] == pytest.approx(0.96, abs=0.002)


@pytest.mark.parametrize("degrees", [90, 180, 270])
def test_frames_of_a_turned_phone_stand_upright(tmp_path, degrees):
    _, pictures, opened = read(write(tmp_path, turned(film(frames(3)), degrees)))
    upright = np.rot90(frames(1)[0], -degrees // 90)
    assert pictures[0].shape == upright.shape and opened.info.size_wh == upright.shape[1::-1]
    assert np.abs(pictures[0].astype(int) - upright).mean() < 12


def test_odd_sizes(tmp_path):
    pictures = frames(3, (131, 97))
    _, read_back, opened = read(write(tmp_path, film(pictures, format="matroska", codec="ffv1", pix_fmt="bgr0")))
    assert opened.info.size_wh == (131, 97) and (read_back[2] == pictures[2]).all()


def test_large_frames_are_reduced(tmp_path):
    _, pictures, opened = read(write(tmp_path, film(frames(2, (320, 160)))), most_side=200)
    assert opened.info.size_wh == (200, 100) and pictures[0].shape == (100, 200, 3)


@pytest.mark.parametrize("curve", [reader.PQ, reader.HLG])
def test_hdr_is_brought_to_an_ordinary_screen(tmp_path, curve):
    grey = [np.full((96, 128, 3), value, np.uint8) for value in (30, 90, 148, 200)]
    _, pictures, _ = read(write(tmp_path, film(grey, pix_fmt="yuv420p10le", color_trc=curve)))
    levels = [int(picture.mean()) for picture in pictures]
    assert levels == sorted(levels) and len(set(levels)) == 4
    assert levels[2 if curve == reader.PQ else 3] > 170, "paper white is bright: 58 % of PQ's signal, 75 % of HLG's"


def test_reading_ends_at_the_limit(tmp_path):
    times, _, opened = read(write(tmp_path, film()), max_s=0.5)
    assert times[-1] <= 0.5 and len(times) == 13 and opened.too_long


@pytest.mark.parametrize("tenths", range(1, 11))
def test_of_half_a_film_what_can_be_read_is_used_and_a_sentence_says_so(tmp_path, tenths):
    data = film(frames(50), options={"g": "5"})
    start = data.index(b"mdat")
    path = write(tmp_path, data[: start + (len(data) - start) * tenths // 11])
    try:
        _, pictures, opened = read(path)
    except FilmError as error:
        assert str(error) == NOTHING_IN_IT and tenths <= 2, "the first frame itself is cut off"
        return
    assert 1 <= len(pictures) < 50
    assert [number(p) for p in pictures[:-3]] == [k % 25 for k in range(len(pictures))][:-3]
    assert opened.problem.startswith("This video breaks off after"), opened.problem
    assert opened.problem.endswith("what could be read was used.")


def test_damage_in_the_middle_costs_no_more_than_its_frames(tmp_path):
    data = bytearray(film(frames(50), options={"g": "5"}))
    middle = len(data) // 2
    data[middle : middle + 150] = bytes(150)
    _, pictures, opened = read(write(tmp_path, bytes(data)))
    assert len(pictures) > 20 and "what could be read was used" in opened.problem


def test_a_header_that_claims_ten_hours_is_not_believed(tmp_path):
    times, _, opened = read(write(tmp_path, promising(film(format="matroska"), 36_000)))
    assert len(times) == 25 and times[-1] < 1
    assert opened.problem == (
        "This video breaks off after 1 s, though it should last 10 h 0 min; what could be read was used."
    )


PLAYLIST = b"#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:10,\nfile:///etc/hostname\n#EXT-X-ENDLIST\n"
REFUSED = {
    "empty": (lambda: b"", "This file is empty"),
    "text": (lambda: b"This is no film, whatever its name says.\n" * 50, NOT_READABLE),
    "a playlist, which leads elsewhere": (lambda: PLAYLIST, NOT_READABLE),
    "a list of files": (lambda: b"ffconcat version 1.0\nfile /etc/hostname\n", NOT_READABLE),
    "a photo": (lambda: picture_bytes(format="JPEG", size_wh=(200, 200)), NOT_READABLE),
    "a photo that is a bomb": (lambda: png_header_bomb(60_000, 60_000), NOT_READABLE),
    "nothing but the start": (lambda: film(frames(2))[:40], NOTHING_IN_IT),
    "only sound": (lambda: only_sound(), "There is only sound in this file"),
}


@pytest.mark.parametrize("make, words", REFUSED.values(), ids=REFUSED)
def test_what_is_no_film_gets_one_sentence(tmp_path, make, words):
    with pytest.raises(FilmError) as refused:
        FilmReader(write(tmp_path, make()))
    assert str(refused.value).startswith(words)
    assert str(tmp_path) not in str(refused.value) and "\n" not in str(refused.value)


def only_sound() -> bytes:
    data = io.BytesIO()
    with av.open(data, "w", format="matroska") as file:
        stream = file.add_stream("aac", rate=48_000)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 4800), np.int16), format="s16", layout="mono")
        frame.sample_rate = 48_000
        file.mux(stream.encode(frame))
        file.mux(stream.encode(None))
    return data.getvalue()


def test_frames_of_16_000_by_16_000_pixels_are_refused_without_making_room(tmp_path):
    data = huge_gif(16_000, 16_000)
    path = write(tmp_path, data, "huge.gif")
    with pytest.raises(FilmError):
        FilmReader(path)
    # The process's own high-water mark, where the system tells it: what getrusage says begins with its parent's.
    used = peak_megabytes(
        "from pathlib import Path\nfrom core.video.reader import FilmReader, FilmError",
        "try:\n    FilmReader(sys.argv[1])\nexcept FilmError: pass\n"
        "status = Path('/proc/self/status')\n"
        "told = dict(line.split(':', 1) for line in status.read_text().splitlines()) if status.exists() else {}\n"
        "assert int(told.get('VmHWM', '0').split()[0]) < 450_000",
        path,
    )
    assert used < 20


def huge_gif(width: int, height: int) -> bytes:
    """A GIF of a few bytes that claims such frames."""
    size = width.to_bytes(2, "little") + height.to_bytes(2, "little")
    screen = b"GIF89a" + size + b"\x80\x00\x00" + b"\x00\x00\x00\xff\xff\xff"
    image = b"\x2c\x00\x00\x00\x00" + size + b"\x00" + b"\x02\x02\x4c\x01\x00"
    return screen + (b"\x21\xf9\x04\x00\x0a\x00\x00\x00" + image) * 3 + b"\x3b"


def test_a_film_that_is_read_hides_no_open_file(tmp_path):
    path = write(tmp_path, film(frames(2)))
    opened = FilmReader(path)
    assert isinstance(opened.frames(), Iterator)
    opened.close()
    path.unlink()
