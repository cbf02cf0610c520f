"""How long a training takes, before it starts."""

import dataclasses
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from math import ceil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from core.config import runs_dir
from core.datasets.formats import DataError
from core.datasets.store import class_order, read_pictures
from core.io import is_number, read_json, write_json
from core.language import number, tr, trn
from core.vision.boxes import shorter_sides
from core.vision.classes import styles_of
from train.config import RECIPE_PRESETS, TrainConfig
from train.split import refuse_tiny_classes

PARTS = ("train", "val", "test", "held_out")


UNBALANCED = 10
"""A class with so many times the faces of another is worth a word."""


@dataclass(frozen=True)
class SplitEstimate:
    """What a training would work with."""

    counts: dict[str, dict[str, int]]
    """By class, then by part (``PARTS``)."""
    exact: bool
    """Whether each number is right but for rounding; groups of near-duplicates are only known once pixels are read."""
    steps: int
    """In one pass."""
    epochs: int
    minutes: float
    cautions: tuple[str, ...] = ()
    """What a person should know before the start, a sentence each, in the language of who asked."""

    @property
    def faces(self) -> int:
        """All of them."""
        return sum(sum(parts.values()) for parts in self.counts.values())


def count_faces(folder: Path | str, min_face_px: float) -> Counter:
    """Faces of a data set by (class, whether they are held out for the test); what a person excluded is left out.

    Raises:
        DataError: the set cannot be read.
    """
    counts: Counter = Counter()
    for picture in read_pictures(folder):
        large = [True] if picture.whole else shorter_sides(picture.xyxy) >= min_face_px
        for i in picture.counted:
            if large[i]:
                counts[picture.labels[i], picture.split == "test"] += 1
    return counts


