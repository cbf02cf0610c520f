"""Films frame by frame: whatever people upload in, upright BGR frames with their times out.

FFmpeg decodes, through PyAV. A file is taken for hostile: only containers of film are opened, never one that leads to
other files or addresses, and no frame is decoded that is larger than the limit, whatever headers say.
"""

import itertools
import logging
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

import av
import cv2
import numpy as np
from av.container import InputContainer
from av.stream import Disposition

from core.language import mark, number, tr

log = logging.getLogger(__name__)
# FFmpeg's names of the containers that are opened: MP4 and MOV, MKV and WebM, AVI, GIF. Playlists are none of them.
CONTAINERS = "mov,matroska,avi,gif"
SUFFIXES = {".mp4", ".m4v", ".mov", ".webm", ".avi", ".mkv", ".gif"}
"""The usual endings of these, in lower case. What is in a file decides, not its ending."""
MAX_MEGAPIXELS = 36
"""Of a frame: 8K has 33."""
MAX_PIXELS = {"max_pixels": str(round(MAX_MEGAPIXELS * 1e6))}
"""The same for FFmpeg, which looks before it makes room for a frame."""
MIN_SIDE = 16
MOST_SIDE = 1920
"""Larger frames are reduced to this longer side while they are decoded."""
MAX_FPS = 240
USUAL_FPS = 25.0
# Ends of headers and of frames differ by so much in films that are whole.
TOLERANCE_S = 0.5
# Of a film's fields, as FFmpeg counts them: transfer curves of HDR.
PQ, HLG = 16, 18
SDR_WHITE_NITS = 203.0
"""Of HDR: what paper looks like there (ITU-R BT.2408)."""
TURNS = {90: cv2.ROTATE_90_COUNTERCLOCKWISE, 180: cv2.ROTATE_180, 270: cv2.ROTATE_90_CLOCKWISE}
# What PyAV raises for damaged files.
CANNOT_BE_READ = (av.FFmpegError, ValueError, OverflowError, MemoryError)

NOT_READABLE = mark("This file is not a video that can be read; use MP4, MOV, WebM, AVI, MKV or GIF.")
NOTHING_IN_IT = mark("Nothing of this video can be read; it is damaged or was cut off while it was copied.")


class FilmError(ValueError):
    """A film cannot be used; the message is one sentence for the person who brought it."""


@dataclass(frozen=True)
class FilmInfo:
    """What a film's headers say, as far as that can be believed."""

    size_wh: tuple[int, int]
    """Of the frames that are handed out: upright, with square pixels, not larger than ``MOST_SIDE``."""
    fps: float
    """Frames per second, on average."""
    duration_s: float | None
    """``None`` if unknown."""

    @property
    def frames(self) -> int:
        """How many there will be, about; 0 if unknown."""
        return round(self.duration_s * self.fps) if self.duration_s else 0


