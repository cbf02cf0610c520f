"""The record of live video, with made people."""

import csv
import errno
import io
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from contextlib import closing
from datetime import datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import pytest

from core.access import AccessError, Role
from core.config import record_path
from core.video import record
from core.video.record import Keeper, Minute, Recorder, RecordError, Visit
from tests.helpers import ROOT, wait_until

UTC = timezone.utc
NOON = datetime(2026, 3, 4, 12, tzinfo=UTC).timestamp()


@pytest.fixture(autouse=True)
def data(tmp_path, monkeypatch):
    monkeypatch.setenv("MASK_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setattr(record, "limits", lambda: type("Limits", (), {"record_days": 3650}))


def write(*rows):
    recorder = Recorder()
    for row in rows:
        recorder.put(row)
    assert recorder.flush()
    return recorder


def visit(at_s=NOON, name="with_mask", stays_s=10.0, camera="Door"):
    return Visit(camera, at_s, at_s + stays_s, name)


def test_people_come_back_by_quarter_and_by_local_day():
    write(*(visit(NOON + minutes * 60) for minutes in (0, 14, 15)), visit(NOON, "unknown"), visit(NOON, camera="Back"))
    found = record.people_by_quarter(NOON, NOON + 3600, "Door")
    assert found == {(NOON, "with_mask"): 2, (NOON + 900, "with_mask"): 1, (NOON, "unknown"): 1}
    assert record.cameras() == ["Back", "Door"] and record.span_s() == (NOON, NOON + 910)
    midnight = datetime(2026, 3, 4, 22, 45, tzinfo=UTC).timestamp()
    write(*(visit(midnight + minutes * 60, camera="Night") for minutes in (0, 15)))
    days = record.by_local(record.people_by_quarter(midnight, midnight + 9e3, "Night"), ZoneInfo("Europe/Berlin"))
    assert {at.day: stats.counts for at, stats in days.items()} == {4: (1, 0, 0), 5: (1, 0, 0)}
    hours = record.by_local(record.people_by_quarter(midnight, midnight + 9e3, "Night"), ZoneInfo("Asia/Kolkata"), True)
    assert [at.hour for at in hours] == [4], "04:15 and 04:30 there: half hours are right too"


def test_a_keeper_writes_a_row_a_minute_and_counts_today():
    yesterday = visit(NOON - 86400)
    write(yesterday, visit(NOON - 3600, "without_mask"))
    keeper = Keeper(Recorder(), " Door\n", UTC, NOON)
    assert keeper.today(Counter()) == {"without_mask": 1}
    entered = {NOON // 60: Counter(with_mask=2)}
    for tick in range(0, 61):
        visits = [visit(NOON + tick)] if tick == 30 else []
        keeper.see(Counter(with_mask=2 - (tick >= 30)), lambda: entered, visits, NOON + tick)
    assert keeper.today(Counter(with_mask=1)) == {"without_mask": 1, "with_mask": 2}
    keeper.finish(lambda: entered)
    assert keeper.recorder.flush()
    (first, second) = csv.DictReader(io.StringIO(record.minutes_csv(UTC)[1:]))
    assert first["minute"] == "2026-03-04 12:00:00+00:00" and float(first["watched_s"]) == 59
    assert float(first["average_with_mask"]) == pytest.approx(1.5, abs=0.02) and first["entered_with_mask"] == "2"
    assert second["entered_with_mask"] == "0"
    assert record.watched_hours(NOON, NOON + 3600) * 3600 == pytest.approx(60)
    keeper.see(Counter(), lambda: {}, [], NOON + 86400)
    assert keeper.today(Counter()) == {}, "another day"


def test_two_that_watch_the_same_minute_add_up():
    row = Minute("Door", int(NOON // 60), 30.0, Counter(with_mask=30.0), Counter(with_mask=1))
    write(row, row)
    (only,) = csv.DictReader(io.StringIO(record.minutes_csv(UTC)[1:]))
    assert (only["watched_s"], only["average_with_mask"], only["entered_with_mask"]) == ("60.0", "1.0", "2")


def test_the_same_row_given_again_while_it_is_written_is_written_again(monkeypatch):
    row, recorder, write_row = visit(), Recorder(), Visit.write

    def written(self, connection):
        if not again:
            again.append(True)
            recorder.put(row)
        write_row(self, connection)

    again = []
    monkeypatch.setattr(Visit, "write", written)
    recorder.put(row)
    assert recorder.flush()
    assert sum(record.people_by_quarter(0, 1e10).values()) == 2


def test_csv_has_a_row_a_person_and_starts_no_formula():
    write(visit(camera=record.camera_name("=1+1"), name="helmet"))
    text = record.people_csv(timezone(timedelta(hours=2)))
    row = next(csv.DictReader(io.StringIO(text.removeprefix("\ufeff"))))
    assert row == {
        **{"camera": "'=1+1", "came": "2026-03-04 14:00:00+02:00", "left": "2026-03-04 14:00:10+02:00"},
        **{"seconds": "10.0", "class": "helmet"},
    }


def test_a_range_or_everything_is_deleted_and_nothing_stays_in_the_file():
    write(visit(name="first_day"), visit(NOON + 86400, "second_day"), Minute("Door", int(NOON // 60), 60.0))
    before = record.deletions()
    record.delete_between(NOON - 60, NOON + 3600)
    assert record.people_by_quarter(0, 1e10) == {(NOON + 86400, "second_day"): 1} and record.watched_hours(0, 1e10) == 0
    assert b"first_day" not in b"".join(path.read_bytes() for path in record_path().parent.glob("record*"))
    record.delete_all()
    assert not list(record_path().parent.glob("record*")) and record.span_s() is None
    assert record.deletions() == before + 2
    write(visit())
    assert record.span_s(), "a new one begins"


def test_what_is_too_old_goes(monkeypatch):
    now = time.time()
    write(visit(now - 8 * 86400, "old"), Minute("Door", int(now // 60) - 8 * 1440, 1.0))
    assert record.watched_hours(0, 1e10) > 0
    monkeypatch.setattr(record, "limits", lambda: type("Limits", (), {"record_days": 7}))
    write(visit(now - 6 * 86400, "new"))
    assert {name for _, name in record.people_by_quarter(0, 1e10)} == {"new"} and record.watched_hours(0, 1e10) == 0
    monkeypatch.setattr(record, "limits", lambda: type("Limits", (), {"record_days": 5}))
    record.delete_old()
    assert record.span_s() is None, "also where nobody records now"


def test_a_disk_that_cannot_be_written_is_one_sentence_and_nothing_is_lost(monkeypatch):
    monkeypatch.setattr(record, "RETRY_S", 0.01)
    full, connect = [True], record.sqlite.connect

    def broken(*arguments):
        if full:
            raise OSError(errno.ENOSPC, "no space")
        return connect(*arguments)

    monkeypatch.setattr(record.sqlite, "connect", broken)
    recorder = Recorder()
    recorder.put(visit())
    wait_until(lambda: recorder.problem)
    assert recorder.problem.endswith("the video continues. The server's disk is full; make room and try again.")
    recorder.put(visit(NOON + 60))
    full.clear()
    assert recorder.flush() and not recorder.problem
    assert sum(record.people_by_quarter(0, 1e10).values()) == 2


def test_a_damaged_file_is_one_sentence_until_it_is_deleted(monkeypatch):
    monkeypatch.setattr(record, "RETRY_S", 0.01)
    record_path().parent.mkdir(parents=True)
    record_path().write_bytes(b"no database" * 1000)
    with pytest.raises(RecordError, match="damaged; delete the record"):
        record.span_s()
    recorder = Recorder()
    recorder.put(visit())
    wait_until(lambda: "damaged" in recorder.problem)
    record.delete_all()
    assert recorder.flush() and record.span_s() == (NOON, NOON + 10)


def test_who_may_keep_a_record(monkeypatch):
    monkeypatch.setattr("core.access._ask", lambda: Role.VISITOR)
    with pytest.raises(AccessError):
        Keeper(Recorder(), "Door", UTC)
    monkeypatch.setenv("MASK_RECORD", "on")
    Keeper(Recorder(), "Door", UTC)
    monkeypatch.setattr("core.access._ask", lambda: Role.OPERATOR)
    monkeypatch.setenv("MASK_RECORD", "off")
    with pytest.raises(AccessError):
        Keeper(Recorder(), "Door", UTC)


def test_the_interval_of_a_share_is_wide_for_few_people():
    few, many = (
        record.as_stats({"with_mask": 3, "without_mask": 1}),
        record.as_stats({"with_mask": 300, "without_mask": 100}),
    )
    low, high = record.share_interval(few)
    assert (low, high) == pytest.approx((0.301, 0.954), abs=0.001)
    narrow = record.share_interval(many)
    assert narrow[1] - narrow[0] < 0.1 and record.share_interval(record.as_stats({"unknown": 5})) is None


def test_a_kill_loses_nothing_that_was_written(tmp_path):
    code = """
import sys, time
from core.video.record import Recorder, Visit
recorder = Recorder()
for i in range(100_000):
    recorder.put(Visit("Door", time.time(), time.time() + 1, "with_mask"))
    if recorder.flush() and i % 10 == 0:
        print(i + 1, flush=True)
"""
    with subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        told = [int(process.stdout.readline()) for _ in range(5)]
        os.kill(process.pid, signal.SIGKILL)
    assert sum(record.people_by_quarter(0, 1e10).values()) >= told[-1]
    with closing(sqlite3.connect(record_path())) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    write(visit())
