"""Real training from random weights on photos made here: small, but every file of a run folder is written and read.

Keras, TensorFlow and PyTorch stay in processes of their own: whichever backend trains, nothing of it gets in here.
"""

import itertools
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
from scipy.special import expit

from core.datasets.faces import DataError, read_photos
from core.registry.store import install_model
from core.synthetic.sample import SAMPLE_FACE_XYXY, SAMPLE_TILT_DEG, sample_photo
from core.synthetic.simple import draw_mask
from core.vision.boxes import match_boxes
from core.vision.classes import CLASS_NAMES, WITHOUT_MASK, WORN_INCORRECTLY
from core.vision.crops import letterbox
from core.vision.detections import make_detections
from core.vision.detector import PRESETS, MaskDetector, load_detector
from core.vision.detector_decode import decode
from core.vision.images import read_image
from core.vision.litert import Network
from core.vision.metrics import Evaluation
from core.vision.model_card import file_sha256, load_card, shown_from
from tests.helpers import ROOT, noise_picture, voc_xml, write_class_folders
from train.config import DetectorConfig

# The first test trains for all: minutes on a slow processor.
pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]
# As long as the default preset makes a photo, so that faces have the size they were trained at.
SIDE = 640
SIZES_WH = [(SIDE, 380), (360, SIDE), (SIDE, 280)]
# Enough for the shipped weights to know these photos by heart.
BY_HEART = [
    *("--start", str(ROOT / "models" / "mask-detector-weights.npz")),
    *("--epochs", "3", "--windows", "160", "--batch-size", "8", "--side", "96"),
    *("--large-share", "0", "--val-share", "0"),
    *("--face-min", "30", "--face-max", "200", "--mosaic-share", "0", "--draw-share", "0", "--frozen-blocks", "-1"),
    *("--learning-rate", "3e-3", "--base-share", "1", "--warmup", "10", "--average", "0.95"),
]
# A few steps of everything there is: frozen blocks, mosaics, drawn masks, cut-out faces, validation.
SHORT = [
    *("--epochs", "3", "--windows", "8", "--batch-size", "4", "--side", "64", "--large-share", "0"),
    *("--val-share", "0.25", "--warmup", "2", "--keep", "best", "--precision", "fp16"),
]


def head(class_id, face_w, rng):
    """The sample's head, (h, w, 3) with a face of a given width, and the face's box in it."""
    frame = sample_photo(False)
    x1, y1, x2, y2 = SAMPLE_FACE_XYXY
    if class_id != WITHOUT_MASK:
        drop = 0.42 * (y2 - y1) if class_id == WORN_INCORRECTLY else 0  # on the chin
        frame = draw_mask(frame, (x1, y1 + drop, x2, y2 + 0.6 * drop), SAMPLE_TILT_DEG)
    zoom = face_w / (x2 - x1)
    left, top = x1 - 24, y1 - 30
    part = cv2.resize(frame[top : y2 + 20, left : x2 + 24], None, fx=zoom, fy=zoom, interpolation=cv2.INTER_AREA)
    return part, np.array([x1 - left, y1 - top, x2 - left, y2 - top]) * zoom


def write_street(folder, count):
    """A Pascal VOC set: on every photo one or two heads, somewhere on noise, each class as often."""
    rng = np.random.default_rng(1)
    (folder / "images").mkdir(parents=True)
    (folder / "annotations").mkdir()
    for i in range(count):
        width, height = SIZES_WH[i % 3]
        photo = noise_picture(100 + i, (width, height))
        faces = 1 + i % 2
        objects = []
        for k in range(faces):
            class_id = (i + k) % 3
            part, box = head(class_id, rng.uniform(44, 60), rng)
            room = width // faces  # side by side, so that no head hides another
            x = int(rng.integers(k * room + 2, (k + 1) * room - part.shape[1]))
            y = int(rng.integers(2, height - part.shape[0]))
            photo[y : y + part.shape[0], x : x + part.shape[1]] = part
            x1, y1, x2, y2 = np.rint(box + [x, y, x, y]).astype(int)
            objects.append((CLASS_NAMES[class_id], (x1 + 1, y1 + 1, x2, y2)))
        cv2.imwrite(str(folder / "images" / f"{i:02}.jpg"), photo)
        (folder / "annotations" / f"{i:02}.xml").write_text(voc_xml(objects, (width, height)))
    return folder


