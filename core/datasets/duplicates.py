"""Near-duplicate images: difference hashes, groups, and what a random split leaks."""

from collections import Counter
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from math import ceil
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np

from core.vision.images import read_image

if TYPE_CHECKING:  # both build on this module
    from core.datasets.faces import Sample
    from core.datasets.index import Index

LEAK_SEED = 42
LEAK_TEST_SHARE = 0.2


def near_duplicate_groups(index: "Index") -> list[np.ndarray]:
    """Positions of each group of two and more near-duplicates, the largest groups first."""
    order = np.argsort(index.groups, kind="stable")
    groups = np.split(order, np.flatnonzero(np.diff(index.groups[order])) + 1) if len(order) else []
    return sorted((group for group in groups if len(group) > 1), key=lambda group: (-len(group), group[0]))


# Of a group, the image of the first of these parts stays: a set's own test stays as large as it is.
STAYS_FIRST = ("test", "val", "train", "")


@dataclass(frozen=True, eq=False)
class Copies:
    """A group of near-duplicates and what people have decided on it."""

    places: np.ndarray
    """(k,) int, positions in the index: those that are not excluded first, the one that should stay before all."""
    left: int
    """How many are not excluded."""
    by_label: tuple[np.ndarray, ...]
    """Those that are left, by their labels: of annotated images, by how many faces of each class they have."""
    confirmed: bool = False
    """Whether a person said of all that are left that their labels are right, whatever their copies have."""

    @property
    def differs(self) -> bool:
        """Whether those that are left have different labels."""
        return len(self.by_label) > 1

    @property
    def contradicts(self) -> bool:
        """Whether their labels differ and nobody has said that all of them are right."""
        return self.differs and not self.confirmed

    @property
    def is_open(self) -> bool:
        """Whether more than one is left."""
        return self.left > 1


def copies(index: "Index") -> list[Copies]:
    """The groups of near-duplicates: contradicting ones first, then those of which several are left; the largest first.

    Excluded images count for nothing: once all but one of a group are excluded, nothing contradicts any more.
    """
    groups = []
    for places in near_duplicate_groups(index):
        order = sorted(places.tolist(), key=lambda place: (index.pictures[place].excluded, *_stays(index, place)))
        left = [place for place in order if not index.pictures[place].excluded]
        by_label: dict[tuple[str, ...], list[int]] = {}
        for place in left:
            by_label.setdefault(tuple(sorted(index.pictures[place].labels)), []).append(place)
        confirmed = all(index.pictures[place].confirmed for place in left)
        groups.append(Copies(np.array(order, int), len(left), tuple(map(np.array, by_label.values())), confirmed))
    return sorted(groups, key=lambda group: (not group.contradicts, not group.is_open))  # stable: by size within


def _stays(index: "Index", place: int) -> tuple[int, int, int]:
    """The smallest of a group stays: of its part, then with the most pixels, then the first by name."""
    row = index.rows[place]
    return STAYS_FIRST.index(index.pictures[place].split), -int(row["width"]) * int(row["height"]), place


def copies_to_exclude(index: "Index", groups: Sequence[Copies]) -> list[str]:
    """Keys of all images but one of each group, or, where labels contradict each other, one of each label."""
    return [index.pictures[place].key for group in groups for some in group.by_label for place in some[1:]]


def other_copies(index: "Index", chosen: Iterable[str]) -> list[str]:
    """Keys of the near-duplicates of these images that are neither excluded nor among them."""
    chosen = set(chosen)
    groups = index.groups[[index.place_of[key] for key in chosen if key in index.place_of]]
    others = [index.pictures[place] for place in np.flatnonzero(np.isin(index.groups, groups))]
    return [picture.key for picture in others if picture.key not in chosen and not picture.excluded]


@dataclass(frozen=True)
class Leak:
    """How much of the test set a random split would leak into training."""

    leaked: int
    """Test faces whose image, or a near-duplicate of it, has a face in training."""
    tested: int
    """Test faces in all."""


