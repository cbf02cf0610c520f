"""Labelled pictures as people keep them: class folders, Pascal VOC, YOLO and COCO, with any class names.

A folder is walked once, and only files that really lie in it are used, whatever its annotations name. This module says
what is there and which layout that is; ``core.datasets.readers`` reads it.
"""

import mmap
import os
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path, PurePosixPath

import numpy as np

from core.vision.images import SUFFIXES as PICTURE_SUFFIXES

NOTE_SUFFIXES = {".xml", ".txt", ".json", ".yaml", ".yml", ".names"}
HELD_OUT_LIST = "test.txt"
LAYOUTS = {
    "class_folders": "Class folders",
    "pascal_voc": "Pascal VOC",
    "yolo": "YOLO",
    "coco": "COCO",
}
EXPECTED = (
    "Expected are class folders (one folder per class, images in it), or boxes around faces as Pascal VOC "
    "(images/, annotations/), YOLO (images/, labels/, data.yaml) or COCO (one .json with images, annotations, "
    "categories)."
)
SPLITS = {
    "train": "train",
    "training": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "dev": "val",
    "test": "test",
    "testing": "test",
}
# Where a picture's annotation lies if not beside it: the first kind of folder is taken for the second.
IMAGE_FOLDERS = {"images", "jpegimages", "imgs"}
NOTE_FOLDERS = {".xml": ("annotations", "xmls", "labels"), ".txt": ("labels",)}
# These two stand beside pictures and are no picture's annotation.
LISTS = (HELD_OUT_LIST, "classes.txt")
MAX_LABEL = 80
MAX_NOTE_BYTES = 16 * 1024**2
MAX_COCO_BYTES = 256 * 1024**2


class DataError(ValueError):
    """A data folder cannot be used; the message says which and what is expected, in one sentence."""


@dataclass(frozen=True, eq=False)
class Picture:
    """One picture of a data set with what is known of it; nothing is decoded."""

    key: str
    """Path below the set's folder, with "/": its name within the set."""
    path: Path
    labels: tuple[str, ...]
    """One per face; in class folders exactly one, of the whole picture."""
    xyxy: np.ndarray
    """(n, 4) float32, pixels, inside the picture and with an area, whatever the file says; (0, 4) in class folders."""
    split: str = ""
    """``train``, ``val`` or ``test`` if the set itself says so, else empty."""
    whole: bool = False
    """Whether the label is that of the whole picture, as in class folders."""
    set_aside: bool = False
    """Whether a repair keeps the picture out of training."""
    faces_aside: tuple[int, ...] = ()
    """Places of single faces that repairs keep out of training."""
    edited: tuple[int, ...] = ()
    """Places of faces whose label a person changed."""
    difficult: tuple[int, ...] = ()
    """Places of faces that the annotator found hard to tell (Pascal VOC): never trained on, neither hit nor miss."""
    numbers: tuple[int, ...] = ()
    """Number of each face in the annotation file, if boxes were dropped that cannot be used; empty if none was."""

    def item(self, face: int) -> str:
        """What repairs and samples call this face; ``face`` counts from 0 and is 0 in class folders."""
        return self.key if self.whole else f"{self.key}#{self.numbers[face] if self.numbers else face}"

    def place_of(self, number: int) -> int:
        """The place of the face that ``item`` calls ``KEY#number``."""
        return self.numbers.index(number) if self.numbers else number

    def box(self, face: int) -> np.ndarray | None:
        """(4,) float32, the face's box; ``None`` in class folders, where the whole picture is the face."""
        return None if self.whole else self.xyxy[face]

    @property
    def counted(self) -> tuple[int, ...]:
        """Places of the faces to train on and to count: all but what is difficult or was set aside."""
        left_out = {*self.faces_aside, *self.difficult}
        return () if self.set_aside else tuple(i for i in range(len(self.labels)) if i not in left_out)


def clean_label(text: object) -> str:
    """A class name fit for tables and charts: one line, at most 80 characters.

    Raises:
        ValueError: nothing is left, or it is no text.
    """
    if isinstance(text, bool) or not isinstance(text, str | int | float):
        raise ValueError(f"A class is called {type(text).__name__}, expected a name.")
    label = " ".join("".join(c if c.isprintable() else " " for c in str(text)).split())[:MAX_LABEL].strip()
    if not label:
        raise ValueError("A class has an empty name.")
    return label


@dataclass(frozen=True)
class Tree:
    """The files of a data set by kind, as paths below its folder, in name order."""

    folder: Path
    pictures: list[PurePosixPath] = field(default_factory=list)
    notes: dict[str, list[PurePosixPath]] = field(default_factory=dict)
    """By suffix, in lower case."""


