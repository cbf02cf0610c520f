"""Detections as a table: rows for the screen, CSV and JSON for download."""

import csv
import io
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TextIO

import supervision as sv

from core.vision.detections import CLASS_NAME, FACE_SCORE, PREDICTED

UNKNOWN = "unknown"
"""Stands in the column ``result`` of a face without a prediction; ``confidence`` is that of its likeliest class."""
BYTE_ORDER_MARK = "\ufeff"
COLUMNS = ("photo", "face", "result", "confidence", "face_score", "x1", "y1", "x2", "y2", "width_px", "height_px")


def detection_rows(photo: str, detections: sv.Detections) -> list[dict]:
    """One dictionary per face with the keys ``COLUMNS``; ``face`` counts from 1, boxes are in pixels of the photo."""
    rows = []
    for i in range(len(detections)):
        x1, y1, x2, y2 = (round(float(v), 1) for v in detections.xyxy[i])
        values = (
            photo,
            i + 1,
            str(detections.data[CLASS_NAME][i]) if detections.data[PREDICTED][i] else UNKNOWN,
            round(float(detections.confidence[i]), 4),
            round(float(detections.data[FACE_SCORE][i]), 4),
            x1,
            y1,
            x2,
            y2,
            round(x2 - x1, 1),
            round(y2 - y1, 1),
        )
        rows.append(dict(zip(COLUMNS, values, strict=True)))
    return rows


def rows_to_csv(rows: Iterable[dict], columns: Sequence[str] = COLUMNS) -> str:
    """The rows as CSV, as ``write_csv`` has them."""
    text = io.StringIO()
    write_csv(text, rows, columns)
    return text.getvalue()


def write_csv(file: TextIO, rows: Iterable[dict], columns: Sequence[str] = COLUMNS) -> None:
    """Write rows as CSV, as ``begin_csv`` does."""
    write_row = begin_csv(file, columns)
    for row in rows:
        write_row(row)


def begin_csv(file: TextIO, columns: Sequence[str]) -> Callable[[Mapping[str, Any]], object]:
    """Begin a CSV file with a header line; returns what writes a row.

    It begins with the mark by which Excel knows UTF-8, and no text in it can start a formula in a spreadsheet.
    """
    file.write(BYTE_ORDER_MARK)
    writer = csv.DictWriter(file, columns, lineterminator="\n")
    writer.writeheader()
    return lambda row: writer.writerow({k: as_text(v) if isinstance(v, str) else v for k, v in row.items()})


def as_text(name: str) -> str:
    """A text from outside for a cell of CSV: it cannot start a formula in a spreadsheet."""
    return f"'{name}" if name.startswith(("=", "+", "-", "@", "\t", "\r")) else name


def rows_to_json(rows: list[dict]) -> str:
    """The rows as a JSON array."""
    return json.dumps(rows, indent=2, ensure_ascii=False) + "\n"
