"""The labelled faces of a run in memory: varied views to train on, plain ones to measure by."""

import hashlib
import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from core.datasets.faces import DataError, Sample, plain_view, read_samples
from core.datasets.store import class_order
from train.augment import Augmentation, varied_view
from train.config import TrainConfig
from train.split import Split, split_samples


@dataclass(frozen=True, eq=False)
class Faces:
    """The samples of a run, their classes and their split."""

    samples: list[Sample]
    classes: tuple[str, ...]
    labels: np.ndarray
    """(n,) int into ``classes``."""
    split: Split

    @property
    def digest(self) -> str:
        """The same for the same faces in the same split: a run can only resume with what it was begun with."""
        names = [f"{s.photo.name} {s.label} {s.crop_xyxy.round(1).tolist()}" for s in self.samples]
        parts = [getattr(self.split, part).tolist() for part in ("train", "val", "test", "held_out")]
        return hashlib.sha256(json.dumps([names, parts]).encode()).hexdigest()


def load_faces(config: TrainConfig) -> Faces:
    """Read all data folders and draw the split.

    Raises:
        DataError: a folder cannot be used, a class that was asked for is in none, or fewer than two are left.
    """
    samples = [s for folder in config.data for s in read_samples(folder, config.margin, config.min_face)]
    present = {sample.label for sample in samples}
    if missing := set(config.classes) - present:
        raise DataError(
            f"No image shows {', '.join(sorted(missing))}; the data have {', '.join(class_order(present)) or 'none'}."
        )
    classes = class_order(config.classes or present)
    if len(classes) < 2:
        raise DataError(f"Training needs at least two classes, the data have {', '.join(classes) or 'none'}.")
    samples = [sample for sample in samples if sample.label in classes]
    labels = np.array([classes.index(sample.label) for sample in samples])
    split = split_samples(samples, config.split, config.test_share, config.val_share, config.seed)
    return Faces(samples, classes, labels, split)


def batches(
    faces: Faces, places: np.ndarray, batch_size: int, how: Augmentation, seed: int, epoch: int, size: int
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """One shuffled pass of varied views: (b, size, size, 3) uint8 RGB and (b,) int; the last batch is filled up.

    The same seed and epoch give the same views. The next batch is made while the caller trains on this one.
    """
    order = np.random.default_rng([seed, epoch]).permutation(places)
    order = np.append(order, order[: -len(order) % batch_size])
    while len(order) % batch_size:  # fewer samples than one batch
        order = np.append(order, order[: batch_size - len(order) % batch_size])
    slices = order.reshape(-1, batch_size)

    def make(step: int) -> tuple[np.ndarray, np.ndarray]:
        views = [
            varied_view(faces.samples[i], size, how, np.random.default_rng([seed, epoch, step, k]))
            for k, i in enumerate(slices[step])
        ]
        return np.stack(views), faces.labels[slices[step]]

    with ThreadPoolExecutor(max_workers=2) as pool:
        ahead = [pool.submit(make, step) for step in range(min(2, len(slices)))]
        for step in range(len(slices)):
            if step + 2 < len(slices):
                ahead.append(pool.submit(make, step + 2))
            yield ahead.pop(0).result()


def plain_views(faces: Faces, places: np.ndarray, size: int) -> np.ndarray:
    """The unvaried faces at ``places``: (n, size, size, 3) uint8 RGB."""
    views = np.empty((len(places), size, size, 3), np.uint8)
    for view, i in zip(views, places, strict=True):
        view[:] = plain_view(faces.samples[i], size)
    return views