def leak_of_random_split(index: "Index", test_share: float = LEAK_TEST_SHARE, seed: int = LEAK_SEED) -> Leak:
    """Divide the faces at random, each class in proportion as ``train.split`` does it, and count what leaks.

    Faces that are excluded or that the set itself assigns to the test are left out.
    """
    from sklearn.model_selection import train_test_split

    faces = index.faces
    held_out = np.array([picture.split == "test" for picture in index.pictures], bool)
    taking_part = np.flatnonzero(~faces.excluded & ~held_out[faces.picture]) if len(faces.picture) else np.empty(0, int)
    labels = faces.label[taking_part]
    count = ceil(test_share * len(taking_part))
    rarest = min(Counter(labels.tolist()).values(), default=0)
    classes = len(set(labels.tolist()))
    if rarest < 2 or count < classes or len(taking_part) - count < classes:
        return Leak(0, 0)  # too few to be divided at all
    train, test = train_test_split(taking_part, test_size=count, stratify=labels, random_state=seed)
    groups = index.groups[faces.picture]
    leaks = np.isin(groups[test], groups[train])
    keys = [index.pictures[place].key for place in faces.picture]
    if any("--" in key for key in keys):  # synthetic images belong to the face they were made from
        families = np.array([family(key) for key in keys])
        leaks |= np.isin(families[test], families[train])
    return Leak(int(leaks.sum()), len(test))


HASH_SIDE = 16
ROWS = 256
"""Images that are compared with all others at a time."""
# Two images whose 256-bit difference hashes differ in at most this many bits are near-duplicates.
MAX_HASH_DISTANCE = 20


def difference_hash(image: np.ndarray) -> np.ndarray:
    """256 bits that survive resizing, recompression and small edits: is each cell brighter than its left neighbour?

    Krawetz 2013, "Kind of Like That". Works on (h, w, 3) RGB; returns (256,) bool.
    """
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    return brighter_than_left(cv2.resize(grey, (HASH_SIDE + 1, HASH_SIDE), interpolation=cv2.INTER_AREA))


def brighter_than_left(cells: np.ndarray) -> np.ndarray:
    """The difference hash of an image that was shrunk to (16, 17) grey cells: (256,) bool."""
    return (cells[:, 1:] > cells[:, :-1]).ravel()


def group_near_duplicates(images: list[np.ndarray], max_distance: int = MAX_HASH_DISTANCE) -> np.ndarray:
    """A group number for each image, (n,) int: near-duplicates, mirrored ones included, have the same."""
    if not len(images):
        return np.empty(0, int)
    hashes = np.array([difference_hash(image) for image in images])
    mirrored = np.array([difference_hash(image[:, ::-1].copy()) for image in images])
    return groups_of_hashes(hashes, mirrored, max_distance)


def groups_of_hashes(hashes: np.ndarray, mirrored: np.ndarray, max_distance: int = MAX_HASH_DISTANCE) -> np.ndarray:
    """The same, (n,) int, from the difference hashes of the images and of their mirror images, (n, 256) bool each."""
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import connected_components

    n = len(hashes)
    if not n:
        return np.empty(0, int)
    signs, mirrored_signs = (np.where(bits, 1, -1).astype(np.float32) for bits in (hashes, mirrored))
    groups = np.arange(n)
    for start in range(0, n, ROWS):  # bits that differ = (bits - dot product of signs) / 2
        block = signs[start : start + ROWS]
        agreement = np.maximum(block @ signs.T, block @ mirrored_signs.T)
        close = (hashes.shape[1] - agreement) / 2 <= max_distance
        # Pairs within a group say nothing new: of twenty thousand equal images there would be two hundred million.
        close &= groups[start : start + ROWS, None] != groups
        a, b = np.nonzero(close)
        if len(a):
            edges = coo_matrix((np.ones(len(a), bool), (groups[a + start], groups[b])), shape=(n, n))
            groups = connected_components(edges, directed=False)[1][groups]
    return np.unique(groups, return_inverse=True)[1]


def family(path: Path | str) -> str:
    """What a face and the synthetic images made from it share: the file's name up to ``--``, without extension.

    >>> family("with_mask/12--2.jpg") == family("without_mask/12.jpg")
    True
    """
    return Path(path).stem.split("--")[0]


def sample_groups(samples: list["Sample"]) -> np.ndarray:
    """Group numbers (n,) of the samples' photos: the same for faces of one photo and of near-duplicates of it.

    In a set with names as ``core.datasets.sources.synthetic`` gives them, a face and the synthetic images made from it
    have the same number, similar or not.
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
    """Group numbers (n,) after merging groups that share a family."""
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
    """A group number for each photo file, (n,) int: near-duplicates have the same."""
    with ThreadPoolExecutor() as pool:
        # Small versions are enough for the hash and keep ten thousand photos out of memory.
        return group_near_duplicates(list(pool.map(_photo_for_hash, paths)))


def _photo_for_hash(path: Path) -> np.ndarray:
    image = read_image(path)
    return cv2.cvtColor(cv2.resize(image, (136, 128), interpolation=cv2.INTER_AREA), cv2.COLOR_BGR2RGB)
