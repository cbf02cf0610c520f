"""The training runs of a server: one trains at a time, the next ones queue, and all outlive the page and the app.

Each run is a folder below ``runs_dir()`` as ``train.run_folder`` describes it. The queue writes its settings, name,
note and state; ``python -m train.classifier --run`` reads the settings and writes the rest. Nothing is kept in memory
that an app started again would miss: a training that still runs is recognised by its process, one that is gone is found
to be.

``RunManager.runs()`` and ``find()`` only look. ``poll()`` changes things: it starts what is queued and notices what has
ended; a thread calls it every second (``watch()``), and so does whatever changes the queue.
"""

import contextlib
import logging
import os
import re
import secrets
import subprocess
import sys
import threading
import time
import unicodedata
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import psutil

from core.access import for_operators
from core.config import HOME, LIMITS, limits, runs_dir
from core.datasets.formats import DataError
from core.io import (
    DamagedFileError,
    disk_sentence,
    folder_lock,
    is_number,
    load_json,
    put_out_of_sight,
    read_json,
    remove,
    scratch_folder,
    sweep,
    sweep_partial,
    write_json,
)
from core.language import ENGLISH, mark, tr, using
from core.quota import check_count, check_disk
from core.trash import GONE, bring_back, sweep_trash, throw_away
from train.config import TrainConfig, make_config, read_config, run_settings
from train.run_folder import (
    CARD,
    CONFIG,
    LOG,
    METRICS,
    PROGRESS,
    RUN,
    STEPS,
    finished,
    read_log,
    read_metrics,
    read_progress,
    read_settings,
    write_settings,
)

log = logging.getLogger(__name__)

QUEUED, RUNNING, DONE, CANCELLED = mark("queued"), mark("running"), mark("done"), mark("cancelled")
INTERRUPTED, FAILED = mark("interrupted"), mark("failed")
STATES = (QUEUED, RUNNING, DONE, CANCELLED, INTERRUPTED, FAILED)
# A training that is asked to stop does so after its step; one that does not is killed. Its finished epochs are safe.
GRACE_S = 20.0
# A training of the command line is taken to be running for this long after its last word.
SILENCE_S = 60.0
# A process tells when it began to the hundredth of a second, but from a clock that may be set meanwhile.
SAME_START_S = 2.0
MAX_NAME, MAX_NOTE = 80, 2000
MAX_TIME = 1e10
"""Seconds since the epoch: in the year 2286."""
NEW, DOOMED = ".new-", GONE


class RunError(ValueError):
    """Something cannot be done with a run; the message is one sentence for the person who asked."""


@dataclass(frozen=True)
class Run:
    """One training, as it stands now."""

    id: str
    """Name of its folder."""
    folder: Path
    name: str
    note: str
    state: str
    """One of ``STATES``."""
    settings: dict
    sentence: str = ""
    """What happened, if it did not come to its end, in the language of who asks."""
    created: float = 0.0
    """Seconds since the epoch, as are the next two; 0 if unknown."""
    queued: float = 0.0
    ended: float = 0.0
    spent_s: float = 0.0
    """Seconds of training, all attempts together."""
    stopping: bool = False
    """It was asked to stop and has not yet."""
    from_command_line: bool = False

    @property
    def can_resume(self) -> bool:
        """Whether it may be put in the queue again, to resume after its last finished epoch."""
        return self.state in (CANCELLED, INTERRUPTED, FAILED) and bool(self.settings.get("data"))

    @property
    def data_names(self) -> list[str]:
        """Names of its data folders."""
        return [Path(str(folder)).name for folder in self.settings.get("data", [])]


def training_command(folder: Path) -> list[str]:
    """The command line that trains, or resumes, the run of a folder with the settings in it."""
    return [sys.executable, "-m", "train.classifier", f"--run={folder}"]


def imagenet_choices() -> dict[str, str]:
    """Where the network's first weights may come from, as a page offers it: setting and words, the usual one first.

    A visitor never names a file of the server; the operator may, in ``MASK_IMAGENET_WEIGHTS``.
    """
    choices = {"imagenet": tr("ImageNet, downloaded once"), "none": tr("Random numbers (far less accurate)")}
    file = os.environ.get("MASK_IMAGENET_WEIGHTS")
    return {file: tr("ImageNet, from this server"), **choices} if file and Path(file).is_file() else choices


