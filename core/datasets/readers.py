"""The labelled pictures of a folder, in any layout: each picture and each annotation by itself.

No pixels are decoded, and no mask is made of a size that a file merely promises. Paths in annotations only ever choose
among the pictures that really lie in the set. What cannot be read is left out and named in ``Findings``.
"""

import logging
import math
import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from core.datasets.class_folders import GENERIC, class_of_each
from core.datasets.findings import Findings, named
from core.datasets.formats import (
    EXPECTED,
    SPLITS,
    DataError,
    Picture,
    Tree,
    clean_label,
    folder_split,
    list_split,
    looks_like_coco,
    names_files,
    pair_notes,
)
from core.datasets.notes import (
    MAX_LINES_BYTES,
    NoteError,
    in_words,
    read_json,
    read_text,
    read_xml,
)
from core.datasets.pairing import PictureNames, divide
from core.datasets.picture_size import picture_size, size_or_limit
from core.datasets.spellings import plain_meanings
from core.datasets.tool_formats import TOOLS, Face
from core.datasets.yolo_names import ClassNames, class_names, split_in_yaml

log = logging.getLogger(__name__)
# No picture reaches this far; a larger number is no coordinate.
MAX_COORDINATE = 1e9
MAX_CLASSES, MAX_FACES = 1_000, 1_000_000
# What a folder is called whose pictures show no face, so that they need no label files.
NO_FACES = {"background", "backgrounds", "negative", "negatives", "noface", "no_face", "no_faces", "empty"}
OUTSIDE_HINTS = {"yolo": "YOLO wants shares of width and height, 0 to 1, not pixels"}


@dataclass(frozen=True)
class Labelled:
    """A picture and its faces as the annotation file has them."""

    path: PurePosixPath
    note: PurePosixPath | None
    faces: Iterable[Any] = ()
    split: str = ""
    """Of the annotations; the picture's own folder counts more."""
    in_shares: bool = False
    """Whether boxes are shares of width and height."""
    own_note: bool = True
    """Whether the annotation file is this picture's alone."""
    size_wh: tuple[Any, Any] = (None, None)
    """Of the picture as it was annotated, if the file states that."""


def read_layout(tree: Tree, layout: str, findings: Findings | None = None) -> list[Picture]:
    """Every labelled picture of a folder, in name order. What cannot be read is left out.

    Args:
        findings: filled with what was left out and what looks wrong; without it, the log says so, once.

    Raises:
        DataError: nothing is left, or there are too many classes to be names of classes.
    """
    if findings is None:
        findings = Findings()
        pictures = read_layout(tree, layout, findings)
        _log(tree.folder, tuple(findings.warnings), len(findings.left_out), tuple(findings.left_out[:1]))
        return pictures
    names = PictureNames(tree)
    if layout == "class_folders":
        pictures = list(_class_folders(tree, findings))
    else:
        readers = {"pascal_voc": _voc, "yolo": _yolo, "coco": _coco}
        read = readers.get(layout) or partial(_tool, layout)
        pictures = list(_unique(tree, read(tree, names, findings), findings))
    read_keys = {picture.key for picture in pictures}
    findings.unlabelled = [
        path for path in tree.pictures if path.as_posix() not in read_keys and path not in findings.pictures_out
    ]
    if box_words := findings.boxes_in_words(OUTSIDE_HINTS.get(layout, "")):
        findings.warnings.append(box_words)
    if findings.repeated:
        findings.warnings.append(f"{findings.repeated:,} images are annotated more than once; the first is used.")
    if findings.resized:
        findings.warnings.append(
            f"{findings.resized:,} images have another size, or are turned otherwise, than their annotations say; look "
            "whether the boxes fit."
        )
    if not pictures:
        reasons = findings.warnings or [f"{path}: {reason}" for path, reason in findings.left_out[:1]]
        raise DataError(f"{tree.folder} holds no labelled images. {' '.join(reasons) or EXPECTED}")
    pictures.sort(key=lambda picture: picture.key.split("/"))
    if any(picture.split for picture in pictures):
        findings.split_from.add("folders or file names")
    return _joined(tree, divide(tree, pictures, names, findings), findings)


# Pages read a set at every click; it is logged once.
@lru_cache(maxsize=256)
def _log(folder: Path, warnings: tuple[str, ...], left_out: int, first: tuple[tuple[PurePosixPath, str], ...]) -> None:
    for warning in warnings:
        log.warning("%s: %s", folder, warning)
    for path, reason in first:
        log.warning("%s: %d entries are left out, as %s: %s", folder, left_out, path, reason)


