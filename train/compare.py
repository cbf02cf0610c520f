"""Models on labelled faces: the active one on a run's test faces, a run's own on every data set at hand.

All in the app's process, on LiteRT.
"""

import dataclasses
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import supervision as sv

from core.access import for_operators
from core.config import models_dir
from core.datasets.faces import face_view
from core.datasets.formats import DataError
from core.datasets.store import DataSet, read_pictures
from core.io import write_json
from core.jobs import Report, no_report
from core.language import mark, number, tr
from core.vision.boxes import match_boxes, shorter_sides
from core.vision.classifier import MaskClassifier, load_classifier
from core.vision.detections import PROBABILITIES, classes_of
from core.vision.images import ImageError, read_image
from core.vision.metrics import FOUND_IOU, balanced_accuracy
from core.vision.model_card import ModelCard, ModelError, load_card
from core.vision.pipeline import PIPELINES, DetectionSettings, Method, Pipeline, build_pipeline, detect_masks
from train.run_folder import CARD, SET_SCORES
from train.statistics import (
    NOT_FOUND,
    Difference,
    Predictions,
    in_words,
    paired_difference,
    read_predictions,
    share_interval,
)

AT_ONCE = 32
TEST_PARTS = ("test", "held_out")
# More faces than this make a comparison longer and its interval hardly narrower.
MAX_COMPARED = 1500
# More faces of one set than this tell nothing new; a seed makes the choice the same each time.
MAX_FACES_PER_SET = 2000


@dataclass(frozen=True, eq=False)
class FaceInPicture:
    """Where to find one labelled face."""

    path: Path
    xyxy: np.ndarray | None
    """(4,) box in pixels, ``None`` if the face is the whole picture."""


def find_faces(predictions: Predictions) -> list[FaceInPicture | None]:
    """Where the test faces of a run are, (n,); ``None`` for those whose picture is gone."""
    places: dict[tuple[str, str], FaceInPicture] = {}
    for folder in sorted(set(predictions.datasets)):
        try:
            pictures = read_pictures(folder)
        except (DataError, OSError):
            continue
        for picture in pictures:
            for i in range(len(picture.labels)):
                places[folder, picture.item(i)] = FaceInPicture(picture.path, picture.box(i))
    return [places.get(face) for face in zip(predictions.datasets, predictions.keys, strict=True)]


def read_crops(faces: Sequence[FaceInPicture | None], size: int, margin: float) -> list[np.ndarray | None]:
    """The faces as training cuts them, (n,); ``None`` where there is no picture to read."""

    def cut_one(face: FaceInPicture | None) -> np.ndarray | None:
        if face is None:
            return None
        try:
            return face_view(read_image(face.path), face.xyxy, size, margin)
        except (ImageError, OSError):
            return None

    with ThreadPoolExecutor() as pool:
        return list(pool.map(cut_one, faces))


def classifier_probabilities(
    classifier: MaskClassifier, faces: Sequence[FaceInPicture | None], report: Report = no_report
) -> np.ndarray:
    """Probabilities of a classifier: (n, classes of its card) in 0..1, NaN where there is no picture to read."""
    card = classifier.card
    result = np.full((len(faces), len(card.classes)), np.nan)
    for start in range(0, len(faces), AT_ONCE):
        report(start, len(faces), tr("Classifying faces"))
        crops = read_crops(faces[start : start + AT_ONCE], card.input_size, card.margin)
        seen = {start + i: crop for i, crop in enumerate(crops) if crop is not None}
        if seen:
            result[list(seen)] = classifier.probabilities(np.stack(list(seen.values())))
    return result


