"""What a model thinks of every face of a data set, to find labels that may be wrong.

Kept beside the catalogue under the model's checksum: another model judges anew, a repaired label costs nothing.
"""

import zipfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from core.config import MODELS_DIR, cache_dir
from core.datasets.formats import Picture
from core.datasets.index import Catalogue
from core.io import write_atomic
from core.jobs import Cancelled, Report, no_report
from core.registry.active import in_use
from core.vision.classifier import DEFAULT_CLASSIFIER, MaskClassifier
from core.vision.crops import crop_faces, resize
from core.vision.images import ImageError, read_image
from core.vision.model_card import ModelCard, load_card
from core.vision.pipeline import PIPELINES

PER_REPORT = 32


FACE_SIDE = 112


SURELY = 1e-4


"""Least probability that is told apart from none: a label that the model thinks impossible costs 9.2."""


@dataclass(frozen=True, eq=False)
class SecondOpinion:
    """A model's probabilities for the m faces of ``catalogue.faces``."""

    model: str
    classes: tuple[str, ...]
    probabilities: np.ndarray
    """(m, classes) float32; NaN where the picture could not be read."""
    labels: np.ndarray
    """(m,) str: the labels it is held against."""
    jpegs: tuple[bytes, ...]
    """The faces as small JPEG files, where they had to be cut from their picture; else empty."""

    def verdict(self, face: int) -> tuple[str, float] | None:
        """The likeliest class of a face and its probability, 0..1."""
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
        """(m,) bool: the model gives the face another label; never where it does not know the label's class."""
        best = np.array(self.classes)[np.nan_to_num(self.probabilities, nan=0).argmax(axis=1)]
        return (best != self.labels) & ~np.isnan(self.losses)


def classifier_card() -> ModelCard:
    """The card of the classifier in use; of the shipped one where the method in use has none.

    Raises:
        ModelError: it is missing or broken.
    """
    method = in_use().method
    own = PIPELINES[method.pipeline].model_kind == "classifier"
    return load_card(MODELS_DIR / f"{method.model if own else DEFAULT_CLASSIFIER}.json")


def suspicious(catalogue: Catalogue, opinion: SecondOpinion) -> np.ndarray:
    """Places in ``catalogue.faces`` of all labels that can be doubted, largest loss first, (k,) int.

    Faces that were set aside are left out: somebody has already decided on them.
    """
    losses = opinion.losses
    places = np.flatnonzero(~np.isnan(losses) & ~catalogue.faces.aside)
    return places[np.argsort(-losses[places], kind="stable")]


def judge(catalogue: Catalogue, classifier: MaskClassifier, report: Report = no_report) -> SecondOpinion:
    """Let the model look at every face that it has not seen yet, and keep what it says, also when asked to stop."""
    card = classifier.card
    stamps = _stamps(catalogue)
    known = _load(catalogue, card)
    seen = {item: known[item] for item, stamp in stamps.items() if item in known and known[item][0] == stamp}
    faces = catalogue.faces
    of_picture: dict[int, list[int]] = {}
    for face, place in enumerate(faces.picture.tolist()):
        of_picture.setdefault(place, []).append(face)
    missing = [place for place, some in of_picture.items() if any(faces.items[face] not in seen for face in some)]

    def cut(place: int) -> np.ndarray | None:
        return _crops(catalogue.pictures[place], card)

    try:
        with ThreadPoolExecutor() as pool:
            for start in range(0, len(missing), PER_REPORT):
                report(len(of_picture) - len(missing) + start, len(of_picture), "The model looks at pictures")
                some = missing[start : start + PER_REPORT]
                for place, crops in zip(some, pool.map(cut, some), strict=True):
                    unread = np.full((len(of_picture[place]), len(card.classes)), np.nan, np.float32)
                    probabilities = unread if crops is None else classifier.probabilities(crops)
                    for k, face in enumerate(of_picture[place]):
                        whole = catalogue.pictures[place].whole
                        jpeg = b"" if crops is None or whole else _small_jpeg(crops[k])
                        seen[faces.items[face]] = (stamps[faces.items[face]], probabilities[k], jpeg)
    except Cancelled:
        _save(catalogue, card, seen)
        raise
    if missing or len(seen) != len(known):
        _save(catalogue, card, seen)
    return _opinion(catalogue, card, seen)


