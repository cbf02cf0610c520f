"""Counts and shares: of one frame, and of a running video."""

import threading
import time
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass

import supervision as sv

from core.classes import CLASS_NAMES, WITH_MASK, styles_of
from core.detections import classes_of

HISTORY_S = 120


@dataclass(frozen=True)
class FrameStats:
    """What was seen in one frame. Faces are counted, not people: nobody is followed from frame to frame."""

    counts: tuple[int, ...] = (0,) * len(CLASS_NAMES)
    """Faces per class, in the order of ``classes``."""
    classes: tuple[str, ...] = CLASS_NAMES
    """What is told apart."""

    @property
    def faces(self) -> int:
        """Faces of all classes."""
        return sum(self.counts)

    @property
    def mask_share(self) -> float | None:
        """Share of the faces with a mask worn well, 0..1; ``None`` without faces, or where masks are not the topic."""
        if not self.faces or CLASS_NAMES[WITH_MASK] not in self.classes:
            return None
        return self.count(CLASS_NAMES[WITH_MASK]) / self.faces

    def count(self, name: str) -> int:
        """Faces of a class, 0 for one that is not told apart here."""
        return self.counts[self.classes.index(name)] if name in self.classes else 0

    def __add__(self, other: "FrameStats") -> "FrameStats":
        if not self.faces:
            classes = other.classes
        elif not other.faces:
            classes = self.classes
        else:  # where a method with other classes took over, both are counted
            classes = self.classes + tuple(name for name in other.classes if name not in self.classes)
        return FrameStats(tuple(self.count(name) + other.count(name) for name in classes), classes)


def summarize(detections: sv.Detections) -> FrameStats:
    """Count the faces of one frame."""
    counts, classes = Counter(detections.class_id.tolist()), classes_of(detections)
    return FrameStats(tuple(counts[i] for i in range(len(classes))), classes)


def describe(stats: FrameStats) -> str:
    """The counts as one sentence: "3 faces: 2 with a mask, 1 without a mask."

    >>> describe(FrameStats((2, 1, 0)))
    '3 faces: 2 with a mask, 1 without a mask.'
    """
    if not stats.faces:
        return "No face found."
    styles = styles_of(stats.classes)
    parts = [f"{n} {style.sentence or style.words}" for n, style in zip(stats.counts, styles, strict=True) if n]
    return f"{stats.faces} face{'s' if stats.faces > 1 else ''}: {', '.join(parts)}."


@dataclass(frozen=True)
class LiveSnapshot:
    """The live counters at one moment."""

    now: FrameStats = FrameStats()
    """The newest analysed frame."""
    recent: FrameStats = FrameStats()
    """All analysed frames of the last seconds added up, so that one flicker does not move the share much."""
    share_by_second: tuple[tuple[float, float | None], ...] = ()
    """Seconds ago (from large to small) and the mask share of all faces in that second, over two minutes at most."""
    analysed_frames: int = 0
    analyses_per_s: float = 0.0
    """Analysed frames per second, over the last seconds."""
    analysis_ms: float | None = None
    """Time of the newest analysis in milliseconds."""
    error: str | None = None
    """The newest error of the analysis, as long as no frame was analysed after it."""


class LiveStats:
    """Counters between the video thread, which updates them, and the page, which reads copies. Every method locks."""

    def __init__(self, window_s: float = 10.0, clock: Callable[[], float] = time.monotonic):
        """Args: how many seconds ``recent`` covers; a clock in seconds that never goes back."""
        self._window_s, self._clock, self._lock = window_s, clock, threading.Lock()
        self.reset()

    def reset(self) -> None:
        """Forget everything, for a new start of the camera."""
        with self._lock:
            self._history: deque[tuple[float, FrameStats]] = deque()
            self._seconds: deque[tuple[int, FrameStats]] = deque(maxlen=HISTORY_S)
            self._frames, self._analysis_ms, self._error = 0, None, None

    def update(self, stats: FrameStats, analysis_ms: float) -> None:
        """Add one analysed frame."""
        with self._lock:
            now = self._clock()
            self._history.append((now, stats))
            if self._seconds and self._seconds[-1][0] == int(now):
                stats = self._seconds.pop()[1] + stats
            self._seconds.append((int(now), stats))
            self._frames += 1
            self._analysis_ms, self._error = analysis_ms, None
            self._forget_old()

    def fail(self, error: str) -> None:
        """Remember why the newest frame could not be analysed."""
        with self._lock:
            self._error = error

    def snapshot(self) -> LiveSnapshot:
        """A copy of the counters as they are now."""
        with self._lock:
            self._forget_old()
            if not self._history:
                return LiveSnapshot(analysed_frames=self._frames, error=self._error)
            span = max(self._clock() - self._history[0][0], 1e-3)
            rate = len(self._history) / span if len(self._history) > 1 else 0.0
            return LiveSnapshot(
                now=self._history[-1][1],
                recent=sum((stats for _, stats in self._history), FrameStats()),
                share_by_second=tuple((self._clock() - second, stats.mask_share) for second, stats in self._seconds),
                analysed_frames=self._frames,
                analyses_per_s=rate,
                analysis_ms=self._analysis_ms,
                error=self._error,
            )

    def _forget_old(self) -> None:
        oldest = self._clock() - self._window_s
        while self._history and self._history[0][0] < oldest:
            self._history.popleft()