def detector_probabilities(
    pipeline: Pipeline, faces: list[FaceInPicture | None], report: Report = no_report
) -> tuple[np.ndarray, tuple[str, ...]]:
    """Probabilities of a pipeline that finds faces itself, for given ones: of the detection matched with each.

    Where the face is the whole picture, the largest detection stands for it.

    Returns:
        (n, k) in 0..1 and the k class names; NaN where it does not find the face or there is no picture.
    """
    result = np.full((len(faces), len(pipeline.classes)), np.nan)
    classes = tuple(pipeline.classes)
    last: tuple[Path | None, np.ndarray | None, sv.Detections | None] = (None, None, None)
    for i, face in enumerate(faces):
        if i % 8 == 0:
            report(i, len(faces), tr("Classifying faces"))
        if face is None:
            continue
        if face.path != last[0]:
            try:
                frame = read_image(face.path)
            except (ImageError, OSError):
                last = (face.path, None, None)
                continue
            last = (face.path, frame, detect_masks(frame, pipeline, DetectionSettings(min_confidence=0, min_face_px=8)))
        detections = last[2]
        if detections is None or not len(detections):
            continue
        if face.xyxy is None:
            place = int(np.argmax(shorter_sides(detections.xyxy)))
        else:
            matched, _ = match_boxes(detections.xyxy, np.asarray(face.xyxy)[None], FOUND_IOU)
            if not len(matched):
                continue
            place = int(matched[0])
        columns = [classes_of(detections).index(name) for name in classes]
        result[i] = detections.data[PROBABILITIES][place, columns]
    return result, classes


def predicted_classes(probabilities: np.ndarray, names: tuple[str, ...], classes: tuple[str, ...]) -> np.ndarray:
    """The likeliest of ``classes``, the others left out: (n,) int, ``NOT_FOUND`` where nothing is known.

    Args:
        probabilities: (n, k), NaN where nothing is known.
        names: the k classes of the columns.
        classes: those to choose from, all among ``names``.
    """
    asked = probabilities[:, [names.index(name) for name in classes]]
    unknown = np.isnan(asked).any(axis=1)
    return np.where(unknown, NOT_FOUND, np.nan_to_num(asked, nan=0.0).argmax(axis=1))


def unknown_classes(classes: tuple[str, ...], known: tuple[str, ...]) -> tuple[str, ...]:
    """The classes that another model cannot tell; with any, the two are not comparable."""
    return tuple(name for name in classes if name not in known)


@dataclass(frozen=True)
class PartComparison:
    """A run's model against the active model on one part of its test faces, or on all of them."""

    part: str
    """``test``, ``held_out``, or empty for both together."""
    why_not: str = ""
    """Why there is nothing to compare, in English; ``{names}`` stands for ``unknown``."""
    difference: Difference | None = None
    """``None`` if there is nothing to compare."""
    unknown: tuple[str, ...] = ()
    """Classes that the active model does not know."""
    faces: int = 0
    """Of the part, those that could not be compared included."""
    learnt: int = 0
    """Faces that the active model was, or may have been, trained on."""
    surely_learnt: bool = False
    gone: int = 0
    """Faces whose picture is not there any more."""
    not_found: int = 0
    """Faces that the active model does not find."""

    @property
    def sentence(self) -> str:
        """Whether it is better, by how much, and on how many faces."""
        if self.difference is None:
            return tr(self.why_not).format(names=tr(" and ").join(self.unknown))
        return in_words(self.difference)

    @property
    def cautions(self) -> tuple[str, ...]:
        """What speaks against trusting it, a sentence each."""
        if self.difference is None:
            return ()
        compared, numbers = self.difference.faces, {"total": number(self.faces, ",")}
        found = []
        if self.learnt:
            words = tr(
                "The active model may have been trained on {count} of these {faces} faces, which flatters it: it may "
                "have learnt them by heart."
            )
            if self.surely_learnt:
                words = tr(
                    "The active model was trained on {count} of these {faces} faces, which flatters it: it may have "
                    "learnt them by heart."
                )
            found.append(words.format(count=number(self.learnt, ","), faces=number(compared, ",")))
        if self.gone:
            words = tr("Left out of {total} faces: {count}, because the image is gone.")
            found.append(words.format(count=number(self.gone, ","), **numbers))
        if self.not_found:
            words = tr("Left out of {total} faces: {count}, because the active model finds no face.")
            found.append(words.format(count=number(self.not_found, ","), **numbers))
        return tuple(found)


