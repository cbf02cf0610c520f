"""Network cameras that the operator lists: each is opened and analysed once, for all who watch it.

``Cameras`` starts a camera when somebody watches it and stops it soon after the last one has left, unless it keeps a
record. What operators choose for a camera (zone, line, alerts) holds for everybody who watches it, in every process,
and is kept in ``cameras.json`` beside the data sets.
"""

import dataclasses
import hashlib
import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, tzinfo
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import supervision as sv
from filelock import FileLock

from core.access import AccessError, for_operators
from core.config import ON, Camera, data_dir, settings
from core.io import disk_sentence, folder_lock, is_number, read_json, take_lock, write_json
from core.language import ENGLISH, day, mark, tr, using
from core.video.alerts import OUTSIDE, Rules, to_targets
from core.video.live import LiveProcessor
from core.video.record import Keeper, Recorder, RecordError, deletions
from core.video.stream import CameraStream, StreamError
from core.video.zones import Place
from core.vision.images import encode_image
from core.vision.pipeline import LIVE_SETTINGS, Pipeline, detect_masks

log = logging.getLogger(__name__)
CONNECTING, LIVE, OFFLINE = "connecting", "live", "offline"
FIRST_PAUSE_S, MAX_PAUSE_S = 1.0, 60.0
"""Between two tries to reach a camera; each pause is twice as long as the one before."""
LINGER_S = 10.0
"""A camera that nobody watches runs for so long."""
TICK_S = 1.0
RECORD_AGAIN_S = 10.0
"""Where a record that should be kept cannot be, it is tried again this often."""
JPEG_QUALITY = 80
FILE_NAME = "cameras.json"
IS_RECORDED = mark("Another program on this server keeps the record of this camera already.")

Prepared = tuple[Callable[[np.ndarray], sv.Detections], object, tuple[str, ...]]
"""What finds people in a frame; what their classes depend on; the classes."""


@dataclass(frozen=True)
class Choices:
    """What operators chose for a camera."""

    place: Place = field(default_factory=Place)
    rules: Rules = field(default_factory=lambda: Rules(camera_lost=True))
    outside: bool = False
    """Alerts go to the operator's targets."""


def choices_path() -> Path:
    """The file of all cameras' choices; it may not exist yet."""
    return data_dir() / FILE_NAME


def read_choices(name: str) -> Choices:
    """What operators chose for a camera; the usual where they chose nothing, or nothing that can be understood."""
    try:
        found = read_json(choices_path())[name]
        zone = tuple((_share(x), _share(y)) for x, y in found["zone"])
        line = tuple((_share(x), _share(y)) for x, y in found["line"] or ())
        rules = Rules(
            no_mask_s=None if found["no_mask_s"] is None else _number(found["no_mask_s"]),
            share_below=None if found["share_below"] is None else _number(found["share_below"]),
            share_minutes=int(_number(found["share_minutes"])),
            camera_lost=found["camera_lost"] is True,
        )
        place = Place(zone if len(zone) != 1 and len(zone) != 2 else (), (line[0], line[1]) if len(line) == 2 else None)
        return Choices(place, rules, found["outside"] is True)
    except (KeyError, TypeError, ValueError):
        return Choices()


def _number(value: object) -> float:
    if not is_number(value):
        raise ValueError("no number")
    return float(value)


def _share(value: object) -> float:
    return min(max(_number(value), 0.0), 1.0)


@dataclass(frozen=True)
class State:
    """How a camera is."""

    kind: str
    """``CONNECTING``, ``LIVE`` or ``OFFLINE``."""
    since_s: float = field(default_factory=time.time)
    """Since 1970."""
    why: str = ""
    """Half a sentence in English, where it is offline."""

    def in_words(self, zone: tzinfo | None = None) -> str:
        """One sentence; times in this time zone, or that of the server."""
        if self.kind != OFFLINE:
            return {CONNECTING: tr("It is being connected …"), LIVE: tr("It is live.")}[self.kind]
        since = datetime.fromtimestamp(self.since_s, zone)
        today = since.date() == datetime.now(zone).date()
        # Translators: a date and time as Unicode (CLDR) writes their forms
        form = "HH:mm" if today else tr("y-MM-dd HH:mm")
        words = tr("It has been offline since {time}: {why}. It is tried again by itself.")
        return words.format(time=day(since, form), why=tr(self.why))


