"""Any bytes give a result or one sentence, in time, within memory, and leave nothing behind.

Every reader of something that people bring gets files that are nearly right: each seed is a good file, Hypothesis
damages it. In the suite this takes a minute (``tests/test_fuzz.py``); by hand as long as asked::

    python -m tests.fuzz --minutes 30 [--only "zip of VOC"]
"""

import argparse
import io
import json
import os
import resource
import signal
import tempfile
import time
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from unittest.mock import patch

import hypothesis
from hypothesis import HealthCheck
from hypothesis import strategies as st

from core.video.reader import FilmError, FilmReader
from tests.helpers import picture_bytes, voc_xml
from tests.video.films import film, frames

MAX_S = 8.0
"""One input may keep the reader busy so long; far more than any of them needs, even on a slow computer."""
MAX_MB = 400
"""And may make the process so much larger."""
EXAMPLES = 40
"""Inputs between two looks at the clock."""
# What is interesting in files made of text and numbers.
PIECES = [
    *(b"", b"\x00", b"\xff\xfe", b"\xef\xbb\xbf", b"-1", b"1e309", b"NaN", b"null", b"9" * 400, b"[" * 2000, b"{" * 50),
    *(b"../", b"..\\", b"C:\\", b"/etc/passwd", b"\n\n", b"<", b"&a;", b"]]>", b"%00", b"*a", b"!!python/x "),
    "ﬁ😷é".encode(),
]


@st.composite
def damaged(draw: st.DrawFn, seeds: list[bytes]) -> bytes:
    """One of the seeds with up to six pieces overwritten, put in, left out or doubled, or cut off."""
    data = bytearray(draw(st.sampled_from(seeds)))
    for _ in range(draw(st.integers(0, 6))):
        start = draw(st.integers(0, len(data)))
        piece = draw(st.one_of(st.sampled_from(PIECES), st.binary(max_size=8)))
        way = draw(st.sampled_from(("overwrite", "insert", "leave out", "double", "cut off")))
        if way == "overwrite":
            data[start : start + len(piece)] = piece
        elif way == "insert":
            data[start:start] = piece
        elif way == "leave out":
            del data[start : start + draw(st.integers(1, 40))]
        elif way == "double":
            data[start:start] = data[start : start + draw(st.integers(1, 400))]
        else:
            del data[start:]
    return bytes(data)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=12),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=5,
)


@st.composite
def other_json(draw: st.DrawFn, value: object) -> object:
    """The value with one of its parts, however deep, replaced by something else or left out."""
    if not isinstance(value, dict | list) or not value or draw(st.integers(0, 4)) == 0:
        return draw(JSON)
    place = draw(st.sampled_from(sorted(value))) if isinstance(value, dict) else draw(st.integers(0, len(value) - 1))
    copy = value.copy()
    if draw(st.integers(0, 5)) == 0:
        del copy[place]  # type: ignore[arg-type]
    else:
        copy[place] = draw(other_json(value[place]))  # type: ignore[index, call-overload]
    return copy


def json_bytes(seed: object) -> st.SearchStrategy[bytes]:
    """JSON of nearly this content, and bytes that are nearly this JSON."""
    text = other_json(seed).map(lambda value: json.dumps(value).encode())
    return st.one_of(text, text, damaged([json.dumps(seed).encode()]))


@dataclass(frozen=True)
class Target:
    """A reader of something that people bring, or of a file that the app has written."""

    name: str
    inputs: st.SearchStrategy[bytes]
    read: Callable[[bytes, Path], object]
    """Takes the bytes and an empty folder."""
    refusals: tuple[type[Exception], ...] = ()
    """Errors whose message is a sentence for people; everything else is a defect."""
    leaves: tuple[str, ...] = ()
    """Names, as patterns, of what may lie in the folder afterwards."""


