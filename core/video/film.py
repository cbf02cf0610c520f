"""A film from file to result: who is in it, from when to when, with what on; and the film again with boxes drawn in.

Every so many frames one is analysed, so often that the whole takes no longer than the film lasts, where that is
possible; ``PersonTracker`` knows who is who, and between two looks the boxes move evenly from one to the other. Only
the frames between two looks are in memory at once: it does not grow with the film's length.
"""

import json
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import TracebackType

import numpy as np
import supervision as sv

from core.config import limits
from core.io import atomic_file
from core.jobs import Report, no_report
from core.language import tr
from core.video.reader import FilmError, FilmReader, in_words
from core.video.tracker import NO_NUMBER, PersonTracker
from core.video.writer import FilmWriter
from core.vision.annotate import annotate
from core.vision.blur import blur_faces
from core.vision.boxes import shorter_sides
from core.vision.crops import crop_faces
from core.vision.detections import CLASS_NAME, FACE_SCORE, PREDICTED, classes_of
from core.vision.images import encode_image
from core.vision.stats import FrameStats, summarize
from core.vision.tables import UNKNOWN, begin_csv, detection_rows, rows_to_csv

Detect = Callable[[np.ndarray], sv.Detections]
# Seconds of the film between two looks: more often helps nobody, more rarely the tracker loses people.
LEAST_STEP_S, MOST_STEP_S = 0.1, 0.25
BUDGET = 0.9
"""Share of the film's length that all work together should take."""
TRIAL_LOOKS = 3
"""The first looks, which warm everything up, tell nothing of the cost."""
COST_MEMORY = 0.9
"""How slowly what a look costs is taken to change."""
MOMENT_S = 0.5
"""Counts over time are kept so often."""
KEEP_COVERED_S = 0.5
"""A blurred face that is not found any more stays covered for so long."""
CROP_SIDE, CROP_MARGIN = 112, 0.25
BETTER = 1.2
"""A look must be so much better than the best before to become a person's picture."""
PREVIEW_EVERY_S = 0.7
MAX_WAITING = 16
"""Frames in memory between two looks."""
ANNOTATED, TABLE, JSON = "annotated.mp4", "detections.csv", "results.json"
COLUMNS = ("time_s", "person", *("result", "confidence", "face_score", "x1", "y1", "x2", "y2", "width_px", "height_px"))
"""Of the table of detections; ``person`` is empty for a face seen too rarely to be counted."""
PEOPLE_COLUMNS = ("person", "result", "confidence", "from_s", "to_s")


@dataclass
class FilmPerson:
    """Somebody in a film."""

    number: int
    """From 1 in the order of appearance."""
    result: str
    """The class when last seen, or ``core.vision.tables.UNKNOWN``."""
    confidence: float
    """Of that class, 0..1."""
    from_s: float
    to_s: float
    jpeg: bytes = b""
    """The face at its best, ``CROP_SIDE`` pixels square; blurred if the film is."""
    quality: float = 0.0


@dataclass
class FilmResult:
    """What a film shows."""

    size_wh: tuple[int, int]
    """Of its frames and of the boxes' pixels."""
    classes: tuple[str, ...] = ()
    """What is told apart."""
    duration_s: float = 0.0
    frames: int = 0
    looks: int = 0
    """Frames that were analysed."""
    people: list[FilmPerson] = field(default_factory=list)
    moments: list[tuple[float, FrameStats]] = field(default_factory=list)
    """Seconds and the faces then, every ``MOMENT_S``."""
    notes: list[str] = field(default_factory=list)
    """What is not as it should be, a sentence each."""

    @property
    def stats(self) -> FrameStats:
        """Everybody, each counted once."""
        counts = tuple(sum(person.result == name for person in self.people) for name in self.classes)
        return FrameStats(counts, self.classes, unknown=len(self.people) - sum(counts))


class Pace:
    """How often to look, from what looking and everything else cost."""

    def __init__(self, fps: float, clock: Callable[[], float] = time.perf_counter):
        """Args: frames per second of the film; a clock in seconds."""
        self._fps, self._clock = fps, clock
        self.step_s = LEAST_STEP_S
        """Seconds of the film from one look to the next."""
        self.last_look_s = 0.0
        self._looks = 0
        self._look_s = self._frame_s = 0.0

    def look(self, detect: Detect, frame_bgr: np.ndarray) -> sv.Detections:
        """Analyse a frame, and note what that costs."""
        started = self._clock()
        found = detect(frame_bgr)
        self.last_look_s = self._clock() - started
        self._looks += 1
        if self._looks > TRIAL_LOOKS:
            self._look_s = _smooth(self._look_s, self.last_look_s)
            left = BUDGET - self._frame_s * self._fps
            self.step_s = float(np.clip(self._look_s / left if left > 0 else MOST_STEP_S, LEAST_STEP_S, MOST_STEP_S))
        return found

    def note_frames(self, count: int, seconds: float) -> None:
        """Note what reading, drawing and writing so many frames took."""
        if self._looks > TRIAL_LOOKS:
            self._frame_s = _smooth(self._frame_s, seconds / count)


