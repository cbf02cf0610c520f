"""Which pictures are near-duplicates of each other, and who goes into training, validation and test."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from math import ceil
from pathlib import Path

import numpy as np

from core.access import for_operators
from core.config import data_dir
from core.datasets.duplicates import sample_groups
from core.datasets.faces import DataError, Sample
from core.io import read_json, write_json
from core.language import number, tr, trn
from train.config import TrainConfig

MIN_FACES = 2


def default_split() -> str:
    """How pictures are divided for training unless somebody chooses: ``random`` or ``grouped``."""
    split = read_json(data_dir() / "settings.json").get("split")
    return split if split in ("random", "grouped") else TrainConfig.split


@for_operators
def set_default_split(split: str) -> None:
    """Keep the way of dividing pictures for everybody who trains here."""
    if split not in ("random", "grouped"):
        raise ValueError(f"Split is {split!r}; possible are random and grouped.")
    write_json(data_dir() / "settings.json", {"split": split})


@dataclass(frozen=True, eq=False)
class Split:
    """Places in the list of samples, (n,) int each, and what the report says of how they were drawn."""

    train: np.ndarray
    val: np.ndarray
    test: np.ndarray
    held_out: np.ndarray
    facts: dict


def split_samples(samples: list[Sample], method: str, test_share: float, val_share: float, seed: int) -> Split:
    """Draw training, validation and test samples.

    Args:
        samples: held-out ones go to ``held_out``; under ``grouped``, near-duplicates of them are dropped.
        method: ``random`` (stratified by class, near-duplicates on both sides as in most published figures) or
            ``grouped`` (near-duplicates and faces of one photo stay together).
        test_share: share of the samples for the test, 0..1; 0 gives none.
        val_share: the same for validation.
        seed: the same seed gives the same split.

    Raises:
        DataError: nothing would be left to train on, or the shares make no sense.
    """
    from sklearn.model_selection import train_test_split

    if not (0 <= test_share < 1 and 0 <= val_share < 1 and test_share + val_share < 1):
        words = tr("Test share {test} and validation share {validation} must lie in 0..1, their sum below 1.")
        raise DataError(words.format(test=number(test_share), validation=number(val_share)))
    labels = np.array([sample.label for sample in samples])
    is_held_out = np.array([sample.held_out for sample in samples], bool)
    groups = sample_groups(samples)
    near_held_out = np.isin(groups, groups[is_held_out]) & ~is_held_out
    open_places = np.flatnonzero(~(is_held_out | near_held_out if method == "grouped" else is_held_out))
    refuse_tiny_classes({name: int((labels[open_places] == name).sum()) for name in sorted(set(labels.tolist()))})
    shares = {"test": test_share, "val": val_share}
    parts = {}
    if method == "random":
        rest = open_places
        for name, share in shares.items():
            count = ceil(share * len(open_places))  # as scikit-learn rounds, so that published splits can be repeated
            # The last face of a class is for training.
            last = np.array([n == 1 for n in map(Counter(labels[rest].tolist()).get, labels[rest].tolist())], bool)
            rest, kept = rest[~last], rest[last]
            if not count:
                parts[name] = np.empty(0, int)
            else:
                try:
                    rest, parts[name] = train_test_split(
                        rest, test_size=count, stratify=labels[rest], random_state=seed
                    )
                except ValueError:
                    words = {"test": "test", "val": "validation"}[name]
                    raise DataError(
                        f"{len(open_places)} faces of {len(set(labels[open_places]))} classes are too few for a "
                        f"{words} share of {share:g}; add images, or set the share to 0 or higher."
                    ) from None
            rest = np.concatenate([rest, kept])
    elif method == "grouped":
        rest, parts = _grouped_parts(open_places, labels, groups, shares, seed)
    else:
        raise DataError(f"Split is {method!r}; possible are random and grouped.")
    if not len(rest):
        raise DataError(tr("No sample is left to train on; lower the test or validation share or add data."))
    size_of_group = Counter(groups[open_places])
    photos_per_group = _photos_per_group(samples, groups, open_places)
    facts = {
        "method": method,
        "seed": seed,
        "near_copies": int(
            sum(
                1 for photo, group in _photo_groups(samples, groups, open_places).items() if photos_per_group[group] > 1
            )
        ),
        "groups": len(size_of_group),
        "test_with_near_copy_in_training": int(np.isin(groups[parts["test"]], groups[rest]).sum()),
        "near_copies_of_held_out": int(near_held_out.sum()),
        "counts": {
            name: dict(sorted(Counter(labels[places].tolist()).items()))
            for name, places in {"train": rest, **parts, "held_out": np.flatnonzero(is_held_out)}.items()
        },
    }
    return Split(np.sort(rest), np.sort(parts["val"]), np.sort(parts["test"]), np.flatnonzero(is_held_out), facts)


def refuse_tiny_classes(faces: Mapping[str, int]) -> None:
    """Refuse classes with so few faces to train on and to test that nothing can be learnt.

    Raises:
        DataError: as said.
    """
    for name, count in faces.items():
        if count < MIN_FACES:
            words = tr(
                "The class {name} has no faces outside the held-out test part; training needs at least {least} of each "
                "class. Add images, or leave the class out."
            )
            if count:
                words = trn(
                    "The class {name} has {count} face outside the held-out test part; training needs at least {least} "
                    "of each class. Add images, or leave the class out.",
                    "The class {name} has {count} faces outside the held-out test part; training needs at least "
                    "{least} of each class. Add images, or leave the class out.",
                    count,
                )
            raise DataError(words.format(name=name, count=number(count), least=MIN_FACES))


def _photo_groups(samples: list[Sample], groups: np.ndarray, places: np.ndarray) -> dict[Path, int]:
    return {samples[i].photo: groups[i] for i in places}


def _photos_per_group(samples: list[Sample], groups: np.ndarray, places: np.ndarray) -> Counter:
    return Counter(_photo_groups(samples, groups, places).values())


def _grouped_parts(
    places: np.ndarray, labels: np.ndarray, groups: np.ndarray, shares: dict[str, float], seed: int
) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Whole groups in random order go to the part that misses most of the group's commonest class."""
    order = np.random.default_rng(seed).permutation(np.unique(groups[places]))
    members = {group: places[groups[places] == group] for group in order}
    totals = Counter(labels[places].tolist())
    missing = {name: {label: share * totals[label] for label in totals} for name, share in shares.items()}
    parts: dict[str, list[int]] = {name: [] for name in shares}
    rest: list[int] = []
    for group in order:
        counts = Counter(labels[members[group]].tolist())
        label, _ = counts.most_common(1)[0]
        name = max(missing, key=lambda part: missing[part][label])
        # A group goes in if that brings the part nearer to its share than leaving it out.
        if missing[name][label] * 2 > counts[label]:
            parts[name].extend(members[group])
            for each, count in counts.items():
                missing[name][each] -= count
        else:
            rest.extend(members[group])
    return np.array(rest, int), {name: np.array(part, int) for name, part in parts.items()}
