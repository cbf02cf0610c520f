"""The predictions of a run's model on its test faces, and whether it is better than another: numbers, no pictures."""

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from core.datasets.faces import DataError
from core.io import read_json
from core.language import mark, number, tr, trn
from core.vision.classes import is_class_name
from train.run_folder import PREDICTIONS

ROUNDS = 4000
CERTAINTY = 0.95
LIKELY = 0.8
"""A model that is better with this probability, but not with ``CERTAINTY``, is probably better."""
NOT_FOUND = -1
"""Stands for a prediction where a model found no face to classify."""


@dataclass(frozen=True, eq=False)
class Predictions:
    """The predictions of an exported model on n faces that it was not trained on."""

    classes: tuple[str, ...]
    datasets: tuple[str, ...]
    """(n,) the folder each face is from."""
    keys: tuple[str, ...]
    """(n,) its name within that set."""
    labels: np.ndarray
    """(n,) int into ``classes``: the truth."""
    probabilities: np.ndarray
    """(n, k) in 0..1."""
    parts: tuple[str, ...]
    """(n,) ``test`` or ``held_out``."""

    def __len__(self) -> int:
        return len(self.keys)

    @property
    def predicted(self) -> np.ndarray:
        """(n,) int into ``classes``: the likeliest class of each face."""
        return self.probabilities.argmax(axis=1)

    @property
    def photos(self) -> list[str]:
        """(n,) the picture each face is from; faces of one picture share it."""
        return [f"{data}/{key.partition('#')[0]}" for data, key in zip(self.datasets, self.keys, strict=True)]

    def at(self, places: np.ndarray) -> "Predictions":
        """Some of the faces: ``places`` are ints."""
        pick = lambda values: tuple(values[i] for i in places)  # noqa: E731
        return Predictions(
            self.classes,
            pick(self.datasets),
            pick(self.keys),
            self.labels[places],
            self.probabilities[places],
            pick(self.parts),
        )

    def places_of(self, part: str) -> np.ndarray:
        """Which faces belong to a part: ints for ``at``."""
        return np.flatnonzero([each == part for each in self.parts])


def read_predictions(folder: Path) -> Predictions:
    """The predictions of a finished run's model on its test faces.

    Raises:
        DataError: the file is missing or damaged; runs of earlier versions have none.
    """
    raw = read_json(folder / PREDICTIONS)
    try:
        classes = tuple(raw["classes"])
        if not all(is_class_name(name) for name in classes):
            raise ValueError
        faces = raw["faces"]
        probabilities = np.array([face["probabilities"] for face in faces], float).reshape(-1, len(classes))
        if len(probabilities) != len(faces) or not np.isfinite(probabilities).all():
            raise ValueError
        return Predictions(
            classes,
            tuple(str(face["dataset"]) for face in faces),
            tuple(str(face["key"]) for face in faces),
            np.array([classes.index(face["label"]) for face in faces], int),
            probabilities,
            tuple(str(face["part"]) for face in faces),
        )
    except (KeyError, TypeError, ValueError, IndexError):
        raise DataError(tr("This run kept no predictions for its test images; train it again to see them.")) from None


def most_wrong(predictions: Predictions, count: int = 12) -> np.ndarray:
    """Places of the faces that were classified wrong, the most confident predictions first: (at most count,) int."""
    true = predictions.probabilities[np.arange(len(predictions)), predictions.labels]
    wrong = np.flatnonzero(predictions.predicted != predictions.labels)
    return wrong[np.argsort(true[wrong], kind="stable")][:count]


@dataclass(frozen=True)
class Difference:
    """How one model does against another on the same faces; shares in 0..1, the difference in -1..1."""

    faces: int
    new: float
    """Accuracy of the new model."""
    old: float
    """Accuracy of the other."""
    only_new: int
    """Faces that the new model alone classifies right."""
    only_old: int
    """Faces that the other alone classifies right."""
    low: float
    """Lower limit of the difference ``new - old`` with 95 % confidence, by a bootstrap over pictures (Efron 1979)."""
    high: float
    """Upper limit."""
    p_value: float
    """How likely a difference this large would be if both were equally good, 0..1 (``mcnemar``)."""
    likely: float
    """How likely it is that the new model is the better one, 0..1 (``likely_better``)."""

    @property
    def difference(self) -> float:
        """Accuracy of the new model less that of the old one, -1..1."""
        return self.new - self.old

    @property
    def outcome(self) -> str:
        """``better`` or ``worse`` if interval and test both tell, ``probably better`` or ``probably worse`` if one of
        the two is likely, else ``unclear``."""
        if self.p_value < 1 - CERTAINTY and not self.low <= 0 <= self.high:
            return "better" if self.difference > 0 else "worse"
        if self.difference > 0 and self.likely >= LIKELY:
            return "probably better"
        return "probably worse" if self.difference < 0 and self.likely <= 1 - LIKELY else "unclear"


