"""Cut small photos of one person each: ``python -m train.detector.small_photos --data DIR --out DIR``.

Profile pictures, door cameras and cut-outs look like this: a face of 60 to 150 px that nearly fills the picture.
``train.evaluate`` reads the folder, and says in how many photos a face is shown.
"""

import argparse
import sys
from operator import methodcaller
from pathlib import Path
from xml.sax.saxutils import escape

import numpy as np

from core.datasets.extra import LABELS_DIR
from core.datasets.faces import DataError
from core.io import write_atomic
from core.vision.boxes import shorter_sides
from core.vision.classes import CLASS_NAMES
from core.vision.images import encode_image
from train.detector.operating_points import AnnotatedFrame, read_validation

FACE_PX = (60, 150)
MARGIN = 0.1
"""What is kept around a face on every side, as a share of the longer side of its box."""
COUNT = 150


def small_photos(photos: list[AnnotatedFrame], count: int = COUNT, seed: int = 0) -> list[AnnotatedFrame]:
    """Cut ``count`` random faces of 60 to 150 px, or all if there are fewer, each with a little of its surroundings."""
    places = [
        (photo, face)
        for photo in photos
        for face in np.flatnonzero(
            (shorter_sides(photo.xyxy) >= FACE_PX[0]) & (shorter_sides(photo.xyxy) <= FACE_PX[1])
        )
    ]
    chosen = np.random.default_rng(seed).permutation(len(places))[:count]
    return [_cut(*places[i]) for i in sorted(chosen)]


def _cut(photo: AnnotatedFrame, face: int) -> AnnotatedFrame:
    box = photo.xyxy[face]
    margin = MARGIN * max(box[2] - box[0], box[3] - box[1])
    height, width = photo.frame_bgr.shape[:2]
    x1, y1, x2, y2 = np.clip(np.rint(box + [-margin, -margin, margin, margin]), 0, [width, height] * 2).astype(int)
    corner = np.array([x1, y1, x1, y1], np.float32)
    return AnnotatedFrame(
        photo.frame_bgr[y1:y2, x1:x2].copy(),
        photo.xyxy[face : face + 1] - corner,
        photo.class_id[face : face + 1],
        np.empty((0, 4), np.float32),
    )


def write_voc(photos: list[AnnotatedFrame], folder: Path) -> None:
    """Write photos as a Pascal VOC folder, numbered.

    Raises:
        DataError: the folder holds something already.
    """
    if folder.exists() and any(folder.iterdir()):
        raise DataError(f"{folder} is not empty; choose another --out.")
    for part in ("images", "annotations"):
        (folder / part).mkdir(parents=True, exist_ok=True)
    for number, photo in enumerate(photos):
        height, width = photo.frame_bgr.shape[:2]
        objects = "".join(
            f"<object><name>{escape(CLASS_NAMES[label])}</name><bndbox>"
            # Pascal VOC counts pixels from 1.
            f"<xmin>{x1 + 1:.1f}</xmin><ymin>{y1 + 1:.1f}</ymin><xmax>{x2:.1f}</xmax><ymax>{y2:.1f}</ymax>"
            "</bndbox></object>"
            for (x1, y1, x2, y2), label in zip(photo.xyxy, photo.class_id, strict=True)
        )
        size = f"<size><width>{width}</width><height>{height}</height><depth>3</depth></size>"
        xml = f"<annotation><filename>{number:03}.jpg</filename>{size}{objects}</annotation>\n"
        jpeg = encode_image(photo.frame_bgr)
        write_atomic(folder / "images" / f"{number:03}.jpg", methodcaller("write_bytes", jpeg))
        write_atomic(folder / "annotations" / f"{number:03}.xml", methodcaller("write_text", xml))


def main(arguments: list[str] | None = None) -> None:
    """Command line."""
    parser = argparse.ArgumentParser(
        prog="python -m train.detector.small_photos",
        description="Cut small photos of one person from validation photos.",
        allow_abbrev=False,
    )
    parser.add_argument("--data", action="append", required=True, type=Path, metavar="DIR", help="several times")
    parser.add_argument("--labels", default=LABELS_DIR, metavar="DIR", help=f"default {LABELS_DIR}")
    parser.add_argument("--out", required=True, type=Path, metavar="DIR", help="an empty folder")
    given = parser.parse_args(arguments)
    photos = small_photos(read_validation(given.data, given.labels))
    write_voc(photos, given.out)
    print(f"{len(photos)} photos in {given.out}")


if __name__ == "__main__":
    try:
        main()
    except ValueError as error:
        sys.exit(f"train.detector.small_photos: {error}")
