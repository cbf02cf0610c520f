"""Which pictures are near copies of each other, and who goes into training, validation and test."""

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from math import ceil
from pathlib import Path

import cv2
import numpy as np

from core.images import read_image
from train.data import DataError, Sample

HASH_SIDE = 16
# Two pictures whose 256-bit difference hashes are at most this far apart are near copies.
MAX_HASH_DISTANCE = 20


def difference_hash(image: np.ndarray) -> np.ndarray:
    """256 bits that survive resizing, recompression and small edits: is each cell brighter than its left neighbour?

    Krawetz 2013, "Kind of Like That". Works on (h, w, 3) RGB; returns (256,) bool.
    """
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    cells = cv2.resize(grey, (HASH_SIDE + 1, HASH_SIDE), interpolation=cv2.INTER_AREA)
    return (cells[:, 1:] > cells[:, :-1]).ravel()


def near_copy_groups(images: list[np.ndarray], max_distance: int = MAX_HASH_DISTANCE) -> np.ndarray:
    """A group number for each image, (n,) int: near copies and mirrored near copies of each other share theirs."""
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import connected_components

    n = len(images)
    if not n:
        return np.empty(0, int)
    hashes = np.array([difference_hash(image) for image in images])  # (n, 256)
    mirrored = np.array([difference_hash(image[:, ::-1].copy()) for image in images])
    signs, mirrored_signs = (np.where(bits, 1, -1).astype(np.float32) for bits in (hashes, mirrored))
    pairs = []
    for start in range(0, n, 1024):  # bits that differ = (bits - dot product of signs) / 2
        block = signs[start : start + 1024]
        agreement = np.maximum(block @ signs.T, block @ mirrored_signs.T)
        close = (hashes.shape[1] - agreement) / 2 <= max_distance
        pairs.append(np.argwhere(close) + [start, 0])
    a, b = np.vstack(pairs).T
    _, groups = connected_components(coo_matrix((np.ones(len(a)), (a, b)), shape=(n, n)), directed=False)
    return groups


def family(path: Path | str) -> str:
    """What the drawn pictures of one face have in common with it: the file's name up to ``--``, without extension.

    >>> family("with_mask/12--2.jpg") == family("without_mask/12.jpg")
    True
    """
    return Path(path).stem.split("--")[0]


def sample_groups(samples: list[Sample]) -> np.ndarray:
    """Group numbers (n,) of the samples' photos: the same for faces of one photo and of near copies of it.

    In a set with names as ``train.draw_masks`` gives them, a face and what was drawn on it belong together, alike or
    not.
    """
    photos = list(dict.fromkeys(sample.photo for sample in samples))
    groups = photo_groups(photos)
    dataset_of = {sample.photo: sample.dataset for sample in samples}
    has_drawn = {dataset_of[photo] for photo in photos if "--" in photo.stem}
    families = [
        (dataset_of[photo], family(photo) if dataset_of[photo] in has_drawn else i) for i, photo in enumerate(photos)
    ]
    group_of = dict(zip(photos, _joined(groups, families), strict=True))
    return np.array([group_of[sample.photo] for sample in samples], int)


def _joined(groups: np.ndarray, families: list) -> np.ndarray:
    """Group numbers (n,) once groups that share a family are one."""
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import connected_components

    if not len(groups):
        return groups
    place = {name: i for i, name in enumerate(dict.fromkeys(families))}
    n = int(groups.max()) + 1
    a, b = groups, np.array([n + place[name] for name in families])
    size = n + len(place)
    _, joined = connected_components(coo_matrix((np.ones(len(a)), (a, b)), shape=(size, size)), directed=False)
    return joined[groups]


def photo_groups(paths: list[Path]) -> np.ndarray:
    """A group number for each photo file, (n,) int: near copies share theirs."""
    with ThreadPoolExecutor() as pool:
        # Small versions are enough for the hash and keep ten thousand photos out of memory.
        return near_copy_groups(list(pool.map(_photo_for_hash, paths)))


def _photo_for_hash(path: Path) -> np.ndarray:
    image = read_image(path)
    return cv2.cvtColor(cv2.resize(image, (136, 128), interpolation=cv2.INTER_AREA), cv2.COLOR_BGR2RGB)


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
        samples: held-out ones go to ``held_out``; under ``grouped``, near copies of them are dropped.
        method: ``random`` (stratified by class, near copies on both sides as in most published figures) or
            ``grouped`` (near copies and faces of one photo stay together).
        test_share: share of the samples for the test, 0..1; 0 gives none.
        val_share: the same for validation.
        seed: the same seed gives the same split.

    Raises:
        DataError: nothing would be left to train on, or the shares make no sense.
    """
    from sklearn.model_selection import train_test_split

    if not (0 <= test_share < 1 and 0 <= val_share < 1 and test_share + val_share < 1):
        raise DataError(
            f"Test share {test_share} and validation share {val_share} must lie in 0..1, their sum below 1."
        )
    labels = np.array([sample.label for sample in samples])
    is_held_out = np.array([sample.held_out for sample in samples], bool)
    groups = sample_groups(samples)
    near_held_out = np.isin(groups, groups[is_held_out]) & ~is_held_out
    open_places = np.flatnonzero(~(is_held_out | near_held_out if method == "grouped" else is_held_out))
    shares = {"test": test_share, "val": val_share}
    parts = {}
    if method == "random":
        rest = open_places
        for name, share in shares.items():
            count = ceil(share * len(open_places))  # as scikit-learn rounds, so that published splits can be repeated
            if not count:
                parts[name] = np.empty(0, int)
                continue
            try:
                rest, parts[name] = train_test_split(rest, test_size=count, stratify=labels[rest], random_state=seed)
            except ValueError as error:
                raise DataError(f"The data are too few for a {name} share of {share}: {error}") from None
    elif method == "grouped":
        rest, parts = _grouped_parts(open_places, labels, groups, shares, seed)
    else:
        raise DataError(f"Split is {method!r}; possible are random and grouped.")
    if not len(rest):
        raise DataError("No sample is left to train on; lower the test or validation share or add data.")
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


def _photo_groups(samples, groups, places) -> dict[Path, int]:
    return {samples[i].photo: groups[i] for i in places}


def _photos_per_group(samples, groups, places) -> Counter:
    return Counter(_photo_groups(samples, groups, places).values())


def _grouped_parts(places, labels, groups, shares, seed):
    """Whole groups in random order go to the part that misses most of the group's commonest class."""
    order = np.random.default_rng(seed).permutation(np.unique(groups[places]))
    members = {group: places[groups[places] == group] for group in order}
    totals = Counter(labels[places].tolist())
    missing = {name: {label: share * totals[label] for label in totals} for name, share in shares.items()}
    parts = {name: [] for name in shares}
    rest = []
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
