"""Train the mask classifier: ``python -m train.classifier --data DIR --out RUN_DIR``.

The report's recipe by default: head on a frozen ImageNet base, then, if asked for, the last blocks at a low rate.
A run folder holds the configuration, a line of metrics per epoch, best and last weights, the report of the one look at
the test set, and the exported model with its card. Started again with the same settings, an interrupted run goes on
after its last finished epoch.
"""

import argparse
import dataclasses
import json
import os
import shutil
import signal
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import date
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import numpy as np

from core.card import ModelCard, file_sha256
from core.classes import CLASS_NAMES
from core.files import write_atomic, write_json
from train.augment import RECIPES, Augmentation, varied_view
from train.data import DataError, Sample, Split, plain_view, read_samples, split_samples
from train.scores import best_temperature, classification_scores

CALIBRATION_IMAGES = 256
STATE_FILE = "state.json"


@dataclass(frozen=True)
class TrainConfig:
    """Every setting of a run, with its default."""

    data: tuple[str, ...]
    out: str
    recipe: str = "report"  # augmentation: report (the student's) or street (robust)
    classes: tuple[str, ...] = ()  # which classes to tell apart; none named: all that the data have
    epochs: int = 20  # passes that train the head on the frozen base
    fine_tune_blocks: int = 0  # last blocks of the base to train afterwards, 0..16
    fine_tune_epochs: int = 10  # passes for them
    batch_size: int = 32
    learning_rate: float = 1e-3  # at the start of the head's training; falls to 0 along a cosine
    fine_tune_rate: float = 1e-4  # the same for the fine-tuning
    dropout: float = 0.5
    label_smoothing: float = 0.0
    seed: int = 42
    split: str = "random"  # random or grouped (near copies on one side)
    test_share: float = 0.2
    val_share: float = 0.1
    margin: float = 0.15  # share of a face's longer side added around an annotated box
    min_face: float = 24  # annotated faces with a shorter side, in pixels, are left out
    keep: str = "best"  # which weights become the model: best (lowest validation loss) or last
    precision: str = "int8"  # of the exported model
    imagenet_weights: str = "imagenet"  # a path, "imagenet" to let Keras download them, or "none" for random ones

    def __post_init__(self):
        if self.recipe not in RECIPES:
            raise DataError(f"Recipe is {self.recipe!r}; possible are {', '.join(RECIPES)}.")
        if self.epochs < 1 or self.fine_tune_epochs < 0 or self.batch_size < 1:
            raise DataError("Epochs and batch size must be at least 1.")
        if set(self.classes) - set(CLASS_NAMES):
            raise DataError(f"Classes are {self.classes}; known are {', '.join(CLASS_NAMES)}.")

    @property
    def total_epochs(self) -> int:
        """Passes of both stages together."""
        return self.epochs + (self.fine_tune_epochs if self.fine_tune_blocks else 0)


class Interrupted(Exception):
    """Somebody asked the run to stop; everything up to the last finished epoch is kept."""


@dataclass(frozen=True, eq=False)
class Faces:
    """The samples of a run, their classes and their split."""

    samples: list[Sample]
    classes: tuple[str, ...]
    labels: np.ndarray
    """(n,) int into ``classes``."""
    split: Split


def load_faces(config: TrainConfig) -> Faces:
    """Read all data folders and draw the split."""
    samples = [s for folder in config.data for s in read_samples(folder, config.margin, config.min_face)]
    present = {sample.label for sample in samples}
    wanted = set(config.classes) or present
    classes = tuple(name for name in CLASS_NAMES if name in wanted & present)
    if len(classes) < 2:
        raise DataError(f"Training needs at least two classes, the data have {', '.join(classes) or 'none'}.")
    samples = [sample for sample in samples if sample.label in classes]
    labels = np.array([classes.index(sample.label) for sample in samples])
    split = split_samples(samples, config.split, config.test_share, config.val_share, config.seed)
    return Faces(samples, classes, labels, split)


