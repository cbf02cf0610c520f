"""What annotation files say: Pascal VOC, YOLO and COCO, read by supervision's parsers, file by file.

So no pixels are decoded, no mask is made of a size that a file merely promises, and one broken file can be named. Paths
in annotations only ever choose among the pictures that really lie in the set.
"""

import json
import math
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import replace
from functools import lru_cache
from itertools import takewhile
from pathlib import Path, PurePosixPath
from typing import Any, Protocol

import numpy as np
from numpy.typing import ArrayLike

from core.datasets.archive import safe_part, split_suffix
from core.datasets.formats import (
    EXPECTED,
    HELD_OUT_LIST,
    IMAGE_FOLDERS,
    LAYOUTS,
    MAX_COCO_BYTES,
    SPLITS,
    DataError,
    Picture,
    Tree,
    clean_label,
    looks_like_coco,
    names_file,
    pair_notes,
    read_note,
)

MAX_NAMES_BYTES = 256 * 1024
# What the parsers raise at files that are broken, or made to break them.
BROKEN = (ValueError, KeyError, TypeError, IndexError, AttributeError, SyntaxError, OverflowError, RecursionError)
# No picture reaches this far; a larger number is no coordinate.
MAX_COORDINATE = 1e9
# Pictures whose own size cannot be read end here, as the largest JPEG does.
MAX_SIDE = 65_535
OnBroken = Callable[[PurePosixPath, str, PurePosixPath | None], None]
"""Called with a file below the folder, what is wrong with it, and its picture unless it is for many."""


class Broken(Protocol):
    """The same for the readers of one layout."""

    def __call__(self, path: PurePosixPath, error: Exception | str, picture: PurePosixPath | None = None) -> None: ...


def read_layout(tree: Tree, layout: str, on_broken: OnBroken | None = None) -> list[Picture]:
    """Every labelled picture of a folder, in name order.

    Args:
        on_broken: called for each annotation file that cannot be read, whose pictures are then left out; without it
            the first one is an error.

    Raises:
        DataError: a file is broken, or nothing is left.
    """

    def broken(path: PurePosixPath, error: Exception | str, picture: PurePosixPath | None = None) -> None:
        reason = _reason(error)
        if on_broken is None:
            raise DataError(f"{tree.folder} cannot be read as {LAYOUTS[layout]}: {path}: {reason}")
        on_broken(path, reason, picture)

    readers = {"class_folders": _read_class_folders, "pascal_voc": _read_voc, "yolo": _read_yolo, "coco": _read_coco}
    pictures = sorted(readers[layout](tree, broken), key=lambda picture: picture.key.split("/"))
    if not pictures:
        raise DataError(f"{tree.folder} holds no labelled images. {EXPECTED}")
    if PurePosixPath(HELD_OUT_LIST) in tree.notes[".txt"]:
        return _hold_out(pictures, tree.folder / HELD_OUT_LIST)
    return pictures


def _reason(error: Exception | str) -> str:
    return f"{error} is missing." if isinstance(error, KeyError) else str(error)


def _annotated(tree: Tree, suffix: str) -> Iterator[tuple[PurePosixPath, PurePosixPath | None]]:
    """Pictures with their annotation; those without one only where others have one, or in a folder for pictures."""
    note_of = pair_notes(tree, suffix)
    homes = {path.parent for path, note in note_of.items() if note}
    for path, note in note_of.items():
        if note or path.parent in homes or any(part.casefold() in IMAGE_FOLDERS for part in path.parent.parts):
            yield path, note


