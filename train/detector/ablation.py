"""What helps a trained detector and what does not: ``python -m train.detector.ablation --run RUN_DIR``.

Scores combinations of scales, and a second classifier, with the run's exported model on its validation photos, which
neither training nor the test list have seen, and prints a Markdown table; ``docs/detector.md`` holds it.
"""

import argparse
import os
import sys
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np

from core.datasets.faces import DataError
from core.vision.boxes import shorter_sides
from core.vision.classes import CLASS_NAMES, WITH_MASK, WITHOUT_MASK
from core.vision.classifier import MaskClassifier, load_classifier
from core.vision.crops import crop_faces
from core.vision.detections import FACE_SCORE, make_detections
from core.vision.detector import PRESETS, MaskDetector, Preset
from core.vision.metrics import Evaluation, EvaluationResult
from core.vision.model_card import load_card, shown_from
from train.detector.dataset import Scene
from train.run_folder import CARD, KERAS_MODEL

SIDES = (352, 448, 512, 640, 832, 1024)
MIN_SCORE, MIN_FACE_PX = 0.02, 24
Found = tuple[np.ndarray, np.ndarray, np.ndarray]
"""Boxes (n, 4), face scores (n,) and probabilities (n, 3), as ``MaskDetector.find`` gives them."""


def classified_twice(
    detector: MaskDetector, classifier: MaskClassifier, preset: Preset, frame_bgr: np.ndarray
) -> Found:
    """The classifier classifies every detected face too; for mask or no mask, both probabilities weigh the same.

    The geometric mean of the two; the probability of a mask worn incorrectly stays the detector's.
    """
    xyxy, score, probabilities = detector.find(frame_bgr, preset, MIN_SCORE)
    card = classifier.card
    second = classifier.probabilities(crop_faces(frame_bgr, xyxy, card.input_size, card.margin))
    pair = [WITH_MASK, WITHOUT_MASK]
    second = second[:, [card.classes.index(CLASS_NAMES[i]) for i in pair]]
    mixed = np.sqrt(probabilities[:, pair] * second + 1e-9)
    share = probabilities[:, pair].sum(axis=1, keepdims=True)
    probabilities = probabilities.copy()
    probabilities[:, pair] = mixed / mixed.sum(axis=1, keepdims=True) * share
    return xyxy, score, probabilities


def score(scenes: list[Scene], find: Callable[[np.ndarray], Found], shown_from: float) -> EvaluationResult:
    """The figures of one way to detect faces, shown from a face score in 0..1 on."""
    evaluation = Evaluation(MIN_FACE_PX)
    for scene in scenes:
        xyxy, face_score, probabilities = find(scene.photo_bgr)
        ranked = make_detections(xyxy, probabilities.argmax(axis=1), probabilities.max(axis=1, initial=0), face_score,
                                 probabilities=probabilities)  # fmt: skip
        ranked = ranked[shorter_sides(xyxy) >= 0.7 * MIN_FACE_PX]
        shown = ranked[(ranked.data[FACE_SCORE] >= shown_from) & (ranked.confidence >= 0.5)]
        evaluation.update(shown, make_detections(scene.faces_xyxy, scene.class_id), 0.0, ranked)
    return evaluation.compute()


def trials(run: Path) -> list[tuple[str, EvaluationResult]]:
    """Name and figures of every way to detect faces."""
    import keras

    from train.detector.finish import read_run
    from train.detector.network import HEADS
    from train.export.litert import export_litert

    _, scenes = read_run(run)
    card = load_card(run / CARD)
    detector = MaskDetector(card, run / card.file)
    as_given = PRESETS["balanced"]
    ways: dict[str, Callable[[np.ndarray], Found]] = {}
    for side in SIDES:
        ways[f"longer side {side} px"] = partial(detector.find, preset=Preset("", "", side), min_score=MIN_SCORE)
    for name, preset in PRESETS.items():
        near = " and ".join(map(str, preset.near_sides))
        sides = f"{preset.long_side} px, {near} px for large faces"
        far = f", up to {preset.far_side} px for small ones" if preset.far_side else ""
        ways[f"{name}: {sides}{far}"] = partial(detector.find, preset=name, min_score=MIN_SCORE)
    ways["balanced, classifier's second look"] = partial(classified_twice, detector, load_classifier(), as_given)
    with tempfile.TemporaryDirectory() as folder:
        model = keras.models.load_model(run / KERAS_MODEL, safe_mode=True, compile=False)
        heads = keras.Model(model.input, [model.get_layer(name).output for name in HEADS])
        path = Path(folder) / "float.tflite"
        export_litert(heads, path, "float32", np.empty(0))
        exact = MaskDetector(card, path)
        ways["balanced, 32-bit numbers"] = lambda frame: exact.find(frame, as_given, MIN_SCORE)
        return [
            (name, score(scenes.val, find, shown_from(card.face_scores, "photo", "balanced")))
            for name, find in ways.items()
        ]


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(
        prog="python -m train.detector.ablation", description="Score combinations of scales.", allow_abbrev=False
    )
    parser.add_argument("--run", required=True, metavar="RUN_DIR", type=Path, help="folder of a finished run")
    given = parser.parse_args()
    os.environ["KERAS_BACKEND"] = "tensorflow"
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    results = trials(given.run)
    print(f"{results[0][1].photos} validation photos, {results[0][1].faces} faces of {MIN_FACE_PX} px and more\n")
    print("| variant | found and right | false alarms a photo | mAP50, two states | three states |")
    print("|---|---|---|---|---|")
    for name, r in results:
        print(
            f"| {name} | {r.found_and_right:.1%} | {r.false_alarms_per_photo:.2f} "
            f"| {r.map50_two_state:.3f} | {r.map50_three_state:.3f} |"
        )


if __name__ == "__main__":
    try:
        main()
    except (DataError, ValueError) as error:
        sys.exit(f"train.detector.ablation: {error}")
