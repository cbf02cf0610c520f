"""The training page, run as Streamlit runs it, with a small script in the place of the real training."""

import importlib.util
import io
import json
import os
import shutil
import signal
import sys
import time
import zipfile
from dataclasses import replace

import cv2
import numpy as np
import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest

from core.config import models_dir
from core.language import using
from core.registry.active import in_use, use
from core.synthetic.sample import SAMPLE_FACE_XYXY, sample_photo
from core.vision.metrics import classification_scores
from core.vision.model_card import load_card
from core.vision.pipeline import Method
from pages.components.state import IMPORT_MODEL, RUNS, TRAINING_VIEW
from pages.components.terms import TRAINING
from pages.views.training.runs import tick_clicked
from pages.views.training.upload import likely_scale
from pages.views.training.words import minutes_words
from tests.helpers import ROOT
from train import runs
from train.config import TrainConfig, run_settings
from train.runs import RunManager

# Tells of two epochs and then waits for leave to go on; without leave it can only be stopped.
FAKE_TRAINING = """
import json, shutil, sys, time
from pathlib import Path
out, made = Path(sys.argv[1]), Path(sys.argv[2])
print("42 faces", flush=True)
facts = {"stage": "head", "text": "Training the head", "done": 4, "total": 10, "epoch": 2, "epochs": 20,
         "time": time.time(), "started": time.time() - 60, "left_s": 180}
(out / "progress.json").write_text(json.dumps(facts))
(out / "steps.jsonl").write_text("".join(json.dumps({"epoch": i / 9, "loss": 1 / (1 + i), "accuracy": i / 20}) + "\\n"
                                         for i in range(1, 20)))
epoch = {"epoch": 1, "loss": 0.5, "accuracy": 0.8, "val_loss": 0.6, "val_accuracy": 0.7}
(out / "metrics.jsonl").write_text(json.dumps(epoch) + "\\n")
while not (out.parent / "leave").exists():
    time.sleep(0.02)
for path in made.iterdir():
    shutil.copy(path, out / path.name)
"""
CLASSES = ("with_mask", "without_mask")


@pytest.fixture
def heads(tmp_path):
    """A data set of class folders: ten heads each, higher than wide."""
    folder = tmp_path / "data" / "heads"
    x1, y1, x2, y2 = SAMPLE_FACE_XYXY
    for label in CLASSES:
        (folder / label).mkdir(parents=True)
        head = sample_photo(label == "with_mask")[y1 - 20 : y2 + 20, x1 - 10 : x2 + 10]
        for i in range(10):
            cv2.imwrite(str(folder / label / f"{i}.jpg"), cv2.convertScaleAbs(head, alpha=0.8 + i / 30))
    return folder


@pytest.fixture
def finished(tmp_path, heads):
    """What a finished run leaves behind: the shipped classifier under another name, with made-up predictions."""
    made = tmp_path / "made"
    made.mkdir()
    card = load_card(models_dir() / "mask-classifier.json")
    data = bytearray((models_dir() / card.file).read_bytes()) + b"\0"  # another file with the same network
    (made / "model.tflite").write_bytes(data)
    from core.vision.model_card import file_sha256

    replace(card, name="run", file="model.tflite", sha256=file_sha256(made / "model.tflite"), data=[]).save(
        made / "card.json"
    )
    keys = [(label, f"{label}/{i}.jpg") for label in CLASSES for i in range(10)]
    sure = np.linspace(0.2, 0.99, 10)
    probabilities = [[p, 1 - p] if label == "with_mask" else [1 - p, p] for label in CLASSES for p in sure]
    faces = [
        {"dataset": str(heads), "key": key, "label": label, "probabilities": p, "part": "test"}
        for (label, key), p in zip(keys, probabilities, strict=True)
    ]
    (made / "predictions.json").write_text(json.dumps({"classes": list(CLASSES), "faces": faces}))
    labels = np.array([CLASSES.index(label) for label, _ in keys])
    scores = classification_scores(np.array(probabilities), labels, CLASSES)
    (made / "report.json").write_text(json.dumps({"test_exported": scores, "held_out_exported": {"images": 0}}))
    return made


