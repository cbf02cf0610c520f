"""Work beside the pages: what is kept of it, and for how long."""

import errno
import time

import pytest

from core import jobs as module
from core.jobs import Jobs
from core.language import tr, using


class Clock:
    """Time that passes when the test says so."""

    def __init__(self):
        self.now = 1000.0

    def monotonic(self):
        return self.now

    def time(self):
        return self.now


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(module, "time", clock)
    return clock


def do(jobs, key, work=lambda report: "result"):
    assert jobs.start(key, key, work)
    end = time.monotonic() + 10
    while jobs.status(key) and jobs.status(key).state == "running":
        assert time.monotonic() < end
        time.sleep(0.001)


def keys(jobs):
    return [job.key for job in jobs.all()]


def fail(report):
    raise ValueError("No.")


def test_a_job_that_has_ended_is_forgotten_an_hour_after_somebody_asked(clock):
    jobs = Jobs()
    do(jobs, "watched")
    do(jobs, "failed", fail)
    clock.now += 3000
    assert jobs.status("watched").result == "result"
    clock.now += 3000
    do(jobs, "later")
    assert keys(jobs) == ["watched", "later"]
    assert jobs.status("failed") is None


def test_only_so_many_are_kept_and_what_runs_always_is(clock):
    jobs, stopping = Jobs(), []

    def wait(report):
        while not stopping:
            report(0, 0)
            time.sleep(0.001)

    jobs.start("runs", "", wait)
    for i in range(module.MAX_ENDED + 5):
        clock.now += 1
        do(jobs, f"job {i}")
    clock.now += 10 * module.KEEP_S - module.MAX_ENDED
    assert keys(jobs) == ["runs"]
    for i in range(module.MAX_ENDED + 5):
        clock.now += 1
        do(jobs, f"job {i}")
    assert keys(jobs) == ["runs", *(f"job {i}" for i in range(5, module.MAX_ENDED + 5))]
    stopping.append(True)


def test_what_is_forgotten_may_be_done_again(clock):
    jobs = Jobs()
    do(jobs, "a")
    jobs.forget("a")
    assert jobs.status("a") is None
    do(jobs, "a")
    assert jobs.status("a").state == "done"


def test_work_speaks_the_language_of_who_started_it(clock):
    def full(report):
        raise OSError(errno.ENOSPC, "No space left on device")

    def broken(report):
        raise RuntimeError

    jobs = Jobs()
    with using("fr"):
        do(jobs, "done", lambda report: tr("Mask"))
        do(jobs, "full", full)
        do(jobs, "broken", broken)
    do(jobs, "english", lambda report: tr("Mask"))
    assert (jobs.status("done").result, jobs.status("english").result) == ("Masque", "Mask")
    assert jobs.status("full").error.startswith("Le disque du serveur est plein")
    assert jobs.status("broken").error.startswith("Cela n’a pas fonctionné")
