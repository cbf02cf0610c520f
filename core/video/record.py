"""The record of live video: how many people, and what they wear; never pictures, places or who anybody is.

One row for each person when they leave, one for each minute that a camera was watched, in the SQLite file
``core.config.record_path()``. Rows are complete or not there, also after a kill. A thread of its own writes them: no
video waits for the disk. Times are in seconds since 1970, UTC.
"""

import contextlib
import json
import logging
import sqlite3
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta, tzinfo
from pathlib import Path

from core import sqlite
from core.access import AccessError, Role, for_operators, role
from core.config import MAX_CAMERA, OFF, ON, limits, record_path, settings
from core.io import disk_sentence
from core.language import tr
from core.vision.classes import CLASS_NAMES, WITH_MASK
from core.vision.stats import FrameStats
from core.vision.tables import UNKNOWN, rows_to_csv

log = logging.getLogger(__name__)
VERSION = 1
SCHEMA = (
    """
    CREATE TABLE people (
        id INTEGER PRIMARY KEY,
        camera TEXT NOT NULL,
        came_s REAL NOT NULL,
        left_s REAL NOT NULL,
        class TEXT NOT NULL             -- when last seen; UNKNOWN if none was sure enough
    )
    """,
    "CREATE INDEX people_left ON people (left_s)",
    """
    CREATE TABLE minutes (
        camera TEXT NOT NULL,
        minute INTEGER NOT NULL,        -- since 1970
        watched_s REAL NOT NULL,        -- of several that watch a camera of the same name, together
        person_s TEXT NOT NULL,         -- JSON: class to seconds that people were in the picture, together
        entered TEXT NOT NULL,          -- JSON: class to people who came in this minute
        PRIMARY KEY (camera, minute)
    ) WITHOUT ROWID
    """,
)
MAX_WAITING = 10_000
"""Rows that wait for a disk to come back; then the oldest go."""
RETRY_S = 10.0
_deletions = 0
TIDY_S = 3600.0
"""How often rows that are too old are deleted."""
MAX_GAP_S = 2.0
"""Between two analysed frames; longer than this nobody watched."""
QUARTER_S = 900
"""Times of day differ by whole quarters of an hour around the world."""


class RecordError(ValueError):
    """The record cannot be read or changed; the message is one sentence."""


@dataclass(frozen=True)
class Visit:
    """Somebody who was seen, from when to when."""

    camera: str
    came_s: float
    left_s: float
    name: str
    """Of their class, or ``UNKNOWN``."""

    def write(self, connection: sqlite3.Connection) -> None:
        """Add the row."""
        row = self.camera, round(self.came_s, 1), round(self.left_s, 1), self.name
        connection.execute("INSERT INTO people (camera, came_s, left_s, class) VALUES (?, ?, ?, ?)", row)


@dataclass
class Minute:
    """One minute of one camera; fields as the columns of ``minutes``.

    ``person_s`` divided by ``watched_s`` is how many people there were on average.
    """

    camera: str
    minute: int
    watched_s: float = 0.0
    person_s: dict[str, float] = field(default_factory=dict)
    entered: Counter = field(default_factory=Counter)

    def write(self, connection: sqlite3.Connection) -> None:
        """Add the row, or to it where the same minute of a camera of that name is there already."""
        key = self.camera, self.minute
        sql = "SELECT watched_s, person_s, entered FROM minutes WHERE camera = ? AND minute = ?"
        watched, person_s, entered = connection.execute(sql, key).fetchone() or (0.0, "{}", "{}")
        person_s = json.loads(person_s)
        for name, seconds in self.person_s.items():
            person_s[name] = round(person_s.get(name, 0.0) + seconds, 1)
        entered = Counter(json.loads(entered)) + self.entered
        connection.execute(
            "INSERT OR REPLACE INTO minutes VALUES (?, ?, ?, ?, ?)",
            (*key, round(watched + self.watched_s, 1), json.dumps(person_s), json.dumps(entered)),
        )


