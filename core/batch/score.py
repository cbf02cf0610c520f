"""Photos and films through several processes, each with one model and one thread; each is kept when it is done."""

import contextlib
import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple

import cv2

from core.batch.inputs import Item
from core.batch.results import FILMS, PICTURES, Results
from core.datasets.archive import LIMITS
from core.datasets.formats import DataError
from core.io import write_atomic
from core.vision.blur import blur_faces
from core.vision.images import ImageError, encode_image, load_image, turn_image
from core.vision.litert import use_threads
from core.vision.model_card import ModelError
from core.vision.photos import FAILED, JPEG_SUFFIXES, ClassifiedPhoto, classify_photo, draw_photo
from core.vision.pipeline import (
    LIVE_SETTINGS,
    DetectionSettings,
    Method,
    Pipeline,
    build_pipeline,
    detect_masks,
    method_version,
)
from core.vision.tables import detection_rows

# Photos that are read or wait while one is classified: enough that no process waits, few enough for any memory.
AHEAD, AHEAD_BYTES = 4, 64 * 1024**2
CRASHED = "Reading or classifying this photo ends the process that does it; save it in another format."
# A film is looked at so often, however fast the computer is: the same film always gives the same.
FILM_STEP_S, FILM_MAX_S = 0.1, 1e6
# When somebody stops the work, photos under way are finished; what takes longer, as films do, is begun again later.
GRACE_S = 3.0


@dataclass(frozen=True)
class Work:
    """What is done with every photo."""

    method: Method
    settings: DetectionSettings
    folder: Path
    """Where pictures go."""
    film_settings: DetectionSettings = LIVE_SETTINGS
    annotate: bool = False
    """Whether to write the photo with boxes."""
    blur: bool = False
    """Whether to write the photo with its faces blurred."""

    def as_settings(self) -> dict[str, Any]:
        """What the results depend on, for ``Results``."""
        values = asdict(self.settings)
        return {
            "pipeline": self.method.pipeline,
            "preset": values.pop("preset"),
            "preset for films": self.film_settings.preset,
            "model": self.method.model,
            "files of the model": method_version(self.method),
            "annotate": self.annotate,
            "blur": self.blur,
            **values,
        }


class Task(NamedTuple):
    """A photo on its way to a process."""

    source: str
    name: str
    path: str
    data: bytes | None = None
    """What is in the file, if that is known here."""
    is_film: bool = False


def record_of(task: Task, work: Work, pipeline: Pipeline) -> dict[str, Any]:
    """The line of a photo, as ``core.batch.results`` describes it.

    Raises:
        ModelError: the model broke down.
        OSError: a picture cannot be written.
    """
    record: dict[str, Any] = {"source": task.source, "photo": task.name}
    if task.is_film:
        return record | _film(task, work, pipeline)
    try:
        data = _read(task.path) if task.data is None else task.data
        photo = classify_photo(data, work.method, pipeline, work.settings)
        picture = _picture(data, photo, work) if work.annotate or work.blur else None
    except ImageError as error:
        return record | {"problem": str(error)}
    except ModelError:
        raise
    except Exception:  # one photo that breaks the analysis must not cost the others their results
        return record | {"problem": FAILED}
    if picture is not None:
        name = task.name if task.name.lower().endswith(JPEG_SUFFIXES) else f"{task.name}.jpg"  # may lie in folders
        write_atomic(work.folder / PICTURES / name, lambda temporary: temporary.write_bytes(picture))
    width, height = photo.size_wh
    return record | {
        "width": width,
        "height": height,
        "turned": photo.turned,
        "note": photo.note,
        "faces": detection_rows(task.name, photo.detections),
    }


def _read(path: str) -> bytes:
    try:
        with open(path, "rb") as file:
            data = file.read(LIMITS.picture_bytes + 1)
    except OSError as error:
        raise ImageError(f"This file cannot be read ({error.strerror}).") from None
    if len(data) > LIMITS.picture_bytes:
        raise ImageError(f"This file is larger than {LIMITS.picture_bytes / 1024**2:g} MB.")
    return data


def _film(task: Task, work: Work, pipeline: Pipeline) -> dict[str, Any]:
    """The people of a film; the film with boxes, its table and more go into a folder of its own."""
    from core.video.film import FilmError, analyse_film, people_rows  # PyAV, which photos do not need

    folder = work.folder / FILMS / task.name
    folder.mkdir(parents=True, exist_ok=True)
    try:
        result = analyse_film(
            task.path,
            folder,
            lambda frame_bgr: detect_masks(frame_bgr, pipeline, work.film_settings),
            blur=work.blur,
            step_s=FILM_STEP_S,
            max_s=FILM_MAX_S,
        )
    except FilmError as error:
        with contextlib.suppress(OSError):
            folder.rmdir()
        return {"problem": str(error)}
    return {"people": people_rows(result), "seconds": round(result.duration_s, 3), "note": " ".join(result.notes)}


def _picture(data: bytes, photo: ClassifiedPhoto, work: Work) -> bytes:
    frame = turn_image(load_image(data), photo.turned).frame_bgr
    covered = photo.detections.xyxy if work.blur else None
    if work.annotate:
        return encode_image(draw_photo(frame, photo.detections, covered))
    return encode_image(frame if covered is None else blur_faces(frame, covered))


