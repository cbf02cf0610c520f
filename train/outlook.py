"""What a training would work with, told before it starts and without reading a pixel: faces per class and part, steps,
minutes.
"""

import dataclasses
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from core.boxes import shorter_sides
from train.config import RECIPE_PRESETS, TrainConfig, estimate_minutes
from train.layouts import DataError
from train.library import class_order, read_pictures

PARTS = ("train", "val", "test", "held_out")


@dataclass(frozen=True)
class Outlook:
    """What a training would work with."""

    counts: dict[str, dict[str, int]]
    """By class, then by part (``PARTS``)."""
    exact: bool
    """Whether each number is right but for rounding; groups of near copies are only known once pixels are read."""
    steps: int
    """In one pass."""
    epochs: int
    minutes: float

    @property
    def faces(self) -> int:
        """All of them."""
        return sum(sum(parts.values()) for parts in self.counts.values())


def count_faces(folder: Path | str, min_face_px: float) -> Counter:
    """Faces of a data set by (class, whether they are held out for the test); what repairs set aside is left out.

    Raises:
        DataError: the set cannot be read.
    """
    counts: Counter = Counter()
    for picture in read_pictures(folder):
        if picture.set_aside:
            continue
        large = [True] if picture.whole else shorter_sides(picture.xyxy) >= min_face_px
        for i, label in enumerate(picture.labels):
            if large[i] and i not in picture.faces_aside:
                counts[label, picture.split == "test"] += 1
    return counts


def outlook(counts: Iterable[Mapping[tuple[str, bool], int]], config: TrainConfig) -> Outlook:
    """The numbers of a training on these sets.

    Args:
        counts: of each set, from ``count_faces``.
        config: its settings.

    Raises:
        DataError: too few classes, or nothing would be left to train on.
    """
    together: Counter = Counter()
    for each in counts:
        together.update(each)
    present = {label for (label, _), n in together.items() if n}
    classes = class_order(set(config.classes) & present if config.classes else present)
    if len(classes) < 2:
        raise DataError(
            f"Training needs at least two classes, the data have {', '.join(classes) or 'none'}; choose more data."
        )
    if config.test_share + config.val_share >= 1:
        raise DataError("The shares for test and validation leave nothing to train on; make them smaller.")
    table = {}
    for name in classes:
        open_faces = together[name, False]
        test, val = round(open_faces * config.test_share), round(open_faces * config.val_share)
        numbers = (max(0, open_faces - test - val), val, test, together[name, True])
        table[name] = dict(zip(PARTS, numbers, strict=True))
    train = sum(parts["train"] for parts in table.values())
    if not train:
        raise DataError("No face is left to train on; choose more data or smaller shares for test and validation.")
    faces = sum(sum(parts.values()) for parts in table.values())
    return Outlook(
        table,
        exact=config.split == "random",
        steps=-(-train // config.batch_size),
        epochs=config.total_epochs,
        minutes=estimate_minutes(config, faces),
    )


def recipe_title(settings: Mapping) -> str:
    """Which recipe a run followed; the data, how they were divided and where the first weights came from are free."""
    free = {"split", "seed", "imagenet_weights"}
    fields = [field for field in dataclasses.fields(TrainConfig) if field.metadata and field.name not in free]
    for preset in RECIPE_PRESETS.values():
        wanted = {field.name: preset["settings"].get(field.name, field.default) for field in fields}
        if all(settings.get(name, value) == value for name, value in wanted.items()):
            return preset["title"]
    return "Own settings"
