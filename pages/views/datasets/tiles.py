"""From a catalogue to what a gallery shows: pictures with their labels, single faces with what a model thinks."""

from collections import Counter

import cv2
import numpy as np

from core.datasets.faces import Sample
from core.datasets.formats import Picture
from core.datasets.index import Catalogue
from core.datasets.label_issues import SecondOpinion
from core.datasets.store import class_order
from core.vision.annotate import percentage
from core.vision.classes import ClassStyle, styles_of
from core.vision.crops import fit_within
from core.vision.images import read_image
from pages.components.gallery import FaceDetails, PictureDetails, Tile, TileBox
from train.augment import Augmentation, varied_view

PARTS = {"train": "training", "val": "checks while training", "test": "test"}


LARGE_SIDE = 1400


"""Longer side of a picture that is looked at alone; larger than any page."""


def styles_by_name(catalogue: Catalogue, opinion: SecondOpinion | None = None) -> dict[str, ClassStyle]:
    """How each class looks, of the set and of the model that judges it."""
    names = class_order([*catalogue.classes, *(opinion.classes if opinion else ())])
    return dict(zip(names, styles_of(names), strict=True))


def picture_tiles(catalogue: Catalogue, places: np.ndarray, opinion: SecondOpinion | None = None) -> list[Tile]:
    """Pictures with their labels; the places of their faces are marked in annotated sets."""
    styles = styles_by_name(catalogue, opinion)
    first_face = np.searchsorted(catalogue.faces.picture, places)
    disagrees = opinion.disagrees if opinion else np.zeros(len(catalogue.faces.items), bool)
    tiles = []
    for place, first, jpeg in zip(places, first_face, catalogue.thumbnails(places), strict=True):
        picture = catalogue.pictures[place]
        mine = slice(first, first + len(picture.labels))
        notes = []
        if disagrees[mine].any():
            notes.append(_objection(catalogue, opinion, int(first + np.flatnonzero(disagrees[mine])[0]), styles))
        if (copies := int(catalogue.group_sizes[place]) - 1) > 0:
            notes.append(f"{copies} near cop{'y' if copies == 1 else 'ies'}")
        if picture.set_aside:
            notes.append("Set aside")
        elif picture.faces_aside:
            notes.append(f"{len(picture.faces_aside)} set aside")
        tiles.append(
            Tile(
                id=picture.key,
                name=picture.key,
                jpeg=jpeg,
                size_wh=(int(catalogue.rows["width"][place]), int(catalogue.rows["height"][place])),
                marks=_marks(picture, styles),
                notes=tuple(notes),
                boxes=boxes_of(catalogue, int(place), styles, numbered=False),
                aside=picture.set_aside or bool(catalogue.faces.aside[mine].size and catalogue.faces.aside[mine].all()),
            )
        )
    return tiles


def face_tiles(catalogue: Catalogue, faces: np.ndarray, opinion: SecondOpinion) -> list[Tile]:
    """Single faces, each with its label and with what the model thinks; ids are items."""
    styles, table = styles_by_name(catalogue, opinion), catalogue.faces
    thumbnails = catalogue.thumbnails(table.picture[faces])
    tiles = []
    for face, jpeg in zip(faces, thumbnails, strict=True):
        whole = catalogue.pictures[table.picture[face]].whole
        row = catalogue.rows[table.picture[face]]
        tiles.append(
            Tile(
                id=table.items[face],
                name=table.items[face],
                jpeg=jpeg if whole else opinion.jpegs[face],
                size_wh=(int(row["width"]), int(row["height"])) if whole else (1, 1),
                marks=((styles[str(table.label[face])], ""),),
                notes=(_objection(catalogue, opinion, int(face), styles),),
                aside=bool(table.aside[face]),
            )
        )
    return tiles


