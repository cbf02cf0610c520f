"""The end of a detector's run, in a process with TensorFlow: ``python -m train.detector_finish --run RUN_DIR``.

Exports the averaged weights, calibrates the exported model on the validation photos, chooses there from which score a
face is shown, and writes report and card.
"""

import argparse
import dataclasses
import itertools
import json
import os
import sys
from datetime import date
from pathlib import Path

os.environ["KERAS_BACKEND"] = "tensorflow"
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import keras
import numpy as np

from core.boxes import match_boxes, overlaps, shorter_sides
from core.card import ModelCard, file_sha256
from core.classes import CLASS_NAMES
from core.detector import DEFAULT_SPEED, SPEEDS, MaskDetector
from core.files import write_atomic, write_json
from core.metrics import FALSE_ALARM_IOU, FOUND_IOU, calibration_error
from train.config import run_settings, versions
from train.data import DataError
from train.detector import DetectorConfig
from train.detector_network import HEADS
from train.detector_trainer import load_averaged, write_weights
from train.export import export_litert
from train.scenes import Scene, SceneSplit, draw_window
from train.scores import best_offsets
from train.trainer import BEST, LAST, read_state

CALIBRATION_WINDOWS, CALIBRATION_SIDE = 300, 320
MIN_FACE_PX = 24
# A face is shown from the score on at which this F-measure is highest (van Rijsbergen 1979): in photos a missed face
# and a false alarm weigh the same, in live video, where a box that flickers disturbs, false alarms weigh more.
BETA = {"photo": 1.0, "live": 0.5}
SCORE_RANGE = (0.15, 0.7)


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
    write_atomic(out / "model.keras", lambda path: model.save(path))
    write_weights(model, out / "weights.npz")
    rng = np.random.default_rng(config.seed)
    windows = [
        draw_window(scenes.train, rng.integers(len(scenes.train)), CALIBRATION_SIDE, config.recipe, rng)[0]
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
        face_scores={use: 0.3 for use in BETA},
        calibration={"center_scale": 1.0, "center_offset": 0.0, "temperature": 1.0},
        precision=config.precision,
        data=_data_facts(scenes),
        training={
            k: v for k, v in run_settings(config).items() if k not in ("data", "boxes", "start", "imagenet_weights")
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
    calibration = _calibration(_look_at(judged, MaskDetector(card, out / "model.tflite")))
    card = dataclasses.replace(card, calibration=calibration)
    face_scores, facts = _choose_scores(_look_at(judged, MaskDetector(card, out / "model.tflite")))
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
    dataclasses.replace(card, face_scores=face_scores, scores={"validation": facts}).save(out / "card.json")
    return report


def read_run(out: Path) -> tuple[DetectorConfig, SceneSplit]:
    """Settings and scenes of a run."""
    settings = json.loads((out / "config.json").read_text())
    config = DetectorConfig(**settings | {"data": tuple(settings["data"]), "out": str(out)})
    return config, config.load_scenes()


@dataclasses.dataclass(frozen=True)
class _Seen:
    """What the exported model says of one photo."""

    scene: Scene
    xyxy: np.ndarray
    score: np.ndarray
    probabilities: np.ndarray
    predicted: np.ndarray
    true: np.ndarray


def _look_at(scenes: list[Scene], detector: MaskDetector) -> dict[str, list[_Seen]]:
    """Every photo at every speed."""
    seen = {speed: [] for speed in SPEEDS}
    for speed, scene in itertools.product(SPEEDS, scenes):
        xyxy, score, probabilities = detector.find(scene.photo_bgr, speed, 0.02)
        large = shorter_sides(xyxy) >= 0.7 * MIN_FACE_PX
        xyxy, score, probabilities = xyxy[large], score[large], probabilities[large]
        seen[speed].append(_Seen(scene, xyxy, score, probabilities, *match_boxes(xyxy, scene.faces_xyxy, FOUND_IOU)))
    return seen


def _calibration(by_speed: dict[str, list[_Seen]]) -> dict:
    """Scale and offset by speed that make the centre's logit a probability, and what calibrates the states."""
    centers = {speed: _center_calibration(seen) for speed, seen in by_speed.items()}
    seen = [s for photos in by_speed.values() for s in photos]
    state_logits = np.concatenate([np.log(np.maximum(s.probabilities[s.predicted], 1e-9)) for s in seen])
    states = np.concatenate([s.scene.class_id[s.true] for s in seen])
    temperature, offsets = best_offsets(state_logits, states)
    return {
        "center_scale": centers[DEFAULT_SPEED][0],
        "center_offset": centers[DEFAULT_SPEED][1],
        "centers": centers,
        "temperature": round(temperature, 4),
        "state_offsets": [round(float(offset), 4) for offset in offsets],
    }


def _center_calibration(seen: list[_Seen]) -> list[float]:
    """Scale and offset (Platt 1999)."""
    from sklearn.linear_model import LogisticRegression

    logits = np.concatenate([_logit(s.score) for s in seen])
    is_face = np.concatenate([np.isin(np.arange(len(s.score)), s.predicted) for s in seen])
    if 0 < is_face.sum() < len(is_face):
        fit = LogisticRegression(C=1e6).fit(logits[:, None], is_face)
        if fit.coef_[0, 0] > 0:
            return [round(float(fit.coef_[0, 0]), 4), round(float(fit.intercept_[0]), 4)]
    return [1.0, 0.0]


def _logit(p: np.ndarray) -> np.ndarray:
    p = np.clip(p.astype(float), 1e-6, 1 - 1e-6)
    return np.log(p / (1 - p))


def _choose_scores(by_speed: dict[str, list[_Seen]]) -> tuple[dict[str, float], dict]:
    """From which score on a face is shown, by use, all speeds counted; and what that gives at the default speed."""
    seen = by_speed[DEFAULT_SPEED]
    chosen, facts = {}, {"photos": len(seen)}
    candidates = np.arange(SCORE_RANGE[0], SCORE_RANGE[1] + 1e-9, 0.01)
    figures = [_figures([s for photos in by_speed.values() for s in photos], score) for score in candidates]
    for use, beta in BETA.items():
        place = max(range(len(candidates)), key=lambda i: _f_measure(figures[i], beta))
        chosen[use] = round(float(candidates[place]), 2)
        facts[use] = _figures(seen, chosen[use])
    right = np.concatenate([s.probabilities[s.predicted].argmax(1) == s.scene.class_id[s.true] for s in seen])
    sure = np.concatenate([s.probabilities[s.predicted].max(1, initial=0) for s in seen])
    facts["verdict_calibration_error"] = calibration_error(sure, right)
    return chosen, facts


def _figures(seen: list[_Seen], score: float) -> dict:
    faces = found = right = alarms = 0
    for s in seen:
        counts = shorter_sides(s.scene.faces_xyxy) >= MIN_FACE_PX
        shown = s.score >= score
        predicted, true = match_boxes(s.xyxy[shown], s.scene.faces_xyxy, FOUND_IOU)
        predicted, true = predicted[counts[true]], true[counts[true]]
        faces, found = faces + int(counts.sum()), found + len(true)
        right += int((s.probabilities[shown][predicted].argmax(1) == s.scene.class_id[true]).sum())
        alarms += int((overlaps(s.xyxy[shown], s.scene.faces_xyxy).max(axis=1, initial=0) < FALSE_ALARM_IOU).sum())
    return {
        "faces": faces,
        "found": found / max(faces, 1),
        "found_and_right": right / max(faces, 1),
        "false_alarms": alarms,
        "false_alarms_per_photo": alarms / max(len(seen), 1),
    }


def _f_measure(figures: dict, beta: float) -> float:
    found = figures["found"] * figures["faces"]
    alarms = figures["false_alarms"]
    return (1 + beta**2) * found / max((1 + beta**2) * found + beta**2 * (figures["faces"] - found) + alarms, 1e-9)


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
        prog="python -m train.detector_finish", description="Export a trained detector.", allow_abbrev=False
    )
    parser.add_argument("--run", required=True, metavar="RUN_DIR", type=Path)
    given = parser.parse_args()
    try:
        report = finish(given.run)
    except FileNotFoundError as error:
        raise DataError(f"{given.run} is no run that can be finished: {error}") from None
    for use, score in report["face_scores"].items():
        figures = report["validation"][use]
        print(
            f"{use}, validation: faces shown from {score}, found {figures['found']:.3f}, found and right "
            f"{figures['found_and_right']:.3f}, false alarms a photo {figures['false_alarms_per_photo']:.3f}"
        )


if __name__ == "__main__":
    try:
        main()
    except DataError as error:
        sys.exit(f"train.detector_finish: {error}")
