"""Labelled pictures as people keep them: class folders, Pascal VOC, YOLO, COCO and what other tools export.

A folder is walked once, and only files that really lie in it are used, whatever its annotations name. This module says
what is there and which layout that is; ``core.datasets.readers`` reads it.
"""

import os
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from unicodedata import normalize
from urllib.parse import unquote

import numpy as np

from core.datasets.class_folders import TwoReadings, class_of_each, names_known_class
from core.datasets.notes import MAX_LIST_BYTES, NoteError, mentions, read_text
from core.datasets.tool_formats import REFUSED, TOOLS
from core.language import mark, tr
from core.vision.images import SUFFIXES as PICTURE_SUFFIXES

# What is kept beside pictures: annotations, lists of names, and files by which a format is recognized that is refused.
NOTE_SUFFIXES = {".xml", ".txt", ".json", ".yaml", ".yml", ".names", ".labels", ".csv", ".jsonl"}
LAYOUTS = {
    "class_folders": mark("Class folders"),
    "pascal_voc": "Pascal VOC",
    "yolo": "YOLO",
    "coco": "COCO",
} | {key: tool.title for key, tool in TOOLS.items()}
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
# Folders in which lists of a split lie, if not at the top.
LIST_FOLDERS = {"imagesets", "main", "splits", "lists", "layout", "segmentation"}
# Where a picture's annotation lies if not beside it: the first kind of folder is taken for the second.
IMAGE_FOLDERS = {"images", "jpegimages", "imgs"}
NOTE_FOLDERS = {
    ".xml": ("annotations", "xmls", "labels", "annotation"),
    ".txt": ("labels", "annotations"),
    ".json": ("annotations", "labels", "ann"),
}
# Lists of YOLO's classes, one a line. They stand beside pictures and are no picture's annotation.
NAME_LISTS = {"classes.txt", "_classes.txt", "class_names.txt", "predefined_classes.txt", "names.txt"}
MAX_LABEL = 80
COCO_WORDS = (b'"images"', b'"annotations"', b'"categories"')


class DataError(ValueError):
    """A data folder cannot be used; the message says which and what is expected, in one sentence."""


def expected() -> str:
    """What a data set must be, as one sentence."""
    return tr(
        "Expected are class folders (one folder per class, images in it), or boxes around faces as Pascal VOC "
        "(images/, annotations/), YOLO (images/, labels/, data.yaml), COCO (one .json with images, annotations, "
        "categories), or as exported by {tools}."
    ).format(tools=", ".join(tr(name) for name in dict.fromkeys(tool.made_by for tool in TOOLS.values())))


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
    excluded: bool = False
    """Whether a repair keeps the picture out of training."""
    excluded_faces: tuple[int, ...] = ()
    """Places of single faces that edits keep out of training."""
    edited: tuple[int, ...] = ()
    """Places of faces whose label or box a person changed, or that a person added."""
    difficult: tuple[int, ...] = ()
    """Places of faces that the annotator found hard to tell (Pascal VOC): never trained on, neither hit nor miss."""
    numbers: tuple[int, ...] = ()
    """Number of each face in the annotation file, or among those that a person added; empty if they are counted from 0
    without a gap."""
    no_face_xyxy: np.ndarray = field(default_factory=lambda: np.empty((0, 4), np.float32))
    """(k, 4) float32: boxes of which a person said that there is no face."""
    confirmed: bool = False
    """Whether a person said that these labels are right, although near-duplicates have others."""

    def item(self, face: int) -> str:
        """What edits and samples call this face; ``face`` counts from 0 and is 0 in class folders."""
        return self.key if self.whole else f"{self.key}#{self.numbers[face] if self.numbers else face}"

    def box(self, face: int) -> np.ndarray | None:
        """(4,) float32, the face's box; ``None`` in class folders, where the whole picture is the face."""
        return None if self.whole else self.xyxy[face]

    @property
    def counted(self) -> tuple[int, ...]:
        """Places of the faces to train on and to count: all but what is difficult or was excluded."""
        left_out = {*self.excluded_faces, *self.difficult}
        return () if self.excluded else tuple(i for i in range(len(self.labels)) if i not in left_out)


