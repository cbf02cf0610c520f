"""The two stages of training, epoch by epoch, with everything needed to stop and go on."""

import json
import shutil
import sys
import time
from pathlib import Path

import keras
import numpy as np

from core.files import write_atomic, write_json
from train import network
from train.augment import RECIPES
from train.config import Interrupted, TrainConfig
from train.data import DataError
from train.faces import Faces, batches, plain_views
from train.scores import classification_scores

STATE_FILE = "state.json"


def predict(model, views: np.ndarray) -> np.ndarray:
    """Outputs for many views at once, (n, k) float32; for no views too."""
    if not len(views):
        return np.empty((0, model.output_shape[-1]), np.float32)
    return model.predict(views, batch_size=64, verbose=0)


class Trainer:
    """The two stages of training, epoch by epoch, with everything needed to stop and go on."""

    def __init__(self, config: TrainConfig, faces: Faces, out: Path):
        self.config, self.faces, self.out = config, faces, out
        self.size = network.INPUT_SIZE
        self.state = {"epochs_done": 0, "best_epoch": 0, "best_val_loss": float("inf")}
        self.stopping = False
        keras.utils.set_random_seed(config.seed)
        last = out / "last.keras"
        if last.is_file() and (out / STATE_FILE).is_file():
            self.state = json.loads((out / STATE_FILE).read_text())
            self.model = keras.models.load_model(last, safe_mode=True)
            print(f"Going on after epoch {self.state['epochs_done']}.", flush=True)
        else:
            weights = None if config.imagenet_weights == "none" else config.imagenet_weights
            try:
                self.model = network.build_classifier(len(faces.classes), config.dropout, weights)
            except (OSError, ValueError) as error:
                raise DataError(f"The ImageNet weights {weights!r} cannot be read or downloaded: {error}") from None
        self.val_views = plain_views(faces, faces.split.val, self.size)

    def run(self) -> None:
        """Train what is left of the epochs; afterwards ``best.keras`` and ``last.keras`` are there.

        Raises:
            Interrupted: ``stopping`` was set.
        """
        while self.state["epochs_done"] < self.config.total_epochs:
            self._epoch(self.state["epochs_done"] + 1)

    def _epoch(self, epoch: int) -> None:
        config, started = self.config, time.monotonic()
        head = epoch <= config.epochs
        stage, stage_start = ("head", 1) if head else ("fine-tune", config.epochs + 1)
        steps = -(-len(self.faces.split.train) // config.batch_size)
        if epoch == stage_start or self.model.optimizer is None:
            self._start_stage(head, steps)
        views = batches(
            self.faces, self.faces.split.train, config.batch_size, RECIPES[config.recipe], config.seed, epoch, self.size
        )
        totals = np.zeros(2)
        for step, (pixels, labels) in enumerate(views, start=1):
            one_hot = np.eye(len(self.faces.classes), dtype=np.float32)[labels]
            logs = self.model.train_on_batch(pixels, one_hot, return_dict=True)
            totals += [float(logs["loss"]), float(logs["accuracy"])]
            if self.stopping:
                raise Interrupted
            if sys.stdout.isatty():
                print(f"\repoch {epoch}/{config.total_epochs} step {step}/{steps}", end="", flush=True)
        val = classification_scores(
            predict(self.model, self.val_views), self.faces.labels[self.faces.split.val], self.faces.classes
        )
        line = {
            "epoch": epoch,
            "stage": stage,
            "loss": totals[0] / steps,
            "accuracy": totals[1] / steps,
            "val_loss": val.get("log_loss"),
            "val_accuracy": val["accuracy"],
            "learning_rate": float(keras.ops.convert_to_numpy(self.model.optimizer.learning_rate)),
            "seconds": round(time.monotonic() - started, 1),
        }
        self._finish_epoch(line)
        print(
            f"\repoch {epoch}/{config.total_epochs} ({stage}): loss {line['loss']:.4f}, accuracy {line['accuracy']:.4f}"
            + (f", validation {line['val_loss']:.4f}, {line['val_accuracy']:.4f}" if val["images"] else "")
            + f", {line['seconds']} s",
            flush=True,
        )

    def _start_stage(self, head: bool, steps: int) -> None:
        config = self.config
        network.unfreeze(self.model, 0 if head else config.fine_tune_blocks)
        schedule = keras.optimizers.schedules.CosineDecay(
            config.learning_rate if head else config.fine_tune_rate,
            steps * (config.epochs if head else config.fine_tune_epochs),
        )
        self.model.compile(
            optimizer=keras.optimizers.Adam(schedule),
            loss=keras.losses.CategoricalCrossentropy(label_smoothing=config.label_smoothing),
            metrics=["accuracy"],
        )

    def _finish_epoch(self, line: dict) -> None:
        """Write metrics, last and best in an order in which a kill at any point loses this epoch at most."""
        # Without a validation set the last epoch is the best guess.
        score = line["val_loss"] if line["val_loss"] is not None else -line["epoch"]
        write_atomic(self.out / "last.keras", self.model.save)
        if score <= self.state["best_val_loss"]:
            self.state |= {"best_epoch": line["epoch"], "best_val_loss": score}
            write_atomic(self.out / "best.keras", lambda path: shutil.copyfile(self.out / "last.keras", path))
        # An epoch done twice, because the kill came just here, is written once.
        path = self.out / "metrics.jsonl"
        lines = path.read_text().splitlines() if path.is_file() else []
        lines = [old for old in lines if json.loads(old)["epoch"] < line["epoch"]] + [json.dumps(line)]
        write_atomic(path, lambda temporary: temporary.write_text("\n".join(lines) + "\n"))
        self.state["epochs_done"] = line["epoch"]
        write_json(self.out / STATE_FILE, self.state)
