"""The end of a run: calibrate, export, look at the test set once, write what it said of each face, report and card."""

import dataclasses
from datetime import date
from pathlib import Path
from typing import Any

import keras
import numpy as np

from core.io import write_atomic, write_json
from core.vision.calibration import best_temperature
from core.vision.classes import CLASS_NAMES
from core.vision.classifier import MaskClassifier
from core.vision.metrics import classification_scores
from core.vision.model_card import ModelCard, file_sha256
from train.augment import RECIPES, varied_view
from train.classifier.data import Faces, plain_views
from train.classifier.network import INPUT_SIZE, divide_logits, logits_model
from train.classifier.trainer import predict
from train.config import TrainConfig, run_settings, versions
from train.export.litert import export_litert
from train.run_folder import (
    BEST,
    CARD,
    KERAS_MODEL,
    LAST,
    MODEL,
    PREDICTIONS,
    REPORT,
    finished,
    read_report,
    read_state,
)

CALIBRATION_IMAGES = 256
SCORES_ON_CARD = ("images", "accuracy", "balanced_accuracy", "expected_calibration_error")


def finish(config: TrainConfig, faces: Faces, out: Path) -> dict:
    """Calibrate the weights that are kept, export them, look at the test set once, and write report and card."""
    if finished(out):
        return read_report(out)
    kept = out / (BEST if config.keep == "best" else LAST)
    # Uncompiled: what only training needs does not go into the model that people download.
    model = keras.models.load_model(kept, safe_mode=True, compile=False)
    split = faces.split
    val_views = plain_views(faces, split.val, INPUT_SIZE)
    temperature = best_temperature(predict(logits_model(model), val_views), faces.labels[split.val])
    divide_logits(model, temperature)
    write_atomic(out / KERAS_MODEL, lambda path: model.save(path))

    some = np.random.default_rng(config.seed).permutation(split.train)[:CALIBRATION_IMAGES]
    calibration = np.stack(
        [
            varied_view(faces.samples[i], INPUT_SIZE, RECIPES[config.recipe], np.random.default_rng([config.seed, i]))
            for i in some
        ]
    )
    export_litert(logits_model(model), out / MODEL, config.precision, calibration)

    card = ModelCard(
        name=out.name,
        file=MODEL,
        sha256=file_sha256(out / MODEL),
        classes=faces.classes,
        input_size=INPUT_SIZE,
        margin=config.margin,
        output="logits",
        precision=config.precision,
        data=[_data_facts(faces, folder) for folder in config.data],
        training={key: value for key, value in run_settings(config).items() if key not in ("data", "imagenet_weights")},
        date=date.today().isoformat(),
        versions=versions("tensorflow", "keras", "numpy", "opencv-python-headless"),
        limits=_limits(config, faces.classes),
    )
    exported = MaskClassifier(card, out / MODEL)
    report: dict[str, Any] = {"classes": list(faces.classes), "temperature": temperature, "split": split.facts}
    classified = []
    for name, places in (("test", split.test), ("held_out", split.held_out)):
        views, labels = plain_views(faces, places, INPUT_SIZE), faces.labels[places]
        report[name] = classification_scores(predict(model, views), labels, faces.classes)
        probabilities = exported.probabilities(views)
        report[f"{name}_exported"] = classification_scores(probabilities, labels, faces.classes)
        classified += [_prediction(faces, i, p, name) for i, p in zip(places, probabilities, strict=True)]
    write_json(out / PREDICTIONS, {"classes": list(faces.classes), "faces": classified})
    report["epoch"] = read_state(kept)["epochs_done"]
    report["data"] = card.data
    write_json(out / REPORT, report)
    scores = {
        f"{name}{kind}": {key: report[f"{name}{kind}"].get(key) for key in SCORES_ON_CARD}
        for name in ("test", "held_out")
        for kind in ("", "_exported")
    }
    dataclasses.replace(card, scores={"split": config.split, "seed": config.seed, **scores}).save(out / CARD)
    return report


def _prediction(faces: Faces, place: int, probabilities: np.ndarray, part: str) -> dict:
    """What the exported model says of one face, for ``train.statistics``."""
    sample = faces.samples[place]
    return {
        "dataset": sample.dataset,
        "key": sample.key,
        "label": sample.label,
        "probabilities": [round(float(p), 6) for p in probabilities],
        "part": part,
    }


def _data_facts(faces: Faces, folder: str) -> dict:
    counts = {}
    for part in ("train", "val", "test", "held_out"):
        labels = [faces.samples[i].label for i in getattr(faces.split, part) if faces.samples[i].dataset == folder]
        counts[part] = {label: labels.count(label) for label in faces.classes}
    return {"name": Path(folder).name, "faces": counts}


def _limits(config: TrainConfig, classes: tuple[str, ...]) -> str:
    missing = [name for name in CLASS_NAMES if name not in classes]
    text = f"Trained on faces of {config.min_face:g} px and more; smaller ones are guesses."
    if missing:
        text += f" It does not know {' and '.join(missing)} and takes such a face for one of its own classes."
    return text
