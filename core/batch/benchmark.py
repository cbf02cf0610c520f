"""How many photos a second this computer does, with one process and with several."""

import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import cv2
import numpy as np

from core.batch.inputs import items
from core.batch.results import Results
from core.batch.score import Work, score
from core.synthetic.sample import sample_photo
from core.vision.images import encode_image

SIZE_WH = (1536, 1024)
DIFFERENT = 12
"""So many photos differ; the others are copies."""
SHARD = 12
"""Photos that one worker of a cluster does at a time: all that differ, so that every shard is the same work."""


def make_photos(folder: Path, number: int) -> None:
    """Write photos with one to six faces, bare and masked, and a camera's noise."""
    random = np.random.default_rng(0)
    heads = [sample_photo(masked) for masked in (False, True)]
    different = []
    for i in range(min(DIFFERENT, number)):
        rows, columns = ((1, 1), (1, 2), (2, 3))[i % 3]
        people = np.vstack([np.hstack([heads[(i + x + y) % 2] for x in range(columns)]) for y in range(rows)])
        photo = cv2.resize(people, SIZE_WH, interpolation=cv2.INTER_AREA)
        different.append(encode_image(np.clip(photo + random.normal(0, 4, photo.shape), 0, 255).astype(np.uint8)))
    for i in range(number):
        (folder / f"{i:06}.jpg").write_bytes(different[i % len(different)])


def rates(
    work_in: Callable[[Path], Work], photos: int, workers: Sequence[int], cluster: str | None = None
) -> Iterator[tuple[int, float]]:
    """Workers and photos a second, from the first result to the last, in turn.

    Args:
        work_in: what is done, given a folder for its results.
        photos: how many are made.
        workers: numbers of processes.
        cluster: address of a Ray cluster that does it; without one, processes of this program do.
    """
    with tempfile.TemporaryDirectory() as name:
        made = Path(name) / "photos"
        made.mkdir()
        make_photos(made, photos)
        for number in workers:
            work, times = work_in(Path(name) / f"results-{number}"), list[float]()
            if cluster:
                _on_cluster(made, work, number, cluster, times)
                # Of the first shards nobody knows how long they took; one comes from each worker.
                yield number, (len(times) - 1 - number) * SHARD / (times[-1] - times[number])
                continue
            with Results(work.folder, work.as_settings()) as results:
                score(
                    items([str(made)], work.folder),
                    results,
                    work,
                    number,
                    lambda _, times=times: times.append(time.perf_counter()),  # type: ignore[misc]
                )
            yield number, (len(times) - 1) / (times[-1] - times[0])


def _on_cluster(photos: Path, work: Work, workers: int, cluster: str, times: list[float]) -> None:
    """Note the time at the start and after each shard."""
    from core.batch.cluster import score_on_cluster

    def note(*_: int) -> None:
        times.append(time.perf_counter())

    score_on_cluster([str(photos)], str(work.folder), work, cluster, workers, note, SHARD)