class FilmReader:
    """One film, read once from its start. Use it in a ``with``.

    >>> with FilmReader(path) as film:                                            # doctest: +SKIP
    ...     for time_s, frame_bgr in film.frames():
    ...         ...
    ...     print(film.problem)
    """

    def __init__(self, path: Path | str, max_s: float = float("inf"), most_side: int = MOST_SIDE):
        """Open a film and read its headers.

        Args:
            path: of the file.
            max_s: frames after so many seconds are not read.
            most_side: larger frames are reduced to this longer side.

        Raises:
            FilmError: it is empty, no film, too large, or nothing in it can be read.
        """
        self._path, self._max_s = Path(path), max_s
        self.problem = ""
        """After reading: why not everything could be, in one sentence; empty if it was."""
        self.too_long = False
        """After reading: whether the film continues after ``max_s``."""
        if not Path(path).stat().st_size:
            raise FilmError(tr("This file is empty; save or export the video again."))
        self._container = open_container(path)
        try:
            self._stream = self._find_video()
            self._stream.codec_context.options = MAX_PIXELS
            self._stream.thread_type = "AUTO"
            self._damaged = False
            self._coming = self._decoded()
            first = next(self._coming, None)
            if first is None:
                raise FilmError(tr(NOTHING_IN_IT))
            self._first = first
            self._turn = round(self._first.rotation / 90) * 90 % 360
            self._decoded_wh = self._size_of_frames(most_side)
            self.info = self._believed()
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> "FilmReader":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the file."""
        self._container.close()

    def _find_video(self) -> av.VideoStream:
        # A cover picture in a file of music is a stream of video as well.
        streams = [s for s in self._container.streams.video if not s.disposition & Disposition.attached_pic]
        if not streams:
            has_sound = bool(self._container.streams.audio)
            raise FilmError(tr("There is only sound in this file; choose a video.") if has_sound else _why(self._path))
        context = streams[0].codec_context
        if context is None:  # PyAV's word for a codec that FFmpeg does not know
            raise FilmError(tr("The codec of this video is not known here; save it as MP4 with H.264."))
        if context.width * context.height > MAX_MEGAPIXELS * 1e6:
            raise FilmError(
                tr(
                    "The frames of this video have {width} × {height} pixels; {megapixels} megapixels are the most."
                ).format(
                    width=number(context.width, ","),
                    height=number(context.height, ","),
                    megapixels=number(MAX_MEGAPIXELS),
                )
            )
        return streams[0]

    def _size_of_frames(self, most_side: int) -> tuple[int, int]:
        """Width and height to which frames are brought while they are converted, before they are turned."""
        width, height = self._first.width, self._first.height
        if min(width, height) < MIN_SIDE:
            words = tr("The frames of this video have {width} × {height} pixels, too few to find a face.")
            raise FilmError(words.format(width=number(width), height=number(height)))
        # Pixels that are not square, of television: the width follows.
        ratio = self._stream.sample_aspect_ratio
        width = round(width * float(ratio)) if ratio and 0.25 <= ratio <= 4 else width
        scale = min(1.0, most_side / max(width, height))
        return max(MIN_SIDE, round(scale * width)), max(MIN_SIDE, round(scale * height))

    def _believed(self) -> FilmInfo:
        stream = self._stream
        fps = float(stream.average_rate or stream.guessed_rate or USUAL_FPS)
        duration_s = None
        if stream.duration and stream.time_base:
            duration_s = float(stream.duration * stream.time_base)
        elif self._container.duration:
            duration_s = self._container.duration / av.time_base
        return FilmInfo(
            self._decoded_wh[::-1] if self._turn in (90, 270) else self._decoded_wh,
            fps if 0.1 <= fps <= MAX_FPS else USUAL_FPS,
            duration_s if duration_s and 0 < duration_s < 1e8 else None,
        )

    def frames(self) -> Iterator[tuple[float, np.ndarray]]:
        """Every frame that can be read, in order.

        Yields:
            When it is shown, in seconds since the first frame, always later than the one before; and the frame,
            (h, w, 3) uint8 BGR of ``info.size_wh``, which is the receiver's own.
        """
        last_s, step_s, count = -1.0, 1 / self.info.fps, 0
        start_s = self._first.time or 0.0
        for frame in itertools.chain([self._first], self._coming):
            time_s = last_s + step_s if frame.time is None else frame.time - start_s
            if time_s > self._max_s or count > self._max_s * MAX_FPS:
                self.too_long = True
                return
            if time_s <= last_s:  # clocks of damaged films, and of joined ones, go back
                time_s = last_s + step_s
            picture = self._picture(frame)
            if picture is None:
                self._damaged = True
                continue
            last_s, count = max(time_s, 0.0), count + 1
            yield last_s, picture
        self.problem = self._ending(last_s + step_s)

    def _decoded(self) -> Iterator[av.VideoFrame]:
        """Frames as they are decoded; notes what cannot be."""
        packets = self._container.demux(self._stream)
        while True:
            try:
                packet = next(packets, None)
            except CANNOT_BE_READ as error:
                log.info("A film ends early: %s", error)
                self._damaged = True
                return
            if packet is None:
                return
            try:
                for frame in packet.decode():
                    self._damaged |= bool(frame.is_corrupt)
                    yield frame
            except av.EOFError:
                return
            except CANNOT_BE_READ:
                self._damaged = True

    def _picture(self, frame: av.VideoFrame) -> np.ndarray | None:
        picture: np.ndarray
        width, height = self._decoded_wh
        try:
            # Any size, 10 bits and more, and palettes become 8 bits a colour here.
            picture = frame.to_ndarray(format="bgr24", width=width, height=height)
        except CANNOT_BE_READ as error:
            log.info("A frame cannot be converted: %s", error)
            return None
        if frame.color_trc in (PQ, HLG):
            picture = np.asarray(cv2.LUT(picture, _hdr_table(int(frame.color_trc))))
        return cv2.rotate(picture, TURNS[self._turn]) if self._turn else np.ascontiguousarray(picture)

    def _ending(self, end_s: float) -> str:
        promised_s = self.info.duration_s
        # A stream's own duration is exact; that of the file may be that of its sound.
        tolerance_s = 2.5 / self.info.fps if self._stream.duration else TOLERANCE_S
        if promised_s is not None and end_s < promised_s - tolerance_s:
            return tr(
                "This video breaks off after {time}, though it should last {length}; what could be read was used."
            ).format(time=in_words(end_s), length=in_words(promised_s))
        return tr("Parts of this video are damaged; what could be read was used.") if self._damaged else ""


def open_container(path: Path | str) -> InputContainer:
    """Open a film's file. Raises: ``FilmError``, if it is none."""
    try:
        options = {"format_whitelist": CONTAINERS, "protocol_whitelist": "file", **MAX_PIXELS}
        return av.open(str(path), metadata_errors="ignore", options=options)
    except CANNOT_BE_READ as error:
        log.info("A film cannot be opened: %s", error)
        raise FilmError(_why(Path(path))) from None


