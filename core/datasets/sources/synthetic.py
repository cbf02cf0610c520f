"""A data set of synthetic masks, drawn onto the bare faces of another.

``python -m core.datasets.sources.synthetic --data DIR --out DIR`` does it on the command line.

The report's set was made this way. Each bare face is written once as it is and once or more with a mask drawn on, into
class folders. Images of one face share the beginning of their file name, see ``core.datasets.duplicates.family``.
Synthetic masks are no replacement for real ones, so the card of the new set says what they are.
"""

import argparse
import re
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from datetime import date
from pathlib import Path, PurePosixPath

import cv2
import numpy as np

from core.access import for_operators
from core.datasets.duplicates import photo_groups
from core.datasets.formats import DataError, Picture
from core.datasets.importers import building
from core.datasets.store import DataSet, find_dataset, read_pictures
from core.io import write_json
from core.jobs import Report, no_report
from core.language import number, tr
from core.synthetic.eyes import find_pose
from core.synthetic.render import MASK_KINDS, WEARING, put_on
from core.vision.boxes import clip_boxes, shorter_sides, square_boxes
from core.vision.classes import CLASS_NAMES, WITHOUT_MASK
from core.vision.crops import cut, fit_within
from core.vision.detector import load_detector
from core.vision.images import ImageError, encode_image, read_image

BARE = CLASS_NAMES[WITHOUT_MASK]
MAX_PER_FACE = 10
# The rest of the picture around a face that is cut out, as a share of its longer side: room for a mask on the chin.
MARGIN = 0.3
MAX_SIDE = 1024
MIN_FACE_SCORE = 0.4
# Of several faces in one bare picture, those smaller than this share of the largest stay bare: they are background.
SECOND_FACE = 0.5
# A picture that is all face is looked at once more with such a margin around it, as a share of its sides.
ROOM = 0.4
WRONG = tuple(name for name, wearing in WEARING.items() if name != "well")


@dataclass(frozen=True)
class DrawSettings:
    """What is drawn."""

    kinds: tuple[str, ...] = tuple(MASK_KINDS)
    """Keys of ``core.synthetic.render.MASK_KINDS``; each comes equally often."""
    wrong_share: float = 0.2
    """Share of the masks that are worn wrongly, half of them under the nose and half on the chin, 0..1."""
    per_face: int = 1
    """Masked pictures per bare face."""
    seed: int = 42
    """The same seed draws the same masks."""
    limit: int = 0
    """At most so many bare faces, drawn at random; 0 takes all."""
    min_face_px: float = 32
    """Annotated faces whose shorter side is smaller are left out."""

    def __post_init__(self) -> None:
        unknown = [kind for kind in self.kinds if kind not in MASK_KINDS]
        if unknown or not self.kinds:
            words = tr("Kinds of masks are {kinds}; possible: {possible}.")
            raise DataError(words.format(kinds=", ".join(unknown) or tr("missing"), possible=", ".join(MASK_KINDS)))
        if not 0 <= self.wrong_share <= 1:
            words = tr("The share worn wrongly is {share}; it must lie in 0..1.")
            raise DataError(words.format(share=number(self.wrong_share)))
        if not 1 <= self.per_face <= MAX_PER_FACE:
            words = tr("The number of masks per face is {count}; it must lie in 1..{most}.")
            raise DataError(words.format(count=self.per_face, most=MAX_PER_FACE))
        if self.limit < 0 or self.seed < 0:
            raise DataError(tr("The largest number of faces and the seed must not be negative."))


@dataclass(frozen=True)
class BareFace:
    """One bare face of the source."""

    item: str
    path: Path
    xyxy: np.ndarray | None
    """(4,) in pixels of the picture; ``None`` in class folders, where the face has to be found."""


@dataclass(frozen=True)
class Drawn:
    """What came of it."""

    counts: dict[str, int]
    """Pictures per class."""
    faces: int
    without_face: list[str]
    """Pictures of the source in which no face was found."""
    unreadable: list[str]
    apart: int
    """Drawn pictures that a grouped split does not recognise as near-duplicates of their originals."""


def bare_faces(pictures: list[Picture], min_face_px: float = 0) -> list[BareFace]:
    """The faces labelled as bare. What is excluded or kept for testing is left out."""
    found = []
    for picture in pictures:
        if picture.excluded or picture.split == "test":
            continue
        if picture.whole:
            if picture.labels[0] == BARE:
                found.append(BareFace(picture.key, picture.path, None))
            continue
        for i, (label, xyxy, size) in enumerate(
            zip(picture.labels, picture.xyxy, shorter_sides(picture.xyxy), strict=True)
        ):
            if label == BARE and i in picture.counted and size >= min_face_px:
                found.append(BareFace(picture.item(i), picture.path, xyxy))
    return found


