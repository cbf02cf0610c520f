"""Live video: the newest frame is shown at once, with boxes that move with their people; analysis runs beside it.

``recv`` runs in the video thread for every frame and only draws. A second thread analyses the newest frame, again and
again; frames that arrive meanwhile are shown but not analysed. A slow model therefore makes boxes less exact, and never
holds the picture up.
"""

import contextlib
import logging
import threading
import time
import weakref
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import cv2
import numpy as np
import supervision as sv

from core.language import current, mark, tr, using
from core.turns import Turns
from core.video.alerts import Alert, AlertWatch
from core.video.recent import RecentFaces
from core.video.record import Keeper, Visit, as_stats
from core.video.tracker import MAX_UNSEEN_S, PersonTracker
from core.video.zones import Place, PlaceCounter, PlaceCounts, draw_place
from core.vision.annotate import annotate
from core.vision.blur import blur_faces
from core.vision.boxes import mirror_boxes
from core.vision.detections import no_detections
from core.vision.pipeline import hide_small
from core.vision.stats import FrameStats, LiveSnapshot, LiveStats, summarize
from core.vision.tables import UNKNOWN

log = logging.getLogger(__name__)
# Boxes older than this are not drawn, the picture has moved on; where faces are looked for rarely, than two such looks.
MAX_BOX_AGE_S = 1.0
# Without a new frame for this long the camera is gone, and the analysis thread ends; the next frame starts a new one.
# No sooner than people may be somebody else: a picture that stalls for some seconds must not count everybody anew.
IDLE_S = MAX_UNSEEN_S
# After an analysis all rest for this share of the time it took: pictures and their encoders need the processor too. The
# more frames these must leave out, the longer the rest.
REST_SHARE, MAX_REST_SHARE = 0.4, 12.0
# But every video is looked at within this time, or nobody could be followed.
ROUND_S = 1.0
# Where a larger share of frames is left out, the processor has too much to do.
MOST_LEFT_OUT = 0.08
# Where even the longest rest is not enough for so many seconds, pictures become smaller, for this time at first.
PATIENCE, SMALLER_S, MAX_SMALLER_S = 4, 30.0, 480.0
SMALLER_PX = 320
# After an error the next try waits, so that a broken model does not fill a core with failures.
RETRY_S = 0.5
# Where faces are blurred, an analysis of an older frame no longer says where; then the whole picture is.
MAX_BLUR_AGE_S = 1.0
# So many are told of in the chart.
CHART_MINUTES = 60
# The share that an alert is about changes slowly.
SHARE_S = 5.0


@dataclass(frozen=True)
class Moment:
    """All that is told of a running video, of one moment."""

    counts: LiveSnapshot
    by_minute: tuple[tuple[int, FrameStats], ...] = ()
    """Minutes since 1970, the oldest first, and who was first counted in them."""
    today: FrameStats | None = None
    """Everybody on today's record and in the picture; ``None`` if no record is kept."""
    place: PlaceCounts | None = None
    """What happened at the place that is drawn on the picture; ``None`` without one."""
    alerts: tuple[Alert, ...] = ()
    """The newest first."""
    covered: bool = True
    """Whether faces are blurred one by one; else, with ``LiveProcessor.blur``, the whole picture is."""
    frame_s: float | None = None
    """When the newest frame came, by the monotonic clock; ``None`` before the first."""


class Pace:
    """How often the live videos of this server look for faces: together, and so that their pictures keep moving.

    One looks at a time, each in turn. Where pictures do not keep up, looking gives way first, then their size.
    Thread-safe.
    """

    def __init__(self) -> None:
        self._turns, self._lock = Turns(), threading.Lock()
        self._videos, self._rested_at = 0, 0.0
        self._frames, self._left_out, self._count_at = 0, 0, 0.0
        self._share = REST_SHARE
        self._patience, self._small_s, self._small_until = PATIENCE, SMALLER_S, 0.0

    @contextlib.contextmanager
    def turn(self) -> Iterator[None]:
        """Wait until this video may look for faces, and let the others rest afterwards."""
        with self._lock:
            self._videos += 1
        try:
            with self._turns.turn():
                time.sleep(max(0.0, self._rested_at - time.monotonic()))
                started = time.monotonic()
                try:
                    yield
                finally:
                    now = time.monotonic()
                    took_s = now - started
                    longest_s = max(REST_SHARE * took_s, ROUND_S / self._videos - took_s)
                    self._rested_at = now + min(longest_s, self._share * took_s)
        finally:
            with self._lock:
                self._videos -= 1

    def frame(self, left_out: int) -> None:
        """Take in that a frame is about to be drawn, and how many before it were left out for want of time."""
        with self._lock:
            self._frames += 1 + left_out
            self._left_out += left_out
            if (now := time.monotonic()) >= self._count_at:
                self._adapt(self._left_out / self._frames, now)
                self._frames, self._left_out, self._count_at = 0, 0, now + 1

    def _adapt(self, left_out: float, now: float) -> None:
        """Once a second; with the lock."""
        if left_out < MOST_LEFT_OUT:
            self._patience = PATIENCE
            if left_out < MOST_LEFT_OUT / 4:
                self._share = max(REST_SHARE, 0.9 * self._share)
        elif self._share < MAX_REST_SHARE:
            self._share = min(MAX_REST_SHARE, 1.6 * self._share)
        elif not self.smaller:
            self._patience -= 1
            if not self._patience:
                # Soon after the last time, the full size was too much again.
                again = now < self._small_until + self._small_s
                self._small_s = min(MAX_SMALLER_S, 2 * self._small_s) if again else SMALLER_S
                self._patience, self._small_until = PATIENCE, now + self._small_s

    @property
    def busy(self) -> bool:
        """Whether faces are looked for less often than a quiet machine would."""
        return self._share > 3 * REST_SHARE

    @property
    def smaller(self) -> bool:
        """Whether pictures are shown at half their size."""
        return time.monotonic() < self._small_until