@pytest.fixture
def page(tmp_path, heads, finished, monkeypatch):
    """Opens the page; the training it starts is the script above."""
    monkeypatch.setenv("MASK_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("MASK_RUNS_DIR", str(tmp_path / "runs"))
    script = tmp_path / "fake_training.py"
    script.write_text(FAKE_TRAINING)
    monkeypatch.setattr(
        runs, "training_command", lambda folder: [sys.executable, "-S", str(script), str(folder), str(finished)]
    )
    st.cache_resource.clear()
    st.cache_data.clear()

    def open_page(language="en"):
        app = AppTest.from_file(str(ROOT / "streamlit_app.py"), default_timeout=120)
        app.session_state["lang"] = language
        return checked(app.switch_page("pages/training.py").run())

    yield open_page
    manager = RunManager(tmp_path / "runs", grace_s=0)
    for run in manager.runs():
        if run.state in ("running", "queued"):
            manager.cancel(run.id)
    until(lambda: manager.poll() or not any(run.state == "running" for run in manager.runs()))
    st.cache_resource.clear()


def checked(app):
    assert not app.exception
    return app


def until(condition, seconds=60.0):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "timed out"
        time.sleep(0.05)


def texts(app) -> str:
    kinds = (app.markdown, app.caption, app.info, app.warning, app.error, app.success, app.title, app.header)
    return "\n".join(element.value for kind in kinds for element in kind).replace("\\", "")


def run_until(app, words, seconds=60.0):
    """Run the page again and again, as its fragments do, until these words are on it."""
    end = time.monotonic() + seconds
    while words not in texts(app):
        assert time.monotonic() < end, f"{words!r} does not appear in:\n{texts(app)}"
        time.sleep(0.1)
        checked(app.run())
    return app


def labelled(widgets, label):
    return next(widget for widget in widgets if widget.label == label)


def press(app, label):
    return checked(labelled(app.button, label).click().run())


def show(app, view):
    return checked(labelled(app.segmented_control, "View").set_value(view).run())


def open_runs(app, *names):
    """Tick runs in the table."""
    table = app.dataframe[0]
    rows = [table.value["Run"].tolist().index(name) for name in names]
    app.session_state[table.key] = {"selection": {"rows": rows, "columns": [], "cells": []}}
    return checked(app.run())


def numbers(app) -> dict:
    return {metric.label: metric.value for metric in app.metric}


def add_finished(tmp_path, finished, name, **settings):
    """A run that is done, as the manager keeps it."""
    folder = tmp_path / "runs" / name
    shutil.copytree(finished, folder)
    config = TrainConfig(data=("/d/heads",), out="", **settings)
    note = {"name": name.capitalize(), "state": "done", "settings": run_settings(config), "created": time.time()}
    (folder / "run.json").write_text(json.dumps(note | {"ended": time.time(), "spent_s": 90}))
    (folder / "metrics.jsonl").write_text('{"epoch": 1, "loss": 0.5, "accuracy": 0.8}\n')
    return folder


def test_without_data_an_example_is_one_click_away(page, heads):
    shutil.rmtree(heads)
    app = page()
    assert app.title[0].value == "Training" and "no data sets" in texts(app)
    assert [link.proto.page for link in app.get("page_link")] == ["datasets"]
    assert "Start the training" not in [button.label for button in app.button]
    for view in ("Progress", "Runs"):
        assert "Nothing has been trained here yet" in texts(show(app, view))
    show(app, "New training")
    press(app, "Use example data")
    run_until(app, "3. Start")
    assert labelled(app.multiselect, "Data sets").value == ["demonstration"]
    assert labelled(app.radio, "Recipe").value == "quick" and numbers(app)["Faces"] == "48"
    assert labelled(app.text_input, "Name of this run").value == "Quick, Demonstration"
    assert "Start the training" in [button.label for button in app.button]


@pytest.mark.parametrize("missing", ["tensorflow", "keras", None])
def test_without_tensorflow_the_page_says_in_one_sentence_what_to_install(page, monkeypatch, missing):
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *more: None if name == missing else find(name, *more))
    warnings = [warning.value for warning in page().warning]
    assert ["pip install -r requirements.txt" in sentence for sentence in warnings] == [True] * bool(missing)


