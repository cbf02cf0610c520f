"""Real training on images made here: small, but every file of a run folder is written and read back."""

import contextlib
import io
import json
import os
import shutil
import signal
import subprocess
import sys
import time

import cv2
import numpy as np
import pytest

from core.datasets.faces import DataError
from core.synthetic.sample import SAMPLE_FACE_XYXY, SAMPLE_TILT_DEG, sample_photo
from core.synthetic.simple import draw_mask
from core.vision.classifier import MaskClassifier
from core.vision.model_card import file_sha256, load_card
from tests.helpers import ROOT
from train.classifier.__main__ import main, parse_arguments
from train.classifier.data import batches, load_faces
from train.config import TrainConfig

pytestmark = pytest.mark.slow

SETTINGS = ["--epochs", "3", "--fine-tune-blocks", "1", "--fine-tune-epochs", "1", "--batch-size", "8"]


@pytest.fixture(scope="module")
def faces_folder(tmp_path_factory):
    """Sixty heads: the sample's, in many lights, bare and with drawn masks of many colours."""
    folder = tmp_path_factory.mktemp("faces") / "drawn"
    rng = np.random.default_rng(1)
    x1, y1, x2, y2 = SAMPLE_FACE_XYXY
    for label in ("with_mask", "without_mask"):
        (folder / label).mkdir(parents=True)
        for i in range(30):
            frame = sample_photo(False)
            if label == "with_mask":
                color = tuple(int(c) for c in rng.integers(60, 250, 3))
                frame = draw_mask(frame, SAMPLE_FACE_XYXY, SAMPLE_TILT_DEG, color)
            dx, dy = rng.integers(-12, 13, 2)
            head = frame[y1 - 20 + dy : y2 + 30 + dy, x1 - 30 + dx : x2 + 30 + dx]
            head = cv2.convertScaleAbs(head, alpha=rng.uniform(0.6, 1.2), beta=rng.uniform(-20, 40))
            cv2.imwrite(str(folder / label / f"{i:02}.jpg"), cv2.resize(head, (96, 96)))
    return folder


def options(folder, out, *more):
    return ["--data", str(folder), "--out", str(out), "--imagenet-weights", "none", *SETTINGS, *more]


def command(folder, out, *more):
    return [sys.executable, "-m", "train.classifier", *options(folder, out, *more)]


def train(folder, out, *more):
    return subprocess.run(command(folder, out, *more), cwd=ROOT, capture_output=True, text=True)


def train_here(*given):
    """Train in this process: another one would take longer to import TensorFlow than for the rest."""
    main(parse_arguments([*map(str, given)]))


def epochs_written(out):
    path = out / "metrics.jsonl"
    return [json.loads(line)["epoch"] for line in path.read_text().splitlines()] if path.is_file() else []


@pytest.fixture(scope="module")
def finished_run(faces_folder, tmp_path_factory):
    out = tmp_path_factory.mktemp("runs") / "small"
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        train_here(*options(faces_folder, out))
    return out, printed.getvalue()


def test_a_run_folder_holds_what_it_promises(finished_run):
    out, printed = finished_run
    assert {path.name for path in out.iterdir()} == {
        *("config.json", "metrics.jsonl", "report.json", "card.json", "predictions.json"),
        *("progress.json", "steps.jsonl"),
        *("best.keras", "last.keras", "model.keras", "model.tflite"),
    }
    lines = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    assert [line["epoch"] for line in lines] == [1, 2, 3, 4]
    assert [line["stage"] for line in lines] == ["head"] * 3 + ["fine-tune"]
    assert all(0 <= line["accuracy"] <= 1 and line["loss"] > 0 and line["val_loss"] > 0 for line in lines)
    assert lines[0]["learning_rate"] > lines[1]["learning_rate"] > lines[2]["learning_rate"]
    assert lines[2]["loss"] < lines[0]["loss"], "it learns"
    config = json.loads((out / "config.json").read_text())
    assert config["epochs"] == 3 and config["seed"] == 42 and config["imagenet_weights"] == "none"
    assert "train: " in printed and "steps" in printed


def test_a_run_says_how_far_it_is_and_draws_its_curve(finished_run):
    out, _ = finished_run
    told = json.loads((out / "progress.json").read_text())
    assert (told["stage"], told["left_s"], told["epoch"], told["epochs"]) == ("finishing", 0, 4, 4)
    assert told["done"] == told["total"] and told["started"] < told["time"]
    points = [json.loads(line) for line in (out / "steps.jsonl").read_text().splitlines()]
    assert [point["epoch"] for point in points] == pytest.approx([step / 6 for step in range(1, 25)], abs=1e-3)
    assert all(point["loss"] > 0 and 0 <= point["accuracy"] <= 1 for point in points)


