"""Label issues: predictions of a model for every labelled face of a data set, to find labels that may be wrong.

They are kept in the index file under the model's checksum. Another model classifies again; an edited label does not
need it.
"""

import sqlite3
import time
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import cv2
import numpy as np

from core.access import for_operators
from core.config import models_dir
from core.datasets import index_db
from core.datasets.edits import Edits
from core.datasets.index import Index
from core.datasets.indexed_faces import cut_faces, face_fingerprints
from core.jobs import Report, no_report
from core.language import tr
from core.registry.active import in_use
from core.vision.classifier import DEFAULT_CLASSIFIER, MaskClassifier
from core.vision.crops import resize
from core.vision.model_card import ModelCard, load_card
from core.vision.pipeline import PIPELINES

DOUBTED = 0.8
"""A label is doubted if the model gives its class a lower probability."""
FACE_SIDE = 112
SURELY = 1e-4
"""Lower bound of a probability in the loss, which is then at most 9.2."""


class Prediction(NamedTuple):
    """What a model said of one face."""

    fingerprint: str
    """Of the file and the box."""
    probabilities: np.ndarray
    """(classes,) float32; NaN where the picture could not be read."""


@dataclass(frozen=True, eq=False)
class LabelIssues:
    """A model's probabilities for the m faces of ``index.faces``."""

    dataset: str
    model: str
    sha256: str
    """The model's."""
    classes: tuple[str, ...]
    probabilities: np.ndarray
    """(m, classes) float32; NaN where the picture could not be read, or a person has drawn the face since."""
    labels: np.ndarray
    """(m,) str: the labels that the predictions are compared with."""
    items: tuple[str, ...]
    """Identifiers of the m faces, as in ``index.faces``."""

    def jpegs(self, faces: np.ndarray) -> list[bytes]:
        """JPEG files of these faces; empty where the whole image is the face or could not be read."""
        items = [self.items[face] for face in faces]
        found = index_db.select_by_key(
            self.dataset, "SELECT item, jpeg FROM crops WHERE model = ? AND item IN", items, [self.sha256]
        )
        return [found.get(item, b"") for item in items]

    def prediction(self, face: int) -> tuple[str, float] | None:
        """The predicted class of a face and its probability, 0..1; ``None`` if the image could not be read."""
        if np.isnan(self.probabilities[face]).any():
            return None
        best = int(self.probabilities[face].argmax())
        return self.classes[best], float(self.probabilities[face, best])

    @property
    def losses(self) -> np.ndarray:
        """Cross-entropy of each label, (m,) float32: 0 if the model is sure of it, large if it is sure of another.

        NaN where the model does not know the label's class.
        """
        losses = np.full(len(self.labels), np.nan, np.float32)
        for place, name in enumerate(self.classes):
            mine = self.labels == name
            losses[mine] = -np.log(np.maximum(self.probabilities[mine, place], SURELY))
        return losses

    @property
    def disagrees(self) -> np.ndarray:
        """(m,) bool: the model predicts another class; never where it does not know the label's class."""
        best = np.array(self.classes)[np.nan_to_num(self.probabilities, nan=0).argmax(axis=1)]
        return (best != self.labels) & ~np.isnan(self.losses)


def classifier_card() -> ModelCard:
    """The card of the active classifier; of the shipped one where the active pipeline has none.

    Raises:
        ModelError: it is missing or broken.
    """
    method = in_use().method
    own = PIPELINES[method.pipeline].model_kind == "classifier"
    return load_card(models_dir() / f"{method.model if own else DEFAULT_CLASSIFIER}.json")


def compared(index: Index, opinion: LabelIssues) -> np.ndarray:
    """Which of ``index.faces`` have a label that the model can doubt, (m,) bool.

    Faces that are excluded or got their label here are left out: somebody has already decided on them.
    """
    return ~np.isnan(opinion.losses) & ~index.faces.excluded & ~index.faces.edited


def suspicious(index: Index, opinion: LabelIssues) -> np.ndarray:
    """Positions in ``index.faces`` of the labels that the model doubts, largest loss first, (k,) int."""
    losses = opinion.losses
    places = np.flatnonzero(compared(index, opinion) & (losses > -np.log(DOUBTED)))
    return places[np.argsort(-losses[places], kind="stable")]


@for_operators
def find_issues(index: Index, classifier: MaskClassifier, report: Report = no_report) -> LabelIssues:
    """Classify every face that this model has not classified yet; what was done is kept also when asked to stop.

    Raises:
        DataError: the index file cannot be written.
    """
    seen = index_db.change(index.dataset.name, partial(_find_issues, index, classifier, report))
    return _opinion(index, classifier.card, seen)