class Recorder:
    """Writes rows in a thread of its own; one for the whole server. Thread-safe."""

    def __init__(self, path: Callable[[], Path] = record_path):
        """Args: where the file is, asked whenever something is written."""
        self._path = path
        self._waiting: deque[Visit | Minute] = deque(maxlen=MAX_WAITING)
        self._condition = threading.Condition()
        self._worker: threading.Thread | None = None
        self._error: Exception | None = None
        self._tidied = -TIDY_S

    @property
    def problem(self) -> str:
        """Why the newest rows are not written yet, in one sentence; empty if they are."""
        if self._error is None:
            return ""
        words = tr("The record cannot be written at the moment; the video continues. {why}")
        return words.format(why=_sentence(self._error))

    def put(self, row: Visit | Minute) -> None:
        """Write this soon; never waits for the disk."""
        with self._condition:
            self._waiting.append(row)
            if self._worker is None:
                self._worker = threading.Thread(target=self._work, name="mask-record", daemon=True)
                self._worker.start()
            self._condition.notify()

    def flush(self, timeout_s: float = 5.0) -> bool:
        """Wait until everything is written; whether it is."""
        with self._condition:
            return self._condition.wait_for(lambda: not self._waiting, timeout_s)

    def _work(self) -> None:
        while True:
            with self._condition:
                self._condition.wait_for(lambda: bool(self._waiting))
                rows = list(self._waiting)
            try:
                with _opened(self._path()) as connection:
                    self._write(connection, rows)
                failed: Exception | None = None
            except (OSError, sqlite3.Error, ValueError) as error:
                failed = _as_of_the_disk(error)
                if repr(failed) != repr(self._error):
                    log.error("The record cannot be written", exc_info=error)
            with self._condition:
                self._error = failed
                if failed is None:
                    for row in rows:  # of a full queue the oldest may have gone meanwhile
                        if self._waiting and self._waiting[0] is row:
                            self._waiting.popleft()
                    self._condition.notify_all()
                else:
                    self._condition.wait_for(lambda: False, RETRY_S)

    def _write(self, connection: sqlite3.Connection, rows: Iterable[Visit | Minute]) -> None:
        with sqlite.transaction(connection):
            for row in rows:
                row.write(connection)
            if time.monotonic() - self._tidied >= TIDY_S:
                _delete(connection, 0.0, _oldest_s())
                self._tidied = time.monotonic()


