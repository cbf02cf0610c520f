"""Live video: the newest frame is shown at once, with boxes that move with their people; analysis runs beside it.

``recv`` runs in the video thread for every frame and only draws. A second thread analyses the newest frame, again and
again; frames that arrive meanwhile are shown but not analysed. A slow model therefore makes boxes less exact, and never
holds the picture up.
"""

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import supervision as sv

from core.video.tracker import PersonTracker
from core.vision.annotate import annotate
from core.vision.boxes import mirror_boxes
from core.vision.stats import LiveStats, summarize

log = logging.getLogger(__name__)
# Boxes older than this are not drawn, the picture has moved on; with a slow model, than twice its last time.
MAX_BOX_AGE_S = 1.0
# Without a new frame for this long the camera is gone, and the analysis thread ends; the next frame starts a new one.
IDLE_S = 3.0
# After an analysis the thread rests for this share of the time it took: the picture, its encoder and other visitors
# need the processor too.
REST_SHARE = 0.4
# After an error the next try waits, so that a broken model does not fill a core with failures.
RETRY_S = 0.5


class LiveProcessor:
    """Annotates a stream of frames for one visitor."""

    def __init__(self, detect: Callable[[np.ndarray], sv.Detections] | None = None, stats: LiveStats | None = None):
        """``detect`` maps a BGR frame to detections; without it the picture is shown as it comes."""
        self.detect = detect
        self.mirror = False
        """Turn the picture round, as a mirror does. May be changed while the stream runs."""
        self.stats = stats or LiveStats()
        self._condition = threading.Condition()
        self._newest: tuple[np.ndarray, float] | None = None
        self._tracker = PersonTracker()
        self._depends_on: object = None
        self._seen_at, self._analysis_s = 0.0, 0.0
        self._worker: threading.Thread | None = None
        self._closed = False
        self._last_error = ""

    def use(self, detect: Callable[[np.ndarray], sv.Detections], depends_on: object) -> None:
        """Analyse with this from now on, also while the stream runs.

        Args:
            detect: as above.
            depends_on: where this is another one than before, what people wear is told anew.
        """
        with self._condition:
            if depends_on != self._depends_on:
                self._depends_on = depends_on
                self._tracker.judge_anew()
            self.detect = detect

    def recv(self, frame_bgr: np.ndarray) -> np.ndarray:
        """The frame with the newest known boxes: (h, w, 3) uint8 in and out. Takes no longer than drawing."""
        mirror, now = self.mirror, time.monotonic()
        shown = np.ascontiguousarray(frame_bgr[:, ::-1]) if mirror else frame_bgr
        if self.detect is None:
            return shown
        with self._condition:
            self._newest = frame_bgr, now
            if self._worker is None or not self._worker.is_alive():
                self._closed = False
                self._worker = threading.Thread(target=self._analyse, name="mask-analysis", daemon=True)
                self._worker.start()
            self._condition.notify()
            if now - self._seen_at > max(MAX_BOX_AGE_S, 2 * self._analysis_s):
                return shown
            detections = self._tracker.shown(now)
        if mirror:
            detections = replace(detections, xyxy=mirror_boxes(detections.xyxy, frame_bgr.shape[1]))
        return annotate(shown, detections)

    def close(self) -> None:
        """The stream has ended: stop analysing and forget the last frame and its boxes."""
        with self._condition:
            self._closed = True
            self._newest = None
            self._tracker, self._seen_at = PersonTracker(), 0.0
            self.stats.reset()
            self._condition.notify()

    def _analyse(self) -> None:
        while True:
            with self._condition:
                if not self._condition.wait_for(lambda: self._newest is not None or self._closed, IDLE_S):
                    # Decided under the lock, so that recv either sees this thread alive and fed, or starts another.
                    self._worker = None
                    return
                if self._closed:
                    self._worker = None
                    return
                detect, newest, self._newest = self.detect, self._newest, None
            if detect is None or newest is None:  # switched off since the frame came
                continue
            (frame, taken_at), started = newest, time.monotonic()
            try:
                detections = detect(frame)
                with self._condition:
                    if not self._closed:
                        detections = self._tracker.update(detections, taken_at)
                    people = self._tracker.people()
                seen = summarize(detections)
            except Exception as error:  # whatever breaks, the picture must go on; the page shows a sentence
                self._fail(error)
                continue
            now = time.monotonic()
            with self._condition:
                if self._closed:
                    self._worker = None
                    return
                self._seen_at, self._analysis_s = now, now - started
                self.stats.update(seen, (now - started) * 1000, people)
                self._last_error = ""
            time.sleep(min(REST_SHARE * (now - started), 0.2))

    def _fail(self, error: Exception) -> None:
        with self._condition:
            if self._closed:
                return
            if repr(error) != self._last_error:  # one traceback for a lasting error, not one for each frame
                log.error("The analysis of a live frame failed", exc_info=error)
                self._last_error = repr(error)
            self.stats.fail("Faces cannot be classified at the moment; the video goes on. The server's log says why.")
        time.sleep(RETRY_S)
