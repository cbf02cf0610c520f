"""Index of a data set: size, brightness, near-duplicates and thumbnail of each image, found by decoding it once.

It is kept in one SQLite file, see ``core.datasets.index_db``. Opening it decodes nothing and reads no thumbnails, so
that ten thousand images are open in a moment. Building it again decodes only files that are new or changed.
"""

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
from core.datasets.edits import Edits
from core.datasets.formats import Picture
from core.datasets.store import DataSet, apply_edits, class_order, edits_path, read_pictures
from core.jobs import Report, no_report
from core.language import ENGLISH, mark, tr, using
from core.vision.classes import ClassStyle, styles_of
from core.vision.crops import fit_within
from core.vision.images import ImageError, load_image

THUMBNAIL_SIDE = 160
# An image is decoded at a half, a quarter or an eighth of its size if that keeps this many pixels a side: so small that
# ten thousand photos take minutes, so large that the hash is the one of the whole photo.
HASH_FROM_SIDE = 272
# Each image is shrunk to this size and then to grey cells; both hashes follow from them exactly.
HASH_FROM_WH = (136, 128)
PER_REPORT = 48
"""Images between two reports. They are saved together; a build that is stopped loses at most these."""
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
    """What the index says of one image, without its hashes and thumbnail."""

    bytes: int
    changed_ns: int
    width: int
    height: int
    brightness: float
    error: str
    group: int | None


class Decoded(NamedTuple):
    """What was found by decoding an image; only ``error`` if it cannot be read."""

    width: int = 0
    height: int = 0
    brightness: float = 0.0
    hash: bytes = b""
    mirrored_hash: bytes = b""
    error: str = ""
    thumbnail: bytes = b""


@dataclass(frozen=True, eq=False)
class FaceTable:
    """The labelled faces of an index; in class folders every image is one face."""

    picture: np.ndarray
    """(m,) int: position of the face's image in the index."""
    label: np.ndarray
    """(m,) str."""
    size_px: np.ndarray
    """(m,) float32: shorter side of the box; of the whole image in class folders."""
    items: tuple[str, ...]
    """Identifier of each face in edits and samples, see ``Picture.item``."""
    excluded: np.ndarray
    """(m,) bool: excluded from training, alone or with its image."""
    edited: np.ndarray
    """(m,) bool: a person gave it its label, or drew or moved its box."""


@dataclass(frozen=True, eq=False)
class Index:
    """The n readable images of a data set, and what is known of each without decoding it."""

    dataset: DataSet
    pictures: tuple[Picture, ...]
    rows: np.ndarray
    """(n,) of ``ROW``."""
    problems: dict[str, str]
    """Images that cannot be read: reason by key."""
    originals: tuple[Picture, ...]
    """``pictures`` as in the files, without edits."""

    def with_edits(self) -> "Index":
        """The same images with the edits made by now.

        Raises:
            DataError: the file of edits is damaged.
        """
        pictures = apply_edits(list(self.originals), Edits.load(self.dataset.folder))
        return replace(self, pictures=tuple(pictures))

    def __len__(self) -> int:
        return len(self.pictures)

    @property
    def groups(self) -> np.ndarray:
        """(n,) int: group of near-duplicates, mirrored ones included."""
        return self.rows["group"]

    @cached_property
    def group_sizes(self) -> np.ndarray:
        """(n,) int: number of images in each one's group; 1 if it has no near-duplicate."""
        return np.bincount(self.groups, minlength=1)[self.groups]

    @cached_property
    def sizes_px(self) -> np.ndarray:
        """(n,) int: longer sides."""
        return np.maximum(self.rows["width"], self.rows["height"])

    @cached_property
    def place_of(self) -> dict[str, int]:
        """Position of an image by its key."""
        return {picture.key: place for place, picture in enumerate(self.pictures)}

    def size_wh(self, key: str) -> tuple[int, int]:
        """Width and height of an image in pixels."""
        row = self.rows[self.place_of[key]]
        return int(row["width"]), int(row["height"])

    @cached_property
    def classes(self) -> tuple[str, ...]:
        """Class names in the data, this project's own first."""
        return class_order(label for picture in self.pictures for label in picture.labels)

    @property
    def styles(self) -> tuple[ClassStyle, ...]:
        """Words, colour and symbol of each of ``classes``."""
        return styles_of(self.classes)

    def picture_and_face(self, item: str) -> tuple[str, int]:
        """The key of a face's image, and which of its faces it is, from 0."""
        for key in (item, item.rpartition("#")[0]):
            if key in self.place_of:
                picture = self.pictures[self.place_of[key]]
                items = [picture.item(face) for face in range(len(picture.labels))]
                return key, items.index(item) if item in items else 0
        return item, 0

    @cached_property
    def faces(self) -> FaceTable:
        """All labelled faces, image by image."""
        whole = np.minimum(self.rows["width"], self.rows["height"])
        place, label, size, items, excluded, edited = [], [], [], [], [], []
        for i, picture in enumerate(self.pictures):
            sides = [whole[i]] if picture.whole else (picture.xyxy[:, 2:] - picture.xyxy[:, :2]).min(axis=1)
            for k, (name, side) in enumerate(zip(picture.labels, sides, strict=True)):
                place.append(i)
                label.append(name)
                size.append(side)
                items.append(picture.item(k))
                excluded.append(picture.excluded or k in picture.excluded_faces)
                edited.append(k in picture.edited)
        return FaceTable(
            np.array(place, int),
            np.array(label, str),
            np.array(size, np.float32),
            tuple(items),
            np.array(excluded, bool),
            np.array(edited, bool),
        )

    def thumbnails(self, places: np.ndarray) -> list[bytes]:
        """JPEG files of at most ``THUMBNAIL_SIDE`` pixels a side; empty where the index no longer has the image."""
        keys = [self.pictures[place].key for place in places]
        jpegs = index_db.select_by_key(
            self.dataset.name, "SELECT key, jpeg FROM thumbnails WHERE key IN", list(dict.fromkeys(keys))
        )
        return [jpegs.get(key, b"") for key in keys]


