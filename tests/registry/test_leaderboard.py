import json

import pytest

from core.config import models_dir
from core.registry.leaderboard import Row, as_table, load_scoreboards, method_title, record
from core.vision.model_card import load_card
from core.vision.pipeline import DEFAULT_PIPELINE, PIPELINES

FIGURES = {
    **{
        "photos": 3,
        "faces": 4,
        "min_face_px": 24.0,
        "found": 1.0,
        "found_and_right": 0.75,
        "found_and_right_two_state": 0.8,
    },
    **{"mask_found_and_right": 1.0, "bare_found_and_right": 0.5, "false_alarms_per_photo": 0.2},
    **{"map50_two_state": 0.9, "map50_three_state": None},
}


def row(pipeline="classic", preset="", right=0.75):
    return Row(pipeline, preset, "ab" * 32, "2026-01-01", FIGURES | {"found_and_right": right})


def test_a_row_takes_the_place_of_its_earlier_one(tmp_path):
    record("set, test.txt", row(), tmp_path)
    record("set, test.txt", row("neural", "fast"), tmp_path)
    path = record("set, test.txt", row(right=0.8), tmp_path)
    assert path == tmp_path / "set-test.json"
    (board,) = load_scoreboards(tmp_path)
    assert board.photos == "set, test.txt"
    assert [(r.pipeline, r.preset, r.figures["found_and_right"]) for r in board.rows] == [
        ("classic", "", 0.8),
        ("neural", "fast", 0.75),
    ]


def test_the_table_names_methods_for_people_and_drops_what_is_gone(tmp_path):
    for each in (row("neural", "fast"), row(), row("forgotten")):
        record("set", each, tmp_path)
    table = as_table(load_scoreboards(tmp_path)[0])
    assert [line["Method"] for line in table] == ["Classic", method_title("neural", "fast")]
    assert table[0]["Accuracy"] == 0.75 and table[0]["mAP50, three classes"] is None


def test_no_figures_are_no_error_and_broken_ones_get_a_sentence(tmp_path):
    assert load_scoreboards(tmp_path / "nowhere") == []
    (tmp_path / "x.json").write_text('{"photos": "x"}')
    good = record("set", row(), tmp_path / "good").read_text()
    bad = ['{"photos": "x"}', "[" * 100_000, '{"photos": "x", "rows": []}', "[1]"]
    bad += [good.replace('"faces"', '"f"'), good.replace('"preset": ""', '"preset": "x"')]
    for text in bad:
        (tmp_path / "x.json").write_text(text)
        with pytest.raises(ValueError, match=r"^x\.json holds no figures"):
            load_scoreboards(tmp_path)


def test_the_shipped_figures_are_those_of_the_shipped_models():
    """Another model in its place must be measured: ``python -m train.evaluate … --record``."""
    boards = load_scoreboards()
    assert boards
    for board in boards:
        assert {row.pipeline for row in board.rows} == set(PIPELINES) and DEFAULT_PIPELINE in PIPELINES
        for each in board.rows:
            card = load_card(models_dir() / f"{PIPELINES[each.pipeline].default_model}.json")
            assert each.model_sha256 == card.sha256, f"{each.pipeline} {each.preset} on {board.photos}"
            assert json.dumps(each.figures)