def _annotated_picture(
    tree: Tree,
    path: PurePosixPath,
    labels: Sequence[str] = (),
    xyxy: ArrayLike = (),
    numbers: Sequence[int] = (),
    difficult: Collection[int] = (),
    size_wh: tuple[int, int] | None = None,
) -> Picture:
    """A picture with its boxes clipped to what it really shows; those of which nothing is left are dropped.

    Args:
        labels: n class names.
        xyxy: (n, 4) in pixels, as the file has them.
        numbers: of these n faces in the file.
        difficult: numbers of those that count neither as hit nor as miss.
        size_wh: of the picture, if it is known.
    """
    boxes = np.asarray(xyxy, np.float32).reshape(-1, 4)
    if len(boxes):
        boxes = np.clip(boxes, 0, np.array(2 * (size_wh or _size_or_limit(tree.folder / path)), np.float32))
    good = np.flatnonzero((boxes[:, 2:] > boxes[:, :2]).all(axis=1)).tolist()  # what is not finite is not larger
    kept = tuple(numbers[i] for i in good)
    return Picture(
        path.as_posix(),
        tree.folder / path,
        tuple(labels[i] for i in good),
        boxes[good],
        _split_of(path.parts[:-1]),
        difficult=tuple(place for place, number in enumerate(kept) if number in difficult),
        numbers=() if kept == tuple(range(len(kept))) else kept,
    )


def _is_box(values: Sequence[Any]) -> bool:
    """Whether these can be coordinates. What is no number at all may be: the parser names it."""
    try:
        return all(math.isfinite(number := float(value)) and abs(number) < MAX_COORDINATE for value in values)
    except OverflowError:
        return False
    except (TypeError, ValueError):
        return True


def _split_of(folders: Iterable[str]) -> str:
    return next((SPLITS[name.casefold()] for name in folders if name.casefold() in SPLITS), "")


def _read_class_folders(tree: Tree, broken: Broken) -> Iterator[Picture]:
    for path in tree.pictures:
        if len(path.parts) > 1:  # the folder that holds a picture is its class, those above may be train/ and test/
            try:
                label = clean_label(path.parts[-2])
            except ValueError as error:
                broken(path, error, path)
                continue
            split = _split_of(path.parts[:-2])
            yield Picture(path.as_posix(), tree.folder / path, (label,), np.empty((0, 4), np.float32), split, True)


def _read_voc(tree: Tree, broken: Broken) -> Iterator[Picture]:
    from defusedxml import DefusedXmlException
    from defusedxml.ElementTree import fromstring
    from supervision.dataset.formats.pascal_voc import detections_from_xml_obj

    for path, note in _annotated(tree, ".xml"):
        if note is None:
            yield _annotated_picture(tree, path)
            continue
        try:
            root = fromstring(read_note(tree.folder / note))
            numbers, difficult = [], set()
            for number, face in enumerate(root.findall("object")):
                for polygon in face.findall("polygon"):  # boxes are all that is used
                    face.remove(polygon)
                if not _is_box([face.findtext(f"bndbox/{side}") for side in ("xmin", "ymin", "xmax", "ymax")]):
                    root.remove(face)
                    continue
                numbers.append(number)
                if (face.findtext("difficult") or "").strip() == "1":
                    difficult.add(number)
            detections, names = detections_from_xml_obj(root, [], (1, 1))
            labels = [clean_label(names[i]) for i in detections.class_id]
            picture = _annotated_picture(tree, path, labels, detections.xyxy, numbers, difficult)
        except DefusedXmlException:
            broken(note, "it defines XML entities, which are not accepted.", path)
            continue
        except BROKEN as error:
            broken(note, error, path)
            continue
        yield picture


