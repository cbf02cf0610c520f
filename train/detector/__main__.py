"""Train the centre-point detector: ``python -m train.detector --data DIR --out RUN_DIR``.

What a run folder holds is told in ``train.run_folder``. Started again with the same settings, an interrupted run goes
on after its last finished epoch. PyTorch trains three times as fast as TensorFlow on a CPU and is used if it is
installed (``KERAS_BACKEND`` chooses otherwise); the export needs TensorFlow and runs in a process of its own.
"""

import argparse
import importlib.util
import os
import subprocess
import sys
from pathlib import Path

from core.config import HOME
from core.datasets.faces import DataError
from core.io import write_json
from train.config import DetectorConfig, add_settings, default_settings, parse_config, run_settings
from train.run_folder import DATA, check_run_folder, ending_with_a_sentence, stopping_on_signals, write_settings


def main(config: DetectorConfig) -> None:
    """Run the whole training.

    Raises:
        DataError: data or settings cannot be used.
        Interrupted: SIGTERM or SIGINT came; start again with the same settings to resume.
    """
    out = Path(config.out)
    settings = run_settings(config)
    check_run_folder(out, settings, default_settings(DetectorConfig), may_change=("epochs",))
    scenes = config.load_scenes()
    for part in ("train", "val"):
        for folder, counts in scenes.facts[part].items():
            print(f"{part}, {Path(folder).name}: " + ", ".join(f"{n} {name}" for name, n in counts.items()))
    steps = -(-config.windows // config.batch_size)
    print(f"{config.epochs} epochs of {steps} steps, {config.batch_size} windows each.", flush=True)
    choose_backend()
    from train.detector.trainer import DetectorTrainer

    if config.norms == "folded":
        import keras

        if keras.backend.backend() != "torch":
            raise DataError("Folded normalisation needs PyTorch; leave KERAS_BACKEND out.")
        from train.detector.folded import FoldedTrainer as DetectorTrainer
    trainer = DetectorTrainer(config, scenes, out)
    write_settings(out, settings)
    write_json(out / DATA, scenes.facts)
    with stopping_on_signals(trainer):
        trainer.run()
    # What follows needs TensorFlow, which a process with another backend must not load late.
    command = [sys.executable, "-m", "train.detector.finish", "--run", str(out)]
    environment = os.environ | {"KERAS_BACKEND": "tensorflow"}
    if subprocess.run(command, env=environment, cwd=HOME).returncode:
        raise DataError("The export failed; the weights are kept, and the same command tries again.")


def choose_backend() -> None:
    """PyTorch for Keras if it is installed and nobody chose otherwise; call before Keras is imported."""
    if importlib.util.find_spec("torch"):
        os.environ.setdefault("KERAS_BACKEND", "torch")
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")


def parse_arguments(arguments: list[str] | None = None) -> DetectorConfig:
    """The configuration from the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m train.detector", description="Train the centre-point detector.", allow_abbrev=False
    )
    parser.add_argument(
        "--data", action="append", required=True, metavar="DIR", help="photos with boxes, or class folders"
    )
    parser.add_argument("--out", required=True, metavar="RUN_DIR", help="run folder; an interrupted run resumes")
    add_settings(parser, DetectorConfig)
    return parse_config(parser, DetectorConfig, arguments)


if __name__ == "__main__":
    with ending_with_a_sentence("train.detector"):
        main(parse_arguments())