def paired_difference(
    new_right: np.ndarray, old_right: np.ndarray, photos: list[str] | None = None, seed: int = 0
) -> Difference:
    """Compare two models on the same faces.

    Args:
        new_right: (n,) bool, whether the new model classifies each face right; n at least 1.
        old_right: the same for the other model.
        photos: (n,) picture of each face; faces of one picture are drawn together, since they resemble each other.
        seed: of the bootstrap.

    Raises:
        ValueError: no faces, or two lengths.
    """
    n = len(new_right)
    if not n or len(old_right) != n or len(photos if photos is not None else new_right) != n:
        raise ValueError(f"Expected predictions on the same faces, got {n} and {len(old_right)}.")
    new_right, old_right = np.asarray(new_right, bool), np.asarray(old_right, bool)
    gain = new_right.astype(int) - old_right
    _, group = np.unique(photos if photos is not None else np.arange(n), return_inverse=True)
    gains, sizes = np.bincount(group, gain), np.bincount(group)  # by picture
    rng = np.random.default_rng(seed)
    means = []
    rounds_at_once = max(1, 2_000_000 // len(gains))
    for start in range(0, ROUNDS, rounds_at_once):
        drawn = rng.integers(len(gains), size=(min(rounds_at_once, ROUNDS - start), len(gains)))
        means.append(gains[drawn].sum(axis=1) / sizes[drawn].sum(axis=1))
    tail = (1 - CERTAINTY) / 2
    low, high = np.quantile(np.concatenate(means), [tail, 1 - tail])
    if not gain.any():  # nothing to draw from; with this certainty the two differ on no larger share of the pictures
        high = 1 - (1 - CERTAINTY) ** (1 / len(gains))
        low = -high
    only_new, only_old = int((gain > 0).sum()), int((gain < 0).sum())
    return Difference(
        n,
        float(new_right.mean()),
        float(old_right.mean()),
        only_new,
        only_old,
        float(low),
        float(high),
        mcnemar(only_new, only_old),
        likely_better(int((gains > 0).sum()), int((gains < 0).sum())),
    )


def mcnemar(only_new: int, only_old: int) -> float:
    """How likely a split at least this uneven is by chance: p-value in 0..1, two-sided, exact (McNemar 1947).

    Args:
        only_new: faces that only one of two models classifies right.
        only_old: faces that only the other does. With none of either, the answer is 1.

    >>> mcnemar(5, 0)
    0.0625
    """
    from scipy.stats import binomtest

    n = only_new + only_old
    return float(binomtest(only_new, n).pvalue) if n else 1.0


def likely_better(for_new: int, for_old: int) -> float:
    """How likely it is that a new model wins more often than it loses, 0..1, if nothing was known before.

    Args:
        for_new: pictures on which it does better than another model.
        for_old: pictures on which it does worse.

    >>> likely_better(0, 0), likely_better(2, 0), likely_better(0, 2)
    (0.5, 0.875, 0.125)
    """
    from scipy.special import betainc

    # The share of its wins has a beta distribution; what counts is the part above one half.
    return round(1 - float(betainc(for_new + 1, for_old + 1, 0.5)), 6)


def in_words(difference: Difference) -> str:
    """Whether the new model is better than the active one, by how much, and on how many faces: one sentence."""
    d = difference
    faces = trn("{count} test face", "{count} test faces", d.faces).format(count=number(d.faces, ","))
    new, old = percent(d.new, d.faces), percent(d.old, d.faces)
    words = tr(OUTCOMES[d.outcome])
    if d.only_new == d.only_old == 0:
        words = tr(
            "Cannot tell which is better: this model and the active one both classify {new} of {faces} correctly."
        )
    return words.format(faces=faces, new=new, old=old, points=points(abs(d.difference)).removeprefix("+"))


OUTCOMES = {
    "better": mark(
        "Better than the active model by {points}: of {faces} it classifies {new} correctly, the active model {old}."
    ),
    "probably better": mark(
        "Probably better than the active model by {points}: of {faces} it classifies {new} correctly, the active model "
        "{old}."
    ),
    "worse": mark(
        "Worse than the active model by {points}: of {faces} it classifies {new} correctly, the active model {old}."
    ),
    "probably worse": mark(
        "Probably worse than the active model by {points}: of {faces} it classifies {new} correctly, the active model "
        "{old}."
    ),
    "unclear": mark(
        "Cannot tell whether it is better than the active model: of {faces} it classifies {new} correctly, the active "
        "model {old}."
    ),
}


def certainty_in_words(difference: Difference) -> str:
    """The figures behind ``in_words``, for those who know statistics."""
    d = difference
    return tr(
        "The difference, {difference}, lies between {low} and {high} with 95% certainty (a bootstrap over pictures). "
        "{only_new} of the {faces} faces only this model classifies correctly, {only_old} only the active model; "
        "McNemar's test gives p = {p}."
    ).format(
        difference=points(d.difference),
        low=_signed(d.low),
        high=points(d.high),
        only_new=number(d.only_new),
        faces=number(d.faces, ","),
        only_old=number(d.only_old),
        p=number(d.p_value, ".2g"),
    )


def points(share: float) -> str:
    """A difference of shares in percentage points, with its sign: ``+1.5 points``."""
    return tr("{number} points").format(number=_signed(share))


def _signed(share: float) -> str:
    rounded = round(100 * share, 1) + 0.0  # no minus before a zero
    return number(rounded, "+.1f") if rounded else "0"


def percent(share: float, faces: int) -> str:
    """A share in per cent, with a decimal where there are faces enough to mean something; never rounded up to 100."""
    digits = 1 if faces >= 200 else 0
    if share < 1 and f"{100 * share:.{digits}f}".startswith("100"):
        share, digits = math.floor(1000 * share) / 1000, 1
    return number(share, f".{digits}%")


def share_interval(right: int, faces: int) -> tuple[float, float]:
    """Where the true share lies with 95 % confidence (Wilson 1927): lower and upper limit, 0..1.

    Args:
        right: of the faces, 0..``faces``.
        faces: how many; with none, every share is possible.
    """
    from scipy.stats import binomtest

    if not faces:
        return 0.0, 1.0
    low, high = binomtest(right, faces).proportion_ci(CERTAINTY, "wilson")
    return float(low), float(high)


def differing_settings(settings: list[dict]) -> dict[str, list]:
    """The settings that are not the same in all runs, with the value of each run; ``None`` where a run has none."""
    names = list(dict.fromkeys(name for each in settings for name in each))
    table = {name: [each.get(name) for each in settings] for name in names}
    return {name: values for name, values in table.items() if any(value != values[0] for value in values)}
