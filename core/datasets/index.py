"""What a data set holds, picture by picture, looked at once: sizes, brightness, near copies, thumbnails.

The catalogue lies in ``data_dir()/.cache/NAME/``: one index (``index.npz``) and one file with all thumbnails one after
the other. Opening it decodes nothing, so that ten thousand pictures are at hand in a moment. Building it again looks
only at files that are new or changed.
"""

import io
import os
import zipfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, BinaryIO

import cv2
import numpy as np

from core.config import cache_dir
from core.datasets.duplicates import HASH_SIDE, near_copy_groups
from core.datasets.edits import Repairs
from core.datasets.formats import Picture
from core.datasets.store import DataSet, apply_repairs, class_order, read_pictures, repairs_path
from core.io import write_atomic
from core.jobs import Cancelled, Report, no_report
from core.vision.classes import ClassStyle, styles_of
from core.vision.crops import fit_within
from core.vision.images import MAX_MEGAPIXELS, ImageError, decode_image

VERSION = 1


THUMBNAIL_SIDE = 160


# A JPEG is decoded at a half, a quarter or an eighth of its size if that keeps this many pixels a side: so small that
# ten thousand photos take minutes, so large that the hash is the one of the whole photo.
HASH_FROM_SIDE = 272


# Shrunk like this and then to grey cells, from which its difference hash follows exactly, mirrored too.
HASH_FROM_WH = (136, 128)


PER_REPORT = 48


ROW = np.dtype(
    [
        ("bytes", "i8"),
        ("changed_ns", "i8"),
        ("width", "i4"),
        ("height", "i4"),
        ("brightness", "f4"),
        ("cells", "u1", (HASH_SIDE, HASH_SIDE + 1)),
        ("group", "i4"),
        ("start", "i8"),
        ("length", "i4"),
    ]
)


@dataclass(frozen=True, eq=False)
class FaceTable:
    """The labelled faces of a catalogue; in class folders every picture is one face."""

    picture: np.ndarray
    """(m,) int: place of the face's picture in the catalogue."""
    label: np.ndarray
    """(m,) str."""
    size_px: np.ndarray
    """(m,) float32: shorter side of the box; of the whole picture in class folders."""
    items: tuple[str, ...]
    """What repairs and samples call each one, as ``Picture.item``."""
    aside: np.ndarray
    """(m,) bool: set aside, by itself or with its picture."""


@dataclass(frozen=True, eq=False)
class Catalogue:
    """The readable pictures of a data set, n of them, and what is known of each without decoding it."""

    dataset: DataSet
    pictures: tuple[Picture, ...]
    rows: np.ndarray
    """(n,) of ``ROW``."""
    pack: Path
    """The file with the thumbnails."""
    problems: dict[str, str]
    """Pictures that cannot be read, by key, and why."""
    originals: tuple[Picture, ...]
    """``pictures`` as the files have them, without what people changed."""

    def repaired(self) -> "Catalogue":
        """The same pictures with what people have changed by now.

        Raises:
            DataError: the file of changes is damaged.
        """
        pictures = apply_repairs(list(self.originals), Repairs.load(self.dataset.folder))
        return replace(self, pictures=tuple(pictures))

    def __len__(self) -> int:
        return len(self.pictures)

    @property
    def groups(self) -> np.ndarray:
        """(n,) int: near copies of each other, mirrored ones too, share their number."""
        return self.rows["group"]

    @cached_property
    def group_sizes(self) -> np.ndarray:
        """(n,) int: how many pictures each one's group has; 1 if it has no near copy."""
        return np.bincount(self.groups, minlength=1)[self.groups]

    @cached_property
    def sizes_px(self) -> np.ndarray:
        """(n,) int: longer sides."""
        return np.maximum(self.rows["width"], self.rows["height"])

    @cached_property
    def place_of(self) -> dict[str, int]:
        """Place of a picture by its key."""
        return {picture.key: place for place, picture in enumerate(self.pictures)}

    @cached_property
    def classes(self) -> tuple[str, ...]:
        """Class names in the data, this project's own first."""
        return class_order(label for picture in self.pictures for label in picture.labels)

    @property
    def styles(self) -> tuple[ClassStyle, ...]:
        """How each of ``classes`` looks to a person."""
        return styles_of(self.classes)

    def picture_and_face(self, item: str) -> tuple[str, int]:
        """A face's picture by its key, and which of its faces it is, from 0."""
        key, _, face = item.rpartition("#")
        return (key, int(face)) if key in self.place_of and face.isdigit() else (item, 0)

    @cached_property
    def faces(self) -> FaceTable:
        """All labelled faces, picture by picture."""
        whole = np.minimum(self.rows["width"], self.rows["height"])
        place, label, size, items, aside = [], [], [], [], []
        for i, picture in enumerate(self.pictures):
            sides = [whole[i]] if picture.whole else (picture.xyxy[:, 2:] - picture.xyxy[:, :2]).min(axis=1)
            for k, (name, side) in enumerate(zip(picture.labels, sides, strict=True)):
                place.append(i)
                label.append(name)
                size.append(side)
                items.append(picture.item(k))
                aside.append(picture.set_aside or k in picture.faces_aside)
        return FaceTable(
            np.array(place, int), np.array(label, str), np.array(size, np.float32), tuple(items), np.array(aside, bool)
        )

    def thumbnails(self, places: np.ndarray) -> list[bytes]:
        """JPEG files of at most ``THUMBNAIL_SIDE`` pixels a side; empty if the catalogue was just made anew."""
        try:
            with self.pack.open("rb") as file:
                return [_read_at(file, row["start"], row["length"]) for row in self.rows[places]]
        except FileNotFoundError:
            return [b""] * len(places)


