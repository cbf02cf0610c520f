"""Train the centre-point detector: ``python -m train.detector --data VOC_DIR --out RUN_DIR``.

A run folder holds the same as the classifier's: the configuration, a line of metrics per epoch, best and last weights,
the report, and the exported model with its card. Started again with the same settings, an interrupted run goes on after
its last finished epoch. PyTorch trains three times as fast as TensorFlow on a CPU and is used if it is installed
(``KERAS_BACKEND`` chooses otherwise); the export needs TensorFlow and runs in a process of its own.
"""

import argparse
import importlib.util
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from core.files import write_json
from train.config import (
    Interrupted,
    add_settings,
    check_choices,
    check_run_folder,
    option,
    parse_config,
    run_settings,
    stopping_on_signals,
)
from train.data import DataError
from train.extra import LABELS_DIR
from train.scenes import SceneSplit, WindowRecipe, load_scenes

if importlib.util.find_spec("torch"):
    os.environ.setdefault("KERAS_BACKEND", "torch")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")


@dataclass(frozen=True)
class DetectorConfig:
    """Every setting of a run, with its default."""

    data: tuple[str, ...]
    out: str
    boxes: str = option("", "what train.pseudo_boxes wrote; needed for class folders")
    redraw: str = option("", "names of data sets, separated by commas, whose boxes are replaced by found ones")
    epochs: int = option(30, "epochs in all; a run that goes on may have more or fewer")
    windows: int = option(4000, "windows per epoch")
    batch_size: int = option(16, "windows per step")
    side: int = option(256, "side of a window in pixels, a multiple of 32")
    large_share: float = option(
        0.2, "share of steps with larger windows, half as large again or twice, and fewer of them"
    )
    cutout_share: float = option(0.25, "share of windows drawn from class folders, if there are any")
    often: str = option("", "how often photos of a data set are drawn, as name=factor, separated by commas; else 1")
    wrongly_often: float = option(1.0, "how often photos with a mask worn incorrectly are drawn, as a factor")
    face_min: float = option(10.0, "smallest size in pixels that a face is scaled to")
    face_max: float = option(250.0, "largest size")
    mosaic_share: float = option(0.3, "share of windows made of four photos")
    natural_share: float = option(0.0, "share of whole photos shown as the app sees them, nothing pasted")
    draw_share: float = option(0.12, "share of bare faces that get a mask drawn on")
    learning_rate: float = option(1e-3, "highest rate of the new layers; falls to 0 along a cosine")
    base_share: float = option(0.3, "rate of the pretrained base, as a share of that")
    frozen_blocks: int = option(2, "the base's first blocks up to this one keep their weights; -1: none does")
    warmup: int = option(300, "steps in which the rate rises")
    weight_decay: float = option(1e-4, "of AdamW")
    average: float = option(0.998, "share of the old average kept at each step in the averaged weights")
    seed: int = option(42, "the same seed gives the same split and the same windows")
    val_share: float = option(0.04, "share of the Pascal VOC photos for validation")
    keep: str = option(
        "last", "weights that become the model: best on the validation photos, or last", ("best", "last")
    )
    precision: str = option("int8", "of the exported model", ("int8", "fp16", "float32"))
    start: str = option("", "weights.npz of an earlier run to start from, in place of the ImageNet weights")
    unannotated: float = option(0.25, "how much the place of a found but unannotated face counts as background, 0..1")
    labels: str = option(
        LABELS_DIR, "folder with faces that the annotations lack and lists of validation photos, if any"
    )
    mix_with: str = option("", "weights.npz of an earlier run, averaged with those of this run before the export")
    mix_share: float = option(0.5, "its share in that average, 0..1")
    workers: int = option(0, "processes that make the windows, with PyTorch; 0: two threads")
    imagenet_weights: str = option("imagenet", "a path, imagenet to let Keras download them, or none for random ones")

    def __post_init__(self):
        check_choices(self)
        if self.epochs < 1 or self.windows < 1 or self.batch_size < 1:
            raise DataError("Epochs, windows and batch size must be at least 1.")
        if self.side < 64 or self.side % 32:
            raise DataError(f"Side is {self.side}; it must be a multiple of 32, at least 64.")
        if self.workers < 0 or not 0 <= self.mix_share <= 1:
            raise DataError("Workers must be 0 or more, the mix share in 0..1.")
        if self.workers and not importlib.util.find_spec("torch"):
            raise DataError("Processes that make the windows need PyTorch; install it, or leave --workers out.")
        if self.wrongly_often <= 0 or any(factor <= 0 for factor in self.factors.values()):
            raise DataError("How often photos are drawn must be above 0.")

    @property
    def factors(self) -> dict[str, float]:
        """How often photos of a data set are drawn, by its folder's name. Raises: DataError."""
        try:
            return {name: float(factor) for name, factor in (part.split("=") for part in self.often.split(",") if part)}
        except ValueError:
            raise DataError(f"Cannot read --often {self.often!r}; write it as name=0.5,name=2.") from None

    @property
    def recipe(self) -> WindowRecipe:
        """How windows are drawn."""
        return WindowRecipe(
            face_px=(self.face_min, self.face_max),
            mosaic_share=self.mosaic_share,
            natural_share=self.natural_share,
            draw_share=self.draw_share,
        )

    def load_scenes(self) -> SceneSplit:
        """Read the data. Raises: DataError, if they cannot be used."""
        redraw = tuple(name for name in self.redraw.split(",") if name)
        return load_scenes(
            list(self.data),
            self.boxes or None,
            redraw,
            self.val_share,
            self.seed,
            self.unannotated,
            self.labels or None,
        )


