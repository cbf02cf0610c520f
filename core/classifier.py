"""The mask classifier on LiteRT: all faces of a frame in one call, no TensorFlow."""

import os
import threading
from pathlib import Path

import numpy as np

from core.card import MODELS_DIR, ModelCard, ModelError, file_sha256, load_card
from core.classes import class_index
from core.crops import crop_faces

DEFAULT_CLASSIFIER = "mask-classifier"
# Faces per call of the network: memory grows with each, and is never given back. No ordinary frame has more.
MAX_BATCH = 64
# More threads than this gain nothing on a network this small and starve the video threads.
MAX_THREADS = 4


class MaskClassifier:
    """Says for each face which class it belongs to. Safe to share between threads: one call at a time."""

    def __init__(self, card: ModelCard, model_path: Path | str, num_threads: int | None = None):
        """Load and check a LiteRT file.

        Raises:
            ModelError: the file is missing, broken, or does not fit its card.
        """
        from ai_edge_litert.interpreter import Interpreter

        self.card = card
        self.class_ids = np.array([class_index(name) for name in card.classes])
        model_path = Path(model_path)
        if not model_path.is_file():
            raise ModelError(f"The model file {model_path} is missing; restore it or train the model again.")
        try:
            self._interpreter = Interpreter(
                str(model_path), num_threads=num_threads or min(MAX_THREADS, os.cpu_count() or 1)
            )
            (self._input,) = self._interpreter.get_input_details()
            (self._output,) = self._interpreter.get_output_details()
        except (ValueError, RuntimeError, TypeError) as error:
            raise ModelError(f"{model_path} is not a usable LiteRT model ({error}).") from None
        side = card.input_size
        shapes = tuple(self._input["shape"][1:]), tuple(self._output["shape"][1:])
        if shapes != ((side, side, 3), (len(card.classes),)):
            raise ModelError(
                f"{model_path} takes {shapes[0]} and gives {shapes[1]}, "
                f"its card says {(side, side, 3)} and {(len(card.classes),)}."
            )
        self._lock = threading.Lock()
        self._batch = 0
        try:
            self.probabilities(np.zeros((1, side, side, 3), np.uint8))  # warm up, so that the first face is fast too
        except (ValueError, RuntimeError) as error:
            raise ModelError(f"{model_path} loads but cannot be run ({error}).") from None

    def probabilities(self, crops_rgb: np.ndarray) -> np.ndarray:
        """Probability of each of the card's classes: (n, size, size, 3) uint8 in, (n, classes) float32 out.

        Raises:
            ValueError: the crops have another shape or type.
        """
        side = self.card.input_size
        if crops_rgb.dtype != np.uint8 or crops_rgb.shape[1:] != (side, side, 3):
            raise ValueError(
                f"Expected uint8 crops of shape (n, {side}, {side}, 3), got {crops_rgb.dtype} {crops_rgb.shape}."
            )
        outputs = [np.empty((0, len(self.card.classes)), np.float32)]
        with self._lock:
            for start in range(0, len(crops_rgb), MAX_BATCH):
                outputs.append(self._run(crops_rgb[start : start + MAX_BATCH]))
        output = np.concatenate(outputs)
        return softmax(output) if self.card.output == "logits" else output

    def _run(self, crops_rgb: np.ndarray) -> np.ndarray:
        if len(crops_rgb) != self._batch:  # allocating anew costs less than padding to a fixed batch
            self._batch = 0  # should the next lines fail, the next call starts over
            self._interpreter.resize_tensor_input(self._input["index"], crops_rgb.shape)
            self._interpreter.allocate_tensors()
            self._batch = len(crops_rgb)
        self._interpreter.set_tensor(self._input["index"], crops_rgb.astype(self._input["dtype"], copy=False))
        self._interpreter.invoke()
        return self._interpreter.get_tensor(self._output["index"])

    def classify(self, frame_bgr: np.ndarray, xyxy: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Judge the faces of a frame.

        Args:
            frame_bgr: (h, w, 3) uint8.
            xyxy: (n, 4) face boxes in pixels.

        Returns:
            ``class_id`` (n,) into ``CLASS_NAMES`` and ``confidence`` (n,) in 0..1 for that class.
        """
        crops = crop_faces(frame_bgr, xyxy, self.card.input_size, self.card.margin)
        probabilities = self.probabilities(crops)  # (n, classes)
        best = probabilities.argmax(axis=1)
        return self.class_ids[best], probabilities.max(axis=1, initial=0)


def softmax(logits: np.ndarray) -> np.ndarray:
    """Softmax over the last axis, float32."""
    shifted = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return (shifted / shifted.sum(axis=-1, keepdims=True)).astype(np.float32)


def load_classifier(
    name: str = DEFAULT_CLASSIFIER, folder: Path | str = MODELS_DIR, num_threads: int | None = None
) -> MaskClassifier:
    """Load a model of ``models/`` by name.

    Raises:
        ModelError: there is no such model, or its file is not the one its card describes.
    """
    folder = Path(folder)
    card = load_card(folder / f"{name}.json")
    path = folder / card.file
    if path.is_file() and file_sha256(path) != card.sha256:
        raise ModelError(f"{path} is not the file that its card describes; restore both or train the model again.")
    return MaskClassifier(card, path, num_threads)
