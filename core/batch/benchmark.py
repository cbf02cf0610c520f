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


def rates(work_in: Callable[[Path], Work], photos: int, workers: Sequence[int]) -> Iterator[tuple[int, float]]:
    """Workers and photos a second, from the first result to the last, in turn.

    Args:
        work_in: what is done, given a folder for its results.
        photos: how many are made.
        workers: numbers of processes.
    """
    with tempfile.TemporaryDirectory() as name:
        made = Path(name) / "photos"
        made.mkdir()
        make_photos(made, photos)
        for number in workers:
            work, times = work_in(Path(name) / f"results-{number}"), list[float]()
            with Results(work.folder, work.as_settings()) as results:
                score(
                    items([str(made)], work.folder),
                    results,
                    work,
                    number,
                    lambda _, times=times: times.append(time.perf_counter()),  # type: ignore[misc]
                )
            yield number, (len(times) - 1) / (times[-1] - times[0])