def _smooth(mean: float, value: float) -> float:
    return COST_MEMORY * mean + (1 - COST_MEMORY) * value if mean else value


def analyse_film(
    source: Path | str,
    folder: Path,
    detect: Detect,
    *,
    blur: bool = False,
    annotated: bool = True,
    step_s: float | None = None,
    max_s: float | None = None,
    report: Report = no_report,
    preview: Callable[[np.ndarray], object] = lambda frame_bgr: None,
) -> FilmResult:
    """Analyse a film, and write it with boxes drawn in (``ANNOTATED``), its detections (``TABLE``) and all as ``JSON``.

    Args:
        source: the film.
        folder: where these files are written; each appears when it is complete.
        detect: maps a BGR frame to detections, as ``core.vision.pipeline.detect_masks`` does.
        blur: make faces unrecognizable.
        annotated: write the film with boxes; without it, the rest takes about half the time.
        step_s: seconds between two looks; as often as there is time for, if left out.
        max_s: the film is read so far; the operator's limit, if left out.
        report: told after each frame how many are done; cancels by raising.
        preview: gets a finished frame now and then.

    Raises:
        FilmError: nothing of the film can be used.
    """
    max_s = 60 * limits().video_minutes if max_s is None else max_s
    with ExitStack() as stack:
        reader, rows = stack.enter_context(FilmReader(source, max_s)), stack.enter_context(_Rows(folder))
        write: Callable[[float, np.ndarray], object] = lambda time_s, frame_bgr: None  # noqa: E731
        if annotated:
            film = FilmWriter(folder / ANNOTATED, reader.info.size_wh, reader.info.fps, source)
            write = stack.enter_context(film).write
        analysis = _Analysis(reader, detect, rows.write, blur, step_s)
        result, total = analysis.result, min(reader.info.frames, round(max_s * reader.info.fps))
        started = shown = time.monotonic()
        for time_s, frame_bgr in analysis.finished_frames():
            write(time_s, frame_bgr)
            now = time.monotonic()
            if now - shown >= PREVIEW_EVERY_S or result.frames == 1:
                shown = now
                preview(frame_bgr)
            left_s = (now - started) / result.frames * max(0, total - result.frames)
            words = tr("About {time} left. Frame").format(time=in_words(round(left_s)))
            report(result.frames, total and max(total, result.frames), words)
        if result.frames < 2:
            raise FilmError(tr("This file is a single picture; choose it on the Photo page."))
        if reader.too_long:
            result.notes.append(limits().reached("video_minutes"))
        if reader.problem:
            result.notes.append(reader.problem)
        rows.end(result)
    return result


