"""A training so small that a page can show all of it: logistic regression on the pixels of made faces, in NumPy.

Nothing here trains what visitors use; it learns in a moment, makes the same mistakes as large networks, and shows them.
"""

from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import cv2
import numpy as np
from scipy.special import expit

from core.datasets.faces import Sample, cut_face
from core.synthetic.sample import SAMPLE_FACE_XYXY, SAMPLE_TILT_DEG, sample_photo
from core.synthetic.simple import draw_mask
from core.vision.classes import CLASS_NAMES, WITH_MASK, WITHOUT_MASK
from train.augment import STREET, Augmentation, varied_view

SIDE = 24
"""Of a face in pixels: the network has a number to learn for each."""
VIEW_SIDE = 96
CLOTH_RGB = ((150, 195, 225), (236, 238, 240), (44, 44, 50), (170, 40, 48), (62, 104, 76), (204, 158, 112))
# A picture made again from another: a touch of light, a shift of a pixel, stored once more.
COPY = Augmentation(rotation_deg=1, zoom=(0.98, 1.02), shift=0.01, flip=False, light=0.06, jpeg_share=1.0)
EASY = replace(STREET, rotation_deg=6, shift=0.04, zoom=(0.9, 1.1), light=0.3, hide_share=0.0, blur_share=0.1)
HARD = replace(STREET, rotation_deg=10, shift=0.06, zoom=(0.85, 1.2), light=0.4, hide_share=0.2, blur_share=0.3)


@dataclass(frozen=True, eq=False)
class Faces:
    """Made faces with what they wear."""

    pictures: np.ndarray
    """(n, VIEW_SIDE, VIEW_SIDE, 3) uint8 RGB."""
    masked: np.ndarray
    """(n,) float64: 1 with a mask, 0 without."""
    origin: np.ndarray
    """(n,) int: pictures with the same number were made from one another."""

    @property
    def pixels(self) -> np.ndarray:
        """(n, SIDE²) float64: small and grey, each picture with mean 0 and a length of 1, so that light counts less."""
        grey = [cv2.cvtColor(each, cv2.COLOR_RGB2GRAY) for each in self.pictures]
        small = [cv2.resize(each, (SIDE, SIDE), interpolation=cv2.INTER_AREA).ravel() for each in grey]
        centered = np.array(small, np.float64)
        centered -= centered.mean(axis=1, keepdims=True)
        return centered / np.maximum(np.linalg.norm(centered, axis=1, keepdims=True), 1e-9)


@cache
def _samples() -> list[Sample]:
    """The sample portrait bare, and with a mask in each colour of cloth."""
    bare, box = sample_photo(masked=False), np.array(SAMPLE_FACE_XYXY, np.float32)
    masked = [draw_mask(bare, SAMPLE_FACE_XYXY, SAMPLE_TILT_DEG, rgb) for rgb in CLOTH_RGB]
    labels = [WITHOUT_MASK, *[WITH_MASK] * len(masked)]
    return [
        Sample("", Path(), CLASS_NAMES[label], *cut_face(frame, box, 0.15), face_px=94)
        for label, frame in zip(labels, [bare, *masked], strict=True)
    ]


def made_faces(count: int, copies: int = 1, how: Augmentation = EASY, seed: int = 0) -> Faces:
    """Views of the sample portrait, every second one with a mask.

    Args:
        count: of views that differ.
        copies: how many pictures are made of each, nearly the same.
        how: the augmentations that make the views differ.
        seed: the same seed gives the same pictures.
    """
    rng, samples = np.random.default_rng(seed), _samples()
    pictures, masked, origin = [], [], []
    for i in range(count):
        sample = samples[rng.integers(1, len(samples)) if i % 2 else 0]
        view = varied_view(sample, VIEW_SIDE, how, rng)
        whole = np.array([0, 0, VIEW_SIDE, VIEW_SIDE], np.float32)
        again = replace(sample, patch_rgb=view, crop_xyxy=whole)
        pictures += [view, *(varied_view(again, VIEW_SIDE, COPY, rng) for _ in range(copies - 1))]
        masked += [float(i % 2)] * copies
        origin += [i] * copies
    return Faces(np.array(pictures), np.array(masked), np.array(origin))


@dataclass(frozen=True, eq=False)
class Descent:
    """What gradient descent did."""

    weights: np.ndarray
    """(steps + 1, d): after each step; the first are all 0."""
    bias: np.ndarray
    """(steps + 1,)"""

    def losses(self, pixels: np.ndarray, masked: np.ndarray) -> np.ndarray:
        """Cross-entropy on some pictures (n, d), (n,) after each step: (steps + 1,), 0.69 for a coin."""
        logits = pixels @ self.weights.T + self.bias
        return np.logaddexp(0, np.where(masked[:, None] > 0.5, -logits, logits)).mean(axis=0)

    def accuracies(self, pixels: np.ndarray, masked: np.ndarray) -> np.ndarray:
        """Share of some pictures that is classified correctly after each step: (steps + 1,) in 0..1."""
        said = pixels @ self.weights.T + self.bias > 0
        return (said == (masked[:, None] > 0.5)).mean(axis=0)


def descend(pixels: np.ndarray, masked: np.ndarray, learning_rate: float, steps: int) -> Descent:
    """Logistic regression by gradient descent: every step goes downhill on the loss, so far as the learning rate says.

    Args:
        pixels: (n, d).
        masked: (n,) 0 or 1.
        learning_rate: above 0.
        steps: how many.
    """
    weights, bias = np.zeros((steps + 1, pixels.shape[1])), np.zeros(steps + 1)
    for i in range(steps):
        error = expit(pixels @ weights[i] + bias[i]) - masked  # the gradient of the loss by each logit
        weights[i + 1] = weights[i] - learning_rate * (error @ pixels) / len(masked)
        bias[i + 1] = bias[i] - learning_rate * error.mean()
    return Descent(weights, bias)


@dataclass(frozen=True, eq=False)
class TwoSplits:
    """The same faces and the same training, tested in two ways: (steps + 1,) accuracies in 0..1, means of the draws."""

    training: np.ndarray
    flattered: np.ndarray
    """Pictures drawn at random: of most, a near-duplicate was trained on."""
    honest: np.ndarray
    """Near-duplicates kept on one side."""
    leaked: float
    """Share of the pictures of the random test that have a near-duplicate in training."""


def two_splits(faces: Faces, steps: int = 200, learning_rate: float = 6.0, draws: int = 4) -> TwoSplits:
    """Train and test with near-duplicates on both sides, and kept on one side.

    Args:
        faces: with copies.
        steps: of each training.
        learning_rate: as of ``descend``.
        draws: how often each split is drawn.
    """
    pixels, rng = faces.pixels, np.random.default_rng(0)
    curves: dict[str, list[np.ndarray]] = {"training": [], "flattered": [], "honest": []}
    leaked = []
    for _ in range(draws):
        for name, of in (("flattered", np.arange(len(pixels))), ("honest", faces.origin)):
            drawn = rng.permutation(np.unique(of))
            test = np.isin(of, drawn[: len(drawn) // 3])
            learned = descend(pixels[~test], faces.masked[~test], learning_rate, steps)
            curves[name].append(learned.accuracies(pixels[test], faces.masked[test]))
            if name == "flattered":
                leaked.append(np.isin(faces.origin[test], faces.origin[~test]).mean())
            else:
                curves["training"].append(learned.accuracies(pixels[~test], faces.masked[~test]))
    means = {name: np.mean(each, axis=0) for name, each in curves.items()}
    return TwoSplits(means["training"], means["flattered"], means["honest"], float(np.mean(leaked)))