def estimate_split(counts: Iterable[Mapping[tuple[str, bool], int]], config: TrainConfig) -> SplitEstimate:
    """The numbers of a training on these sets.

    Args:
        counts: of each set, from ``count_faces``.
        config: its settings.

    Raises:
        DataError: too few classes, too few faces of one, or nothing would be left to train on.
    """
    together: Counter = Counter()
    for each in counts:
        together.update(each)
    present = {label for (label, _), n in together.items() if n}
    classes = class_order(set(config.classes) & present if config.classes else present)
    if len(classes) < 2:
        words = tr("Training needs at least two classes, the data have {names}; choose more data.")
        raise DataError(words.format(names=", ".join(classes) or tr("none")))
    refuse_tiny_classes({name: together[name, False] for name in classes})
    table = {}
    for name in classes:
        open_faces = together[name, False]
        test, val = round(open_faces * config.test_share), round(open_faces * config.val_share)
        numbers = (max(0, open_faces - test - val), val, test, together[name, True])
        table[name] = dict(zip(PARTS, numbers, strict=True))
    train = sum(parts["train"] for parts in table.values())
    if not train:
        raise DataError(tr("No face is left to train on; choose more data or smaller shares for test and validation."))
    faces = sum(sum(parts.values()) for parts in table.values())
    return SplitEstimate(
        table,
        exact=config.split == "random",
        steps=-(-train // config.batch_size),
        epochs=config.total_epochs,
        minutes=estimate_minutes(config, faces),
        cautions=tuple(_cautions(table)),
    )


def _cautions(table: Mapping[str, Mapping[str, int]]) -> Iterator[str]:
    styles = dict(zip(table, styles_of(tuple(table)), strict=True))
    tested = {name: parts["test"] + parts["held_out"] for name, parts in table.items()}
    for name, count in tested.items():
        if not count and any(tested.values()):
            faces = sum(table[name].values())
            yield trn(
                "{name} has only {count} face, too few for the test: nobody will be able to say how well the model "
                "knows it. Add images.",
                "{name} has only {count} faces, too few for the test: nobody will be able to say how well the model "
                "knows it. Add images.",
                faces,
            ).format(name=styles[name].words, count=number(faces))
    train = {name: parts["train"] for name, parts in table.items()}
    least, most = min(train, key=train.__getitem__), max(train, key=train.__getitem__)
    if train[most] >= UNBALANCED * train[least]:
        yield tr(
            "{most} has {most_faces} faces to train on, {least} {least_faces}: the model will tend to say {most}. Add "
            "images of the other."
        ).format(
            most=styles[most].words,
            most_faces=number(train[most], ","),
            least=styles[least].words,
            least_faces=number(train[least], ","),
        )


def recipe_title(settings: Mapping) -> str:
    """Which recipe a run followed; the data, how they were divided and where the first weights came from are free."""
    free = {"split", "seed", "imagenet_weights"}
    fields = [field for field in dataclasses.fields(TrainConfig) if field.metadata and field.name not in free]
    for preset in RECIPE_PRESETS.values():
        wanted = {field.name: preset["settings"].get(field.name, field.default) for field in fields}
        if all(settings.get(name, value) == value for name, value in wanted.items()):
            return tr(preset["title"])
    return tr("Own settings")


SPEEDS = "speed.json"
# Seconds on two cores of an x86 server, November 2026; another machine's own runs correct them.
START_S = 9.0  # TensorFlow's import, the network, its weights
READ_S = 0.006  # a picture
TRAIN_S = 0.013  # a face shown to the whole network, base frozen
CLASSIFY_S = 0.012  # a face classified by the whole network
CONVERT_S = 4.0  # the frozen base made into a LiteRT file
FEATURE_S = 0.005  # a view made and put through that
HEAD_STEP_S = 0.003  # a batch of kept features
FIRST_STEP_S = 4.0  # of a stage on pictures, and one more for each unfrozen block
SAVE_S = 0.5
EXPORT_S = {"int8": 18.0, "fp16": 6.0, "float32": 6.0}
# Before the first measurement it is better to promise too little.
CAUTION = 1.5
# One run alone says little where other work ran beside it.
NEW_SHARE = 0.6
Settings = TrainConfig | SimpleNamespace
"""A configuration, or anything with its settings."""


def backward_cost(blocks: int) -> float:
    """Cost of a training step with that many blocks unfrozen, 0..16, relative to a frozen base."""
    # The earlier a block, the larger its maps.
    return 1.0 if not blocks else 1.3 + 0.08 * blocks + 0.2 * max(0, blocks - 10) + 0.5 * max(0, blocks - 13)


def stage_kind(config: Settings, stage: str) -> str:
    """The name under which a stage's speed is kept: a head on kept features is another matter than one on pictures."""
    return f"{stage} on features" if stage == "head" and config.features == "cached" else stage


def stage_seconds(config: Settings, train: int, val: int, test: int) -> dict[str, float]:
    """Seconds that each stage of a run should take here, in their order.

    Args:
        config: a ``TrainConfig``, or anything with its settings.
        train, val, test: numbers of faces; those held out count as test.
    """
    steps = ceil(train / config.batch_size)
    shown = steps * config.batch_size
    per_epoch = CLASSIFY_S * val + SAVE_S
    seconds = {"reading": START_S + READ_S * (train + val + test)}
    if config.features == "cached":
        seconds["features"] = CONVERT_S + FEATURE_S * (train * (config.views + 1) + val)
        seconds["head"] = 2 + SAVE_S + config.epochs * HEAD_STEP_S * steps
    else:
        seconds["head"] = FIRST_STEP_S + config.epochs * (TRAIN_S * shown + per_epoch)
    if config.fine_tune_blocks:
        step = TRAIN_S * backward_cost(config.fine_tune_blocks)
        first = FIRST_STEP_S + config.fine_tune_blocks
        seconds["fine-tune"] = first + config.fine_tune_epochs * (step * shown + per_epoch)
    seconds["finishing"] = EXPORT_S.get(config.precision, max(EXPORT_S.values())) + CLASSIFY_S * (val + 1.5 * test)
    factors = read_factors()
    return {stage: value * factors.get(stage_kind(config, stage), CAUTION) for stage, value in seconds.items()}


def read_factors() -> dict[str, float]:
    """By kind of stage, how much longer it took here than the numbers above say; empty before the first run."""
    found = read_json(runs_dir() / SPEEDS)
    return {kind: float(factor) for kind, factor in found.items() if is_number(factor) and 0 < factor < 1000}


def record(config: Settings, out: Path | str, slowness: dict[str, float]) -> None:
    """Remember what a run taught; only runs of this server's own folder count.

    Args:
        config: as above.
        out: the run folder.
        slowness: by stage, seconds it took over seconds that ``stage_seconds`` expected of it.
    """
    if not Path(out).absolute().is_relative_to(runs_dir()):
        return
    factors = read_factors()
    for stage, ratio in slowness.items():
        kind = stage_kind(config, stage)
        before = factors.get(kind)
        measured = ratio * (CAUTION if before is None else before)
        factors[kind] = round(measured if before is None else before + NEW_SHARE * (measured - before), 3)
    write_json(runs_dir() / SPEEDS, factors)


def estimate_minutes(settings: TrainConfig | Mapping[str, Any], faces: int) -> float:
    """How long a run should take on this machine.

    Args:
        settings: a ``TrainConfig``, or a mapping with those settings that differ from the defaults.
        faces: how many the chosen data sets hold together.
    """
    config: Settings
    if isinstance(settings, Mapping):
        known = {setting.name: setting.default for setting in dataclasses.fields(TrainConfig) if setting.metadata}
        config = SimpleNamespace(**known | dict(settings))
    else:
        config = settings
    test, val = round(faces * config.test_share), round(faces * config.val_share)
    return sum(stage_seconds(config, max(0, faces - test - val), val, test).values()) / 60