def test_what_a_training_would_work_with_is_told_before_the_start(page):
    app = page()
    assert numbers(app)["Faces"] == "20" and numbers(app)["Epochs"] == "15" and "1 step per epoch" in texts(app)
    words = {metric.label: metric.help for metric in app.metric}
    fields = {field.label: field.help for field in app.number_input}
    for name in ("Epochs", "Batch size", "Learning rate"):
        assert words[name] == fields[name] == TRAINING[name], "explained wherever it stands"
    table = app.dataframe[0].value
    assert table["Training"].tolist() == [7, 7] and table["Test"].tolist() == [2, 2]
    labelled(app.radio, "Recipe").set_value("best").run()
    assert numbers(app)["Epochs"] == "16" and "Near-duplicates stay in one part" in texts(app)
    labelled(app.number_input, "Batch size").set_value(4).run()
    assert numbers(app)["Batch size"] == "4" and "4 steps per epoch" in texts(app)
    blocks = labelled(app.number_input, "Fine tune blocks")
    assert (blocks.min, blocks.max) == (0, 16)
    labelled(app.number_input, "Test share").set_value(0.9).run()
    assert "leave nothing to train on" in app.error[0].value and not app.metric
    assert "Start the training" not in [button.label for button in app.button]
    fields = {*(w.label for w in app.number_input), *(w.label for w in app.selectbox)}
    assert {"Learning rate", "Label smoothing", "Seed", "Split", "Keep", "Precision", "Features"} <= fields


def test_the_page_speaks_french(page, tmp_path, finished):
    with using("fr"):  # widgets are set by what they show
        for name in ("first", "second"):
            add_finished(tmp_path, finished, name, seed=len(name))
        app = page("fr")
        assert app.title[0].value == "Entraînement" and "1 pas par époque." in texts(app)
        assert "Lancer l’entraînement" in [button.label for button in app.button]
        numbers_of = numbers(app)
        assert numbers_of["Visages"] == "20" and numbers_of["Taux d’apprentissage"] == "0,001"
        assert {"Lissage des étiquettes", "Plus petit visage"} <= {field.label for field in app.number_input}
        # The address and the state hold the same in every language.
        views = next(each for each in app.segmented_control if each.key == TRAINING_VIEW)
        checked(views.set_value(RUNS).run())
        table = app.dataframe[0].value
        assert table["State"].tolist() == ["terminé", "terminé"] and "Cliquez sur un entraînement" in texts(app)
        states = labelled(app.multiselect, "État")
        assert states.options[:2] == ["en file d’attente", "en cours"]
        checked(states.set_value(["failed"]).run())
        assert len(app.dataframe[0].value) == 0
        checked(labelled(app.multiselect, "État").set_value(["done"]).run())
        open_runs(app, "First")
        run_until(app, "Erreurs les plus assurées")
        assert numbers(app)["Exactitude"].startswith("60,0") and "8 visages sur 20 sont mal classés" in texts(app)
        assert "20 visages, c’est peu" in texts(app)
        next(each for each in app.segmented_control if each.key == TRAINING_VIEW).set_value(IMPORT_MODEL)
        assert "Un classifieur entraîné ailleurs" in texts(checked(app.run()))


