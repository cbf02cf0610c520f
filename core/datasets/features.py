"""Features of the labelled faces of a set: what the shipped classifier makes of each face before it decides.

Two faces that look alike to it have similar features, whatever their labels: hence the neighbours of a face, and the
map of a set. They are kept in the index file; only faces that are new or changed are looked at again. Of a large set, a
sample is looked at that is the same every time.
"""

import sqlite3
import time
import zlib
from dataclasses import dataclass
from functools import partial

import numpy as np

from core.access import for_operators
from core.config import models_dir
from core.datasets import index_db
from core.datasets.index import Index
from core.datasets.indexed_faces import cut_faces, face_fingerprints
from core.jobs import Report, no_report
from core.language import tr
from core.vision.classifier import DEFAULT_CLASSIFIER
from core.vision.explain import FaceExplainer
from core.vision.model_card import ModelCard, load_card

MOST_FACES = 4000
"""More points than this no browser draws fast enough to be circled, and nobody can tell them apart."""
SELECT = "SELECT item, fingerprint, vector FROM features WHERE model = ?"


@dataclass(frozen=True, eq=False)
class Features:
    """The features of k faces of an index."""

    faces: np.ndarray
    """(k,) int: positions in ``index.faces``, rising."""
    vectors: np.ndarray
    """(k, c) float32."""
    left: int
    """How many faces of the sample have not been looked at by now."""
    sampled: int
    """How many faces are in the sample; all of the set, if it is not too large."""


@dataclass(frozen=True, eq=False)
class FaceMap:
    """Faces as points of a plane."""

    faces: np.ndarray
    """(k,) int: positions in ``index.faces``."""
    xy: np.ndarray
    """(k, 2) float32; without a unit."""
    share: float
    """How much of the differences between the features the plane holds, 0..1."""


def feature_card() -> ModelCard:
    """The card of the shipped classifier.

    Raises:
        ModelError: it is missing or broken.
    """
    return load_card(models_dir() / f"{DEFAULT_CLASSIFIER}.json")


def sample(index: Index) -> list[int]:
    """Positions in ``index.faces`` of at most ``MOST_FACES`` faces, rising; the same ones as long as they are there."""
    items = index.faces.items
    return sorted(sorted(range(len(items)), key=lambda face: _chance(items[face]))[:MOST_FACES])


def _chance(item: str) -> tuple[int, str]:
    """Its place in an order that looks like chance and stays."""
    return zlib.crc32(item.encode()), item


@for_operators
def find_features(index: Index, network: FaceExplainer, report: Report = no_report) -> None:
    """Look at every face of the sample that is new or changed; what was done is kept also when asked to stop.

    Raises:
        DataError: the index file cannot be written.
    """
    index_db.change(index.dataset.name, partial(_find_features, index, network, report))


def _find_features(index: Index, network: FaceExplainer, report: Report, connection: sqlite3.Connection) -> None:
    model, fingerprints = network.card.sha256, _wanted(index)
    known = {item: stamp for item, stamp, _ in connection.execute(SELECT, [model])}
    missing = [item for item, stamp in fingerprints.items() if known.get(item) != stamp]
    missing.sort(key=_chance)  # so that those that were looked at before a stop are a sample of all
    for some in cut_faces(index, fingerprints, missing, network.card, partial(report, text=tr("Looking at faces"))):
        rows = [
            (
                *(model, item, fingerprints[item]),
                b"" if crop is None else network.features(crop).astype(np.float16).tobytes(),
                time.time_ns(),
            )
            for item, crop in some.items()
        ]
        with index_db.transaction(connection):
            connection.executemany("INSERT OR REPLACE INTO features VALUES (?, ?, ?, ?, ?)", rows)
    gone = [(model, item) for item in known.keys() - fingerprints.keys()]
    with index_db.transaction(connection):
        connection.executemany("DELETE FROM features WHERE model = ? AND item = ?", gone)
        connection.execute("DELETE FROM features WHERE model <> ?", [model])


