"""Photos through many computers: shards of a list of photos, each done by one process of a Ray cluster.

The folder of results holds ``settings.json``, the list of photos in ``photos/`` and what was found in ``results/``, a
Parquet file of the same number for each shard. A shard is done when its file of results is there; a computer that dies
costs the shards that it was at work on, and these are done again elsewhere. Ray (Moritz et al. 2018) hands out the
shards and begins lost processes again.
"""

import json
import os
import posixpath
import tempfile
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet
from pyarrow import fs

from core.batch.formats import Summary
from core.batch.inputs import InputError, items
from core.batch.results import FolderError, check_settings
from core.batch.score import Pool, Task, Work
from core.config import HOME, models_dir
from core.datasets.archive import LIMITS
from core.io import scratch_folder, sweep
from core.vision.classes import vocabulary
from core.vision.images import SUFFIXES
from core.vision.pipeline import models_of
from core.vision.stats import FrameStats
from core.vision.tables import UNKNOWN

LOCAL = "local"
SETTINGS, LISTED, RESULTS = "settings.json", "photos", "results"
COPY = ".models-"
SHARD = 500
"""Photos in a shard: minutes of work, so that little is lost, and few files for millions of photos."""
NOT_HERE = "Films and archives are read by one computer alone; leave out --cluster for them."
FACE = pa.struct(
    [
        pa.field("photo", pa.string()),
        pa.field("face", pa.int32()),
        pa.field("result", pa.string()),
        *[pa.field(name, pa.float64()) for name in ("confidence", "face_score", "x1", "y1", "x2", "y2")],
        *[pa.field(name, pa.float64()) for name in ("width_px", "height_px")],
    ]
)
SCHEMA = pa.schema(
    [
        *[pa.field(name, pa.string()) for name in ("source", "photo", "problem", "note")],
        *[pa.field(name, pa.int32()) for name in ("width", "height", "turned")],
        pa.field("faces", pa.list_(FACE)),
    ]
)
"""A row for each photo; the fields of ``core.batch.results.Results``, empty where they do not apply."""


class ClusterError(ValueError):
    """The cluster cannot be used; the message is one sentence."""


@dataclass(frozen=True)
class Place:
    """A folder on this computer, on a disk that all share, or in an object store (``s3://``, ``gs://``)."""

    text: str

    def open(self) -> tuple[fs.FileSystem, str]:
        """The file system and the path in it."""
        if "://" in self.text:
            return fs.FileSystem.from_uri(self.text)
        return fs.LocalFileSystem(), str(Path(self.text).absolute())

    def names(self, folder: str) -> list[str]:
        """The whole files of a folder in it, sorted."""
        system, path = self.open()
        selector = fs.FileSelector(f"{path}/{folder}", allow_not_found=True)
        names = (posixpath.basename(info.path) for info in system.get_file_info(selector) if info.is_file)
        return sorted(name for name in names if not name.startswith("."))

    def write(self, name: str, data: bytes) -> None:
        """Write a file, whole or not at all."""
        system, path = self.open()
        folder, base = posixpath.split(f"{path}/{name}")
        system.create_dir(folder, recursive=True)
        partial = f"{folder}/.{base}-{os.getpid()}"
        with system.open_output_stream(partial) as file:
            file.write(data)
        system.move(partial, f"{folder}/{base}")

    def read(self, name: str) -> bytes:
        """All of a file. Raises: ``OSError``."""
        system, path = self.open()
        with system.open_input_file(f"{path}/{name}") as file:
            return file.read()

    def table(self, name: str) -> pa.Table:
        """A Parquet file."""
        system, path = self.open()
        return pa.parquet.read_table(f"{path}/{name}", filesystem=system)


def read_photo(source: str) -> tuple[bytes | None, str]:
    """The bytes of a photo wherever it lies, or why they cannot be had."""
    try:
        system, path = Place(source).open()
        with system.open_input_stream(path) as file:
            data = file.read(LIMITS.picture_bytes + 1)
    except (OSError, pa.ArrowInvalid) as error:
        return None, f"This file cannot be read ({getattr(error, 'strerror', None) or type(error).__name__})."
    if len(data) > LIMITS.picture_bytes:
        return None, f"This file is larger than {LIMITS.picture_bytes / 1024**2:g} MB."
    return data, ""