def test_times_are_said_in_words_of_the_language():
    times = (3, 60, 600, 6000, 7800)
    assert [minutes_words(s) for s in times] == [
        *("5 seconds", "1 minute", "10 minutes", "1 hour 40 minutes", "2 hours 10 minutes")
    ]
    with using("fr"):
        assert [minutes_words(s) for s in times[1:4]] == ["1 minute", "10 minutes", "1 heure 40 minutes"]


@pytest.mark.slow
def test_a_training_is_watched_cancelled_resumed_and_deployed(page, tmp_path):
    app = page()
    labelled(app.text_input, "Name of this run").set_value("My *first*")
    press(app, "Start the training")
    until(lambda: list((tmp_path / "runs").glob("*/metrics.jsonl")))
    checked(app.run())
    assert labelled(app.segmented_control, "View").value == "Progress"
    assert len(app.get("plotly_chart")) == 2 and "42 faces" in app.code[0].value
    other = page()
    assert labelled(other.segmented_control, "View").value == "Progress", "another visitor sees it too"
    assert len(other.get("plotly_chart")) == 2
    press(other, "Cancel")
    run_until(app, "Cancelled after epoch 1.")
    assert "My *first*" in texts(app)
    press(app, "Resume")
    (tmp_path / "runs" / "leave").touch()
    run_until(app, "is done")
    run_until(
        app, "Worse than the active model by 40.0 points: of 20 test faces it classifies 60% correctly, the active"
    )
    assert numbers(app)["Accuracy"] == "60.0%" and numbers(app)["Faces"] == "20"
    assert "20 faces are few" in texts(app) and "8 of 20 faces are classified wrongly" in texts(app)
    before = in_use().method
    assert "Deploy" not in [button.label for button in app.button], "a worse model is deployed after asking only"
    worse = labelled(app.button, "Deploy the worse model")
    assert worse.proto.type == "secondary" and "more mistakes" in texts(app)
    press(app, "Deploy the worse model")
    assert in_use().method == Method("combined", "My-first") and in_use().method != before
    assert "This is the active model." in texts(run_until(app, "This is the active model."))
    press(app, "Roll back")
    assert in_use().method == before


def test_the_next_training_queues_and_may_be_taken_out(page):
    app = page()
    press(app, "Start the training")
    show(app, "New training")
    assert "One training runs at a time" in texts(app)
    press(app, "Queue the training")
    assert "Next in the queue" in texts(app)
    press(app, "Remove from the queue")
    assert "Next in the queue" not in texts(app) and "Removed from the queue." in texts(app)


def test_a_queue_that_stands_still_says_why(page, monkeypatch):
    write = runs.write_json

    def full(path, value):
        if value.get("state") == "running":
            raise OSError(28, "No space left on device")
        write(path, value)

    monkeypatch.setattr(runs, "write_json", full)
    app = page()
    press(app, "Start the training")
    run_until(app, "The queue of trainings stands still. The server's disk is full; make room and try again.")
    press(app, "Remove from the queue")  # with room again, it might start before it is removed
    run_until(app, "Removed from the queue.")
    until(lambda: "stands still" not in texts(checked(app.run())))


def test_a_killed_training_is_told_of(page, tmp_path):
    app = page()
    press(app, "Start the training")
    until(lambda: list((tmp_path / "runs").glob("*/metrics.jsonl")))
    (folder,) = (tmp_path / "runs").glob("2*")
    os.kill(json.loads((folder / "run.json").read_text())["pid"], signal.SIGKILL)
    run_until(app, "killed after epoch 1 (signal 9)")
    assert "Resume" in [button.label for button in app.button]