def _wanted(index: Index) -> dict[str, str]:
    """Fingerprints of the faces of the sample, by item."""
    fingerprints, items = face_fingerprints(index), index.faces.items
    return {items[face]: fingerprints[items[face]] for face in sample(index)}


def features_fingerprint(index: Index) -> tuple:
    """Changes whenever a face was looked at."""
    return tuple(index_db.select(index.dataset.name, "SELECT count(*), max(made_ns) FROM features"))


def open_features(index: Index, model: str) -> Features:
    """What was found by now, of the faces as they are now.

    Args:
        index: of the set.
        model: the network's checksum.
    """
    fingerprints = _wanted(index)
    rows = index_db.select(index.dataset.name, SELECT, [model])
    seen = {item: vector for item, stamp, vector in rows if fingerprints.get(item) == stamp}
    faces = [face for face, item in enumerate(index.faces.items) if seen.get(item)]
    vectors = [np.frombuffer(seen[index.faces.items[face]], np.float16) for face in faces]
    return Features(
        np.array(faces, int),
        np.array(vectors, np.float32) if vectors else np.empty((0, 0), np.float32),
        len(fingerprints) - len(seen),
        len(fingerprints),
    )


def face_map(index: Index, features: Features) -> FaceMap:
    """The faces that are not excluded, on the two axes along which their features differ most (PCA)."""
    from sklearn.decomposition import PCA

    shown = ~index.faces.excluded[features.faces]
    faces, vectors = features.faces[shown], features.vectors[shown]
    if len(faces) < 3 or not np.ptp(vectors, axis=0).any():
        return FaceMap(faces, np.zeros((len(faces), 2), np.float32), 0.0)
    pca = PCA(2, svd_solver="arpack", random_state=0)  # finds two axes alone, ten times as fast as all of them
    xy = pca.fit_transform(vectors)
    return FaceMap(faces, xy.astype(np.float32), float(pca.explained_variance_ratio_.sum()))


def most_similar(index: Index, features: Features, face: int, vector: np.ndarray, count: int) -> np.ndarray:
    """Positions in ``index.faces`` of the faces whose features are nearest to a face's, nearest first, (≤ count,) int.

    Near-duplicates of its image are left out, and what else is in it: they are shown elsewhere, and say nothing new. Of
    other groups of near-duplicates one image is taken.
    Likeness is the cosine of the angle between features, seen from their mean.

    Args:
        index: of the set.
        features: of it.
        face: its position in ``index.faces``.
        vector: its features, (c,).
        count: how many at most.
    """
    if not len(features.faces):
        return features.faces
    mean = features.vectors.mean(axis=0)
    centred = features.vectors - mean
    lengths = np.linalg.norm(centred, axis=1) * np.linalg.norm(vector - mean)
    likeness = centred @ (vector - mean) / np.maximum(lengths, 1e-9)
    image_of_group = {int(index.groups[index.faces.picture[face]]): -1}
    similar: list[int] = []
    for other in features.faces[np.argsort(-likeness, kind="stable")].tolist():
        image = int(index.faces.picture[other])
        if image_of_group.setdefault(int(index.groups[image]), image) == image:
            similar.append(other)
        if len(similar) == count:
            break
    return np.array(similar, int)


def features_of(index: Index, features: Features, face: int, network: FaceExplainer) -> np.ndarray | None:
    """The features of one face, (c,) float32; ``None`` if its image cannot be read.

    Those that are not kept, for the face is in no sample, are found now.
    """
    place = int(np.searchsorted(features.faces, face))
    if place < len(features.faces) and features.faces[place] == face:
        return features.vectors[place]
    item = index.faces.items[face]
    (found,) = cut_faces(index, [item], [item], network.card, no_report)
    crop = found[item]
    return None if crop is None else network.features(crop)