def open_opinion(catalogue: Catalogue, card: ModelCard) -> SecondOpinion | None:
    """What the model of this card said of the set, or ``None`` if it has not judged all of it as it is now."""
    seen = _load(catalogue, card)
    if any(item not in seen or seen[item][0] != stamp for item, stamp in _stamps(catalogue).items()):
        return None
    return _opinion(catalogue, card, seen)


def opinion_stamp(catalogue: Catalogue, card: ModelCard) -> int:
    """Changes whenever the model has judged anew; 0 if it has not yet."""
    try:
        return _file(catalogue, card).stat().st_mtime_ns
    except OSError:
        return 0


def _crops(picture: Picture, card: ModelCard) -> np.ndarray | None:
    """(faces, size, size, 3) uint8 RGB as the model learnt from them; ``None`` if the picture cannot be read."""
    size = card.input_size
    try:
        frame = read_image(picture.path)
    except ImageError:
        return None
    if picture.whole:
        return cv2.cvtColor(resize(frame, (size, size)), cv2.COLOR_BGR2RGB)[None]
    # A box may reach over the edge, but not so far that its crop fills the memory.
    height, width = frame.shape[:2]
    return crop_faces(
        frame, np.clip(picture.xyxy, [-width, -height] * 2, [2 * width, 2 * height] * 2), size, card.margin
    )


def _small_jpeg(crop_rgb: np.ndarray) -> bytes:
    small = cv2.cvtColor(resize(crop_rgb, (FACE_SIDE, FACE_SIDE)), cv2.COLOR_RGB2BGR)
    return cv2.imencode(".jpg", small, [cv2.IMWRITE_JPEG_QUALITY, 82])[1].tobytes()


def _stamps(catalogue: Catalogue) -> dict[str, str]:
    """By item what its pixels depend on: the file as it was looked at, and the box."""
    stamps = {}
    faces = iter(catalogue.faces.items)
    for picture, row in zip(catalogue.pictures, catalogue.rows, strict=True):
        file = f"{row['bytes']} {row['changed_ns']}"
        for k in range(len(picture.labels)):
            box = "" if picture.whole else " ".join(f"{side:.1f}" for side in picture.xyxy[k])
            stamps[next(faces)] = f"{file} {box}"
    return stamps


def _opinion(catalogue: Catalogue, card: ModelCard, seen: dict[str, tuple[str, np.ndarray, bytes]]) -> SecondOpinion:
    entries = [seen[item] for item in catalogue.faces.items]
    probabilities = np.array([entry[1] for entry in entries], np.float32).reshape(-1, len(card.classes))
    return SecondOpinion(
        card.name, tuple(card.classes), probabilities, catalogue.faces.label, tuple(entry[2] for entry in entries)
    )


def _file(catalogue: Catalogue, card: ModelCard) -> Path:
    return cache_dir(catalogue.dataset.name) / f"opinion-{card.sha256[:16]}.npz"


def _load(catalogue: Catalogue, card: ModelCard) -> dict[str, tuple[str, np.ndarray, bytes]]:
    """Stamp, probabilities and small face by item; empty if there is no file or it is broken."""
    try:
        with np.load(_file(catalogue, card), allow_pickle=False) as kept:
            items, stamps = kept["items"].tolist(), kept["stamps"].tolist()
            probabilities, ends, jpegs = kept["probabilities"], kept["ends"].tolist(), kept["jpegs"].tobytes()
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        return {}
    if probabilities.shape != (len(items), len(card.classes)):
        return {}
    parts = (jpegs[start:end] for start, end in zip([0, *ends], ends, strict=False))
    return {item: (stamp, p, jpeg) for item, stamp, p, jpeg in zip(items, stamps, probabilities, parts, strict=True)}


def _save(catalogue: Catalogue, card: ModelCard, seen: dict[str, tuple[str, np.ndarray, bytes]]) -> None:
    columns: dict[str, Any] = {
        "items": np.array(list(seen), str),
        "stamps": np.array([stamp for stamp, _, _ in seen.values()], str),
        "probabilities": np.array([p for _, p, _ in seen.values()], np.float32).reshape(-1, len(card.classes)),
        "ends": np.cumsum([len(jpeg) for _, _, jpeg in seen.values()], dtype=np.int64),
        "jpegs": np.frombuffer(b"".join(jpeg for _, _, jpeg in seen.values()), np.uint8),
    }

    def write(path: Path) -> None:
        with path.open("wb") as file:
            np.savez(file, **columns)

    file = _file(catalogue, card)
    write_atomic(file, write)
    for old in file.parent.glob("opinion-*.npz"):
        if old != file:
            old.unlink(missing_ok=True)