def test_the_report_says_what_was_measured_on_what(finished_run):
    report = json.loads((finished_run[0] / "report.json").read_text())
    test = report["test"]
    assert test["images"] == 12 == sum(map(sum, test["confusion_matrix"]))
    for figure in ("accuracy", "balanced_accuracy", "expected_calibration_error"):
        assert 0 <= test[figure] <= 1
    assert test["per_class"]["with_mask"]["support"] == 6
    assert set(test["per_class"]["with_mask"]) == {"precision", "recall", "f1", "support"}
    assert report["split"]["counts"]["train"] == {"with_mask": 21, "without_mask": 21}
    assert report["split"]["near_copies"] > 0
    assert report["held_out"]["accuracy"] is None
    assert report["test_exported"]["images"] == 12


def test_the_exported_model_says_what_the_keras_model_says(finished_run, faces_folder):
    import keras

    out, _ = finished_run
    card = load_card(out / "card.json")
    assert card.sha256 == file_sha256(out / "model.tflite") and card.classes == ("with_mask", "without_mask")
    assert (out / "model.tflite").stat().st_size < 5_000_000
    views = np.stack(
        [cv2.resize(cv2.imread(str(path))[..., ::-1], (224, 224)) for path in sorted(faces_folder.glob("*/*.jpg"))[::4]]
    )
    kept = keras.models.load_model(out / "model.keras", safe_mode=True)
    assert getattr(kept, "optimizer", None) is None, "what only training needs is not for download"
    exact = kept.predict(views, verbose=0)
    small = MaskClassifier(card, out / "model.tflite").probabilities(views)
    assert np.abs(exact - small).max() < 0.1
    assert np.abs(exact - small).mean() < 0.03


@pytest.mark.long
def test_a_run_killed_at_the_turn_to_the_second_stage_goes_on(faces_folder, tmp_path):
    out = tmp_path / "run"
    process = subprocess.Popen(command(faces_folder, out), cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    wait_for_epoch(process, out, 3)
    process.kill()
    process.communicate()
    done = train(faces_folder, out)
    assert done.returncode == 0, done.stderr[-3000:]
    assert "Resuming after epoch" in done.stdout
    assert epochs_written(out) == [1, 2, 3, 4]
    assert (out / "card.json").is_file()


def wait_for_epoch(process, out, epoch):
    end = time.monotonic() + 200
    while epoch not in epochs_written(out):
        assert process.poll() is None, "it ended by itself"
        assert time.monotonic() < end
        time.sleep(0.02)


@pytest.mark.long
def test_training_on_kept_features_goes_on_after_a_kill_and_after_a_signal(faces_folder, tmp_path):
    from train.classifier.trainer import read_state

    out, cached = tmp_path / "run", ("--features", "cached", "--views", "2", "--epochs", "60", "--precision", "fp16")

    def start():
        (out / "metrics.jsonl").unlink(missing_ok=True)
        started = command(faces_folder, out, *cached)
        return subprocess.Popen(started, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)

    process = start()
    wait_for_epoch(process, out, 1)
    process.send_signal(signal.SIGKILL)
    assert "features of 132 views, 0 of them from before" in process.communicate()[0]
    process = start()
    wait_for_epoch(process, out, 3)
    process.send_signal(signal.SIGTERM)
    printed, _ = process.communicate(timeout=100)
    assert process.returncode == 143 and "features of 132 views, 132 of them from before" in printed
    done = read_state(out / "last.keras")["epochs_done"]
    assert epochs_written(out) == list(range(1, done + 1)) and 3 <= done < 60
    assert read_state(out / "best.keras")["epochs_done"] == read_state(out / "last.keras")["best_epoch"]
    finished = train(faces_folder, out, *cached)
    assert finished.returncode == 0, finished.stderr[-3000:]
    assert f"Resuming after epoch {done}." in finished.stdout
    lines = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    assert [line["stage"] for line in lines] == ["head"] * 60 + ["fine-tune"]
    assert lines[59]["loss"] < lines[0]["loss"], "it learns"
    points = [json.loads(line)["epoch"] for line in (out / "steps.jsonl").read_text().splitlines()]
    assert points == pytest.approx([step / 6 for step in range(1, 61 * 6 + 1)], abs=1e-3)
    state = read_state(out / "last.keras")
    assert state["best_epoch"] == read_state(out / "best.keras")["epochs_done"]
    assert (out / "card.json").is_file() and (out / "features.npz").is_file()


def test_a_kill_between_weights_and_other_files_loses_nothing(finished_run, tmp_path):
    # Not at the top: on Python 3.13 the video library, which other test files import, crashes after TensorFlow.
    from train.classifier.trainer import read_state

    out = tmp_path / "run"
    shutil.copytree(finished_run[0], out)
    state = read_state(out / "last.keras")
    assert state["epochs_done"] == 4
    for name in ("best.keras", "metrics.jsonl", "model.keras", "model.tflite", "report.json", "card.json"):
        if name != "best.keras" or state["best_epoch"] == 4:
            (out / name).unlink()
    train_here("--run", out)
    assert epochs_written(out) == [1, 2, 3, 4]
    assert (out / "card.json").is_file() and read_state(out / "best.keras")["epochs_done"] == state["best_epoch"]


def test_a_run_does_not_go_on_with_other_pictures(finished_run, faces_folder, tmp_path):
    out, folder = tmp_path / "run", tmp_path / "drawn"
    shutil.copytree(finished_run[0], out)
    shutil.copytree(faces_folder, folder)
    next((folder / "with_mask").iterdir()).unlink()
    config = json.loads((out / "config.json").read_text())
    (out / "config.json").write_text(json.dumps(config | {"data": [str(folder)]}))
    with pytest.raises(DataError, match="images have changed"):
        train_here("--run", out)


def test_wrong_weights_do_not_block_the_run_folder(faces_folder, tmp_path):
    out = tmp_path / "run"
    refused = ["--data", str(faces_folder), "--out", str(out), "--imagenet-weights", "/nowhere/weights.h5"]
    with pytest.raises(DataError, match=r"/nowhere/weights\.h5"):
        main(parse_arguments(refused))
    assert not (out / "config.json").exists()


def test_sigterm_ends_cleanly_and_other_settings_are_refused_afterwards(faces_folder, tmp_path):
    out = tmp_path / "run"
    long = ("--epochs", "50")
    process = subprocess.Popen(command(faces_folder, out, *long), cwd=ROOT, stdout=subprocess.PIPE, text=True)
    end = time.monotonic() + 200
    while not epochs_written(out):
        assert process.poll() is None and time.monotonic() < end
        time.sleep(0.05)
    process.send_signal(signal.SIGTERM)
    printed, _ = process.communicate(timeout=60)
    assert process.returncode == 143
    assert "to resume" in printed
    refused = train(faces_folder, out, "--epochs", "2")
    assert refused.returncode != 0
    assert "other settings" in refused.stderr and "Traceback" not in refused.stderr


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        pytest.param(["--data", "/nowhere", "--out", "x"], "no data folder", id="missing data"),
        pytest.param(["--out", "x"], "--data", id="no data"),
        pytest.param(["--data", "a", "--out", "x", "--epoch", "3"], "unrecognized", id="a mistyped option"),
        pytest.param(["--data", "a", "--out", "x", "--epochs", "0"], "at least 1", id="no epochs"),
        pytest.param(["--data", "a", "--out", "x", "--split", "even"], "invalid choice", id="unknown split"),
        pytest.param(["--data", "a", "--out", "x", "--features", "some"], "invalid choice", id="unknown features"),
        pytest.param(["--data", "a", "--out", "x", "--views", "-1"], "Views", id="fewer than no views"),
    ],
)
def test_bad_arguments_get_a_sentence(arguments, sentence, tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "train.classifier", *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        env=os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3"},
    )
    assert done.returncode != 0
    assert sentence in done.stderr and "Traceback" not in done.stderr
    assert not (ROOT / "x").exists()


