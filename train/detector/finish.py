"""The end of a detector's run, in a process with TensorFlow: ``python -m train.detector.finish --run RUN_DIR``.

Exports the averaged weights, calibrates the exported model on the validation photos, chooses there from which score a
face is shown, and writes report and card.
"""

import argparse
import dataclasses
import json
import os
import sys
from datetime import date
from pathlib import Path

import keras
import numpy as np

from core.datasets.faces import DataError
from core.io import write_atomic, write_json
from core.vision.classes import CLASS_NAMES
from core.vision.detector import DEFAULT_SPEED, SPEEDS, MaskDetector
from core.vision.metrics import best_offsets, calibration_error
from core.vision.model_card import USES, ModelCard, file_sha256
from train.classifier.trainer import BEST, LAST, read_state
from train.config import DetectorConfig, run_settings, versions
from train.detector.dataset import Scene, SceneSplit
from train.detector.network import HEADS
from train.detector.operating_points import AnnotatedFrame, Seen, choose_scores, look_at, look_at_all
from train.detector.sampling import draw_window
from train.detector.targets import UNKNOWN
from train.detector.trainer import load_averaged, mix_weights, write_weights
from train.export.litert import export_litert

os.environ["KERAS_BACKEND"] = "tensorflow"


os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")


CALIBRATION_WINDOWS, CALIBRATION_SIDE = 300, 320


def finish(out: Path) -> dict:
    """Export, calibrate, and write report and card.

    Raises:
        DataError: the run has no weights or its data are gone.
    """
    config, scenes = read_run(out)
    if config.keep == "best":
        model = keras.models.load_model(out / BEST, safe_mode=True, compile=False)
    else:
        model = load_averaged(out / LAST)
    if config.mix_with:
        mix_weights(model, config.mix_with, config.mix_share)
    write_atomic(out / "model.keras", lambda path: model.save(path))
    write_weights(model, out / "weights.npz")
    rng = np.random.default_rng(config.seed)
    windows = [
        draw_window(scenes.train, int(rng.integers(len(scenes.train))), CALIBRATION_SIDE, config.recipe, rng)[0]
        for _ in range(min(CALIBRATION_WINDOWS, 4 * len(scenes.train)))
    ]
    heads = keras.Model(model.input, [model.get_layer(name).output for name in HEADS])
    export_litert(heads, out / "model.tflite", config.precision, np.stack(windows)[..., ::-1])

    card = ModelCard(
        name=out.name,
        file="model.tflite",
        sha256=file_sha256(out / "model.tflite"),
        classes=CLASS_NAMES,
        input_size=CALIBRATION_SIDE,
        margin=0,
        output="centers",
        kind="detector",
        face_scores={use: 0.3 for use in USES},
        calibration={"center_scale": 1.0, "center_offset": 0.0, "temperature": 1.0},
        precision=config.precision,
        data=_data_facts(scenes),
        training={
            k: v
            for k, v in run_settings(config).items()
            if k not in ("data", "boxes", "start", "imagenet_weights", "labels", "workers", "mix_with")
        },
        date=date.today().isoformat(),
        versions=versions("keras", "tensorflow", "torch", "numpy", "opencv-python-headless"),
        limits=(
            f"Trained on faces of {config.face_min:g} px and more. Half hidden or strongly blurred faces are often "
            "left out, as in the photos it learnt from. Nose, mouth or chin uncovered counts as worn incorrectly."
        ),
    )
    # Data sets whose boxes were redrawn show mostly drawn masks: their verdicts are easier than those of the street.
    redrawn = config.redraw.split(",")
    judged = [s for s in scenes.val if Path(s.dataset).name not in redrawn] or scenes.val or scenes.train
    frames = _frames(judged)
    detector = MaskDetector(card, out / "model.tflite")
    calibration = _calibration({speed: look_at(frames, detector, speed) for speed in SPEEDS})
    card = dataclasses.replace(card, calibration=calibration)
    detector = MaskDetector(card, out / "model.tflite")
    face_scores, tiny_face_scores, facts = choose_scores(look_at_all(frames, detector))
    facts |= {
        "photos": len(frames),
        "verdict_calibration_error": _verdict_calibration_error(look_at(frames, detector, DEFAULT_SPEED)),
    }
    report = {
        "epoch": read_state(out / LAST)["epochs_done"]
        if config.keep == "last"
        else read_state(out / LAST)["best_epoch"],
        "data": scenes.facts,
        "calibration": calibration,
        "face_scores": face_scores,
        "validation": facts,
    }
    write_json(out / "report.json", report)
    card = dataclasses.replace(card, face_scores=face_scores, tiny_face_scores=tiny_face_scores)
    dataclasses.replace(card, scores={"validation": facts}).save(out / "card.json")
    return report


