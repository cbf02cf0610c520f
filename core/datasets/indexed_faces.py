"""The faces of an index as a network sees them, cut from their images in batches; what tells that one has changed."""

from collections.abc import Collection, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from core.datasets.faces import face_view
from core.datasets.formats import Picture
from core.datasets.index import Index
from core.jobs import Report
from core.vision.images import ImageError, read_image
from core.vision.model_card import ModelCard

PER_REPORT = 16
"""Images between two reports."""


def face_fingerprints(index: Index) -> dict[str, str]:
    """What the pixels of each face depend on, by item: its file when it was decoded, and its box."""
    fingerprints = {}
    faces = iter(index.faces.items)
    for picture, row in zip(index.pictures, index.rows, strict=True):
        file = f"{row['bytes']} {row['changed_ns']}"
        for k in range(len(picture.labels)):
            box = "" if picture.whole else " ".join(f"{side:.1f}" for side in picture.xyxy[k])
            fingerprints[next(faces)] = f"{file} {box}"
    return fingerprints


def cut_faces(
    index: Index, items: Collection[str], missing: Sequence[str], card: ModelCard, report: Report
) -> Iterator[dict[str, np.ndarray | None]]:
    """The faces that are missing, by item, those of some images at a time; cut as for training.

    Each is (size, size, 3) uint8 RGB, or ``None`` if its image cannot be read.

    Args:
        index: of the set.
        items: all faces that are wanted in the end; progress is told in their images.
        missing: those of them that are to be cut, in this order; others of the same image with the first of them.
        card: of the network.
        report: called before each batch.
    """
    table = index.faces
    face_of = {item: face for face, item in enumerate(table.items)}
    total = len({int(table.picture[face_of[item]]) for item in items})
    of_picture: dict[int, list[int]] = {}
    for face in (face_of[item] for item in missing):
        place = int(table.picture[face])
        of_picture.setdefault(place, []).append(face - int(np.searchsorted(table.picture, place)))
    left = list(of_picture)

    def cut(place: int) -> list[np.ndarray] | None:
        return _crops(index.pictures[place], of_picture[place], card)

    with ThreadPoolExecutor() as pool:
        for start in range(0, len(left), PER_REPORT):
            report(total - len(left) + start, total)
            found: dict[str, np.ndarray | None] = {}
            for place, crops in zip(some := left[start : start + PER_REPORT], pool.map(cut, some), strict=True):
                for i, k in enumerate(of_picture[place]):
                    found[index.pictures[place].item(k)] = crops[i] if crops else None
            yield found


def _crops(picture: Picture, faces: list[int], card: ModelCard) -> list[np.ndarray] | None:
    try:
        frame = read_image(picture.path)
    except ImageError:
        return None
    return [face_view(frame, picture.box(k), card.input_size, card.margin) for k in faces]
