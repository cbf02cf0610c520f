"""Turns what a network says into probabilities that hold: fitted on labelled faces, kept on a model's card."""

import numpy as np
from scipy.special import log_softmax

# What a temperature may be.
MIN_TEMPERATURE, MAX_TEMPERATURE = 0.25, 8.0


def best_temperature(logits: np.ndarray, labels: np.ndarray) -> float:
    """The number to divide logits by so that their softmax is calibrated (Guo et al. 2017), 0.25..8.

    Args:
        logits: (n, k); labels: (n,) int. With no samples the answer is 1.
    """
    if not len(labels):
        return 1.0
    candidates = np.geomspace(MIN_TEMPERATURE, MAX_TEMPERATURE, 241)
    losses = [_losses(logits / temperature, labels).mean() for temperature in candidates]
    return float(candidates[int(np.argmin(losses))])


def best_offsets(logits: np.ndarray, labels: np.ndarray, strength: float = 2.0) -> tuple[float, np.ndarray]:
    """Temperature and one offset per class that calibrate ``softmax(logits / temperature + offsets)``.

    Bias-corrected temperature scaling (Alexandari et al. 2020): a class that was drawn more often in training than it
    is met gets its likelihood back. The offsets are held near 0, all the more the fewer faces there are.

    Args:
        logits: (n, k).
        labels: (n,) int. With no samples the answer is 1 and no offsets.
        strength: how strongly they are held, in faces.

    Returns:
        The temperature, 0.25..8, and (k,) offsets with a mean of 0.
    """
    from scipy.optimize import minimize

    k = logits.shape[1]
    if not len(labels):
        return 1.0, np.zeros(k)

    def loss(x: np.ndarray) -> float:
        return _losses(logits / np.exp(x[0]) + x[1:], labels).sum() + strength * (x**2).sum()

    bounds = [(np.log(MIN_TEMPERATURE), np.log(MAX_TEMPERATURE))] + [(-4, 4)] * k
    x = minimize(loss, np.zeros(k + 1), method="L-BFGS-B", bounds=bounds).x
    return float(np.exp(x[0])), x[1:] - x[1:].mean()


def platt_scaling(scores: np.ndarray, is_true: np.ndarray) -> tuple[float, float]:
    """Scale and offset with which ``expit(scale * score + offset)`` is the share of true ones (Platt 1999).

    Args:
        scores: (n,) of any range.
        is_true: (n,) bool, with both values among them.

    Raises:
        ValueError: all are true, or none is.
    """
    from sklearn.linear_model import LogisticRegression

    fit = LogisticRegression(C=1e6).fit(scores[:, None], is_true)
    return float(fit.coef_[0, 0]), float(fit.intercept_[0])


def _losses(logits: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Cross entropy of each sample, (n,)."""
    return -log_softmax(logits, axis=1)[np.arange(len(labels)), labels]