def build_index(dataset: DataSet, report: Report = no_report) -> Index:
    """Decode every image that is new or changed, save what was found, and open the index.

    What was decoded is kept even if ``report`` asks to stop.

    Raises:
        DataError: the data set cannot be read, or its index cannot be written.
    """
    report(0, 0, tr("Reading the labels"))
    pictures = read_pictures(dataset.folder, with_edits=False)
    stamps = {picture.key: _fingerprint(picture.path) for picture in pictures}
    entries = index_db.change(dataset.name, partial(_update, pictures, stamps, report))
    return _opened(dataset, pictures, entries)


def _update(
    pictures: list[Picture], stamps: dict[str, tuple[int, int]], report: Report, connection: sqlite3.Connection
) -> dict[str, Entry]:
    """Bring the index up to date; returns its entries, one for each of ``pictures``."""
    known = _entries(connection.execute(SELECT_ENTRIES).fetchall())
    if known and known.keys() == stamps.keys() and _is_current(known, stamps) and _is_complete(known):
        return known
    with ThreadPoolExecutor() as pool:
        while True:
            missing = [picture for picture in pictures if not _is_of(known.get(picture.key), stamps[picture.key])]
            for start in range(0, len(missing), PER_REPORT):
                report(len(pictures) - len(missing) + start, len(pictures), tr("Reading images"))
                some = missing[start : start + PER_REPORT]
                seen = list(pool.map(_decode, some))
                with index_db.transaction(connection):
                    _keep(connection, {picture.key: stamps[picture.key] for picture in some}, seen)
            report(len(pictures), len(pictures), tr("Looking for near-duplicates"))
            with index_db.transaction(connection):
                known = _entries(connection.execute(SELECT_ENTRIES).fetchall())
                # Another process may have listed the folder at another moment and have changed these entries since.
                if _is_current(known, stamps):
                    return _finish(connection, known, stamps)


SELECT_ENTRIES = "SELECT key, bytes, changed_ns, width, height, brightness, error, near_duplicates FROM images"


def _entries(rows: list[tuple]) -> dict[str, Entry]:
    return {key: Entry(*rest) for key, *rest in rows}


def _keep(connection: sqlite3.Connection, stamps: dict[str, tuple[int, int]], seen: list[Decoded]) -> None:
    connection.executemany(
        "INSERT OR REPLACE INTO images VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, NULL)",
        [(key, *stamp, *each[:-1]) for (key, stamp), each in zip(stamps.items(), seen, strict=True)],
    )
    connection.executemany(
        "INSERT OR REPLACE INTO thumbnails VALUES (?, ?)",
        [(key, each.thumbnail) for key, each in zip(stamps, seen, strict=True)],
    )


