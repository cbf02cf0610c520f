"""A visitor's photos: what is known of each, judged once per change of settings, pixels kept within a limit."""

import logging
import time
from collections.abc import Callable, Hashable, Iterable
from dataclasses import dataclass, field
from functools import partial

import numpy as np
import supervision as sv

from core.turns import Turns
from core.vision.images import DecodedImages, ImageError, LoadedImage, load_image, turn_image
from core.vision.model_card import ModelError
from core.vision.pipeline import PIPELINES, DetectionSettings, Method, Pipeline, detect_masks
from core.vision.upright import quarters_to_upright

log = logging.getLogger(__name__)
# A photo is decoded no larger than a pipeline looks at it: 2,048 px, or the nearest that costs no second scaling.
LEAST_SIDES = 1900, 950
FAILED = "This photo could not be classified; try it in another format or size."

Detect = Callable[[LoadedImage], sv.Detections]
"""Finds the faces of a picture that may be smaller than its file's; boxes are in pixels of the whole picture."""
OtherTurn = Callable[[LoadedImage, sv.Detections], int]
"""By how many quarters a picture, in which this was found, must be turned clockwise for its faces to be upright."""


def detector_of(pipeline: Pipeline, settings: DetectionSettings) -> Detect:
    """What finds and classifies the faces of a photo."""
    return lambda image: detect_masks(image.frame_bgr, pipeline, settings, image.size_wh)


def looks_at_all_pixels(method: Method) -> bool:
    """Whether faces are cut out of the photo, so that it must not be reduced while it is decoded."""
    return PIPELINES[method.pipeline].model_kind == "classifier"


def classify_upright(image: LoadedImage, detect: Detect, other_turn: OtherTurn) -> tuple[sv.Detections, int]:
    """Classify a picture as it is stored or, where its faces are upright only then, turned.

    Returns:
        What was found, in pixels of the whole picture as it is turned, and by how many quarters that is, clockwise.
    """
    found = detect(image)
    quarters = other_turn(image, found)
    return (detect(turn_image(image, quarters)) if quarters else found), quarters


@dataclass(frozen=True, eq=False)
class ClassifiedPhoto:
    """What there is to say of a photo file that nobody has turned."""

    detections: sv.Detections
    """In pixels of the whole photo as it is turned."""
    size_wh: tuple[int, int]
    """Of the whole photo as it is turned."""
    turned: int
    """By how many quarters it is turned clockwise, since its faces are upright that way."""
    note: str
    """What of the file is left out, in one sentence; empty if nothing is."""


def classify_photo(data: bytes, method: Method, pipeline: Pipeline, settings: DetectionSettings) -> ClassifiedPhoto:
    """Decode and classify the bytes of a photo file, as the Photo page does.

    Args:
        data: a whole file.
        method: what the pipeline was built from.
        pipeline: of that method.
        settings: limits; ``PHOTO_SETTINGS`` are the page's.

    Raises:
        ImageError: the file cannot be decoded.
        ModelError: the model broke down.
    """
    image = load_image(data, None if looks_at_all_pixels(method) else LEAST_SIDES)
    found, turned = classify_upright(image, detector_of(pipeline, settings), partial(quarters_to_upright, pipeline))
    return ClassifiedPhoto(found, turn_image(image, turned).size_wh, turned, image.note)


@dataclass(eq=False)
class Photo:
    """One picture file and the newest predictions on it."""

    key: str
    """Tells this upload from every other, also of the same name."""
    name: str
    """The file's own name, for people; never used as a path."""
    read: Callable[[], bytes]
    problem: str = ""
    """Why it cannot be judged, in one sentence; empty if it can."""
    note: str = ""
    """What of the file is left out, in one sentence; empty if nothing is."""
    turned: int | None = None
    """How many quarters it is turned clockwise; ``None`` as long as nobody has tried another way up."""
    found_turned: bool = False
    """Whether it is turned because its faces are upright that way, without a person who said so."""
    judged_with: Hashable = None
    detections: sv.Detections | None = None
    compared: dict[Hashable, tuple[sv.Detections, float]] = field(default_factory=dict)
    """What other ways of judging it gave, and the milliseconds they took, by what they depend on."""

    def turn(self, quarters: int = 1) -> None:
        """Turn it clockwise; it must be judged anew."""
        self.turned = ((self.turned or 0) + quarters) % 4
        self.judged_with, self.detections, self.found_turned = None, None, False
        self.compared.clear()

    def whole(self) -> np.ndarray:
        """All its pixels, decoded anew: (h, w, 3) uint8 BGR. Raises: ImageError."""
        return turn_image(load_image(self.read()), self.turned or 0).frame_bgr


