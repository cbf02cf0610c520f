"""What a run folder says of itself, read so that half a line, a missing or a foreign file is never an error."""

import json
from pathlib import Path

LOG, RUN = "log.txt", "run.json"
LOG_TAIL_BYTES = 64_000


def read_json(path: Path) -> dict:
    """A JSON object, or an empty one if there is none or it is damaged."""
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
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
        except ValueError:  # the last line while it is being written
            continue
        if isinstance(value, dict) and isinstance(value.get("epoch"), int | float):
            values.append(value)
    return values


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
