"""Cameras without a browser: they run, keep their records and send their alerts until somebody ends it."""

import threading
import time
from collections.abc import Callable, Sequence
from datetime import datetime

from core.video.cameras import IS_RECORDED, LIVE, Cameras, SharedCamera
from core.video.record import RecordError
from core.vision.stats import FrameStats

LOOK_S = 0.5
NOBODY_LEFT = "None of these cameras is left to be watched."


def watch(
    cameras: Cameras, names: Sequence[str], record: bool, tell: Callable[[str], None], stop: threading.Event
) -> None:
    """Run these cameras until ``stop`` is set; at the end all that was counted is on the record.

    Args:
        cameras: where they run; closed at the end.
        names: of the operator's settings.
        record: keep their records. One that another program records already is left to that.
        tell: called with a line for each camera every minute, when it is lost or comes back, and for each alert.
        stop: set from a signal, say.

    Raises:
        RecordError: no camera is left.
        AccessError: the operator decided against records.
    """
    try:
        watched = [_Watched(name, tell) for name in names if _is_ours(cameras, name, record, tell)]
        if not watched:
            raise RecordError(NOBODY_LEFT)
        minute, problem = this_minute(), ""
        while not stop.wait(LOOK_S):
            whole = this_minute() != minute
            for each in watched:
                if camera := cameras.watch(each.name):
                    each.look(camera, minute if whole else None)
            minute = this_minute()
            before, problem = problem, cameras.problem or cameras.recorder.problem
            if problem and problem != before:
                tell(problem)
    finally:
        cameras.close()
        if not cameras.recorder.flush():
            tell(cameras.recorder.problem or "The last counts could not be written in time.")


def _is_ours(cameras: Cameras, name: str, record: bool, tell: Callable[[str], None]) -> bool:
    camera = cameras.watch(name)
    if camera and record:
        try:
            camera.record()
        except RecordError as error:
            tell(f"{name}: {error}")
            return str(error) != IS_RECORDED  # a disk may come back
    return camera is not None


class _Watched:
    """What was told of a camera last."""

    def __init__(self, name: str, tell: Callable[[str], None]):
        self.name, self._tell = name, tell
        self._kind, self._alerts = "", 0

    def look(self, camera: SharedCamera, whole_minute: int | None) -> None:
        """Tell what is new; with a minute that is over also what there was in it."""
        told, state = camera.processor.moment(), camera.state
        for alert in reversed(told.alerts):
            if alert.number > self._alerts:
                self._line(alert.text)
                self._alerts = alert.number
        if state.kind != self._kind:
            self._kind = state.kind
            self._line(state.in_words())
        elif whole_minute is not None:
            if state.kind == LIVE:
                self._line(minute_words(dict(told.by_minute).get(whole_minute, FrameStats()), told.counts.now))
            else:
                self._line(state.in_words())

    def _line(self, words: str) -> None:
        self._tell(f"{datetime.now():%H:%M} {self.name}: {words}")


def this_minute() -> int:
    """Since 1970."""
    return int(time.time() // 60)


def minute_words(entered: FrameStats, now: FrameStats) -> str:
    """Who came in a minute, and who is there at its end.

    >>> minute_words(FrameStats((2, 1, 0)), FrameStats((1, 0, 0)))
    'came: 3, of them with a mask worn well: 67%, now in the picture: 1.'
    """
    share = "" if entered.mask_share is None else f", of them with a mask worn well: {entered.mask_share:.0%}"
    return f"came: {entered.faces:,}{share}, now in the picture: {now.faces:,}."
