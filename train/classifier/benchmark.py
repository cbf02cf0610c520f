"""Plain and cached training, side by side: ``python -m train.classifier.benchmark --data DIR [--json FILE]``.

Both sides train the same head on the same frozen base, split, seed and number of epochs (the report's protocol: 80/20,
no validation), each in a fresh run folder. Timed is everything from the ready network to the finished weights: making
views, the base, the head, saving; for the cached side also the base's conversion. Reading the pictures, importing
TensorFlow and building the network are the same for both and are left out. Afterwards each network classifies the same
test pictures.
"""

import argparse
import contextlib
import dataclasses
import io
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from core.datasets.faces import DataError
from core.datasets.sources.prajnasb import REPORT_NAME
from core.datasets.store import find_dataset
from core.io import write_json
from train.classifier.data import Faces, load_faces
from train.config import DEFAULT_VIEWS, TrainConfig
from train.split import Split, split_samples

if TYPE_CHECKING:
    import keras

SIDES = ("plain", "cached")


def benchmark(config: TrainConfig, seeds: int, json_file: Path | None = None) -> dict:
    """Train both ways with the seeds 1, 2, …, print each result, and write the JSON file anew after each seed.

    Args:
        config: ``features`` and ``seed`` are set here.
        seeds: how many, 1 or more.
        json_file: where the result goes, if anywhere.

    Returns:
        ``plain_s``, ``cached_s``, ``plain_accuracy``, ``cached_accuracy``: means over the seeds; ``speedup``; ``seeds``
        with the same of each; and what it was measured on.
    """
    faces = load_faces(config)
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    from train.classifier.trainer import Trainer

    rows, result = [], {}
    for seed in range(1, seeds + 1):
        split = split_samples(faces.samples, config.split, config.test_share, config.val_share, seed)
        part = Faces(faces.samples, faces.classes, faces.labels, split)
        row: dict[str, float] = {"seed": seed}
        for side in SIDES:
            with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(io.StringIO()):
                trainer = Trainer(dataclasses.replace(config, features=side, seed=seed), part, Path(folder))
                start = time.perf_counter()
                trainer.run()
                row[f"{side}_s"] = round(time.perf_counter() - start, 2)
                row[f"{side}_accuracy"] = _accuracy(trainer.model, part)
            print(f"seed {seed}, {side}: {row[f'{side}_s']:.1f} s, accuracy {row[f'{side}_accuracy']:.4f}", flush=True)
        rows.append(row)
        result = _summary(config, faces, split, rows)
        if json_file:
            write_json(json_file, result)
    print(
        f"plain {result['plain_s']:.1f} s, accuracy {result['plain_accuracy']:.4f}; "
        f"cached {result['cached_s']:.1f} s, accuracy {result['cached_accuracy']:.4f}: "
        f"{result['speedup']:.1f} times as fast."
    )
    return result


def _accuracy(model: "keras.Model", faces: Faces) -> float:
    from train.classifier.data import plain_views
    from train.classifier.network import INPUT_SIZE
    from train.classifier.trainer import predict

    classified = predict(model, plain_views(faces, faces.split.test, INPUT_SIZE)).argmax(axis=1)
    return float((classified == faces.labels[faces.split.test]).mean())


def _summary(config: TrainConfig, faces: Faces, split: Split, rows: list[dict]) -> dict:
    means = {
        f"{side}_{what}": round(sum(row[f"{side}_{what}"] for row in rows) / len(rows), 4)
        for what in ("s", "accuracy")
        for side in SIDES
    }
    return means | {
        "speedup": round(means["plain_s"] / means["cached_s"], 2),
        "seeds": rows,
        "epochs": config.epochs,
        "views": config.views,
        "train_faces": len(split.train),
        "test_faces": len(split.test),
        "classes": list(faces.classes),
        "cores": os.cpu_count(),
    }


def parse_arguments(arguments: list[str] | None = None) -> tuple[TrainConfig, int, Path | None]:
    """Settings, number of seeds and the JSON file, from the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m train.classifier.benchmark",
        description="Train the head plainly and on kept features, and compare times and test accuracies.",
        allow_abbrev=False,
    )
    parser.add_argument("--data", metavar="DIR", help=f"default: the report's set ({REPORT_NAME}) of the data folder")
    parser.add_argument("--imagenet-weights", default="imagenet", help="a path, imagenet to download them, or none")
    parser.add_argument("--seeds", type=int, default=5, help="how many splits and starts; default 5")
    parser.add_argument("--epochs", type=int, default=20, help="passes on both sides; default 20, as in the report")
    parser.add_argument("--views", type=int, default=DEFAULT_VIEWS, help=f"kept per face; default {DEFAULT_VIEWS}")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the result there, too")
    given = parser.parse_args(arguments)
    if given.seeds < 1:
        parser.error("--seeds must be at least 1.")
    config = TrainConfig(
        data=(given.data or str(report_set()),),
        out="",
        epochs=given.epochs,
        views=given.views,
        val_share=0.0,
        imagenet_weights=given.imagenet_weights,
    )
    return config, given.seeds, given.json


def report_set() -> Path:
    """The report's data set in the data folder.

    Raises:
        DataError: it is not there.
    """
    try:
        return find_dataset(REPORT_NAME).folder
    except DataError:
        raise DataError(
            f"The report's data set {REPORT_NAME} is not in the data folder; fetch it on the page “Data sets”, "
            "or name a folder with --data."
        ) from None


if __name__ == "__main__":
    try:
        benchmark(*parse_arguments())
    except DataError as error:
        sys.exit(f"train.classifier.benchmark: {error}")
