"""The two stages of training, epoch by epoch, with everything needed to stop and resume."""

import shutil
import sys
import time
from functools import cached_property
from pathlib import Path
from typing import Any

import keras
import numpy as np

from core.datasets.faces import DataError
from core.io import write_atomic
from core.language import mark
from core.vision.metrics import classification_scores
from train.augment import RECIPES
from train.classifier import network
from train.classifier.data import Faces, batches, plain_views
from train.classifier.features import KeptFeatures, keep_features
from train.config import TrainConfig
from train.run_folder import (
    BEST,
    LAST,
    METRICS,
    Interrupted,
    Progress,
    StepCurve,
    read_state,
    write_checkpoint,
    write_metrics,
)

MAX_BATCH = 64
# An epoch on kept features takes a fraction of a second, writing the whole network takes longer.
SAVE_EVERY_S = 10.0
STAGE_TEXTS = {
    "features": mark("Looking at every face once"),
    "head": mark("Training the last layers"),
    "fine-tune": mark("Training deeper layers"),
}


def predict(model: keras.Model, views: np.ndarray) -> np.ndarray:
    """Outputs for many views at once, (n, k) float32; for no views too."""
    count = len(views)
    if not count:
        return np.empty((0, model.output_shape[-1]), np.float32)
    # Batches of one size: TensorFlow prepares itself anew for every other one, which takes longer than it computes.
    size = -(-count // -(-count // MAX_BATCH))
    outputs = []
    for start in range(0, count, size):
        batch = views[start : start + size]
        filled = np.concatenate([batch, np.repeat(batch[-1:], size - len(batch), axis=0)])
        outputs.append(model.predict_on_batch(filled))
    return np.concatenate(outputs)[:count]


class Trainer:
    """The two stages of training, epoch by epoch, with everything needed to stop and resume."""

    def __init__(self, config: TrainConfig, faces: Faces, out: Path, progress: Progress | None = None):
        """Begin, or resume where ``out`` stopped.

        Raises:
            DataError: the run folder or the ImageNet weights cannot be used.
        """
        self.config, self.faces, self.out = config, faces, out
        self.progress = progress or Progress(out, config.total_epochs)
        self.size = network.INPUT_SIZE
        self.steps = -(-len(faces.split.train) // config.batch_size)
        self.state: dict[str, Any] = {
            "data": faces.digest,
            "epochs_done": 0,
            "best_epoch": 0,
            "best_val_loss": float("inf"),
            "metrics": [],
        }
        self.stopping = False
        self._saved_at = time.monotonic()
        self._best_head: tuple[dict, list[np.ndarray]] | None = None
        keras.utils.set_random_seed(config.seed)
        if (out / LAST).is_file():
            self.state = read_state(out / LAST)
            if self.state["data"] != faces.digest:
                raise DataError(f"The images have changed since {out} was begun; start a new run in another folder.")
            self.model = keras.models.load_model(out / LAST, safe_mode=True)
            self._settle()
            print(f"Resuming after epoch {self.state['epochs_done']}.", flush=True)
        else:
            weights = network.choose_weights(config.imagenet_weights)
            try:
                self.model = network.build_classifier(len(faces.classes), config.dropout, weights)
            except Exception as error:  # where a download fails, Keras raises no narrower one
                raise DataError(
                    f"The ImageNet weights {weights!r} cannot be read or downloaded ({error}); name a file of them "
                    f"with --imagenet-weights or in {network.WEIGHTS_VARIABLE}."
                ) from None
            if (out / METRICS).is_file():  # epochs of a run that was killed before it saved its first one
                self._write_metrics()
        self.curve = StepCurve(out, self.steps, self.state["epochs_done"])

    @cached_property
    def _val_views(self) -> np.ndarray:
        return plain_views(self.faces, self.faces.split.val, self.size)

    def run(self) -> None:
        """Train what is left of the epochs; afterwards ``best.keras`` and ``last.keras`` are there.

        Raises:
            Interrupted: ``stopping`` was set.
        """
        config = self.config
        if self.state["epochs_done"] < config.epochs:
            kept = self._keep_features() if config.features == "cached" else None
            self._stage("head", 0, config.epochs, kept)
        self._stage("fine-tune", config.epochs, config.total_epochs, None)

    def _keep_features(self) -> KeptFeatures:
        found: list[int] = []

        def report(done: int, total: int) -> None:
            if found:
                self.progress.step(done)
            else:
                found.append(done)
                self.progress.stage("features", STAGE_TEXTS["features"], total, done)
            if self.stopping:
                raise Interrupted
            if sys.stdout.isatty():
                print(f"\rfeatures {done}/{total}", end="", flush=True)

        started = time.monotonic()
        kept = keep_features(network.frozen_base(self.model), self.faces, self.config, self.out, report)
        views = kept.train.shape[0] * kept.train.shape[1] + len(kept.val)
        print(
            f"\rfeatures of {views} views, {found[0]} of them from before, {time.monotonic() - started:.1f} s",
            flush=True,
        )
        return kept

    def _stage(self, stage: str, first: int, last: int, kept: KeptFeatures | None) -> None:
        """The epochs after ``first`` up to ``last``, on pictures or on kept features."""
        if self.state["epochs_done"] >= last:
            return
        done = self.state["epochs_done"]
        self.progress.stage(
            stage, STAGE_TEXTS[stage], (last - first) * self.steps, (done - first) * self.steps, done + 1
        )
        if done == first or self.model.optimizer is None:
            self._compile(stage)
        trained = self._compiled_head() if kept else self.model
        for epoch in range(done + 1, last + 1):
            self._epoch(epoch, stage, first, trained, kept)

    def _epoch(self, epoch: int, stage: str, first: int, trained: keras.Model, kept: KeptFeatures | None) -> None:
        """One pass of ``trained``: the whole network or its head, which shares the network's layers."""
        config, started = self.config, time.monotonic()
        if kept:
            shown = kept.batches(config.batch_size, config.seed, epoch)
        else:
            how, places = RECIPES[config.recipe], self.faces.split.train
            shown = batches(self.faces, places, config.batch_size, how, config.seed, epoch, self.size)
        classes = np.eye(len(self.faces.classes), dtype=np.float32)
        totals = np.zeros(2)
        for step, (inputs, labels) in enumerate(shown, start=1):
            logs = trained.train_on_batch(inputs, classes[labels], return_dict=True)
            loss, accuracy = float(logs["loss"]), float(logs["accuracy"])
            totals += loss, accuracy
            self.curve.add(epoch, step, loss, accuracy)
            self.progress.step((epoch - 1 - first) * self.steps + step, epoch)
            # On kept features an epoch is over in a moment, and its end is saved.
            if self.stopping and not kept:
                raise Interrupted
            if sys.stdout.isatty():
                print(f"\repoch {epoch}/{config.total_epochs} step {step}/{self.steps}", end="", flush=True)
        classified = predict(trained, kept.val if kept else self._val_views)
        val = classification_scores(classified, self.faces.labels[self.faces.split.val], self.faces.classes)
        line = {
            "epoch": epoch,
            "stage": stage,
            "loss": totals[0] / self.steps,
            "accuracy": totals[1] / self.steps,
            "val_loss": val.get("log_loss"),
            "val_accuracy": val["accuracy"],
            "learning_rate": float(keras.ops.convert_to_numpy(self.model.optimizer.learning_rate)),
            "seconds": round(time.monotonic() - started, 1),
        }
        self._finish_epoch(line, trained if kept else None)
        print(
            f"\repoch {epoch}/{config.total_epochs} ({stage}): loss {line['loss']:.4f}, accuracy {line['accuracy']:.4f}"
            + (f", validation {line['val_loss']:.4f}, {line['val_accuracy']:.4f}" if val["images"] else "")
            + f", {line['seconds']} s",
            flush=True,
        )
        if self.stopping:
            raise Interrupted

    def _compile(self, stage: str) -> None:
        config, head = self.config, stage == "head"
        network.unfreeze(self.model, 0 if head else config.fine_tune_blocks)
        schedule = keras.optimizers.schedules.CosineDecay(
            config.learning_rate if head else config.fine_tune_rate,
            self.steps * (config.epochs if head else config.fine_tune_epochs),
        )
        self.model.compile(optimizer=keras.optimizers.Adam(schedule), loss=self._loss(), metrics=["accuracy"])

    def _compiled_head(self) -> keras.Model:
        """The head with the network's own optimizer, whose state is thus saved and read with the network."""
        head = network.head_model(self.model)
        head.compile(optimizer=self.model.optimizer, loss=self._loss(), metrics=["accuracy"])
        return head

    def _loss(self) -> keras.losses.Loss:
        return keras.losses.CategoricalCrossentropy(label_smoothing=self.config.label_smoothing)

    def _finish_epoch(self, line: dict, head: keras.Model | None) -> None:
        """Make one epoch count: weights and state go into ``last.keras`` together, the rest follows from them.

        With kept features (``head``) that is done every few seconds only; what is lost by a kill is soon made again.
        """
        # Without a validation set the last epoch is the best guess.
        score = line["val_loss"] if line["val_loss"] is not None else -line["epoch"]
        better = score <= self.state["best_val_loss"]
        if better:
            self.state |= {"best_epoch": line["epoch"], "best_val_loss": score}
        self.state |= {"epochs_done": line["epoch"], "metrics": [*self.state["metrics"], line]}
        if head:
            if better:
                self._best_head = dict(self.state), head.get_weights()
            late = time.monotonic() - self._saved_at > SAVE_EVERY_S
            if not late and not self.stopping and line["epoch"] < self.config.epochs:
                self._write_metrics()
                return
            self._save_best_head(head)
        write_checkpoint(self.out / LAST, self.model.save, self.state)
        self._settle()
        self._saved_at = time.monotonic()

    def _save_best_head(self, head: keras.Model) -> None:
        """Write ``best.keras`` if its epoch was not the last one, with the weights that the head had then."""
        if self._best_head and self._best_head[0]["epochs_done"] != self.state["epochs_done"]:
            state, weights = self._best_head
            own = head.get_weights()
            head.set_weights(weights)
            write_checkpoint(self.out / BEST, self.model.save, state)
            head.set_weights(own)
        self._best_head = None

    def _settle(self) -> None:
        """Bring the other files up to the newest ``last.keras``; a kill may have come before them."""
        if self.state["best_epoch"] == self.state["epochs_done"]:
            write_atomic(self.out / BEST, lambda path: shutil.copyfile(self.out / LAST, path))
        self._write_metrics()

    def _write_metrics(self) -> None:
        write_metrics(self.out, self.state["metrics"])