class SharedCamera:
    """One camera with one analysis, for all who watch it. Thread-safe."""

    def __init__(self, camera: Camera, recorder: Recorder, outside: bool = False):
        """Nothing is opened yet.

        Args:
            camera: which one.
            recorder: where its record goes.
            outside: send its alerts to the operator's targets, whatever was chosen on the page.
        """
        self._outside = outside
        self.camera, self.name = camera, camera.name
        self.processor = LiveProcessor()
        self.processor.min_face_px = LIVE_SETTINGS.min_face_px
        self.processor.blur = True  # people are followed for those who watch it blurred; see ``picture``
        self.state = State(CONNECTING)
        self.classes: tuple[str, ...] = ()
        self.number = 0
        """Of the newest frame; it grows."""
        self._record_problem = ""
        self._recorder = recorder
        self._lock = threading.Lock()
        self._frame: np.ndarray | None = None
        self._stop: threading.Event | None = None
        self._drawing = {blurred: threading.Lock() for blurred in (False, True)}
        self._pictures: dict[tuple[bool, str], tuple[int, bytes]] = {}
        self._recording = threading.Lock()
        self._owned: FileLock | None = None
        self._kept: int | None = None
        self.choices = Choices()
        self.refresh_choices()

    # Its pictures

    def start(self) -> None:
        """Connect, and connect again whenever it is lost, until ``stop``."""
        with self._lock:
            if self._stop is None:
                self._stop = threading.Event()
                self.state = State(CONNECTING)
                threading.Thread(target=self._run, args=(self._stop,), name="mask-camera", daemon=True).start()

    def stop(self) -> None:
        """Let the camera go; what is on the record is complete."""
        with self._lock:
            if self._stop:
                self._stop.set()
                self._stop, self._frame, self._pictures = None, None, {}
        self.processor.close()
        self._end_record()

    def _run(self, stop: threading.Event) -> None:
        pause_s = FIRST_PAUSE_S
        while not stop.is_set():
            why = mark("this program failed; its log says more")
            try:
                with CameraStream(self.camera.address) as stream:
                    for frame in stream.frames():
                        if not self._take(frame, stop):
                            return
            except StreamError as error:
                why = str(error)
            except Exception as error:  # its text might quote the address
                log.error("The camera %s failed: %s", self.name, type(error).__name__)
            with self._lock:
                if stop.is_set():
                    return
                before, self._frame = self.state, None
                since_s = before.since_s if before.kind == OFFLINE else time.time()
                self.state = State(OFFLINE, since_s, why)
            if before.kind == LIVE and since_s - before.since_s > pause_s:
                pause_s = FIRST_PAUSE_S
            if before.kind != OFFLINE:
                log.warning("The camera %s is offline: %s", self.name, why)
            if before.kind == CONNECTING:  # of one that was live the analysis tells, when frames stay away
                self.processor.alerts.lost(time.time())
            stop.wait(pause_s)
            pause_s = min(2 * pause_s, MAX_PAUSE_S)

    def _take(self, frame: np.ndarray, stop: threading.Event) -> bool:
        with self._lock:
            if stop.is_set():
                return False
            if self.state.kind != LIVE:
                self.state = State(LIVE)
            self._frame, self.number = frame, self.number + 1
            self.processor.give(frame)
            return True

    @property
    def shows(self) -> bool:
        """Whether there is a picture now."""
        return self._frame is not None

    def snapshot(self, blurred: bool) -> np.ndarray | None:
        """The newest frame as it is shown, (h, w, 3) uint8; ``None`` if there is none."""
        frame = self._frame
        return None if frame is None else self.processor.draw(frame, blurred)

    def picture(self, blurred: bool, language: str = ENGLISH) -> tuple[int, bytes] | None:
        """Number and JPEG of the newest frame as it is shown, made once for all; ``None`` if there is none.

        Blurred and clear pictures are made apart, and those with labels in another language, each only while somebody
        watches it.
        """
        with self._drawing[blurred]:
            with self._lock:
                frame, place = self._frame, self.number
            if frame is None:
                return None
            kind = blurred, language
            made = self._pictures.get(kind)
            if made is None or made[0] != place:
                with using(language):
                    made = place, encode_image(self.processor.draw(frame, blurred), quality=JPEG_QUALITY)
                self._pictures[kind] = made
            return made

    # What is found

    def use(self, found: Prepared) -> None:
        """Analyse with this from now on."""
        detect, depends_on, classes = found
        if classes != self.classes:
            self.classes = classes
            self.processor.stats.reset()  # what was counted before were other things
        self.processor.use(detect, depends_on)

    @for_operators
    def choose(self, choices: Choices) -> None:
        """From now on this holds for all who watch the camera. Raises: ``OSError``, it cannot be kept."""
        kept = {
            "zone": choices.place.zone,
            "line": choices.place.line,
            **dataclasses.asdict(choices.rules),
            "outside": choices.outside,
        }
        with folder_lock(data_dir()):
            write_json(choices_path(), read_json(choices_path()) | {self.name: kept})
        self.refresh_choices()

    def refresh_choices(self) -> None:
        """Follow what operators chose, in any process."""
        self.choices = read_choices(self.name)
        self.processor.place = self.choices.place
        alerts = self.processor.alerts
        alerts.rules = self.choices.rules
        alerts.send = self._send if self._outside or self.choices.outside else None

    def _send(self, text: str) -> None:
        """Of several programs that watch the same camera, the one that keeps its record sends its alerts."""
        if self._owned is None:
            lock = take_lock(self._lock_path())
            if lock is None:
                return
            lock.release()
        alerts = self.processor.alerts
        to_targets(lambda problem: alerts.note(OUTSIDE, problem, time.time()))(f"{self.name}: {text}")

    # Its record

    @property
    def records(self) -> bool:
        """Whether a record is kept."""
        return self._kept is not None

    @property
    def record_problem(self) -> str:
        """Why no record is kept, though one should be; a sentence, empty if all is well."""
        return tr(self._record_problem)

    def record(self) -> None:
        """Keep a record, in the server's days, until ``end_record``; anew where rows were deleted meanwhile.

        Raises:
            AccessError: this user does not decide about the record, or the operator decided against one.
            RecordError: another program records this camera, or the record cannot be read or written.
        """
        with self._recording:
            rows = deletions()
            if self._kept == rows:
                return
            keeper = Keeper(self._recorder, self.name, None)
            try:
                self._owned = self._owned or take_lock(self._lock_path())
            except OSError as error:
                raise RecordError(tr("No record is kept. {why}").format(why=disk_sentence(error))) from None
            if self._owned is None:
                raise RecordError(tr(IS_RECORDED))
            self.processor.keep(keeper)
            self._kept, self._record_problem = rows, ""

    def note_record_problem(self, sentence: str) -> None:
        """Keep why ``record`` did not work, in English, where it is nobody's to read at once."""
        self._record_problem = sentence

    @for_operators
    def end_record(self) -> None:
        """Keep no record any more."""
        self._end_record()

    def _end_record(self) -> None:
        with self._recording:
            self.processor.keep(None)
            self._kept = None
            if self._owned:
                self._owned.release()
                self._owned = None

    def _lock_path(self) -> Path:
        return data_dir() / f".camera-{hashlib.sha256(self.name.encode()).hexdigest()[:16]}.lock"


