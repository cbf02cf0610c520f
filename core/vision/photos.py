"""A visitor's photos: what is known of each, judged once per change of settings, pixels kept within a limit."""

import logging
import time
from collections.abc import Callable, Hashable, Iterable
from dataclasses import dataclass, field

import numpy as np
import supervision as sv

from core.vision.images import DecodedImages, ImageError
from core.vision.model_card import ModelError

log = logging.getLogger(__name__)


@dataclass(eq=False)
class Photo:
    """One picture file and the newest verdicts on it."""

    key: str
    """Tells this upload from every other, also of the same name."""
    name: str
    """The file's own name, for people; never used as a path."""
    read: Callable[[], bytes]
    problem: str = ""
    """Why it cannot be judged, in one sentence; empty if it can."""
    judged_with: Hashable = None
    detections: sv.Detections | None = None
    compared: dict[Hashable, tuple[sv.Detections, float]] = field(default_factory=dict)
    """What other ways of judging it gave, and the milliseconds they took, by what they depend on."""


class PhotoSet:
    """The photos on a page. One object per visitor; it knows nothing of Streamlit."""

    def __init__(self) -> None:
        self._photos: dict[str, Photo] = {}
        self._decoded = DecodedImages()

    def show(self, files: Iterable[tuple[str, str, Callable[[], bytes]]]) -> list[Photo]:
        """Take in the files (key, name, read) that are on the page now; forget all others.

        Returns:
            A photo for each file, with everything that is known of it already.
        """
        self._photos = {key: self._photos.get(key) or Photo(key, name, read) for key, name, read in files}
        self._decoded.keep_only(self._photos)
        return list(self._photos.values())

    def frame(self, photo: Photo) -> np.ndarray:
        """The photo's pixels, (h, w, 3) uint8 BGR, decoded anew if they were not kept.

        Raises:
            ImageError: the file cannot be decoded.
        """
        return self._decoded.get(photo.key, photo.read)

    def judge(
        self,
        detect: Callable[[np.ndarray], sv.Detections],
        made_with: Hashable,
        progress: Callable[[int, int], object] = lambda done, total: None,
    ) -> None:
        """Judge every photo that was not judged with exactly these settings yet; a failure costs that photo alone.

        Args:
            detect: BGR frame to detections.
            made_with: what the verdicts depend on.
            progress: called with photos done and photos to do.

        Raises:
            ModelError: the model broke down.
        """
        waiting = [photo for photo in self._photos.values() if not photo.problem and photo.judged_with != made_with]
        for done, photo in enumerate(waiting, start=1):
            try:
                photo.detections = detect(self.frame(photo))
                photo.judged_with = made_with
            except ImageError as error:
                photo.problem = str(error)
            except ModelError:  # no fault of the photo's: another model may classify it
                raise
            except Exception:  # one photo that breaks the analysis must not cost the others their results
                log.exception("A photo could not be judged")
                photo.problem = "This photo could not be classified; try it in another format or size."
            progress(done, len(waiting))

    def compare(
        self, photo: Photo, detect: Callable[[np.ndarray], sv.Detections], made_with: Hashable
    ) -> tuple[sv.Detections, float]:
        """Judge a photo another way, beside its own verdicts, once for each ``made_with``.

        Returns:
            The detections and the milliseconds that they took.
        """
        if made_with not in photo.compared:
            frame = self.frame(photo)
            started = time.perf_counter()
            found = detect(frame)
            photo.compared[made_with] = found, (time.perf_counter() - started) * 1000
        return photo.compared[made_with]