def compare_with_method(
    run_folder: Path,
    method: Method,
    folder: Path | None = None,
    runs: Sequence[Path] = (),
    report: Report = no_report,
) -> list[PartComparison]:
    """Compare a finished run's model with the active method, on the faces that the run kept for its test.

    Args:
        run_folder: of the run.
        method: the active one.
        folder: where its model is.
        runs: folders of the other runs at hand: one may have made the active model, and knows its test faces.

    Returns:
        First all faces together; then, if there are two parts, each of them.

    Raises:
        DataError, ModelError: predictions or models cannot be used.
    """
    folder = folder or models_dir()
    predictions = read_predictions(run_folder)
    card, own = load_card(folder / f"{method.model}.json"), load_card(run_folder / CARD)
    if card.sha256 == own.sha256:
        return [PartComparison("", mark("This is the active model."))]
    if not len(predictions):
        return [PartComparison("", mark("Nothing was kept for a test, so it cannot be said how good it is."))]
    if missing := unknown_classes(predictions.classes, card.classes):
        why_not = mark("Not comparable: the active model does not know {names}. This one does.")
        return [PartComparison("", why_not, unknown=missing)]
    chosen = np.concatenate([_some_of(predictions, part) for part in TEST_PARTS])
    predictions = predictions.at(np.sort(chosen))
    faces = find_faces(predictions)
    if PIPELINES[method.pipeline].model_kind == "classifier":
        probabilities = classifier_probabilities(load_classifier(method.model, folder), faces, report)
        known = card.classes
    else:
        probabilities, known = detector_probabilities(build_pipeline(*method), faces, report)
    predicted = predicted_classes(probabilities, known, predictions.classes)
    gone = np.array([face is None for face in faces])
    own_test = _predictions_of(card, runs)
    parts = {part: at for part in TEST_PARTS if len(at := predictions.places_of(part))}
    if len(parts) > 1:
        parts = {"": np.arange(len(predictions)), **parts}
    return [
        _compare_part(part, predictions.at(at), predicted[at], int(gone[at].sum()), card, own_test)
        for part, at in parts.items()
    ]


def _some_of(predictions: Predictions, part: str) -> np.ndarray:
    """Places of the faces of a part, or of some of them if they are very many; the same each time."""
    return np.random.default_rng(0).permutation(predictions.places_of(part))[:MAX_COMPARED]


def _compare_part(
    name: str,
    predictions: Predictions,
    predicted: np.ndarray,
    gone: int,
    card: ModelCard,
    own_test: Predictions | None,
) -> PartComparison:
    """Compare on some faces.

    Args:
        name: of the part.
        predictions: of the run's model.
        predicted: (n,) int, what the active model says of them, ``NOT_FOUND`` where it says nothing.
        gone: of how many the picture is not there any more.
        card: of the active model.
        own_test: what the run that made the active model kept for its test, if it is at hand.
    """
    seen = np.flatnonzero(predicted != NOT_FOUND)
    if not len(seen):
        return PartComparison(name, mark("Not comparable: the active model cannot classify any of the test faces."))
    part = predictions.at(seen)
    difference = paired_difference(part.predicted == part.labels, predicted[seen] == part.labels, part.photos)
    return PartComparison(
        name,
        difference=difference,
        faces=len(predictions),
        learnt=may_have_learnt(card, part, own_test),
        surely_learnt=bool(own_test),
        gone=gone,
        not_found=len(predictions) - len(seen) - gone,
    )


def _predictions_of(card: ModelCard, runs: Sequence[Path]) -> Predictions | None:
    """What the run that made a model kept for its test, if it is one of these."""
    for run in runs:
        try:
            if load_card(run / CARD).sha256 == card.sha256:
                return read_predictions(run)
        except (ModelError, DataError):
            continue
    return None


def may_have_learnt(card: ModelCard, predictions: Predictions, own_test: Predictions | None) -> int:
    """How many of the faces a model may have been trained on.

    Args:
        card: of that model; it names the data sets it was trained on.
        predictions: the faces.
        own_test: what that model's own run kept for its test, if the run is at hand.
    """
    learnt = {str(entry.get("name")) for entry in card.data if _trained_on(entry)}
    kept = set(zip(own_test.datasets, own_test.keys, strict=True)) if own_test else set()
    return sum(
        Path(folder).name in learnt and (folder, key) not in kept
        for folder, key in zip(predictions.datasets, predictions.keys, strict=True)
    )


def _trained_on(entry: dict) -> bool:
    faces = entry.get("faces") or {}
    # Where a card does not say which part is which, all of it may have been trained on.
    return any((faces.get(part) or {}) and any(faces[part].values()) for part in ("train", "val")) or not faces


