"""From a index to what a gallery shows: images with their labels, single faces with a model's predictions."""

from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from pathlib import Path

import cv2
import numpy as np

from core.datasets.faces import Sample
from core.datasets.formats import Picture
from core.datasets.index import Index
from core.datasets.label_issues import LabelIssues
from core.datasets.missing import Suggestion
from core.datasets.parts import PARTS
from core.datasets.store import class_order
from core.language import number, tr, trn
from core.vision.annotate import percentage
from core.vision.boxes import shorter_sides, square_boxes
from core.vision.classes import NO_PREDICTION, ClassStyle, style_of, styles_of
from core.vision.crops import cut, fit_within
from core.vision.images import ImageError, read_image
from pages.components.gallery import FaceDetails, ImageDetails, Tile, TileBox
from train.augment import Augmentation, varied_view

LARGE_SIDE = 1400
"""Longer side of an image that is shown alone; larger than any page."""
CROP_SIDE = 240
AROUND_SUGGESTION = 0.9
"""Around a face that may be missing: people tell a face by what it belongs to."""


def styles_by_name(index: Index, predictions: LabelIssues | None = None) -> dict[str, ClassStyle]:
    """How each class looks, of the set and of the model that classifies it."""
    names = class_order([*index.classes, *(predictions.classes if predictions else ())])
    return dict(zip(names, styles_of(names), strict=True))


def image_tiles(
    index: Index, places: np.ndarray, predictions: LabelIssues | None = None, parts: bool = False
) -> list[Tile]:
    """Images with their labels; the places of their faces are marked in annotated sets.

    Args:
        index: of the set.
        places: of the images.
        predictions: of the model, for where it disagrees.
        parts: whether each one's part of the split is told.
    """
    styles = styles_by_name(index, predictions)
    first_face = np.searchsorted(index.faces.picture, places)
    disagrees = predictions.disagrees if predictions else np.zeros(len(index.faces.items), bool)
    tiles = []
    for place, first, jpeg in zip(places, first_face, index.thumbnails(places), strict=True):
        picture = index.pictures[place]
        mine = slice(first, first + len(picture.labels))
        excluded = index.faces.excluded[mine]
        notes = [tr(PARTS[picture.split])] if parts else []
        if disagrees[mine].any():
            notes.append(_objection(index, predictions, int(first + np.flatnonzero(disagrees[mine])[0]), styles))
        if (copies := int(index.group_sizes[place]) - 1) > 0:
            notes.append(trn("{count} near-duplicate", "{count} near-duplicates", copies).format(count=number(copies)))
        if picture.excluded:
            notes.append(tr("Excluded"))
        elif faces_out := len(picture.excluded_faces):
            notes.append(trn("{count} excluded", "{count} excluded", faces_out).format(count=number(faces_out)))
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


def face_tiles(index: Index, faces: np.ndarray, predictions: LabelIssues | None) -> list[Tile]:
    """Single faces, each with its label and the model's prediction; ids are items."""
    styles, table = styles_by_name(index, predictions), index.faces
    thumbnails = index.thumbnails(table.picture[faces])
    places, firsts = table.picture[faces], np.searchsorted(table.picture, table.picture[faces])
    boxes = [index.pictures[place].box(face - first) for place, face, first in zip(places, faces, firsts, strict=True)]
    crops = _crops(index, places.tolist(), boxes)
    tiles = []
    for face, thumbnail, (crop, _) in zip(faces, thumbnails, crops, strict=True):
        prediction = prediction_in_words(predictions, int(face), styles)
        whole = index.pictures[table.picture[face]].whole
        row = index.rows[table.picture[face]]
        tiles.append(
            Tile(
                id=table.items[face],
                name=table.items[face],
                jpeg=thumbnail if whole else crop,
                size_wh=(int(row["width"]), int(row["height"])) if whole else (1, 1),
                marks=((styles[str(table.label[face])], ""),),
                notes=(tr("Model: {prediction}").format(prediction=prediction),) if prediction else (),
                excluded=bool(table.excluded[face]),
            )
        )
    return tiles