class RunManager:
    """Starts, queues, stops and lists the runs of one folder. Safe to use from any thread and from several apps."""

    def __init__(
        self,
        folder: Path | None = None,
        command: Callable[[Path], list[str]] | None = None,
        grace_s: float = GRACE_S,
    ):
        """Args: ``folder`` of the runs, ``runs_dir()`` if left out; the other two are for tests."""
        self._folder, self._command, self._grace_s = folder, command or training_command, grace_s
        self._error: OSError | None = None
        self._children: dict[str, subprocess.Popen] = {}
        self._closed = threading.Event()

    @property
    def folder(self) -> Path:
        """Where the runs are."""
        return self._folder or runs_dir()

    @property
    def problem(self) -> str:
        """Why nothing can be started at the moment, in one sentence; empty if it can."""
        if self._error is None:
            return ""
        return tr("The queue of trainings stands still. {why}").format(why=disk_sentence(self._error))

    def watch(self, every_s: float = 1.0) -> "RunManager":
        """Keep the queue moving in a thread of its own, from now on; gives itself back."""

        def work() -> None:
            self.sweep()
            while True:
                try:
                    self.poll()
                except Exception:
                    log.exception("The queue of trainings stumbles")
                if self._closed.wait(every_s):
                    return

        threading.Thread(target=work, name="training-queue", daemon=True).start()
        return self

    def sweep(self) -> None:
        """Remove what killed apps and trainings left half written or half deleted."""
        sweep_trash(self.folder)
        sweep(self.folder, NEW, DOOMED)
        for run in self.runs():
            sweep_partial(run.folder)

    def close(self) -> None:
        """Stop watching; trainings continue."""
        self._closed.set()

    # What there is

    def runs(self) -> list[Run]:
        """Every run, newest first, as their files say; a run that has just ended is noticed by ``poll``."""
        if not self.folder.is_dir():
            return []
        folders = [path for path in self.folder.iterdir() if not path.name.startswith(".")]
        runs = [read_run(path) for path in folders if path.is_dir() and not path.is_symlink()]
        return sorted((run for run in runs if run), key=lambda run: (-run.created, run.id))

    def find(self, run_id: str) -> Run:
        """One run. Raises: RunError, if there is none of that name."""
        # The name comes from a page: it is looked up, never joined to a path.
        for run in self.runs():
            if run.id == run_id:
                return run
        raise RunError(tr("This run is no longer there; choose another one."))

    # What one can do

    def poll(self) -> None:
        """Bring the queue up to date: notice trainings that have ended, start the next one if none runs.

        Where the folder cannot be written, nothing is started, and ``problem`` says so until it can.
        """
        if not self.folder.is_dir():
            return
        try:
            with self._alone():
                for run in self.runs():
                    if run.state == RUNNING and not run.from_command_line:
                        self._settle(run)
                runs = self.runs()
                waiting = sorted((run for run in runs if run.state == QUEUED), key=lambda run: run.queued)
                if waiting and not any(run.state == RUNNING for run in runs):
                    self._start(waiting[0])
        except OSError as error:
            if repr(error) != repr(self._error):
                log.exception("The queue of trainings stands still")
            self._error = error
        else:
            self._error = None

    @for_operators
    def add(self, name: str, **settings: Any) -> Run:
        """Put a new run in the queue.

        Args:
            name: for people; the folder gets a name of its own.
            settings: of ``TrainConfig``, apart from ``out``.

        Raises:
            DataError: a setting is not possible.
            OSError: the folder cannot be written; then there is no new run.
        """
        settings = run_settings(make_config(TrainConfig, {"out": ""} | settings))
        self._check_room()
        name = _one_line(name) or tr("Training")
        now = time.time()
        run_id = f"{time.strftime('%Y%m%d-%H%M%S', time.localtime(now))}-{_slug(name)}-{secrets.token_hex(2)}"
        sweep(self.folder, NEW, DOOMED)
        with scratch_folder(self.folder, NEW) as made:
            write_settings(made, settings)
            write_json(made / RUN, {"name": name, "note": "", "state": QUEUED, "created": now, "queued": now})
            made.rename(self.folder / run_id)
        self.poll()
        return self.find(run_id)

    @for_operators
    def resume(self, run_id: str) -> None:
        """Queue a run that did not come to its end: the same settings, on from its last finished epoch."""
        self.poll()  # it may have ended at this very moment
        self._check_room()
        with self._changing(run_id) as (run, data):
            if not run.can_resume:
                words = tr("“{name}” is {state}; only a run that has stopped can resume.")
                raise RunError(words.format(name=run.name, state=tr(run.state)))
            data |= {"state": QUEUED, "queued": time.time()} | _saying()
            data.setdefault("created", run.created)
            data.pop("cancel_asked", None)
        self.poll()

    @for_operators
    def cancel(self, run_id: str) -> None:
        """Stop a run that trains, or take it out of the queue. What it has learnt up to its last epoch is kept."""
        with self._changing(run_id) as (run, data):
            if run.state == QUEUED:
                removed = _saying({"form": mark("Removed from the queue.")})
                data |= {"state": CANCELLED, "ended": time.time()} | removed
            elif run.state == RUNNING and "pid" in data:
                data.setdefault("cancel_asked", time.time())
                self._stop(data)
            elif run.state == RUNNING:
                raise RunError(tr("“{name}” was started on a command line; stop it there.").format(name=run.name))

    @for_operators
    def rename(self, run_id: str, name: str) -> None:
        """Give a run another name. Raises: RunError, if the name is empty."""
        name = _one_line(name)
        if not name:
            raise RunError(tr("A run needs a name; type one."))
        with self._changing(run_id) as (_, data):
            data["name"] = name

    @for_operators
    def set_note(self, run_id: str, note: str) -> None:
        """Keep a few words with a run."""
        with self._changing(run_id) as (_, data):
            data["note"] = note.strip()[:MAX_NOTE]

    @for_operators
    def delete(self, run_id: str, by: str = "") -> None:
        """Remove a run's folder with all that is in it; what a link in it points to stays.

        Args:
            run_id: of the run.
            by: who deletes it, and may bring it back for ``core.trash.KEEP_S``; without a name it is gone for good.

        Raises:
            RunError: it is running, or there is no such run.
        """
        self.poll()
        sweep(self.folder, NEW, DOOMED)
        with self._alone():
            run = self.find(run_id)
            if run.state == RUNNING:
                raise RunError(tr("“{name}” is running; cancel it first.").format(name=run.name))
            if by and throw_away(self.folder, run.id, run.name, by, [run.folder]):
                return
            doomed = put_out_of_sight(run.folder, DOOMED)
        remove(doomed)

    @for_operators
    def restore(self, key: str, by: str) -> str:
        """Bring a deleted run back; its id. Raises: as ``core.trash.bring_back``."""
        run_id = bring_back(self.folder, key, by)
        self.poll()  # one that waited waits again
        return run_id

    # How it works inside

    def _check_room(self) -> None:
        """Raises: QuotaError, if no more trainings may wait, or the disk for them is full."""
        check_count("queued_trainings", sum(run.state == QUEUED for run in self.runs()))
        check_disk("runs_gb")

    def _alone(self) -> contextlib.AbstractContextManager[None]:
        """No other thread, and no other app on the same folder, changes a run meanwhile."""
        return folder_lock(self.folder)

    @contextlib.contextmanager
    def _changing(self, run_id: str) -> Iterator[tuple[Run, dict]]:
        with self._alone():
            run = self.find(run_id)
            data = _read_note(run.folder)
            yield run, data
            write_json(run.folder / RUN, data)

    def _start(self, run: Run) -> None:
        data = _read_note(run.folder)
        # An earlier version kept the settings with the state.
        if not (run.folder / CONFIG).is_file():
            write_settings(run.folder, run.settings)
        try:  # anybody may have changed the file, and an earlier version may have written it
            read_config(TrainConfig, run.folder)
        except DataError as error:
            told = _saying({"form": str(error)})
            write_json(run.folder / RUN, data | {"state": FAILED, "ended": time.time()} | told)
            return
        with (run.folder / LOG).open("ab") as output:
            data |= {"state": RUNNING, "started": time.time(), "log_from": output.tell()}
            # Before the process: what cannot be noted must not be started, least of all every second anew.
            write_json(run.folder / RUN, data)
            try:
                child = self._launch(run, output)
            except OSError as error:
                log.exception("Training does not start")
                why = {"form": mark("The training did not start: {why}."), "why": error.strerror or "unknown error"}
                data |= {"state": FAILED, "ended": time.time()} | _saying(why)
                write_json(run.folder / RUN, data)
                return
        try:
            write_json(run.folder / RUN, data | {"pid": child.pid, "process": _start_of(child.pid)})
        except OSError:
            child.kill()
            child.wait()
            raise
        self._children[run.id] = child

    def _launch(self, run: Run, output: IO[bytes]) -> subprocess.Popen:
        return subprocess.Popen(
            self._command(run.folder),
            cwd=HOME,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=os.environ | {"PYTHONUNBUFFERED": "1"},
            start_new_session=True,  # it outlives the app and does not hear its Ctrl-C
        )

    def _settle(self, run: Run) -> None:
        """Look after a run that trains."""
        data = _read_note(run.folder)
        child = self._children.get(run.id)
        if "pid" not in data and not child and (process := self._started_unnoted(run)):
            data |= {"pid": process.pid, "process": process.create_time()}
            write_json(run.folder / RUN, data)
        code = child.poll() if child else None
        if (code is None) if child else training_process(data):
            if "cancel_asked" not in data and _overdue(data):
                reached = {"form": LIMITS["training_minutes"].metadata["reached"], "limit": f"{_most_minutes():g}"}
                data["cancel_asked"], data["overdue"] = time.time(), reached
                write_json(run.folder / RUN, data)
                self._stop(data)
            if time.time() - _number(data.get("cancel_asked"), float("inf")) > self._grace_s:
                self._stop(data, at_once=True)
            return
        self._children.pop(run.id, None)
        now = time.time()
        # Nobody may have been there when it ended; its files tell when that was.
        ended = now if child else min(now, _last_word(run.folder) or now)
        state, told = what_happened(run.folder, data, code)
        spent_s = _number(data.get("spent_s")) + max(0.0, ended - _number(data.get("started"), ended))
        data |= {"state": state, "ended": ended, "spent_s": round(spent_s, 3)} | _saying(*told)
        for name in ("pid", "process", "cancel_asked", "overdue"):
            data.pop(name, None)
        write_json(run.folder / RUN, data)

    def _started_unnoted(self, run: Run) -> psutil.Process | None:
        """The training of a run whose app was killed between starting it and noting its number."""
        command = self._command(run.folder)[1:]
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error):
                if process.cmdline()[1:] == command and process.status() != psutil.STATUS_ZOMBIE:
                    return process
        return None

    def _stop(self, data: dict, at_once: bool = False) -> None:
        process = training_process(data)
        with contextlib.suppress(psutil.Error):  # it may end at this very moment
            if process and at_once:
                for each in (*process.children(recursive=True), process):
                    each.kill()
            elif process:
                process.terminate()