def command(out, data, *settings):
    folders = [part for folder in data for part in ("--data", str(folder))]
    return [
        *(sys.executable, "-m", "train.detector", *folders, "--out", str(out)),
        *("--imagenet-weights", "none", *settings),
    ]


def train(out, data, *settings):
    return subprocess.run(command(out, data, *settings), cwd=ROOT, capture_output=True, text=True)


def lines_of(out):
    path = out / "metrics.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.is_file() else []


def epochs_written(out):
    return [line["epoch"] for line in lines_of(out)]


@pytest.fixture(scope="module")
def street(tmp_path_factory):
    return write_street(tmp_path_factory.mktemp("street") / "street", 12)


def start(out, data, *settings, epochs_done=0):
    """Start a run and wait for its next epoch."""
    process = subprocess.Popen(
        command(out, data, *settings), cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    end = time.monotonic() + 600
    while len(epochs_written(out)) <= epochs_done:
        assert process.poll() is None, "it ended by itself"
        assert time.monotonic() < end
        time.sleep(0.05)
    return process


@pytest.fixture(scope="module")
def finished_run(street, tmp_path_factory):
    """A run that knows the street by heart: folder, output."""
    out = tmp_path_factory.mktemp("runs") / "by-heart"
    done = train(out, [street], *BY_HEART)
    assert done.returncode == 0, done.stderr[-3000:]
    return out, done.stdout


# A finished run


@pytest.mark.long
def test_a_run_folder_holds_what_it_promises(finished_run, street):
    out, printed = finished_run
    assert {path.name for path in out.iterdir()} == {
        *("config.json", "data.json", "metrics.jsonl", "report.json", "card.json"),
        *("best.keras", "last.keras", "model.keras", "weights.npz", "model.tflite"),
    }
    lines = lines_of(out)
    assert [line["epoch"] for line in lines] == [1, 2, 3]
    assert all(line["val_loss"] is None for line in lines), "no validation was asked for"
    assert lines[-1]["loss"] < 0.75 * lines[0]["loss"], "it learns"
    assert lines[-1]["learning_rate"] < 1e-4 < lines[0]["learning_rate"]
    config = json.loads((out / "config.json").read_text())
    assert config["epochs"] == 3 and config["side"] == 96 and config["data"] == [str(street)]
    assert "out" not in config
    counts = {"photos": 12, "unknown": 0} | dict.fromkeys(CLASS_NAMES, 6)
    assert json.loads((out / "data.json").read_text())["train"] == {str(street): counts}
    assert "train, street: 12 photos, 6 with_mask" in printed and "3 epochs of 20 steps" in printed


@pytest.mark.long
def test_the_exported_model_knows_the_photos_by_heart(finished_run, street):
    """With shifted boxes, exchanged classes or a scale forgotten between training and app this is out of reach."""
    out, _ = finished_run
    detector = MaskDetector(load_card(out / "card.json"), out / "model.tflite")
    evaluation = Evaluation()
    for photo in read_photos(street):
        xyxy, score, probabilities = detector.find(read_image(photo.path), "balanced", 0.05)
        found = make_detections(xyxy, probabilities.argmax(axis=1), probabilities.max(axis=1, initial=0), score)
        evaluation.update(found, photo.truth, 0)
    result = evaluation.compute()
    assert result.map50_three_state == 1.0
    assert result.found == result.found_and_right == 1.0
    assert result.false_alarms_per_photo < 0.5


@pytest.mark.long
def test_the_report_says_what_the_exported_model_does_on_its_photos(finished_run):
    report = json.loads((finished_run[0] / "report.json").read_text())
    assert report["epoch"] == 3
    assert report["validation"]["photos"] == 12
    for use, preset in itertools.product(("photo", "live"), PRESETS):
        figures = report["validation"][use][preset]
        assert 0.05 <= report["face_scores"][use][preset] <= 0.95
        assert figures["found"] > 0.5 and figures["false_alarms_per_photo"] <= 0.1
    assert report["calibration"]["center_scale"] > 0 and report["calibration"]["temperature"] > 0


@pytest.mark.long
def test_the_card_is_a_detectors_and_its_model_can_be_installed_and_loaded(finished_run, street, tmp_path):
    out, _ = finished_run
    report = json.loads((out / "report.json").read_text())
    card = load_card(out / "card.json")
    assert card.kind == "detector" and card.output == "centers" and card.classes == CLASS_NAMES
    assert card.sha256 == file_sha256(out / "model.tflite") and card.precision == "int8"
    assert (out / "model.tflite").stat().st_size < 5_000_000
    assert card.face_scores == report["face_scores"] and card.calibration == report["calibration"]
    counts = {"photos": 12, "unknown": 0} | dict.fromkeys(CLASS_NAMES, 6)
    assert card.data == [{"name": "street", "faces": {"train": counts, "val": {}}}]
    # Where the data lay on the computer that trained is nobody's business.
    assert card.training["seed"] == 42 and not {"data", "out", "boxes", "start", "imagenet_weights"} & set(
        card.training
    )
    assert card.limits and card.date and card.versions["keras"]
    install_model(out, "door", tmp_path)
    detector = load_detector("door", tmp_path)
    photo = read_photos(street)[5]
    xyxy, _, probabilities = detector.find(
        read_image(photo.path), min_score=shown_from(card.face_scores, "photo", "balanced")
    )
    found, true = match_boxes(xyxy, photo.truth.xyxy, 0.5)
    assert len(found) == 2 and (probabilities[found].argmax(axis=1) == photo.truth.class_id[true]).all()


# The other side of training and app: the Keras model, and the batches it was trained on.
IN_KERAS = """
import dataclasses, sys
from types import SimpleNamespace
from train.detector.__main__ import choose_backend
choose_backend()
import keras, numpy as np
from train.config import DetectorConfig
from train.detector.dataset import load_scenes
from train.detector.network import build_detector
from train.detector.trainer import DetectorTrainer, detections, mix_weights, predict_maps

run, data, given, out = sys.argv[1:]
given = np.load(given)
maps = predict_maps(keras.models.load_model(run + "/model.keras", safe_mode=True, compile=False), given["canvas"])
found = detections(maps, float(given["scale"]), given["size_wh"], 0.01)

config = DetectorConfig((data,), run, windows=48, batch_size=8, side=96, large_share=0.5)
scenes = load_scenes([data], None, (), 0.0, 0)
half = SimpleNamespace(config=config, scenes=scenes, steps=6, _chances=np.full(12, 1 / 12))
passes = [list(DetectorTrainer._batches(half, epoch)) for epoch in (1, 1, 2)]
arrays = {
    f"pass{i}_{step}_{name}": array
    for i, batches in enumerate(passes)
    for step, batch in enumerate(batches)
    for name, array in zip(("pixels", "targets"), batch)
}
if keras.backend.backend() == "torch":
    half.config = dataclasses.replace(config, workers=2)
    for step, (pixels, targets) in enumerate(DetectorTrainer._batches(half, 1)):
        arrays[f"processes_{step}_pixels"], arrays[f"processes_{step}_targets"] = pixels.numpy(), targets.numpy()

trained = keras.models.load_model(run + "/model.keras", safe_mode=True, compile=False)
fresh = build_detector(None)
kernel = lambda model: keras.ops.convert_to_numpy(model.get_layer("center").kernel).copy()
before = kernel(fresh)
mix_weights(fresh, run + "/weights.npz", 0.25)
mixed = np.abs(0.75 * before + 0.25 * kernel(trained) - kernel(fresh))
np.savez(out, maps=maps, xyxy=found.xyxy, class_id=found.class_id, mixed=float(mixed.max()), **arrays)
"""


@pytest.fixture(scope="module")
def wide_frame(street):
    frame = read_image(street / "images" / "05.jpg")
    assert frame.shape[:2] == (280, SIDE), "wide, and its height is no multiple of 32"
    return frame


@pytest.fixture(scope="module")
def in_keras(finished_run, street, wide_frame, tmp_path_factory):
    folder = tmp_path_factory.mktemp("keras")
    canvas, scale = letterbox(wide_frame, SIDE)
    np.savez(folder / "given.npz", canvas=canvas, scale=scale, size_wh=wide_frame.shape[1::-1])
    arguments = [finished_run[0], street, folder / "given.npz", folder / "out.npz"]
    done = subprocess.run(
        [sys.executable, "-c", IN_KERAS, *map(str, arguments)], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return dict(np.load(folder / "out.npz"))


@pytest.mark.long
def test_the_exported_model_says_what_the_keras_model_says(finished_run, wide_frame, in_keras):
    canvas, scale = letterbox(wide_frame, SIDE)
    maps = Network(finished_run[0] / "model.tflite")(canvas[None])
    center, state, log_edges = sorted((m[0] for m in maps), key=lambda m: m.shape[-1])
    assert center.shape == (72, 160, 1) and in_keras["maps"].shape == (72, 160, 8)
    difference = np.abs(expit(center) - expit(in_keras["maps"][..., :1]))
    assert difference.mean() < 0.005 and difference.max() < 0.2
    # Box and class matter at centres only: the two faces are the two likeliest boxes of both.
    xyxy, _, states = decode(center[..., 0], log_edges, state, 0.01)
    ours, theirs = match_boxes(xyxy[:2] / scale, in_keras["xyxy"][:2], 0.85)
    assert len(ours) == 2
    assert (states[ours].argmax(axis=1) == in_keras["class_id"][theirs]).all()


@pytest.mark.long
def test_batches_repeat_with_seed_and_epoch_and_large_windows_are_fewer(in_keras):
    shapes = [in_keras[f"pass0_{step}_pixels"].shape for step in range(6)]
    larger = {(4, 128, 128, 3), (2, 192, 192, 3)}  # half as large again in multiples of 32, or twice
    assert set(shapes) - larger == {(8, 96, 96, 3)} and set(shapes) & larger
    for step, (n, height, width, _) in enumerate(shapes):
        pixels, targets = (in_keras[f"pass0_{step}_{name}"] for name in ("pixels", "targets"))
        assert pixels.dtype == np.uint8 and targets.dtype == np.float32, "0..255: the model scales"
        assert targets.shape == (n, height // 4, width // 4, 10)
        assert (pixels == in_keras[f"pass1_{step}_pixels"]).all() and (
            targets == in_keras[f"pass1_{step}_targets"]
        ).all()
    assert any(
        in_keras[f"pass2_{step}_pixels"].shape != shapes[step]
        or (in_keras[f"pass2_{step}_pixels"] != in_keras[f"pass0_{step}_pixels"]).any()
        for step in range(6)
    )


@pytest.mark.long
def test_processes_make_the_same_batches(in_keras):
    if "processes_0_pixels" not in in_keras:
        pytest.skip("needs PyTorch")
    for step in range(6):
        assert (in_keras[f"processes_{step}_pixels"] == in_keras[f"pass0_{step}_pixels"]).all()
        # Targets travel in half precision.
        assert np.allclose(
            in_keras[f"processes_{step}_targets"], in_keras[f"pass0_{step}_targets"], rtol=2e-3, atol=1e-3
        )


@pytest.mark.long
def test_weights_are_averaged_with_those_of_an_earlier_run(in_keras):
    assert in_keras["mixed"] < 1e-3, "weights are kept in half precision"


# Interrupted and other runs


@pytest.fixture(scope="module")
def little(tmp_path_factory):
    """Four photos of the street, and cut-out faces with the file that says where they lie."""
    folder = tmp_path_factory.mktemp("little")
    data = [write_street(folder / "street", 4), write_class_folders(folder / "cut", 2)]
    boxes = {f"cut/{label}/{i:03}.jpg": [[20, 10, 60, 55, 0.9]] for label in CLASS_NAMES[:2] for i in range(2)}
    (folder / "boxes.json").write_text(json.dumps(boxes))
    return data, (*SHORT, "--boxes", str(folder / "boxes.json"))


@pytest.fixture(scope="module")
def short_run(little, tmp_path_factory):
    """A run that was asked to stop after its first epoch, and resumed."""
    data, settings = little
    out = tmp_path_factory.mktemp("runs") / "short"
    stopped = start(out, data, *settings)
    stopped.send_signal(signal.SIGTERM)
    printed, _ = stopped.communicate(timeout=100)
    assert stopped.returncode == 143
    assert "start again with the same settings to resume" in printed
    assert not (out / "card.json").exists()
    kept = epochs_written(out)
    # Had somebody killed it a little earlier, this file would not be there yet.
    (out / "metrics.jsonl").unlink()
    done = train(out, data, *settings)
    assert done.returncode == 0, done.stderr[-3000:]
    assert 1 <= len(kept) < 3 and f"Resuming after epoch {kept[-1]}." in done.stdout
    return out


@pytest.mark.long
def test_validation_is_classified_and_the_best_weights_are_kept(short_run, little):
    data, _ = little
    facts = json.loads((short_run / "data.json").read_text())
    assert facts["val"][str(data[0])]["photos"] == 1
    assert facts["train"][str(data[0])]["photos"] == 3 and facts["train"][str(data[1])]["photos"] == 4
    lines = lines_of(short_run)
    assert all(line["val_loss"] > 0 and 0 <= line["val_map50_three_state"] <= 1 for line in lines)
    scores = [line["val_map50_three_state"] for line in lines]
    report = json.loads((short_run / "report.json").read_text())
    assert report["epoch"] == 3 - int(np.argmax(scores[::-1])), "of equally good ones the latest"
    assert report["validation"]["photos"] == 1
    card = load_card(short_run / "card.json")
    assert [entry["name"] for entry in card.data] == ["street", "cut"]


@pytest.mark.long
def test_an_interrupted_run_goes_on_where_it_was(short_run):
    """Each epoch once, and at each the rate that an uninterrupted run has there: the optimizer counts on."""
    lines = lines_of(short_run)
    assert [line["epoch"] for line in lines] == [1, 2, 3]
    rate = DetectorConfig(("a",), "o").learning_rate
    for line in lines:
        done = (2 * line["epoch"] - 2) / (2 * 3 - 2)  # two steps an epoch, after two of warming up
        assert line["learning_rate"] == pytest.approx(rate * (1 + np.cos(np.pi * done)) / 2, rel=0.01, abs=1e-6)


@pytest.mark.long
def test_a_run_does_not_go_on_with_other_photos(short_run, little, tmp_path):
    data, settings = little
    out = tmp_path / "run"
    copies = [shutil.copytree(folder, tmp_path / folder.name) for folder in data]
    shutil.copytree(short_run, out)
    next((copies[0] / "images").iterdir()).unlink()
    config = json.loads((out / "config.json").read_text())
    (out / "config.json").write_text(json.dumps(config | {"data": [str(folder) for folder in copies]}))
    refused = train(out, copies, *settings)
    assert refused.returncode != 0 and "photos have changed" in refused.stderr and "Traceback" not in refused.stderr


# What is refused


@pytest.fixture
def detector_command(monkeypatch):
    """The command's functions; running them chooses a backend, which must not outlive the test."""
    monkeypatch.setenv("KERAS_BACKEND", os.environ.get("KERAS_BACKEND", "tensorflow"))
    from train.detector import __main__ as detector

    return detector


def write_class_folder(path):
    write_class_folders(path, 1)
    return []


def write_voc_and_boxes(path, boxes):
    write_street(path, 1)
    (path.parent / "boxes.json").write_text(boxes)
    return ["--boxes", str(path.parent / "boxes.json")]


@pytest.mark.parametrize(
    ("prepare", "sentence"),
    [
        pytest.param(lambda path: [], "no data folder", id="missing data folder"),
        pytest.param(write_class_folder, r"no boxes.*train\.detector\.pseudo_boxes", id="class folders without boxes"),
        pytest.param(lambda path: write_voc_and_boxes(path, "{"), r"boxes\.json cannot be read", id="broken boxes"),
        pytest.param(lambda path: write_voc_and_boxes(path, "[]"), "is damaged", id="boxes are a list"),
        pytest.param(
            lambda path: (write_street(path, 1), ["--boxes", str(path / "none.json")])[1],
            r"none\.json cannot be read",
            id="missing boxes",
        ),
    ],
)
def test_unusable_data_are_refused_before_anything_is_written(detector_command, tmp_path, prepare, sentence):
    settings = prepare(tmp_path / "set")
    config = detector_command.parse_arguments(
        ["--data", str(tmp_path / "set"), "--out", str(tmp_path / "run"), *settings]
    )
    with pytest.raises(DataError, match=sentence):
        detector_command.main(config)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        pytest.param(["--side", "100"], "Side is 100; it must be a multiple of 32", id="side is no multiple of 32"),
        pytest.param(["--side", "32"], "at least 64", id="side is too small"),
        pytest.param(["--side", "large"], "invalid int", id="side is text"),
        pytest.param(["--epochs", "0"], "at least 1", id="no epochs"),
        pytest.param(["--windows", "0"], "at least 1", id="no windows"),
        pytest.param(["--batch-size", "-4"], "at least 1", id="negative batch"),
        pytest.param(["--keep", "first"], "invalid choice", id="unknown weights to keep"),
        pytest.param(["--precision", "int4"], "invalid choice", id="unknown precision"),
        pytest.param(["--epoch", "3"], "unrecognized", id="a mistyped option"),
        pytest.param(["--often", "a:2"], "write it as name=0.5", id="how often, in another way"),
        pytest.param(["--often", "a=0"], "above 0", id="never drawn"),
        pytest.param(["--norms", "folded"], "needs PyTorch and the weights", id="folded from nothing"),
    ],
)
def test_impossible_settings_are_refused_by_name(detector_command, capsys, settings, sentence):
    with pytest.raises(SystemExit) as ended:
        detector_command.parse_arguments(["--data", "a", "--out", "x", *settings])
    assert ended.value.code == 2
    assert sentence in capsys.readouterr().err


def test_the_command_needs_data_and_a_run_folder(detector_command, capsys):
    for arguments, missing in ((["--out", "x"], "--data"), (["--data", "a"], "--out")):
        with pytest.raises(SystemExit):
            detector_command.parse_arguments(arguments)
        assert f"required: {missing}" in capsys.readouterr().err


@pytest.mark.long
def test_other_settings_do_not_go_into_a_finished_runs_folder(detector_command, finished_run, street, tmp_path):
    shutil.copy(finished_run[0] / "config.json", tmp_path)
    settings = ["--data", str(street), "--out", str(tmp_path), "--imagenet-weights", "none", *BY_HEART]
    with pytest.raises(DataError, match="other settings"):
        detector_command.main(detector_command.parse_arguments([*settings, "--seed", "43"]))
    assert [path.name for path in tmp_path.iterdir()] == ["config.json"]


def test_a_refusal_is_one_sentence_on_the_command_line(tmp_path):
    done = train(tmp_path / "run", ["/nowhere"])
    assert done.returncode != 0
    assert done.stderr.strip() == "train.detector: There is no data folder /nowhere."


def test_wrong_weights_do_not_block_the_run_folder(little, tmp_path):
    data, settings = little
    refused = train(tmp_path / "run", data, *settings, "--imagenet-weights", "/nowhere/weights.h5")
    assert refused.returncode != 0
    assert "/nowhere/weights.h5" in refused.stderr and "Traceback" not in refused.stderr
    assert not (tmp_path / "run" / "config.json").exists()


def test_every_option_reaches_the_configuration(detector_command):
    given = (
        "--data a --data b --out r --boxes b.json --redraw b --epochs 7 --windows 9 --batch-size 4 --side 128 "
        "--large-share 0.1 --cutout-share 0.3 --face-min 12 --face-max 99 --mosaic-share 0.4 --draw-share 0.2 "
        "--learning-rate 0.01 --base-share 0.5 --frozen-blocks -1 --warmup 5 --weight-decay 0.1 --average 0.9 --seed 9 "
        "--val-share 0.05 --keep best --precision fp16 --imagenet-weights w.h5 --often a=0.5,b=2 --wrongly-often 3 "
        "--hard-share 0.3 --hard-often 1.5 --cage-share 0.06"
    )
    config = detector_command.parse_arguments(given.split())
    assert config.data == ("a", "b") and config.out == "r" and config.boxes == "b.json" and config.redraw == "b"
    assert (config.epochs, config.windows, config.batch_size, config.side, config.warmup) == (7, 9, 4, 128, 5)
    assert (config.large_share, config.cutout_share, config.base_share, config.average) == (0.1, 0.3, 0.5, 0.9)
    assert (config.learning_rate, config.weight_decay, config.frozen_blocks, config.seed) == (0.01, 0.1, -1, 9)
    assert (config.val_share, config.keep, config.precision) == (0.05, "best", "fp16")
    assert config.imagenet_weights == "w.h5"
    assert config.factors == {"a": 0.5, "b": 2.0} and (config.wrongly_often, config.hard_often) == (3, 1.5)
    recipe = config.recipe
    assert (recipe.face_px, recipe.mosaic_share, recipe.draw_share) == ((12, 99), 0.4, 0.2)
    assert (recipe.hard_share, recipe.cage_share) == (0.3, 0.06)