def clean_label(text: object) -> str:
    """A class name fit for tables and charts: one line, at most 80 characters.

    Raises:
        ValueError: nothing is left, or it is no text.
    """
    if isinstance(text, bool) or not isinstance(text, str | int | float):
        raise NoteError(tr("a class has something other than a name."))
    label = " ".join("".join(c if c.isprintable() else " " for c in str(text)).split())[:MAX_LABEL].strip()
    if not label:
        raise NoteError(tr("a class has an empty name."))
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
        DataError: it has none that can be read; the sentence names the format, if it is known.
    """
    folder = tree.folder
    if not tree.pictures:
        raise DataError(tr("{folder} holds no images. {expected}").format(folder=folder, expected=expected()))
    try:
        classes, doubt = class_of_each(tree.pictures, SPLITS), None
    except TwoReadings as error:
        classes, doubt = {}, error
    # Some notes beside folders that name this project's classes make no annotated set of them.
    needed = len(tree.pictures) / 2 if names_known_class(classes.values()) else 1
    tool = _tool(tree)
    if tool != "cvat" and _paired(tree, ".xml") >= needed:
        return "pascal_voc"
    labelled = _paired(tree, ".txt") >= needed
    if labelled and names_files(tree):
        return "yolo"
    if any(looks_like_coco(folder / path) for path in tree.notes[".json"]):
        return "coco"
    if tool:
        return tool
    _refuse_known(tree, perhaps_odd=False)
    if labelled and any(part.casefold() == "labels" for path in tree.notes[".txt"] for part in path.parts[:-1]):
        words = tr("{folder} looks like YOLO but has no data.yaml (or classes.txt) that names the classes.")
        raise DataError(words.format(folder=folder))
    if classes:
        return "class_folders"
    if doubt:
        words = tr(
            "{folder} cannot be read, for {doubt}. Keep one level of class folders and put the rest of their names "
            "into the files' names."
        )
        raise DataError(words.format(folder=folder, doubt=doubt))
    _refuse_known(tree, perhaps_odd=True)
    raise _no_classes(tree)


def _paired(tree: Tree, suffix: str) -> int:
    return sum(note is not None for note in pair_notes(tree, suffix).values())


def _refuse_known(tree: Tree, perhaps_odd: bool) -> None:
    for refused in (each for each in REFUSED if each.perhaps_odd == perhaps_odd):
        for path in (path for suffix in refused.suffixes for path in tree.notes[suffix]):
            if refused.fits(tree.folder / path):
                words = tr("{folder} holds {kind} ({file}), which cannot be read. {advice}").format(
                    folder=tree.folder, kind=tr(refused.title), file=path, advice=tr(refused.advice)
                )
                raise DataError(words)


def _no_classes(tree: Tree) -> DataError:
    """Why no folder names a class."""
    tops = {part for path in tree.pictures for part in path.parts[:-1]}
    if not tops:
        words = tr("The images in {folder} lie loose, so nobody can know their classes. {expected}")
        return DataError(words.format(folder=tree.folder, expected=expected()))
    if any("mask" in top.casefold() or "segmentation" in top.casefold() for top in tops):
        words = tr("{folder} seems to hold segmentation masks, which cannot be read. Export boxes (YOLO, COCO, VOC).")
        return DataError(words.format(folder=tree.folder))
    named = ", ".join(sorted(tops)[:4])
    words = tr("{folder} has images in folders called {names}, which name no class. {expected}")
    return DataError(words.format(folder=tree.folder, names=named, expected=expected()))


def _tool(tree: Tree) -> str | None:
    """The tool whose file is found first."""
    for suffix in dict.fromkeys(tool.suffix for tool in TOOLS.values()):
        for path in tree.notes[suffix]:
            for key, tool in TOOLS.items():
                if tool.suffix == suffix and tool.fits(tree.folder / path):
                    return key
    return None


def looks_like_coco(path: Path) -> bool:
    """Whether a JSON file speaks of images, annotations and categories; it is searched, not parsed."""
    return mentions(path, COCO_WORDS)


def names_files(tree: Tree) -> list[PurePosixPath]:
    """The files that name YOLO's classes, the most trustworthy first."""
    yamls = [p for p in tree.notes[".yaml"] + tree.notes[".yml"] if _speaks_of_names(tree.folder / p)]
    lists = [p for p in tree.notes[".txt"] if p.name.casefold() in NAME_LISTS]
    kinds = (yamls, tree.notes[".names"] + tree.notes[".labels"], lists)
    return [path for kind in kinds for path in sorted(kind, key=lambda p: (len(p.parts), p))]


