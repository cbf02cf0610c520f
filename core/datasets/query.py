"""Queries to the index of a data set: filters for the gallery, counts, and single faces as training reads them."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, fields

import numpy as np

from core.datasets.faces import Sample, cut_sample
from core.datasets.index import Index
from core.datasets.label_issues import LabelIssues
from core.datasets.parts import PARTS
from core.language import mark, tr
from core.vision.images import read_image

Range = tuple[float, float]


@dataclass(frozen=True)
class Filter:
    """Conditions on an image; those that are empty or ``None`` do not apply."""

    classes: tuple[str, ...] = ()
    """One of its faces has one of these labels."""
    splits: tuple[str, ...] = ()
    """``train``, ``val``, ``test``, or ``""`` for images that the set itself assigns to none."""
    name: str = ""
    """Part of the key, upper and lower case alike."""
    size_px: Range | None = None
    """The longer side lies in this range, both ends included."""
    face_px: Range | None = None
    """The shorter side of one of its faces lies in this range."""
    brightness: Range | None = None
    """The mean brightness, 0..1, lies in this range."""
    near_duplicates: bool = False
    """Has a near-duplicate in the set."""
    group_size: Range | None = None
    """Its group of near-duplicates has so many images."""
    copy_of: str = ""
    """Is a near-duplicate of the image with this key, or that image."""
    excluded: str = "all"
    """``all``, ``kept`` or ``excluded``: with excluded images, without them, or these alone."""
    disagrees: bool = False
    """The model predicts another class for one of its faces."""
    items: tuple[str, ...] = ()
    """One of its faces is one of these, as ``Picture.item`` names them: a choice that was made elsewhere."""
    similar_to: str = ""
    """The face to which ``items`` are similar; empty if they were chosen on the map."""

    @property
    def count(self) -> int:
        """How many conditions there are."""
        return sum(getattr(self, field.name) != field.default for field in fields(self))

    def in_words(self, words: Mapping[str, str]) -> str:
        """The conditions as the end of a sentence: "label Mask, brightness 20% to 40%".

        Args:
            words: what each class is called.
        """
        either = tr(" or ")
        parts = [
            tr("label {names}").format(names=either.join(words.get(name, name) for name in self.classes))
            if self.classes
            else "",
            tr("part {names}").format(names=either.join(tr(PARTS[split]).lower() for split in self.splits))
            if self.splits
            else "",
            tr('"{text}" in their name').format(text=self.name.strip()) if self.name.strip() else "",
            _range_in_words(tr("longer side of {from} to {to} px"), tr("longer side from {from} px"), self.size_px),
            _range_in_words(tr("a face of {from} to {to} px"), tr("a face from {from} px"), self.face_px),
            _range_in_words(
                tr("brightness of {from} to {to}%"), tr("brightness from {from}%"), self.brightness, factor=100
            ),
            tr("a near-duplicate") if self.near_duplicates else "",
            _group_in_words(self.group_size),
            tr("likeness to {name}").format(name=self.copy_of) if self.copy_of else "",
            {"all": "", "kept": tr("nothing excluded"), "excluded": tr("something excluded")}[self.excluded],
            tr("a label that the model disagrees with") if self.disagrees else "",
            tr("likeness to {name}").format(name=self.similar_to) if self.similar_to else "",
            tr("a point chosen on the map") if self.items and not self.similar_to else "",
        ]
        return ", ".join(part for part in parts if part)


def _range_in_words(words: str, without_end: str, limits: Range | None, factor: float = 1) -> str:
    if limits is None:
        return ""
    low, high = (round(factor * end) for end in limits)
    return (without_end if high >= 100_000 else words).format(**{"from": low, "to": high})


def _group_in_words(limits: Range | None) -> str:
    if limits is None:
        return ""
    low, high = (round(end) for end in limits)
    if high == 1:
        return tr("no near-duplicate")
    if low == high:
        return tr("a group of {count}").format(count=low)
    words = tr("a group of {low} and more") if high >= 10**6 else tr("a group of {low} to {high}")
    return words.format(low=low, high=high)


def matching(index: Index, wanted: Filter, opinion: LabelIssues | None = None) -> np.ndarray:
    """Positions of the images that meet all conditions, (k,) int, in the order of the index.

    Conditions on class, face size, prediction and choice must be met by one and the same face.
    """
    return np.flatnonzero(_fits(index, wanted, opinion)[0])


def matching_faces(index: Index, wanted: Filter, opinion: LabelIssues | None = None) -> np.ndarray:
    """Positions in ``index.faces`` of the faces that meet all conditions, (k,) int."""
    fits, fits_face = _fits(index, wanted, opinion)
    if wanted.excluded != "all":
        fits_face &= index.faces.excluded == (wanted.excluded == "excluded")
    return np.flatnonzero(fits_face & fits[index.faces.picture])


def _fits(index: Index, wanted: Filter, opinion: LabelIssues | None) -> tuple[np.ndarray, np.ndarray]:
    """Which images meet all conditions, (n,) bool, and which faces those on faces, (m,) bool."""
    pictures, faces = index.pictures, index.faces
    fits = np.ones(len(index), bool)
    if wanted.splits:
        fits &= [picture.split in wanted.splits for picture in pictures]
    if wanted.name.strip():
        part = wanted.name.strip().casefold()
        fits &= [part in picture.key.casefold() for picture in pictures]
    for limits, values in (
        (wanted.size_px, index.sizes_px),
        (wanted.brightness, index.rows["brightness"]),
        (wanted.group_size, index.group_sizes),
    ):
        if limits is not None:
            fits &= _within(values, limits)
    if wanted.near_duplicates:
        fits &= index.group_sizes > 1
    if wanted.copy_of:
        place = index.place_of.get(wanted.copy_of)
        fits &= False if place is None else index.groups == index.groups[place]
    fits_face = np.ones(len(faces.picture), bool)
    if wanted.classes:
        fits_face &= np.isin(faces.label, wanted.classes)
    if wanted.face_px is not None:
        fits_face &= _within(faces.size_px, wanted.face_px)
    if wanted.disagrees:
        fits_face &= False if opinion is None else opinion.disagrees
    if wanted.items:
        items = set(wanted.items)
        fits_face &= np.array([item in items for item in faces.items], bool)
    if wanted.classes or wanted.face_px is not None or wanted.disagrees or wanted.items:
        fits &= np.isin(np.arange(len(index)), faces.picture[fits_face])
    if wanted.excluded != "all":
        is_excluded = np.array([picture.excluded for picture in pictures], bool)
        is_excluded[faces.picture[faces.excluded]] = True
        fits &= is_excluded if wanted.excluded == "excluded" else ~is_excluded
    return fits, fits_face


def _within(values: np.ndarray, limits: Range) -> np.ndarray:
    return (values >= limits[0]) & (values <= limits[1])


@dataclass(frozen=True)
class SetFacts:
    """Counts of a data set."""

    totals: dict[str, int]
    """Count by what is counted, in words, in English."""
    labels: dict[tuple[str, str], int]
    """Number of labels by class and split, without excluded ones."""


def facts(index: Index) -> SetFacts:
    """Count images, labels, near-duplicates, and what is excluded or unreadable."""
    faces = index.faces
    labels = Counter(
        (str(label), index.pictures[place].split)
        for label, place, excluded in zip(faces.label, faces.picture, faces.excluded, strict=True)
        if not excluded
    )
    whole = all(picture.whole for picture in index.pictures)
    totals = {
        mark("Images"): len(index),
        **({} if whole else {mark("Labelled faces"): len(faces.items)}),
        mark("Classes"): len(index.classes),
        mark("With a near-duplicate"): int((index.group_sizes > 1).sum()),
        mark("Excluded"): int(faces.excluded.sum()),
        mark("Unreadable"): len(index.problems),
    }
    return SetFacts(totals, dict(labels))


def face_sample(index: Index, face: int, margin: float) -> Sample:
    """One face of ``index.faces`` as training reads it.

    Args:
        index: an opened index.
        face: position in its table.
        margin: around the face, as a share of its longer side.

    Raises:
        ImageError: its image cannot be read any more.
    """
    place = index.faces.picture[face]
    picture = index.pictures[place]
    first = np.searchsorted(index.faces.picture, place)
    return cut_sample(picture, int(face - first), read_image(picture.path), margin)