def training_process(data: Mapping) -> psutil.Process | None:
    """The process that a ``run.json`` names, if it still runs.

    Its number alone does not tell: systems use it again. One that has ended and only waits for its parent to notice
    counts as gone.
    """
    try:
        process = psutil.Process(data["pid"])
        same = abs(process.create_time() - data["process"]) < SAME_START_S
        return process if same and process.status() != psutil.STATUS_ZOMBIE else None
    # Of earlier versions the file has another kind of stamp; such a training counts as one of the command line.
    except (psutil.Error, KeyError, TypeError, ValueError, OverflowError):
        return None


def _read_note(folder: Path) -> dict:
    """What ``run.json`` says, to be changed: unlike for a look, a disk that fails must not count as an empty file.

    Raises:
        OSError: it is there and cannot be read.
    """
    try:
        return load_json(folder / RUN)
    except (FileNotFoundError, DamagedFileError):
        return {}


def _overdue(data: Mapping) -> bool:
    """Whether a training has taken longer, all attempts together, than the operator allows."""
    now = time.time()
    spent_s = _number(data.get("spent_s")) + now - _number(data.get("started"), now)
    return spent_s > 60 * _most_minutes()


def _most_minutes() -> float:
    return limits().training_minutes


def _start_of(pid: int) -> float:
    """When a process was started, in seconds since the epoch; 0 if it has ended already."""
    try:
        return psutil.Process(pid).create_time()
    except psutil.Error:
        return 0.0