def _read_yolo(tree: Tree, broken: Broken) -> Iterator[Picture]:
    from supervision.dataset.formats.yolo import yolo_annotations_to_detections

    names_path = names_file(tree)
    if names_path is None:
        raise DataError(f"{tree.folder} cannot be read as YOLO: it has no list of class names.")
    try:
        names, is_pose = _class_names(tree.folder / names_path)
    except BROKEN as error:
        raise DataError(f"{tree.folder} cannot be read as YOLO: {names_path}: {error}") from None
    for path, note in _annotated(tree, ".txt"):
        try:
            text = read_note(tree.folder / note).decode("utf-8-sig") if note else ""
            every = [line.split() for line in text.splitlines() if line.strip()]
            if is_pose:  # key points follow the box
                every = [values[:5] for values in every]
            usable = [number for number, values in enumerate(every) if _is_yolo_box(values)]
            lines = [" ".join(every[number]) for number in usable]
            size_wh = _picture_size(tree.folder / path) if lines else (1, 1)
            detections = yolo_annotations_to_detections(lines, size_wh, with_masks=False)
            classes = detections.class_id.tolist() if lines else []
            unknown = [i for i in classes if not 0 <= i < len(names)]
            if unknown:
                raise ValueError(f"class {unknown[0]} is not among the {len(names)} that {names_path} names.")
            labels = [names[i] for i in classes]
            picture = _annotated_picture(tree, path, labels, detections.xyxy, usable, size_wh=size_wh)
        except (*BROKEN, OSError) as error:
            broken(note or path, error, path)
            continue
        yield picture


def _is_yolo_box(values: list[str]) -> bool:
    if not _is_box(values[1:]):
        return False
    try:
        return len(values) not in (5, 6) or min(float(values[3]), float(values[4])) >= 0
    except ValueError:
        return True  # the parser names it


def _read_coco(tree: Tree, broken: Broken) -> Iterator[Picture]:
    from supervision.dataset.formats.coco import coco_annotations_to_detections, group_coco_annotations_by_image_id

    by_name: dict[str, list[PurePosixPath]] = {}
    for each in tree.pictures:
        by_name.setdefault(each.name.casefold(), []).append(each)
    seen = set()
    for note in tree.notes[".json"]:
        if not looks_like_coco(tree.folder / note):
            continue
        try:
            data = json.loads(read_note(tree.folder / note, MAX_COCO_BYTES))
            names = {entry["id"]: clean_label(entry["name"]) for entry in data["categories"]}
            faces_of = group_coco_annotations_by_image_id(data["annotations"])
            entries = [(entry["file_name"], entry["id"]) for entry in data["images"]]
        except BROKEN as error:
            broken(note, error)
            continue
        for file_name, number in entries:
            try:
                path = _coco_picture(by_name, note, file_name)
                if path is None or path in seen:  # many sets come with only some of their pictures
                    continue
                every = [face for face in faces_of.get(number, []) if "bbox" in face]
                usable = [i for i, face in enumerate(every) if _is_coco_box(face["bbox"])]
                faces = [{key: every[i][key] for key in ("category_id", "bbox")} for i in usable]
                detections = coco_annotations_to_detections(faces, (1, 1), with_masks=False, use_iscrowd=False)
                if unknown := {face["category_id"] for face in faces} - set(names):
                    raise ValueError(f"category {unknown.pop()} has no name.")
                labels = [names[face["category_id"]] for face in faces]
                picture = _annotated_picture(tree, path, labels, detections.xyxy, usable)
            except BROKEN as error:
                broken(note, f"{str(file_name)[:80]!r}: {_reason(error)}")
                continue
            seen.add(path)
            yield picture if picture.split else replace(picture, split=_split_in_name(note))


def _is_coco_box(bbox: object) -> bool:
    if not isinstance(bbox, list) or len(bbox) != 4:
        return True  # the parser names it
    try:
        return _is_box(bbox) and min(float(bbox[2]), float(bbox[3])) >= 0
    except (TypeError, ValueError):
        return True


def _coco_picture(by_name: dict, note: PurePosixPath, file_name: str) -> PurePosixPath | None:
    """The set's own picture that is meant; where it lay on the machine that wrote the file does not matter."""
    parts = [part for part in re.split(r"[\\/]+", file_name) if part not in ("", ".", "..")]
    if not parts:
        return None
    stem, suffix = split_suffix(parts[-1])  # archives are unpacked under safe names
    found = by_name.get(parts[-1].casefold()) or by_name.get((safe_part(stem) + suffix).casefold(), [])

    def agreement(path: PurePosixPath) -> tuple[int, int, bool]:
        same_end = _same_at_start(path.parts[::-1], parts[::-1])
        same_start = _same_at_start(path.parent.parts, note.parent.parts)
        return same_end, same_start, any(part.casefold() in note.stem.casefold() for part in path.parent.parts)

    return max(found, key=agreement, default=None)