def batches(
    faces: Faces, places: np.ndarray, batch_size: int, how: Augmentation, seed: int, epoch: int, size: int
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """One shuffled pass of varied views: (b, size, size, 3) uint8 RGB and (b,) int; the last batch is filled up.

    The same seed and epoch give the same views. The next batch is made while the caller trains on this one.
    """
    order = np.random.default_rng([seed, epoch]).permutation(places)
    order = np.append(order, order[: -len(order) % batch_size])
    while len(order) % batch_size:  # fewer samples than one batch
        order = np.append(order, order[: batch_size - len(order) % batch_size])
    slices = order.reshape(-1, batch_size)

    def make(step: int) -> tuple[np.ndarray, np.ndarray]:
        views = [
            varied_view(faces.samples[i], size, how, np.random.default_rng([seed, epoch, step, k]))
            for k, i in enumerate(slices[step])
        ]
        return np.stack(views), faces.labels[slices[step]]

    with ThreadPoolExecutor(max_workers=2) as pool:
        ahead = [pool.submit(make, step) for step in range(min(2, len(slices)))]
        for step in range(len(slices)):
            if step + 2 < len(slices):
                ahead.append(pool.submit(make, step + 2))
            yield ahead.pop(0).result()


def plain_views(faces: Faces, places: np.ndarray, size: int) -> np.ndarray:
    """The unvaried faces at ``places``: (n, size, size, 3) uint8 RGB."""
    views = np.empty((len(places), size, size, 3), np.uint8)
    for view, i in zip(views, places, strict=True):
        view[:] = plain_view(faces.samples[i], size)
    return views


def predict(model, views: np.ndarray) -> np.ndarray:
    """Outputs for many views at once, (n, k) float32; for no views too."""
    if not len(views):
        return np.empty((0, model.output_shape[-1]), np.float32)
    return model.predict(views, batch_size=64, verbose=0)


class Trainer:
    """The two stages of training, epoch by epoch, with everything needed to stop and go on."""

    def __init__(self, config: TrainConfig, faces: Faces, out: Path):
        import keras

        from train import network

        self._keras, self._network = keras, network
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
            "learning_rate": float(self._keras.ops.convert_to_numpy(self.model.optimizer.learning_rate)),
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
        self._network.unfreeze(self.model, 0 if head else config.fine_tune_blocks)
        schedule = self._keras.optimizers.schedules.CosineDecay(
            config.learning_rate if head else config.fine_tune_rate,
            steps * (config.epochs if head else config.fine_tune_epochs),
        )
        self.model.compile(
            optimizer=self._keras.optimizers.Adam(schedule),
            loss=self._keras.losses.CategoricalCrossentropy(label_smoothing=config.label_smoothing),
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


def finish(config: TrainConfig, faces: Faces, out: Path) -> dict:
    """Calibrate the weights that are kept, export them, look at the test set once, and write report and card."""
    import keras

    from core.classifier import MaskClassifier
    from train.export import export_litert
    from train.network import INPUT_SIZE, divide_logits, logits_model

    model = keras.models.load_model(out / f"{config.keep}.keras", safe_mode=True)
    split = faces.split
    val_views = plain_views(faces, split.val, INPUT_SIZE)
    temperature = best_temperature(predict(logits_model(model), val_views), faces.labels[split.val])
    divide_logits(model, temperature)
    write_atomic(out / "model.keras", lambda path: model.save(path, include_optimizer=False))

    some = np.random.default_rng(config.seed).permutation(split.train)[:CALIBRATION_IMAGES]
    calibration = np.stack(
        [
            varied_view(faces.samples[i], INPUT_SIZE, RECIPES[config.recipe], np.random.default_rng([config.seed, i]))
            for i in some
        ]
    )
    export_litert(logits_model(model), out / "model.tflite", config.precision, calibration)

    card = ModelCard(
        name=out.name,
        file="model.tflite",
        sha256=file_sha256(out / "model.tflite"),
        classes=faces.classes,
        input_size=INPUT_SIZE,
        margin=config.margin,
        output="logits",
        precision=config.precision,
        data=[_data_facts(faces, folder) for folder in config.data],
        training={key: value for key, value in _settings(config).items() if key not in ("data", "imagenet_weights")},
        date=date.today().isoformat(),
        versions=_versions(),
        limits=_limits(config, faces.classes),
    )
    exported = MaskClassifier(card, out / "model.tflite")
    report = {"classes": list(faces.classes), "temperature": temperature, "split": split.facts}
    for name, places in (("test", split.test), ("held_out", split.held_out)):
        views, labels = plain_views(faces, places, INPUT_SIZE), faces.labels[places]
        report[name] = classification_scores(predict(model, views), labels, faces.classes)
        small = [exported.probabilities(views[i : i + 64]) for i in range(0, len(views), 64)]
        small = np.concatenate(small) if small else np.empty((0, len(faces.classes)), np.float32)
        report[f"{name}_exported"] = classification_scores(small, labels, faces.classes)
    state = json.loads((out / STATE_FILE).read_text())
    report["epoch"] = state["best_epoch"] if config.keep == "best" else state["epochs_done"]
    report["data"] = card.data
    write_json(out / "report.json", report)
    scores = {
        name: {key: report[f"{name}_exported"].get(key) for key in SCORES_ON_CARD} for name in ("test", "held_out")
    }
    dataclasses.replace(card, scores={"split": config.split, "seed": config.seed, **scores}).save(out / "card.json")
    return report


SCORES_ON_CARD = ("images", "accuracy", "balanced_accuracy", "expected_calibration_error")


def _data_facts(faces: Faces, folder: str) -> dict:
    name = Path(folder).name
    counts = {}
    for part in ("train", "val", "test", "held_out"):
        labels = [faces.samples[i].label for i in getattr(faces.split, part) if faces.samples[i].dataset == name]
        counts[part] = {label: labels.count(label) for label in faces.classes}
    return {"name": name, "faces": counts}


def _settings(config: TrainConfig) -> dict:
    """The settings that make a run what it is, as JSON holds them; where it is written does not belong to them."""
    return {key: value for key, value in json.loads(json.dumps(dataclasses.asdict(config))).items() if key != "out"}


def _limits(config: TrainConfig, classes: tuple[str, ...]) -> str:
    missing = [name for name in CLASS_NAMES if name not in classes]
    text = f"Trained on faces of {config.min_face:g} px and more; smaller ones are guesses."
    if missing:
        text += f" It does not know {' and '.join(missing)} and takes such a face for one of its own classes."
    return text


def _versions() -> dict:
    from importlib.metadata import version

    packages = ("tensorflow", "keras", "numpy", "opencv-python-headless")
    return {"python": sys.version.split()[0], **{name: version(name) for name in packages}}


def main(config: TrainConfig) -> dict:
    """Run the whole training and return the report.

    Raises:
        DataError: data or settings cannot be used.
        Interrupted: SIGTERM or SIGINT came; start again with the same settings to go on.
    """
    out = Path(config.out)
    settings = _settings(config)
    config_path = out / "config.json"
    if config_path.is_file() and json.loads(config_path.read_text()) != settings:
        raise DataError(f"{out} holds a run with other settings; choose another --out or remove it.")
    faces = load_faces(config)
    for part, counts in faces.split.facts["counts"].items():
        print(f"{part}: " + (", ".join(f"{n} {label}" for label, n in counts.items()) or "none"))
    print(
        f"{faces.split.facts['near_copies']} pictures have a near copy; "
        f"{faces.split.facts['test_with_near_copy_in_training']} test faces have one in training."
    )
    steps = -(-len(faces.split.train) // config.batch_size)
    print(f"{config.total_epochs} epochs of {steps} steps, {config.batch_size} faces each.", flush=True)
    out.mkdir(parents=True, exist_ok=True)
    write_json(config_path, settings)

    trainer = Trainer(config, faces, out)

    def stop(signum, frame):
        trainer.stopping = True

    before = {number: signal.signal(number, stop) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        trainer.run()
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    report = finish(config, faces, out)
    for name in ("test", "held_out"):
        for kind in (name, f"{name}_exported"):
            if report[kind]["images"]:
                print(
                    f"{kind}: accuracy {report[kind]['accuracy']:.4f}, balanced {report[kind]['balanced_accuracy']:.4f}, "
                    f"calibration error {report[kind]['expected_calibration_error']:.4f}, {report[kind]['images']} faces"
                )
    return report


def parse_config(arguments: list[str] | None = None) -> TrainConfig:
    """The configuration from command-line arguments; unknown or malformed ones are refused by argparse."""
    parser = argparse.ArgumentParser(
        prog="python -m train.classifier", description="Train the mask classifier.", allow_abbrev=False
    )
    parser.add_argument("--data", action="append", required=True, metavar="DIR", help="class folders or Pascal VOC")
    parser.add_argument("--out", required=True, metavar="RUN_DIR", help="run folder; an interrupted run goes on")
    parser.add_argument("--classes", type=lambda text: tuple(text.split(",")), help="names, separated by commas")
    choices = {
        "recipe": tuple(RECIPES),
        "split": ("random", "grouped"),
        "keep": ("best", "last"),
        "precision": ("int8", "fp16", "float32"),
    }
    for field in dataclasses.fields(TrainConfig):
        if field.name in ("data", "out", "classes"):
            continue
        parser.add_argument(
            "--" + field.name.replace("_", "-"),
            type=type(field.default),
            choices=choices.get(field.name),
            help=f"default {field.default}",
        )
    given = {key: value for key, value in vars(parser.parse_args(arguments)).items() if value is not None}
    given["data"] = tuple(given["data"])
    try:
        return TrainConfig(**given)
    except DataError as error:
        parser.error(str(error))


if __name__ == "__main__":
    try:
        main(parse_config())
    except DataError as error:
        sys.exit(f"train.classifier: {error}")
    except Interrupted:
        print("\nStopped; start again with the same settings to go on.", flush=True)
        sys.exit(143)