def read_run(folder: Path) -> Run | None:
    """A run folder as it stands, or ``None`` if it is none of the classifier's."""
    data, settings = read_json(folder / RUN), read_settings(folder)
    if not settings and isinstance(data.get("settings"), dict):  # queued by an earlier version
        settings = data["settings"]
    # The detector's runs have other settings.
    if "fine_tune_blocks" not in settings or not isinstance(settings.get("data"), list):
        if settings or data.get("state") not in STATES:
            return None
        settings = {}  # damaged; the training will say so
    state, sentence = data.get("state"), _sentence(data)
    metrics = read_metrics(folder) if state is None else []
    last_word = _last_word(folder)
    ended = _number(data.get("ended")) or (last_word if state is None else 0.0)
    by_hand = state is None
    spent_s = _number(data.get("spent_s")) or sum(_number(line.get("seconds")) for line in metrics)
    if state == RUNNING:
        spent_s += max(0.0, time.time() - (_number(data.get("started")) or time.time()))
    if state not in (QUEUED, RUNNING):
        if finished(folder):
            state, sentence = DONE, ""
        elif _speaks(folder) > max(_number(data.get("ended")), time.time() - SILENCE_S):
            state, sentence, by_hand = RUNNING, "", True  # somebody resumed it on a command line
        elif state not in STATES:
            state, told = what_happened(folder, data, None)
            sentence = _sentence(_saying(*told))
    return Run(
        id=folder.name,
        folder=folder,
        name=_one_line(str(data.get("name") or "")) or folder.name,
        note=str(data.get("note") or ""),
        state=state,
        settings=settings,
        sentence=sentence,
        created=_number(data.get("created")) or _modified(folder / CONFIG),
        queued=_number(data.get("queued")),
        ended=ended,
        spent_s=spent_s,
        stopping="cancel_asked" in data,
        from_command_line=by_hand,
    )


