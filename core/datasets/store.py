"""The data sets of this server: which there are, what is in them, and their small files beside them.

``data_dir()/NAME`` is a data set; ``NAME.link.json`` names one that lies elsewhere on the server, below a folder that
the operator allowed. ``NAME.card.json`` says what the set is, ``NAME.repairs.json`` what people changed in it. The
pictures themselves are never changed. Each set has an id, made when it comes here: edits belong to it, not to the name.
"""

import contextlib
import os
import re
import secrets
import shutil
import unicodedata
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path

import numpy as np

from core.access import for_operators
from core.config import allowed_dirs, cache_dir, data_dir
from core.datasets.edits import Edits, joined
from core.datasets.formats import LAYOUTS, DataError, Picture, layout_of, walk
from core.datasets.readers import read_layout
from core.io import (
    folder_lock,
    load_json,
    put_out_of_sight,
    read_json,
    remove,
    sweep,
    sweep_partial,
    write_json,
)
from core.language import tr
from core.trash import GONE, bring_back, sweep_trash, throw_away
from core.vision.classes import CLASS_NAMES

__all__ = [
    "LAYOUTS",
    "DataError",
    "DataSet",
    "Picture",
    "apply_edits",
    "class_order",
    "clean_name",
    "delete_dataset",
    "detect_layout",
    "edits_path",
    "find_dataset",
    "identity_path",
    "link_folder",
    "list_datasets",
    "publish",
    "read_pictures",
    "restore_dataset",
    "sweep_data",
    "write_card",
]
MAX_NAME = 60
LINK, CARD, EDITS = ".link.json", ".card.json", ".repairs.json"
IDENTITY = ".identity.json"
"""Within a set: its id. That of a linked one is in its link."""
INCOMING, DELETED = ".incoming-", GONE


def names_lock() -> contextlib.AbstractContextManager[None]:
    """One change of the data folder at a time, of all apps: names are looked at and then taken. Raises: OSError."""
    return folder_lock(data_dir())


@dataclass(frozen=True)
class DataSet:
    """One entry of the data folder."""

    name: str
    folder: Path
    """Where its pictures are."""
    layout: str
    """A key of ``LAYOUTS``."""
    linked: bool = False
    """Whether it lies elsewhere on the server; then it is never written to."""
    card: dict = field(default_factory=dict)
    """``title``, ``about``, ``drawn`` (bool) and whatever else its maker knew; texts of the app's own are English."""


def class_order(names: Iterable[str]) -> tuple[str, ...]:
    """Class names as they are shown and trained: this project's own first, then by alphabet."""
    present = set(names)
    return tuple(name for name in CLASS_NAMES if name in present) + tuple(sorted(present - set(CLASS_NAMES)))


# The list


def list_datasets() -> list[DataSet]:
    """Every usable data set, by name. Folders without a known layout and links that lead nowhere are passed over."""
    places = {name: folder for name, folder in _places().items() if folder is not None}
    found = []
    for name in sorted(places, key=lambda name: (name.casefold(), name)):
        folder, linked = places[name]
        try:
            found.append(DataSet(name, folder, detect_layout(folder), linked, _read_card(name)))
        except (DataError, OSError):
            continue
    return found


def find_dataset(name: str) -> DataSet:
    """The data set of this name.

    Raises:
        DataError: there is none, or it cannot be used.
    """
    places = _places()
    if name not in places:
        raise _no_set(name)
    place = places[name]
    if place is None:
        words = tr("The data set {name!r} lies in a folder that is gone or no longer allowed.")
        raise DataError(words.format(name=name))
    folder, linked = place
    return DataSet(name, folder, detect_layout(folder), linked, _read_card(name))


def _no_set(name: str) -> DataError:
    return DataError(tr("There is no data set {name!r}; it may have been deleted.").format(name=name))


def _places() -> dict[str, tuple[Path, bool] | None]:
    """Name to (folder, linked), ``None`` for links that cannot be followed."""
    found = {}
    try:
        entries = sorted(data_dir().iterdir())
    except OSError:
        return {}
    for path in entries:
        if path.name.startswith("."):
            continue
        if path.name.endswith(LINK):
            found[path.name.removesuffix(LINK)] = _follow(path)
        elif path.is_dir():
            found[path.name] = (path, path.is_symlink())
    return found


def _follow(link: Path) -> tuple[Path, bool] | None:
    try:
        folder = Path(load_json(link)["folder"])
        return (folder, True) if folder.is_dir() and _is_allowed(folder.resolve()) else None
    except (OSError, ValueError, KeyError, TypeError, RuntimeError):
        return None


def _is_allowed(folder: Path) -> bool:
    return any(folder.is_relative_to(allowed) for allowed in allowed_dirs())


# What is in a set


