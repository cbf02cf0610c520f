"""Scores of a classifier from its probabilities: accuracy, per-class figures, calibration."""

import numpy as np

from core.metrics import calibration_error


def classification_scores(probabilities: np.ndarray, labels: np.ndarray, classes: tuple[str, ...]) -> dict:
    """Everything a report says of a set of judged faces, as plain numbers.

    Args:
        probabilities: (n, k) in 0..1.
        labels: (n,) int, the true place in ``classes``.
        classes: k names.

    Returns:
        ``images``, ``accuracy``, ``balanced_accuracy`` (mean recall of the classes that occur), ``log_loss``,
        ``expected_calibration_error``, ``confusion_matrix`` (rows true, columns judged) and per class ``precision``,
        ``recall``, ``f1`` and ``support``. Of no images, every score is ``None``.
    """
    from sklearn.metrics import confusion_matrix, precision_recall_fscore_support

    n = len(labels)
    if probabilities.shape != (n, len(classes)):
        raise ValueError(f"probabilities have shape {probabilities.shape}, expected {(n, len(classes))}.")
    if n == 0:
        return {"images": 0, "accuracy": None, "balanced_accuracy": None}
    judged = probabilities.argmax(axis=1)
    places = np.arange(len(classes))
    precision, recall, f1, support = precision_recall_fscore_support(labels, judged, labels=places, zero_division=0)
    return {
        "images": n,
        "accuracy": float((judged == labels).mean()),
        "balanced_accuracy": float(recall[support > 0].mean()),
        "log_loss": float(-np.log(np.clip(probabilities[np.arange(n), labels], 1e-7, 1)).mean()),
        "expected_calibration_error": calibration_error(probabilities.max(axis=1), judged == labels),
        "confusion_matrix": confusion_matrix(labels, judged, labels=places).tolist(),
        "per_class": {
            name: {"precision": float(p), "recall": float(r), "f1": float(f), "support": int(s)}
            for name, p, r, f, s in zip(classes, precision, recall, f1, support, strict=True)
        },
    }


def best_temperature(logits: np.ndarray, labels: np.ndarray) -> float:
    """The number to divide logits by so that their softmax is calibrated (Guo et al. 2017), 0.25..8.

    Args:
        logits: (n, k); labels: (n,) int. With no samples the answer is 1.
    """
    if not len(labels):
        return 1.0
    candidates = np.geomspace(0.25, 8, 241)
    losses = []
    for temperature in candidates:
        scaled = logits / temperature
        scaled = scaled - scaled.max(axis=1, keepdims=True)
        losses.append((np.log(np.exp(scaled).sum(axis=1)) - scaled[np.arange(len(labels)), labels]).mean())
    return float(candidates[int(np.argmin(losses))])


def best_offsets(logits: np.ndarray, labels: np.ndarray, strength: float = 2.0) -> tuple[float, np.ndarray]:
    """Temperature and one offset per class that calibrate ``softmax(logits / temperature + offsets)``.

    Bias-corrected temperature scaling (Alexandari et al. 2020): a class that was drawn more often in training than it
    is met gets its likelihood back. The offsets are held near 0, all the more the fewer faces there are.

    Args:
        logits: (n, k).
        labels: (n,) int. With no samples the answer is 1 and no offsets.
        strength: how strongly they are held, in faces.
    """
    from scipy.optimize import minimize

    k = logits.shape[1]
    if not len(labels):
        return 1.0, np.zeros(k)

    def loss(x: np.ndarray) -> float:
        scaled = logits / np.exp(x[0]) + x[1:]
        scaled = scaled - scaled.max(axis=1, keepdims=True)
        nll = np.log(np.exp(scaled).sum(axis=1)) - scaled[np.arange(len(labels)), labels]
        return nll.sum() + strength * (x**2).sum()

    x = minimize(loss, np.zeros(k + 1), method="L-BFGS-B", bounds=[(np.log(0.25), np.log(8))] + [(-4, 4)] * k).x
    return float(np.exp(x[0])), x[1:] - x[1:].mean()
