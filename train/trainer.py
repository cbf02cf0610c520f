"""The two stages of training, epoch by epoch, with everything needed to stop and go on."""

import json
import shutil
import sys
import time
import zipfile
from pathlib import Path

import keras
import numpy as np

from core.files import write_atomic
from train import network
from train.augment import RECIPES
from train.config import Interrupted, TrainConfig
from train.data import DataError
from train.faces import Faces, batches, plain_views
from train.scores import classification_scores

BEST, LAST = "best.keras", "last.keras"
# Keras' files are zip archives; this member more holds what is needed to go on.
STATE_MEMBER = "mask_training_state.json"


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
        self.state = {
            "data": faces.digest,
            "epochs_done": 0,
            "best_epoch": 0,
            "best_val_loss": float("inf"),
            "metrics": [],
        }
        self.stopping = False
        keras.utils.set_random_seed(config.seed)
        if (out / LAST).is_file():
            self.state = read_state(out / LAST)
            if self.state["data"] != faces.digest:
                raise DataError(f"The pictures have changed since {out} was begun; start a new run in another folder.")
            self.model = keras.models.load_model(out / LAST, safe_mode=True)
            self._settle()
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
        """Make one epoch count: weights and state go into ``last.keras`` together, the rest follows from them."""
        # Without a validation set the last epoch is the best guess.
        score = line["val_loss"] if line["val_loss"] is not None else -line["epoch"]
        if score <= self.state["best_val_loss"]:
            self.state |= {"best_epoch": line["epoch"], "best_val_loss": score}
        self.state |= {"epochs_done": line["epoch"], "metrics": [*self.state["metrics"], line]}

        def save(path: Path) -> None:
            self.model.save(path)
            with zipfile.ZipFile(path, "a") as file:
                file.writestr(STATE_MEMBER, json.dumps(self.state))

        write_atomic(self.out / LAST, save)
        self._settle()

    def _settle(self) -> None:
        """Bring the other files up to the newest ``last.keras``; a kill may have come before them."""
        if self.state["best_epoch"] == self.state["epochs_done"]:
            write_atomic(self.out / BEST, lambda path: shutil.copyfile(self.out / LAST, path))
        lines = "".join(json.dumps(line) + "\n" for line in self.state["metrics"])
        write_atomic(self.out / "metrics.jsonl", lambda path: path.write_text(lines))


def read_state(path: Path) -> dict:
    """What a checkpoint says of its run: ``epochs_done``, ``best_epoch``, ``best_val_loss``, ``metrics``, ``data``.

    Raises:
        DataError: the file is no checkpoint of this trainer.
    """
    try:
        with zipfile.ZipFile(path) as file:
            return json.loads(file.read(STATE_MEMBER))
    except (OSError, KeyError, ValueError, zipfile.BadZipFile):
        raise DataError(
            f"{path} is no checkpoint that can be gone on from; start a new run in another folder."
        ) from None