def _finish(connection: sqlite3.Connection, known: dict[str, Entry], wanted: dict) -> dict[str, Entry]:
    """Remove images that are gone, and number the groups of near-duplicates."""
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
    """Bits of n hashes, (n, 256) bool."""
    return np.unpackbits(np.frombuffer(b"".join(packed), np.uint8)).reshape(len(packed), HASH_SIDE**2).astype(bool)


def open_index(dataset: DataSet) -> Index | None:
    """The index with the labels as they are now, or ``None`` if it must be built: images are new or changed.

    Raises:
        DataError: the data set cannot be read.
    """
    known = _entries(index_db.select(dataset.name, SELECT_ENTRIES))
    if not known:
        return None
    pictures = read_pictures(dataset.folder, with_edits=False)
    entries = {picture.key: known[picture.key] for picture in pictures if picture.key in known}
    is_current = _is_current(entries, {picture.key: _fingerprint(picture.path) for picture in pictures})
    return _opened(dataset, pictures, entries) if is_current and _is_complete(entries) else None


def index_fingerprint(dataset: DataSet) -> tuple[int, int]:
    """Fingerprint of index and edits: changes whenever the index was built or a label was edited."""
    built = index_db.select(dataset.name, "SELECT finished_ns FROM builds")
    return built[0][0] if built else 0, _fingerprint(edits_path(dataset.folder))[1]


def _decode(picture: Picture) -> Decoded:
    """What the index holds of one image, or why it cannot be read, in English: the index is everybody's."""
    with using(ENGLISH):
        return _decoded(picture)


def _decoded(picture: Picture) -> Decoded:
    try:
        frame, (width, height), _ = load_image(picture.path.read_bytes(), (HASH_FROM_SIDE, HASH_FROM_SIDE))
    except ImageError as error:
        return Decoded(error=str(error))
    except OSError as error:
        return Decoded(error=f"This file cannot be read: {error.strerror or 'unknown reason'}.")
    except Exception:  # whatever is odd about one image, the others are read
        return Decoded(error=mark("This image cannot be read; save it again."))
    grey = cv2.cvtColor(cv2.resize(frame, HASH_FROM_WH, interpolation=cv2.INTER_AREA), cv2.COLOR_BGR2GRAY)
    cells = cv2.resize(grey, (HASH_SIDE + 1, HASH_SIDE), interpolation=cv2.INTER_AREA)
    thumbnail, _ = fit_within(frame, THUMBNAIL_SIDE)
    _, jpeg = cv2.imencode(".jpg", thumbnail, [cv2.IMWRITE_JPEG_QUALITY, 82])
    return Decoded(
        width,
        height,
        float(grey.mean() / 255),
        np.packbits(brighter_than_left(cells)).tobytes(),
        np.packbits(brighter_than_left(cells[:, ::-1])).tobytes(),
        "",
        jpeg.tobytes(),
    )


def _fingerprint(path: Path) -> tuple[int, int]:
    try:
        stat = path.stat()
    except OSError:
        return -1, -1
    return stat.st_size, stat.st_mtime_ns


def _is_of(entry: Entry | None, stamp: tuple[int, int]) -> bool:
    return entry is not None and (entry.bytes, entry.changed_ns) == stamp


def _is_current(entries: dict[str, Entry], stamps: dict[str, tuple[int, int]]) -> bool:
    """Whether there is an entry for each of these files as it is now."""
    return all(_is_of(entries.get(key), stamp) for key, stamp in stamps.items())


def _is_complete(entries: dict[str, Entry]) -> bool:
    """Whether near-duplicates were grouped after the last image was decoded."""
    return all(entry.group is not None for entry in entries.values())


def _opened(dataset: DataSet, pictures: list[Picture], entries: dict[str, Entry]) -> Index:
    good = tuple(picture for picture in pictures if not entries[picture.key].error)
    rows = [(e.bytes, e.changed_ns, e.width, e.height, e.brightness, e.group) for e in (entries[p.key] for p in good)]
    return Index(
        dataset,
        good,
        np.array(rows, ROW),
        {p.key: entries[p.key].error for p in pictures if entries[p.key].error},
        good,
    ).with_edits()
