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
    SPLITS,
    DataError,
    Picture,
    Tree,
    clean_label,
    expected,
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
from core.language import ENGLISH, mark, number, tr, trn, using

log = logging.getLogger(__name__)
# No picture reaches this far; a larger number is no coordinate.
MAX_COORDINATE = 1e9
MAX_CLASSES, MAX_FACES = 1_000, 1_000_000
# What a folder is called whose pictures show no face, so that they need no label files.
NO_FACES = {"background", "backgrounds", "negative", "negatives", "noface", "no_face", "no_faces", "empty"}
OUTSIDE_HINTS = {"yolo": mark("YOLO wants shares of width and height, 0 to 1, not pixels")}


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
        try:
            with using(ENGLISH):  # for the log
                pictures = read_layout(tree, layout, findings)
        except DataError:
            return read_layout(tree, layout, Findings())  # says why in the language of now
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
    if box_words := findings.boxes_in_words(tr(OUTSIDE_HINTS.get(layout, ""))):
        findings.warnings.append(box_words)
    if findings.repeated:
        words = trn(
            "{count} image is annotated more than once; the first is used.",
            "{count} images are annotated more than once; the first is used.",
            findings.repeated,
        )
        findings.warnings.append(words.format(count=number(findings.repeated, ",")))
    if findings.resized:
        words = trn(
            "{count} image has another size, or is turned otherwise, than its annotations say; look whether the boxes "
            "fit.",
            "{count} images have another size, or are turned otherwise, than their annotations say; look whether the "
            "boxes fit.",
            findings.resized,
        )
        findings.warnings.append(words.format(count=number(findings.resized, ",")))
    if not pictures:
        reasons = findings.warnings or [f"{path}: {reason}" for path, reason in findings.left_out[:1]]
        words = tr("{folder} holds no labelled images. {why}")
        raise DataError(words.format(folder=tree.folder, why=" ".join(reasons) or expected()))
    pictures.sort(key=lambda picture: picture.key.split("/"))
    if any(picture.split for picture in pictures):
        findings.split_from.add(mark("folders or file names"))
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
        words = tr("{folder} has {count} classes, more than the {most} that are read.")
        raise DataError(
            words.format(folder=tree.folder, count=number(len(classes), ","), most=number(MAX_CLASSES, ","))
        )
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
            words = tr("{folder} has more than {count} faces; split it.")
            raise DataError(words.format(folder=tree.folder, count=number(MAX_FACES, ",")))
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
    for place, raw in enumerate(labelled.faces):
        count += 1
        try:
            face = face_of(raw)
            faces[place] = Face(clean_label(face.label), face.xyxy, face.difficult)
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
        why = bad[0] if bad else tr("its boxes lie outside the image or have no area.")
        findings.leave_out(note, about + why, path)
        return None
    if bad:
        words = tr("{bad} of {count} annotations are left out, as {why}")
        words = words.format(bad=number(len(bad)), count=number(count), why=bad[0])
        findings.left_out.append((note, about + words))
    numbers = tuple(place for place, keep in zip(faces, good, strict=True) if keep)
    return Picture(
        path.as_posix(),
        tree.folder / path,
        tuple(str(faces[own].label) for own in numbers),
        clipped[good],
        folder_split(path.parts[:-1]) or SPLITS.get(labelled.split.casefold(), ""),
        difficult=tuple(place for place, own in enumerate(numbers) if faces[own].difficult),
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
        raise NoteError(tr("a box has something other than numbers.")) from None


# The layouts


def _class_folders(tree: Tree, findings: Findings) -> Iterator[Picture]:
    classes = class_of_each(tree.pictures, SPLITS)
    others = {part for path, name in classes.items() for part in path.parts[:-1] if part != name}
    others = {part for part in others if part.casefold() not in GENERIC | SPLITS.keys()} - set(classes.values())
    if others:
        words = tr("The classes are the folders {names}; folders called {others} only divide them.")
        findings.remarks.append(words.format(names=named(sorted(set(classes.values()))), others=named(sorted(others))))
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
        words = trn(
            "{count} image has no label file and is left out; give it an empty one if it shows no face.",
            "{count} images have no label file and are left out; give each an empty one if it shows no face.",
            without,
        )
        findings.warnings.append(words.format(count=number(without, ",")))
    _warn_of_strays(findings)


def _warn_of_strays(findings: Findings) -> None:
    if strays := findings.stray_notes:
        words = trn(
            "{count} label file belongs to no image: {names}.",
            "{count} label files belong to no image: {names}.",
            len(strays),
        )
        findings.warnings.append(words.format(count=number(len(strays), ","), names=named(strays)))


def _voc(tree: Tree, names: PictureNames, findings: Findings) -> Iterator[tuple[Labelled, Callable]]:
    for path, note in _with_notes(tree, ".xml", findings):
        try:
            faces: list[Any] = []
            size_wh: tuple[Any, Any] = (None, None)
            if note is not None:
                root = read_xml(tree.folder / note)
                if root.tag != "annotation":
                    raise NoteError(tr("it is no Pascal VOC: it begins with {tag!r}.").format(tag=root.tag[:40]))
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
        raise NoteError(tr("it has no name."))
    if box is None:
        raise NoteError(tr("it has no bndbox."))
    corners = [box.findtext(side) for side in ("xmin", "ymin", "xmax", "ymax")]
    if None in corners:
        raise NoteError(tr("its box has no xmin, ymin, xmax and ymax."))
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
        raise NoteError(tr("a line has a class and four numbers, or a polygon."))
    if not numbers[0].is_integer() or int(numbers[0]) not in read.names:
        words = tr("class {name} is not among the {count} that {file} names.")
        raise NoteError(words.format(name=values[0][:20], count=len(read.names), file=read.source))
    label = read.names[int(numbers[0])]
    if len(numbers) <= 6:
        x, y, width, height = numbers[1:5]
        if width < 0 or height < 0:
            raise NoteError(tr("a box has a width or height below zero."))
        return Face(label, (x - width / 2, y - height / 2, x + width / 2, y + height / 2))
    if not all(map(math.isfinite, numbers)):
        raise NoteError(tr("a polygon has something other than numbers."))
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
                    findings.left_out.append((note, tr("an annotation does not say to which image it belongs.")))
            images = _by_id(data, "images", "file_name", note, findings)
        except Exception as error:
            findings.leave_out(note, in_words(error))
            continue
        for image_id, image in images.items():
            path = names.find(str(image["file_name"]), note)
            if path is None:  # many sets come with only some of their pictures
                findings.absent += 1
                continue
            faces = faces_of.get(image_id, ())
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
        entry_id = entry.get("id") if isinstance(entry, dict) else None
        if not isinstance(entry_id, int | str) or field not in entry:
            words = tr("one of its {kind} has no id or no {field}.")
            findings.left_out.append((note, words.format(kind=kind, field=field)))
        elif found.setdefault(entry_id, entry)[field] != entry[field]:
            raise NoteError(tr("two of its {kind} have the id {id}.").format(kind=kind, id=str(entry_id)[:20]))
    return found


def _coco_face(categories: dict, face: dict) -> Face:
    if face["category_id"] not in categories:
        raise NoteError(tr("category {id} has no name.").format(id=str(face["category_id"])[:20]))
    box = _numbers(face["bbox"] if isinstance(face["bbox"], list) else ())
    if len(box) != 4:
        raise NoteError(tr("a box has {count} numbers, expected 4.").format(count=len(box)))
    x, y, width, height = box
    if width < 0 or height < 0:
        raise NoteError(tr("a box has a width or height below zero."))
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
    _warn_of_strays(findings)


def _split_in_name(note: PurePosixPath) -> str:
    """``instances_val2017.json`` holds the validation part; in ``test/`` lies the test's."""
    words = re.findall(r"[a-z]+", note.stem.casefold())
    return next((SPLITS[word] for word in words if word in SPLITS), "") or folder_split(note.parts[:-1])