class PhotoSet:
    """The photos on a page. One object per visitor; it knows nothing of Streamlit."""

    def __init__(self, turns: Turns | None = None) -> None:
        """Args: what the visitors of a server share; without it, nobody waits."""
        self._photos: dict[str, Photo] = {}
        self._decoded = DecodedImages()
        self._turns = turns or Turns()

    def show(self, files: Iterable[tuple[str, str, Callable[[], bytes]]]) -> list[Photo]:
        """Take in the files (key, name, read) that are on the page now; forget all others.

        Returns:
            A photo for each file, with everything that is known of it already.
        """
        self._photos = {key: self._photos.get(key) or Photo(key, name, read) for key, name, read in files}
        self._decoded.keep_only(self._photos)
        return list(self._photos.values())

    def image(self, photo: Photo, whole: bool = False) -> LoadedImage:
        """The photo's pixels, decoded anew if they were not kept, turned as it is.

        Args:
            photo: one of those on the page.
            whole: with all its pixels, instead of as many as the detector looks at.

        Raises:
            ImageError: the file cannot be decoded.
        """
        image = self._decoded.get(photo.key, photo.read, None if whole else LEAST_SIDES)
        return turn_image(image, photo.turned or 0)

    def judge(
        self,
        detect: Detect,
        made_with: Hashable,
        progress: Callable[[int, int], object] = lambda done, total: None,
        waiting: Callable[[int], object] = lambda before: None,
        whole: bool = False,
        other_turn: OtherTurn = lambda image, found: 0,
    ) -> None:
        """Judge every photo that was not judged with exactly these settings yet; a failure costs that photo alone.

        Args:
            detect: what judges a picture.
            made_with: what the predictions depend on.
            progress: called with photos done and photos to do.
            waiting: called with the number of photos that are before the next one, as by ``core.turns``.
            whole: as for ``image``.
            other_turn: asked once for a photo that nobody has turned.

        Raises:
            ModelError: the model broke down.
        """
        todo = [photo for photo in self._photos.values() if not photo.problem and photo.judged_with != made_with]
        for done, photo in enumerate(todo, start=1):
            with self._turns.turn(waiting):
                self._judge(photo, detect, whole, other_turn)
            photo.judged_with = made_with
            progress(done, len(todo))

    def _judge(self, photo: Photo, detect: Detect, whole: bool, other_turn: OtherTurn) -> None:
        try:
            image = self.image(photo, whole)
            photo.note = image.note
            if photo.turned is None:
                photo.detections, photo.turned = classify_upright(image, detect, other_turn)
                photo.found_turned = photo.turned > 0
            else:
                photo.detections = detect(image)
        except ImageError as error:
            photo.problem = str(error)
        except ModelError:  # no fault of the photo's: another model may classify it
            raise
        except Exception:  # one photo that breaks the analysis must not cost the others their results
            log.exception("A photo could not be judged")
            photo.problem = FAILED

    def compare(
        self, photo: Photo, detect: Detect, made_with: Hashable, whole: bool = False
    ) -> tuple[sv.Detections, float]:
        """Classify a photo another way, beside its own predictions, once for each ``made_with``.

        Returns:
            The detections and the milliseconds that they took.
        """
        if made_with not in photo.compared:
            with self._turns.turn():
                image = self.image(photo, whole)
                started = time.perf_counter()
                found = detect(image)
                photo.compared[made_with] = found, (time.perf_counter() - started) * 1000
        return photo.compared[made_with]