class _Analysis:
    """What is known of a film while it is read."""

    def __init__(
        self, reader: FilmReader, detect: Detect, write_row: Callable[[dict], object], blur: bool, step_s: float | None
    ):
        self.result = FilmResult(reader.info.size_wh)
        self._reader, self._detect, self._write_row, self._blur = reader, detect, write_row, blur
        self._step_s = step_s
        self._pace = Pace(reader.info.fps)
        self._tracker = PersonTracker()
        self._people: dict[int, FilmPerson] = {}
        self._last_place: dict[int, tuple[float, np.ndarray]] = {}

    def finished_frames(self) -> Iterator[tuple[float, np.ndarray]]:
        """Every frame of the film with its boxes, in order, each as soon as the next look is taken."""
        waiting: list[tuple[float, np.ndarray]] = []
        before: Look | None = None
        half_frame_s = 0.5 / self._reader.info.fps
        ended = time.perf_counter()
        for time_s, frame_bgr in self._reader.frames():
            step_s = self._step_s or self._pace.step_s
            if before and time_s < before[0] + step_s - half_frame_s and len(waiting) < MAX_WAITING:
                waiting.append((time_s, frame_bgr))
                continue
            look = time_s, self._look(time_s, frame_bgr)
            if before:
                for at_s, each in waiting:
                    yield at_s, self._drawn(each, at_s, before, look)
                now = time.perf_counter()
                self._pace.note_frames(len(waiting), now - ended - self._pace.last_look_s)
                ended = now
            before, waiting = look, [(time_s, frame_bgr)]
        if before:
            for at_s, each in waiting:
                yield at_s, self._drawn(each, at_s, before, (at_s, self._tracker.shown(at_s)))

    def _look(self, time_s: float, frame_bgr: np.ndarray) -> sv.Detections:
        found = self._tracker.update(self._pace.look(self._detect, frame_bgr), time_s)
        result = self.result
        result.looks += 1
        result.classes = classes_of(found)
        for row, number in zip(detection_rows("", found), _numbers(found), strict=True):
            counted = {"time_s": round(time_s, 3), "person": number if number != NO_NUMBER else ""}
            self._write_row(counted | {column: row[column] for column in COLUMNS if column in row})
        self._follow(found, time_s, frame_bgr)
        place = time_s // MOMENT_S * MOMENT_S
        if result.moments and result.moments[-1][0] == place:
            result.moments.pop()
        result.moments.append((place, summarize(found)))
        return found

    def _follow(self, found: sv.Detections, time_s: float, frame_bgr: np.ndarray) -> None:
        """Keep what is new of everybody."""
        qualities = shorter_sides(found.xyxy) * found.data[FACE_SCORE]
        came_s = {person.number: person.came_s for person in self._tracker.present()}
        for i, number in enumerate(_numbers(found)):
            if number == NO_NUMBER:
                continue
            if number not in self._people:
                self._people[number] = FilmPerson(number, UNKNOWN, 0.0, came_s[number], time_s)
                self.result.people.append(self._people[number])
            person = self._people[number]
            person.result = str(found.data[CLASS_NAME][i]) if found.data[PREDICTED][i] else UNKNOWN
            person.confidence, person.to_s = float(found.confidence[i]), time_s
            self._last_place[number] = time_s, found.xyxy[i]
            if qualities[i] > BETTER * person.quality:
                clean = blur_faces(frame_bgr, found.xyxy) if self._blur else frame_bgr
                face_rgb = crop_faces(clean, found.xyxy[i : i + 1], CROP_SIDE, CROP_MARGIN)[0]
                person.jpeg, person.quality = encode_image(face_rgb[..., ::-1]), float(qualities[i])

    def _drawn(self, frame_bgr: np.ndarray, at_s: float, before: "Look", after: "Look") -> np.ndarray:
        """The frame with its boxes: those of the nearer look, on their way to the other one."""
        self.result.frames += 1
        self.result.duration_s = at_s
        share = (at_s - before[0]) / (after[0] - before[0]) if after[0] > before[0] else 0.0
        (near, far), share = ((before[1], after[1]), share) if share < 0.5 else ((after[1], before[1]), 1 - share)
        numbers = _numbers(far)
        xyxy, alone = near.xyxy.copy(), set(range(len(far)))
        for i, number in enumerate(_numbers(near)):
            if number != NO_NUMBER and number in numbers:
                other = numbers.index(number)
                xyxy[i] += share * (far.xyxy[other] - near.xyxy[i])
                alone.discard(other)
        shown = replace(near, xyxy=xyxy, data=dict(near.data), metadata=dict(near.metadata))
        if self._blur:
            here = {*_numbers(near), *numbers}
            gone = [
                place
                for number, (seen_s, place) in self._last_place.items()
                if number not in here and 0 <= at_s - seen_s < KEEP_COVERED_S
            ]
            frame_bgr = blur_faces(frame_bgr, np.vstack([xyxy, far.xyxy[sorted(alone)], *gone]))
        return annotate(frame_bgr, shown)


def _numbers(found: sv.Detections) -> list[int]:
    """The people's numbers, as ``PersonTracker`` gives them."""
    return [] if found.tracker_id is None else found.tracker_id.tolist()


Look = tuple[float, sv.Detections]


class _Rows:
    """The table of detections and the same as JSON, written as they come."""

    def __init__(self, folder: Path):
        self._stack = ExitStack()
        self._folder = folder

    def __enter__(self) -> "_Rows":
        with ExitStack() as stack:
            paths = [stack.enter_context(atomic_file(self._folder / name)) for name in (TABLE, JSON)]
            table, self._json = (stack.enter_context(p.open("w", encoding="utf-8", newline="")) for p in paths)
            self._write_csv = begin_csv(table, COLUMNS)
            self._json.write('{"detections": [')
            self._between = "\n"
            self._stack = stack.pop_all()
        return self

    def write(self, row: dict) -> None:
        self._write_csv(row)
        self._json.write(self._between + json.dumps(row | {"person": row["person"] or None}, ensure_ascii=False))
        self._between = ",\n"

    def end(self, result: FilmResult) -> None:
        self._json.write("\n],\n" + json.dumps(summary(result), ensure_ascii=False, indent=1)[2:] + "\n")

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.__exit__(kind, error, trace)


def summary(result: FilmResult) -> dict:
    """What ``JSON`` says beside the detections: people, counts over time, the film itself."""
    return {
        "people": people_rows(result),
        "moments": [
            {"time_s": at_s, "unknown": s.unknown} | dict(zip(s.classes, s.counts, strict=True))
            for at_s, s in result.moments
        ],
        "video": {
            "width_px": result.size_wh[0],
            "height_px": result.size_wh[1],
            "duration_s": round(result.duration_s, 3),
            "frames": result.frames,
            "analysed_frames": result.looks,
            "notes": result.notes,
        },
    }


def people_rows(result: FilmResult) -> list[dict]:
    """One dictionary per person with the keys ``PEOPLE_COLUMNS``."""
    return [
        dict(
            zip(
                PEOPLE_COLUMNS,
                (p.number, p.result, round(p.confidence, 4), round(p.from_s, 3), round(p.to_s, 3)),
                strict=True,
            )
        )
        for p in result.people
    ]


def people_csv(result: FilmResult) -> str:
    """Everybody as CSV."""
    return rows_to_csv(people_rows(result), PEOPLE_COLUMNS)
