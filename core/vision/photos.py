"""A visitor's photos: what is known of each, classified once per change of settings, pixels kept within a limit."""

import io
import logging
import math
import re
import secrets
import time
import zipfile
from collections.abc import Callable, Hashable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from functools import partial

import numpy as np
import supervision as sv

from core.language import current, mark, tr, using
from core.turns import Turns
from core.vision.annotate import annotate
from core.vision.blur import blur_faces
from core.vision.crops import fit_within
from core.vision.detections import fitted
from core.vision.images import (
    DecodedImages,
    ImageError,
    LoadedImage,
    encode_image,
    load_image,
    turn_frame,
    turn_image,
)
from core.vision.model_card import ModelError
from core.vision.pipeline import PIPELINES, DetectionSettings, Method, Pipeline, detect_masks, hide_small
from core.vision.upright import quarters_to_upright

log = logging.getLogger(__name__)
# A photo is decoded no larger than a pipeline looks at it: 2,048 px, or the nearest that costs no second scaling.
LEAST_SIDES = 1900, 950
THUMBNAIL_SIDE = 180
JPEG_SUFFIXES = (".jpg", ".jpeg")
# What file names cannot hold on some system.
UNFIT = re.compile(r'[\\/:*?"<>|\x00-\x1f\x7f]')
FAILED = mark("This photo could not be classified; try it in another format or size.")

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


def draw_photo(frame_bgr: np.ndarray, found: sv.Detections, covered_xyxy: np.ndarray | None = None) -> np.ndarray:
    """The photo with a box per face; where there are several, they are numbered as in tables.

    Args:
        frame_bgr: (h, w, 3) uint8, of any size; it is not changed.
        found: in pixels of that frame.
        covered_xyxy: (n, 4) boxes of faces that are made unrecognizable.
    """
    if covered_xyxy is not None:
        frame_bgr = blur_faces(frame_bgr, covered_xyxy)
    return annotate(frame_bgr, found, numbered=len(found) > 1)


def unique_names(names: Iterable[str]) -> list[str]:
    """The names, those that are there already with a number: on no system is one taken for another.

    >>> unique_names(["a.jpg", "A.jpg", "b", "b"])
    ['a.jpg', 'A (2).jpg', 'b', 'b (2)']
    """
    taken: set[str] = set()
    told_apart = []
    for name in names:
        stem, dot, suffix = name.rpartition(".")
        stem, suffix = (stem, dot + suffix) if stem else (name, "")
        number, unique = 1, name
        while unique.casefold() in taken:
            number += 1
            unique = f"{stem} ({number}){suffix}"
        taken.add(unique.casefold())
        told_apart.append(unique)
    return told_apart


def jpeg_name(name: str) -> str:
    """What the picture made of a photo of this name is called.

    >>> jpeg_name("door.JPG"), jpeg_name("door.png"), jpeg_name("../door")
    ('door.JPG', 'door.png.jpg', '.._door.jpg')
    """
    name = UNFIT.sub("_", name)
    return name if name.lower().endswith(JPEG_SUFFIXES) else f"{name}.jpg"


@dataclass(eq=False)
class Photo:
    """One picture file and the newest predictions on it."""

    key: str
    """Tells this upload from every other, also of the same name."""
    name: str
    """The file's own name, for people; never used as a path."""
    read: Callable[[], bytes]
    problem: str = ""
    """Why it cannot be classified, in one sentence; empty if it can."""
    note: str = ""
    """What of the file is left out, in one sentence; empty if nothing is."""
    turned: int | None = None
    """How many quarters it is turned clockwise; ``None`` as long as nobody has tried another way up."""
    found_turned: bool = False
    """Whether it is turned because its faces are upright that way, without a person who said so."""
    classified_with: Hashable = None
    detections: sv.Detections | None = None
    size_wh: tuple[int, int] = (1, 1)
    """Of the whole photo as it is turned, once it was classified."""
    thumbnail: bytes = b""
    """As it is turned, a JPEG file of ``THUMBNAIL_SIDE`` pixels at most, once it was classified."""
    compared: dict[Hashable, tuple[sv.Detections, float]] = field(default_factory=dict)
    """What other ways of classifying it gave, and the milliseconds they took, by what they depend on."""

    def turn(self, quarters: int = 1) -> None:
        """Turn it clockwise; it must be classified anew."""
        self.turned = ((self.turned or 0) + quarters) % 4
        self.classified_with, self.detections, self.found_turned, self.thumbnail = None, None, False, b""
        self.compared.clear()

    def whole(self) -> np.ndarray:
        """All its pixels, decoded anew: (h, w, 3) uint8 BGR. Raises: ImageError."""
        return turn_image(load_image(self.read()), self.turned or 0).frame_bgr