def _joined(tree: Tree, pictures: list[Picture], findings: Findings) -> list[Picture]:
    """The pictures with this project's names for the classes that plainly mean them."""
    classes = {label for picture in pictures for label in picture.labels}
    if len(classes) > MAX_CLASSES:
        raise DataError(f"{tree.folder} has {len(classes):,} classes, more than the {MAX_CLASSES:,} that are read.")
    findings.joined = plain_meanings(classes)
    if not findings.joined:
        return pictures
    return [
        replace(picture, labels=tuple(findings.joined.get(label, label) for label in picture.labels))
        for picture in pictures
    ]


# From what a file says to pictures


def _unique(
    tree: Tree, found: Iterable[tuple[Labelled, Callable[[Any], Face]]], findings: Findings
) -> Iterator[Picture]:
    seen = set()
    for labelled, face_of in found:
        if labelled.path in seen:
            findings.repeated += 1
            continue
        try:
            picture = _picture(tree, labelled, face_of, findings)
        except Exception as error:  # whatever one picture's annotations hold, the others are read
            about = "" if labelled.own_note else f"{labelled.path.name}: "
            findings.leave_out(labelled.note or labelled.path, about + in_words(error), labelled.path)
            continue
        if findings.boxes > MAX_FACES:
            raise DataError(f"{tree.folder} has more than {MAX_FACES:,} faces; split it.")
        if picture is not None:
            seen.add(labelled.path)
            yield picture


def _picture(tree: Tree, labelled: Labelled, face_of: Callable[[Any], Face], findings: Findings) -> Picture | None:
    """A picture with its boxes clipped to what it really shows; ``None`` if it has faces, but none can be used.

    Such a picture would else pass for one without a face.
    """
    path, note = labelled.path, labelled.note or labelled.path
    faces: dict[int, Face] = {}
    bad: list[str] = []
    count = 0
    for number, raw in enumerate(labelled.faces):
        count += 1
        try:
            face = face_of(raw)
            faces[number] = Face(clean_label(face.label), face.xyxy, face.difficult)
        except Exception as error:
            bad.append(in_words(error))
    size_wh = (1, 1)
    if faces:
        size_wh = picture_size(tree.folder / path) if labelled.in_shares else size_or_limit(tree.folder / path)
        findings.resized += not labelled.in_shares and _is_other_size(labelled.size_wh, size_wh)
    raw_boxes = np.array([_finite(face.xyxy) for face in faces.values()], float).reshape(-1, 4)
    boxes = raw_boxes * (2 * size_wh if labelled.in_shares else (1, 1, 1, 1))
    clipped = np.clip(boxes.astype(np.float32), 0, np.array(2 * size_wh, np.float32))
    good = np.logical_and.reduce(clipped[:, 2:] > clipped[:, :2], axis=1)  # what is not finite is not larger
    has_area = np.logical_and.reduce(boxes[:, 2:] > boxes[:, :2], axis=1)
    findings.boxes += len(boxes)
    findings.outside += int((has_area & ~good).sum())
    findings.empty += int((~has_area).sum())
    about = "" if labelled.own_note else f"{path.name}: "
    if count and not good.any():
        findings.leave_out(note, about + (bad[0] if bad else "its boxes lie outside the image or have no area."), path)
        return None
    if bad:
        findings.left_out.append((note, f"{about}{len(bad)} of {count} annotations are left out, as {bad[0]}"))
    numbers = tuple(number for number, keep in zip(faces, good, strict=True) if keep)
    return Picture(
        path.as_posix(),
        tree.folder / path,
        tuple(str(faces[number].label) for number in numbers),
        clipped[good],
        folder_split(path.parts[:-1]) or SPLITS.get(labelled.split.casefold(), ""),
        difficult=tuple(place for place, number in enumerate(numbers) if faces[number].difficult),
        numbers=() if numbers == tuple(range(len(numbers))) else numbers,
    )


def _is_other_size(stated_wh: tuple[Any, Any], size_wh: tuple[int, int]) -> bool:
    try:
        width, height = (int(side) for side in stated_wh)
    except (TypeError, ValueError, OverflowError):
        return False
    return min(width, height) > 0 and (width, height) != tuple(size_wh)


def _finite(xyxy: Iterable[float]) -> tuple[float, ...]:
    """The same box; of no area if one of its numbers cannot be a coordinate."""
    values = tuple(xyxy)
    return values if all(math.isfinite(v) and abs(v) < MAX_COORDINATE for v in values) else (0.0,) * 4


def _numbers(values: Iterable[Any]) -> tuple[float, ...]:
    try:
        return tuple(float(value) for value in values)
    except (TypeError, ValueError, OverflowError):
        raise NoteError("a box has something other than numbers.") from None


