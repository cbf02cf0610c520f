"""The classifier on LiteRT: all faces of a frame in one call, whatever classes it knows; no TensorFlow."""

import contextlib
import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
import scipy.special

from core.language import tr
from core.vision.brought import BroughtNetwork, ModelFailure
from core.vision.classes import vocabulary
from core.vision.crops import crop_faces
from core.vision.litert import Network, checked_model
from core.vision.model_card import ModelCard, ModelError

DEFAULT_CLASSIFIER = "mask-classifier"
# Faces per call of the network: memory grows with each, and is never given back. No ordinary frame has more.
MAX_BATCH = 64


class MaskClassifier:
    """Predicts the class of each face. Safe to share between threads: one call at a time."""

    def __init__(self, card: ModelCard, model_path: Path | str, num_threads: int | None = None):
        """Load and check a LiteRT file.

        Raises:
            ModelError: the file is missing, broken, or does not fit its card.
        """
        self.card = card
        self.classes = vocabulary(card.classes)
        """What ``class_id`` counts through."""
        self.class_ids = np.array([self.classes.index(name) for name in card.classes])
        self.on_failure: Callable[[str], object] = lambda sentence: None
        """Called with one sentence when a model from elsewhere breaks down or does not answer in time."""
        side = card.input_size
        self._lock: contextlib.AbstractContextManager = contextlib.nullcontext()
        self._network: Network | BroughtNetwork
        if not card.trained_here:
            self._network = BroughtNetwork(card, model_path, num_threads)
            self.probabilities(np.zeros((1, side, side, 3), np.uint8))  # it may not fit its card, or not run at all
            return
        self._network = Network(model_path, num_threads)
        shapes = self._network.input_shape[1:], *(shape[1:] for shape in self._network.output_shapes)
        if shapes != ((side, side, 3), (len(card.classes),)):
            sentence = tr("{file} takes {input} and gives {outputs}, its card says {card_input} and {card_output}.")
            raise ModelError(
                sentence.format(
                    file=Path(model_path).name,
                    input=shapes[0],
                    outputs=", ".join(map(str, shapes[1:])),
                    card_input=(side, side, 3),
                    card_output=(len(card.classes),),
                )
            )
        self._lock = threading.Lock()
        try:
            self.probabilities(np.zeros((1, side, side, 3), np.uint8))  # warm up, so that the first face is fast too
        except (ValueError, RuntimeError) as error:
            sentence = tr("{file} loads but cannot be run ({reason}).")
            raise ModelError(sentence.format(file=Path(model_path).name, reason=error)) from None

    def probabilities(self, crops_rgb: np.ndarray) -> np.ndarray:
        """Probability of each of the card's classes: (n, size, size, 3) uint8 in, (n, classes) float32 out.

        Raises:
            ValueError: the crops have another shape or type; ``ModelFailure``, a kind of it, if a model from elsewhere
                breaks down or does not answer in time.
        """
        side = self.card.input_size
        if crops_rgb.dtype != np.uint8 or crops_rgb.shape[1:] != (side, side, 3):
            raise ValueError(
                f"Expected uint8 crops of shape (n, {side}, {side}, 3), got {crops_rgb.dtype} {crops_rgb.shape}."
            )
        outputs = [np.empty((0, len(self.card.classes)), np.float32)]
        with self._lock:
            for start in range(0, len(crops_rgb), MAX_BATCH):
                try:
                    outputs.extend(self._network(crops_rgb[start : start + MAX_BATCH]))
                except ModelFailure as error:
                    self.on_failure(str(error))
                    raise
        output = np.concatenate(outputs)
        return scipy.special.softmax(output, axis=-1) if self.card.output == "logits" else output

    def classify(self, frame_bgr: np.ndarray, xyxy: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Classify the faces of a frame.

        Args:
            frame_bgr: (h, w, 3) uint8.
            xyxy: (n, 4) face boxes in pixels.

        Returns:
            ``class_id`` (n,) into ``classes`` and ``confidence`` (n,) in 0..1 for that class.
        """
        probabilities = self.predict(frame_bgr, xyxy)
        return probabilities.argmax(axis=1), probabilities.max(axis=1, initial=0)

    def predict(self, frame_bgr: np.ndarray, xyxy: np.ndarray) -> np.ndarray:
        """Probability of each of ``classes`` for the faces of a frame, as in ``classify``; 0 for what it does not know.

        Returns:
            (n, len(classes)) float32 in 0..1.
        """
        crops = crop_faces(frame_bgr, xyxy, self.card.input_size, self.card.margin)
        probabilities = np.zeros((len(crops), len(self.classes)), np.float32)
        probabilities[:, self.class_ids] = self.probabilities(crops)
        return probabilities


def load_classifier(
    name: str = DEFAULT_CLASSIFIER, folder: Path | str | None = None, num_threads: int | None = None
) -> MaskClassifier:
    """Load a model of ``models/`` by name.

    Raises:
        ModelError: there is no such model, or its file is not the one its card describes.
    """
    return MaskClassifier(*checked_model(name, "classifier", folder), num_threads)