class PhotoSet:
    """The photos on a page. One object per visitor; it knows nothing of Streamlit.

    In memory are the files as they came, a thumbnail and the predictions of each, and the pixels of the latest few.
    """

    def __init__(self, turns: Turns | None = None) -> None:
        """Args: what the visitors of a server share; without it, nobody waits."""
        self._photos: dict[str, Photo] = {}
        self._decoded = DecodedImages()
        self._turns = turns or Turns()
        self._pace: tuple[Hashable, float, int] = None, 0.0, 0
        self._language = current()
        self.key = secrets.token_urlsafe(24)
        """Names the set; nobody can guess it."""
        self.min_face_px = 0.0
        """Smaller faces are not shown."""
        self.blur = False
        """Whether all faces that were found, shown or not, are unrecognizable in downloads."""
        self.chosen: tuple[str, ...] = ()
        """Keys of the photos that ``zip_file`` holds."""

    def show(self, files: Iterable[tuple[str, str, Callable[[], bytes]]]) -> list[Photo]:
        """Take in the files (key, name, read) that are on the page now; forget all others.

        Returns:
            A photo for each file, with everything that is known of it already.
        """
        self._photos = {key: self._photos.get(key) or Photo(key, name, read) for key, name, read in files}
        self._decoded.keep_only(self._photos)
        if self._language != current():  # what was said of files is said again
            self._language = current()
            for photo in self._photos.values():
                if photo.problem or photo.note:
                    photo.problem, photo.classified_with = "", None
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

    def shown(self, photo: Photo) -> sv.Detections:
        """What is shown of a classified photo: faces of ``min_face_px`` and more."""
        assert photo.detections is not None
        return hide_small(photo.detections, self.min_face_px)

    def todo(self, made_with: Hashable, first: str = "") -> list[Photo]:
        """The photos not classified with exactly these settings yet, that of the key ``first`` before others."""
        left = [photo for photo in self._photos.values() if not photo.problem and photo.classified_with != made_with]
        return sorted(left, key=lambda photo: photo.key != first)

    def classify(
        self,
        detect: Detect,
        made_with: Hashable,
        progress: Callable[[int, int, float], object] = lambda done, total, left_s: None,
        waiting: Callable[[int], object] = lambda before: None,
        whole: bool = False,
        other_turn: OtherTurn = lambda image, found: 0,
        first: str = "",
        seconds: float = math.inf,
    ) -> None:
        """Classify every photo that was not with exactly these settings yet; a failure costs that photo alone.

        Args:
            detect: what classifies a picture.
            made_with: what the predictions depend on.
            progress: called after each photo with how many are done, how many there are, and the seconds for the rest.
            waiting: called with the number of photos that are before the next one, as by ``core.turns``.
            whole: as for ``image``.
            other_turn: asked once for a photo that nobody has turned.
            first: key of the photo to begin with.
            seconds: after so long no other photo is begun.

        Raises:
            ModelError: the model broke down.
        """
        todo, started = self.todo(made_with, first), time.monotonic()
        for left, photo in zip(range(len(todo) - 1, -1, -1), todo, strict=True):
            begun = time.monotonic()
            if photo is not todo[0] and begun - started >= seconds:
                return
            with self._turns.turn(waiting):
                self._classify(photo, detect, whole, other_turn)
            photo.classified_with = made_with
            _, spent_s, count = self._pace if self._pace[0] == made_with else (None, 0.0, 0)
            self._pace = made_with, spent_s + time.monotonic() - begun, count + 1
            progress(len(self._photos) - left, len(self._photos), left * self._pace[1] / self._pace[2])

    def _classify(self, photo: Photo, detect: Detect, whole: bool, other_turn: OtherTurn) -> None:
        try:
            image = self.image(photo, whole)
            photo.note, before = image.note, photo.turned or 0
            if photo.turned is None:
                photo.detections, photo.turned = classify_upright(image, detect, other_turn)
                photo.found_turned = photo.turned > 0
            else:
                photo.detections = detect(image)
            photo.size_wh = turn_image(image, photo.turned - before).size_wh
            small = turn_frame(fit_within(image.frame_bgr, THUMBNAIL_SIDE)[0], photo.turned - before)
            photo.thumbnail = encode_image(small)
        except ImageError as error:
            photo.problem = str(error)
        except ModelError:  # no fault of the photo's: another model may classify it
            raise
        except Exception:  # one photo that breaks the analysis must not cost the others their results
            log.exception("A photo could not be classified")
            photo.problem = tr(FAILED)

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

    def names(self) -> dict[str, str]:
        """What each photo is called in lists, tables and downloads, by key: its file's name, told apart from others."""
        return dict(zip(self._photos, unique_names(photo.name for photo in self._photos.values()), strict=True))

    def annotated(self, photo: Photo) -> bytes:
        """A classified photo in its full size with a box per face, as JPEG file. Raises: ImageError."""
        return _annotated(photo, self.min_face_px, self.blur)

    def reduced(self, photo: Photo, max_side: int) -> bytes:
        """As ``annotated``, with a longer side of ``max_side`` pixels at most."""
        assert photo.detections is not None
        with self._turns.turn():
            image = self.image(photo)
        small, _ = fit_within(image.frame_bgr, max_side)
        all_faces = fitted(photo.detections, image.size_wh, small.shape[1::-1])
        return encode_image(
            draw_photo(
                small,
                fitted(self.shown(photo), image.size_wh, small.shape[1::-1]),
                all_faces.xyxy if self.blur else None,
            )
        )

    def zip_file(self) -> Iterator[bytes]:
        """A zip of the ``chosen`` photos, annotated, part by part: each is made when it is asked for.

        It takes turns with the photos that others wait for. A photo that cannot be made any more is left out. Labels
        are in the language of the page, whatever thread asks.
        """
        names, min_face_px, blur, language = self.names(), self.min_face_px, self.blur, self._language
        # As they are now, whatever the page changes meanwhile.
        wanted = [replace(photo) for key in self.chosen if (photo := self._photos.get(key)) and photo.thumbnail]
        file_names = unique_names(jpeg_name(names[photo.key]) for photo in wanted)
        sink = _Parts()
        with zipfile.ZipFile(sink, "w", zipfile.ZIP_STORED) as archive:  # a JPEG file cannot be made smaller
            for name, photo in zip(file_names, wanted, strict=True):
                try:
                    with self._turns.turn(), using(language):
                        jpeg = _annotated(photo, min_face_px, blur)
                except Exception:  # the others must not be lost with it
                    log.exception("A photo could not be annotated")
                    continue
                archive.writestr(name, jpeg)
                yield from sink.taken()
        yield from sink.taken()


def _annotated(photo: Photo, min_face_px: float, blur: bool) -> bytes:
    assert photo.detections is not None
    covered = photo.detections.xyxy if blur else None
    return encode_image(draw_photo(photo.whole(), hide_small(photo.detections, min_face_px), covered))


class _Parts(io.RawIOBase):
    """A file of which only what was written last is kept."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []

    def writable(self) -> bool:
        return True

    def write(self, data) -> int:  # type: ignore[no-untyped-def]  # any buffer, as of io's own classes
        self._parts.append(bytes(data))
        return len(data)

    def taken(self) -> list[bytes]:
        """What was written since the last call."""
        parts, self._parts = self._parts, []
        return parts