# The layouts


def _class_folders(tree: Tree, findings: Findings) -> Iterator[Picture]:
    classes = class_of_each(tree.pictures, SPLITS)
    others = {part for path, name in classes.items() for part in path.parts[:-1] if part != name}
    others = {part for part in others if part.casefold() not in GENERIC | SPLITS.keys()} - set(classes.values())
    if others:
        findings.remarks.append(
            f"The classes are the folders {named(sorted(set(classes.values())))}; folders called "
            f"{named(sorted(others))} only divide them."
        )
    for path, name in classes.items():
        try:
            label = clean_label(name)
        except NoteError as error:
            findings.leave_out(path, in_words(error), path)
            continue
        folders = [part for part in path.parts[:-1] if part != name]
        yield Picture(
            path.as_posix(), tree.folder / path, (label,), np.empty((0, 4), np.float32), folder_split(folders), True
        )


def _with_notes(tree: Tree, suffix: str, findings: Findings) -> Iterator[tuple[PurePosixPath, PurePosixPath | None]]:
    """Pictures with their annotation files. Without one, only those are taken that the set says show no face."""
    note_of = pair_notes(tree, suffix)
    used = set(note_of.values())
    kept = {path for path in tree.notes[suffix] if list_split(path)} | set(names_files(tree))
    strays = [path for path in tree.notes[suffix] if path not in used | kept]
    findings.stray_notes = [path for path in strays if len(path.parts) > 1 or suffix != ".txt"]  # README.txt
    without = 0
    for path, note in note_of.items():
        if note or NO_FACES & {part.casefold() for part in path.parts[:-1]}:
            yield path, note
        else:
            without += 1
    if without:
        findings.warnings.append(
            f"{without:,} images have no label file and are left out; give each an empty one if it shows no face."
        )
    if findings.stray_notes:
        findings.warnings.append(
            f"{len(findings.stray_notes):,} label files belong to no image: {named(findings.stray_notes)}."
        )


def _voc(tree: Tree, names: PictureNames, findings: Findings) -> Iterator[tuple[Labelled, Callable]]:
    for path, note in _with_notes(tree, ".xml", findings):
        try:
            faces: list[Any] = []
            size_wh: tuple[Any, Any] = (None, None)
            if note is not None:
                root = read_xml(tree.folder / note)
                if root.tag != "annotation":
                    raise NoteError(f"it is no Pascal VOC: it begins with {root.tag[:40]!r}.")
                faces = root.findall("object")
                size_wh = root.findtext("size/width"), root.findtext("size/height")
        except Exception as error:
            findings.leave_out(note or path, in_words(error), path)
            continue
        yield Labelled(path, note, faces, size_wh=size_wh), _voc_face


def _voc_face(element: Any) -> Face:
    """Corners are pixels counted from 1, the far ones included; either pair may come first."""
    name, box = element.findtext("name"), element.find("bndbox")
    if name is None:
        raise NoteError("it has no name.")
    if box is None:
        raise NoteError("it has no bndbox.")
    corners = [box.findtext(side) for side in ("xmin", "ymin", "xmax", "ymax")]
    if None in corners:
        raise NoteError("its box has no xmin, ymin, xmax and ymax.")
    x1, y1, x2, y2 = _numbers(corners)
    xyxy = min(x1, x2) - 1, min(y1, y2) - 1, max(x1, x2), max(y1, y2)
    return Face(name, xyxy, (element.findtext("difficult") or "").strip() == "1")


def _yolo(tree: Tree, names: PictureNames, findings: Findings) -> Iterator[tuple[Labelled, Callable]]:
    read = class_names(tree, findings)
    face_of = partial(_yolo_face, read)
    for path, note in _with_notes(tree, ".txt", findings):
        try:
            lines = read_text(tree.folder / note, MAX_LINES_BYTES).splitlines() if note else []
        except Exception as error:
            findings.leave_out(note or path, in_words(error), path)
            continue
        faces = [line for line in lines if line.strip()]
        yield Labelled(path, note, faces, split_in_yaml(read.splits, path), in_shares=True), face_of


