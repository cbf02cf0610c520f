"""Frame in, detections out: how a face finder and a mask classifier work together, and which pipelines there are."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple, Protocol

import numpy as np
import supervision as sv

from core.config import models_dir
from core.language import mark
from core.vision.boxes import clip_boxes, shorter_sides
from core.vision.classes import CLASS_NAMES, WORN_INCORRECTLY
from core.vision.classifier import DEFAULT_CLASSIFIER, MaskClassifier, load_classifier
from core.vision.detections import FACE_SCORE, HIDDEN, PREDICTED, fitted, make_detections, no_detections
from core.vision.detector import DEFAULT_DETECTOR, DEFAULT_PRESET, MaskDetector, load_detector, tiny_px
from core.vision.haar import HaarFaceFinder, HaarSettings
from core.vision.model_card import file_sha256, shown_from


@dataclass(frozen=True)
class DetectionSettings:
    """What a person can set for every frame; a pipeline ignores what is not its own."""

    min_confidence: float = 0.5
    """Faces whose likeliest class is less sure get no prediction, 0..1."""
    min_face_px: float = 0
    """Faces whose shorter side is smaller, in pixels of the frame, are hidden and counted as such."""
    haar: HaarSettings = field(default_factory=HaarSettings)
    """Knobs of the classic pipeline's cascade."""
    preset: str = DEFAULT_PRESET
    """How closely the detector looks, a key of ``core.vision.detector.PRESETS``."""
    use: str = "photo"
    """``photo`` or ``live``: which of the pipeline's own limits for ``face_score`` holds."""
    min_face_score: float | None = None
    """Faces less likely than this are left out, 0..1; ``None`` leaves it to the pipeline."""


# A photo can wait a twentieth of a second for the closest look.
PHOTO_SETTINGS = DetectionSettings(preset="thorough")
# For live video a box that comes soon is worth more than a far face, where looking for that takes longer.
LIVE_SETTINGS = DetectionSettings(haar=HaarSettings(scale_factor=1.1, min_neighbors=3, min_face_px=48), use="live")


class Pipeline(Protocol):
    """What every pipeline can do. It is shared by all visitors, so a call must be safe from any thread."""

    classes: tuple[str, ...]
    """The names of its predictions; ``class_id`` counts through ``core.vision.classes.vocabulary`` of them."""
    face_scores: dict[str, float | dict[str, float]]
    """How likely a face must be to be shown, 0..1, as in ``ModelCard``; for a use that is missing, 0."""

    def __call__(self, frame_bgr: np.ndarray, settings: DetectionSettings) -> sv.Detections:
        """Find and classify the faces of a frame (h, w, 3) uint8; fields as in ``core.vision.detections``."""
        ...


class ClassicPipeline:
    """The report's pipeline: a cascade finds faces, MobileNetV2 classifies them all in one call."""

    def __init__(self, classifier: MaskClassifier):
        """Args: a loaded classifier. Raises: ModelError, if OpenCV comes without cascades."""
        self.find_faces = HaarFaceFinder()
        self.classifier = classifier
        self.classes = classifier.card.classes
        self.face_scores: dict = {}  # the cascade has its own limit: the windows that must agree

    def __call__(self, frame_bgr: np.ndarray, settings: DetectionSettings) -> sv.Detections:
        xyxy, face_score = self.find_faces(frame_bgr, settings.haar)
        if not len(xyxy):
            return no_detections(self.classifier.classes)
        probabilities = self.classifier.predict(frame_bgr, xyxy)
        xyxy = clip_boxes(xyxy, frame_bgr.shape[1::-1])
        return _predictions(xyxy, probabilities.argmax(axis=1), face_score, self.classifier.classes, probabilities)


class NeuralPipeline:
    """The centre-point detector: one pass finds and classifies every face."""

    classes: tuple[str, ...] = CLASS_NAMES

    def __init__(self, detector: MaskDetector):
        """Args: a loaded detector."""
        self.detector = detector
        self.face_scores = detector.card.face_scores
        self.tiny_face_scores = detector.card.tiny_face_scores

    def __call__(self, frame_bgr: np.ndarray, settings: DetectionSettings) -> sv.Detections:
        xyxy, face_score, probabilities = self.detector.find(
            frame_bgr, settings.preset, least_face_score(self, settings)
        )
        return _predictions(xyxy, probabilities.argmax(axis=1), face_score, CLASS_NAMES, probabilities)