def detect_layout(folder: Path | str) -> str:
    """``class_folders``, ``pascal_voc``, ``yolo`` or ``coco``.

    Raises:
        DataError: none of them; the sentence says what is expected.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise DataError(tr("There is no data folder {folder}.").format(folder=folder))
    try:
        return _layout(folder, _stamp(folder))
    except OSError as error:
        words = tr("{folder} cannot be read: {why}.")
        raise DataError(words.format(folder=folder, why=error.strerror or error)) from None


@lru_cache(maxsize=64)
def _layout(folder: Path, stamp: tuple) -> str:
    return layout_of(walk(folder))


def _stamp(folder: Path) -> tuple:
    """Changes when something is added to the folder or to one in it: pages ask for layouts at every click."""
    with os.scandir(folder) as entries:
        inner = sorted((entry.name, entry.stat().st_mtime_ns) for entry in entries if entry.is_dir())
    return folder.stat().st_mtime_ns, tuple(inner)


def read_pictures(folder: Path | str, with_edits: bool = True) -> list[Picture]:
    """Every picture of a data set with its labels, in name order; nothing is decoded.

    Args:
        with_edits: apply what people changed; pictures and excluded faces are then marked, not left out.

    Raises:
        DataError: the folder is missing or has no known layout, or an annotation file is broken.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise DataError(tr("There is no data folder {folder}.").format(folder=folder))
    tree = walk(folder)
    pictures = read_layout(tree, layout_of(tree))
    return apply_edits(pictures, Edits.load(folder)) if with_edits else pictures


def apply_edits(pictures: list[Picture], edits: Edits) -> list[Picture]:
    """The pictures, read with ``with_edits=False``, as people changed them."""
    changed = edits.changed()
    if not changed:
        return pictures
    added = edits.added()
    of_pictures = changed | {item.rpartition("#")[0] for item in changed}
    return [
        _edited(picture, edits, added.get(picture.key, [])) if picture.key in of_pictures else picture
        for picture in pictures
    ]


def _edited(picture: Picture, edits: Edits, added: list[str]) -> Picture:
    """One picture as people changed it; ``added`` are the items of the faces that they added, by number."""
    excluded = picture.key in edits.excluded
    if picture.whole:
        label = edits.labels.get(picture.key)
        given = picture.labels if label is None else (label,)
        return replace(
            picture,
            labels=given,
            excluded=excluded,
            edited=() if label is None else (0,),
            confirmed=edits.confirmed.get(picture.key) == joined(given),
        )
    own = [picture.item(i) for i in range(len(picture.labels))]
    items, count = own + added, len(own)
    kept = [i for i, item in enumerate(items) if item not in edits.removed]
    labels = [*picture.labels, *(edits.labels[item] for item in added)]
    boxes = [*map(tuple, picture.xyxy.tolist()), *(edits.boxes[item] for item in added)]
    xyxy = np.array([edits.boxes.get(item, box) for item, box in zip(items, boxes, strict=True)], np.float32)
    xyxy = xyxy.reshape(-1, 4)
    numbers = tuple(int(items[i].rpartition("#")[2]) for i in kept)

    def places(wanted: Callable[[int], bool]) -> tuple[int, ...]:
        return tuple(place for place, i in enumerate(kept) if wanted(i))

    given = tuple(edits.labels.get(items[i], labels[i]) for i in kept)
    return replace(
        picture,
        labels=given,
        confirmed=edits.confirmed.get(picture.key) == joined(given),
        xyxy=xyxy[kept],
        excluded=excluded,
        excluded_faces=places(lambda i: items[i] in edits.excluded),
        edited=places(lambda i: items[i] in edits.labels or items[i] in edits.boxes),
        difficult=places(lambda i: i in picture.difficult and i < count),
        numbers=() if numbers == tuple(range(len(numbers))) else numbers,
        no_face_xyxy=np.delete(xyxy, kept, axis=0),
    )


# Small files beside the sets


def edits_path(folder: Path | str) -> Path:
    """``NAME.repairs.json`` beside the set; in the data folder if the set is linked from there."""
    folder = Path(folder).absolute()
    if name := _linked_as(folder):
        return data_dir() / f"{name}{EDITS}"
    return folder.parent / f"{folder.name}{EDITS}"


def _linked_as(folder: Path) -> str | None:
    """Under which name the data folder links to this one, if it does."""
    if folder.parent == data_dir():
        return None
    real = folder.resolve()
    return next((name for name, place in sorted(_places().items()) if place and place[0].resolve() == real), None)


def identity_path(folder: Path | str) -> Path | None:
    """The file with the ``id`` of a set; ``None`` for folders that the app does not keep, which have none."""
    folder = Path(folder).absolute()
    if folder.parent == data_dir():
        return None if folder.is_symlink() else folder / IDENTITY
    link = data_dir() / f"{_linked_as(folder)}{LINK}"
    return link if link.is_file() else None


def publish(folder: Path, name: str, card: dict) -> None:
    """Let a folder that was filled out of sight appear as a data set: with an id and its card, or not at all.

    Raises:
        DataError: the name is taken.
        OSError: the data folder cannot be written; nothing has changed.
    """
    write_json(folder / IDENTITY, {"id": new_id()})
    with names_lock():
        name = free_name(name)
        _forget(name)
        try:
            write_json(data_dir() / f"{name}{CARD}", card)
            folder.rename(data_dir() / name)
        except OSError:
            _forget(name)
            raise