def packed(files: dict[str, bytes]) -> bytes:
    """A zip archive of these files."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return out.getvalue()


PICTURES = {f"images/{name}.jpg": picture_bytes(format="JPEG", size_wh=(160, 120)) for name in "ab"}
VOC = voc_xml([("with_mask", (10, 10, 60, 60)), ("without_mask", (80, 20, 140, 90))], (160, 120)).encode()
YOLO_NAMES = b"train: images\nnc: 2\nnames: [with_mask, without_mask]\n"
YOLO = b"0 0.25 0.3 0.2 0.2\n1 0.7 0.5 0.3 0.4\n"
COCO = {
    "images": [{"id": k, "file_name": f"{name}.jpg", "width": 160, "height": 120} for k, name in enumerate("ab")],
    "annotations": [{"id": k, "image_id": k, "category_id": 1, "bbox": [10, 10, 50, 50]} for k in range(2)],
    "categories": [{"id": 1, "name": "with_mask"}, {"id": 2, "name": "without_mask"}],
}
BOX = {"x": 35, "y": 35, "width": 50, "height": 50}
CREATE_ML = [{"image": f"{name}.jpg", "annotations": [{"label": "with_mask", "coordinates": BOX}]} for name in "ab"]
LABEL_ME = {
    "version": "5.0",
    "shapes": [{"label": "with_mask", "points": [[10, 10], [60, 60]], "shape_type": "rectangle"}],
    "imagePath": "a.jpg",
    "imageWidth": 160,
    "imageHeight": 120,
}
CVAT = (
    b'<annotations><image id="0" name="a.jpg" width="160" height="120"><box label="with_mask" xtl="10" ytl="10" '
    b'xbr="60" ybr="60"/></image><image id="1" name="b.jpg" width="160" height="120"/></annotations>'
)
TABLE = (
    b"filename,width,height,class,xmin,ymin,xmax,ymax\na.jpg,160,120,with_mask,10,10,60,60\nb.jpg,160,120,x,9,9,60,60\n"
)
CARD = {
    "name": "m",
    "file": "model.tflite",
    "sha256": "0" * 64,
    "classes": ["with_mask", "without_mask"],
    "input_size": 224,
    "margin": 0.15,
    "output": "logits",
    "scores": {"test": {"images": 3, "accuracy": 0.9, "balanced_accuracy": 0.9}},
    "data": [{"name": "d", "faces": {"test": {"with_mask": 3}}}],
}
ACTIVE = {"pipeline": "neural", "model": "mask-detector"}
PROGRESS = {"stage": "train", "epoch": 1, "loss": 0.3, "done": 3, "total": 5}
YOLO_REST = {"data.yaml": YOLO_NAMES, "labels/b.txt": YOLO}
EDITS = {
    "labels": {"with_mask/a.jpg": "without_mask", "a.jpg#1000000": "with_mask"},
    "aside": ["with_mask/b.jpg#2"],
    "boxes": {"a.jpg#1000000": [1, 2, 30, 40]},
    "removed": ["a.jpg#0"],
    "history": [
        {"what": "a", "before": {"with_mask/a.jpg": [None, False], "a.jpg#0": ["hat", True, [1, 2, 3, 4], False]}}
    ],
}


# What the folder of data sets may keep when it holds none any more.
SQUARES = frames(4)
VIDEOS = [
    film(SQUARES, sound="aac", seconds=0.1),
    film(SQUARES, codec="libvpx", format="webm"),
    film(SQUARES, codec="mpeg4", format="avi"),
    film(SQUARES, codec="gif", format="gif", pix_fmt="rgb8"),
]
DATA_FILES = ("*.lock", ".cache")


def import_of(note: str, others: dict[str, bytes] | None = None) -> Callable[[bytes, Path], object]:
    """Imports a zip of two pictures, other files, and a note that holds the bytes."""

    def read(data: bytes, folder: Path) -> object:
        return import_zip_bytes(packed(PICTURES | (others or {}) | {note: data}), folder)

    return read


def import_zip_bytes(data: bytes, folder: Path) -> object:
    """Import an archive as the Data sets page does, read what it became, and delete it."""
    from core.datasets.importers import import_zip
    from core.datasets.store import delete_dataset, read_pictures

    with patch.dict(os.environ, MASK_DATA_DIR=str(folder)):
        made = import_zip(io.BytesIO(data), "fuzzed").dataset
        try:
            return read_pictures(made.folder)
        finally:
            delete_dataset(made.name)


def file_of(name: str, read: Callable[[Path], object]) -> Callable[[bytes, Path], object]:
    """Reads the bytes as a file of this name."""

    def write_and_read(data: bytes, folder: Path) -> object:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        return read(path)

    return write_and_read


def every_frame(path: Path) -> int:
    """Read a video as the Video page does."""
    with FilmReader(path, max_s=60) as film:
        return sum(1 for _ in film.frames())


def targets() -> dict[str, Target]:
    """Every reader, by name. Imported late: ``--help`` needs none of it."""
    from core.datasets.edits import Edits
    from core.datasets.formats import DataError
    from core.registry.active import in_use
    from core.registry.upload import open_upload
    from core.vision.images import ImageError, decode_image
    from core.vision.model_card import ModelError, load_card
    from train.config import TrainConfig, read_config, run_settings
    from train.run_folder import read_metrics, read_progress, read_report

    kinds = (("RGB", "JPEG"), ("RGB", "PNG"), ("P", "PNG"), ("RGB", "WEBP"), ("CMYK", "TIFF"), ("L", "BMP"))
    pictures = [picture_bytes(mode, (60, 40), kind) for mode, kind in kinds]
    network = (Path(__file__).parent / "registry" / "one_sigmoid.tflite").read_bytes()
    models = [network, packed({"model.tflite": network, "labels.txt": b"0 Mask\n1 No mask\n"})]
    class_folders = {f"{name}/{k}.png": pictures[1] for name in ("with_mask", "without_mask") for k in range(2)}
    archives = [packed(class_folders), packed(PICTURES | {"images/a.xml": VOC})]
    settings = run_settings(TrainConfig(data=("set",), out="run"))
    sets = {"refusals": (DataError,), "leaves": DATA_FILES}

    def edits(path: Path) -> Edits:
        with patch.dict(os.environ, MASK_DATA_DIR=str(path.parent)):
            return Edits.load(path.parent / "fuzzed")

    def run_files(path: Path) -> object:
        return [read(path.parent) for read in (read_progress, read_report, read_metrics)]

    every = [
        Target("photo", damaged(pictures), lambda data, _: decode_image(data), (ImageError,)),
        Target("zip", damaged(archives), import_zip_bytes, **sets),
        Target("zip of VOC", damaged([VOC]), import_of("a.xml"), **sets),
        Target("zip of YOLO", damaged([YOLO]), import_of("labels/a.txt", YOLO_REST), **sets),
        Target("zip of YOLO names", damaged([YOLO_NAMES]), import_of("data.yaml", YOLO_REST), **sets),
        Target("zip of COCO", json_bytes(COCO), import_of("a.json"), **sets),
        Target("zip of CreateML", json_bytes(CREATE_ML), import_of("a.json"), **sets),
        Target("zip of LabelMe", json_bytes(LABEL_ME), import_of("images/a.json"), **sets),
        Target("zip of CVAT", damaged([CVAT]), import_of("annotations.xml"), **sets),
        Target("zip of a table", damaged([TABLE]), import_of("images/_annotations.csv"), **sets),
        Target("video", damaged(VIDEOS), file_of("fuzzed.mp4", every_frame), (FilmError,)),
        Target("model to import", damaged(models), lambda data, _: open_upload(data), (ModelError,)),
        Target("model card", json_bytes(CARD), file_of("card.json", load_card), (ModelError,)),
        Target("edits", json_bytes(EDITS), file_of("fuzzed.repairs.json", edits), (DataError,)),
        Target("active model", json_bytes(ACTIVE), file_of("in_use.json", lambda path: in_use(path.parent))),
        Target(
            *("training settings", json_bytes(settings)),
            file_of("config.json", lambda path: read_config(TrainConfig, path.parent)),
            (DataError,),
        ),
        Target(
            "progress of a training", json_bytes({"stage": "train", "epoch": 1}), file_of("progress.json", run_files)
        ),
        Target("curve of a training", json_bytes({"epoch": 1, "loss": 0.3}), file_of("metrics.jsonl", run_files)),
    ]
    return {target.name: target for target in every}


class TooLong(BaseException):
    """The reader was ended; no ``except Exception`` of its own may swallow this."""


def check(target: Target, data: bytes) -> None:
    """Read once; raises AssertionError for anything but a result or a sentence in time, with nothing left behind."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        with ended_after(MAX_S):
            try:
                target.read(data, folder)
            except target.refusals as error:
                sentence = str(error)
                assert sentence and "\n" not in sentence and len(sentence) < 600, f"no sentence: {sentence[:2000]!r}"
                assert name not in sentence and "Traceback" not in sentence, f"not for people: {sentence}"
            except TooLong:
                raise AssertionError(f"took longer than {MAX_S:.0f} s") from None
        grown_mb = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
        assert grown_mb < MAX_MB, f"took {grown_mb:.0f} MB"
        if target.leaves:
            left = [path.name for path in folder.iterdir() if not any(map(path.match, target.leaves))]
            assert not left, f"left behind: {left}"