def test_runs_are_filtered_compared_renamed_and_deleted(page, tmp_path, finished):
    add_finished(tmp_path, finished, "short", epochs=3)
    add_finished(tmp_path, finished, "long", epochs=30, features="cached")
    app = page()
    show(app, "Runs")
    table = app.dataframe[0].value
    assert sorted(table["Run"]) == ["Long", "Short"] and table["Accuracy"].tolist() == [0.6, 0.6]
    assert table["Data"].tolist() == ["heads", "heads"] and table["Minutes"].tolist() == [1.5, 1.5]
    labelled(app.text_input, "Search").set_value("shor").run()
    assert app.dataframe[0].value["Run"].tolist() == ["Short"]
    labelled(app.text_input, "Search").set_value("").run()
    assert len(app.get("plotly_chart")) == 1, "the scores against a setting"
    assert labelled(app.selectbox, "Setting").options == ["Epochs", "Features"]
    swatches = dict(zip(table["Run"], table["Line"], strict=True))
    assert len(set(swatches.values())) == 2
    open_runs(app, "Short", "Long")
    differing = app.dataframe[1].value.set_index("Setting")
    assert differing.index.tolist() == ["Features", "Epochs"]
    assert differing.loc["Epochs", ["Short", "Long"]].tolist() == ["3", "30"]
    curves = [json.loads(chart.proto.spec)["data"] for chart in app.get("plotly_chart")]
    colors = {line["name"].partition(" ")[0]: line["line"]["color"] for line in curves[0]}
    dots = {dot["name"]: dot["marker"]["color"] for dot in curves[2] if dot["mode"] == "markers"}
    assert colors == dots and len(set(colors.values())) == 2, "a run has one colour everywhere"
    open_runs(app, "Short")
    assert [each.value for each in app.header] == ["Short", "Settings against score"]
    labelled([w for w in app.text_input if "training_name" in w.key], "Name").set_value("Brief")
    press(app, "Save the name")
    assert "Brief" in app.dataframe[0].value["Run"].tolist()
    press(app, "Delete this run")
    assert app.dataframe[0].value["Run"].tolist() == ["Long"] and not (tmp_path / "runs" / "short").exists()
    press(app, "Undo")
    assert sorted(app.dataframe[0].value["Run"]) == ["Brief", "Long"]
    assert not [button for button in app.button if button.label == "Undo"]


@pytest.mark.slow
def test_a_run_is_evaluated_on_every_data_set(page, tmp_path, finished):
    folder = add_finished(tmp_path, finished, "one")
    app = page()
    show(app, "Runs")
    open_runs(app, "One")
    press(app, "Evaluate on every data set")
    until(lambda: (folder / "set_scores.json").exists())
    app = run_until(app, "All data sets")
    checked(app.run())
    (score,) = json.loads((folder / "set_scores.json").read_text())["sets"]
    assert score["name"] == "heads" and score["faces"] == 20 and score["right"] == 20, "the shipped model knows them"
    assert "none trained on" in str([frame.value.to_dict() for frame in app.dataframe])


def test_a_model_with_other_classes_is_not_compared(page, tmp_path, finished):
    raw = json.loads((finished / "predictions.json").read_text())
    text = json.dumps(raw).replace("without_mask", "helmet")
    (finished / "predictions.json").write_text(text)
    use(Method("combined", "mask-classifier"))
    add_finished(tmp_path, finished, "one")
    app = page()
    show(app, "Runs")
    open_runs(app, "One")
    run_until(app, "Not comparable: the active model does not know helmet.")


def bring(app, name, data):
    app.file_uploader[0].set_value([(name, data, "application/octet-stream")]).run()
    press(app, "Try the model")


def test_a_class_without_test_faces_is_said_and_has_no_balanced_accuracy(page, tmp_path, finished):
    labels = np.zeros(4, int)
    scores = classification_scores(np.array([[0.9, 0.1]] * 4), labels, CLASSES)
    scores["balanced_accuracy"] = 1.0  # as earlier versions wrote
    (finished / "report.json").write_text(json.dumps({"test_exported": scores}))
    add_finished(tmp_path, finished, "one")
    app = page()
    show(app, "Runs")
    open_runs(app, "One")
    assert numbers(app)["Balanced accuracy"] == "–" and numbers(app)["Accuracy"] == "100.0%"
    assert "No face here is labelled No mask" in " ".join(warning.value for warning in app.warning)


