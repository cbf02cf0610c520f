import json
from dataclasses import replace

import pytest

from core.config import models_dir
from core.registry.store import install_model, list_models
from core.vision.model_card import ModelCard, ModelError, file_sha256, load_card, score_rows

CARD = ModelCard(
    name="a", file="model.tflite", sha256="", classes=("with_mask", "without_mask"), input_size=224, margin=0.1,
    output="logits",
)  # fmt: skip


def test_what_is_saved_is_read_back(tmp_path):
    card = replace(CARD, scores={"test": {"accuracy": 0.5}}, data=[{"name": "x"}])
    card.save(tmp_path / "a.json")
    assert load_card(tmp_path / "a.json") == card


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        pytest.param({"classes": []}, "classes", id="no class"),
        pytest.param({"classes": ["a", "a"]}, "different names", id="the same class twice"),
        pytest.param({"classes": ["a", " "]}, "classes", id="a class without a name"),
        pytest.param({"classes": ["a", "b\n"]}, "classes", id="a class of two lines"),
        pytest.param({"classes": ["a", "b" * 61]}, "short", id="a very long name"),
        pytest.param({"classes": ["a", 5]}, "classes", id="a number"),
        pytest.param({"classes": [str(i) for i in range(501)]}, "classes", id="very many classes"),
        pytest.param({"classes": "with_mask"}, "classes", id="no list"),
        pytest.param({"file": "../../etc/passwd"}, "own folder", id="file outside its folder"),
        pytest.param({"output": "votes"}, "votes", id="unknown output"),
        pytest.param({"color_order": "BGR"}, "BGR", id="other colour order"),
        pytest.param({"input_size": "large"}, "input size", id="size is no number"),
        pytest.param({"input_size": 100000}, "input size", id="size is absurd"),
        pytest.param({"pixels": "0..2"}, "pixels", id="unknown scale of pixels"),
        pytest.param({"margin": 7}, "margin", id="margin is absurd"),
        pytest.param({"margin": "0.1"}, "margin", id="margin is text"),
        pytest.param({"margin": None}, "margin", id="margin is nothing"),
        pytest.param({"file": 5}, "not a model card", id="file is a number"),
        pytest.param({"classes": [["with_mask"]]}, "classes", id="classes in a list of their own"),
    ],
)
def test_a_card_that_asks_for_the_impossible_is_refused(tmp_path, change, sentence):
    CARD.save(tmp_path / "a.json")
    raw = json.loads((tmp_path / "a.json").read_text()) | change
    (tmp_path / "a.json").write_text(json.dumps(raw))
    with pytest.raises(ModelError, match=sentence):
        load_card(tmp_path / "a.json")


def test_no_message_names_a_folder_of_the_server(tmp_path):
    for text in (None, "{", "[" * 100_000, "[]", "{}", json.dumps({**vars(CARD), "classes": 5})):
        if text is not None:
            (tmp_path / "a.json").write_text(text)
        with pytest.raises(ModelError, match=r"a\.json") as caught:
            load_card(tmp_path / "a.json")
        assert str(tmp_path) not in str(caught.value)


def test_a_classifier_may_know_any_classes_and_a_detector_only_ours(tmp_path):
    card = replace(CARD, classes=("helmet", "no_helmet", "Größe L"))
    card.save(tmp_path / "a.json")
    assert load_card(tmp_path / "a.json") == card
    numbers = {"center_scale": 1, "center_offset": 0, "temperature": 1}
    scores = {"photo": 0.3, "live": 0.5}
    replace(card, kind="detector", output="centers", face_scores=scores, calibration=numbers).save(tmp_path / "b.json")
    with pytest.raises(ModelError, match="all three classes"):
        load_card(tmp_path / "b.json")


@pytest.mark.parametrize(
    ("scores", "rows"),
    [
        pytest.param({}, [], id="nothing was measured"),
        pytest.param({"test": {"images": 0, "accuracy": None}, "held_out": None}, [], id="on no face"),
        pytest.param({"test": {"images": 9, "accuracy": 0.5}}, [(9, 0.5)], id="the own test part"),
        pytest.param(
            {"test": {"images": 9, "accuracy": 0.5}, "test_exported": {"images": 9, "accuracy": 0.4}},
            [(9, 0.4)],
            id="what runs counts",
        ),
        pytest.param(
            {"split": "grouped", "test": {"images": 9, "accuracy": 1}, "held_out_exported": {"images": 4}},
            [(9, 1), (4, None)],
            id="real photos too",
        ),
    ],
)
def test_score_rows_tell_what_was_measured(scores, rows):
    assert [(row["Faces"], row["Accuracy"]) for row in score_rows(replace(CARD, scores=scores))] == rows


@pytest.mark.parametrize("text", ["", "{", "[1, 2]", "{}", "null", "\0"], ids=repr)
def test_what_is_no_card_is_refused(tmp_path, text):
    (tmp_path / "a.json").write_text(text)
    with pytest.raises(ModelError, match="not a model card"):
        load_card(tmp_path / "a.json")


def test_a_missing_card_says_how_to_make_one(tmp_path):
    with pytest.raises(ModelError, match="train"):
        load_card(tmp_path / "none.json")


def run_folder(tmp_path, content=b"model"):
    run = tmp_path / "run"
    run.mkdir(exist_ok=True)
    (run / "model.tflite").write_bytes(content)
    replace(CARD, sha256=file_sha256(run / "model.tflite")).save(run / "card.json")
    return run


def test_install_model_replaces_the_old_one(tmp_path):
    models = tmp_path / "models"
    install_model(run_folder(tmp_path, b"old"), "door", models)
    card = install_model(run_folder(tmp_path, b"new"), "door", models)
    assert list_models(models) == ["door"]
    assert load_card(models / "door.json") == card
    assert [path.read_bytes() for path in models.glob("*.tflite")] == [b"new"]
    assert (models / card.file).is_file() and not card.failures


def test_what_a_model_gets_wrong_is_told_when_it_is_installed(tmp_path):
    install_model(run_folder(tmp_path), "door", tmp_path, failures=["Scarves can pass for masks."])
    assert load_card(tmp_path / "door.json").failures == ["Scarves can pass for masks."]


@pytest.mark.parametrize("name", ["", "../x", "a/b", "a.b", ".", "in_use"])
def test_install_model_refuses_names_that_are_paths(tmp_path, name):
    with pytest.raises(ValueError, match="name"):
        install_model(run_folder(tmp_path), name, tmp_path / "models")


def test_install_model_refuses_an_unfinished_run(tmp_path):
    run = run_folder(tmp_path)
    (run / "model.tflite").write_bytes(b"other")
    with pytest.raises(ModelError, match="finish the training"):
        install_model(run, "door", tmp_path / "models")
    assert not (tmp_path / "models").exists()


@pytest.mark.parametrize("name", list_models())
def test_every_shipped_model_is_whole_and_small(name):
    card = load_card(models_dir() / f"{name}.json")
    path = models_dir() / card.file
    assert file_sha256(path) == card.sha256
    assert path.stat().st_size <= 5_000_000
    assert card.name == name
    for field in ("data", "training", "scores", "date", "versions", "limits"):
        assert getattr(card, field), f"the card says nothing of its {field}"


def test_the_8_bit_export_costs_less_than_0_3_points():
    scores = load_card(models_dir() / "mask-classifier.json").scores
    for part in ("test", "held_out"):
        assert scores[f"{part}_exported"]["images"] == scores[part]["images"] > 500
        assert scores[part]["accuracy"] - scores[f"{part}_exported"]["accuracy"] <= 0.003


def test_a_model_is_shipped():
    assert list_models()