PACE = Pace()
"""Of this server."""


class Logbook:
    """Who was counted in which minute of a running video, for the chart and for the record. Not thread-safe."""

    def __init__(self, tracker: PersonTracker) -> None:
        """Args: who follows the people of this video."""
        self._tracker = tracker
        self.keeper: Keeper | None = None
        self._left: dict[int, Counter[str]] = {}
        self._classes: tuple[str, ...] = ()

    def update(self, at_s: float, ended: bool = False) -> None:
        """Take in what the tracker knows now.

        Args:
            at_s: when the newest frame was taken, by the monotonic clock.
            ended: no more frames come.
        """
        ahead_s, visits = _ahead_s(), []
        for each in self._tracker.departures():
            name = each.name or UNKNOWN
            self._left.setdefault(_minute(each.counted_s), Counter())[name] += 1
            if self.keeper:
                visits.append(Visit(self.keeper.camera, each.came_s + ahead_s, each.left_s + ahead_s, name))
        if self._tracker.classes != self._classes:  # what was counted before were other things
            self._left, self._classes = {}, self._tracker.classes
        for minute in sorted(self._left)[:-CHART_MINUTES]:
            del self._left[minute]
        if self.keeper:
            self.keeper.see(self._present(), self._entered, visits, at_s + ahead_s)
            if ended:
                self.finish()

    def of_last(self, minutes: int) -> FrameStats:
        """Everybody who was first counted in the last minutes, at most ``CHART_MINUTES``."""
        first = _minute(time.monotonic()) - minutes
        return sum((as_stats(counts) for at, counts in self._entered().items() if at > first), FrameStats())

    def finish(self) -> None:
        """The record of this video ends here, for now."""
        if self.keeper:
            self.keeper.finish(self._entered)

    def told(self) -> dict[str, Any]:
        """Fields of ``Moment``."""
        entered = self._entered()
        return {
            "by_minute": tuple((minute, as_stats(entered[minute])) for minute in sorted(entered)[-CHART_MINUTES:]),
            "today": as_stats(self.keeper.today(self._present())) if self.keeper else None,
        }

    def _present(self) -> Counter[str]:
        return Counter(self._tracker.name_of(person) or UNKNOWN for person in self._tracker.present())

    def _entered(self) -> dict[int, Counter[str]]:
        """Minute since 1970 to class to people who were first counted in it."""
        entered = {minute: counts.copy() for minute, counts in self._left.items()}
        for person in self._tracker.present():
            name = self._tracker.name_of(person) or UNKNOWN
            entered.setdefault(_minute(person.counted_s), Counter())[name] += 1
        return entered


def _ahead_s() -> float:
    """From the monotonic clock to seconds since 1970."""
    return time.time() - time.monotonic()