def new_id() -> str:
    """For a data set; no other one has it."""
    return secrets.token_hex(8)


def _forget(name: str) -> None:
    """Remove everything that is known of a set that is no longer there."""
    if os.path.lexists(data_dir() / name) or (data_dir() / f"{name}{LINK}").exists():
        return
    for suffix in (CARD, EDITS):
        (data_dir() / f"{name}{suffix}").unlink(missing_ok=True)
    shutil.rmtree(cache_dir(name), ignore_errors=True)


def sweep_data() -> None:
    """Remove what killed imports and deletions left; whatever a living app is at work on stays."""
    sweep_trash(data_dir(), left=_forget)
    sweep(data_dir(), INCOMING, DELETED, left=lambda name: _forget(name) if name else None)
    for name, place in _places().items():
        if place and not place[1] and _read_card(name).get("own"):
            for folder in place[0].iterdir():
                sweep_partial(folder)


@for_operators
def write_card(name: str, card: dict) -> None:
    """Say what a data set is: ``title``, ``about``, ``drawn`` and more."""
    write_json(data_dir() / f"{_known(name)}{CARD}", card)


def _known(name: str) -> str:
    """The name itself, if it is one of the data folder's.

    Raises:
        DataError: it is not.
    """
    if name not in _places():
        raise _no_set(name)
    return name


def _read_card(name: str) -> dict:
    card = read_json(data_dir() / f"{name}{CARD}")
    texts = {key: " ".join(str(card[key]).split()) for key in ("title", "about") if key in card}
    return card | texts


# New names, links, deleting


def clean_name(text: str) -> str:
    """A name for a data set, made of what somebody typed: letters, digits, - and _.

    Raises:
        DataError: nothing of it can be kept.
    """
    plain = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode()
    name = re.sub(r"[^A-Za-z0-9_]+", "-", plain).strip("-_")[:MAX_NAME].strip("-_")
    if not name:
        raise DataError(tr("Give the data set a name of letters, digits, - and _."))
    return name


def is_taken(name: str) -> bool:
    """Whether a data set has this name already, in capitals or not: some disks do not tell them apart."""
    return name.casefold() in {each.casefold() for each in _places()}


def free_name(text: str) -> str:
    """A clean name that no data set has; raises ``DataError`` with a sentence if it is taken."""
    name = clean_name(text)
    if is_taken(name):
        words = tr("There already is a data set {name!r}; choose another name or delete that one first.")
        raise DataError(words.format(name=name))
    return name


@for_operators
def link_folder(folder: Path | str, name: str) -> DataSet:
    """Use pictures where they lie on the server. Nothing is copied or changed.

    Raises:
        DataError: the folder is outside those that the operator allowed, has no known layout, or the name is taken.
    """
    allowed = allowed_dirs()
    if not allowed:
        raise DataError(tr("The operator of this server has allowed no folders; MASK_ALLOWED_DIRS would name them."))
    try:
        real = Path(folder).resolve()
    except (OSError, ValueError, RuntimeError):
        real = None
    if real is None or not _is_allowed(real):  # says nothing of whether it exists
        words = tr("This folder is not allowed; possible are folders below {folders}.")
        raise DataError(words.format(folders=", ".join(map(str, allowed))))
    detect_layout(real)
    sweep_data()
    with names_lock():
        name = free_name(name)
        for other, place in _places().items():
            if place and place[0].resolve() == real:
                raise DataError(tr("This folder is in the list already, as {name!r}.").format(name=other))
        _forget(name)
        write_json(data_dir() / f"{name}{LINK}", {"folder": str(real), "id": new_id()})
    return find_dataset(name)


@for_operators
def delete_dataset(name: str, by: str = "") -> None:
    """Delete a data set with its small files. Of a linked one only the link goes.

    Out of the list at once: a deletion that is killed half way has happened, and the next sweep ends it.

    Args:
        name: of the set.
        by: who deletes it, and may bring it back for ``core.trash.KEEP_S``; without a name it is gone for good.

    Raises:
        DataError: there is none of this name.
        OSError: the data folder cannot be written; the set stays whole.
    """
    sweep_data()
    with names_lock():
        name = _known(name)
        there = (data_dir() / f"{name}{LINK}", data_dir() / name)
        mine = [path for path in there if os.path.lexists(path)]
        small = [data_dir() / f"{name}{suffix}" for suffix in (CARD, EDITS)]
        title = str(_read_card(name).get("title") or name)
        if by and throw_away(data_dir(), name, title, by, [*mine, *small, cache_dir(name)]):
            return
        doomed = [put_out_of_sight(path, DELETED, name) for path in mine]
        _forget(name)
    for path in doomed:
        remove(path)


@for_operators
def restore_dataset(key: str, by: str) -> str:
    """Bring a deleted data set back as it was; its name.

    Args:
        key: of ``core.trash.Deleted``.
        by: who deleted it.

    Raises:
        ValueError: it is gone, or another set has its name now.
        OSError: the data folder cannot be written.
    """
    return bring_back(data_dir(), key, by, free_name)
