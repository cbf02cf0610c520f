"""Training of the centre-point detector, epoch by epoch, with everything needed to stop and resume."""

import contextlib
import io
import json
import math
import sys
import time
import zipfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import keras
import numpy as np
import supervision as sv
from scipy.special import expit, softmax

from core.datasets.faces import DataError
from core.io import write_atomic
from core.vision.boxes import clip_boxes
from core.vision.crops import letterbox
from core.vision.detections import make_detections
from core.vision.detector_decode import decode
from core.vision.metrics import Evaluation
from train.config import DetectorConfig
from train.detector.dataset import SceneSplit
from train.detector.loss import detector_loss, split_outputs
from train.detector.network import TwoRateAdamW, build_detector, freeze_base
from train.detector.sampling import chances_of, draw_window
from train.detector.targets import UNKNOWN, encode
from train.run_folder import BEST, LAST, Interrupted, read_state, write_checkpoint, write_metrics

# Keras' files are zip archives; this member more holds the averaged weights.
AVERAGE_MEMBER = "mask_training_average.npz"
VAL_SIDE = 416
Batch = tuple[np.ndarray | keras.KerasTensor, np.ndarray | keras.KerasTensor]
"""Pixels and targets of one step."""


class DetectorTrainer:
    """Trains, evaluates the averaged weights on the validation photos after every epoch, and keeps the best of them."""

    def __init__(self, config: DetectorConfig, scenes: SceneSplit, out: Path):
        """Args: the configuration, its scenes, and the run folder, in which an interrupted run is taken up."""
        self.config, self.scenes, self.out = config, scenes, out
        self.data = json.loads(json.dumps(scenes.facts))
        self.state: dict[str, Any] = {
            "data": self.data,
            "epochs_done": 0,
            "best_epoch": 0,
            "best_score": -1.0,
            "metrics": [],
        }
        self.stopping = False
        keep_layout()
        self.steps = -(-config.windows // config.batch_size)
        keras.utils.set_random_seed(config.seed)
        if (out / LAST).is_file():
            self.state = read_state(out / LAST)
            if self.state["data"] != self.data:
                raise DataError(f"The photos have changed since {out} was begun; start a new run in another folder.")
            self.model = keras.models.load_model(out / LAST, safe_mode=True)
            self.model.optimizer.learning_rate = self._schedule()  # the number of epochs may have changed
            self._average = _read_average(out / LAST)
            self._settle()
            print(f"Resuming after epoch {self.state['epochs_done']}.", flush=True)
        else:
            weights = None if config.imagenet_weights == "none" else config.imagenet_weights
            try:
                self.model = load_weights(config.start) if config.start else build_detector(weights)
            except (OSError, ValueError, KeyError) as error:
                raise DataError(
                    f"The weights {config.start or weights!r} cannot be read or downloaded: {error}"
                ) from None
            freeze_base(self.model, config.frozen_blocks)
            self._compile()
            self._average = [_numpy(v).copy() for v in self._variables()]
        self._chances = chances_of(
            scenes.train, config.cutout_share, config.factors, config.wrongly_often, config.hard_often
        )

    def run(self) -> None:
        """Train what is left of the epochs; afterwards ``best.keras`` and ``last.keras`` are there.

        Raises:
            Interrupted: ``stopping`` was set.
        """
        while self.state["epochs_done"] < self.config.epochs:
            self._epoch(self.state["epochs_done"] + 1)

    def _schedule(self) -> keras.optimizers.schedules.CosineDecay:
        config = self.config
        return keras.optimizers.schedules.CosineDecay(
            0.0,
            max(1, self.steps * config.epochs - config.warmup),
            warmup_target=config.learning_rate,
            warmup_steps=config.warmup,
        )

    def _compile(self) -> None:
        config = self.config
        optimizer = TwoRateAdamW(
            base_share=config.base_share,
            base_count=len(self.model.get_layer("base").trainable_variables),
            learning_rate=self._schedule(),
            weight_decay=config.weight_decay,
            global_clipnorm=10.0,
        )
        self.model.compile(optimizer=optimizer, loss=total_loss, jit_compile=False)

    def _step(self, pixels: np.ndarray | keras.KerasTensor, targets: np.ndarray | keras.KerasTensor) -> float:
        """One step; its loss."""
        with half_precision():
            return float(self.model.train_on_batch(keras.ops.cast(pixels, "float32"), targets))

    def _variables(self) -> list:
        return self.model.trainable_variables + self.model.non_trainable_variables

    def _epoch(self, epoch: int) -> None:
        config, started = self.config, time.monotonic()
        total = 0.0
        for step, (pixels, targets) in enumerate(self._batches(epoch), start=1):
            total += self._step(pixels, targets)
            self._update_average((epoch - 1) * self.steps + step)
            if self.stopping:
                raise Interrupted
            if not math.isfinite(total):
                raise DataError("The loss is no number any more; start a new run with a lower --learning-rate.")
            if sys.stdout.isatty():
                print(f"\repoch {epoch}/{config.epochs} step {step}/{self.steps}", end="", flush=True)
        trained = time.monotonic() - started
        with self._averaged_weights():
            val = self._validate()
        line = {
            "epoch": epoch,
            "loss": total / self.steps,
            **val,
            "learning_rate": float(keras.ops.convert_to_numpy(self.model.optimizer.learning_rate)),
            "seconds": round(time.monotonic() - started, 1),
            "seconds_per_step": round(trained / self.steps, 3),
        }
        self._finish_epoch(line)
        shown = ", ".join(f"{key} {line[key]:.3f}" for key in ("loss", *val) if line[key] is not None)
        print(f"\repoch {epoch}/{config.epochs}: {shown}, {line['seconds']} s", flush=True)

    def _batches(self, epoch: int) -> Iterator[Batch]:
        """Batches of varied windows, made beside the training; the same seed and epoch give the same ones."""
        config, train = self.config, self.scenes.train

        def make(step: int) -> tuple[np.ndarray, np.ndarray]:
            rng = np.random.default_rng([config.seed, epoch, step])
            larger = (3, 4)[rng.integers(2)] if rng.random() < config.large_share else 2
            side = config.side * larger // 2 // 32 * 32
            count = max(1, round(config.batch_size * (config.side / side) ** 2))
            pixels, targets = [], []
            for place in rng.choice(len(train), count, p=self._chances):
                picture, faces_xyxy, class_id, ignored = draw_window(train, place, side, config.recipe, rng)
                pixels.append(picture[..., ::-1])
                targets.append(encode(faces_xyxy, class_id, ignored, (side, side)))
            return np.stack(pixels), np.stack(targets)

        if config.workers:
            yield from _made_by_processes(make, self.steps, config.workers)
            return
        with ThreadPoolExecutor(max_workers=2) as pool:
            ahead = [pool.submit(make, step) for step in range(min(3, self.steps))]
            for step in range(self.steps):
                if step + 3 < self.steps:
                    ahead.append(pool.submit(make, step + 3))
                yield ahead.pop(0).result()

    def _update_average(self, step: int) -> None:
        """Weights averaged over steps, quickly at first."""
        if step % 4:
            return
        keep = min(self.config.average, step / (step + 40)) ** 4
        for average, variable in zip(self._average, self._variables(), strict=True):
            average += (1 - keep) * (_numpy(variable) - average)

    @contextlib.contextmanager
    def _averaged_weights(self) -> Iterator[None]:
        """The model with its averaged weights, for the time of a ``with``."""
        own = [_numpy(variable).copy() for variable in self._variables()]
        self._assign(self._average)
        try:
            yield
        finally:
            self._assign(own)

    def _assign(self, values: list[np.ndarray]) -> None:
        for variable, value in zip(self._variables(), values, strict=True):
            variable.assign(value)

    def _maps(self, canvas_rgb: np.ndarray) -> np.ndarray:
        with half_precision():
            return predict_maps(self.model, canvas_rgb)

    def _validate(self) -> dict:
        if not self.scenes.val:
            return {"val_loss": None, "val_map50_two_state": None, "val_map50_three_state": None}
        losses, evaluation = [], Evaluation()
        for scene in self.scenes.val:
            canvas, scale = letterbox(scene.photo_bgr, VAL_SIDE)
            maps = self._maps(canvas)
            ignored = np.hstack([scene.ignored[:, :4] * scale, scene.ignored[:, 4:]])
            target = encode(scene.faces_xyxy * scale, scene.class_id, ignored, canvas.shape[1::-1])
            losses.append(
                float(
                    keras.ops.convert_to_numpy(
                        total_loss(*map(keras.ops.convert_to_tensor, (target[None], maps[None])))
                    )
                )
            )
            found = detections(maps, scale, scene.photo_bgr.shape[1::-1])
            known = scene.class_id != UNKNOWN
            truth = make_detections(scene.faces_xyxy[known], scene.class_id[known])
            unsure = np.vstack([scene.faces_xyxy[~known], scene.ignored[:, :4]])
            evaluation.update(found, truth, 0, ignored_xyxy=unsure)
        result = evaluation.compute()
        return {
            "val_loss": float(np.mean(losses)),
            "val_map50_two_state": result.map50_two_state,
            "val_map50_three_state": result.map50_three_state,
        }

    def _finish_epoch(self, line: dict) -> None:
        """Make one epoch count: weights, averages and state go into ``last.keras`` together, the rest follows."""
        score = line["val_map50_three_state"]
        score = line["epoch"] if score is None else score  # without validation the last epoch is the best guess
        if score >= self.state["best_score"]:
            self.state |= {"best_epoch": line["epoch"], "best_score": score}
        self.state |= {"epochs_done": line["epoch"], "metrics": [*self.state["metrics"], line]}

        average = io.BytesIO()
        np.savez(average, *self._average)
        write_checkpoint(self.out / LAST, self.model.save, self.state, {AVERAGE_MEMBER: average.getvalue()})
        self._settle()

    def _settle(self) -> None:
        """Bring the other files up to the newest ``last.keras``; a kill may have come before them."""
        if self.state["best_epoch"] == self.state["epochs_done"]:
            self.save_averaged(self.out / BEST)
        write_metrics(self.out, self.state["metrics"])

    def save_averaged(self, path: Path) -> None:
        """The model with its averaged weights."""
        with self._averaged_weights():
            write_atomic(path, self.model.save)


def _made_by_processes(
    make: Callable[[int], tuple[np.ndarray, np.ndarray]], steps: int, workers: int
) -> Iterator[Batch]:
    """What ``make`` gives for each step, in order, made by forked processes and handed over in shared memory."""
    import cv2
    import torch
    from torch.utils.data import DataLoader, Dataset

    class Steps(Dataset):
        def __len__(self) -> int:
            return steps

        def __getitem__(self, step: int) -> tuple:
            pixels, targets = make(step)
            return torch.from_numpy(pixels), torch.from_numpy(targets).half()

    on_gpu = torch.cuda.is_available()
    # Each process makes windows with one thread. OpenCV's threads end here, before the fork: a child that has the pool
    # and not its threads would wait for them for ever.
    cv2.setNumThreads(1)
    loader = DataLoader(
        Steps(),
        batch_size=None,
        num_workers=workers,
        prefetch_factor=4,
        pin_memory=on_gpu,
        multiprocessing_context="fork",  # shares the photos, which a fresh process would have to read again
    )
    for pixels, targets in loader:
        if on_gpu:
            pixels, targets = pixels.cuda(non_blocking=True), targets.cuda(non_blocking=True)
        yield pixels, targets.float()


def load_averaged(path: Path) -> keras.Model:
    """The model of a ``last.keras`` with its averaged weights."""
    model = keras.models.load_model(path, safe_mode=True, compile=False)
    for variable, value in zip(
        model.trainable_variables + model.non_trainable_variables, _read_average(path), strict=True
    ):
        variable.assign(value)
    return model


def write_weights(model: keras.Model, path: Path) -> None:
    """All weights in half precision: the smallest file that another run can start from."""

    def save(temporary: Path) -> None:
        with temporary.open("wb") as file:
            np.savez_compressed(file, *[_numpy(v).astype(np.float16) for v in _all_variables(model)])

    write_atomic(path, save)


def read_weights(model: keras.Model, path: Path | str) -> None:
    """Take over what ``write_weights`` wrote.

    Raises:
        OSError, ValueError, KeyError: the file is missing, broken, or of another network.
    """
    variables = _all_variables(model)
    with np.load(path, allow_pickle=False) as arrays:
        if len(arrays.files) != len(variables):
            raise ValueError(f"{path} holds {len(arrays.files)} arrays, expected {len(variables)}.")
        for i, variable in enumerate(variables):
            variable.assign(arrays[f"arr_{i}"].astype(np.float32))


def load_weights(path: Path | str) -> keras.Model:
    """The network whose weights ``write_weights`` wrote: with a narrow neck, or without as it was before.

    Raises:
        OSError, ValueError, KeyError: the file is missing, broken, or of another network.
    """
    model = build_detector(None, narrow=False)
    with np.load(path, allow_pickle=False) as arrays:
        if len(arrays.files) != len(_all_variables(model)):
            model = build_detector(None)
    read_weights(model, path)
    return model


def mix_weights(model: keras.Model, path: Path | str, share: float) -> None:
    """Average a model's weights with those that ``write_weights`` wrote, ``share`` of them.

    Between a network and what further training made of it, this keeps what the first did well elsewhere (Wortsman et
    al. 2022, Robust fine-tuning of zero-shot models).

    Raises:
        DataError: the file is missing, broken, or of another network.
    """
    own = [_numpy(variable).copy() for variable in _all_variables(model)]
    try:
        read_weights(model, path)
    except (OSError, ValueError, KeyError) as error:
        raise DataError(f"The weights {str(path)!r} cannot be read: {error}") from None
    for variable, value in zip(_all_variables(model), own, strict=True):
        variable.assign((1 - share) * value + share * _numpy(variable))


def _numpy(variable: keras.Variable) -> np.ndarray:
    return keras.ops.convert_to_numpy(variable.value)


def _all_variables(model: keras.Model) -> list:
    """In an order that does not depend on what is trainable."""
    return [variable for layer in model.layers for variable in layer.variables]


def _read_average(path: Path) -> list[np.ndarray]:
    with zipfile.ZipFile(path) as file, np.load(io.BytesIO(file.read(AVERAGE_MEMBER)), allow_pickle=False) as arrays:
        return [arrays[f"arr_{i}"] for i in range(len(arrays.files))]


@keras.saving.register_keras_serializable("mask")
def total_loss(targets: keras.KerasTensor, outputs: keras.KerasTensor) -> keras.KerasTensor:
    """The sum that training makes small."""
    return detector_loss(targets, outputs)[0]


def half_precision() -> contextlib.AbstractContextManager:
    """On PyTorch, matrix products in bfloat16 where the processor is good at them; elsewhere nothing changes."""
    if keras.backend.backend() != "torch":
        return contextlib.nullcontext()
    import torch

    if torch.cuda.is_available():
        return torch.autocast("cuda", torch.bfloat16)
    # Twice as fast with AVX-512, a hundred times slower without.
    usable = torch.backends.cpu.get_cpu_capability().startswith("AVX512")
    return torch.autocast("cpu", torch.bfloat16) if usable else contextlib.nullcontext()


def keep_layout() -> None:
    """Keep Keras' PyTorch backend from copying every convolution's input twice.

    It makes the channels-first view contiguous only to turn it back into channels-last afterwards. Nothing but speed
    depends on this: where Keras has changed, nothing is done.
    """
    if keras.backend.backend() != "torch":
        return
    from keras.src.backend.torch import nn

    original = getattr(nn, "_transpose_spatial_inputs", None)
    if original and not hasattr(original, "keeps_layout"):

        def transpose(inputs: keras.KerasTensor) -> keras.KerasTensor:
            return inputs.permute(0, 3, 1, 2) if inputs.ndim == 4 else original(inputs)

        transpose.keeps_layout = True  # type: ignore[attr-defined]  # a mark of our own
        nn._transpose_spatial_inputs = transpose


def predict_maps(model: keras.Model, canvas_rgb: np.ndarray) -> np.ndarray:
    """The network's maps (h/4, w/4, 8) float32 for one picture (h, w, 3) uint8 from ``core.vision.crops.letterbox``."""
    pixels = canvas_rgb[None].astype(np.float32)
    if keras.backend.backend() == "torch":
        import torch

        with torch.no_grad():
            return model(pixels, training=False).float().cpu().numpy()[0]
    return keras.ops.convert_to_numpy(model(pixels, training=False))[0]


def detections(maps: np.ndarray, scale: float, size_wh: tuple[int, int], min_score: float = 0.02) -> sv.Detections:
    """Faces of one photo from its maps, in the photo's pixels."""
    center, log_edges, state = split_outputs(maps)
    xyxy, logit, states = decode(center[..., 0], log_edges, state, min_score)
    probabilities = softmax(states, axis=-1)
    boxes = clip_boxes(xyxy / scale, size_wh)
    return make_detections(boxes, probabilities.argmax(axis=1), probabilities.max(axis=1, initial=0), expit(logit))
