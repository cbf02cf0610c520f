"""What was deleted and may be brought back for a while: data sets, training runs, models.

It lies out of sight in the folder that it was in, as ``.trash-…/``, with a note of what it was and who deleted it; for
disk limits it counts. Its first part decides whether the thing is there: it goes first and comes back last, so whatever
is killed, the thing is there or it is not, and the next sweep puts the other parts right.
"""

import contextlib
import os
import secrets
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from core.access import for_operators
from core.io import folder_lock, is_number, put_out_of_sight, read_json, remove, write_json
from core.language import tr

KEEP_S = 600.0
"""So long something can be brought back; then it is removed."""
TRASH, GONE, NOTE = ".trash-", ".deleted-", "note.json"


class TrashError(ValueError):
    """Something cannot be brought back; the message is one sentence."""


@dataclass(frozen=True)
class Deleted:
    """Something that can be brought back."""

    key: str
    name: str
    """What it was called."""
    title: str
    """The same for people."""
    at: float
    """When it was deleted, in seconds since the epoch."""
    parts: tuple[Path, ...]
    """Where they were, below the folder."""


def throw_away(folder: Path, name: str, title: str, by: str, parts: Sequence[Path]) -> bool:
    """Put something out of sight, with its other parts; the caller holds the folder's lock.

    Args:
        folder: of the app.
        name: by which ``sweep_trash`` hands it on.
        title: for people.
        by: who deletes it, and may bring it back.
        parts: in the folder or below; all but the first need not be there.

    Returns:
        Whether that could be done; where a disk is full it cannot, and nothing has changed.
    """
    entry = folder / f"{TRASH}{secrets.token_hex(8)}"
    inside = [part.relative_to(folder).as_posix() for part in parts]
    try:
        entry.mkdir()
        write_json(entry / NOTE, {"name": name, "title": title, "by": by, "at": time.time(), "parts": inside})
        parts[0].rename(entry / "0")
    except OSError:
        remove(entry)
        return False
    _gather(folder, entry, tuple(map(Path, inside)))
    return True


def _gather(folder: Path, entry: Path, parts: tuple[Path, ...]) -> None:
    """Let the other parts follow the first, where something was killed in between."""
    if os.path.lexists(folder / parts[0]):  # there is something else of this name
        return
    for number, part in enumerate(parts[1:], 1):
        if os.path.lexists(folder / part):
            with contextlib.suppress(OSError):
                remove(entry / str(number))
                (folder / part).rename(entry / str(number))


def deleted_by(folder: Path, by: str) -> list[Deleted]:
    """What this person deleted and can still bring back, the latest first."""
    found = [deleted for _, deleted, owner in _entries(folder) if deleted and owner == by]
    return sorted(found, key=lambda each: -each.at)


def _entries(folder: Path) -> list[tuple[Path, Deleted | None, str]]:
    """Each entry with what it is, ``None`` if that is too old or not whole, and who deleted it."""
    try:
        paths = [Path(each.path) for each in os.scandir(folder) if each.name.startswith(TRASH)]
    except OSError:
        return []
    return [(path, *_read(path)) for path in paths]


def _read(entry: Path) -> tuple[Deleted | None, str]:
    note = read_json(entry / NOTE)
    at, parts = note.get("at"), note.get("parts")
    if not is_number(at) or not 0 <= time.time() - at < KEEP_S or not os.path.lexists(entry / "0"):
        return None, ""
    if not isinstance(parts, list) or not parts:
        return None, ""
    places = tuple(Path(str(part)) for part in parts)
    if any(place.is_absolute() or ".." in place.parts for place in places):
        return None, ""
    return Deleted(entry.name, str(note.get("name")), str(note.get("title")), at, places), str(note.get("by"))


@for_operators
def bring_back(folder: Path, key: str, by: str, check: Callable[[str], object] = lambda name: None) -> str:
    """Undo a deletion.

    Args:
        folder: in which it was.
        key: of ``Deleted``.
        by: who asks for it; only who deleted it may.
        check: gets its name, and raises ``ValueError`` if it cannot come back.

    Returns:
        Its name.

    Raises:
        ValueError: it is gone, or something else has its name now.
        OSError: the folder cannot be written; it stays where it is.
    """
    with folder_lock(folder):
        deleted = _find(folder, key, by)
        check(deleted.name)
        entry = folder / deleted.key
        if os.path.lexists(folder / deleted.parts[0]):
            sentence = tr("There is something else called {title!r} now; delete or rename that first.")
            raise TrashError(sentence.format(title=deleted.title))
        _gather(folder, entry, deleted.parts)
        for number, part in reversed(list(enumerate(deleted.parts))):
            if os.path.lexists(entry / str(number)):
                (folder / part).parent.mkdir(exist_ok=True)
                (entry / str(number)).rename(folder / part)
        remove(entry)
    return deleted.name


@for_operators
def erase(folder: Path, key: str, by: str) -> None:
    """Remove something for good that could still be brought back. Raises: as ``bring_back``."""
    with folder_lock(folder):
        doomed = put_out_of_sight(folder / _find(folder, key, by).key, GONE)
    remove(doomed)


def _find(folder: Path, key: str, by: str) -> Deleted:
    # The key comes from a page: it is looked up, never joined to a path.
    for each in deleted_by(folder, by):
        if each.key == key:
            return each
    raise TrashError(tr("This can no longer be brought back: its time is over, or the room was needed."))


def sweep_trash(folder: Path, everything: bool = False, left: Callable[[str], object] = lambda name: None) -> bool:
    """Remove what can no longer be brought back, and what killed processes left.

    Args:
        folder: of the app; need not exist.
        everything: also what could still be brought back, because the room is needed.
        left: called with the name of each that stays.

    Returns:
        Whether something was removed.
    """
    doomed: list[Path] = []
    if not _entries(folder):
        return False
    with contextlib.suppress(OSError), folder_lock(folder):
        for entry, deleted, _ in _entries(folder):
            if deleted is None or everything:
                doomed.append(put_out_of_sight(entry, GONE))
            else:
                _gather(folder, entry, deleted.parts)
                left(deleted.name)
    for path in doomed:
        remove(path)
    return bool(doomed)