class CombinedPipeline:
    """The detector finds the faces, a classifier of any classes looks at each again and classifies it, all in one call.

    A classifier of the project's classes that does not know masks worn incorrectly leaves these to the detector: where
    the detector sees one, its prediction stays; elsewhere the classifier's holds.
    """

    def __init__(self, detector: MaskDetector, classifier: MaskClassifier):
        """Args: a loaded detector and a loaded classifier."""
        self.detector, self.classifier = detector, classifier
        self.face_scores = detector.card.face_scores
        self.tiny_face_scores = detector.card.tiny_face_scores
        own, third = classifier.card.classes, CLASS_NAMES[WORN_INCORRECTLY]
        self._asks_detector = classifier.classes == CLASS_NAMES and third not in own
        self.classes = (*own, third) if self._asks_detector else own

    def __call__(self, frame_bgr: np.ndarray, settings: DetectionSettings) -> sv.Detections:
        xyxy, face_score, states = self.detector.find(frame_bgr, settings.preset, least_face_score(self, settings))
        if not len(xyxy):
            return no_detections(self.classifier.classes)
        probabilities = self.classifier.predict(frame_bgr, xyxy)
        class_id = probabilities.argmax(axis=1)
        if self._asks_detector:
            worn_incorrectly = states.argmax(axis=1) == WORN_INCORRECTLY
            class_id[worn_incorrectly] = WORN_INCORRECTLY
            # The detector's share of the third class; the classifier divides the rest.
            share = states[:, WORN_INCORRECTLY]
            probabilities *= 1 - share[:, None]
            probabilities[:, WORN_INCORRECTLY] = share
        return _predictions(xyxy, class_id, face_score, self.classifier.classes, probabilities)


def _predictions(
    xyxy: np.ndarray,
    class_id: np.ndarray,
    face_score: np.ndarray,
    classes: tuple[str, ...],
    probabilities: np.ndarray,
) -> sv.Detections:
    """Detections whose confidence is the probability of their class."""
    confidence = probabilities[np.arange(len(class_id)), class_id]
    return make_detections(xyxy, class_id, confidence, face_score, classes, probabilities)


@dataclass(frozen=True)
class PipelineSpec:
    """One entry of the registry: what a person reads, and how the pipeline is made."""

    title: str
    summary: str
    build: Callable[[str], Pipeline]
    """Makes the pipeline from the name of a model in ``models/``; this loads files and takes a moment."""
    default_model: str
    model_kind: str
    """The kind of its model's card."""
    uses_haar: bool = False
    """Whether the cascade's own settings apply."""
    uses_preset: bool = False
    """Whether it can look more or less closely."""
    finds_with: str = ""
    """The model that finds the faces, if that is another one."""


PIPELINES: dict[str, PipelineSpec] = {
    "neural": PipelineSpec(
        title=mark("Neural"),
        summary=mark("One network finds every face, from any side, with or without a mask, and says how it is worn."),
        build=lambda model: NeuralPipeline(load_detector(model)),
        default_model=DEFAULT_DETECTOR,
        model_kind="detector",
        uses_preset=True,
    ),
    "classic": PipelineSpec(
        title=mark("Classic"),
        summary=mark(
            "A Haar cascade finds upright faces, MobileNetV2 classifies each. Made for people who face the camera."
        ),
        build=lambda model: ClassicPipeline(load_classifier(model)),
        default_model=DEFAULT_CLASSIFIER,
        model_kind="classifier",
        uses_haar=True,
    ),
    "combined": PipelineSpec(
        title=mark("Neural + classifier"),
        summary=mark(
            "The network of Neural finds every face, a classifier of your choice classifies each: your own, too."
        ),
        build=lambda model: CombinedPipeline(load_detector(), load_classifier(model)),
        default_model=DEFAULT_CLASSIFIER,
        model_kind="classifier",
        uses_preset=True,
        finds_with=DEFAULT_DETECTOR,
    ),
}
DEFAULT_PIPELINE = "neural"


class Method(NamedTuple):
    """A pipeline and the model it works with: what a person chooses."""

    pipeline: str
    """A key of ``PIPELINES``."""
    model: str
    """A model of ``models/``."""


def method_with_its_own_model(pipeline: str = DEFAULT_PIPELINE) -> Method:
    """A pipeline with the model that it has unless another is chosen."""
    return Method(pipeline, PIPELINES[pipeline].default_model)


def method_for_model(model: str, kind: str) -> Method:
    """The pipeline in which a model runs that is only named: a classifier gets the faces that the detector finds."""
    return Method("combined" if kind == "classifier" else "neural", model)