def large_tile(catalogue: Catalogue, place: int, styles: dict[str, ClassStyle]) -> Tile:
    """One picture in full with its faces numbered.

    Raises:
        ImageError: the picture cannot be read any more.
    """
    picture = catalogue.pictures[place]
    frame, _ = fit_within(read_image(picture.path), LARGE_SIDE)
    _, jpeg = cv2.imencode(".jpg", frame, [cv2.IMWRITE_JPEG_QUALITY, 88])
    boxes = boxes_of(catalogue, place, styles, numbered=len(picture.labels) > 1)
    return Tile(picture.key, picture.key, jpeg.tobytes(), frame.shape[1::-1], boxes=boxes, aside=picture.set_aside)


def picture_details(catalogue: Catalogue, key: str, face: int, opinion: SecondOpinion | None = None) -> PictureDetails:
    """Everything that is known of one picture.

    Raises:
        ImageError: it cannot be read any more.
    """
    place, table = catalogue.place_of[key], catalogue.faces
    picture, row, styles = catalogue.pictures[place], catalogue.rows[place], styles_by_name(catalogue, opinion)
    first = int(np.searchsorted(table.picture, place))
    faces = tuple(
        FaceDetails(
            picture.item(k),
            label,
            float(table.size_px[first + k]),
            bool(table.aside[first + k]),
            opinion_in_words(opinion, first + k, styles),
            float(opinion.losses[first + k]) if opinion else float("nan"),
        )
        for k, label in enumerate(picture.labels)
    )
    known = {
        "File": key,
        "Size": f"{row['width']} × {row['height']} px",
        "Brightness": f"{row['brightness']:.0%}",
        "Part": PARTS.get(picture.split, ""),
    }
    return PictureDetails(
        large_tile(catalogue, place, styles),
        faces,
        min(face, max(0, len(faces) - 1)),
        styles,
        {name: text for name, text in known.items() if text},
        picture.set_aside,
        picture.whole,
    )


def sheet_of_views(
    sample: Sample, how: Augmentation, seed: int, rows_columns: tuple[int, int] = (3, 4), side: int = 224
) -> np.ndarray:
    """Varied views of one face side by side, always the same for a seed: (rows * side, columns * side, 3) uint8 RGB."""
    rows, columns = rows_columns
    views = [varied_view(sample, side, how, np.random.default_rng([seed, i])) for i in range(rows * columns)]
    return np.vstack([np.hstack(views[row * columns : (row + 1) * columns]) for row in range(rows)])


def boxes_of(
    catalogue: Catalogue, place: int, styles: dict[str, ClassStyle], numbered: bool = True
) -> tuple[TileBox, ...]:
    """Where the faces of an annotated picture are; none for class folders."""
    picture, row = catalogue.pictures[place], catalogue.rows[place]
    size = np.array([row["width"], row["height"]] * 2, np.float32)
    return tuple(
        TileBox(
            tuple(np.clip(xyxy / size, 0, 1).tolist()),
            styles[label],
            str(k + 1) if numbered else "",
            picture.set_aside or k in picture.faces_aside,
        )
        for k, (xyxy, label) in enumerate(zip(picture.xyxy, picture.labels, strict=not picture.whole))
    )


def opinion_in_words(opinion: SecondOpinion | None, face: int, styles: dict[str, ClassStyle]) -> str:
    """What the model thinks of a face: "✓ Mask 97%"; empty if it has not judged it."""
    verdict = opinion.verdict(face) if opinion else None
    if verdict is None:
        return ""
    style = styles[verdict[0]]
    return f"{style.sign} {style.words} {percentage(verdict[1])}"


def _objection(catalogue: Catalogue, opinion: SecondOpinion | None, face: int, styles: dict[str, ClassStyle]) -> str:
    return f"Model: {opinion_in_words(opinion, face, styles)}"


def _marks(picture: Picture, styles: dict[str, ClassStyle]) -> tuple[tuple[ClassStyle, str], ...]:
    if picture.whole:
        return ((styles[picture.labels[0]], ""),)
    counts = Counter(picture.labels)
    return tuple((styles[name], f" {counts[name]}") for name in styles if counts[name])