def face_finder() -> Callable[[np.ndarray], np.ndarray]:
    """What finds the faces of a frame (h, w, 3): (n, 4) boxes in its pixels, largest first."""
    detector = load_detector()

    def find(frame_bgr: np.ndarray) -> np.ndarray:
        boxes, _, _ = detector.find(frame_bgr, min_score=MIN_FACE_SCORE)
        if not len(boxes):
            wide, high = (round(ROOM * n) for n in frame_bgr.shape[1::-1])
            padded = cv2.copyMakeBorder(frame_bgr, high, high, wide, wide, cv2.BORDER_REPLICATE)
            boxes, _, _ = detector.find(padded, min_score=MIN_FACE_SCORE)
            boxes = boxes - np.array([wide, high, wide, high], np.float32)
        return boxes[np.argsort(-shorter_sides(boxes), kind="stable")]

    return find


def draw_pictures(
    source: Path,
    out: Path,
    settings: DrawSettings,
    report: Report = no_report,
    find_faces: Callable[[np.ndarray], np.ndarray] | None = None,
) -> Drawn:
    """Fill an empty folder with bare faces of ``source`` and the same faces with masks.

    Bare pictures are encoded like the drawn ones: nothing but the mask may tell them apart.

    Args:
        source: a data set of any layout.
        out: is made into class folders.
        settings: what is drawn.
        report: told of every face.
        find_faces: as ``face_finder`` gives; made when left out.

    Raises:
        DataError: the source cannot be read, or no bare face is in it.
        Cancelled: as ``report`` has it; ``out`` then holds a part.
    """
    faces = bare_faces(read_pictures(source), settings.min_face_px)
    if not faces:
        words = tr("This data set has no bare faces to draw on: nothing in it is labelled {label}.")
        raise DataError(words.format(label=BARE))
    rng = np.random.default_rng(settings.seed)
    if 0 < settings.limit < len(faces):
        faces = [faces[i] for i in np.sort(rng.choice(len(faces), settings.limit, replace=False))]
    find_faces = find_faces or face_finder()
    plan = _plan(len(faces), settings, rng)
    counts: Counter[str] = Counter()
    taken: set[str] = set()
    pairs = []
    without_face, unreadable = [], []
    for done, (face, (seed, masks)) in enumerate(zip(faces, plan, strict=True)):
        words = tr("Face {place} of {total}").format(place=number(done + 1), total=number(len(faces)))
        report(done, len(faces), words)
        try:
            frame, boxes = _open(face, find_faces)
        except ImageError:
            unreadable.append(face.item)
            continue
        if not len(boxes):
            without_face.append(face.item)
            continue
        stem = _free_stem(face.item, taken)
        bare = _write(frame, out / BARE / f"{stem}.jpg")
        counts[BARE] += 1
        poses = [find_pose(frame, box) for box in boxes]
        for place, (kind, wearing) in enumerate(masks):
            masked, rng = frame, np.random.default_rng([seed, place])
            for pose in poses:
                masked = put_on(masked, pose, kind, wearing, rng)
            label = WEARING[wearing].label
            name = f"{stem}.jpg" if place == 0 else f"{stem}--{place + 1}.jpg"
            pairs.append((bare, _write(masked, out / label / name)))
            counts[label] += 1
    if not pairs:
        raise DataError(
            tr("No face was found in the bare images of this data set; look at them on the page Data sets.")
        )
    report(len(faces), len(faces), tr("Looking for near-duplicates"))
    made = sorted({path for pair in pairs for path in pair})
    group = dict(zip(made, photo_groups(made), strict=True))
    apart = sum(int(group[bare] != group[masked]) for bare, masked in pairs)
    return Drawn(dict(sorted(counts.items())), counts[BARE], without_face, unreadable, apart)


def _plan(faces: int, settings: DrawSettings, rng: np.random.Generator) -> Iterator[tuple[int, list[tuple[str, str]]]]:
    """For each face a seed and the (kind, wearing) of its masks; shares are exact over all of them."""
    total = faces * settings.per_face
    wrong = round(settings.wrong_share * total)
    in_order = ["well"] * (total - wrong) + [WRONG[i % len(WRONG)] for i in range(wrong)]
    wearings = rng.permutation(np.array(in_order))
    kinds = rng.permutation(np.resize(np.array(settings.kinds), total))
    seeds = rng.integers(0, 2**31, faces)
    for i in range(faces):
        part = slice(i * settings.per_face, (i + 1) * settings.per_face)
        yield int(seeds[i]), list(zip(kinds[part].tolist(), wearings[part].tolist(), strict=True))


