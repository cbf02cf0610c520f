"""Figures of every pipeline on annotated photos, kept beside the models for the page that shows them.

``python -m train.evaluate … --record`` writes them: one file per data set, one row per pipeline and preset.
"""

from dataclasses import dataclass, field
from pathlib import Path

from core.config import models_dir
from core.io import is_number, load_json, write_json
from core.language import mark, tr
from core.vision.detector import PRESETS
from core.vision.pipeline import PIPELINES

SCORES = "scores"
SLICES = "slices"
"""Folder beside these files, with the same files of slices alone: faces by what was noted of them."""


@dataclass(frozen=True)
class Row:
    """The figures of one pipeline."""

    pipeline: str
    preset: str
    """Empty if the pipeline knows no presets."""
    model_sha256: str
    """Of the model file that was measured."""
    date: str
    figures: dict
    """The fields of ``core.vision.metrics.EvaluationResult``."""


@dataclass(frozen=True)
class Scoreboard:
    """The figures on one set of photos."""

    photos: str
    """Name of the data set, and of the list of its photos."""
    rows: list[Row] = field(default_factory=list)


def load_scoreboards(folder: Path | None = None) -> list[Scoreboard]:
    """Every file of figures, in the order of their names.

    Raises:
        ValueError: one is damaged; a sentence says which.
    """
    folder = folder or models_dir() / SCORES
    boards = []
    for path in sorted(folder.glob("*.json")):
        try:
            raw = load_json(path)
            boards.append(Scoreboard(str(raw["photos"]), [_row(row) for row in raw["rows"]]))
            if not raw["rows"]:
                raise ValueError
        except (OSError, KeyError, TypeError, ValueError):
            sentence = tr("{file} holds no figures; make them with train.evaluate --record.")
            raise ValueError(sentence.format(file=path.name)) from None
    return boards


def _row(raw: dict) -> Row:
    """Raises ``TypeError``, ``KeyError`` or ``ValueError`` if it cannot be shown."""
    row = Row(**raw)
    counts = [row.figures[name] for name in ("photos", "faces", "min_face_px")]
    if (row.preset and row.preset not in PRESETS) or not all(is_number(count) for count in counts):
        raise ValueError
    return row


def record(photos: str, row: Row, folder: Path | None = None) -> Path:
    """Put one row into the file of its photos, in the place of the same pipeline's and preset's earlier one."""
    folder = folder or models_dir() / SCORES
    path = folder / ("-".join(photos.replace(",", " ").split()).replace(".txt", "") + ".json")
    rows = next((board.rows for board in load_scoreboards(folder) if board.photos == photos), [])
    rows = [old for old in rows if (old.pipeline, old.preset) != (row.pipeline, row.preset)] + [row]
    rows.sort(key=lambda each: (each.pipeline, each.preset))
    folder.mkdir(parents=True, exist_ok=True)
    write_json(path, {"photos": photos, "rows": [vars(each) for each in rows]})
    return path


def as_table(board: Scoreboard) -> list[dict]:
    """The rows for people: method, shares, false alarms, average precision; of pipelines that still exist.

    Headings are in English, to be shown with ``tr``; methods are in the language of now.
    """
    columns = {
        mark("Accuracy"): "found_and_right",
        mark("Binary accuracy"): "found_and_right_two_state",
        mark("Face recall"): "found",
        mark("Face recall, 12 to 24 px"): "small_found",
        mark("Recall, mask"): "mask_found_and_right",
        mark("Recall, no mask"): "bare_found_and_right",
        mark("False alarms per image"): "false_alarms_per_photo",
        mark("mAP50, two classes"): "map50_two_state",
        mark("mAP50, three classes"): "map50_three_state",
    }
    return [
        {mark("Method"): method_title(row.pipeline, row.preset)}
        | {name: row.figures.get(key) for name, key in columns.items()}
        for row in board.rows
        if row.pipeline in PIPELINES
    ]


def method_title(pipeline: str, preset: str = "") -> str:
    """What people call a pipeline at a preset, in the language of now: "Neural, fast"."""
    return tr(PIPELINES[pipeline].title) + (f", {tr(PRESETS[preset].title).lower()}" if preset else "")
