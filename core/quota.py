"""The operator's limits, checked where something is about to be used."""

import os
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from core.config import data_dir, limits, models_dir, runs_dir, videos_dir
from core.trash import sweep_trash

FOLDERS: dict[str, Callable[[], Path]] = {
    "data_gb": data_dir,
    "runs_gb": runs_dir,
    "models_gb": models_dir,
    "videos_gb": videos_dir,
}
"""The limits of the disk, and the folder of each."""


class QuotaError(ValueError):
    """A limit of the operator is reached; the message is one sentence for the person who met it."""


def check_disk(name: str, more_bytes: int = 0) -> None:
    """Refuse what needs more disk than there is room for; what was deleted and could be brought back makes room.

    Args:
        name: a key of ``FOLDERS``.
        more_bytes: what is about to be written, if known.

    Raises:
        QuotaError: the folder is full, or would be.
    """
    now, folder = limits(), FOLDERS[name]()

    def is_full() -> bool:
        return folder_bytes(folder) + more_bytes >= getattr(now, name) * 1e9

    if is_full() and not (sweep_trash(folder, everything=True) and not is_full()):
        raise QuotaError(now.reached(name))


def check_count(name: str, count: int) -> None:
    """Refuse one more where there are ``count`` already. Raises: ``QuotaError``, if that is the limit."""
    now = limits()
    if count >= getattr(now, name):
        raise QuotaError(now.reached(name))


def folder_bytes(folder: Path) -> int:
    """The size of all files below a folder; links are not followed, and what vanishes meanwhile counts nothing."""
    return sum(_sizes(folder))


def _sizes(folder: Path | str) -> Iterator[int]:
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    yield from _sizes(entry.path)
                else:
                    yield entry.stat(follow_symlinks=False).st_size
    except OSError:
        return


class Places:
    """Places that only so many hold at the same time; one who is not heard of for a while has left. Thread-safe."""

    def __init__(self, name: str, silent_s: float = 10.0):
        """Args: ``name`` of the limit in ``core.config.Limits``; ``silent_s``: who is silent for longer has left."""
        self.name, self._silent_s = name, silent_s
        self._lock = threading.Lock()
        self._heard: dict[str, float] = {}

    def take(self, who: str, only_ask: bool = False) -> bool:
        """Take a place, or keep it; whether this visitor has one now, or with ``only_ask`` would get one."""
        now = time.monotonic()
        with self._lock:
            self._heard = {each: at for each, at in self._heard.items() if now - at < self._silent_s}
            if who not in self._heard and len(self._heard) >= getattr(limits(), self.name):
                return False
            if not only_ask:
                self._heard[who] = now
            return True

    def held(self) -> int:
        """How many places are taken."""
        now = time.monotonic()
        with self._lock:
            return sum(now - at < self._silent_s for at in self._heard.values())

    def leave(self, who: str) -> None:
        """Give the place back."""
        with self._lock:
            self._heard.pop(who, None)