# In each process

_work: tuple[Work, Pipeline] | None = None


def _start(work: Work) -> None:
    global _work
    threading.Thread(target=_end_with_parent, daemon=True).start()
    cv2.setNumThreads(1)
    use_threads(1)
    _work = work, build_pipeline(*work.method)


def _end_with_parent() -> None:
    """A parent that is killed takes its processes along."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _do(task: Task) -> dict[str, Any]:
    if _work is None:
        raise RuntimeError("The process was not started by _start.")
    return record_of(task, *_work)


# In the one that hands out the work


def score(
    photos: Iterable[Item],
    results: Results,
    work: Work,
    workers: int,
    progress: Callable[[dict[str, Any]], object] = lambda record: None,
) -> None:
    """Look at all photos that have no line yet. A photo that cannot be read costs no other its result.

    Args:
        photos: may be any number; only a few are held at a time.
        results: where the lines go.
        work: what is done with each.
        workers: processes.
        progress: called with each new record.

    Raises:
        ModelError: the model broke down.
        OSError: results cannot be written.
        KeyboardInterrupt: somebody pressed Ctrl-C; what was done until then is kept.
    """
    pool = Pool(work, workers)

    def keep(record: dict[str, Any]) -> None:
        results.add(record)
        progress(record)

    try:
        for item in photos:
            if item.source in results.done:
                continue
            task, problem = _task(item, results)
            if problem:
                keep({"source": task.source, "photo": task.name, "problem": problem})
                continue
            for record in pool.add(task):
                keep(record)
        for record in pool.finish():
            keep(record)
    finally:
        for record in pool.close():
            keep(record)


def _task(item: Item, results: Results) -> tuple[Task, str]:
    """What to do, and why it cannot be done, as far as that is known already."""
    problem, data = item.problem, None
    if not problem and item.read:
        try:
            data = item.read()
        except (ImageError, DataError) as error:
            problem = str(error)
    return Task(item.source, results.name_for(item.parts), item.path, data, item.is_film), problem


class Pool:
    """Processes, and what they are at work on: never much, whatever there is to do."""

    def __init__(self, work: Work, workers: int):
        self._work, self._workers = work, workers
        self._pool = self._new(workers)
        self._waiting: dict[Future, Task] = {}

    def _new(self, workers: int) -> ProcessPoolExecutor:
        # Started anew, not forked: threads of OpenCV and LiteRT would not survive a fork.
        context = multiprocessing.get_context("spawn")
        return ProcessPoolExecutor(workers, context, _start, (self._work,))

    def add(self, task: Task) -> Iterator[dict[str, Any]]:
        """Hand out a photo; gives what is done meanwhile."""
        with _interrupts_later():  # processes that are started now leave Ctrl-C to this one
            try:
                self._waiting[self._pool.submit(_do, task)] = task
                broken = False
            except BrokenProcessPool:
                broken = True
        if broken:
            yield from self._one_by_one([task])
        while len(self._waiting) >= AHEAD * self._workers or (
            len(self._waiting) > 1 and sum(len(each.data or b"") for each in self._waiting.values()) > AHEAD_BYTES
        ):
            yield from self._collect()

    def finish(self) -> Iterator[dict[str, Any]]:
        """Gives what is still being done."""
        while self._waiting:
            yield from self._collect()

    def close(self) -> Iterator[dict[str, Any]]:
        """End the processes; gives what was done until then."""
        begun = [future for future in self._waiting if not future.cancel()]
        if wait(begun, GRACE_S).not_done:
            for process in multiprocessing.active_children():
                process.kill()
        self._pool.shutdown()
        self._waiting.clear()
        yield from (future.result() for future in begun if future.exception() is None)

    def _collect(self) -> Iterator[dict[str, Any]]:
        done, _ = wait(self._waiting, return_when=FIRST_COMPLETED)
        for future in done:
            try:
                record = future.result()
            except BrokenProcessPool:
                yield from self._one_by_one([])
                return
            del self._waiting[future]
            yield record

    def _one_by_one(self, tasks: list[Task]) -> Iterator[dict[str, Any]]:
        """After a process has died: which of the photos did it? Each again, by itself."""
        waiting, self._waiting = self._waiting, {}
        good = [future for future in waiting if future.done() and future.exception() is None]
        tasks = [task for future, task in waiting.items() if future not in good] + tasks
        yield from (future.result() for future in good)
        self._pool.shutdown()
        self._pool = self._new(1)
        for task in tasks:
            try:
                with _interrupts_later():
                    future = self._pool.submit(_do, task)
                yield future.result()
            except BrokenProcessPool:
                yield {"source": task.source, "photo": task.name, "problem": CRASHED}
                self._pool.shutdown()
                self._pool = self._new(1)
        self._pool.shutdown()
        self._pool = self._new(self._workers)


@contextlib.contextmanager
def _interrupts_later() -> Iterator[None]:
    """Let Ctrl-C wait for the time of a ``with``; processes started in it never get it."""
    if not hasattr(signal, "pthread_sigmask"):  # Windows
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