def _same_at_start(a: Iterable[str], b: Iterable[str]) -> int:
    return sum(1 for _ in takewhile(lambda both: both[0].casefold() == both[1].casefold(), zip(a, b, strict=False)))


def _split_in_name(note: PurePosixPath) -> str:
    """``instances_val2017.json`` holds the validation part."""
    words = re.findall(r"[a-z]+", note.stem.casefold())
    return next((SPLITS[word] for word in words if word in SPLITS), "")


def _size_or_limit(path: Path) -> tuple[int, int]:
    """(width, height); of a picture that cannot be read, and therefore never cut, more than any has."""
    try:
        return _picture_size(path)
    except (ValueError, OSError):
        return MAX_SIDE, MAX_SIDE


def _picture_size(path: Path) -> tuple[int, int]:
    """(width, height) as the picture is shown, from the file's header alone."""
    stat = path.stat()
    return _read_size(path, stat.st_size, stat.st_mtime_ns)


# Pages read a set at every click; the header of an unchanged file says the same each time.
@lru_cache(maxsize=2**16)
def _read_size(path: Path, size: int, changed_ns: int) -> tuple[int, int]:
    from PIL import Image

    from core.vision.images import FORMATS, ImageError

    try:
        with Image.open(path, formats=[name for name in FORMATS if name != "HEIF"]) as image:
            width, height = image.size
            return (height, width) if image.getexif().get(0x0112) in (5, 6, 7, 8) else (width, height)
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        try:
            from core.vision.images import read_image

            return read_image(path).shape[1::-1]  # HEIC, and a sentence for what is no picture
        except ImageError as error:
            raise ValueError(str(error)) from None


def _class_names(path: Path) -> tuple[list[str], bool]:
    """Class names by number, and whether the labels hold key points too."""
    text = read_note(path, MAX_NAMES_BYTES).decode("utf-8-sig")
    if path.suffix.lower() not in (".yaml", ".yml"):
        return [clean_label(line) for line in text.splitlines() if line.strip()], False
    import yaml

    try:
        # References make a small file unfold into gigabytes; no list of names needs them.
        if any(isinstance(event, yaml.AliasEvent) for event in yaml.parse(text, Loader=yaml.SafeLoader)):
            raise ValueError("it uses references (*name), which are not accepted.")
        data = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ValueError(f"it is no YAML: {str(error).splitlines()[0]}.") from None
    names = data.get("names") if isinstance(data, dict) else None
    if isinstance(names, dict):
        if sorted(int(number) for number in names) != list(range(len(names))):
            raise ValueError("its names are not numbered 0, 1, 2 and so on.")
        names = [names[number] for number in sorted(names, key=int)]
    if not isinstance(names, list) or not names:
        raise ValueError("it has no list of names.")
    return [clean_label(name) for name in names], "kpt_shape" in data


def _hold_out(pictures: list[Picture], path: Path) -> list[Picture]:
    """Mark the pictures that a list names as the test; in class folders, each of which may have a ``1.jpg``, a line
    with a folder means that folder's."""
    try:
        lines = read_note(path).decode().splitlines()
    except (OSError, ValueError) as error:
        raise DataError(f"{path} cannot be read: {error}") from None
    named = [PurePosixPath(line.strip().replace("\\", "/")) for line in lines if line.strip()]
    stems, places = {path.stem for path in named}, {(path.parent.name, path.stem) for path in named}

    def listed(picture: Picture) -> bool:
        own = PurePosixPath(picture.key)
        if picture.whole:
            return bool(places & {(own.parent.name, own.stem), ("", own.stem)})
        return own.stem in stems

    return [replace(picture, split="test") if listed(picture) else picture for picture in pictures]