def test_every_option_reaches_the_configuration():
    given = (
        "--data a --data b --out r --epochs 7 --batch-size 4 --learning-rate 0.01 --dropout 0.3 --fine-tune-blocks 2 "
        "--seed 9 --split grouped --test-share 0.3 --val-share 0.05 --imagenet-weights w.h5 "
        "--features cached --views 3 --classes helmet,bare"
    )
    config = parse_arguments(given.split())
    assert config.data == ("a", "b") and config.epochs == 7 and config.batch_size == 4
    assert (config.learning_rate, config.dropout, config.fine_tune_blocks, config.seed) == (0.01, 0.3, 2, 9)
    assert (config.split, config.test_share, config.val_share) == ("grouped", 0.3, 0.05)
    assert config.imagenet_weights == "w.h5" and config.classes == ("helmet", "bare")
    assert (config.features, config.views) == ("cached", 3)


def test_one_class_is_not_enough(faces_folder):
    with pytest.raises(DataError, match="at least two classes"):
        load_faces(TrainConfig(data=(str(faces_folder),), out="x", classes=("with_mask",)))


@pytest.mark.parametrize("batch_size", [8, 64], ids=["smaller than the data", "larger than the data"])
def test_a_pass_shows_every_face_and_fills_the_last_batch(faces_folder, batch_size):
    faces = load_faces(TrainConfig(data=(str(faces_folder),), out="x"))
    from train.augment import REPORT

    def one_pass(epoch):
        return list(batches(faces, faces.split.train, batch_size, REPORT, 1, epoch, 32))

    passed = one_pass(1)
    assert len(passed) == -(-len(faces.split.train) // batch_size)
    assert all(pixels.shape == (batch_size, 32, 32, 3) and pixels.dtype == np.uint8 for pixels, _ in passed)
    assert all((a[0] == b[0]).all() for a, b in zip(passed, one_pass(1), strict=True))
    assert (passed[0][0] != one_pass(2)[0][0]).any()