def sources(inputs: Iterable[str], out: str) -> Iterator[tuple[str, str]]:
    """Every photo of the inputs, and why it cannot be done, if so.

    Raises:
        InputError: there is no such file or folder.
    """
    for each in inputs:
        if "://" not in each:
            for item in items([each], Path(out)):
                archived = NOT_HERE if item.is_film or item.read else ""
                yield item.source, item.problem or archived
            continue
        system, path = Place(each).open()
        info = system.get_file_info(path)
        if info.type == fs.FileType.NotFound:
            raise InputError(f"{each}: there is no such file or folder.")
        scheme = each.partition("://")[0]
        found = [info] if info.is_file else system.get_file_info(fs.FileSelector(path, recursive=True))
        for file in sorted(found, key=lambda one: one.path):
            if file.is_file and (info.is_file or Path(file.path).suffix.lower() in SUFFIXES):
                yield f"{scheme}://{file.path}", ""


def list_photos(inputs: Iterable[str], place: Place, settings: dict[str, Any], shard_photos: int = SHARD) -> int:
    """Write the list of photos in shards, unless that was done before.

    Returns:
        How many shards there are.

    Raises:
        FolderError: the folder has results of other settings.
        InputError: there is no such file or folder.
        OSError: it cannot be written.
    """
    names = place.names("")
    if SETTINGS in names:
        old = json.loads(place.read(SETTINGS))
        shards = old.pop("shards")
        check_settings(old, settings, place.text)
        return shards
    if names:
        raise FolderError(f"{place.text} holds other files; name a new or empty folder for the results.")
    rows, shards, seen = sources(inputs, place.text), 0, set[str]()
    while some := list(islice((row for row in rows if row[0] not in seen), shard_photos)):
        seen.update(source for source, _ in some)
        table = pa.table({"source": [row[0] for row in some], "problem": [row[1] for row in some]})
        place.write(f"{LISTED}/{shards:06}.parquet", _parquet(table))
        shards += 1
    # Last: where it is there, the list is whole.
    place.write(SETTINGS, json.dumps({**settings, "shards": shards}).encode())
    return shards


def _parquet(table: pa.Table) -> bytes:
    file = pa.BufferOutputStream()
    pa.parquet.write_table(table, file)
    return file.getvalue().to_pybytes()


class Scorer:
    """Does whole shards, in a process of a cluster; its model is loaded once.

    The photos are decoded in a process of its own, so that one that ends it costs no other its result.
    """

    def __init__(self, work: Work, models: dict[str, bytes], place: Place):
        """Args: what is done with each photo; the files of the models by their names; where the results go."""
        copies = _folder_of_copies()
        sweep(copies, COPY)
        self._own = ExitStack()
        folder = self._own.enter_context(scratch_folder(copies, COPY))
        for name, data in models.items():
            (folder / name).write_bytes(data)
        os.environ["MASK_MODELS_DIR"] = str(folder)
        self._pool, self._place = Pool(work, 1), place

    def __call__(self, batch: dict[str, Any]) -> dict[str, Any]:
        """Do the shards of these numbers; gives for each the photos that it has."""
        return {"shard": batch["shard"], "photos": [self._shard(int(number)) for number in batch["shard"]]}

    def close(self) -> None:
        """End the process that decodes and delete the copies of the models."""
        list(self._pool.close())
        self._own.close()

    def _shard(self, number: int) -> int:
        name = f"{number:06}.parquet"
        records = []
        for row in self._place.table(f"{LISTED}/{name}").to_pylist():
            source, data, problem = row["source"], None, row["problem"]
            if not problem:
                data, problem = read_photo(source)
            if problem:
                records.append({"source": source, "photo": source, "problem": problem})
            else:
                records.extend(self._pool.add(Task(source, source, source, data)))
        records.extend(self._pool.finish())
        records.sort(key=lambda record: record["source"])
        self._place.write(f"{RESULTS}/{name}", _parquet(pa.Table.from_pylist(records, SCHEMA)))
        return len(records)


def _folder_of_copies() -> Path:
    """Where the processes of this user keep their copies of the models; those of killed ones go with the next start.

    Raises:
        ClusterError: somebody else made a folder of that name first, and could put other models there.
    """
    user = getattr(os, "getuid", int)()
    folder = Path(tempfile.gettempdir()) / f"mask-models-{user}"
    folder.mkdir(mode=0o700, exist_ok=True)
    if folder.is_symlink() or folder.stat().st_uid != user:
        raise ClusterError(f"{folder} belongs to somebody else; delete it, or name another folder in TMPDIR.")
    return folder


