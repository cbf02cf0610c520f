"""The contract of a run folder: the names of its files, what is in them, who writes and who reads them.

Every file is written in one step, so that a reader never meets half of one; those that grow line by line
(``steps.jsonl``, ``log.txt``) may end in half a line. Readers take a missing or damaged file for an empty one, unless
they say otherwise. No other module knows these names.
"""

import contextlib
import json
import math
import signal
import sys
import threading
import time
import traceback
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Protocol

from core.datasets.formats import DataError
from core.io import disk_sentence, is_number, parse_json, read_json, read_lines, write_atomic, write_json
from core.registry.store import CARD, MODEL

__all__ = ["CARD", "MODEL"]  # the app installs a model from a folder with these two

# Written before the training or by it, before its first step.
CONFIG = "config.json"
"""The settings (``train.config.run_settings``). A training of the queue reads them from here."""
DATA = "data.json"
"""What a detector was trained on: counts by part and data set."""

# Written while it trains.
METRICS, STEPS, PROGRESS = "metrics.jsonl", "steps.jsonl", "progress.json"
"""A line per epoch; running means within the epochs; how far it is (``Progress``)."""
LAST, BEST = "last.keras", "best.keras"
"""Checkpoints (``write_checkpoint``): after the last finished epoch, and after the one that did best in validation."""
FEATURES = "features.npz"
"""What the frozen base makes of each face, if that is cached (``train.classifier.features``)."""

# Written at the end; ``card.json`` comes last, so where it is, the run is done.
KERAS_MODEL, WEIGHTS = "model.keras", "weights.npz"
"""The calibrated model without its training state; a detector's weights in half precision, to start another run."""
PREDICTIONS, REPORT = "predictions.json", "report.json"
"""What the exported model says of each test face; the figures."""

# Written afterwards, when somebody asks for it.
ONNX_MODEL, SET_SCORES = "model.onnx", "set_scores.json"
"""The model for other programs; its figures on every data set of the server."""

# Written by the queue (``train.runs``); a training of the command line has neither.
RUN, LOG = "run.json", "log.txt"
"""Name, note and state; what the training printed."""

STAGES = ("reading", "features", "head", "fine-tune", "finishing")
EVERY_S = 0.5
# In stages whose steps nobody counts a reader still sees that the run is alive.
BEAT_S = 5.0
POINTS_PER_EPOCH = 20
# Nobody should wait for the curve to begin: in the first epoch points come at least so often.
FIRST_POINTS_S = 2.0
# For so long the expectation counts beside what is measured: the first step of a stage takes longer than the others.
TRUST_AFTER_S = 10.0


class Progress:
    """Keeps ``progress.json`` of a run folder, once the folder is there: at most twice a second, never half written."""

    def __init__(self, folder: Path | str, epochs: int):
        """Args: ``folder`` of the run, and the epochs of all its stages together."""
        self._path, self._epochs = Path(folder) / PROGRESS, epochs
        self._expected: dict[str, float] = {}
        self._slowness: dict[str, float] = {}
        self._stage, self._text = "", ""
        self._done = self._total = self._first = self._epoch = 0
        self._started, self._stage_start, self._written = time.time(), time.monotonic(), 0.0
        self._lock = threading.Lock()

    @contextlib.contextmanager
    def alive(self) -> Iterator[None]:
        """Write every few seconds even where no step is reported, for the time of a ``with``."""
        over = threading.Event()

        def beat() -> None:
            while not over.wait(BEAT_S):
                self._write()

        thread = threading.Thread(target=beat, name="progress", daemon=True)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()

    def expect(self, seconds: dict[str, float]) -> None:
        """Say how long each stage of this run should take; stages that are not named do not happen."""
        self._expected = dict(seconds)

    def stage(self, name: str, text: str, total: int = 0, done: int = 0, epoch: int = 0) -> None:
        """Begin a stage.

        Args:
            name: one of ``STAGES``.
            text: what happens, in plain words.
            total: steps of the stage, 0 if unknown.
            done: how many an earlier attempt has done already.
            epoch: the epoch that begins, counted from 1 over all stages.
        """
        self._close_stage()
        self._stage, self._text, self._stage_start = name, text, time.monotonic()
        self._done = self._first = done
        self._total, self._epoch = total, epoch or self._epoch
        self._write()

    def say(self, text: str) -> None:
        """Other words for the same stage."""
        self._text = text
        self._write()

    def step(self, done: int, epoch: int | None = None) -> None:
        """So many steps of the stage are done."""
        self._done = done
        self._epoch = self._epoch if epoch is None else epoch
        if time.monotonic() - self._written >= EVERY_S:
            self._write()

    def end(self) -> dict[str, float]:
        """The run is over; gives for each stage seconds taken over seconds expected, where that can be told."""
        self._done = self._total = max(self._total, 1)
        self._close_stage()
        self._write(left_s=0.0)
        return self._slowness

    def left_s(self) -> float | None:
        """Seconds left in the whole run, or ``None`` if nobody knows."""
        if self._stage not in self._expected:
            return None
        spent, expected = time.monotonic() - self._stage_start, self._expected[self._stage]
        if self._total:
            share = self._done / self._total
            left = expected * (1 - share)
            if self._done > self._first:
                measured = spent * (self._total - self._done) / (self._done - self._first)
                left += (measured - left) * min(1.0, spent / TRUST_AFTER_S)
        else:
            left = max(0.0, expected - spent)
        later = STAGES[STAGES.index(self._stage) + 1 :]
        return left + sum(self._expected.get(stage, 0.0) for stage in later)

    def _close_stage(self) -> None:
        """Compare how long the stage took with what was expected of the part that was done here."""
        share = (self._done - self._first) / self._total if self._total else 1.0
        expected = self._expected.get(self._stage, 0.0) * share
        if share > 0.2 and expected > 0:
            self._slowness[self._stage] = (time.monotonic() - self._stage_start) / expected

    def _write(self, left_s: float | None = None) -> None:
        # The folder is made once data and settings are found good.
        if not self._path.parent.is_dir():
            return
        with self._lock:
            left = self.left_s() if left_s is None else left_s
            self._written = time.monotonic()
            facts = {
                "stage": self._stage,
                "text": self._text,
                "done": self._done,
                "total": self._total,
                "epoch": self._epoch,
                "epochs": self._epochs,
                "time": time.time(),
                "started": self._started,
                "left_s": None if left is None else round(left, 1),
            }
            with contextlib.suppress(OSError):  # no reason to end a training; a checkpoint that cannot be written is
                write_json(self._path, facts)