def suggestion_tiles(index: Index, suggestions: Sequence[Suggestion]) -> list[Tile]:
    """Faces that may be missing, each with what is around it."""
    places = [each.place for each in suggestions]
    crops = _crops(index, places, [np.array(each.box, np.float32) for each in suggestions], AROUND_SUGGESTION)
    return [
        Tile(
            id=each.id,
            name=each.picture,
            jpeg=jpeg,
            size_wh=(1, 1),
            marks=(((style_of(each.label, (each.label,)) if each.label else NO_PREDICTION), _percent(each)),),
            notes=(
                tr("A face: {share}, {pixels} px").format(
                    share=percentage(each.score), pixels=number(shorter_sides(np.array(each.box))[0], ".0f")
                ),
            ),
            boxes=(TileBox(shares, NO_PREDICTION),) if shares else (),
        )
        for each, (jpeg, shares) in zip(suggestions, crops, strict=True)
    ]


def _percent(suggestion: Suggestion) -> str:
    return f" {percentage(suggestion.confidence)}" if suggestion.label else ""


Shares = tuple[float, float, float, float]


def _crops(
    index: Index, places: list[int], boxes: Sequence[np.ndarray | None], margin: float = 0.25
) -> list[tuple[bytes, Shares | None]]:
    """Faces cut out of their images, as JPEG, and where their boxes are in them; nothing for those without a box.

    Args:
        index: of the set.
        places: of the images, with repetitions.
        boxes: in pixels of them.
        margin: around the longer side, as a share of it.
    """
    of_picture: dict[int, list[int]] = {}
    for i, (place, box) in enumerate(zip(places, boxes, strict=True)):
        if box is not None:
            of_picture.setdefault(place, []).append(i)
    found: list[tuple[bytes, Shares | None]] = [(b"", None)] * len(places)

    def cut_out(place: int) -> list[tuple[bytes, Shares]]:
        wanted = tuple(tuple(np.asarray(boxes[i]).tolist()) for i in of_picture[place])
        return _crops_of(index.pictures[place].path, int(index.rows[place]["changed_ns"]), wanted, margin)

    with ThreadPoolExecutor(2) as pool:
        for place, cut_outs in zip(of_picture, pool.map(cut_out, of_picture), strict=True):
            for i, each in zip(of_picture[place], cut_outs, strict=True):
                found[i] = each
    return found


@lru_cache(maxsize=256)
def _crops_of(path: Path, changed_ns: int, boxes: tuple[Shares, ...], margin: float) -> list[tuple[bytes, Shares]]:
    """Of one image; ``changed_ns`` tells other contents of the file apart."""
    try:
        frame = read_image(path)
    except ImageError:
        return [(b"", (0.0, 0.0, 0.0, 0.0))] * len(boxes)
    cut_outs = []
    for box in boxes:
        x1, y1, x2, y2 = np.rint(square_boxes(np.array(box), margin)[0])
        side = max(1.0, float(x2 - x1))
        crop, _ = fit_within(cut(frame, (x1, y1, x2, y2)), CROP_SIDE)
        jpeg = cv2.imencode(".jpg", crop, [cv2.IMWRITE_JPEG_QUALITY, 85])[1].tobytes()
        shares = [(value - start) / side for value, start in zip(box, (x1, y1, x1, y1), strict=True)]
        cut_outs.append((jpeg, (shares[0], shares[1], shares[2], shares[3])))
    return cut_outs


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
        tr("File"): key,
        tr("Size"): f"{row['width']} × {row['height']} px",
        tr("Brightness"): number(row["brightness"], ".0%"),
        tr("Part"): tr(PARTS[picture.split]) if picture.split else "",
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
    return tr("Model: {prediction}").format(prediction=prediction_in_words(predictions, face, styles))


def _marks(picture: Picture, styles: dict[str, ClassStyle]) -> tuple[tuple[ClassStyle, str], ...]:
    if picture.whole:
        return ((styles[picture.labels[0]], ""),)
    counts = Counter(picture.labels)
    return tuple((styles[name], f" {counts[name]}") for name in styles if counts[name])
