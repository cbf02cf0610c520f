"""The pictures of a network camera: the newest one, as soon as it is there.

FFmpeg reads, through PyAV. One thread takes what comes off the network, that of the viewers decodes it, and where
that takes too long, leaves pictures out, so that what is seen never lags behind. Addresses may hold passwords, and
FFmpeg's errors quote addresses: nothing of either leaves this module.
"""

import threading
import time
from collections.abc import Iterator
from types import TracebackType

import av
import numpy as np
from av.container import InputContainer

from core.language import mark
from core.video.reader import MAX_PIXELS

OPEN_S, READ_S = 10.0, 6.0
"""Who does not answer, or sends nothing, for longer is gone."""
PICTURE_S = 20.0
"""What is sent must become a picture within this time: some cameras send a whole one only every ten seconds."""
MOST_SIDE = 1280
"""Larger frames are reduced to this longer side."""
MOST_WAITING = 40
"""Where more packets wait to be decoded, those before the newest whole picture are left out."""
OPTIONS = {
    "rtsp_transport": "tcp",
    "fflags": "nobuffer",
    "flags": "low_delay",
    "probesize": "1000000",
    "analyzeduration": "500000",
    # What a camera sends may not lead to other places: no playlists, no files of the server.
    "protocol_whitelist": "http,https,httpproxy,tcp,tls,rtsp,rtsps,rtp,srtp,udp",
    "format_whitelist": "mpjpeg,mjpeg,rtsp,rtp,mpegts,h264,hevc,mov,matroska,webm,flv,sdp",
}
DEVICE = "/dev/"
SILENT = mark("it does not answer")
REASONS: tuple[tuple[type[Exception] | tuple[type[Exception], ...], str], ...] = (
    (
        (av.error.HTTPUnauthorizedError, av.error.HTTPForbiddenError),
        mark("it does not take the name and password of the settings"),
    ),
    (av.error.HTTPNotFoundError, mark("nothing is at the path of its address")),
    (av.error.ConnectionRefusedError, mark("nothing answers at its address")),
    ((av.error.ExitError, av.error.TimeoutError), SILENT),
    (av.error.FileNotFoundError, mark("the device is not connected")),
    (av.error.PermissionError, mark("this program may not use the device")),
    (av.error.InvalidDataError, mark("what it sends is no video that can be read")),
)
"""Why a camera gives no picture, by the error; for others there is ``UNKNOWN_REASON``."""
UNKNOWN_REASON = mark("it cannot be reached, or sends no video that can be read")
ENDED = mark("it sends no more pictures")


class StreamError(ValueError):
    """A camera gives no picture; the message is half a sentence in English that says why, without its address."""


class CameraStream:
    """An open camera. Use it in a ``with``, and ``frames`` once."""

    def __init__(self, address: str):
        """Connect to a camera.

        Args:
            address: of the operator's settings, never of a visitor.

        Raises:
            StreamError: it cannot be reached, or sends no video.
        """
        device, started = address.startswith(DEVICE), time.monotonic()
        try:
            self._container: InputContainer = av.open(
                address,
                format="v4l2" if device else None,
                options={} if device else OPTIONS,
                timeout=(OPEN_S, READ_S),
            )
        except (av.FFmpegError, ValueError) as error:
            late = time.monotonic() - started >= OPEN_S  # then FFmpeg may call it by another name
            raise StreamError(SILENT if late else _reason(error)) from None
        self._condition = threading.Condition()
        self._waiting: list[av.Packet] = []
        self._ended: str | None = None
        self._reader = threading.Thread(target=self._read, name="mask-camera-read", daemon=True)

    def __enter__(self) -> "CameraStream":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Disconnect. Waits for the network if need be, for as long as the time limits say."""
        with self._condition:
            self._ended = self._ended or ""
        if self._reader.ident is not None:
            self._reader.join()
        self._container.close()

    def frames(self) -> Iterator[np.ndarray]:
        """The newest frame whenever there is a newer one: (h, w, 3) uint8, BGR.

        Raises:
            StreamError: no more come.
        """
        if not self._container.streams.video:
            raise StreamError(mark("it sends no video"))
        decoder = self._container.streams.video[0].codec_context
        decoder.options = MAX_PIXELS
        decoder.thread_type = "SLICE"  # whole frames in several threads would each come later
        self._reader.start()
        seen_s = time.monotonic()
        while True:
            newest = None
            for packet in self._take():
                try:
                    for frame in packet.decode():
                        newest = frame
                except (av.FFmpegError, ValueError):  # damaged on its way; the next may be whole
                    continue
            if isinstance(newest, av.VideoFrame):
                seen_s = time.monotonic()
                yield _to_bgr(newest)
            elif time.monotonic() - seen_s > PICTURE_S:
                raise StreamError(mark("what it sends is no picture that can be read"))

    def _read(self) -> None:
        try:
            for packet in self._container.demux(video=0):
                with self._condition:
                    if self._ended is not None:
                        return
                    self._waiting.append(packet)
                    self._condition.notify()
            reason = ENDED
        except (av.FFmpegError, ValueError) as error:
            reason = _reason(error, ENDED)
        with self._condition:
            self._ended = reason
            self._condition.notify()

    def _take(self) -> list[av.Packet]:
        """What has come since the last call, or as much of it as can be caught up with. Raises: ``StreamError``."""
        with self._condition:
            self._condition.wait_for(lambda: self._waiting or self._ended is not None)
            if not self._waiting:
                raise StreamError(self._ended or "it was left")
            packets, self._waiting = self._waiting, []
        if len(packets) <= MOST_WAITING:
            return packets
        whole = max((at for at, packet in enumerate(packets) if packet.is_keyframe), default=len(packets) - 1)
        return packets[whole:]


def _to_bgr(frame: av.VideoFrame) -> np.ndarray:
    zoom = min(1.0, MOST_SIDE / max(frame.width, frame.height))
    return frame.to_ndarray(format="bgr24", width=round(frame.width * zoom), height=round(frame.height * zoom))


def _reason(error: Exception, usual: str = UNKNOWN_REASON) -> str:
    return next((words for kinds, words in REASONS if isinstance(error, kinds)), usual)