def build_catalogue(dataset: DataSet, report: Report = no_report) -> Catalogue:
    """Look at every picture that is new or changed, keep the result, and open it.

    What was looked at is kept even if ``report`` asks to stop.

    Raises:
        DataError: the data set cannot be read.
    """
    report(0, 0, "Reading the labels")
    pictures = read_pictures(dataset.folder, repaired=False)
    folder = cache_dir(dataset.name)
    folder.mkdir(parents=True, exist_ok=True)
    known, old_pack = _load(folder)
    wanted = [(picture, _stamp(picture.path)) for picture in pictures]
    fresh = {p.key: known[p.key] for p, stamp in wanted if p.key in known and _is_of(known[p.key], stamp)}
    missing = [(picture, stamp) for picture, stamp in wanted if picture.key not in fresh]
    if old_pack and not missing and len(fresh) == len(known) and _is_complete(fresh):
        return _opened(dataset, pictures, fresh, old_pack)
    pack = folder / f"thumbnails-{os.urandom(4).hex()}.jpgs"
    try:
        with pack.open("wb") as out, ThreadPoolExecutor() as pool:
            _copy_thumbnails(fresh, old_pack, out)
            for start in range(0, len(missing), PER_REPORT):
                report(len(fresh), len(pictures), "Looking at pictures")
                some = missing[start : start + PER_REPORT]
                for (picture, stamp), seen in zip(some, pool.map(_look_at, some), strict=True):
                    row, problem, jpeg = seen
                    row["bytes"], row["changed_ns"] = stamp
                    row["start"], row["length"], row["group"] = out.tell(), len(jpeg), -1
                    out.write(jpeg)
                    fresh[picture.key] = (row, problem)
        report(len(pictures), len(pictures), "Comparing pictures")
        _number_groups(fresh)
    except Cancelled:
        _save(folder, fresh, pack)
        raise
    except BaseException:
        pack.unlink(missing_ok=True)
        raise
    _save(folder, fresh, pack)
    return _opened(dataset, pictures, fresh, pack)


def open_catalogue(dataset: DataSet) -> Catalogue | None:
    """The catalogue with today's labels, or ``None`` if pictures are new or changed, so that it must be built.

    Raises:
        DataError: the data set cannot be read.
    """
    known, pack = _load(cache_dir(dataset.name))
    if not known or pack is None:
        return None
    pictures = read_pictures(dataset.folder, repaired=False)
    rows = {}
    for picture in pictures:
        entry = known.get(picture.key)
        if entry is None or not _is_of(entry, _stamp(picture.path)):
            return None
        rows[picture.key] = entry
    return _opened(dataset, pictures, rows, pack) if _is_complete(rows) else None


def catalogue_stamp(dataset: DataSet) -> tuple[int, int]:
    """Changes whenever the catalogue was built anew or a label was repaired."""
    files = cache_dir(dataset.name) / "index.npz", repairs_path(dataset.folder)
    return _stamp(files[0])[1], _stamp(files[1])[1]


def small_picture(data: bytes) -> tuple[np.ndarray, tuple[int, int]]:
    """A picture file decoded only as far as a thumbnail needs.

    Returns:
        (h, w, 3) uint8 BGR, upright, and the whole picture's width and height.

    Raises:
        ImageError: as ``core.vision.images.decode_image``.
    """
    from PIL import Image, ImageOps

    try:
        image = Image.open(io.BytesIO(data), formats=("JPEG",))
        width, height = image.size
        if image.mode in ("RGB", "L") and width * height <= MAX_MEGAPIXELS * 1e6:
            upright = image.getexif().get(0x0112, 1) < 5
            image.draft("RGB", (HASH_FROM_SIDE, HASH_FROM_SIDE))
            rgb = np.asarray(ImageOps.exif_transpose(image).convert("RGB"))
            return cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR), (width, height) if upright else (height, width)
    except Exception:  # whatever is wrong with it, the careful way below finds the words
        pass
    frame = decode_image(data)
    return frame, (frame.shape[1], frame.shape[0])


