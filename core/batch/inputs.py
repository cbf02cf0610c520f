"""The photos and films that somebody names: files, folders, patterns, lists of paths, zip archives of photos."""

import contextlib
import glob
import os
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from core.datasets.archive import packed_images
from core.datasets.formats import DataError
from core.io import disk_sentence
from core.vision.images import SUFFIXES

FILMS = {".mp4", ".m4v", ".mov", ".webm", ".avi", ".mkv"}
NO_FILE = "There is no such file."


class InputError(ValueError):
    """What somebody named cannot be used; the message is one sentence."""


class Item(NamedTuple):
    """A photo or a film to look at, or what stands in the place of one."""

    path: str
    """Absolute; within an archive, that one's path and the name in it."""
    parts: tuple[str, ...]
    """Of the name that people read: folders and file."""
    read: Callable[[], bytes] | None = None
    """Gives its bytes, where they lie in an archive. Raises: ``ImageError``, ``DataError``."""
    problem: str = ""
    """Why it cannot be read, as far as that is known already."""

    @property
    def is_film(self) -> bool:
        """Whether its ending is that of a film."""
        return Path(self.path).suffix.lower() in FILMS

    @property
    def source(self) -> str:
        """The path as text that can be written: tells the photo from every other."""
        return os.fsencode(self.path).decode("utf-8", "backslashreplace")


def items(inputs: Iterable[str], leave_out: Path) -> Iterator[Item]:
    """Every photo and film of the inputs once, in the order of the inputs and, in folders, of the names.

    Folders are searched to any depth for files with the endings of photos and films; links to folders are not followed.
    Lists (``.txt``) have a path a line, from the list's own folder. Archives stay open while their photos are handed
    out.

    Args:
        inputs: paths, or patterns such as ``photos/**/*.jpg``.
        leave_out: a folder whose files are not looked at: that of the results.

    Raises:
        InputError: there is no file or folder of that name.
    """
    seen, out = set(), leave_out.resolve()
    for each in inputs:
        for item in _items(each):
            if item.path not in seen and out not in Path(item.path).parents:
                seen.add(item.path)
                yield item


def _items(text: str) -> Iterator[Item]:
    path, here = Path(text), Path.cwd()
    if path.is_dir():
        yield from _in_folder(path)
    elif path.suffix.lower() == ".txt" and path.is_file():
        yield from _in_list(path)
    elif path.exists():
        yield from _file(path, here)
    elif found := sorted(glob.glob(text, recursive=True)):  # noqa: PTH207  # Path.glob takes no absolute pattern
        for match in map(Path, found):
            if not match.is_dir():
                yield from _file(match, here)
    else:
        raise InputError(f"{text}: there is no such file or folder.")


def _file(path: Path, base: Path) -> Iterator[Item]:
    """A file that somebody named: a photo whatever its ending."""
    path = path.parent.resolve() / path.name  # a link to a file keeps its own name
    if path.suffix.lower() == ".zip":
        yield from _in_archive(path)
        return
    parts: tuple[str, ...] = (path.name,)
    with contextlib.suppress(ValueError):  # it lies elsewhere
        parts = path.relative_to(base.resolve()).parts
    yield Item(str(path), parts, problem="" if path.is_file() else NO_FILE)


def _in_folder(folder: Path) -> Iterator[Item]:
    top = folder.resolve()
    for where, folders, files in os.walk(top):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        place = Path(where)
        below = (top.name, *place.relative_to(top).parts)
        for name in sorted(files):
            suffix = Path(name).suffix.lower()
            if not name.startswith(".") and suffix in SUFFIXES | FILMS:
                yield Item(str(place / name), (*below, name))


def _in_list(path: Path) -> Iterator[Item]:
    with path.open(encoding="utf-8-sig", errors="surrogateescape") as lines:
        for line in lines:
            if entry := line.strip():
                yield from _file(path.parent / entry, path.parent)


def _in_archive(path: Path) -> Iterator[Item]:
    try:
        with path.open("rb") as file, packed_images(file) as (images, passed_over):
            for image in images:
                yield Item(f"{path}/{image.path}", (path.stem, *image.path.parts), image.read)
            for each in passed_over:
                name, _, reason = each.rpartition(": ")
                if "neither an image" not in reason:
                    yield Item(f"{path}/{name}", (path.stem, Path(name).name), problem=f"Passed over: {reason}.")
    except DataError as error:
        yield Item(str(path), (path.name,), problem=str(error))
    except OSError as error:
        yield Item(str(path), (path.name,), problem=disk_sentence(error))