def main(config: DetectorConfig) -> None:
    """Run the whole training.

    Raises:
        DataError: data or settings cannot be used.
        Interrupted: SIGTERM or SIGINT came; start again with the same settings to go on.
    """
    out = Path(config.out)
    settings = run_settings(config)
    check_run_folder(out, settings, may_change=("epochs",))
    scenes = config.load_scenes()
    for part in ("train", "val"):
        for folder, counts in scenes.facts[part].items():
            print(f"{part}, {Path(folder).name}: " + ", ".join(f"{n} {name}" for name, n in counts.items()))
    steps = -(-config.windows // config.batch_size)
    print(f"{config.epochs} epochs of {steps} steps, {config.batch_size} windows each.", flush=True)
    from train.detector_trainer import DetectorTrainer

    trainer = DetectorTrainer(config, scenes, out)
    write_json(out / "config.json", settings)
    write_json(out / "data.json", scenes.facts)
    with stopping_on_signals(trainer):
        trainer.run()
    # What follows needs TensorFlow, which a process with another backend must not load late.
    command = [sys.executable, "-m", "train.detector_finish", "--run", str(out)]
    environment = os.environ | {"KERAS_BACKEND": "tensorflow"}
    if subprocess.run(command, env=environment, cwd=Path(__file__).resolve().parent.parent).returncode:
        raise DataError("The export failed; the weights are kept, and the same command tries again.")


def parse_arguments(arguments: list[str] | None = None) -> DetectorConfig:
    """The configuration from the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m train.detector", description="Train the centre-point detector.", allow_abbrev=False
    )
    parser.add_argument("--data", action="append", required=True, metavar="DIR", help="Pascal VOC, or class folders")
    parser.add_argument("--out", required=True, metavar="RUN_DIR", help="run folder; an interrupted run goes on")
    add_settings(parser, DetectorConfig)
    return parse_config(parser, DetectorConfig, arguments)


if __name__ == "__main__":
    try:
        main(parse_arguments())
    except DataError as error:
        sys.exit(f"train.detector: {error}")
    except Interrupted:
        print("\nStopped; start again with the same settings to go on.", flush=True)
        sys.exit(143)
