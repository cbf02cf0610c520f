"""Files that several processes share: written whole, read with tolerance, changed by one at a time.

What a killed process leaves behind is removed by ``sweep``: half-written files and scratch folders that nobody owns.
"""

import contextlib
import errno
import json
import os
import secrets
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, TypeGuard

from filelock import FileLock, Timeout

from core.language import tr

try:
    import fcntl
except ImportError:  # Windows, where a file that somebody writes cannot be removed anyway
    fcntl = None  # type: ignore[assignment]  # a module elsewhere

# Changes take milliseconds; a waiting process asks again this soon.
POLL_S = 0.01
LOCK = ".lock"
PARTIAL = ".partial"
# In a scratch folder: what is being made, and the file that its owner holds.
CONTENT, OWNER = "content", "owner"
MAX_JSON_BYTES = 100_000_000
"""The files of the app are far smaller: predictions on 100,000 faces take 20 MB."""
MAX_DEPTH = 50
"""Lists and objects within each other; what goes through a file with recursion must not fail on it."""


class DamagedFileError(ValueError):
    """A file of the app says nothing that can be understood; the message is one sentence."""


def disk_sentence(error: OSError) -> str:
    """What an error of the system means, a failed write above all: one sentence for people, without a path."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return tr("The server's disk is full; make room and try again.")
    if error.errno in (errno.EROFS, errno.EACCES, errno.EPERM):
        return tr("The server's disk cannot be written to; ask who runs this server.")
    reason = error.strerror or type(error).__name__
    return tr("The server could not do this ({reason}); try again.").format(reason=reason)


# One at a time


@contextlib.contextmanager
def file_lock(path: Path | str) -> Iterator[None]:
    """Let nobody else in who asks for the same lock, in no thread and in no process, for the time of a ``with``.

    The file is empty and stays; a process that is killed gives the lock back. One thread may take it within itself.

    Raises:
        OSError: the file cannot be written.
    """
    with FileLock(path, poll_interval=POLL_S, is_singleton=True):
        yield


def take_lock(path: Path) -> FileLock | None:
    """A lock for as long as it is not released and this process lives; ``None`` if somebody else has it.

    Raises:
        OSError: the file cannot be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(path, timeout=0, thread_local=False)
    try:
        lock.acquire()
    except Timeout:
        return None
    return lock


def folder_lock(folder: Path) -> contextlib.AbstractContextManager[None]:
    """The one lock for everything that apps change in a folder; it is made if need be. Raises: OSError."""
    if not folder.is_dir():
        folder.mkdir(parents=True, exist_ok=True)
    return file_lock(folder / LOCK)


# Whole or not at all


def write_atomic(path: Path | str, write: Callable[[Path], object]) -> None:
    """Let ``write(temporary_path)`` fill a file; otherwise as ``atomic_file``."""
    with atomic_file(path) as temporary:
        write(temporary)


@contextlib.contextmanager
def atomic_file(path: Path | str) -> Iterator[Path]:
    """A temporary file beside ``path``, to be filled in a ``with``; at its end it is renamed into place.

    If the block fails (a full disk, say), ``path`` keeps what it had and the temporary file is removed.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.stem}-", suffix=f"{PARTIAL}{path.suffix}")
    temporary = Path(name)
    try:
        if fcntl:
            with contextlib.suppress(OSError):  # a file system without locks
                fcntl.flock(handle, fcntl.LOCK_EX)  # until it is closed it is somebody's, see sweep
        else:
            os.close(handle)
        yield temporary
        # mkstemp makes files for the owner alone; the result gets what open() would have given it.
        umask = os.umask(0)
        os.umask(umask)
        temporary.chmod(0o666 & ~umask)
        temporary.replace(path)
    finally:
        if fcntl:
            os.close(handle)
        temporary.unlink(missing_ok=True)


@contextlib.contextmanager
def scratch_folder(parent: Path, prefix: str, purpose: str = "") -> Iterator[Path]:
    """An empty folder out of sight, to be filled and renamed into place.

    What is left of it goes at the end; if this process is killed, the next ``sweep`` of ``parent`` removes it.

    Args:
        parent: a folder of the app, made if need be.
        prefix: of its name, starting with a dot.
        purpose: what it shall become; ``sweep`` hands it on.

    Raises:
        OSError: it cannot be made.
    """
    with folder_lock(parent):  # no sweep while it has no owner yet
        outer = Path(tempfile.mkdtemp(prefix=_hidden(prefix, purpose), dir=parent))
        owner = FileLock(outer / OWNER, thread_local=False)
        try:
            owner.acquire(timeout=0)
            (outer / CONTENT).mkdir()
        except OSError:
            owner.release()
            shutil.rmtree(outer, ignore_errors=True)
            raise
    try:
        yield outer / CONTENT
    finally:
        owner.release()
        shutil.rmtree(outer, ignore_errors=True)


def put_out_of_sight(path: Path, prefix: str, purpose: str = "") -> Path:
    """Rename a file or folder that shall go, beside itself: gone at once and whole, even where the disk is full.

    ``remove`` does the rest; if this process is killed before, ``sweep`` does.

    Args:
        path: of what shall go.
        prefix: of its new name, starting with a dot.
        purpose: what it was; ``sweep`` hands it on.

    Returns:
        Its new path.

    Raises:
        OSError: nothing has changed.
    """
    return path.rename(path.parent / f"{_hidden(prefix, purpose)}{secrets.token_hex(6)}")


def remove(path: Path) -> None:
    """Remove a file, a link or a folder, as far as that goes."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        with contextlib.suppress(OSError):
            path.unlink()