def _why(path: Path) -> str:
    """The sentence for a file that FFmpeg does not open: films that are damaged begin as films do."""
    with path.open("rb") as file:
        start = file.read(16)
    marks = (start[4:8] in (b"ftyp", b"moov", b"mdat"), start.startswith(b"\x1aE\xdf\xa3"), start.startswith(b"GIF8"))
    is_film = any(marks) or (start[:4] == b"RIFF" and start[8:11] == b"AVI")
    return tr(NOTHING_IN_IT) if is_film else tr(NOT_READABLE)


def in_words(seconds: float) -> str:
    """A duration for people.

    >>> in_words(0.84), in_words(75), in_words(36_000)
    ('0.8 s', '1 min 15 s', '10 h 0 min')
    """
    whole = round(seconds)
    if whole < 60:
        return tr("{seconds} s").format(seconds=whole if seconds >= 10 else number(round(seconds, 1), "g"))
    if whole < 3600:
        return tr("{minutes} min {seconds} s").format(minutes=whole // 60, seconds=whole % 60)
    return tr("{hours} h {minutes} min").format(hours=whole // 3600, minutes=whole % 3600 // 60)


def _hdr_table(curve: int) -> np.ndarray:
    """What each of 256 values of an HDR signal looks like on an ordinary screen: (256,) uint8.

    Light is taken from the signal (SMPTE ST 2084, or ITU-R BT.2100 for HLG), highlights are pressed together above
    paper white (Reinhard et al. 2002), and the rest gets the curve of sRGB, about.
    """
    signal = np.arange(256) / 255
    if curve == PQ:
        m1, m2, c1, c2, c3 = 0.1593017578125, 78.84375, 0.8359375, 18.8515625, 18.6875
        root = signal ** (1 / m2)
        light = 10_000 / SDR_WHITE_NITS * (np.maximum(root - c1, 0) / (c2 - c3 * root)) ** (1 / m1)
    else:
        a, b, c = 0.17883277, 0.28466892, 0.55991073
        scene = np.where(signal <= 0.5, signal**2 / 3, (np.exp((signal - c) / a) + b) / 12)
        light = 1000 / SDR_WHITE_NITS * scene**1.2
    white = light[-1]
    shown = light * (1 + light / white**2) / (1 + light)
    return np.rint(255 * np.clip(shown / shown[-1], 0, 1) ** (1 / 2.2)).astype(np.uint8)
