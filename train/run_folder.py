"""The contract of a run folder: its files, their schema, progress and signals."""

import contextlib
import json
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Protocol

from core.datasets.faces import DataError
from core.io import read_lines, write_atomic, write_json

PROGRESS, STEPS = "progress.json", "steps.jsonl"


STAGES = ("reading", "features", "head", "fine-tune", "finishing")


EVERY_S = 0.5


# In stages whose steps nobody counts a reader still sees that the run is alive.
BEAT_S = 5.0


POINTS_PER_EPOCH = 20


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
            write_json(self._path, facts)


class StepCurve:
    """Keeps ``steps.jsonl`` of a run folder: running means of loss and accuracy, about twenty points per epoch."""

    def __init__(self, folder: Path | str, steps_per_epoch: int, epochs_done: int):
        """Drop what a broken-off epoch left behind.

        Args:
            folder: of the run.
            steps_per_epoch: batches in a pass.
            epochs_done: the last finished epoch; points after it will be made anew.
        """
        self._path, self._steps = Path(folder) / STEPS, steps_per_epoch
        self._means: list[float] | None = None
        if self._path.is_file():
            kept = [line for line in self._path.read_text(encoding="utf-8").splitlines() if _epoch(line) <= epochs_done]
            write_atomic(self._path, lambda path: path.write_text("".join(line + "\n" for line in kept)))

    def add(self, epoch: int, step: int, loss: float, accuracy: float) -> None:
        """One more batch: ``step`` 1.. of ``epoch`` 1.., its own loss and accuracy."""
        if self._means is None:
            self._means = [loss, accuracy]
        # Over a quarter of an epoch, quicker at first, so that the curve is smooth and yet begins where it should.
        weight = max(1 / max(1, self._steps / 4), 1 / (step + (epoch - 1) * self._steps))
        self._means = [mean + weight * (new - mean) for mean, new in zip(self._means, (loss, accuracy), strict=True)]
        if step * POINTS_PER_EPOCH // self._steps == (step - 1) * POINTS_PER_EPOCH // self._steps:
            return
        point = {"epoch": round(epoch - 1 + step / self._steps, 4), "loss": self._means[0], "accuracy": self._means[1]}
        with self._path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(point) + "\n")


def _epoch(line: str) -> float:
    """Where a line of ``steps.jsonl`` stands; a damaged one nowhere."""
    try:
        return float(json.loads(line)["epoch"])
    except (ValueError, KeyError, TypeError):
        return float("inf")


class Interrupted(Exception):
    """Somebody asked the run to stop; everything up to the last finished epoch is kept."""


def check_run_folder(out: Path, settings: dict, may_change: tuple[str, ...] = ()) -> None:
    """Refuse a folder that holds a run with other settings, apart from those that may change.

    Raises:
        DataError: as said.
    """
    path = out / "config.json"
    if not path.is_file():
        return
    begun_with = json.loads(path.read_text()) | {name: settings[name] for name in may_change}
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


LOG, RUN = "log.txt", "run.json"


LOG_TAIL_BYTES = 64_000


def read_metrics(folder: Path) -> list[dict]:
    """A line per finished epoch: ``epoch``, ``loss``, ``accuracy``, ``val_loss``, ``val_accuracy`` and more."""
    return read_lines(folder / "metrics.jsonl")


def read_steps(folder: Path) -> list[dict]:
    """Running means within the epochs: ``epoch`` (2.35 is a third into the third), ``loss``, ``accuracy``."""
    return read_lines(folder / "steps.jsonl")


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
    return (folder / "card.json").is_file() and (folder / "report.json").is_file()


def epochs_of(settings: dict) -> tuple[int, int]:
    """All epochs, and after which of them the last blocks learn too (0: never)."""
    head = int(settings.get("epochs") or 0)
    if not settings.get("fine_tune_blocks"):
        return head, 0
    return head + int(settings.get("fine_tune_epochs") or 0), head
