"""Train the mask classifier: ``python -m train.classifier --data DIR --out RUN_DIR``, or ``--run RUN_DIR``.

The report's recipe by default: head on a frozen ImageNet base, then, if asked for, the last blocks at a low rate.
With ``--features cached`` the frozen base sees a few views of each face once, and the head is trained on what it made
of them. What a run folder holds is told in ``train.run_folder``. Started again with the same settings, an interrupted
run resumes after its last finished epoch; ``--run`` reads them from the folder.
"""

import argparse
import os
import sys
from pathlib import Path

from core.language import mark
from train.classifier.data import Faces, load_faces
from train.config import (
    TrainConfig,
    add_settings,
    default_settings,
    parse_config,
    read_config,
    recipes_help,
    run_settings,
)
from train.estimate import record, stage_seconds
from train.run_folder import (
    Progress,
    check_run_folder,
    ending_with_a_sentence,
    finished,
    stopping_on_signals,
    write_settings,
)


def main(config: TrainConfig) -> dict:
    """Run the whole training and return the report.

    Raises:
        DataError: data or settings cannot be used.
        Interrupted: SIGTERM or SIGINT came; start again with the same settings to resume.
    """
    out = Path(config.out)
    settings = run_settings(config)
    check_run_folder(out, settings, default_settings(TrainConfig))
    progress = Progress(out, config.total_epochs)
    with progress.alive():
        report = _train(config, settings, out, progress)
    for name in ("test", "held_out"):
        for kind in (name, f"{name}_exported"):
            scores = report[kind]
            if scores["images"]:
                balanced = scores["balanced_accuracy"]
                print(
                    f"{kind}: {scores['images']} faces, accuracy {scores['accuracy']:.4f}, "
                    f"balanced {'unknown' if balanced is None else f'{balanced:.4f}'}, "
                    f"calibration error {scores['expected_calibration_error']:.4f}"
                )
    return report


def _train(config: TrainConfig, settings: dict, out: Path, progress: Progress) -> dict:
    over_before = finished(out)
    progress.stage("reading", mark("Reading the pictures"))
    faces = load_faces(config)
    progress.expect(_expected(config, faces))
    for part, counts in faces.split.facts["counts"].items():
        print(f"{part}: " + (", ".join(f"{n} {label}" for label, n in counts.items()) or "none"))
    print(
        f"{faces.split.facts['near_copies']} pictures have a near-duplicate; "
        f"{faces.split.facts['test_with_near_copy_in_training']} test faces have one in training."
    )
    steps = -(-len(faces.split.train) // config.batch_size)
    print(f"{config.total_epochs} epochs of {steps} steps, {config.batch_size} faces each.", flush=True)
    progress.say(mark("Starting TensorFlow"))
    # Only now, with the data found good, is TensorFlow imported: that takes seconds.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    from train.classifier.finish import finish
    from train.classifier.trainer import Trainer

    trainer = Trainer(config, faces, out, progress)
    write_settings(out, settings)
    with stopping_on_signals(trainer):
        trainer.run()
    progress.stage(
        "finishing", mark("Exporting the model and classifying the test pictures"), epoch=config.total_epochs
    )
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
    arguments = sys.argv[1:] if arguments is None else arguments
    parser = argparse.ArgumentParser(
        prog="python -m train.classifier",
        description="Train the mask classifier.",
        epilog=recipes_help(),
        allow_abbrev=False,
    )
    # Which of the two is required depends on the other; argparse knows no such groups.
    run = any(each.partition("=")[0] == "--run" for each in arguments)
    parser.add_argument(
        "--run", metavar="RUN_DIR", help="run folder with its settings in it; no other option is needed"
    )
    parser.add_argument("--data", action="append", required=not run, metavar="DIR", help="a data set of any format")
    parser.add_argument("--out", required=not run, metavar="RUN_DIR", help="run folder; an interrupted run resumes")
    parser.add_argument(
        "--classes",
        type=lambda text: tuple(text.split(",")),
        help="names, separated by commas (default: all that the data have)",
    )
    add_settings(parser, TrainConfig)
    if not run:
        return parse_config(parser, TrainConfig, arguments)
    given = {name: value for name, value in vars(parser.parse_args(arguments)).items() if value is not None}
    if list(given) != ["run"]:
        parser.error("With --run the settings are those of the run folder; leave the other options out.")
    return read_config(TrainConfig, given["run"])


if __name__ == "__main__":
    with ending_with_a_sentence("train.classifier"):
        main(parse_arguments())