class StepCurve:
    """Keeps ``steps.jsonl`` of a run folder: running means of loss and accuracy, from the first step on."""

    def __init__(self, folder: Path | str, steps_per_epoch: int, epochs_done: int):
        """Drop what a broken-off epoch left behind.

        Args:
            folder: of the run.
            steps_per_epoch: batches in a pass.
            epochs_done: the last finished epoch; points after it will be made anew.
        """
        self._path, self._steps = Path(folder) / STEPS, steps_per_epoch
        self._means: list[float] | None = None
        self._told_at = -math.inf
        if self._path.is_file():
            lines = self._path.read_text(encoding="utf-8", errors="replace").splitlines()
            kept = [line for line in lines if _epoch(line) <= epochs_done]
            write_atomic(self._path, lambda path: path.write_text("".join(line + "\n" for line in kept)))

    def add(self, epoch: int, step: int, loss: float, accuracy: float) -> None:
        """One more batch: ``step`` 1.. of ``epoch`` 1.., its own loss and accuracy."""
        if self._means is None:
            self._means = [loss, accuracy]
        # Over a quarter of an epoch, quicker at first, so that the curve is smooth and yet begins where it should.
        weight = max(1 / max(1, self._steps / 4), 1 / (step + (epoch - 1) * self._steps))
        self._means = [mean + weight * (new - mean) for mean, new in zip(self._means, (loss, accuracy), strict=True)]
        due = epoch == 1 and time.monotonic() - self._told_at > FIRST_POINTS_S
        if not due and step * POINTS_PER_EPOCH // self._steps == (step - 1) * POINTS_PER_EPOCH // self._steps:
            return
        self._told_at = time.monotonic()
        point = {"epoch": round(epoch - 1 + step / self._steps, 4), "loss": self._means[0], "accuracy": self._means[1]}
        with contextlib.suppress(OSError), self._path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(point) + "\n")


def _epoch(line: str) -> float:
    """Where a line of ``steps.jsonl`` stands; a damaged one nowhere."""
    try:
        return float(parse_json(line)["epoch"])
    except (ValueError, KeyError, TypeError, OverflowError):
        return float("inf")


class Interrupted(Exception):
    """Somebody asked the run to stop; everything up to the last finished epoch is kept."""


@contextmanager
def ending_with_a_sentence(program: str) -> Iterator[None]:
    """End this process as the queue understands it: what went wrong is the last line, and no path is in it."""
    try:
        yield
    except DataError as error:
        sys.exit(f"{program}: {error}")
    except Interrupted:
        print("\nStopped; start again with the same settings to resume.", flush=True)
        sys.exit(143)
    except OSError as error:
        if error.errno is None:  # of a connection, say
            raise
        traceback.print_exc()
        sys.exit(f"{program}: {disk_sentence(error)}")


def write_settings(folder: Path, settings: Mapping) -> None:
    """Keep what ``train.config.run_settings`` gives. Raises: OSError."""
    write_json(folder / CONFIG, dict(settings))


def read_settings(folder: Path) -> dict:
    """What ``write_settings`` wrote; runs of earlier versions may lack settings that are newer."""
    return read_json(folder / CONFIG)


