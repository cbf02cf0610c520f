"""What a person noted of annotated faces, so that figures can be told apart by it: their pose, what covers them.

Such a file is an array of ``{"photo": stem, "xyxy": [x1, y1, x2, y2], "pose": "turned"}``, boxes in pixels of the
photo; in place of ``pose`` it may say ``covering``. A face that it does not name is in no slice. It is for reports
alone: nothing is trained on it or chosen by it.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from core.datasets.extra import SAME_BOX_IOU, box_of
from core.datasets.faces import DataError
from core.io import load_json
from core.language import tr
from core.vision.boxes import match_boxes

SLICES = {
    "pose": ("frontal", "turned", "down"),
    "covering": ("hand", "microphone", "cup", "paper", "beard", "scarf", "helmet", "camera", "other", "nothing"),
}
"""What may be noted, by its kind.

A face is ``frontal`` up to about 35 degrees and ``turned`` beyond; ``down`` if eyes or lids point down, unless it is
in profile. A ``cup`` may be food, ``paper`` a book or a sign, a ``beard`` a moustache, a ``scarf`` any cloth, a
``camera`` a telephone; a ``helmet`` has a cage; ``other`` is water, a fence, another person's head."""


@dataclass(frozen=True)
class NotedFaces:
    """What a file says of one photo."""

    xyxy: np.ndarray
    """(n, 4) float32, pixels of the photo."""
    slice_id: np.ndarray
    """(n,) int into ``SLICES[kind]``."""


def read_slices(path: Path | str, kind: str) -> dict[str, NotedFaces]:
    """What a file notes of faces, by the photo's name without extension.

    Args:
        path: the file.
        kind: a key of ``SLICES``.

    Raises:
        DataError: the file cannot be read or has another form.
    """
    rows: dict[str, list[tuple[list[float], int]]] = {}
    try:
        for entry in load_json(path, list):
            if entry[kind] not in SLICES[kind]:
                raise ValueError(repr(entry[kind]))
            noted = box_of(entry["xyxy"]), SLICES[kind].index(entry[kind])
            rows.setdefault(str(entry["photo"]), []).append(noted)
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise DataError(tr("What {file} notes of faces cannot be read: {why}").format(file=path, why=error)) from None
    return {
        photo: NotedFaces(np.array([box for box, _ in faces], np.float32), np.array([i for _, i in faces], int))
        for photo, faces in rows.items()
    }


def slices_of(true_xyxy: np.ndarray, noted: NotedFaces | None) -> np.ndarray:
    """The slice of each annotated face (t, 4) of a photo: (t,) int into ``SLICES[kind]``, -1 where nothing is noted."""
    slice_id = np.full(len(true_xyxy), -1)
    if noted is not None:
        face, place = match_boxes(true_xyxy, noted.xyxy, SAME_BOX_IOU)
        slice_id[face] = noted.slice_id[place]
    return slice_id