def _look_at(wanted: tuple[Picture, tuple[int, int]]) -> tuple[np.ndarray, str, bytes]:
    """Everything the index holds of one picture, why it cannot be read, and its thumbnail."""
    row = np.zeros((), ROW)
    try:
        frame, (row["width"], row["height"]) = small_picture(wanted[0].path.read_bytes())
    except ImageError as error:
        return row, str(error), b""
    except OSError as error:
        return row, f"This file cannot be read: {error.strerror or error}.", b""
    grey = cv2.cvtColor(cv2.resize(frame, HASH_FROM_WH, interpolation=cv2.INTER_AREA), cv2.COLOR_BGR2GRAY)
    row["cells"] = cv2.resize(grey, (HASH_SIDE + 1, HASH_SIDE), interpolation=cv2.INTER_AREA)
    row["brightness"] = grey.mean() / 255
    thumbnail, _ = fit_within(frame, THUMBNAIL_SIDE)
    _, jpeg = cv2.imencode(".jpg", thumbnail, [cv2.IMWRITE_JPEG_QUALITY, 82])
    return row, "", jpeg.tobytes()


def _number_groups(entries: dict[str, tuple[np.ndarray, str]]) -> None:
    readable = [row for row, problem in entries.values() if not problem]
    for row, _ in entries.values():
        row["group"] = 0
    if readable:
        cells = [np.repeat(row["cells"][..., None], 3, axis=2) for row in readable]
        for row, group in zip(readable, near_copy_groups(cells), strict=True):
            row["group"] = group


def _is_complete(entries: dict[str, tuple[np.ndarray, str]]) -> bool:
    """Whether groups were numbered after the last picture was looked at."""
    return all(row["group"] >= 0 for row, _ in entries.values())


def _stamp(path: Path) -> tuple[int, int]:
    try:
        stat = path.stat()
    except OSError:
        return -1, -1
    return stat.st_size, stat.st_mtime_ns


def _is_of(entry: tuple[np.ndarray, str], stamp: tuple[int, int]) -> bool:
    return (int(entry[0]["bytes"]), int(entry[0]["changed_ns"])) == stamp


def _read_at(file: BinaryIO, start: int, length: int) -> bytes:
    file.seek(start)
    return file.read(length)


def _copy_thumbnails(entries: dict[str, tuple[np.ndarray, str]], old_pack: Path | None, out: BinaryIO) -> None:
    """The thumbnails that stay, into the new pack; entries whose thumbnail is gone are dropped."""
    if not entries or old_pack is None:
        return
    try:
        old = old_pack.open("rb")
    except OSError:
        entries.clear()
        return
    with old:
        for row, _ in entries.values():
            jpeg = _read_at(old, int(row["start"]), int(row["length"]))
            row["start"] = out.tell()
            out.write(jpeg)


def _load(folder: Path) -> tuple[dict[str, tuple[np.ndarray, str]], Path | None]:
    """Row and problem by key, and the pack; empty if there is none or it is broken or of another version."""
    try:
        with np.load(folder / "index.npz", allow_pickle=False) as index:
            if int(index["version"]) != VERSION or index["rows"].dtype != ROW:
                return {}, None
            pack = folder / Path(str(index["pack"])).name
            keys, rows, problems = index["keys"].tolist(), index["rows"], index["problems"].tolist()
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        return {}, None
    if not pack.is_file():
        return {}, None
    return {key: (rows[i, ...], problem) for i, (key, problem) in enumerate(zip(keys, problems, strict=True))}, pack


def _save(folder: Path, entries: dict[str, tuple[np.ndarray, str]], pack: Path) -> None:
    index: dict[str, Any] = {
        "version": np.array(VERSION),
        "pack": np.array(pack.name),
        "keys": np.array(list(entries), str),
        "rows": np.array([row for row, _ in entries.values()], ROW),
        "problems": np.array([problem for _, problem in entries.values()], str),
    }

    def write(path: Path) -> None:
        with path.open("wb") as file:
            np.savez(file, **index)

    write_atomic(folder / "index.npz", write)
    for old in folder.glob("thumbnails-*.jpgs"):
        if old != pack:
            old.unlink(missing_ok=True)


def _opened(dataset: DataSet, pictures: list[Picture], entries: dict, pack: Path) -> Catalogue:
    good = tuple(picture for picture in pictures if not entries[picture.key][1])
    return Catalogue(
        dataset,
        good,
        np.array([entries[picture.key][0] for picture in good], ROW),
        pack,
        {p.key: entries[p.key][1] for p in pictures if entries[p.key][1]},
        good,
    ).repaired()