def _speaks_of_names(path: Path) -> bool:
    return mentions(path, (b"names",)) or mentions(path, ("names".encode("utf-16-le"),))


# Which file belongs to which


def plain_name(name: str) -> str:
    """A file's name in the one spelling by which files are paired: %C3%A9 and both Unicode forms of é are é."""
    return normalize("NFC", unquote(name)).casefold()


def stem_of(name: str) -> str:
    """A picture's name without its extension; only what is one is taken off, for names have dots.

    >>> stem_of("IMG_jpg.rf.0a1b"), stem_of("a.b.JPG")
    ('IMG_jpg.rf.0a1b', 'a.b')
    """
    stem, suffix = os.path.splitext(name)  # noqa: PTH122
    return stem if suffix.lower() in PICTURE_SUFFIXES else name


def pair_notes(tree: Tree, suffix: str) -> dict[PurePosixPath, PurePosixPath | None]:
    """For each picture its annotation, by the name: beside it, in the folder that mirrors its own, or wherever else
    only one file has that name."""
    notes = [path for path in tree.notes[suffix] if path.name.casefold() not in NAME_LISTS and not list_split(path)]
    if not notes:
        return dict.fromkeys(tree.pictures)
    exact = {(_place(path.parent), path.stem): path for path in notes}
    alike: dict[tuple, PurePosixPath] = {}
    for path in notes:
        alike.setdefault((_place(path.parent), stem_of(plain_name(path.stem))), path)
    mirrors: dict[PurePosixPath, list[tuple[str, ...]]] = {}
    found: dict[PurePosixPath, PurePosixPath | None] = {}
    taken = set()
    for path in tree.pictures:
        if path.parent not in mirrors:
            mirrors[path.parent] = _mirrors(_place(path.parent), NOTE_FOLDERS[suffix])
        places = mirrors[path.parent]
        note = next((exact[place, path.stem] for place in places if (place, path.stem) in exact), None)
        if note is None:
            stem = plain_name(path.stem)
            note = next((alike[place, stem] for place in places if (place, stem) in alike), None)
        found[path] = note
        taken.add(note)
    left = _by_stem(path for path in notes if path not in taken)
    for stem, pictures in _by_stem(path for path, note in found.items() if note is None).items():
        if len(pictures) == len(left.get(stem, ())) == 1:
            found[pictures[0]] = left[stem][0]
    return found


def _place(folder: PurePosixPath) -> tuple[str, ...]:
    return tuple(part.casefold() for part in folder.parts)


def _mirrors(place: tuple[str, ...], names: tuple[str, ...]) -> list[tuple[str, ...]]:
    """Folders in which the annotations of a folder's pictures may lie, the likeliest first."""
    others = [(*place[:i], name, *place[i + 1 :]) for i in reversed(range(len(place))) for name in names]
    usual = [other for other in others if any(a in IMAGE_FOLDERS and a != b for a, b in zip(place, other, strict=True))]
    return [place, *usual, *others, *((*place, name) for name in names)]


def _by_stem(paths: Iterable[PurePosixPath]) -> dict[str, list[PurePosixPath]]:
    found = defaultdict(list)
    for path in paths:
        found[stem_of(plain_name(path.stem))].append(path)
    return found


# Splits


def list_split(path: PurePosixPath) -> str:
    """The part of the split of which this file lists the pictures, or nothing."""
    if path.suffix.lower() != ".txt" or (len(path.parts) > 1 and path.parent.name.casefold() not in LIST_FOLDERS):
        return ""
    return SPLITS.get(path.stem.casefold(), "")


def folder_split(folders: Iterable[str]) -> str:
    """The part of the split that one of these folders is called, or nothing."""
    return next((SPLITS[name.casefold()] for name in folders if name.casefold() in SPLITS), "")


def read_list(path: Path | str) -> set[str]:
    """File names, one per line, without folder and extension.

    Raises:
        DataError: it is no text.
    """
    try:
        return {stem_of(PurePosixPath(line).name) for line in list_lines(Path(path))}
    except NoteError as error:
        raise DataError(tr("{file} cannot be read: {why}").format(file=path, why=error)) from None


def list_lines(path: Path) -> list[str]:
    """The lines of a list with "/" in their paths, without empty ones."""
    return [line.strip().replace("\\", "/") for line in read_text(path, MAX_LIST_BYTES).splitlines() if line.strip()]