def _hidden(prefix: str, purpose: str) -> str:
    return f"{prefix}{purpose if len(os.fsencode(purpose)) < 200 else ''}."  # file names have 255 bytes at most


def sweep(folder: Path, *prefixes: str, left: Callable[[str], object] = lambda purpose: None) -> None:
    """Remove what killed processes left in a folder, and nothing that a living one, of any app, is at work on.

    Args:
        folder: of the app; need not exist.
        prefixes: of what ``scratch_folder`` and ``put_out_of_sight`` made; half-written files go too.
        left: called with the purpose of each before it goes.
    """
    if not folder.is_dir():
        return
    doomed = []
    with contextlib.suppress(OSError), folder_lock(folder):  # from a disk that is only read nothing can be removed
        for path in list(folder.iterdir()):
            prefix = next((each for each in prefixes if path.name.startswith(each)), None)
            if prefix:
                with contextlib.suppress(Timeout, OSError), _owner_of(path):
                    left(path.name.removeprefix(prefix).rpartition(".")[0])
                    doomed.append(path)
            elif path.name.startswith(".") and PARTIAL in path.name and path.is_file():
                _remove_unowned(path)
    for path in doomed:
        remove(path)


def _owner_of(path: Path) -> contextlib.AbstractContextManager:
    """Raises ``Timeout``, on entering, if a living process is at work in a scratch folder."""
    return FileLock(path / OWNER, timeout=0) if (path / OWNER).exists() else contextlib.nullcontext()


def sweep_partial(folder: Path) -> None:
    """Remove half-written files that nobody is writing any more."""
    with contextlib.suppress(OSError):
        for path in list(folder.glob(f".*{PARTIAL}*")):
            _remove_unowned(path)


def _remove_unowned(path: Path) -> None:
    with contextlib.suppress(OSError), path.open("rb") as file:
        if fcntl:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        path.unlink()


# JSON


def write_json(path: Path | str, value: object) -> None:
    """Write a JSON file (UTF-8, indented) in one step."""
    text = json.dumps(value, indent=2, ensure_ascii=False) + "\n"
    write_atomic(path, lambda temporary: temporary.write_text(text, encoding="utf-8"))


def parse_json(text: str | bytes) -> Any:
    """What a JSON text (UTF-8) says.

    Raises:
        DamagedFileError: it is none, it is nested too deeply, or a text in it can be neither shown nor written.
    """
    try:
        text = text.decode("utf-8-sig") if isinstance(text, bytes) else text
        value = json.loads(text)
        if "\\u" in text:  # half of a character, such as \\ud83d alone, would fail wherever it is shown
            json.dumps(value, ensure_ascii=False).encode("utf-8")
    except (ValueError, RecursionError, MemoryError):
        raise DamagedFileError(tr("This is no JSON that can be understood.")) from None
    level = [value]
    for _ in range(MAX_DEPTH):
        level = [child for each in level for child in _children(each) if isinstance(child, list | dict)]
    if level:
        raise DamagedFileError(tr("This JSON is nested too deeply."))
    return value


def _children(value: object) -> Iterable:
    return value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()


def load_json(path: Path | str, kind: type = dict, max_bytes: int = MAX_JSON_BYTES) -> Any:
    """What a JSON file says: an object, or a list if ``kind`` says so.

    Raises:
        FileNotFoundError: there is none.
        OSError: it cannot be read.
        DamagedFileError: it is cut off, no JSON, nested too deeply, of another kind, or far too large.
    """
    path = Path(path)
    with path.open("rb") as file:
        data = file.read(max_bytes + 1)
    if len(data) > max_bytes:
        raise DamagedFileError(tr("{file} is far too large to be right.").format(file=path.name))
    with contextlib.suppress(DamagedFileError):
        value = parse_json(data)
        if isinstance(value, kind):
            return value
    raise DamagedFileError(tr("{file} is damaged.").format(file=path.name))


def read_json(path: Path | str) -> dict:
    """A JSON object, or an empty one if there is none or it is damaged."""
    try:
        return load_json(path)
    except (OSError, DamagedFileError):
        return {}


def read_lines(path: Path) -> list[dict]:
    """The JSON objects of a file that holds one a line, such as ``metrics.jsonl``; other lines are passed over."""
    try:
        with path.open("rb") as file:
            lines = file.read(MAX_JSON_BYTES).splitlines()
    except OSError:
        return []
    values = []
    for line in lines:
        with contextlib.suppress(DamagedFileError):  # the last line while it is being written
            value = parse_json(line)
            if isinstance(value, dict) and is_number(value.get("epoch")):
                values.append(value)
    return values


def is_number(value: object) -> TypeGuard[int | float]:
    """Whether a value from a file can be calculated with: finite, and no ``true``."""
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e15