def _saying(*parts: Mapping) -> dict:
    """What happened, as ``run.json`` keeps it: one English sentence, and the parts that ``_sentence`` reads.

    Args:
        parts: each has a ``form``, with the fields of its braces beside it, as text.
    """
    with using(ENGLISH):
        return {"sentence": _sentence({"told": parts}), "told": [dict(part) for part in parts]}


def _sentence(data: Mapping) -> str:
    """What happened to a run, in the language of now; in English, where an earlier version wrote it."""
    try:
        return " ".join(_part_words(part) for part in data["told"]).strip()
    except (KeyError, TypeError, ValueError, AttributeError, IndexError):
        return tr(str(data.get("sentence") or ""))


def _part_words(part: Mapping) -> str:
    fields = {name: str(value) for name, value in part.items() if name != "form"}
    if "epoch" in fields:
        after = tr("after epoch {epoch}").format(**fields)
        fields["when"] = after if fields["epoch"] else tr("before its first epoch was done")
    words = tr(str(part["form"]))
    return words.format(**fields) if fields else words


def what_happened(folder: Path, data: dict, code: int | None) -> tuple[str, list[dict]]:
    """State of a run whose process is gone, and what there is to say of it, for ``_saying``.

    Args:
        folder: of the run.
        data: its ``run.json``.
        code: how the process ended: 0 and above is its own exit code, -9 means signal 9; ``None`` if nobody knows.
    """
    if finished(folder):
        return DONE, []
    epochs = [line["epoch"] for line in read_metrics(folder)]
    facts = {"epoch": f"{epochs[-1]:g}" if epochs else ""}
    if "cancel_asked" in data:
        overdue = [data["overdue"]] if isinstance(data.get("overdue"), dict) else []
        return CANCELLED, [{"form": mark("Cancelled {when}."), **facts}, *overdue]
    lines = read_log(folder, int(_number(data.get("log_from"))))
    last = lines[-1] if lines else ""
    refused = re.match(r"(?:python -m )?train\.classifier: (?:error: )?(.+)", last)
    if refused:
        return FAILED, [{"form": refused[1]}]
    if code == -9:
        form = mark("The training was killed {when} (signal 9), by the system perhaps, because memory ran out.")
    elif code in (-15, 143) or last.startswith("Stopped; start again"):
        form = mark("The training was asked to stop {when} from outside the app, as when the computer shuts down.")
    elif code is not None and code < 0:
        form, facts["code"] = mark("The training crashed {when} (signal {code})."), str(-code)
    elif code:
        form = mark("The training ended {when} because of an error (exit code {code}).")
        facts["code"] = str(code)
    else:
        form = mark("The training was gone {when}: killed, or the computer was switched off.")
    told = [{"form": form, **facts}]
    if last and not last.startswith("Stopped; start again"):
        told.append({"form": mark("Its last words: {words}"), "words": last[:300]})
    return INTERRUPTED, told


def _speaks(folder: Path) -> float:
    """When the training last said how far it is, in seconds since the epoch; 0 if never."""
    return _number(read_progress(folder).get("time"))


def _last_word(folder: Path) -> float:
    files = (PROGRESS, STEPS, METRICS, CARD, LOG)
    return max(_modified(folder / name) for name in files)


def _modified(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0


def _number(value: object, otherwise: float = 0.0) -> float:
    """A time or a number of seconds or bytes; what cannot be one counts as missing."""
    return float(value) if is_number(value) and 0 <= value < MAX_TIME else otherwise


def _one_line(text: str) -> str:
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())[:MAX_NAME]


def _slug(name: str) -> str:
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()
    return re.sub(r"[^a-z0-9]+", "-", plain).strip("-")[:30].strip("-") or "run"