def method_version(method: Method, folder: Path | str | None = None) -> str:
    """Changes with the models that a method works with, also where their names stay; empty if one is missing."""
    folder = Path(folder or models_dir())
    try:  # a card holds the digest of its model
        return " ".join(file_sha256(folder / f"{model}.json")[:16] for model in models_of(method))
    except OSError:
        return ""


def models_of(method: Method) -> list[str]:
    """The names of all models that a method works with, the chosen one first."""
    finds_with = PIPELINES[method.pipeline].finds_with if method.pipeline in PIPELINES else ""
    return [method.model, *([finds_with] if finds_with else [])]


def build_pipeline(name: str = DEFAULT_PIPELINE, model: str | None = None) -> Pipeline:
    """Make a pipeline by name.

    Args:
        name: a key of ``PIPELINES``.
        model: a model of ``models/``; without it, the pipeline's own.

    Raises:
        ValueError: there is no such pipeline; ``ModelError``, a kind of it, if its model cannot be used.

    >>> build_pipeline("neural").classes
    ('with_mask', 'without_mask', 'mask_weared_incorrect')
    """
    if name not in PIPELINES:
        raise ValueError(f"There is no pipeline {name!r}; possible are {', '.join(PIPELINES)}.")
    spec = PIPELINES[name]
    return spec.build(model or spec.default_model)


def least_face_score(pipeline: Pipeline, settings: DetectionSettings) -> float:
    """How likely a face must be to be shown, 0..1."""
    if settings.min_face_score is not None:
        return settings.min_face_score
    return shown_from(pipeline.face_scores, settings.use, settings.preset)


def least_face_scores(
    pipeline: Pipeline, settings: DetectionSettings, frame_bgr: np.ndarray, xyxy: np.ndarray
) -> np.ndarray:
    """The same for each box (n, 4) in a frame: tiny ones must be surer where the model's card says so; (n,) float."""
    least = np.full(len(xyxy), least_face_score(pipeline, settings))
    tiny_scores = getattr(pipeline, "tiny_face_scores", {})
    if tiny_scores and settings.min_face_score is None:
        tiny = shown_from(tiny_scores, settings.use, settings.preset)
        least[shorter_sides(xyxy) < tiny_px(frame_bgr, settings.preset)] = max(
            tiny, least_face_score(pipeline, settings)
        )
    return least


def detect_masks(
    frame_bgr: np.ndarray,
    pipeline: Pipeline,
    settings: DetectionSettings | None = None,
    size_wh: tuple[int, int] | None = None,
) -> sv.Detections:
    """Find the faces of a frame and say how each wears a mask. The one way in, for photo, video, webcam and scores.

    Args:
        frame_bgr: (h, w, 3) uint8 of any size; it is not changed.
        pipeline: from ``build_pipeline``.
        settings: limits; the defaults if left out.
        size_wh: of the whole picture, where the frame is a smaller copy of it.

    Returns:
        Detections as described in ``core.vision.detections``, from left to right, in pixels of the whole picture.

    Raises:
        ValueError: the frame has another shape or type.

    >>> nobody = np.full((120, 160, 3), 127, np.uint8)
    >>> len(detect_masks(nobody, build_pipeline(), PHOTO_SETTINGS))
    0
    """
    if not isinstance(frame_bgr, np.ndarray) or frame_bgr.dtype != np.uint8:
        raise ValueError(f"A frame must be a uint8 array, got {getattr(frame_bgr, 'dtype', type(frame_bgr).__name__)}.")
    if frame_bgr.ndim != 3 or frame_bgr.shape[2] != 3 or not frame_bgr.size:
        raise ValueError(f"A frame must have the shape (h, w, 3), got {frame_bgr.shape}.")
    settings = settings or DetectionSettings()
    found = pipeline(frame_bgr, settings)
    found = found[found.data[FACE_SCORE] >= least_face_scores(pipeline, settings, frame_bgr, found.xyxy)]
    if size_wh:
        found = fitted(found, frame_bgr.shape[1::-1], size_wh)
    found = found[np.argsort(found.xyxy[:, 0] + found.xyxy[:, 2], kind="stable")]
    found.data[PREDICTED] = found.confidence >= settings.min_confidence
    return hide_small(found, settings.min_face_px)


def hide_small(detections: sv.Detections, min_face_px: float) -> sv.Detections:
    """The faces whose shorter side is no smaller, in pixels of the frame; the others are counted as hidden."""
    large = shorter_sides(detections.xyxy) >= min_face_px
    if large.all():
        return detections
    kept = detections[large]
    kept.metadata = {**kept.metadata, HIDDEN: int((~large).sum())}
    return kept
