"""What the frozen base makes of each view of a face, computed once, in parallel, and kept in the run folder.

As long as the base is frozen, a view gives the same 1280 numbers in every pass, so only the head needs to be trained.
The base runs as a LiteRT file in 32 bits: the numbers agree with Keras' to 0.0005 and come three times as fast; kept in
half precision they are off by 0.002 at most.
"""

import hashlib
import os
import threading
import time
import zipfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from core.datasets.faces import plain_view
from core.io import write_atomic
from train.augment import RECIPES, varied_view
from train.classifier.data import Faces
from train.config import TrainConfig
from train.run_folder import FEATURES

# Views that a worker makes and classifies at a time.
BLOCK = 8
SAVE_EVERY_S = 15.0


@dataclass(frozen=True, eq=False)
class KeptFeatures:
    """Features of the training and validation faces of a run."""

    train: np.ndarray
    """(views + 1, n, 1280) float16: of each training face the plain view, then the varied ones."""
    labels: np.ndarray
    """(n,) int, of the training faces."""
    val: np.ndarray
    """(m, 1280) float32, plain views."""

    def batches(self, batch_size: int, seed: int, epoch: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """One shuffled pass that shows every face once, each time in the next of its views.

        Gives (b, 1280) float32 and (b,) int; the last batch is filled up. The same seed and epoch give the same ones.
        """
        views, count = self.train.shape[:2]
        first = np.random.default_rng(seed).integers(0, views, (count,))
        order = np.random.default_rng([seed, epoch]).permutation(count)
        order = np.resize(order, -(-count // batch_size) * batch_size)
        for faces in order.reshape(-1, batch_size):
            yield self.train[(first[faces] + epoch) % views, faces].astype(np.float32), self.labels[faces]


@dataclass(frozen=True)
class FrozenBase:
    """The base as this module needs it."""

    digest: str
    """Changes with its weights."""
    size: int
    """Side of the views it takes."""
    width: int
    """Number of features it gives."""
    prepare: Callable[[], Callable[[], Callable[[np.ndarray], np.ndarray]]]
    """Called once if anything is to be computed; gives what makes a worker's own function, from (n, size, size, 3)
    uint8 RGB to (n, width) float32."""


def keep_features(
    base: FrozenBase, faces: Faces, config: TrainConfig, out: Path, report: Callable[[int, int], None]
) -> KeptFeatures:
    """Compute what is not in the run folder yet, and keep it there.

    Args:
        base: the frozen base, from ``train.classifier.network.frozen_base``.
        faces: of the run.
        config: ``recipe``, ``seed`` and ``views`` (varied views per training face) count.
        out: the run folder; its ``features.npz`` grows while this works, so that a killed run loses little.
        report: called with views done and views in all; what it raises ends the work, and what is done is kept.
    """
    wanted = [(int(i), 0) for i in faces.split.val]
    wanted += [(int(i), view) for view in range(config.views + 1) for i in faces.split.train]
    stamp = hashlib.sha256(
        f"{faces.digest} {config.recipe} {config.seed} {config.views} {base.digest}".encode()
    ).hexdigest()
    features = np.empty((len(wanted), base.width), np.float16)
    done = _read(out / FEATURES, stamp, features)
    report(done, len(wanted))
    if done < len(wanted):
        _compute(base, faces, config, wanted, features, done, out / FEATURES, stamp, report)
    count = len(faces.split.val)
    kept = features[count:].reshape(config.views + 1, len(faces.split.train), base.width)
    return KeptFeatures(kept, faces.labels[faces.split.train], features[:count].astype(np.float32))


def _compute(
    base: FrozenBase,
    faces: Faces,
    config: TrainConfig,
    wanted: list[tuple[int, int]],
    features: np.ndarray,
    done: int,
    path: Path,
    stamp: str,
    report: Callable[[int, int], None],
) -> None:
    """Fill ``features`` from row ``done`` on; blocks are worked on by one thread per core, and finish in order."""
    make_worker, workers = base.prepare(), os.cpu_count() or 1
    local, saved, saved_at = threading.local(), done, time.monotonic()

    def work(block: list[tuple[int, int]]) -> np.ndarray:
        # LiteRT and OpenCV let other threads run, and a network per thread beats one network with many threads.
        if not hasattr(local, "run"):
            local.run = make_worker()
        return local.run(np.stack([make_view(faces, config, place, view, base.size) for place, view in block]))

    blocks = [wanted[start : start + BLOCK] for start in range(done, len(wanted), BLOCK)]
    try:
        with ThreadPoolExecutor(workers) as pool:
            ahead = [pool.submit(work, block) for block in blocks[: 2 * workers]]
            for i in range(len(blocks)):
                made = ahead.pop(0).result()
                if i + 2 * workers < len(blocks):
                    ahead.append(pool.submit(work, blocks[i + 2 * workers]))
                features[done : done + len(made)] = made
                done += len(made)
                report(done, len(wanted))
                if time.monotonic() - saved_at > SAVE_EVERY_S:
                    _write(path, stamp, features[:done])
                    saved, saved_at = done, time.monotonic()
    finally:
        if done > saved:
            _write(path, stamp, features[:done])


def make_view(faces: Faces, config: TrainConfig, place: int, view: int, size: int) -> np.ndarray:
    """View 0 of a face is the plain one, the others vary, the same for a seed: (size, size, 3) uint8 RGB."""
    if view == 0:
        return plain_view(faces.samples[place], size)
    rng = np.random.default_rng([config.seed, view, place])
    return varied_view(faces.samples[place], size, RECIPES[config.recipe], rng)


def _write(path: Path, stamp: str, features: np.ndarray) -> None:
    write_atomic(path, lambda temporary: np.savez(temporary, features=features, stamp=np.array(stamp)))


def _read(path: Path, stamp: str, features: np.ndarray) -> int:
    """Take over the rows that are kept already and give their number; a file of something else counts for nothing."""
    if not path.is_file():
        return 0
    try:
        with np.load(path, allow_pickle=False) as kept:
            rows = kept["features"]
            if str(kept["stamp"]) != stamp or len(rows) > len(features) or rows.shape[1:] != features.shape[1:]:
                return 0
    except (OSError, EOFError, ValueError, KeyError, TypeError, zipfile.BadZipFile):
        return 0
    features[: len(rows)] = rows
    return len(rows)
