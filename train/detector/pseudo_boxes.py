"""Pseudo labels: ``python -m train.detector.pseudo_boxes --data DIR --detector YUNET --out FILE``.

The class-folder sets say how a face wears its mask, not where it is, and some sets with boxes leave faces in the
background without a box. A face detector of another kind (YuNet, Wu et al. 2023, as OpenCV runs it) looks at every
picture, and what it finds goes into one JSON file that ``train.detector --boxes`` reads: in a class folder the main
face gets the picture's label, in a set with boxes a face without one counts as unknown instead of background.

With ``--model``, a detector of ``models/`` looks at the sets with boxes too, and its finds stand in the same file with
the probability of each class.
"""

import argparse
import sys
from pathlib import Path

import numpy as np

from core.datasets.store import read_pictures
from core.io import write_json
from core.vision.classes import CLASS_NAMES
from core.vision.detector import MaskDetector, load_detector
from core.vision.images import read_image
from core.vision.yunet import INPUT_SIDE, YuNet

# What the project's own detector finds is noted from this score on: below, nearly nothing is a face.
MIN_OWN_SCORE = 0.08
# A picture from a class folder is one face, often cut tightly: shown smaller and with room around it, the face has a
# size that the detector knows.
FOLDER_SIDE = 360


def find_all(folders: list[Path], detector: YuNet, own: MaskDetector | None = None) -> dict[str, list]:
    """Boxes by picture, ``set/folder/name`` as key, for every picture of every data set that training can use.

    A row of 5 numbers is a box and a score of ``detector``; a row of 8, which only sets with boxes have, a box, a score
    and the probabilities of ``CLASS_NAMES`` of ``own``.
    """
    found = {}
    for folder in folders:
        pictures = [
            picture
            for picture in read_pictures(folder)
            if not picture.excluded and (not picture.whole or picture.labels[0] in CLASS_NAMES)
        ]
        with_face = 0
        for done, picture in enumerate(pictures, start=1):
            frame = read_image(picture.path)
            rows = detector(frame, FOLDER_SIDE if picture.whole else INPUT_SIDE).round(2).tolist()
            if own and not picture.whole:
                xyxy, score, classes = own.find(frame, "thorough", MIN_OWN_SCORE)
                rows += np.hstack([xyxy.round(1), score[:, None].round(3), classes.round(3)]).tolist()
            found[picture_key(folder, picture.path)] = rows
            with_face += bool(rows)
            if sys.stdout.isatty():
                print(f"\r{folder.name} {done}/{len(pictures)}", end="", flush=True)
        print(f"\r{folder.name}: {len(pictures)} pictures, {with_face} with a face")
    return found


def picture_key(folder: Path, path: Path) -> str:
    """How a picture is named in the file of boxes: the same wherever the data lie."""
    return f"{folder.name}/{path.relative_to(folder).as_posix()}"


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(
        prog="python -m train.detector.pseudo_boxes",
        description="Find the faces that nobody annotated.",
        allow_abbrev=False,
    )
    parser.add_argument("--data", action="append", required=True, metavar="DIR", type=Path)
    parser.add_argument("--detector", required=True, metavar="YUNET", help="yunet_n_640_640.onnx")
    parser.add_argument("--out", required=True, metavar="FILE", help="JSON file to write")
    parser.add_argument("--model", metavar="NAME", help="a detector of models/ that looks too")
    given = parser.parse_args()
    own = load_detector(given.model) if given.model else None
    write_json(given.out, find_all(given.data, YuNet(given.detector), own))


if __name__ == "__main__":
    try:
        main()
    except ValueError as error:
        sys.exit(f"train.detector.pseudo_boxes: {error}")
