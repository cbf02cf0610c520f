"""Visitors' videos on a server: each is its visitor's alone, waits its turn, and goes with them."""

import secrets
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from core.config import limits, videos_dir
from core.io import disk_sentence, scratch_folder, sweep
from core.jobs import Jobs, Report
from core.language import number, tr, trn
from core.quota import check_count, check_disk
from core.turns import Turns
from core.video.film import ANNOTATED, Detect, FilmResult, analyse_film
from core.vision.crops import fit_within
from core.vision.images import encode_image

FOLDER = ".video-"
SOURCE = "source"
PREVIEW_SIDE = 640
# How often the disk is measured while a video is written, and the shelf is looked through.
CHECK_S, SWEEP_S = 5.0, 20.0
MAX_IN_LINE = 50
"""Videos of all visitors that wait or are analysed: each has a thread."""


@dataclass(eq=False)
class Video:
    """A visitor's video, from the upload to the result."""

    key: str
    """Names it, and its job; nobody can guess it."""
    name: str
    """Of the file, as its visitor calls it."""
    folder: Path
    blur: bool
    preview: bytes = b""
    """The newest finished frame as JPEG, while it is analysed."""
    result: FilmResult | None = None
    problem: str = ""
    """Why there is no result, in one sentence."""
    _files: ExitStack = field(default_factory=ExitStack)

    @property
    def annotated(self) -> Path:
        """The video with boxes, once there is a result."""
        return self.folder / ANNOTATED


class Shelf:
    """The videos of all visitors of a server. Safe to use from any thread."""

    def __init__(self, clock: Callable[[], float] = time.monotonic):
        """Args: a clock in seconds that never goes back."""
        self.jobs = Jobs()
        self._clock, self._lock = clock, threading.Lock()
        self._turns = Turns(limits().videos_at_once)
        self._videos: dict[str, list[Video]] = {}
        self._seen: dict[str, float] = {}

    def watch(self) -> "Shelf":
        """Remove what killed processes left, and from now on, in a thread, the videos of visitors who left."""
        sweep(videos_dir(), FOLDER)

        def look_through() -> None:
            while True:
                time.sleep(SWEEP_S)
                self.drop_left()

        threading.Thread(target=look_through, name="videos", daemon=True).start()
        return self

    def videos(self, visitor: str) -> list[Video]:
        """A visitor's videos in the order in which they came; the visitor is here now."""
        with self._lock:
            if visitor in self._videos:
                self._seen[visitor] = self._clock()
            return list(self._videos.get(visitor, ()))

    def visitors(self) -> set[str]:
        """Everybody who has videos here, without taking them for being here."""
        with self._lock:
            return {visitor for visitor, videos in self._videos.items() if videos}

    @contextmanager
    def receive(self, size_bytes: int = 0) -> Iterator[Path]:
        """A path for a video that is still on its way; what is not taken in at the end goes.

        Raises:
            ValueError: there is no room for so many bytes.
        """
        check_disk("videos_gb", size_bytes)
        with scratch_folder(videos_dir(), FOLDER) as folder:
            yield folder / SOURCE

    def find(self, visitor: str, key: str) -> Video | None:
        """One of a visitor's videos, and nobody else's."""
        return next((video for video in self.videos(visitor) if video.key == key), None)

    def add(
        self,
        visitor: str,
        name: str,
        fill: Callable[[Path], object],
        detect: Detect,
        blur: bool = False,
        size_bytes: int = 0,
        annotated: bool = True,
    ) -> Video:
        """Take a video in, and analyse it when its turn has come.

        Args:
            visitor: whose it is.
            name: of the file.
            fill: writes it to a path.
            detect: as for ``analyse_film``.
            blur: make faces unrecognizable.
            size_bytes: of the file, if known.
            annotated: whether the video with boxes is wanted.

        Raises:
            ValueError: the visitor has too many, it is too large, there is no room, or too many wait.
            OSError: it cannot be written.
        """
        now = limits()
        check_count("visitor_videos", len(self.videos(visitor)))
        if size_bytes > now.video_mb * 1024 * 1024:
            raise ValueError(now.reached("video_mb"))
        if sum(job.state == "running" for job in self.jobs.all()) >= MAX_IN_LINE:
            raise ValueError(tr("Too many videos are waiting on this server; try again in a few minutes."))
        check_disk("videos_gb", size_bytes)
        with ExitStack() as files:
            folder = files.enter_context(scratch_folder(videos_dir(), FOLDER))
            fill(folder / SOURCE)
            video = Video(secrets.token_urlsafe(16), name, folder, blur, _files=files.pop_all())
        with self._lock:
            self._videos.setdefault(visitor, []).append(video)
            self._seen[visitor] = self._clock()
        self.jobs.start(video.key, name, lambda report: self._analyse(video, detect, annotated, report))
        return video

    def _analyse(self, video: Video, detect: Detect, annotated: bool, report: Report) -> None:
        checked = 0.0

        def watched(done: int, total: int, text: str = "") -> None:
            nonlocal checked
            report(done, total, text)
            if self._clock() - checked > CHECK_S:
                checked = self._clock()
                check_disk("videos_gb")

        def show(frame_bgr: np.ndarray) -> None:
            video.preview = encode_image(fit_within(frame_bgr, PREVIEW_SIDE)[0])

        try:
            with self._turns.turn(lambda before: report(0, 0, _place(before))):
                report(0, 0, tr("Opening the video"))
                source = video.folder / SOURCE
                result = analyse_film(
                    *(source, video.folder, detect),
                    blur=video.blur,
                    annotated=annotated,
                    report=watched,
                    preview=show,
                )
            source.unlink(missing_ok=True)
            video.result = result
        except (ValueError, OSError) as error:
            video.problem = disk_sentence(error) if isinstance(error, OSError) else str(error)
            raise
        finally:
            video.preview = b""

    def delete(self, visitor: str, key: str) -> None:
        """Stop a visitor's video and remove all of it; nothing happens if there is none of that name."""
        with self._lock:
            mine = self._videos.get(visitor, [])
            gone = [video for video in mine if video.key == key]
            self._videos[visitor] = [video for video in mine if video.key != key]
        self._remove(gone)

    def drop_left(self) -> None:
        """Remove the videos of visitors who have not been seen for as long as the operator says."""
        oldest = self._clock() - 60 * limits().idle_minutes
        with self._lock:
            left = [visitor for visitor, seen in self._seen.items() if seen < oldest]
            gone = [video for visitor in left for video in self._videos.pop(visitor, [])]
            for visitor in left:
                del self._seen[visitor]
        self._remove(gone)

    def _remove(self, videos: list[Video]) -> None:
        for video in videos:
            self.jobs.cancel(video.key)
            video._files.close()
            self.jobs.forget(video.key)


def _place(before: int) -> str:
    return trn("{count} video comes first", "{count} videos come first", before).format(count=number(before))