def _yolo_face(read: ClassNames, line: str) -> Face:
    from supervision.dataset.formats.yolo import yolo_annotations_to_detections

    values = line.split()
    if read.is_pose:  # key points follow the box
        values = values[:5]
    numbers = _numbers(values)
    if len(numbers) < 5:
        raise NoteError("a line has a class and four numbers, or a polygon.")
    if not numbers[0].is_integer() or int(numbers[0]) not in read.names:
        raise NoteError(f"class {values[0][:20]} is not among the {len(read.names)} that {read.source} names.")
    label = read.names[int(numbers[0])]
    if len(numbers) <= 6:
        x, y, width, height = numbers[1:5]
        if width < 0 or height < 0:
            raise NoteError("a box has a width or height below zero.")
        return Face(label, (x - width / 2, y - height / 2, x + width / 2, y + height / 2))
    if not all(map(math.isfinite, numbers)):
        raise NoteError("a polygon has something other than numbers.")
    polygon = yolo_annotations_to_detections([" ".join([str(int(numbers[0])), *values[1:]])], (1, 1), with_masks=False)
    return Face(label, tuple(polygon.xyxy[0].tolist()))


def _coco(tree: Tree, names: PictureNames, findings: Findings) -> Iterator[tuple[Labelled, Callable]]:
    for note in tree.notes[".json"]:
        if not looks_like_coco(tree.folder / note):
            continue
        try:
            data = read_json(tree.folder / note)
            categories = _by_id(data, "categories", "name", note, findings)
            faces_of = defaultdict(list)
            for entry in data["annotations"]:
                if isinstance(entry, dict) and isinstance(entry.get("image_id"), int | str):
                    faces_of[entry["image_id"]].append(entry)
                else:
                    findings.left_out.append((note, "an annotation does not say to which image it belongs."))
            images = _by_id(data, "images", "file_name", note, findings)
        except Exception as error:
            findings.leave_out(note, in_words(error))
            continue
        for number, image in images.items():
            path = names.find(str(image["file_name"]), note)
            if path is None:  # many sets come with only some of their pictures
                findings.absent += 1
                continue
            faces = faces_of.get(number, ())
            size_wh = image.get("width"), image.get("height")
            labelled = Labelled(path, note, faces, _split_in_name(note), own_note=False, size_wh=size_wh)
            yield labelled, partial(_coco_face, categories)


def _by_id(data: dict, kind: str, field: str, note: PurePosixPath, findings: Findings) -> dict[int | str, dict]:
    """The entries that have this field, by their numbers.

    Raises:
        NoteError: two different ones share a number, so that nobody knows which is meant.
    """
    found: dict[int | str, dict] = {}
    for entry in data[kind]:
        number = entry.get("id") if isinstance(entry, dict) else None
        if not isinstance(number, int | str) or field not in entry:
            findings.left_out.append((note, f"one of its {kind} has no id or no {field}."))
        elif found.setdefault(number, entry)[field] != entry[field]:
            raise NoteError(f"two of its {kind} have the id {str(number)[:20]}.")
    return found


def _coco_face(categories: dict, face: dict) -> Face:
    if face["category_id"] not in categories:
        raise NoteError(f"category {str(face['category_id'])[:20]} has no name.")
    box = _numbers(face["bbox"] if isinstance(face["bbox"], list) else ())
    if len(box) != 4:
        raise NoteError(f"a box has {len(box)} numbers, expected 4.")
    x, y, width, height = box
    if width < 0 or height < 0:
        raise NoteError("a box has a width or height below zero.")
    name, xyxy = categories[face["category_id"]]["name"], (x, y, x + width, y + height)
    return Face(name, xyxy, face.get("iscrowd") == 1)  # COCO's own evaluation counts it neither as hit nor as miss


def _tool(key: str, tree: Tree, names: PictureNames, findings: Findings) -> Iterator[tuple[Labelled, Callable]]:
    tool = TOOLS[key]
    for note in tree.notes[tool.suffix]:
        if not (tool.reads or tool.fits)(tree.folder / note):
            continue
        try:
            found = list(tool.pictures(tool.read(tree.folder / note), note))
        except Exception as error:
            own = names.find(note.stem, note) if tool.one_each else None
            findings.leave_out(note, in_words(error), own)
            continue
        for entry in found:
            path = names.find(entry.picture, note) or (names.find(note.stem, note) if tool.one_each else None)
            if path is not None:
                split = entry.split if entry.split.casefold() in SPLITS else _split_in_name(note)
                labelled = Labelled(path, note, entry.faces, split, tool.in_shares, tool.one_each, entry.size_wh)
                yield labelled, tool.face
            elif tool.one_each:
                findings.stray_notes.append(note)
            else:
                findings.absent += 1
    if findings.stray_notes:
        findings.warnings.append(
            f"{len(findings.stray_notes):,} label files belong to no image: {named(findings.stray_notes)}."
        )


def _split_in_name(note: PurePosixPath) -> str:
    """``instances_val2017.json`` holds the validation part; in ``test/`` lies the test's."""
    words = re.findall(r"[a-z]+", note.stem.casefold())
    return next((SPLITS[word] for word in words if word in SPLITS), "") or folder_split(note.parts[:-1])