def read_run(out: Path) -> tuple[DetectorConfig, SceneSplit]:
    """Settings and scenes of a run."""
    settings = json.loads((out / "config.json").read_text())
    config = DetectorConfig(**settings | {"data": tuple(settings["data"]), "out": str(out)})
    return config, config.load_scenes()


def _frames(scenes: list[Scene]) -> list[AnnotatedFrame]:
    return [AnnotatedFrame(s.photo_bgr, s.faces_xyxy, s.class_id, s.ignored[:, :4]) for s in scenes]


def _calibration(by_speed: dict[str, list[Seen]]) -> dict:
    """Scale and offset by speed that make the centre's logit a probability, and what calibrates the states."""
    centers = {speed: _center_calibration(seen) for speed, seen in by_speed.items()}
    logits, states = [], []
    for s in (s for photos in by_speed.values() for s in photos):
        known = s.photo.class_id[s.true] != UNKNOWN
        logits.append(np.log(np.maximum(s.probabilities[s.predicted[known]], 1e-9)))
        states.append(s.photo.class_id[s.true[known]])
    temperature, offsets = best_offsets(np.concatenate(logits), np.concatenate(states))
    return {
        "center_scale": centers[DEFAULT_SPEED][0],
        "center_offset": centers[DEFAULT_SPEED][1],
        "centers": centers,
        "temperature": round(temperature, 4),
        "state_offsets": [round(float(offset), 4) for offset in offsets],
    }


def _center_calibration(seen: list[Seen]) -> list[float]:
    """Scale and offset (Platt 1999)."""
    from sklearn.linear_model import LogisticRegression

    logits, is_face = [], []
    for s in seen:
        face = np.isin(np.arange(len(s.score)), s.predicted)
        counts = face | s.is_false_alarm  # what nobody can judge says nothing
        logits.append(_logit(s.score[counts]))
        is_face.append(face[counts])
    x, y = np.concatenate(logits), np.concatenate(is_face)
    if 0 < y.sum() < len(y):
        fit = LogisticRegression(C=1e6).fit(x[:, None], y)
        if fit.coef_[0, 0] > 0:
            return [round(float(fit.coef_[0, 0]), 4), round(float(fit.intercept_[0]), 4)]
    return [1.0, 0.0]


def _logit(p: np.ndarray) -> np.ndarray:
    p = np.clip(p.astype(float), 1e-6, 1 - 1e-6)
    return np.log(p / (1 - p))


def _verdict_calibration_error(seen: list[Seen]) -> float | None:
    right = np.concatenate([s.probabilities[s.predicted].argmax(1) == s.photo.class_id[s.true] for s in seen])
    sure = np.concatenate([s.probabilities[s.predicted].max(1, initial=0) for s in seen])
    return calibration_error(sure, right)


def _data_facts(scenes: SceneSplit) -> list[dict]:
    parts = ("train", "val")
    folders = dict.fromkeys(folder for part in parts for folder in scenes.facts[part])
    return [
        {"name": Path(folder).name, "faces": {part: scenes.facts[part].get(folder, {}) for part in parts}}
        for folder in folders
    ]


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(
        prog="python -m train.detector.finish", description="Export a trained detector.", allow_abbrev=False
    )
    parser.add_argument("--run", required=True, metavar="RUN_DIR", type=Path)
    given = parser.parse_args()
    try:
        report = finish(given.run)
    except FileNotFoundError as error:
        raise DataError(f"{given.run} is no run that can be finished: {error}") from None
    for use, by_speed in report["face_scores"].items():
        for speed, score in by_speed.items():
            figures = report["validation"][use][speed]
            print(
                f"{use}, {speed}, validation: faces shown from {score}, found {figures['found']:.3f}, found and right "
                f"{figures['found_and_right']:.3f}, false alarms a photo {figures['false_alarms_per_photo']:.3f}"
            )


if __name__ == "__main__":
    try:
        main()
    except DataError as error:
        sys.exit(f"train.detector.finish: {error}")
