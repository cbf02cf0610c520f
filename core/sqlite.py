"""SQLite files of the app: opened, read on any disk, changed as a whole; what went wrong, as an error of the disk."""

import contextlib
import errno
import shutil
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

BUSY_TIMEOUT_S = 60
"""How long to wait for another process that is writing."""


def connect(path: Path, mode: str = "rw") -> sqlite3.Connection:
    """A connection without transactions of its own, for one thread. Raises: ``sqlite3.Error``."""
    return sqlite3.connect(f"{path.as_uri()}?mode={mode}", timeout=BUSY_TIMEOUT_S, isolation_level=None, uri=True)


def version(connection: sqlite3.Connection) -> int:
    """The version of the schema that the file says it has."""
    return connection.execute("PRAGMA user_version").fetchone()[0]


def select(path: Path, of_version: int, sql: str, values: Sequence[Any] = ()) -> list[tuple]:
    """Rows of a file, all from the same moment; none if it is of another version, or in use for too long.

    Raises:
        sqlite3.DatabaseError: the file is damaged, or cannot be read.
    """
    try:
        return _select(path, "rw", of_version, sql, values)
    except sqlite3.OperationalError as error:
        # Even to read, SQLite makes files beside this one. Where the disk is full or only read, it may do without,
        # as nobody can write; but not where the newest changes are in such a file.
        journal = path.with_name(f"{path.name}-wal")
        if "locked" in str(error) or (journal.exists() and journal.stat().st_size):
            return []
        return _select(path, "ro&immutable=1", of_version, sql, values)


def _select(path: Path, mode: str, of_version: int, sql: str, values: Sequence[Any]) -> list[tuple]:
    with closing(connect(path, mode)) as connection:
        return connection.execute(sql, values).fetchall() if version(connection) == of_version else []


def let_readers_in(connection: sqlite3.Connection) -> None:
    """Readers beside a writer, and a file that is whole whenever the process is killed."""
    if connection.execute("PRAGMA journal_mode").fetchone()[0] != "wal":
        # Not every file system can; and a process that opens the file at this moment makes it wait for another time.
        with contextlib.suppress(sqlite3.OperationalError):
            connection.execute("PRAGMA journal_mode = WAL").fetchone()
    connection.execute("PRAGMA synchronous = NORMAL")


@contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """All that is written inside, or nothing; no other process writes meanwhile."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
    except BaseException:
        with contextlib.suppress(sqlite3.OperationalError):  # a full disk has ended it already
            connection.execute("ROLLBACK")
        raise
    connection.execute("COMMIT")


def as_of_the_disk(error: sqlite3.Error, path: Path) -> OSError:
    """SQLite has words of its own for a disk that is full or only read, and not always the right ones."""
    words = str(error)
    if "full" in words or ("I/O" in words and shutil.disk_usage(path.parent).free < 1_000_000):
        return OSError(errno.ENOSPC, words)
    return OSError(errno.EROFS if "readonly" in words or "unable to open" in words else errno.EIO, words)