class Cameras:
    """The cameras that run in this process. Thread-safe."""

    def __init__(
        self,
        recorder: Recorder,
        prepare: Callable[[], Prepared],
        always: Callable[[], bool] = lambda: settings().record == ON,
        outside: bool = False,
    ):
        """Nothing runs yet.

        Args:
            recorder: where records go.
            prepare: gives what finds people; it is asked every second. Raises ``ValueError`` with a sentence.
            always: whether every camera that runs keeps a record; then it also runs unwatched.
            outside: as for ``SharedCamera``.
        """
        self.recorder, self._prepare, self._always, self._outside = recorder, prepare, always, outside
        self._lock = threading.RLock()
        self._running: dict[str, SharedCamera] = {}
        self._asked_s: dict[str, float] = {}
        self._worker: threading.Thread | None = None
        self._tried_s = -RECORD_AGAIN_S
        self._choices_at: Any = None
        self._problem = ""

    @property
    def problem(self) -> str:
        """Why nobody is found, in one sentence; empty if all is well."""
        return tr(self._problem)

    def watch(self, name: str) -> SharedCamera | None:
        """The camera of this name, started if need be; ``None`` if the operator lists none.

        Ask again every few seconds for as long as somebody watches it.
        """
        listed = {camera.name: camera for camera in settings().cameras}
        if name not in listed:
            return None
        with self._lock:
            self._asked_s[name] = time.monotonic()
            if name not in self._running:
                self._running[name] = SharedCamera(listed[name], self.recorder, self._outside)
                self._running[name].start()
            if self._worker is None:
                self._worker = threading.Thread(target=self._work, name="mask-cameras", daemon=True)
                self._worker.start()
            return self._running[name]

    def running(self, name: str) -> SharedCamera | None:
        """The camera of this name, if it runs."""
        return self._running.get(name)

    def start_always(self) -> None:
        """Start all cameras, if they shall always keep a record."""
        for camera in settings().cameras if self._always() else ():
            self.watch(camera.name)

    def close(self) -> None:
        """Stop all."""
        with self._lock:
            for name in list(self._running):
                self._running.pop(name).stop()

    def _work(self) -> None:
        while True:
            time.sleep(TICK_S)
            try:
                self._tick()
            except Exception:
                log.exception("Cameras could not be looked after")
            with self._lock:
                if not self._running:
                    self._worker = None
                    return

    def _tick(self) -> None:
        listed, always = {camera.name: camera for camera in settings().cameras}, self._always()
        with self._lock:
            for name, camera in list(self._running.items()):
                unwatched = time.monotonic() - self._asked_s[name] > LINGER_S
                if listed.get(name) != camera.camera or (unwatched and not (always or camera.records)):
                    self._running.pop(name).stop()
            running = list(self._running.values())
        if not running:
            return
        try:
            found = self._prepare()
            self._problem = ""
        except ValueError as error:  # each of ours is a sentence
            self._problem = str(error)
        else:
            for camera in running:
                camera.use(found)
        try:
            changed_at = choices_path().stat().st_mtime_ns
        except OSError:
            changed_at = None
        if changed_at != self._choices_at:
            self._choices_at = changed_at
            for camera in running:
                camera.refresh_choices()
        if always and time.monotonic() - self._tried_s >= RECORD_AGAIN_S:
            self._tried_s = time.monotonic()
            for camera in running:
                try:
                    camera.record()
                except (AccessError, RecordError) as error:
                    camera.note_record_problem(str(error))


def prepared(pipeline: Pipeline, depends_on: object) -> Prepared:
    """What ``Cameras`` needs of a pipeline, with the usual settings of live video."""
    # The processor hides small faces itself: it must know them to blur them.
    all_faces = dataclasses.replace(LIVE_SETTINGS, min_face_px=0)
    return partial(detect_masks, pipeline=pipeline, settings=all_faces), depends_on, tuple(pipeline.classes)
