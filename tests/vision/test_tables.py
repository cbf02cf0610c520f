import codecs
import csv
import io
import json

import pytest

from core.vision.detections import make_detections, no_detections
from core.vision.tables import COLUMNS, detection_rows, rows_to_csv, rows_to_json


def rows(name="door.jpg"):
    return detection_rows(name, make_detections([[1, 2, 11.04, 22]], [1], [0.9875], [0.5]))


def read_csv(rows):
    """As Excel reads it: UTF-8, since it begins with its mark."""
    data = rows_to_csv(rows).encode()
    assert data.startswith(codecs.BOM_UTF8)
    return csv.DictReader(io.StringIO(data.decode("utf-8-sig")))


def test_rows_csv_and_json_say_the_same():
    (row,) = rows()
    assert tuple(row) == COLUMNS
    assert row["result"] == "without_mask" and row["confidence"] == 0.9875
    assert (row["width_px"], row["height_px"]) == (10.0, 20.0)
    (from_csv,) = read_csv(rows())
    assert from_csv == {key: str(value) for key, value in row.items()}
    assert json.loads(rows_to_json(rows())) == [row]


def test_a_face_without_a_prediction_is_unknown_and_keeps_its_probability():
    found = make_detections([[1, 2, 11, 22]] * 2, [1, 0], [0.45, 0.9], predicted=[False, True])
    rows = detection_rows("a.jpg", found)
    assert [(row["result"], row["confidence"]) for row in rows] == [("unknown", 0.45), ("with_mask", 0.9)]


def test_no_face_gives_a_table_with_its_header():
    assert rows_to_csv(detection_rows("a.jpg", no_detections())) == "\ufeff" + ",".join(COLUMNS) + "\n"
    assert json.loads(rows_to_json([])) == []


def test_a_class_of_any_name_stands_in_the_table_and_cannot_become_a_formula():
    found = make_detections([[1, 2, 11, 22]], [1], [0.5], classes=("helmet", "=1+1"))
    (row,) = detection_rows("a.jpg", found)
    assert row["result"] == "=1+1" and json.loads(rows_to_json([row])) == [row]
    (row,) = read_csv([row])
    assert row["result"] == "'=1+1"


@pytest.mark.parametrize("name", ["=cmd()", "+1", "-1", "@x"])
def test_a_name_cannot_become_a_formula(name):
    (row,) = read_csv(rows(name))
    assert row["photo"] == "'" + name


def test_commas_quotes_and_lines_in_names_survive():
    name = 'Ärger;Öl,"b"\nc.jpg'
    (row,) = read_csv(rows(name))
    assert row["photo"] == name
