"""Films that every browser plays: H.264 in MP4 with the index in front, and the sound of the film they come from."""

import contextlib
import logging
from collections.abc import Iterator
from contextlib import ExitStack
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Any

import av
import cv2
import numpy as np
from av.container import OutputContainer

from core.io import atomic_file
from core.language import tr
from core.video.reader import CANNOT_BE_READ, open_container

log = logging.getLogger(__name__)
# In this order; the first one that this PyAV has. Its own wheels have all of them.
ENCODERS: dict[str, dict[str, str]] = {
    "libx264": {"preset": "superfast", "crf": "23"},
    "libopenh264": {"rc_mode": "quality"},
    "libvpx-vp9": {"deadline": "realtime", "cpu-used": "8", "crf": "32", "b:v": "0"},
}
TIME_BASE = Fraction(1, 90_000)
MOST_HZ = 48_000
# Sound that browsers play in an MP4 is copied as it is; any other becomes AAC.
COPIED = {"aac", "mp3"}
# Of colours, as FFmpeg counts: the matrix and range that OpenCV writes (ITU-R BT.601, limited), the usual rest.
BT601, BT709, LIMITED = 6, 1, 1


def encoder() -> str:
    """The name of the encoder that films are written with. Raises: ``ValueError``, if there is none."""
    found = next((name for name in ENCODERS if name in av.codec.codecs_available and _can_encode(name)), None)
    if found is None:
        raise ValueError(tr("This server cannot write videos: its PyAV has no encoder for H.264."))
    return found


def _can_encode(name: str) -> bool:
    with contextlib.suppress(ValueError):  # PyAV's answer for a name without an encoder
        return bool(av.Codec(name, "w"))
    return False


class FilmWriter:
    """Writes an MP4 file frame by frame, in a ``with``; it appears under its name when that ends without an error."""

    def __init__(self, path: Path | str, size_wh: tuple[int, int], fps: float, sound_of: Path | str | None = None):
        """Begin a film.

        Args:
            path: of the file, ending in ``.mp4``.
            size_wh: of the frames; a row or column is repeated where a side is odd.
            fps: frames per second, about; each frame brings its own time.
            sound_of: a film whose sound is taken over, where it has any that can be read.
        """
        self._path, self._sound_of = path, sound_of
        self._pad = size_wh[1] % 2, size_wh[0] % 2
        self._size_wh = size_wh[0] + self._pad[1], size_wh[1] + self._pad[0]
        self._fps = fps
        self._last_pts = -1
        self._sound: Sound | None = None

    def __enter__(self) -> "FilmWriter":
        with ExitStack() as stack:
            temporary = stack.enter_context(atomic_file(self._path))
            self._container = av.open(str(temporary), "w", format="mp4", options={"movflags": "+faststart"})
            stack.callback(self._container.close)
            name = encoder()
            rate = Fraction(self._fps).limit_denominator(1001)
            stream: Any = self._container.add_stream(name, rate=rate, options=ENCODERS[name])
            stream.width, stream.height = self._size_wh
            stream.pix_fmt = "yuv420p"
            context = stream.codec_context
            context.time_base = TIME_BASE
            context.gop_size = max(1, round(2 * self._fps))  # jumping to a moment is quick
            context.colorspace, context.color_range = BT601, LIMITED
            context.color_primaries = context.color_trc = BT709
            self._stream = stream
            if self._sound_of:
                self._sound = stack.enter_context(Sound(self._sound_of, self._container))
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with ExitStack() as ending:
            ending.push(self._stack)
            if error is not None:
                raise error
            for packet in self._stream.encode():
                self._container.mux(packet)
            if self._sound:
                self._sound.write_until(float(self._last_pts * TIME_BASE) + 1 / self._fps)

    def write(self, time_s: float, frame_bgr: np.ndarray) -> None:
        """Add a frame: (h, w, 3) uint8 of the film's size, and when it is shown, later than the one before."""
        if any(self._pad):
            frame_bgr = cv2.copyMakeBorder(frame_bgr, 0, self._pad[0], 0, self._pad[1], cv2.BORDER_REPLICATE)
        # Twice as fast as FFmpeg's own conversion.
        planes = np.asarray(cv2.cvtColor(frame_bgr, cv2.COLOR_BGR2YUV_I420), np.uint8)
        frame = av.VideoFrame.from_ndarray(planes, format="yuv420p")
        self._last_pts = max(self._last_pts + 1, round(time_s / TIME_BASE))
        frame.pts, frame.time_base = self._last_pts, TIME_BASE
        for packet in self._stream.encode(frame):
            self._container.mux(packet)
        if self._sound:
            self._sound.write_until(time_s)


class Sound:
    """The sound of a film on its way into another one; where it cannot be read, that one has none, or ends early."""

    def __init__(self, path: Path | str, target: OutputContainer):
        """Begin with the sound of the film at ``path``; ``target`` must not have got any packet yet."""
        self._target = target
        self._packets: Iterator[tuple[float, av.Packet]] = iter(())
        self._next: tuple[float, av.Packet] | None = None
        self._source: Any = None
        with _left_out():
            self._source = open_container(path)
            if self._source.streams.audio:
                self._packets = self._copied() if _codec(self._source) in COPIED else self._encoded()
                self._next = next(self._packets, None)

    def __enter__(self) -> "Sound":
        return self

    def __exit__(self, *error: object) -> None:
        if self._source:
            self._source.close()

    def write_until(self, time_s: float) -> None:
        """Add what is heard up to that moment of the film."""
        with _left_out():
            while self._next and self._next[0] <= time_s:
                packet, self._next = self._next[1], None
                self._target.mux(packet)
                self._next = next(self._packets, None)

    def _begin_s(self) -> float:
        """When the film begins, by the clock of its file."""
        video = self._source.streams.video[0]
        return float((video.start_time or 0) * video.time_base)

    def _copied(self) -> Iterator[tuple[float, av.Packet]]:
        source = self._source.streams.audio[0]
        stream, begin = self._target.add_stream_from_template(source), round(self._begin_s() / source.time_base)
        for packet in self._source.demux(source):
            if packet.dts is None or packet.pts is None or packet.dts < begin:
                continue
            packet.dts, packet.pts, packet.stream = packet.dts - begin, packet.pts - begin, stream
            yield float(packet.dts * source.time_base), packet

    def _encoded(self) -> Iterator[tuple[float, av.Packet]]:
        source, begin_s = self._source.streams.audio[0], self._begin_s()
        rate = min(source.rate or MOST_HZ, MOST_HZ)
        stream: Any = self._target.add_stream("aac", rate=rate)
        for packet in self._source.demux(source):
            with _left_out():
                for frame in packet.decode():
                    if frame.pts is None or (pts := frame.pts - round(begin_s / frame.time_base)) < 0:
                        continue
                    frame.pts = pts
                    for encoded in stream.encode(frame):
                        yield float(encoded.pts * encoded.time_base), encoded
        for encoded in stream.encode(None):
            yield float(encoded.pts * encoded.time_base), encoded


def _codec(source: Any) -> str:
    return source.streams.audio[0].codec_context.codec.canonical_name


@contextlib.contextmanager
def _left_out() -> Iterator[None]:
    """Sound that cannot be read or written is left out; the pictures stay."""
    try:
        yield
    except (*CANNOT_BE_READ, NotImplementedError) as error:
        log.info("Sound is left out: %s", error)