def _open(face: BareFace, find_faces: Callable[[np.ndarray], np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """The picture of one face and the (n, 4) boxes in it that get a mask."""
    frame = read_image(face.path)
    if face.xyxy is not None:
        x1, y1, x2, y2 = np.rint(clip_boxes(square_boxes(face.xyxy, MARGIN), frame.shape[1::-1])[0]).astype(int)
        frame, scale = fit_within(cut(frame, (x1, y1, x2, y2)), MAX_SIDE)
        return frame, ((face.xyxy - [x1, y1, x1, y1]) * scale)[None]
    frame, _ = fit_within(frame, MAX_SIDE)
    boxes = find_faces(frame)
    sizes = shorter_sides(boxes)
    return frame, boxes[sizes >= SECOND_FACE * sizes.max(initial=0)]


def _free_stem(item: str, taken: set[str]) -> str:
    """A file name that says which picture this was and that nothing else has."""
    path, _, face = item.partition("#")
    name = PurePosixPath(path).stem + (f"-{face}" if face else "")
    name = re.sub(r"[^A-Za-z0-9_]+", "-", name).strip("-")[:80].strip("-") or "face"
    stem, again = name, 2
    while stem.casefold() in taken:
        stem, again = f"{name}_{again}", again + 1
    taken.add(stem.casefold())
    return stem


def _write(frame_bgr: np.ndarray, path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(encode_image(frame_bgr))
    return path


def make_card(title: str, source: str, settings: DrawSettings, drawn: Drawn) -> dict:
    """What the new set says of itself."""
    masked = sum(drawn.counts.values()) - drawn.faces
    about = [
        tr(
            "Synthetic masks: {count} images with a mask that is drawn, not real, made from {faces} bare faces of "
            "{source}. A model trained on it alone may fail on real masks."
        ).format(count=number(masked, ","), faces=number(drawn.faces, ","), source=source)
    ]
    if drawn.apart:
        words = tr(
            "{count} synthetic images are too far from their originals to look like near-duplicates; the split that "
            "keeps near-duplicates together knows them by the name that files of one face share up to “--”."
        )
        about.append(words.format(count=number(drawn.apart, ",")))
    left_out = len(drawn.without_face) + len(drawn.unreadable)
    if left_out:
        words = tr("Left out because no face was found or they could not be read: {count}.")
        about.append(words.format(count=number(left_out, ",")))
    return {
        "title": title,
        "about": " ".join(about),
        "drawn": True,
        "source": source,
        "settings": asdict(settings) | {"kinds": list(settings.kinds)},
        "counts": drawn.counts,
        "apart_from_original": drawn.apart,
        "date": date.today().isoformat(),
    }


@for_operators
def make_drawn_set(source: str, name: str, settings: DrawSettings, report: Report = no_report) -> DataSet:
    """A new data set of the data folder, from one that is there.

    Args:
        source: name of a data set.
        name: for the new one; made clean, must not be taken.

    Raises:
        DataError: the source is gone or has no bare faces, or the name is taken; nothing is left behind.
        Cancelled: as ``report`` has it; nothing is left behind.
    """
    origin = find_dataset(source)
    title, origin_title = " ".join(name.split()), tr(str(origin.card.get("title") or source))
    with building(name) as new:
        drawn = draw_pictures(origin.folder, new.folder, settings, report)
        new.card = make_card(title, origin_title, settings, drawn)
    return find_dataset(new.name)


def draw_folder(source: Path, out: Path, settings: DrawSettings, report: Report = no_report) -> Drawn:
    """The same for folders anywhere; the card is written beside ``out``.

    Raises:
        DataError: ``out`` exists, or as ``draw_pictures``; nothing is left behind.
    """
    if out.exists():
        raise DataError(tr("{folder} exists already; choose another folder or remove it.").format(folder=out))
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".incoming-", dir=out.parent) as temporary:
        folder = Path(temporary) / "set"
        drawn = draw_pictures(source, folder, settings, report)
        write_json(out.parent / f"{out.name}.card.json", make_card(out.name, source.name, settings, drawn))
        folder.rename(out)
    return drawn


def main(arguments: list[str] | None = None) -> None:
    """Command line."""
    default = DrawSettings()
    parser = argparse.ArgumentParser(
        prog="python -m core.datasets.sources.synthetic",
        description="Make a data set with drawn masks from bare faces.",
        allow_abbrev=False,
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument("--data", required=True, metavar="DIR", type=Path, help="data set with bare faces")
    parser.add_argument("--out", required=True, metavar="DIR", type=Path, help="folder to make")
    parser.add_argument("--kinds", default=",".join(default.kinds), help="kinds of masks, commas between them")
    parser.add_argument("--wrong-share", type=float, default=default.wrong_share, help="share worn wrongly, 0..1")
    parser.add_argument("--per-face", type=int, default=default.per_face, help="masked pictures per bare face")
    parser.add_argument("--seed", type=int, default=default.seed, help="the same seed draws the same masks")
    parser.add_argument("--limit", type=int, default=default.limit, help="at most so many bare faces, 0 for all")
    parser.add_argument("--min-face-px", type=float, default=default.min_face_px, help="smallest annotated face")
    given = vars(parser.parse_args(arguments))
    source, out = given.pop("data"), given.pop("out")
    kinds = tuple(kind.strip() for kind in given.pop("kinds").split(",") if kind.strip())

    def show(done: int, total: int, text: str = "") -> None:
        if sys.stdout.isatty():
            print(f"\r{text}    ", end="", flush=True)

    drawn = draw_folder(source, out, DrawSettings(kinds=kinds, **given), show)
    counts = ", ".join(f"{count} {name}" for name, count in drawn.counts.items())
    print(f"\r{out}: {counts}; no face in {len(drawn.without_face)}, unreadable {len(drawn.unreadable)}.")
    print(f"{drawn.apart} synthetic images do not count as near-duplicates of their originals.")


if __name__ == "__main__":
    try:
        main()
    except ValueError as error:
        sys.exit(f"core.datasets.sources.synthetic: {error}")