@contextmanager
def ended_after(seconds: float) -> Iterator[None]:
    """Raise ``TooLong`` in the block if it takes longer."""

    def ring(signum: int, frame: object) -> None:
        raise TooLong

    before = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def fuzz(target: Target, seconds: float, seed: int) -> int:
    """Try one target for so long; how many inputs that were.

    Raises:
        AssertionError, or what the reader raised: Hypothesis prints the smallest input that does.
    """
    end, tried = time.monotonic() + seconds, 0
    while time.monotonic() < end:

        @hypothesis.seed(seed)
        @hypothesis.settings(
            max_examples=EXAMPLES, deadline=None, database=None, suppress_health_check=list(HealthCheck)
        )
        @hypothesis.given(target.inputs)
        def run(data: bytes) -> None:
            nonlocal tried
            if time.monotonic() < end:
                tried += 1
                check(target, data)

        run()
        seed += 1
    return tried


def main(arguments: list[str] | None = None) -> None:
    """Command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--minutes", type=float, default=1.0, help="for all targets together, default 1")
    parser.add_argument("--seed", type=int, default=None, help="of the first inputs; by default the time")
    parser.add_argument("--only", metavar="NAME", help="one target")
    given = parser.parse_args(arguments)
    known = targets()
    if given.only and given.only not in known:
        parser.error(f"there is no target {given.only!r}; known are: {', '.join(known)}")
    chosen = [known[given.only]] if given.only else list(known.values())
    seed = int(time.time()) if given.seed is None else given.seed
    print(f"seed {seed}")
    for target in chosen:
        print(f"{target.name}: {fuzz(target, given.minutes * 60 / len(chosen), seed)} inputs", flush=True)


if __name__ == "__main__":
    main()
