"""What a data set holds, picture by picture, looked at once: sizes, brightness, near copies, thumbnails.

The catalogue lies in one SQLite file, see ``core.datasets.index_db``. Opening it decodes nothing and leaves the
thumbnails where they are, so that ten thousand pictures are at hand in a moment. Building it again looks only at files
that are new or changed.
"""

import io
import sqlite3
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import cached_property, partial
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np

from core.datasets import index_db
from core.datasets.duplicates import HASH_SIDE, brighter_than_left, groups_of_hashes
from core.datasets.edits import Repairs
from core.datasets.formats import Picture
from core.datasets.store import DataSet, apply_repairs, class_order, read_pictures, repairs_path
from core.jobs import Report, no_report
from core.vision.classes import ClassStyle, styles_of
from core.vision.crops import fit_within
from core.vision.images import MAX_MEGAPIXELS, ImageError, decode_image

THUMBNAIL_SIDE = 160


# A JPEG is decoded at a half, a quarter or an eighth of its size if that keeps this many pixels a side: so small that
# ten thousand photos take minutes, so large that the hash is the one of the whole photo.
HASH_FROM_SIDE = 272


# Shrunk like this and then to grey cells, from which its difference hash follows exactly, mirrored too.
HASH_FROM_WH = (136, 128)


PER_REPORT = 48
"""Pictures between two reports; they are kept together, and a build that is stopped loses at most these."""


ROW = np.dtype(
    [
        ("bytes", "i8"),
        ("changed_ns", "i8"),
        ("width", "i4"),
        ("height", "i4"),
        ("brightness", "f4"),
        ("group", "i4"),
    ]
)


class Entry(NamedTuple):
    """A picture's line in the index."""

    bytes: int
    changed_ns: int
    width: int
    height: int
    brightness: float
    error: str
    group: int | None


class Seen(NamedTuple):
    """What was found by decoding a picture."""

    width: int = 0
    height: int = 0
    brightness: float = 0.0
    hash: bytes = b""
    mirrored_hash: bytes = b""
    error: str = ""
    thumbnail: bytes = b""


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
        known = key in self.place_of and face.isdigit()
        return (key, self.pictures[self.place_of[key]].place_of(int(face))) if known else (item, 0)

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
        """JPEG files of at most ``THUMBNAIL_SIDE`` pixels a side; empty where the index no longer has the picture."""
        keys = [self.pictures[place].key for place in places]
        jpegs = index_db.select_by_key(
            self.dataset.name, "SELECT key, jpeg FROM thumbnails WHERE key IN", list(dict.fromkeys(keys))
        )
        return [jpegs.get(key, b"") for key in keys]


def build_catalogue(dataset: DataSet, report: Report = no_report) -> Catalogue:
    """Look at every picture that is new or changed, keep the result, and open it.

    What was looked at is kept even if ``report`` asks to stop.

    Raises:
        DataError: the data set cannot be read, or its index cannot be written.
    """
    report(0, 0, "Reading the labels")
    pictures = read_pictures(dataset.folder, repaired=False)
    stamps = {picture.key: _stamp(picture.path) for picture in pictures}
    entries = index_db.change(dataset.name, partial(_update, pictures, stamps, report))
    return _opened(dataset, pictures, entries)


def _update(
    pictures: list[Picture], stamps: dict[str, tuple[int, int]], report: Report, connection: sqlite3.Connection
) -> dict[str, Entry]:
    """Bring the index up to date; what it then says of these pictures, and of no others."""
    known = _entries(connection.execute(SELECT_ENTRIES).fetchall())
    if known and known.keys() == stamps.keys() and _is_current(known, stamps) and _is_complete(known):
        return known
    with ThreadPoolExecutor() as pool:
        while True:
            missing = [picture for picture in pictures if not _is_of(known.get(picture.key), stamps[picture.key])]
            for start in range(0, len(missing), PER_REPORT):
                report(len(pictures) - len(missing) + start, len(pictures), "Looking at pictures")
                some = missing[start : start + PER_REPORT]
                seen = list(pool.map(_look_at, some))
                with index_db.transaction(connection):
                    _keep(connection, {picture.key: stamps[picture.key] for picture in some}, seen)
            report(len(pictures), len(pictures), "Comparing pictures")
            with index_db.transaction(connection):
                known = _entries(connection.execute(SELECT_ENTRIES).fetchall())
                # Another process may have found other files in this folder a moment before or after us.
                if _is_current(known, stamps):
                    return _finish(connection, known, stamps)


SELECT_ENTRIES = "SELECT key, bytes, changed_ns, width, height, brightness, error, near_duplicates FROM images"


def _entries(rows: list[tuple]) -> dict[str, Entry]:
    return {key: Entry(*rest) for key, *rest in rows}


def _keep(connection: sqlite3.Connection, stamps: dict[str, tuple[int, int]], seen: list[Seen]) -> None:
    connection.executemany(
        "INSERT OR REPLACE INTO images VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, NULL)",
        [(key, *stamp, *each[:-1]) for (key, stamp), each in zip(stamps.items(), seen, strict=True)],
    )
    connection.executemany(
        "INSERT OR REPLACE INTO thumbnails VALUES (?, ?)",
        [(key, each.thumbnail) for key, each in zip(stamps, seen, strict=True)],
    )


