"""Long work beside the pages: it continues when a page is reloaded, shows how far it is, and can be cancelled."""

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Protocol

from core.access import as_now
from core.io import disk_sentence
from core.language import in_this_language, mark, tr

log = logging.getLogger(__name__)
# Results may be large. A page that asks for one that is forgotten starts its work again.
KEEP_S, MAX_ENDED = 3600.0, 32
UNEXPECTED = mark("This did not work because of an error in the app; the server's log has the details.")


class Cancelled(Exception):
    """Somebody asked the work to stop."""


class Report(Protocol):
    """Called by work with units done, units in all (0: unknown) and a few words; raises ``Cancelled``."""

    def __call__(self, done: int, total: int, text: str = "") -> None: ...


def no_report(done: int, total: int, text: str = "") -> None:
    """For work that nobody watches."""


@dataclass(frozen=True)
class JobStatus:
    """How far a job is."""

    key: str
    title: str
    state: str
    """``running``, ``done``, ``cancelled`` or ``failed``."""
    done: int = 0
    total: int = 0
    text: str = ""
    error: str = ""
    """Why it failed, in one sentence for people."""
    result: Any = None
    """What the work returned."""
    started: float = 0.0
    """Seconds since the epoch."""
    by: str = ""
    """Who started it: how it ended is for them. Empty if that concerns everybody who sees it."""

    @property
    def share(self) -> float | None:
        """Part done, 0..1, or ``None`` if unknown."""
        return min(1.0, self.done / self.total) if self.total else None


class Jobs:
    """The jobs of a server, by key. Safe to use from any thread.

    A job that has ended is forgotten once nobody has asked for it for an hour, or for as long as for many others.
    """

    def __init__(self, who: Callable[[], str] = lambda: "") -> None:
        """Args: ``who`` says who starts a job, where and when it is started."""
        self._who, self._lock = who, threading.Lock()
        self._jobs: dict[str, JobStatus] = {}
        self._stop: dict[str, threading.Event] = {}
        self._asked: dict[str, float] = {}

    def start(self, key: str, title: str, work: Callable[[Report], object]) -> bool:
        """Begin a job in a thread of its own, in the language of now; ``False`` if one of this key is still running."""
        by = self._who()
        with self._lock:
            if key in self._jobs and self._jobs[key].state == "running":
                return False
            self._evict()
            self._asked[key] = time.monotonic()
            stop = self._stop[key] = threading.Event()
            self._jobs[key] = JobStatus(key, title, "running", started=time.time(), by=by)
        run = in_this_language(self._run)
        threading.Thread(target=run, args=(key, as_now(work), stop), name=f"job-{key}", daemon=True).start()
        return True

    def _run(self, key: str, work: Callable[[Report], object], stop: threading.Event) -> None:
        def report(done: int, total: int, text: str = "") -> None:
            if stop.is_set():
                raise Cancelled
            self._change(key, done=done, total=total, text=text)

        try:
            self._change(key, result=work(report), state="done")
        except Cancelled:
            self._change(key, state="cancelled")
        except (ValueError, OSError) as error:
            log.info("Job %s failed: %s", key, error)
            sentence = str(error) if isinstance(error, ValueError) else disk_sentence(error)
            self._change(key, state="failed", error=sentence)
        except Exception:
            log.exception("Job %s failed", key)
            self._change(key, state="failed", error=tr(UNEXPECTED))

    def _change(self, key: str, **fields: Any) -> None:
        with self._lock:
            self._jobs[key] = replace(self._jobs[key], **fields)
            if self._jobs[key].state != "running":
                self._asked[key] = time.monotonic()
                self._evict()

    def _evict(self) -> None:
        """Forget what nobody has asked for in a long time."""
        ended = [key for key, job in self._jobs.items() if job.state != "running"]
        ended.sort(key=lambda key: self._asked[key], reverse=True)
        oldest = time.monotonic() - KEEP_S
        for place, key in enumerate(ended):
            if place >= MAX_ENDED or self._asked[key] < oldest:
                self._drop(key)

    def _drop(self, key: str) -> None:
        del self._jobs[key], self._stop[key], self._asked[key]

    def status(self, key: str) -> JobStatus | None:
        """How far a job is, or ``None`` if there is none."""
        with self._lock:
            if key in self._jobs:
                self._asked[key] = time.monotonic()
            return self._jobs.get(key)

    def all(self) -> list[JobStatus]:
        """Every job that is not forgotten, in the order of their start."""
        with self._lock:
            self._evict()
            return sorted(self._jobs.values(), key=lambda job: job.started)

    def cancel(self, key: str) -> None:
        """Ask a job to stop; it does at its next report."""
        with self._lock:
            if key in self._stop:
                self._stop[key].set()

    def forget(self, key: str) -> None:
        """Drop a job that has ended, with its result."""
        with self._lock:
            if key in self._jobs and self._jobs[key].state != "running":
                self._drop(key)
