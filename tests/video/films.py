"""Small films for tests, written with PyAV as people's devices write theirs."""

import struct
import tempfile
from collections.abc import Callable, Iterable
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

SIZE_WH = 128, 96


def frames(n: int, size_wh: tuple[int, int] = SIZE_WH) -> list[np.ndarray]:
    """BGR frames; the first row of blocks says which one it is, and the left upper corner is red."""
    width, height = size_wh
    ramp = np.linspace(40, 120, width, dtype=np.uint8)
    made = []
    for k in range(n):
        frame = np.repeat(np.repeat(ramp[None, :, None], height, 0), 3, 2)
        frame[height // 2 :] = 8 + 9 * (k % 25)
        frame[: height // 3, : width // 3] = (20, 20, 230)
        made.append(frame)
    return made


def number(frame_bgr: np.ndarray) -> int:
    """Which of the frames this is."""
    height = frame_bgr.shape[0]
    return round((float(frame_bgr[-height // 4 :].mean()) - 8) / 9)


def film(
    pictures: Iterable[np.ndarray] = (),
    times_s: Callable[[int], float] = lambda k: k / 25,
    *,
    codec: str = "libx264",
    format: str = "mp4",
    pix_fmt: str = "yuv420p",
    sound: str = "",
    seconds: float = 1.0,
    options: dict[str, str] | None = None,
    color_trc: int | None = None,
) -> bytes:
    """A film as bytes.

    Args:
        pictures: its frames; one second of ``frames`` if left out.
        times_s: when each is shown.
        sound: encoder of a tone of that many ``seconds``; none if empty.
    """
    pictures = list(pictures) or frames(25)
    moving = {"movflags": "+faststart"} if format in ("mp4", "mov") else {}
    with tempfile.TemporaryDirectory() as folder, av.open(f"{folder}/film", "w", format=format, options=moving) as file:
        stream = file.add_stream(codec, rate=25, options=options or {})
        stream.height, stream.width = pictures[0].shape[:2]
        stream.pix_fmt = pix_fmt
        if format not in ("avi", "gif"):
            stream.codec_context.time_base = Fraction(1, 1000)
        if color_trc:
            stream.codec_context.color_trc = color_trc
        audio = file.add_stream(sound, rate=48_000) if sound else None
        for k, picture in enumerate(pictures):
            frame = av.VideoFrame.from_ndarray(picture, format="bgr24").reformat(format=pix_fmt)
            if format not in ("avi", "gif"):
                frame.pts, frame.time_base = round(1000 * times_s(k)), Fraction(1, 1000)
            file.mux(stream.encode(frame))
        file.mux(stream.encode(None))
        if audio:
            tone = (8000 * np.sin(np.arange(round(48_000 * seconds)) / 20)).astype(np.int16)
            for start in range(0, len(tone), 960):
                part = np.repeat(tone[start : start + 960], 2)[None]
                frame = av.AudioFrame.from_ndarray(part, format="s16", layout="stereo")
                frame.pts, frame.sample_rate, frame.time_base = start, 48_000, Fraction(1, 48_000)
                file.mux(audio.encode(frame))
            file.mux(audio.encode(None))
        file.close()
        return Path(folder, "film").read_bytes()


def turned(mp4: bytes, degrees: int) -> bytes:
    """The same MP4 with the mark of a phone that was held so: its frames are shown turned clockwise."""
    one = 1 << 16
    sine, cosine = {90: (one, 0), 180: (0, -one), 270: (-one, 0)}[degrees]
    header = mp4.index(b"tkhd") + 4
    place = header + (40 if mp4[header] == 0 else 52)
    matrix = struct.pack(">9i", cosine, sine, 0, -sine, cosine, 0, 0, 0, 1 << 30)
    return mp4[:place] + matrix + mp4[place + 36 :]


def promising(mkv: bytes, seconds: float) -> bytes:
    """The same MKV, whose header claims that it lasts so long."""
    place = mkv.index(b"\x44\x89\x88") + 3
    return mkv[:place] + struct.pack(">d", 1000 * seconds) + mkv[place + 8 :]


def write(folder: Path, data: bytes, name: str = "film.mp4") -> Path:
    path = folder / name
    path.write_bytes(data)
    return path