def _finish(connection: sqlite3.Connection, known: dict[str, Entry], wanted: dict) -> dict[str, Entry]:
    """Forget pictures that are gone, and number the groups of near copies."""
    gone = [(key,) for key in known.keys() - wanted.keys()]
    for table in ("images", "thumbnails"):
        connection.executemany(f"DELETE FROM {table} WHERE key = ?", gone)
    rows = connection.execute("SELECT key, hash, mirrored_hash FROM images WHERE error = ''").fetchall()
    hashes, mirrored = (_bits([row[column] for row in rows]) for column in (1, 2))
    groups = groups_of_hashes(hashes, mirrored).tolist()
    connection.execute("UPDATE images SET near_duplicates = 0 WHERE error <> ''")
    connection.executemany(
        "UPDATE images SET near_duplicates = ? WHERE key = ?",
        [(group, key) for group, (key, _, _) in zip(groups, rows, strict=True)],
    )
    connection.execute("INSERT OR REPLACE INTO builds VALUES (1, ?)", (time.time_ns(),))
    return _entries(connection.execute(SELECT_ENTRIES).fetchall())


def _bits(packed: list[bytes]) -> np.ndarray:
    """(n, 256) bool of n hashes."""
    return np.unpackbits(np.frombuffer(b"".join(packed), np.uint8)).reshape(len(packed), HASH_SIDE**2).astype(bool)


def open_catalogue(dataset: DataSet) -> Catalogue | None:
    """The catalogue with today's labels, or ``None`` if pictures are new or changed, so that it must be built.

    Raises:
        DataError: the data set cannot be read.
    """
    known = _entries(index_db.select(dataset.name, SELECT_ENTRIES))
    if not known:
        return None
    pictures = read_pictures(dataset.folder, repaired=False)
    entries = {picture.key: known[picture.key] for picture in pictures if picture.key in known}
    is_current = _is_current(entries, {picture.key: _stamp(picture.path) for picture in pictures})
    return _opened(dataset, pictures, entries) if is_current and _is_complete(entries) else None


def catalogue_stamp(dataset: DataSet) -> tuple[int, int]:
    """Changes whenever the catalogue was built anew or a label was repaired."""
    built = index_db.select(dataset.name, "SELECT finished_ns FROM builds")
    return built[0][0] if built else 0, _stamp(repairs_path(dataset.folder))[1]


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


def _look_at(picture: Picture) -> Seen:
    """Everything that the index holds of one picture, or why it cannot be read."""
    try:
        frame, (width, height) = small_picture(picture.path.read_bytes())
    except ImageError as error:
        return Seen(error=str(error))
    except OSError as error:
        return Seen(error=f"This file cannot be read: {error.strerror or error}.")
    grey = cv2.cvtColor(cv2.resize(frame, HASH_FROM_WH, interpolation=cv2.INTER_AREA), cv2.COLOR_BGR2GRAY)
    cells = cv2.resize(grey, (HASH_SIDE + 1, HASH_SIDE), interpolation=cv2.INTER_AREA)
    thumbnail, _ = fit_within(frame, THUMBNAIL_SIDE)
    _, jpeg = cv2.imencode(".jpg", thumbnail, [cv2.IMWRITE_JPEG_QUALITY, 82])
    return Seen(
        width,
        height,
        float(grey.mean() / 255),
        np.packbits(brighter_than_left(cells)).tobytes(),
        np.packbits(brighter_than_left(cells[:, ::-1])).tobytes(),
        "",
        jpeg.tobytes(),
    )


def _stamp(path: Path) -> tuple[int, int]:
    try:
        stat = path.stat()
    except OSError:
        return -1, -1
    return stat.st_size, stat.st_mtime_ns


def _is_of(entry: Entry | None, stamp: tuple[int, int]) -> bool:
    return entry is not None and (entry.bytes, entry.changed_ns) == stamp


def _is_current(entries: dict[str, Entry], stamps: dict[str, tuple[int, int]]) -> bool:
    """Whether the index has all of these files as they are now."""
    return all(_is_of(entries.get(key), stamp) for key, stamp in stamps.items())


def _is_complete(entries: dict[str, Entry]) -> bool:
    """Whether groups were numbered after the last picture was looked at."""
    return all(entry.group is not None for entry in entries.values())


def _opened(dataset: DataSet, pictures: list[Picture], entries: dict[str, Entry]) -> Catalogue:
    good = tuple(picture for picture in pictures if not entries[picture.key].error)
    rows = [(e.bytes, e.changed_ns, e.width, e.height, e.brightness, e.group) for e in (entries[p.key] for p in good)]
    return Catalogue(
        dataset,
        good,
        np.array(rows, ROW),
        {p.key: entries[p.key].error for p in pictures if entries[p.key].error},
        good,
    ).repaired()