def check_run_folder(out: Path, settings: Mapping, defaults: Mapping, may_change: tuple[str, ...] = ()) -> None:
    """Refuse a folder that holds a run with other settings, apart from those that may change.

    Args:
        out: the run folder; it may not exist yet.
        settings: of the run that wants to use it.
        defaults: of settings that a run of an earlier version did not have yet.
        may_change: names of settings.

    Raises:
        DataError: as said.
    """
    if not (out / CONFIG).is_file():
        return
    begun_with = {**defaults, **read_settings(out), **{name: settings[name] for name in may_change}}
    if begun_with != settings:
        raise DataError(f"{out} holds a run with other settings; choose another --out or remove it.")


class Stoppable(Protocol):
    """A trainer: ends at its next step once ``stopping`` is set."""

    stopping: bool


@contextmanager
def stopping_on_signals(trainer: Stoppable) -> Iterator[None]:
    """Set ``trainer.stopping`` on SIGTERM and SIGINT."""

    def stop(signum: int, frame: FrameType | None) -> None:
        trainer.stopping = True

    before = {number: signal.signal(number, stop) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


# Keras' files are zip archives; this member more holds what is needed to resume.
STATE_MEMBER = "mask_training_state.json"


def write_checkpoint(
    path: Path, save: Callable[[Path], object], state: Mapping, members: Mapping[str, bytes] | None = None
) -> None:
    """Write a checkpoint: weights and state together, in one step, so that they always belong together.

    Args:
        path: ``LAST`` or ``BEST`` of a run folder.
        save: writes the Keras file, such as ``model.save``.
        state: what ``read_state`` gives back.
        members: further files inside, by name.
    """

    def write(temporary: Path) -> None:
        save(temporary)
        with zipfile.ZipFile(temporary, "a") as file:
            file.writestr(STATE_MEMBER, json.dumps(dict(state)))
            for name, content in (members or {}).items():
                file.writestr(name, content)

    write_atomic(path, write)


def read_state(path: Path) -> dict:
    """What a checkpoint says of its run: ``epochs_done``, ``best_epoch``, ``metrics``, ``data`` and the best score.

    Raises:
        DataError: the file is no checkpoint.
    """
    try:
        with zipfile.ZipFile(path) as file:
            state = parse_json(file.read(STATE_MEMBER))
            if not isinstance(state, dict):
                raise ValueError
            return state
    except (OSError, KeyError, ValueError, NotImplementedError, zipfile.BadZipFile, zlib.error):
        raise DataError(
            f"{path} is no checkpoint that a run can resume from; start a new run in another folder."
        ) from None


LOG_TAIL_BYTES = 64_000


def write_metrics(folder: Path, lines: Sequence[Mapping]) -> None:
    """Write all lines anew, one per finished epoch."""
    text = "".join(json.dumps(line) + "\n" for line in lines)
    write_atomic(folder / METRICS, lambda path: path.write_text(text, encoding="utf-8"))


def read_metrics(folder: Path) -> list[dict]:
    """A line per finished epoch: ``epoch``, ``loss``, ``accuracy``, ``val_loss``, ``val_accuracy`` and more."""
    return read_lines(folder / METRICS)


def read_steps(folder: Path) -> list[dict]:
    """Running means within the epochs: ``epoch`` (2.35 is a third into the third), ``loss``, ``accuracy``."""
    return read_lines(folder / STEPS)


def read_progress(folder: Path) -> dict:
    """How far the run is, as ``Progress`` last wrote it."""
    return read_json(folder / PROGRESS)


def read_report(folder: Path) -> dict:
    """The figures of a finished run."""
    return read_json(folder / REPORT)


def read_log(folder: Path, start: int = 0) -> list[str]:
    """The last lines that the training printed, empty ones left out.

    Args:
        folder: of the run.
        start: byte from which the log counts; an earlier attempt may have written what lies before.
    """
    try:
        with (folder / LOG).open("rb") as file:
            end = file.seek(0, 2)
            file.seek(max(start, end - LOG_TAIL_BYTES))
            text = file.read().decode("utf-8", errors="replace")
    except OSError:
        return []
    # A progress line is written over itself: what counts is what stood there last.
    shown = (line.rstrip().rpartition("\r")[2] for line in text.split("\n"))
    return [line for line in shown if line.strip()]


def finished(folder: Path) -> bool:
    """Whether the run has come to its end: the card is written last."""
    return (folder / CARD).is_file() and (folder / REPORT).is_file()


def epochs_of(settings: dict) -> tuple[int, int]:
    """All epochs, and after which of them the last blocks learn too (0: never)."""
    head, fine_tune = (
        int(value) if is_number(value := settings.get(name)) else 0 for name in ("epochs", "fine_tune_epochs")
    )
    return (head + fine_tune, head) if settings.get("fine_tune_blocks") else (head, 0)
