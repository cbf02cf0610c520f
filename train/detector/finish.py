"""The end of a detector's run, in a process with TensorFlow: ``python -m train.detector.finish --run RUN_DIR``.

Exports the averaged weights, calibrates the exported model on the validation photos, chooses there from which score a
face is shown, and writes report and card.
"""

import argparse
import dataclasses
import os
import sys
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from core.datasets.faces import DataError
from core.io import write_atomic, write_json
from core.vision.classes import CLASS_NAMES
from core.vision.detector import DEFAULT_PRESET, PRESETS, MaskDetector
from core.vision.model_card import USES, ModelCard, file_sha256
from train.config import DetectorConfig, read_config, run_settings, versions
from train.detector.calibration import calibrate, prediction_calibration_error
from train.detector.dataset import Scene, SceneSplit
from train.detector.operating_points import AnnotatedFrame, choose_scores, look_at, look_at_all
from train.detector.sampling import draw_window
from train.run_folder import BEST, CARD, KERAS_MODEL, LAST, MODEL, REPORT, WEIGHTS, read_state

if TYPE_CHECKING:
    import keras

CALIBRATION_WINDOWS, CALIBRATION_SIDE = 300, 320
NEUTRAL = {"center_scale": 1.0, "center_offset": 0.0, "temperature": 1.0}
"""The calibration of a card before there is one."""
# In 8 bits, these layers of the base lose most: what goes in is small and their weights are large. With them in 32 bits
# small faces are found as with the whole network in 32 bits, in the same time (docs/detector.md).
EXACT = (
    *("bn_Conv1", "expanded_conv_depthwise_BN", "expanded_conv_project_BN", "block_1_", "block_2_"),
    *("block_4_depthwise_BN", "block_5_depthwise_BN"),
)


def finish(out: Path) -> dict:
    """Export, calibrate, and write report and card.

    Raises:
        DataError: the run has no weights or its data are gone.
    """
    import keras

    from train.detector.trainer import load_averaged, mix_weights, write_weights

    config, scenes = read_run(out)
    if config.keep == "best":
        model = keras.models.load_model(out / BEST, safe_mode=True, compile=False)
    else:
        model = load_averaged(out / LAST)
    if config.mix_with:
        mix_weights(model, config.mix_with, config.mix_share)
    write_atomic(out / KERAS_MODEL, lambda path: model.save(path))
    write_weights(model, out / WEIGHTS)
    export(model, scenes, config, out / MODEL)
    card = ModelCard(
        name=out.name,
        file=MODEL,
        sha256=file_sha256(out / MODEL),
        classes=CLASS_NAMES,
        input_size=CALIBRATION_SIDE,
        margin=0,
        output="centers",
        kind="detector",
        face_scores={use: 0.3 for use in USES},
        calibration=NEUTRAL,
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
            "left out, as in the photos it was trained on. Nose, mouth or chin uncovered counts as worn incorrectly."
        ),
    )
    card = settled(card, out / MODEL, scenes, config)
    report = {
        "epoch": read_state(out / LAST)["epochs_done"]
        if config.keep == "last"
        else read_state(out / LAST)["best_epoch"],
        "data": scenes.facts,
        "calibration": card.calibration,
        "face_scores": card.face_scores,
        "validation": card.scores["validation"],
    }
    write_json(out / REPORT, report)
    card.save(out / CARD)
    return report


def export(model: "keras.Model", scenes: SceneSplit, config: DetectorConfig, path: Path) -> None:
    """Write the network as a LiteRT file; windows of the training photos tell the range of each tensor."""
    from train.detector.network import HEADS
    from train.export.litert import export_litert

    rng = np.random.default_rng(config.seed)
    windows = [
        draw_window(scenes.train, int(rng.integers(len(scenes.train))), CALIBRATION_SIDE, config.recipe, rng)[0]
        for _ in range(min(CALIBRATION_WINDOWS, 4 * len(scenes.train)))
    ]
    heads = type(model)(model.input, [model.get_layer(name).output for name in HEADS])
    export_litert(heads, path, config.precision, np.stack(windows)[..., ::-1], EXACT)


def settled(card: ModelCard, path: Path, scenes: SceneSplit, config: DetectorConfig) -> ModelCard:
    """The card of an exported network with its calibration and the scores from which faces are shown.

    Both are fitted on the validation photos, and so are the figures that the card gets.
    """
    # Data sets whose boxes were redrawn show mostly drawn masks, which are easier to classify than those of the street.
    redrawn = config.redraw.split(",")
    validation = [s for s in scenes.val if Path(s.dataset).name not in redrawn] or scenes.val or scenes.train
    frames = _frames(validation)
    detector = MaskDetector(dataclasses.replace(card, calibration=NEUTRAL), path)
    # Only a calibrated score says which faces are doubtful.
    calibration = calibrate(
        {preset: look_at(frames, detector, dataclasses.replace(how, again=0)) for preset, how in PRESETS.items()}
    )
    card = dataclasses.replace(card, calibration=calibration)
    detector = MaskDetector(card, path)
    face_scores, tiny_face_scores, facts = choose_scores(look_at_all(frames, detector))
    facts |= {
        "photos": len(frames),
        "verdict_calibration_error": prediction_calibration_error(look_at(frames, detector, DEFAULT_PRESET)),
    }
    return dataclasses.replace(
        card, face_scores=face_scores, tiny_face_scores=tiny_face_scores, scores={"validation": facts}
    )


def read_run(out: Path) -> tuple[DetectorConfig, SceneSplit]:
    """Settings and scenes of a run. Raises: DataError."""
    config = read_config(DetectorConfig, out)
    return config, config.load_scenes()


def _frames(scenes: list[Scene]) -> list[AnnotatedFrame]:
    return [AnnotatedFrame(s.photo_bgr, s.faces_xyxy, s.class_id, s.ignored[:, :4]) for s in scenes]


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
    # The export needs TensorFlow; Keras asks when it is imported.
    os.environ["KERAS_BACKEND"] = "tensorflow"
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    try:
        report = finish(given.run)
    except FileNotFoundError as error:
        raise DataError(f"{given.run} is no run that can be finished: {error}") from None
    for use, by_preset in report["face_scores"].items():
        for preset, score in by_preset.items():
            figures = report["validation"][use][preset]
            print(
                f"{use}, {preset}, validation: faces shown from {score}, recall {figures['found']:.3f}, accuracy "
                f"{figures['found_and_right']:.3f}, false alarms a photo {figures['false_alarms_per_photo']:.3f}"
            )


if __name__ == "__main__":
    try:
        main()
    except DataError as error:
        sys.exit(f"train.detector.finish: {error}")