def score_on_cluster(
    inputs: Iterable[str],
    out: str,
    work: Work,
    address: str,
    workers: int | None = None,
    progress: Callable[[int, int], object] = lambda done, shards: None,
    shard_photos: int = SHARD,
) -> Summary:
    """Look at all photos that have no results yet.

    Args:
        inputs: files, folders, patterns or lists that every computer of the cluster sees under the same path, or
            addresses in an object store.
        out: folder of the results; likewise.
        work: what is done with each photo; without pictures.
        address: of the head of a Ray cluster, or ``LOCAL``: one is begun on this computer.
        workers: processes; one for each core of the cluster.
        progress: called with shards done and shards in all.
        shard_photos: photos in a shard.

    Raises:
        ClusterError: the cluster cannot be reached, or broke down.
        FolderError, InputError: as ``list_photos``.
        OSError: results cannot be written.
    """
    import ray

    place = Place(out)
    shards = list_photos(inputs, place, work.as_settings(), shard_photos)
    done = {int(name.partition(".")[0]) for name in place.names(RESULTS)}
    todo = [number for number in range(shards) if number not in done]
    progress(shards - len(todo), shards)
    if todo:
        cards = {f"{name}.json": (models_dir() / f"{name}.json").read_bytes() for name in models_of(work.method)}
        models = cards | {
            file: (models_dir() / file).read_bytes() for file in (json.loads(card)["file"] for card in cards.values())
        }
        _connect(address)
        try:
            ray.data.DataContext.get_current().enable_progress_bars = False
            cores = max(1, int(ray.cluster_resources().get("CPU", 1)))
            size = min(workers or cores, len(todo))
            numbers = ray.data.from_items([{"shard": number} for number in todo], override_num_blocks=len(todo))
            scored = numbers.map_batches(
                Scorer,
                batch_size=1,
                num_cpus=1,
                compute=ray.data.ActorPoolStrategy(size=size, max_tasks_in_flight_per_actor=1),
                fn_constructor_args=(work, models, place),
            )
            for count, _ in enumerate(scored.iter_rows(), start=shards - len(todo) + 1):
                progress(count, shards)
        except ray.exceptions.RayError as error:
            raise ClusterError(f"The cluster broke down ({type(error).__name__}); the same command resumes.") from error
        finally:
            ray.shutdown()
    return summarize(place)


def _connect(address: str) -> None:
    import ray

    # The program goes along, without what it does not need.
    environment: dict[str, Any] = {
        "working_dir": str(HOME),
        "excludes": ["/.git", "/.venv", "/runs", "/tests", "/docs", "/data"],
    }
    if address == LOCAL:
        _start({"env_vars": {"PYTHONPATH": str(HOME)}})
        return
    try:
        ray.init(address=address, log_to_driver=False, runtime_env=environment)
    except (ConnectionError, RuntimeError, ValueError) as error:
        raise ClusterError(f"No Ray cluster answers at {address}; look at its address and whether it runs.") from error


def _start(environment: dict[str, Any]) -> None:
    """Begin a cluster on this computer; a busy one may need more than the 30 s that Ray gives it, so once more."""
    import ray

    for last in (False, True):
        try:
            ray.init(include_dashboard=False, log_to_driver=False, runtime_env=environment)
            return
        except Exception as error:  # Ray raises no narrower one when its processes are late
            ray.shutdown()
            if last:
                raise ClusterError(
                    "Ray could not be started on this computer; try again when it is less busy, or leave out --cluster."
                ) from error


def summarize(place: Place) -> Summary:
    """What all results say, read one after the other."""
    photos, counts, unreadable = 0, Counter[str](), []
    for name in place.names(RESULTS):
        for row in place.table(f"{RESULTS}/{name}").to_pylist():
            if row["problem"]:
                unreadable.append((row["source"], row["problem"]))
                continue
            photos += 1
            counts.update(face["result"] for face in row["faces"])
    classes = vocabulary(tuple(sorted(set(counts) - {UNKNOWN})))
    return Summary(photos, 0, FrameStats(tuple(counts[name] for name in classes), classes, counts[UNKNOWN]), unreadable)