def _minute(at_s: float) -> int:
    return int((at_s + _ahead_s()) // 60)


class LiveProcessor:
    """Annotates a stream of frames for one visitor."""

    def __init__(
        self,
        detect: Callable[[np.ndarray], sv.Detections] | None = None,
        stats: LiveStats | None = None,
        pace: Pace = PACE,
    ):
        """``detect`` maps a BGR frame to detections; without it the picture is shown as it comes."""
        self.detect = detect
        self.pace = pace
        self.mirror = False
        """Turn the picture round, as a mirror does. May be changed while the stream runs."""
        self.blur = False
        """Make faces unrecognizable in all that is shown, small and unclear ones too. May be changed at any time."""
        self.min_face_px = 0.0
        """Smaller faces are neither shown nor counted, in pixels of the frame."""
        self.language = current()
        """Of the labels that ``recv`` draws: the visitor's who made this. May be changed while the stream runs."""
        self.stats = stats or LiveStats()
        self._condition = threading.Condition()
        self._newest: tuple[np.ndarray, float] | None
        self._frame_s: float | None
        self._recent: Callable[[], RecentFaces | None] = lambda: None
        self._place = Place()
        self.alerts = AlertWatch()
        """Its rules may be changed at any time."""
        self._forget()
        self._keeper: Keeper | None = None
        self._depends_on: object = None
        self._apart_s = 0.0
        self._worker: threading.Thread | None = None
        self._closed = False
        self._last_error = ""

    def _forget(self) -> None:
        """Nothing has been seen yet."""
        self._newest = self._frame_s = None
        self._tracker, self._seen_at = PersonTracker(), 0.0
        if recent := self._recent():
            recent.new_video()
        # Follows all that must be blurred, shown or not.
        self._faces, self._faces_at = PersonTracker(), 0.0
        self._shown: tuple[np.ndarray, bool] | None = None
        self._logbook = Logbook(self._tracker)
        self._at_place, self._share_at = PlaceCounter(self._place), 0.0
        self.alerts.new_video()

    def use(self, detect: Callable[[np.ndarray], sv.Detections], depends_on: object) -> None:
        """Analyse with this from now on, also while the stream runs.

        Args:
            detect: as above.
            depends_on: where this is another one than before, what people wear is told anew.
        """
        with self._condition:
            if depends_on != self._depends_on:
                self._depends_on = depends_on
                self._tracker.forget_evidence()
            self.detect = detect

    def keep(self, keeper: Keeper | None) -> None:
        """Keep a record from now on, or none; also while the stream runs."""
        with self._condition:
            if keeper is not self._keeper:
                self._logbook.finish()
                self._keeper = self._logbook.keeper = keeper

    def collect(self, recent: RecentFaces | None) -> None:
        """Let this take in everybody who is seen from now on, or nothing; it is not kept alive from here."""
        self._recent = (lambda: None) if recent is None else weakref.ref(recent)

    @property
    def place(self) -> Place:
        """The zone and the line, as on the camera's picture, not on a mirrored one."""
        return self._place

    @place.setter
    def place(self, place: Place) -> None:
        """Another one counts from now on."""
        with self._condition:
            if place != self._place:
                self._place, self._at_place = place, PlaceCounter(place)

    @property
    def keeps(self) -> bool:
        """Whether a record is kept."""
        return self._keeper is not None

    def moment(self) -> Moment:
        """All that is told now; counters, minutes and boxes are of the same frame."""
        with self._condition:
            now = time.monotonic()
            counts = self.stats.snapshot()
            return Moment(
                counts if counts.error is None else replace(counts, error=tr(counts.error)),
                **self._logbook.told(),
                place=self._at_place.counts(now) if self._place != Place() else None,
                alerts=self.alerts.log(),
                covered=now - self._faces_at <= MAX_BLUR_AGE_S,
                frame_s=self._frame_s,
            )

    def snapshot(self) -> np.ndarray | None:
        """The newest picture as it is shown, (h, w, 3) uint8; ``None`` if there is none, or only one without blur."""
        with self._condition:
            return None if self._shown is None or (self.blur and not self._shown[1]) else self._shown[0]

    def recv(self, frame_bgr: np.ndarray) -> np.ndarray:
        """The frame with the newest known boxes: (h, w, 3) uint8 in and out. Takes no longer than drawing.

        Where the machine is too slow, what comes out is half as wide and high.
        """
        blur, (height, width) = self.blur, frame_bgr.shape[:2]
        self.give(frame_bgr)
        with using(self.language):  # a video thread knows no visitor
            shown = self.draw(frame_bgr, blur)
        with self._condition:
            self._shown = shown, blur
        if self.pace.smaller and max(width, height) > SMALLER_PX:
            return np.asarray(cv2.resize(shown, (width // 4 * 2, height // 4 * 2), interpolation=cv2.INTER_AREA))
        return shown

    def give(self, frame_bgr: np.ndarray) -> None:
        """Let a new frame be analysed, if it is still the newest when its turn comes."""
        with self._condition:
            self._frame_s = time.monotonic()
            if self.detect is not None:
                self._give(frame_bgr, self._frame_s)

    def draw(self, frame_bgr: np.ndarray, blur: bool) -> np.ndarray:
        """A frame as it is shown now. Where ``self.blur`` is off, nobody follows what must be blurred: all of it is."""
        mirror, place, now = self.mirror, self._place, time.monotonic()
        # NumPy would copy each pixel by itself: forty times as long, and no other video could do anything meanwhile.
        shown = cv2.flip(frame_bgr, 1) if mirror else frame_bgr
        height, width = frame_bgr.shape[:2]
        detections, faces = no_detections(), None
        with self._condition:
            if self.detect is not None:
                if now - self._seen_at <= max(MAX_BOX_AGE_S, 2 * self._apart_s):
                    detections = self._tracker.shown(now)
                if blur and now - self._faces_at <= MAX_BLUR_AGE_S:
                    faces = self._faces.places(now)
        if blur:
            whole = np.array([[0, 0, width, height]])
            shown = blur_faces(shown, whole if faces is None else mirror_boxes(faces, width) if mirror else faces)
        if place != Place():
            shown = draw_place(shown, place.mirrored() if mirror else place)
        if len(detections):
            if mirror:
                detections = replace(detections, xyxy=mirror_boxes(detections.xyxy, width))
            shown = annotate(shown, detections)
        return shown

    def _give(self, frame_bgr: np.ndarray, now: float) -> None:
        """Hand a frame to the analysis, which is started if need be; with the lock."""
        self._newest = frame_bgr, now
        if self._worker is None or not self._worker.is_alive():
            self._closed = False
            self._worker = threading.Thread(target=self._analyse, name="mask-analysis", daemon=True)
            self._worker.start()
        self._condition.notify()

    def close(self) -> None:
        """The stream has ended: stop analysing and forget the last frame and its boxes."""
        with self._condition:
            self._closed = True
            self._all_leave()
            self._forget()
            self._logbook.keeper = self._keeper
            self.stats.reset()
            self._condition.notify()

    def _all_leave(self) -> None:
        """The camera is gone, and everybody with it; with the lock."""
        self._tracker.leave()
        if self._seen_at:  # nobody watched since then
            self._logbook.update(self._seen_at, ended=True)

    def _analyse(self) -> None:
        while True:
            with self._condition:
                if not self._condition.wait_for(lambda: self._newest is not None or self._closed, IDLE_S):
                    # Decided under the lock, so that recv either sees this thread alive and fed, or starts another.
                    self._all_leave()
                    self.alerts.lost(time.time())
                    self._worker = None
                    return
                if self._closed:
                    self._worker = None
                    return
            try:
                self._look()
            except Exception as error:  # whatever breaks, the video must continue; the page shows a sentence
                self._fail(error)

    def _look(self) -> None:
        """Analyse the newest frame, when it is this video's turn."""
        with self.pace.turn():
            with self._condition:
                detect, newest, self._newest = self.detect, self._newest, None
            if detect is None or newest is None:  # switched off, or ended, since the frame came
                return
            (frame, taken_at), started = newest, time.monotonic()
            found = detect(frame)
            took_s = time.monotonic() - started
        known = self._see(found, frame.shape[1::-1], taken_at, took_s)
        if known is not None and (recent := self._recent()):
            recent.look(frame, known, taken_at)

    def _see(
        self, found: sv.Detections, size_wh: tuple[int, int], taken_at: float, took_s: float
    ) -> sv.Detections | None:
        """Take in what was found in a frame, taken at that time by the monotonic clock; who is who, if it counts."""
        shown = hide_small(found, self.min_face_px)
        with self._condition:
            if self._closed:
                return None
            if self.blur:
                self._faces.update(found, taken_at)
                self._faces_at = taken_at
            known = self._tracker.update(shown, taken_at)
            self._logbook.update(taken_at)
            self._check_place(known, size_wh, taken_at)
            now = time.monotonic()
            self._apart_s, self._seen_at = min(now - self._seen_at, MAX_BOX_AGE_S), now
            self.stats.update(summarize(known), took_s * 1000, self._tracker.people())
            self._last_error = ""
            return known

    def _check_place(self, known: sv.Detections, size_wh: tuple[int, int], taken_at: float) -> None:
        """What happens at the place, and whether that is worth an alert; with the lock."""
        inside = self._at_place.update(known, taken_at, size_wh)
        people = [(person.number, self._tracker.name_of(person)) for person in self._tracker.present()]
        self.alerts.update(people, inside, taken_at + _ahead_s())
        if self.alerts.rules.share_below is not None and taken_at - self._share_at > SHARE_S:
            self._share_at = taken_at
            self.alerts.check_share(self._logbook.of_last(self.alerts.rules.share_minutes), taken_at + _ahead_s())

    def _fail(self, error: Exception) -> None:
        with self._condition:
            if self._closed:
                return
            if repr(error) != self._last_error:  # one traceback for a lasting error, not one for each frame
                log.error("The analysis of a live frame failed", exc_info=error)
                self._last_error = repr(error)
            self.stats.fail(
                mark("Faces cannot be classified at the moment; the video continues. The server's log says why.")
            )
        time.sleep(RETRY_S)
