"""From a index to what a gallery shows: images with their labels, single faces with a model's predictions."""

from collections import Counter

import cv2
import numpy as np

from core.datasets.faces import Sample
from core.datasets.formats import Picture
from core.datasets.index import Index
from core.datasets.label_issues import LabelIssues
from core.datasets.parts import PARTS
from core.datasets.store import class_order
from core.vision.annotate import percentage
from core.vision.classes import ClassStyle, styles_of
from core.vision.crops import fit_within
from core.vision.images import read_image
from pages.components.gallery import FaceDetails, ImageDetails, Tile, TileBox
from train.augment import Augmentation, varied_view

LARGE_SIDE = 1400
"""Longer side of an image that is shown alone; larger than any page."""


def styles_by_name(index: Index, predictions: LabelIssues | None = None) -> dict[str, ClassStyle]:
    """How each class looks, of the set and of the model that classifies it."""
    names = class_order([*index.classes, *(predictions.classes if predictions else ())])
    return dict(zip(names, styles_of(names), strict=True))


def image_tiles(index: Index, places: np.ndarray, predictions: LabelIssues | None = None) -> list[Tile]:
    """Images with their labels; the places of their faces are marked in annotated sets."""
    styles = styles_by_name(index, predictions)
    first_face = np.searchsorted(index.faces.picture, places)
    disagrees = predictions.disagrees if predictions else np.zeros(len(index.faces.items), bool)
    tiles = []
    for place, first, jpeg in zip(places, first_face, index.thumbnails(places), strict=True):
        picture = index.pictures[place]
        mine = slice(first, first + len(picture.labels))
        excluded = index.faces.excluded[mine]
        notes = []
        if disagrees[mine].any():
            notes.append(_objection(index, predictions, int(first + np.flatnonzero(disagrees[mine])[0]), styles))
        if (copies := int(index.group_sizes[place]) - 1) > 0:
            notes.append(f"{copies} near-duplicate{'' if copies == 1 else 's'}")
        if picture.excluded:
            notes.append("Excluded")
        elif picture.excluded_faces:
            notes.append(f"{len(picture.excluded_faces)} excluded")
        tiles.append(
            Tile(
                id=picture.key,
                name=picture.key,
                jpeg=jpeg,
                size_wh=(int(index.rows["width"][place]), int(index.rows["height"][place])),
                marks=_marks(picture, styles),
                notes=tuple(notes),
                boxes=boxes_of(index, int(place), styles, numbered=False),
                excluded=picture.excluded or bool(excluded.size and excluded.all()),
            )
        )
    return tiles


def face_tiles(index: Index, faces: np.ndarray, predictions: LabelIssues) -> list[Tile]:
    """Single faces, each with its label and the model's prediction; ids are items."""
    styles, table = styles_by_name(index, predictions), index.faces
    thumbnails, crops = index.thumbnails(table.picture[faces]), predictions.jpegs(faces)
    tiles = []
    for face, thumbnail, crop in zip(faces, thumbnails, crops, strict=True):
        whole = index.pictures[table.picture[face]].whole
        row = index.rows[table.picture[face]]
        tiles.append(
            Tile(
                id=table.items[face],
                name=table.items[face],
                jpeg=thumbnail if whole else crop,
                size_wh=(int(row["width"]), int(row["height"])) if whole else (1, 1),
                marks=((styles[str(table.label[face])], ""),),
                notes=(_objection(index, predictions, int(face), styles),),
                excluded=bool(table.excluded[face]),
            )
        )
    return tiles


def large_tile(index: Index, place: int, styles: dict[str, ClassStyle]) -> Tile:
    """One image in full with its faces numbered.

    Raises:
        ImageError: the image cannot be read any more.
    """
    picture = index.pictures[place]
    frame, _ = fit_within(read_image(picture.path), LARGE_SIDE)
    _, jpeg = cv2.imencode(".jpg", frame, [cv2.IMWRITE_JPEG_QUALITY, 88])
    boxes = boxes_of(index, place, styles, numbered=len(picture.labels) > 1)
    return Tile(picture.key, picture.key, jpeg.tobytes(), frame.shape[1::-1], boxes=boxes, excluded=picture.excluded)


def image_details(index: Index, key: str, face: int, predictions: LabelIssues | None = None) -> ImageDetails:
    """Everything that is known of one image.

    Raises:
        ImageError: it cannot be read any more.
    """
    place, table = index.place_of[key], index.faces
    picture, row, styles = index.pictures[place], index.rows[place], styles_by_name(index, predictions)
    first = int(np.searchsorted(table.picture, place))
    faces = tuple(
        FaceDetails(
            picture.item(k),
            label,
            float(table.size_px[first + k]),
            bool(table.excluded[first + k]),
            prediction_in_words(predictions, first + k, styles),
            float(predictions.losses[first + k]) if predictions else float("nan"),
        )
        for k, label in enumerate(picture.labels)
    )
    known = {
        "File": key,
        "Size": f"{row['width']} × {row['height']} px",
        "Brightness": f"{row['brightness']:.0%}",
        "Part": PARTS[picture.split] if picture.split else "",
    }
    return ImageDetails(
        large_tile(index, place, styles),
        faces,
        min(face, max(0, len(faces) - 1)),
        styles,
        {name: text for name, text in known.items() if text},
        picture.excluded,
        picture.whole,
    )


def augmentation_sheet(
    sample: Sample, how: Augmentation, seed: int, rows_columns: tuple[int, int] = (3, 4), side: int = 224
) -> np.ndarray:
    """Augmentations of a face side by side, always the same for a seed: (rows * side, columns * side, 3) uint8 RGB."""
    rows, columns = rows_columns
    views = [varied_view(sample, side, how, np.random.default_rng([seed, i])) for i in range(rows * columns)]
    return np.vstack([np.hstack(views[row * columns : (row + 1) * columns]) for row in range(rows)])


def boxes_of(index: Index, place: int, styles: dict[str, ClassStyle], numbered: bool = True) -> tuple[TileBox, ...]:
    """Where the faces of an annotated image are; none for class folders."""
    picture, row = index.pictures[place], index.rows[place]
    size = np.array([row["width"], row["height"]] * 2, np.float32)
    return tuple(
        TileBox(
            tuple(np.clip(xyxy / size, 0, 1).tolist()),
            styles[label],
            str(k + 1) if numbered else "",
            picture.excluded or k in picture.excluded_faces,
        )
        for k, (xyxy, label) in enumerate(zip(picture.xyxy, picture.labels, strict=not picture.whole))
    )


def prediction_in_words(predictions: LabelIssues | None, face: int, styles: dict[str, ClassStyle]) -> str:
    """The model's prediction for a face: "✓ Mask 97%"; empty if there is none."""
    prediction = predictions.prediction(face) if predictions else None
    if prediction is None:
        return ""
    style = styles[prediction[0]]
    return f"{style.sign} {style.words} {percentage(prediction[1])}"


def _objection(index: Index, predictions: LabelIssues | None, face: int, styles: dict[str, ClassStyle]) -> str:
    return f"Model: {prediction_in_words(predictions, face, styles)}"


def _marks(picture: Picture, styles: dict[str, ClassStyle]) -> tuple[tuple[ClassStyle, str], ...]:
    if picture.whole:
        return ((styles[picture.labels[0]], ""),)
    counts = Counter(picture.labels)
    return tuple((styles[name], f" {counts[name]}") for name in styles if counts[name])
