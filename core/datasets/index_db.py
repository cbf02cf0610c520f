"""The SQLite file that holds the index of a data set: ``data_dir()/.cache/NAME/index.sqlite``.

It only saves work: whatever is wrong with it, it is made anew. Several processes may use it at once. Connections last
for one piece of work; none is shared between threads.
"""

import contextlib
import sqlite3
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, TypeVar

from core import sqlite
from core.config import cache_dir
from core.datasets.formats import DataError
from core.io import disk_sentence
from core.language import tr
from core.sqlite import transaction

try:
    import fcntl
except ImportError:  # Windows, where a file that somebody uses cannot be replaced anyway
    fcntl = None  # type: ignore[assignment]  # a module elsewhere

VERSION = 4
"""Stored as ``PRAGMA user_version``; raise it whenever the schema or the meaning of a column changes."""

# JPEG files have tables of their own: a list of all images is then read without passing over their thumbnails.
SCHEMA = (
    """
    CREATE TABLE images (
        key TEXT PRIMARY KEY,
        bytes INTEGER NOT NULL,         -- with changed_ns: the file as it was when decoded
        changed_ns INTEGER NOT NULL,
        width INTEGER NOT NULL,
        height INTEGER NOT NULL,
        brightness REAL NOT NULL,       -- mean, 0..1
        hash BLOB NOT NULL,             -- difference hash, 32 bytes
        mirrored_hash BLOB NOT NULL,    -- the same of the mirrored image
        error TEXT NOT NULL,            -- why the image cannot be read; empty if it can
        near_duplicates INTEGER         -- number of its group; NULL until all images have been compared
    ) WITHOUT ROWID
    """,
    "CREATE TABLE thumbnails (key TEXT PRIMARY KEY, jpeg BLOB NOT NULL)",
    "CREATE TABLE builds (id INTEGER PRIMARY KEY CHECK (id = 1), finished_ns INTEGER NOT NULL)",
    "CREATE TABLE models (sha256 TEXT PRIMARY KEY, name TEXT NOT NULL, finished_ns INTEGER NOT NULL)",
    """
    CREATE TABLE label_issues (
        model TEXT NOT NULL,            -- its sha256
        item TEXT NOT NULL,             -- a face, as Picture.item names it
        fingerprint TEXT NOT NULL,      -- of the file and the box that were classified
        probabilities BLOB NOT NULL,    -- float32, one per class of the model
        PRIMARY KEY (model, item)
    ) WITHOUT ROWID
    """,
    """
    CREATE TABLE found (
        finder TEXT,                    -- core.datasets.missing.Finder.id
        key TEXT,
        fingerprint TEXT NOT NULL,      -- of the file that was looked at
        faces TEXT NOT NULL,            -- JSON: the fields of each core.datasets.missing.Find
        PRIMARY KEY (finder, key)
    ) WITHOUT ROWID
    """,
    """
    CREATE TABLE features (
        model TEXT NOT NULL,            -- its sha256
        item TEXT NOT NULL,             -- a face, as Picture.item names it
        fingerprint TEXT NOT NULL,      -- of the file and the box
        vector BLOB NOT NULL,           -- float16; empty if the image could not be read
        made_ns INTEGER NOT NULL,
        PRIMARY KEY (model, item)
    )
    """,
    "CREATE TABLE crops (model TEXT NOT NULL, item TEXT NOT NULL, jpeg BLOB NOT NULL, PRIMARY KEY (model, item))",
)

# What versions before SQLite kept in the same folder.
OLD_FILES = ("index.npz", "thumbnails-*.jpgs", "opinion-*.npz")

PER_QUERY = 500
"""Values in one ``IN (...)``; old builds of SQLite take at most 999."""

T = TypeVar("T")


def index_path(name: str) -> Path:
    """The index file of a data set; it may not exist."""
    return cache_dir(name) / "index.sqlite"


def select(name: str, sql: str, values: Sequence[Any] = ()) -> list[tuple]:
    """Rows of a data set's index, all from the same moment; none if the file is missing or of another version.

    So it is with a damaged file, which is removed, so that the index is built anew.

    Args:
        name: of the data set.
        sql: one SELECT.
        values: for its question marks.
    """
    path = index_path(name)
    if not path.is_file():
        return []
    try:
        return sqlite.select(path, VERSION, sql, values)
    except (OSError, sqlite3.OperationalError):  # in use for too long, or not ours to read
        return []
    except sqlite3.DatabaseError as error:
        if type(error) is not sqlite3.DatabaseError:  # its other subclasses are mistakes in our SQL
            raise
        with contextlib.suppress(OSError):  # a folder that is only read
            _remove_if_damaged(path)
        return []


def select_by_key(name: str, sql: str, keys: Sequence[str], values: Sequence[Any] = ()) -> dict[str, Any]:
    """Value by key, for a SELECT of two columns that ends with ``IN``; keys that are not there are left out."""
    found: dict[str, Any] = {}
    for start in range(0, len(keys), PER_QUERY):
        some = keys[start : start + PER_QUERY]
        marks = ", ".join("?" * len(some))
        found |= dict(select(name, f"{sql} ({marks})", [*values, *some]))
    return found


def change(name: str, work: Callable[[sqlite3.Connection], T]) -> T:
    """``work(connection)`` with a file of this version; once more, with an empty one, if the file proves damaged.

    Raises:
        DataError: the file cannot be written, for example because the disk is full.
    """
    path = index_path(name)
    for last in (False, True):
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with closing(sqlite.connect(path, "rwc")) as connection:
                _prepare(connection, path)
                return work(connection)
        except sqlite3.OperationalError as error:
            why = disk_sentence(sqlite.as_of_the_disk(error, path))
            raise DataError(tr("{name} cannot be indexed. {why}").format(name=name, why=why)) from None
        except sqlite3.DatabaseError as error:
            if last or type(error) is not sqlite3.DatabaseError:
                raise
            _remove_if_damaged(path)
    raise AssertionError("not reached")


def _prepare(connection: sqlite3.Connection, path: Path) -> None:
    """Readers beside a writer, and the tables of this version."""
    sqlite.let_readers_in(connection)
    if sqlite.version(connection) == VERSION:
        return
    with transaction(connection):
        if sqlite.version(connection) == VERSION:  # another process was faster
            return
        tables = connection.execute(
            "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'"
        ).fetchall()
        for (table,) in tables:
            connection.execute(f'DROP TABLE "{table}"')
        for statement in SCHEMA:
            connection.execute(statement)
        connection.execute(f"PRAGMA user_version = {VERSION}")
    for pattern in OLD_FILES:
        for old in path.parent.glob(pattern):
            old.unlink(missing_ok=True)


def _remove_if_damaged(path: Path) -> None:
    """Remove the file, unless another process has put a sound one in its place."""
    with path.with_suffix(".lock").open("w") as lock:
        if fcntl:
            fcntl.flock(lock, fcntl.LOCK_EX)
        try:
            with closing(sqlite.connect(path)) as connection:
                if connection.execute("PRAGMA integrity_check(1)").fetchone()[0] == "ok":
                    return
        except sqlite3.OperationalError:  # it is gone or in use, so not ours to remove
            return
        except sqlite3.DatabaseError:
            pass
        for suffix in ("-wal", "-shm", ""):
            path.with_name(path.name + suffix).unlink(missing_ok=True)