def _find_issues(
    index: Index, classifier: MaskClassifier, report: Report, connection: sqlite3.Connection
) -> dict[str, Prediction]:
    card = classifier.card
    fingerprints = face_fingerprints(index)
    known = _predictions(connection.execute(SELECT_PREDICTIONS, [card.sha256]).fetchall(), card)
    seen = {
        item: known[item] for item, each in fingerprints.items() if item in known and known[item].fingerprint == each
    }
    missing = [item for item in fingerprints if item not in seen]
    if not missing and len(seen) == len(known):
        return seen
    whole = {picture.key for picture in index.pictures if picture.whole}
    unread = np.full(len(card.classes), np.nan, np.float32)
    for some in cut_faces(index, fingerprints, missing, card, partial(report, text=tr("Classifying faces"))):
        items = [item for item, crop in some.items() if crop is not None]
        crops = [crop for crop in some.values() if crop is not None]
        probabilities = dict(zip(items, classifier.probabilities(np.array(crops)) if crops else (), strict=True))
        fresh = {
            item: Prediction(fingerprints[item], np.asarray(probabilities.get(item, unread), np.float32))
            for item in some
        }
        jpegs = {item: _small_jpeg(crop) for item, crop in zip(items, crops, strict=True) if item not in whole}
        with index_db.transaction(connection):
            _keep(connection, card, fresh, jpegs)
        seen |= fresh
    with index_db.transaction(connection):
        _finish(connection, card, known.keys() - seen.keys())
    return seen


def _keep(
    connection: sqlite3.Connection, card: ModelCard, fresh: dict[str, Prediction], jpegs: dict[str, bytes]
) -> None:
    connection.executemany(
        "INSERT OR REPLACE INTO label_issues VALUES (?, ?, ?, ?)",
        [(card.sha256, item, each.fingerprint, each.probabilities.tobytes()) for item, each in fresh.items()],
    )
    connection.executemany("DELETE FROM crops WHERE model = ? AND item = ?", [(card.sha256, item) for item in fresh])
    connection.executemany(
        "INSERT INTO crops VALUES (?, ?, ?)", [(card.sha256, item, jpeg) for item, jpeg in jpegs.items()]
    )


def _finish(connection: sqlite3.Connection, card: ModelCard, gone: set[str]) -> None:
    """Remove faces that are gone and the predictions of other models."""
    for table in ("label_issues", "crops"):
        connection.executemany(
            f"DELETE FROM {table} WHERE model = ? AND item = ?", [(card.sha256, item) for item in gone]
        )
        connection.execute(f"DELETE FROM {table} WHERE model <> ?", [card.sha256])
    connection.execute("DELETE FROM models")
    connection.execute("INSERT INTO models VALUES (?, ?, ?)", (card.sha256, card.name, time.time_ns()))


def open_label_issues(index: Index, card: ModelCard) -> LabelIssues | None:
    """This model's predictions, or ``None`` if it has not classified all faces as they are now.

    Faces that people added or moved since then may be missing: their probabilities are NaN.
    """
    seen = _predictions(index_db.select(index.dataset.name, SELECT_PREDICTIONS, [card.sha256]), card)
    new = {
        item for item, each in face_fingerprints(index).items() if item not in seen or seen[item].fingerprint != each
    }
    if not new <= Edits.load(index.dataset.folder).boxes.keys() or len(new) == len(index.faces.items) > 0:
        return None
    return _opinion(index, card, {item: each for item, each in seen.items() if item not in new})


def label_issues_fingerprint(index: Index, card: ModelCard) -> int:
    """Changes whenever this model has classified the set; 0 if it never has."""
    found = index_db.select(index.dataset.name, "SELECT finished_ns FROM models WHERE sha256 = ?", [card.sha256])
    return found[0][0] if found else 0


def _small_jpeg(crop_rgb: np.ndarray) -> bytes:
    small = cv2.cvtColor(resize(crop_rgb, (FACE_SIDE, FACE_SIDE)), cv2.COLOR_RGB2BGR)
    return cv2.imencode(".jpg", small, [cv2.IMWRITE_JPEG_QUALITY, 82])[1].tobytes()


SELECT_PREDICTIONS = "SELECT item, fingerprint, probabilities FROM label_issues WHERE model = ?"


def _predictions(rows: list[tuple], card: ModelCard) -> dict[str, Prediction]:
    """Predictions by item, without those that do not fit the model's classes."""
    size = 4 * len(card.classes)
    return {item: Prediction(text, np.frombuffer(data, np.float32)) for item, text, data in rows if len(data) == size}


def _opinion(index: Index, card: ModelCard, seen: dict[str, Prediction]) -> LabelIssues:
    items = index.faces.items
    unseen = Prediction("", np.full(len(card.classes), np.nan, np.float32))
    probabilities = np.array([seen.get(item, unseen).probabilities for item in items], np.float32)
    return LabelIssues(
        index.dataset.name,
        card.name,
        card.sha256,
        tuple(card.classes),
        probabilities.reshape(-1, len(card.classes)),
        index.faces.label,
        items,
    )