def test_an_imported_model_is_tried_and_installed_or_refused_with_a_sentence(page):
    app = page()
    show(app, "Import a model")
    bring(app, "My model.tflite", b"0000TFL3" + b"x" * 200)
    run_until(app, "cannot be run here")
    card = load_card(models_dir() / "mask-classifier.json")
    bring(app, "My model.tflite", (models_dir() / card.file).read_bytes())
    run_until(app, "tells 2 classes apart")
    names = labelled(app.text_area, "Class names, one a line, in the order of the model's outputs")
    names.set_value("1 a\n2 No mask").run()
    assert labelled(app.selectbox, r"“a” means").value == "a"
    assert labelled(app.selectbox, r"“No mask” means").value == "without_mask"
    assert app.dataframe[0].value["Pixels"].tolist() == ["0..255"], "whole numbers: nothing to choose"
    labelled(app.selectbox, r"“No mask” means").set_value("No mask").run()
    press(app, "Import")
    assert "is installed" in texts(app)
    assert load_card(models_dir() / "My-model.json").classes == ("a", "No mask")
    press(app, "Deploy")
    assert in_use().method == Method("combined", "My-model")


NAMES = (
    *("name", "note", "state", "created", "ended", "spent_s", "settings", "epochs", "fine_tune_blocks", "data"),
    *("stage", "text", "epoch", "time", "started", "left_s", "test_exported", "classes", "faces", "sets"),
)
HOSTILE = {
    "deep": "[" * 100_000,
    "cut-off": '{"a": ',
    "list": "[1]",
    "null": "null",
    "others": json.dumps({name: [{"x": None}] for name in NAMES}),
    "numbers": json.dumps(dict.fromkeys(NAMES, 1e300)),
}


@pytest.mark.slow
def test_no_file_of_a_run_breaks_the_page_whatever_it_holds(page, tmp_path, finished):
    """Each run has one file of each kind that says what nobody wrote."""
    files = ("run.json", "config.json", "metrics.jsonl", "steps.jsonl", "progress.json", "report.json",
             "predictions.json", "set_scores.json")  # fmt: skip
    names = []
    for kind, text in HOSTILE.items():
        for file in files:
            folder = add_finished(tmp_path, finished, f"{file.partition('.')[0]}-{kind}")
            (folder / "config.json").write_text(json.dumps(run_settings(TrainConfig(data=("/d/heads",), out=""))))
            (folder / file).write_text(text)
            names.append(folder.name)
    (tmp_path / "runs" / "speed.json").write_text(HOSTILE["others"])
    (tmp_path / "data" / "settings.json").write_text(HOSTILE["deep"])
    app = page()
    show(app, "Progress")
    show(app, "Runs")
    offered = app.dataframe[0].value["Run"].tolist()
    assert len(offered) >= len(names) - 8, "all but those whose settings or state are gone"
    shown = [name for name in offered if name.startswith(("Report", "Set_scores", "Predictions", "Metrics"))]
    for name in shown[::3]:
        open_runs(app, name)
    open_runs(app, *offered[:2])


def test_runs_of_one_name_and_minute_are_told_apart(page, tmp_path, finished):
    for name in ("one", "two"):
        folder = add_finished(tmp_path, finished, name)
        note = json.loads((folder / "run.json").read_text())
        (folder / "run.json").write_text(json.dumps(note | {"name": "Same", "created": 1e9}))
    app = page()
    show(app, "Runs")
    open_runs(app, "Same")
    app.session_state[app.dataframe[0].key] = {"selection": {"columns": [], "rows": [0, 1], "cells": []}}
    checked(app.run())
    curves = json.loads(app.get("plotly_chart")[0].proto.spec)["data"]
    assert [line["name"] for line in curves] == ["Same (1) (training)", "Same (2) (training)"], "no id on the screen"


