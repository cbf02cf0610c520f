"""Files that several processes share: written whole, read with tolerance, changed by one at a time."""

import contextlib
import json
import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from filelock import FileLock

# Changes take milliseconds; a waiting process asks again this soon.
POLL_S = 0.01


@contextlib.contextmanager
def file_lock(path: Path | str) -> Iterator[None]:
    """Let nobody else in who asks for the same lock, in no thread and in no process, for the time of a ``with``.

    The file is empty and stays; a process that is killed gives the lock back. Not to be taken twice by one thread.

    Raises:
        OSError: the file cannot be written.
    """
    with FileLock(path, poll_interval=POLL_S):
        yield


def write_atomic(path: Path | str, write: Callable[[Path], object]) -> None:
    """Let ``write(temporary_path)`` fill a file beside ``path``, then rename it into place.

    If ``write`` fails (a full disk, say), ``path`` keeps what it had and the temporary file is removed.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.stem}-", suffix=f".partial{path.suffix}")
    os.close(handle)
    temporary = Path(name)
    try:
        write(temporary)
        # mkstemp makes files for the owner alone; the result gets what open() would have given it.
        umask = os.umask(0)
        os.umask(umask)
        temporary.chmod(0o666 & ~umask)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def write_json(path: Path | str, value: object) -> None:
    """Write a JSON file (UTF-8, indented) in one step."""
    text = json.dumps(value, indent=2, ensure_ascii=False) + "\n"
    write_atomic(path, lambda temporary: temporary.write_text(text, encoding="utf-8"))


def read_json(path: Path) -> dict:
    """A JSON object, or an empty one if there is none or it is damaged."""
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def read_lines(path: Path) -> list[dict]:
    """The JSON objects of a file that holds one a line, such as ``metrics.jsonl``; other lines are passed over."""
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return []
    values = []
    for line in lines:
        try:
            value = json.loads(line)
        except (ValueError, RecursionError):  # the last line while it is being written
            continue
        if isinstance(value, dict) and isinstance(value.get("epoch"), int | float):
            values.append(value)
    return values