class Keeper:
    """Turns what one camera sees into rows, and counts its people of today. Not thread-safe."""

    def __init__(self, recorder: Recorder, camera: str, zone: tzinfo | None, now_s: float | None = None):
        """Begin a record.

        Args:
            recorder: where rows go.
            camera: what it is called.
            zone: whose days these are; ``None`` for the server's own.

        Raises:
            AccessError: this user does not decide about the record, or the operator decided against one.
            RecordError: what is on the record of today cannot be read.
        """
        if settings().record == OFF or (settings().record != ON and role() < Role.OPERATOR):
            raise AccessError(tr("Only operators of this server may keep a record, unless its settings say otherwise."))
        self.recorder, self.camera, self._zone = recorder, camera_name(camera), zone
        now_s = time.time() if now_s is None else now_s
        self._day = self._date(now_s)
        start_s = datetime.combine(self._day, datetime.min.time(), zone).timestamp()
        self._left: Counter[str] = Counter()
        for (_, name), count in people_by_quarter(start_s, now_s + 86400, self.camera, by="left_s").items():
            self._left[name] += count
        self._minute: Minute | None = None
        self._seen_s = now_s

    def _date(self, at_s: float) -> date:
        return datetime.fromtimestamp(at_s, self._zone).date()

    def see(
        self, present: Counter, entered: Callable[[], Mapping[int, Counter]], visits: Iterable[Visit], now_s: float
    ) -> None:
        """One analysed frame.

        Args:
            present: class to people in the picture.
            entered: gives, as known now, minute to class to people who came in it.
            visits: of people who have left since the last call; their camera is this one.
            now_s: when the frame was taken.
        """
        if (day := self._date(now_s)) != self._day:
            self._day, self._left = day, Counter()
        for visit in visits:
            self.recorder.put(visit)
            if self._date(visit.left_s) == self._day:
                self._left[visit.name] += 1
        minute = int(now_s // 60)
        if self._minute and self._minute.minute != minute:
            self.finish(entered)
        if self._minute is None:
            self._minute = Minute(self.camera, minute)
        passed_s = min(max(now_s - self._seen_s, 0.0), MAX_GAP_S)
        self._seen_s = now_s
        self._minute.watched_s += passed_s
        for name, count in present.items():
            self._minute.person_s[name] = self._minute.person_s.get(name, 0.0) + count * passed_s

    def finish(self, entered: Callable[[], Mapping[int, Counter]]) -> None:
        """The minute is over, or the video; ``entered`` as for ``see``."""
        if self._minute:
            self._minute.entered = entered().get(self._minute.minute, Counter())
            self.recorder.put(self._minute)
            self._minute = None

    def today(self, present: Counter) -> Counter:
        """Class to people of today on this record, those in the picture included."""
        return self._left + present


def camera_name(text: str) -> str:
    """What a person calls a camera, in one short line."""
    kept = "".join(sign if sign.isprintable() else " " for sign in text)
    return " ".join(kept.split())[:MAX_CAMERA].strip() or "Webcam"


# Reading


def people_by_quarter(
    from_s: float, to_s: float, camera: str | None = None, by: str = "came_s"
) -> dict[tuple[int, str], int]:
    """People on the record: (start of the quarter of an hour they came in, class) to how many.

    Args:
        from_s, to_s: who came since the first and before the second.
        camera: only of this one.
        by: ``came_s`` or ``left_s``.
    """
    assert by in ("came_s", "left_s")
    sql = (
        f"SELECT CAST({by} / {QUARTER_S} AS INTEGER) * {QUARTER_S}, class, COUNT(*) FROM people "
        f"WHERE {by} >= ? AND {by} < ? AND (? IS NULL OR camera = ?) GROUP BY 1, 2"
    )
    return {(start, name): count for start, name, count in _rows(sql, (from_s, to_s, camera, camera))}


def watched_hours(from_s: float, to_s: float, camera: str | None = None) -> float:
    """For how long cameras were watched."""
    sql = "SELECT TOTAL(watched_s) FROM minutes WHERE minute >= ? AND minute < ? AND (? IS NULL OR camera = ?)"
    return sum(seconds for (seconds,) in _rows(sql, (from_s // 60, to_s // 60, camera, camera))) / 3600


def span_s() -> tuple[float, float] | None:
    """When the first person or minute on the record was, and the last; ``None`` without a record."""
    sql = (
        "SELECT MIN(a), MAX(b) FROM (SELECT MIN(came_s) AS a, MAX(left_s) AS b FROM people "
        "UNION ALL SELECT MIN(minute) * 60, MAX(minute) * 60 + 59 FROM minutes)"
    )
    rows = _rows(sql)
    return (rows[0][0], rows[0][1]) if rows and rows[0][0] is not None else None


def cameras() -> list[str]:
    """The names on the record."""
    return [name for (name,) in _rows("SELECT camera FROM minutes UNION SELECT camera FROM people ORDER BY 1")]


def people_csv(zone: tzinfo) -> str:
    """Everybody on the record, a row each; times with their difference to UTC."""
    rows = _rows("SELECT camera, came_s, left_s, class FROM people ORDER BY came_s")
    return _csv(
        ("camera", "came", "left", "seconds", "class"),
        (
            (camera, _local(came, zone), _local(left, zone), round(left - came, 1), name)
            for camera, came, left, name in rows
        ),
    )


def minutes_csv(zone: tzinfo) -> str:
    """Every watched minute: seconds watched; by class people on average and people who came."""
    rows = [
        (camera, minute, watched, json.loads(person_s), json.loads(entered))
        for camera, minute, watched, person_s, entered in _rows("SELECT * FROM minutes ORDER BY minute, camera")
    ]
    named = {name for *_, person_s, entered in rows for name in (*person_s, *entered)}
    names = [*(name for name in (*CLASS_NAMES, UNKNOWN) if name in named), *sorted(named - {*CLASS_NAMES, UNKNOWN})]
    return _csv(
        (
            *("camera", "minute", "watched_s"),
            *(f"average_{name}" for name in names),
            *(f"entered_{name}" for name in names),
        ),
        (
            (
                *(camera, _local(minute * 60, zone), watched),
                *(round(person_s.get(name, 0) / watched, 2) if watched else 0 for name in names),
                *(entered.get(name, 0) for name in names),
            )
            for camera, minute, watched, person_s, entered in rows
        ),
    )


def _csv(columns: Sequence[str], rows: Iterable[Sequence]) -> str:
    return rows_to_csv((dict(zip(columns, row, strict=True)) for row in rows), columns)


def _local(at_s: float, zone: tzinfo) -> str:
    return datetime.fromtimestamp(at_s, zone).isoformat(sep=" ", timespec="seconds")


def by_local(counts: Mapping[tuple[int, str], int], zone: tzinfo, hours: bool = False) -> dict[datetime, FrameStats]:
    """People of ``people_by_quarter`` by local day, or hour, in its order."""
    found: dict[datetime, Counter] = {}
    for (start, name), count in sorted(counts.items()):
        at = datetime.fromtimestamp(start, zone).replace(minute=0, second=0, tzinfo=None)
        found.setdefault(at if hours else at.replace(hour=0), Counter())[name] += count
    return {at: as_stats(counts_at) for at, counts_at in found.items()}


def as_stats(counts: Mapping[str, int]) -> FrameStats:
    """Counts by class name, with the project's classes first."""
    others = sorted(set(counts) - {*CLASS_NAMES, UNKNOWN})
    own = CLASS_NAMES if not others or set(counts) & set(CLASS_NAMES) else ()
    classes = (*own, *others)
    return FrameStats(tuple(counts.get(name, 0) for name in classes), classes, counts.get(UNKNOWN, 0))


def share_interval(stats: FrameStats) -> tuple[float, float] | None:
    """Between which shares, 0..1, the true share with a mask lies in 95 of 100 cases (Wilson); ``None`` for nobody."""
    from scipy.stats import binomtest

    told = sum(stats.count(name) for name in CLASS_NAMES)
    if not told:
        return None
    interval = binomtest(stats.count(CLASS_NAMES[WITH_MASK]), told).proportion_ci(method="wilson")
    return float(interval.low), float(interval.high)


def week_start(day: date) -> date:
    """The Monday of its week."""
    return day - timedelta(days=day.weekday())


# Deleting


def deletions() -> int:
    """How often something was deleted since the start; who has counted from the record must then count again."""
    return _deletions


@for_operators
def delete_between(from_s: float, to_s: float) -> None:
    """Delete everybody who left, and every minute, since the first moment and before the second.

    Raises:
        RecordError: it cannot be done.
    """
    global _deletions
    path = record_path()
    if not path.is_file():
        return
    try:
        with _opened(path) as connection:
            with sqlite.transaction(connection):
                _delete(connection, from_s, to_s)
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        _deletions += 1
    except (OSError, sqlite3.Error) as error:
        raise RecordError(tr("Nothing was deleted. {why}").format(why=_sentence(error))) from None


@for_operators
def delete_all() -> None:
    """Delete the whole record, also a damaged one. Raises: ``RecordError``, if that cannot be done."""
    global _deletions
    try:
        for suffix in ("-wal", "-shm", ""):
            path = record_path()
            path.with_name(path.name + suffix).unlink(missing_ok=True)
        _deletions += 1
    except OSError as error:
        raise RecordError(tr("The record was not deleted. {why}").format(why=_sentence(error))) from None


def delete_old() -> None:
    """Delete what is older than the operator wants to keep, where there is a record; also where nobody records now."""
    path = record_path()
    if path.is_file():
        with contextlib.suppress(OSError, sqlite3.Error), _opened(path) as connection, sqlite.transaction(connection):
            _delete(connection, 0.0, _oldest_s())


def _oldest_s() -> float:
    return time.time() - limits().record_days * 86400


def _delete(connection: sqlite3.Connection, from_s: float, to_s: float) -> None:
    connection.execute("DELETE FROM people WHERE left_s >= ? AND left_s < ?", (from_s, to_s))
    connection.execute("DELETE FROM minutes WHERE minute * 60 >= ? AND minute * 60 < ?", (from_s - 59, to_s))


# The file


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[sqlite3.Connection]:
    path.parent.mkdir(parents=True, exist_ok=True)
    with closing(sqlite.connect(path, "rwc")) as connection:
        sqlite.let_readers_in(connection)
        connection.execute("PRAGMA secure_delete = ON")  # what is deleted is gone from the disk too
        if sqlite.version(connection) != VERSION:
            with sqlite.transaction(connection):
                if sqlite.version(connection) == 0:
                    for statement in SCHEMA:
                        connection.execute(statement)
                    connection.execute(f"PRAGMA user_version = {VERSION}")
        if sqlite.version(connection) != VERSION:
            raise sqlite3.DatabaseError("another version")
        yield connection


def _rows(sql: str, values: Sequence = ()) -> list[tuple]:
    path = record_path()
    if not path.is_file():
        return []
    try:
        return sqlite.select(path, VERSION, sql, values)
    except (OSError, sqlite3.Error) as error:
        raise RecordError(tr("The record cannot be read. {why}").format(why=_sentence(error))) from None


def _as_of_the_disk(error: Exception) -> Exception:
    return sqlite.as_of_the_disk(error, record_path()) if isinstance(error, sqlite3.OperationalError) else error


def _sentence(error: Exception) -> str:
    error = _as_of_the_disk(error)
    if isinstance(error, OSError):
        return disk_sentence(error)
    return tr("Its file is damaged; delete the record on the History page to begin a new one.")