def test_what_flatters_either_model_is_said_and_parts_of_the_test_are_told_apart(page, tmp_path, finished):
    raw = json.loads((finished / "predictions.json").read_text())
    for face in raw["faces"][::2]:
        face["part"] = "held_out"
    (finished / "predictions.json").write_text(json.dumps(raw))
    report = json.loads((finished / "report.json").read_text()) | {"split": {"test_with_near_copy_in_training": 3}}
    (finished / "report.json").write_text(json.dumps(report))
    card = load_card(models_dir() / "mask-classifier.json")
    replace(card, name="known", data=[{"name": "heads"}]).save(models_dir() / "known.json")
    use(Method("combined", "known"))
    add_finished(tmp_path, finished, "one")
    app = page()
    show(app, "Runs")
    open_runs(app, "One")
    run_until(app, "of 20 test faces it classifies 60% correctly")
    assert "may have been trained on 20 of these 20 faces, which flatters it" in texts(app)
    assert "For 3 of the test faces this model was trained on a near-duplicate" in texts(app)
    for part in ("All test faces.", "Test.", "Test (the set's own)."):
        assert f"**{part}** The difference, -" in texts(app)
    assert "need 100 test faces; there are 20" in texts(app)
    (models_dir() / "known.json").unlink()


def test_a_click_on_a_run_ticks_it_alone(monkeypatch):
    table = {"selection": {"rows": [0, 3], "columns": [], "cells": [(2, "Data")]}}
    monkeypatch.setattr(st, "session_state", {"table": table})
    tick_clicked("table")
    assert st.session_state["table"]["selection"] == {"rows": [2], "columns": [], "cells": []}
    ticked = {"rows": [0, 3], "columns": [], "cells": []}
    st.session_state["table"] = {"selection": ticked}
    tick_clicked("table")
    assert st.session_state["table"]["selection"] == ticked


def test_a_run_that_cannot_be_written_is_one_sentence(page, tmp_path, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device", "/srv/secret")

    app = page()
    monkeypatch.setattr("core.io.write_atomic", full)
    press(app, "Start the training")
    assert [error.value.replace("\\", "") for error in app.error] == [
        "The server's disk is full; make room and try again."
    ]
    assert not list((tmp_path / "runs").glob("[!.]*")) and not list((tmp_path / "runs").glob(".new*"))


def test_a_zip_of_teachable_machine_brings_its_class_names_and_its_scale_is_chosen(page):
    network = (ROOT / "tests/registry/like_teachable_machine.tflite").read_bytes()
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as file:
        file.writestr("model_of_mine.tflite", network)
        file.writestr("labels.txt", "0 With Mask\n1 Without Mask\n")
    app = page()
    show(app, "Import a model")
    bring(app, "converted_tflite.zip", made.getvalue())
    run_until(app, "What it says of a face")
    assert labelled(app.selectbox, "“With Mask” means").value == "with_mask"
    table = app.dataframe[0].value.set_index("Pixels")
    assert table.loc["-1..1"].tolist() == ["Mask, 52%", "Mask, 61%"]
    assert table.loc["0..1"].tolist() == ["Mask, 100%", "Mask, 100%"]
    scale = labelled(app.segmented_control, "It was trained on pixels from")
    assert not scale.value, "no scale is right: a person must say"
    assert "Import" not in [button.label for button in app.button]
    scale.set_value("-1..1").run()
    press(app, "Import")
    card = load_card(models_dir() / "converted_tflite.json")
    assert (card.pixels, card.classes) == ("-1..1", ("with_mask", "without_mask")) and not card.trained_here


def test_the_scale_that_gives_both_faces_their_names_is_proposed():
    answers = {"0..255": [[0.9, 0.1], [0.8, 0.2]], "0..1": [[0.4, 0.6], [0.9, 0.1]], "-1..1": [[0.1, 0.9], [0.9, 0.1]]}
    assert likely_scale(answers, ("with_mask", "without_mask")) == "-1..1"
    assert likely_scale(answers, ("without_mask", "with_mask")) is None
    assert likely_scale(answers, ("a", "b")) is None