@dataclass(frozen=True)
class SetScore:
    """How well a model does on one data set."""

    name: str
    faces: int
    right: int
    """Of the faces, how many are classified right."""
    balanced: float | None
    """Balanced accuracy, 0..1; ``None`` if the set lacks a class."""
    learnt_from: bool
    """The model was trained on this set; only the faces kept for its test count."""
    left_out: int
    """Faces of classes that the model does not know."""

    @property
    def interval(self) -> tuple[float, float]:
        """Where the true accuracy lies with 95 % confidence, 0..1 each."""
        return share_interval(self.right, self.faces)


@for_operators
def score_run(
    run_folder: Path, datasets: list[DataSet], learnt_from: list[str], min_face_px: float, report: Report = no_report
) -> None:
    """Score a finished run's model on every labelled set; the file in its folder grows set by set.

    Args:
        run_folder: of the run.
        datasets: sets at hand.
        learnt_from: folders that it took its training faces from.
        min_face_px: smaller annotated faces are left out.

    Raises:
        ModelError: its model cannot be used.
    """
    card = load_card(run_folder / CARD)
    classifier = MaskClassifier(card, run_folder / card.file)
    try:
        predictions = read_predictions(run_folder)
    except DataError:
        predictions = None
    rows = []
    for score in score_sets(classifier, datasets, predictions, learnt_from, min_face_px, report):
        low, high = score.interval
        rows.append({**dataclasses.asdict(score), "low": low, "high": high})
        write_json(run_folder / SET_SCORES, {"sets": rows})


def score_sets(
    classifier: MaskClassifier,
    datasets: list[DataSet],
    predictions: Predictions | None,
    learnt_from: list[str],
    min_face_px: float,
    report: Report = no_report,
) -> Iterator[SetScore]:
    """Score a model on every labelled set, one after the other; sets of which it knows no class are passed over.

    Args:
        classifier: the model.
        datasets: sets at hand.
        predictions: of the model's own run; what it kept for testing.
        learnt_from: folders that the model's run took its training faces from.
        min_face_px: smaller annotated faces are left out.
    """
    for dataset in datasets:
        score = _score_set(classifier, dataset, predictions, learnt_from, min_face_px, report)
        if score:
            yield score


def _score_set(
    classifier: MaskClassifier,
    dataset: DataSet,
    predictions: Predictions | None,
    learnt_from: list[str],
    min_face_px: float,
    report: Report,
) -> SetScore | None:
    classes = classifier.card.classes
    learnt = str(dataset.folder) in learnt_from
    kept = None
    if learnt:
        if predictions is None:
            return None
        kept = {key for data, key in zip(predictions.datasets, predictions.keys, strict=True)
                if data == str(dataset.folder)}  # fmt: skip
    try:
        pictures = read_pictures(dataset.folder)
    except (DataError, OSError):
        return None
    faces, labels, left_out = [], [], 0
    for picture in pictures:
        large = [True] if picture.whole else (shorter_sides(picture.xyxy) >= min_face_px).tolist()
        for i in picture.counted:
            label = picture.labels[i]
            if not large[i] or (kept is not None and picture.item(i) not in kept):
                continue
            if label not in classes:
                left_out += 1
                continue
            faces.append(FaceInPicture(picture.path, picture.box(i)))
            labels.append(classes.index(label))
    if not faces:
        return None
    if len(faces) > MAX_FACES_PER_SET:
        some = np.sort(np.random.default_rng(0).permutation(len(faces))[:MAX_FACES_PER_SET])
        faces, labels = [faces[i] for i in some], [labels[i] for i in some]

    def named(done: int, total: int, text: str = "") -> None:
        report(done, total, tr("Classifying the faces of {name}").format(name=dataset.name))

    predicted = predicted_classes(classifier_probabilities(classifier, faces, named), classes, classes)
    seen, truth = predicted != NOT_FOUND, np.array(labels)
    if not seen.any():
        return None
    predicted, truth = predicted[seen], truth[seen]
    right = int((predicted == truth).sum())
    balanced = balanced_accuracy(predicted, truth, len(classes))
    return SetScore(dataset.name, len(truth), right, balanced, learnt, left_out)
