"""Train the mask classifier: ``python -m train.classifier --data DIR --out RUN_DIR``.

The report's recipe by default: head on a frozen ImageNet base, then, if asked for, the last blocks at a low rate.
With ``--features cached`` the frozen base sees a few views of each face once, and the head is trained on what it made
of them. A run folder holds the configuration, a line of metrics per epoch, best and last weights, the report of the one
look at the test set, and the exported model with its card; while it runs, how far it is. Started again with the same
settings, an interrupted run goes on after its last finished epoch.
"""

import argparse
import os
import sys
from pathlib import Path

from core.datasets.faces import DataError
from core.io import write_json
from train.classifier.data import Faces, load_faces
from train.config import TrainConfig, add_settings, parse_config, run_settings
from train.estimate import record, stage_seconds
from train.run_folder import Interrupted, Progress, check_run_folder, stopping_on_signals

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")


def main(config: TrainConfig) -> dict:
    """Run the whole training and return the report.

    Raises:
        DataError: data or settings cannot be used.
        Interrupted: SIGTERM or SIGINT came; start again with the same settings to go on.
    """
    out = Path(config.out)
    settings = run_settings(config)
    check_run_folder(out, settings)
    progress = Progress(out, config.total_epochs)
    with progress.alive():
        report = _train(config, settings, out, progress)
    for name in ("test", "held_out"):
        for kind in (name, f"{name}_exported"):
            scores = report[kind]
            if scores["images"]:
                print(
                    f"{kind}: {scores['images']} faces, accuracy {scores['accuracy']:.4f}, "
                    f"balanced {scores['balanced_accuracy']:.4f}, "
                    f"calibration error {scores['expected_calibration_error']:.4f}"
                )
    return report


def _train(config: TrainConfig, settings: dict, out: Path, progress: Progress) -> dict:
    over_before = (out / "card.json").is_file()
    progress.stage("reading", "Reading the pictures")
    faces = load_faces(config)
    progress.expect(_expected(config, faces))
    for part, counts in faces.split.facts["counts"].items():
        print(f"{part}: " + (", ".join(f"{n} {label}" for label, n in counts.items()) or "none"))
    print(
        f"{faces.split.facts['near_copies']} pictures have a near copy; "
        f"{faces.split.facts['test_with_near_copy_in_training']} test faces have one in training."
    )
    steps = -(-len(faces.split.train) // config.batch_size)
    print(f"{config.total_epochs} epochs of {steps} steps, {config.batch_size} faces each.", flush=True)
    progress.say("Starting TensorFlow")
    # Only now, with the data found good, is TensorFlow imported: that takes seconds.
    from train.classifier.finish import finish
    from train.classifier.trainer import Trainer

    trainer = Trainer(config, faces, out, progress)
    write_json(out / "config.json", settings)
    with stopping_on_signals(trainer):
        trainer.run()
    progress.stage("finishing", "Exporting the model and judging the test pictures", epoch=config.total_epochs)
    report = finish(config, faces, out)
    slowness = progress.end()
    if not over_before:
        record(config, out, slowness)
    return report


def _expected(config: TrainConfig, faces: Faces) -> dict[str, float]:
    split = faces.split
    return stage_seconds(config, len(split.train), len(split.val), len(split.test) + len(split.held_out))


def parse_arguments(arguments: list[str] | None = None) -> TrainConfig:
    """The configuration from the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m train.classifier", description="Train the mask classifier.", allow_abbrev=False
    )
    parser.add_argument("--data", action="append", required=True, metavar="DIR", help="class folders or Pascal VOC")
    parser.add_argument("--out", required=True, metavar="RUN_DIR", help="run folder; an interrupted run goes on")
    parser.add_argument("--classes", type=lambda text: tuple(text.split(",")), help="names, separated by commas")
    add_settings(parser, TrainConfig)
    return parse_config(parser, TrainConfig, arguments)


if __name__ == "__main__":
    try:
        main(parse_arguments())
    except DataError as error:
        sys.exit(f"train.classifier: {error}")
    except Interrupted:
        print("\nStopped; start again with the same settings to go on.", flush=True)
        sys.exit(143)
