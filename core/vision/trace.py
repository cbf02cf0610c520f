"""What happens to one face inside the classifier, from its pixels to the probabilities, to be shown."""

from dataclasses import dataclass

import numpy as np
from scipy.special import softmax

from core.vision.explain import DenseHead, FaceExplainer


@dataclass(frozen=True, eq=False)
class Trace:
    """One face on its way through the network. All float32 but the crop."""

    crop_rgb: np.ndarray
    """(size, size, 3) uint8: the network's input."""
    filters: np.ndarray
    """(c, h, w, 3): the weights of the first layer's filters, RGB."""
    maps: list[np.ndarray]
    """(h, w, c) each: the first layer's feature maps, then the last ones of every smaller size."""
    pooled: np.ndarray
    """(c,): the mean of each of the last maps."""
    hidden: np.ndarray
    """(m,): what the dense layer makes of them, after ReLU."""
    logits: np.ndarray
    """(k,): the network's own output, one for each class."""
    probabilities: np.ndarray
    """(k,) in 0..1: softmax of the logits."""


def trace(explainer: FaceExplainer, crop_rgb: np.ndarray) -> Trace:
    """Classify a face and keep what the layers said.

    Args:
        explainer: of the classifier.
        crop_rgb: (size, size, 3) uint8, from ``explainer.crop``.
    """
    convolutions = [op for op in explainer.operations if op["op_name"] == "CONV_2D"]
    first = convolutions[0]
    by_size: dict[int, int] = {}
    for op in explainer.operations:
        if op["op_name"] in ("CONV_2D", "ADD"):
            place = int(op["outputs"][0])
            by_size[explainer.shape(place)[1]] = place  # the last one of each size stays
    first_size = explainer.shape(int(first["outputs"][0]))[1]
    places = [int(first["outputs"][0]), *(by_size[size] for size in sorted(by_size, reverse=True) if size < first_size)]
    filters, logits, *maps = explainer.values(crop_rgb, [int(first["inputs"][1]), explainer.logits_place, *places])
    maps = [each[0] for each in maps]
    pooled = maps[-1].mean(axis=(0, 1))
    head = explainer.head
    return Trace(
        crop_rgb,
        filters,
        maps,
        pooled,
        np.maximum(head.hidden_weights @ pooled + head.hidden_bias, 0),
        logits[0],
        softmax(logits[0]),
    )


def with_dropout(hidden: np.ndarray, head: DenseHead, share: float, draws: int, seed: int = 0) -> np.ndarray:
    """What the network says when chance switches some of the dense layer's numbers off, as in training.

    Those that are left are made larger by as much as is missing on average, as every framework does it.

    Args:
        hidden: (m,) from ``Trace``.
        head: of the same network.
        share: of the numbers that are switched off, 0..1, less than 1.
        draws: how often.
        seed: the same seed switches the same numbers off.

    Returns:
        (draws, k) probabilities.
    """
    kept = dropped_out(len(hidden), share, draws, seed)
    return softmax((kept * hidden / (1 - share)) @ head.logit_weights.T + head.logit_bias, axis=1)


def dropped_out(count: int, share: float, draws: int, seed: int = 0) -> np.ndarray:
    """Which of so many numbers stay on, (draws, count) bool; arguments as of ``with_dropout``."""
    return np.random.default_rng(seed).random((draws, count)) >= share


def strongest(maps: np.ndarray, count: int) -> np.ndarray:
    """Places (count,) of the maps (h, w, c) that vary most from place to place, in their own order."""
    return np.sort(np.argsort(-maps.std(axis=(0, 1)), kind="stable")[:count])
