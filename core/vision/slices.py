"""Figures of a slice of the annotated faces, such as those that look down, counted as all faces are."""

from dataclasses import replace

import numpy as np

from core.vision.classes import WITHOUT_MASK
from core.vision.metrics import Counts, PhotoMatch, bootstrap

RATES = ("found", "found_and_right", "found_and_right_two_state", "bare_shown_as_masked")
# Smaller than any face that counts.
OUTSIDE_PX = -1


class Slices:
    """Adds up matched photos, each slice on its own."""

    def __init__(self, names: tuple[str, ...], min_face_px: float = 24):
        """Args: the slices, and the shorter side in pixels from which an annotated face counts."""
        self.min_face_px = min_face_px
        self._photos: dict[str, list[dict[str, tuple[float, float]]]] = {name: [] for name in names}

    def add(self, match: PhotoMatch, slice_id: np.ndarray) -> None:
        """Add one photo.

        Args:
            match: of what is shown in it.
            slice_id: (t,) int, the slice of each annotated face; -1 for none.
        """
        for place, photos in enumerate(self._photos.values()):
            face_px = np.where(slice_id == place, match.face_px, OUTSIDE_PX)
            photos.append(self._fractions(replace(match, face_px=face_px)))

    def rows(self) -> list[dict]:
        """For each slice in which there are faces: its ``name``, how many ``faces``, how many are ``found`` and how
        many found and ``right``. Two shares as in ``EvaluationResult``, with the faces that they are of:
        ``found_and_right_two_state`` of ``two_state_faces``, ``bare_shown_as_masked`` of ``bare_faces``, those without
        a mask that are found and classified. Last ``intervals`` of all four rates (``bootstrap``).
        """
        rows = []
        for name, photos in self._photos.items():
            (found, faces), (right, _), (right_of_two, of_two), (masked, bare) = (
                np.reshape([photo[rate] for photo in photos], (-1, 2)).sum(axis=0) for rate in RATES
            )
            if faces:
                rows.append(
                    {
                        "name": name,
                        "faces": int(faces),
                        "found": int(found),
                        "right": int(right),
                        "two_state_faces": int(of_two),
                        "found_and_right_two_state": float(right_of_two / of_two) if of_two else None,
                        "bare_faces": int(bare),
                        "bare_shown_as_masked": float(masked / bare) if bare else None,
                        "intervals": bootstrap(photos),
                    }
                )
        return rows

    def _fractions(self, match: PhotoMatch) -> dict[str, tuple[float, float]]:
        counts = Counts(self.min_face_px)
        counts.add(match)
        bare = match.told & (match.true_class == WITHOUT_MASK) & (match.face_px[match.face] >= self.min_face_px)
        classes = match.detections.class_id[match.detection[bare]]
        fractions = counts.fractions() | {"bare_shown_as_masked": ((classes != WITHOUT_MASK).sum(), len(classes))}
        return {rate: fractions[rate] for rate in RATES}