def walk(folder: Path) -> Tree:
    """List a folder. Hidden files are passed over, and so are links that lead out of it."""
    root = folder.resolve()
    tree = Tree(folder, [], {suffix: [] for suffix in NOTE_SUFFIXES})
    for where, folders, files in os.walk(root):
        folders[:] = [name for name in folders if not name.startswith(".") and name != "__MACOSX"]
        below = PurePosixPath(Path(where).relative_to(root).as_posix())
        for name in files:
            suffix = os.path.splitext(name)[1].lower()  # noqa: PTH122 (ten thousand Path objects take a second)
            if name.startswith(".") or not (suffix in PICTURE_SUFFIXES or suffix in NOTE_SUFFIXES):
                continue
            path = os.path.join(where, name)  # noqa: PTH118
            if os.path.islink(path) and not Path(path).resolve().is_relative_to(root):  # noqa: PTH114
                continue
            (tree.pictures if suffix in PICTURE_SUFFIXES else tree.notes[suffix]).append(below / name)
    tree.pictures.sort()
    for paths in tree.notes.values():
        paths.sort()
    return tree


# Which layout


def layout_of(tree: Tree) -> str:
    """The layout of a folder.

    Raises:
        DataError: it has none of the four.
    """
    folder = tree.folder
    if not tree.pictures:
        raise DataError(f"{folder} holds no images. {EXPECTED}")
    if any(pair_notes(tree, ".xml").values()):
        return "pascal_voc"
    labelled = any(pair_notes(tree, ".txt").values())
    if labelled and names_file(tree):
        return "yolo"
    if any(looks_like_coco(folder / path) for path in tree.notes[".json"]):
        return "coco"
    tops = {path.parts[0] for path in tree.pictures if len(path.parts) > 1}
    if labelled and any(part.casefold() == "labels" for path in tree.notes[".txt"] for part in path.parts[:-1]):
        raise DataError(f"{folder} looks like YOLO but has no data.yaml (or classes.txt) that names the classes.")
    if "images" in tops and (folder / "annotations").is_dir():
        return "pascal_voc"  # photos without a single face
    if tops:
        return "class_folders"
    raise DataError(f"The images in {folder} lie loose, so nobody can know their classes. {EXPECTED}")


def pair_notes(tree: Tree, suffix: str) -> dict[PurePosixPath, PurePosixPath | None]:
    """For each picture its annotation, ``.xml`` or ``.txt``: beside it, or in the folder that mirrors its own."""
    notes = {
        (tuple(part.casefold() for part in path.parent.parts), path.stem): path
        for path in tree.notes[suffix]
        if str(path) not in LISTS
    }
    if not notes:
        return dict.fromkeys(tree.pictures)
    mirrors: dict[PurePosixPath, list[tuple[str, ...]]] = {}
    found = {}
    for path in tree.pictures:
        if path.parent not in mirrors:
            parts = tuple(part.casefold() for part in path.parent.parts)
            mirrors[path.parent] = [parts] + [
                (*parts[:i], name, *parts[i + 1 :])
                for i in reversed(range(len(parts)))
                if parts[i] in IMAGE_FOLDERS
                for name in NOTE_FOLDERS[suffix]
            ]
        found[path] = next(
            (notes[place, path.stem] for place in mirrors[path.parent] if (place, path.stem) in notes), None
        )
    return found


@lru_cache(maxsize=256)
def _mentions_coco(path: Path, size: int, changed_ns: int) -> bool:
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as text:
        return all(text.find(word) >= 0 for word in (b'"images"', b'"annotations"', b'"categories"'))


def looks_like_coco(path: Path) -> bool:
    """Whether a JSON file speaks of images, annotations and categories; it is searched, not parsed."""
    try:
        stat = path.stat()
        return 0 < stat.st_size <= MAX_COCO_BYTES and _mentions_coco(path, stat.st_size, stat.st_mtime_ns)
    except OSError:
        return False


def names_file(tree: Tree) -> PurePosixPath | None:
    """The file that names YOLO's classes."""
    at_top = {suffix: [p for p in tree.notes[suffix] if len(p.parts) <= 2] for suffix in tree.notes}
    for path in at_top[".yaml"] + at_top[".yml"]:
        try:
            if b"names" in read_note(tree.folder / path):
                return path
        except (OSError, ValueError):
            continue
    lists = at_top[".names"] + [p for p in at_top[".txt"] if p.name.casefold() == "classes.txt"]
    return lists[0] if lists else None


def read_note(path: Path, limit: int = MAX_NOTE_BYTES) -> bytes:
    """The bytes of an annotation file; ``ValueError`` if it is larger than ``limit`` bytes."""
    with path.open("rb") as file:
        if os.fstat(file.fileno()).st_size > limit:
            raise ValueError(f"the file is larger than {limit / 1024**2:g} MB.")
        return file.read()


# Lists of held-out pictures


def read_list(path: Path | str) -> set[str]:
    """File names, one per line, without folder and extension."""
    return {Path(line.strip()).stem for line in Path(path).read_text().splitlines() if line.strip()}
