"""The folder of results: which settings it is of, a line for each photo as soon as it is done, and where to resume."""

import contextlib
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

from filelock import FileLock, Timeout

from core.datasets.archive import safe_part, split_suffix
from core.io import DamagedFileError, load_json, parse_json, sweep, sweep_partial, write_json

SETTINGS, LINES, RUNNING = "settings.json", "scored.jsonl", ".running"
PICTURES, FILMS, SCRATCH = "pictures", "films", ".formats"


class FolderError(ValueError):
    """The folder cannot be used for these results; the message is one sentence."""


def check_settings(old: dict[str, Any], new: dict[str, Any], folder: str) -> None:
    """Raises ``FolderError`` where the results in a folder are of other settings than those of now."""
    now = json.loads(json.dumps(new))  # tuples as lists
    for key in [*now, *old]:
        if old.get(key) != now.get(key):
            raise FolderError(
                f"{folder} holds results of other settings ({key}: {old.get(key)}, now {now.get(key)}); name "
                "another folder, or use the same settings."
            )


class Results:
    """What is known of every photo that was looked at. One process at a time has a folder; a killed one gives it back.

    Each photo is one line of ``scored.jsonl``: ``source``, ``photo`` (its name, safe as a path, none like another but
    for the ending), and either ``problem`` or ``width``, ``height``, ``turned``, ``note`` and ``faces``, whose keys are
    ``core.vision.tables.COLUMNS``.
    """

    def __init__(self, folder: Path, settings: dict[str, Any]):
        """Open a folder, a new one or one of the same settings.

        Raises:
            FolderError: it holds something else, results of other settings, or another process works in it.
            OSError: it cannot be written.
        """
        self.folder, self.path = folder, folder / LINES
        if folder.exists() and not folder.is_dir():
            raise FolderError(f"{folder} is a file; name a folder for the results.")
        strange = folder.is_dir() and any(not path.name.startswith(".") for path in folder.iterdir())
        if strange and not (folder / SETTINGS).exists():
            raise FolderError(f"{folder} holds other files; name a new or empty folder for the results.")
        folder.mkdir(parents=True, exist_ok=True)
        self._owner = FileLock(folder / RUNNING, thread_local=False)
        try:
            self._owner.acquire(timeout=0)
        except Timeout:
            raise FolderError(f"Another process is writing to {folder}; wait until it has ended.") from None
        try:
            self._check(settings)
            self.done: set[str] = set()
            """The sources of all photos that have a line."""
            self._names: dict[str, int] = {}
            self._file = self._recovered()
        except BaseException:
            self._owner.release()
            raise

    def _check(self, settings: dict[str, Any]) -> None:
        path = self.folder / SETTINGS
        if not path.exists():
            write_json(path, settings)
            return
        try:
            old = load_json(path)
        except DamagedFileError:
            raise FolderError(f"{path} is damaged; name another folder for the results.") from None
        check_settings(old, settings, str(self.folder))

    def _recovered(self) -> BinaryIO:
        """The file of lines, cut after its last whole line."""
        for folder in (self.folder, self.folder / "voc", self.folder / "yolo"):
            sweep(folder, SCRATCH)
        for pictures in (path for path in self.folder.rglob("*") if path.is_dir()):
            sweep_partial(pictures)
        file = self.path.open("a+b")
        size = file.seek(0, os.SEEK_END)
        end, step = size, 1 << 16
        while end:
            file.seek(max(0, end - step))
            if (last := file.read(end - file.tell()).rfind(b"\n")) >= 0:
                end = max(0, end - step) + last + 1
                break
            end = max(0, end - step)
        if end < size:
            file.truncate(end)
        for _, record in self.lines():
            self.done.add(record["source"])
            self.name_for(tuple(record["photo"].split("/")))
        return file

    def lines(self) -> Iterator[tuple[int, dict[str, Any]]]:
        """Every photo's record, in the order in which they were done, with its place in the file."""
        with self.path.open("rb") as file:
            place = 0
            for line in file:
                with contextlib.suppress(DamagedFileError):  # such a photo is looked at again
                    record = parse_json(line)
                    if isinstance(record, dict) and "source" in record and "photo" in record:
                        yield place, record
                place += len(line)

    def name_for(self, parts: tuple[str, ...]) -> str:
        """A name for a photo, safe as a path below any folder, and never used before, whatever the ending."""
        stem, suffix = split_suffix(parts[-1])
        base = "/".join(safe_part(part) for part in (*parts[:-1], stem))
        name, number = base, self._names.get(base.casefold(), 0)
        while number and name.casefold() in self._names:
            number += 1
            name = f"{base}-{number}"
        self._names[base.casefold()] = max(1, number)
        self._names.setdefault(name.casefold(), 1)
        return name + suffix

    def add(self, record: dict[str, Any]) -> None:
        """Keep the record of a photo: once this returns, a killed process does not lose it."""
        self._file.write(json.dumps(record, ensure_ascii=False).encode() + b"\n")
        self._file.flush()
        self.done.add(record["source"])

    def close(self) -> None:
        """Give the folder back."""
        self._file.close()
        self._owner.release()

    def __enter__(self) -> "Results":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
