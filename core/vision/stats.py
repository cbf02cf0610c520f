"""Counts and shares: of one frame, and of a running video."""

import threading
import time
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass

import supervision as sv

from core.language import number, tr, trn
from core.vision.classes import CLASS_NAMES, NO_PREDICTION, WITH_MASK, styles_of
from core.vision.detections import PREDICTED, classes_of, hidden_faces


@dataclass(frozen=True)
class FrameStats:
    """What was seen in one frame, or everybody who was seen in a video, each once."""

    counts: tuple[int, ...] = (0,) * len(CLASS_NAMES)
    """Faces per class, in the order of ``classes``."""
    classes: tuple[str, ...] = CLASS_NAMES
    """What is told apart."""
    unknown: int = 0
    """Faces without a prediction."""
    hidden: int = 0
    """Faces that are not shown, since they are smaller than the limit that a person set."""

    @property
    def faces(self) -> int:
        """Faces that are shown, those without a prediction too."""
        return sum(self.counts) + self.unknown

    @property
    def mask_share(self) -> float | None:
        """Share with a mask worn well, 0..1, of the faces with a prediction.

        ``None`` where there is none, or where masks are not the topic.
        """
        if not any(self.counts) or CLASS_NAMES[WITH_MASK] not in self.classes:
            return None
        return self.count(CLASS_NAMES[WITH_MASK]) / sum(self.counts)

    def count(self, name: str) -> int:
        """Faces of a class, 0 for one that is not told apart here."""
        return self.counts[self.classes.index(name)] if name in self.classes else 0

    def __add__(self, other: "FrameStats") -> "FrameStats":
        if self.classes == other.classes or not self.faces:
            classes = other.classes
        elif not other.faces:
            classes = self.classes
        else:  # where a method with other classes took over, both are counted
            classes = self.classes + tuple(name for name in other.classes if name not in self.classes)
        if self.classes == other.classes:  # as nearly always
            counts = tuple(mine + theirs for mine, theirs in zip(self.counts, other.counts, strict=True))
        else:
            counts = tuple(self.count(name) + other.count(name) for name in classes)
        return FrameStats(counts, classes, self.unknown + other.unknown, self.hidden + other.hidden)


def summarize(detections: sv.Detections) -> FrameStats:
    """Count the faces of one frame."""
    classes, predicted = classes_of(detections), detections.data[PREDICTED]
    counts = Counter(detections.class_id[predicted].tolist())
    return FrameStats(
        tuple(counts[i] for i in range(len(classes))), classes, int((~predicted).sum()), hidden_faces(detections)
    )


def describe(stats: FrameStats) -> str:
    """The counts in words.

    >>> describe(FrameStats((2, 1, 0), unknown=1))
    '4 faces: 2 with a mask, 1 without a mask, 1 not clear enough to tell.'
    >>> describe(FrameStats((2, 1, 0), hidden=1))
    '3 faces: 2 with a mask, 1 without a mask. 1 smaller face is hidden by your limit.'
    """
    if not stats.faces:
        return describe_hidden(stats) if stats.hidden else tr("No face found.")
    sentence = trn("{count} face: {states}.", "{count} faces: {states}.", stats.faces)
    hidden = f" {describe_hidden(stats)}" if stats.hidden else ""
    return sentence.format(count=number(stats.faces, ","), states=_states(stats)) + hidden


def describe_film(stats: FrameStats) -> str:
    """Everybody in a film, in words.

    >>> describe_film(FrameStats((2, 1, 0)))
    '3 people: 2 with a mask, 1 without a mask.'
    """
    if not stats.faces:
        return tr("No face found.")
    sentence = trn("{count} person: {states}.", "{count} people: {states}.", stats.faces)
    return sentence.format(count=number(stats.faces, ","), states=_states(stats))


def _states(stats: FrameStats) -> str:
    counts, styles = (*stats.counts, stats.unknown), (*styles_of(stats.classes), NO_PREDICTION)
    each = zip((number(n, ",") if n else "" for n in counts), styles, strict=True)
    return ", ".join(f"{count} {tr(style.sentence) or style.words}" for count, style in each if count)


def describe_hidden(stats: FrameStats, limit_px: float | None = None) -> str:
    """How many faces are smaller than the limit that a person set, which may be named.

    >>> describe_hidden(FrameStats((1, 0, 0), hidden=2))
    '2 smaller faces are hidden by your limit.'
    >>> describe_hidden(FrameStats(hidden=2), 48)
    '2 faces found, but smaller than your limit of 48 px.'
    """
    n = stats.hidden
    if limit_px is None:
        alone = trn(
            "{count} face found, but smaller than your limit.", "{count} faces found, but smaller than your limit.", n
        )
        beside = trn(
            "{count} smaller face is hidden by your limit.", "{count} smaller faces are hidden by your limit.", n
        )
    else:
        alone = trn(
            "{count} face found, but smaller than your limit of {limit} px.",
            "{count} faces found, but smaller than your limit of {limit} px.",
            n,
        )
        beside = trn(
            "{count} smaller face is hidden by your limit of {limit} px.",
            "{count} smaller faces are hidden by your limit of {limit} px.",
            n,
        )
    sentence = beside if stats.faces or not n else alone
    return sentence.format(count=number(n, ","), limit=number(limit_px or 0, "g"))


@dataclass(frozen=True)
class LiveSnapshot:
    """The live counters at one moment."""

    now: FrameStats = FrameStats()
    """The newest analysed frame."""
    people: FrameStats = FrameStats()
    """Everybody since the start of the video, each counted once."""
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
        """Args: over how many seconds the rate is taken; a clock in seconds that never goes back."""
        self._window_s, self._clock, self._lock = window_s, clock, threading.Lock()
        self.reset()

    def reset(self) -> None:
        """Forget everything, for a new start of the camera."""
        with self._lock:
            self._history: deque[tuple[float, FrameStats]] = deque()
            self._frames, self._people = 0, FrameStats()
            self._analysis_ms: float | None = None
            self._error: str | None = None

    def update(self, stats: FrameStats, analysis_ms: float, people: FrameStats = FrameStats()) -> None:
        """Add one analysed frame, and say who has been seen until then."""
        with self._lock:
            now, self._people = self._clock(), people
            self._history.append((now, stats))
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
                return LiveSnapshot(people=self._people, analysed_frames=self._frames, error=self._error)
            span = max(self._clock() - self._history[0][0], 1e-3)
            rate = len(self._history) / span if len(self._history) > 1 else 0.0
            return LiveSnapshot(
                now=self._history[-1][1],
                people=self._people,
                analysed_frames=self._frames,
                analyses_per_s=rate,
                analysis_ms=self._analysis_ms,
                error=self._error,
            )

    def _forget_old(self) -> None:
        oldest = self._clock() - self._window_s
        while self._history and self._history[0][0] < oldest:
            self._history.popleft()
