"""Alerts: somebody without a mask for too long, too few with a mask, a camera that is gone.

One alert a person at most, and a pause between two of a kind. Outside of the page they go to the operator's targets
alone, by apprise.
"""

import io
import logging
import threading
import wave
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial

import numpy as np

from core.access import for_operators
from core.config import settings
from core.language import ENGLISH, in_this_language, number, tr, trn, using
from core.vision.classes import CLASS_NAMES, WITHOUT_MASK
from core.vision.stats import FrameStats

log = logging.getLogger(__name__)
NO_MASK, LOW_SHARE, CAMERA_LOST, OUTSIDE = "no mask", "low share", "camera lost", "outside"
COOL_DOWN_S = 60.0
MIN_PEOPLE = 5
"""With fewer people a share is no reason for an alert."""
MAX_LOG = 100
RATE_HZ, TONES_HZ, TONE_S = 16_000, (880.0, 660.0), 0.18
TITLE = "Face masks"


@dataclass(frozen=True)
class Rules:
    """What a person wants to be told of."""

    no_mask_s: float | None = None
    """Somebody has no mask in the zone for longer than this; ``None``: never."""
    share_below: float | None = None
    """The share with a mask worn well is lower, 0..1, …"""
    share_minutes: int = 10
    """… of those who came in so many minutes."""
    camera_lost: bool = False
    """No more frames come, though nobody stopped the video."""


@dataclass(frozen=True)
class Alert:
    """A line of the log."""

    number: int
    """From 1, in the order of the log."""
    at_s: float
    """Since 1970."""
    kind: str
    words: Callable[[], str]

    @property
    def text(self) -> str:
        """What happened, in the language of now: a camera's log is read by many."""
        return self.words()


class AlertWatch:
    """Applies the rules to one video and keeps its log. Thread-safe where it says so."""

    def __init__(self) -> None:
        self.rules = Rules()
        self.send: Callable[[str], None] | None = None
        """Called with the words of every alert, in English; must not wait."""
        self._lock = threading.Lock()
        self._log: deque[Alert] = deque(maxlen=MAX_LOG)
        self._written = 0
        self.new_video()

    def new_video(self) -> None:
        """People's numbers begin anew; the log stays."""
        self._bare_since_s: dict[int, float] = {}
        self._told_of: set[int] = set()
        self._last_s: dict[str, float] = {}

    def update(self, people: Iterable[tuple[int, str | None]], inside: set[int], at_s: float) -> None:
        """The next frame.

        Args:
            people: number and class of everybody who has not left.
            inside: who is in the zone.
            at_s: when it was taken, in seconds since 1970.
        """
        bare = {person for person, name in people if name == CLASS_NAMES[WITHOUT_MASK] and person in inside}
        self._bare_since_s = {person: self._bare_since_s.get(person, at_s) for person in bare}
        limit_s = self.rules.no_mask_s
        for person, since_s in self._bare_since_s.items():
            if limit_s is None or person in self._told_of or at_s - since_s <= limit_s:
                continue
            if self._raise(NO_MASK, partial(_no_mask_words, limit_s), at_s):
                self._told_of.add(person)

    def check_share(self, recent: FrameStats, at_s: float) -> None:
        """People of the last ``share_minutes``; ask this now and then."""
        rules, told = self.rules, sum(recent.counts)
        if rules.share_below is None or recent.mask_share is None or told < MIN_PEOPLE:
            return
        if recent.mask_share < rules.share_below:
            words = partial(_share_words, told, rules.share_minutes, recent.mask_share, rules.share_below)
            self._raise(LOW_SHARE, words, at_s, max(COOL_DOWN_S, 60.0 * rules.share_minutes))

    def lost(self, at_s: float) -> None:
        """No more frames come."""
        if self.rules.camera_lost:
            self._raise(CAMERA_LOST, lambda: tr("The camera is gone: no more pictures come."), at_s)

    def note(self, kind: str, text: str | Callable[[], str], at_s: float) -> None:
        """Add a line to the log: a text of which the translation is looked up, or what says it; thread-safe."""
        words = text if callable(text) else partial(tr, text)
        with self._lock:
            self._written += 1
            self._log.append(Alert(self._written, at_s, kind, words))

    def log(self) -> tuple[Alert, ...]:
        """The log, the newest first; thread-safe."""
        with self._lock:
            return tuple(reversed(self._log))

    def _raise(self, kind: str, words: Callable[[], str], at_s: float, cool_down_s: float = COOL_DOWN_S) -> bool:
        if at_s - self._last_s.get(kind, -np.inf) < cool_down_s:
            return False
        self._last_s[kind] = at_s
        self.note(kind, words, at_s)
        if self.send:
            with using(ENGLISH):
                self.send(words())
        return True


def _no_mask_words(limit_s: float) -> str:
    return trn(
        "Somebody has had no mask in the zone for more than {seconds} second.",
        "Somebody has had no mask in the zone for more than {seconds} seconds.",
        limit_s,
    ).format(seconds=number(limit_s, "g"))


def _share_words(people: int, minutes: int, share: float, limit: float) -> str:
    return tr(
        "Of the {people} people of the last {minutes} minutes, {share} wear a mask well: less than {limit}."
    ).format(people=number(people), minutes=number(minutes), share=number(share, ".0%"), limit=number(limit, ".0%"))


@for_operators
def outside(failed: Callable[[str], None]) -> Callable[[str], None]:
    """What sends words to every target of ``MASK_ALERT_URLS``, in a thread of its own.

    Args:
        failed: called in that thread with a sentence in the language of now, should they not arrive.
    """
    return to_targets(failed)


def to_targets(failed: Callable[[str], None]) -> Callable[[str], None]:
    """As ``outside``, for what an operator decided before; a page asks ``outside``."""
    urls, work = settings().alert_urls, in_this_language(_send)

    def send(text: str) -> None:
        threading.Thread(target=work, args=(urls, text, failed), name="mask-alert", daemon=True).start()

    return send


def _send(urls: Iterable[str], text: str, failed: Callable[[str], None]) -> None:
    try:
        import apprise

        for place, url in enumerate(urls, start=1):
            target = apprise.Apprise()
            if not target.add(url):
                words = tr("Target {place} for alerts is none that can be used; the operator must correct it.")
                failed(words.format(place=place))
            elif not target.notify(body=text, title=TITLE):
                failed(tr("An alert did not reach target {place}.").format(place=place))
    except Exception:
        log.exception("An alert could not be sent")
        failed(tr("An alert could not be sent; the server's log says why."))


def alert_sound(number: int) -> bytes:
    """Two short tones as WAV, 16 bit mono; each number gives another file, so that browsers play each."""
    t = np.arange(int(RATE_HZ * TONE_S)) / RATE_HZ
    fade = np.minimum(1, np.minimum(t, t[::-1]) / 0.02)
    tones = np.concatenate([np.sin(2 * np.pi * hertz * t) * fade for hertz in TONES_HZ])
    samples = np.concatenate([tones * 0.5, np.zeros(100 + number % 1000)])
    data = io.BytesIO()
    with wave.open(data, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE_HZ)
        file.writeframes((samples * 32767).astype("<i2").tobytes())
    return data.getvalue()
