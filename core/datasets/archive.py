"""Zip archives from strangers: what is a picture or its annotation comes out under a safe name, nothing else does.

Nothing that an archive says of itself is believed. Members are never extracted by zipfile, but read up to a limit and
written under names of ours; what was really read is counted, not what the headers promise.
"""

import contextlib
import hashlib
import io
import re
import shutil
import stat
import struct
import unicodedata
import zipfile
import zlib
from collections import defaultdict
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path, PurePosixPath
from typing import BinaryIO, NamedTuple

from core.datasets.class_folders import TwoReadings, class_of_each
from core.datasets.formats import NOTE_SUFFIXES, PICTURE_SUFFIXES, SPLITS, DataError
from core.datasets.notes import MAX_NOTE_BYTES
from core.jobs import Cancelled, Report
from core.language import in_this_language, number, tr
from core.vision.images import ImageError, decode_image

ARCHIVES = {".zip", ".tar", ".gz", ".tgz", ".bz2", ".xz", ".7z", ".rar"}
# Formats that pack the images themselves into one file.
BUNDLES = {
    ".tfrecord": "TFRecord",
    ".record": "TFRecord",
    ".parquet": "Parquet",
    ".arrow": "Arrow",
    ".h5": "HDF5",
    ".hdf5": "HDF5",
    ".npz": "NumPy",
    ".npy": "NumPy",
    ".mat": "MATLAB",
    ".pkl": "pickle",
}
JUNK = {"thumbs.db", "desktop.ini", "icon\r", "__macosx"}
MAX_DEPTH = 12
# Pictures are read ahead and checked side by side, so many bytes or pictures at a time.
BATCH_BYTES, BATCH_PICTURES = 64 * 1024**2, 32
CHUNK = 256 * 1024
# What zipfile raises at archives that are damaged, or made to break it.
DAMAGED = (zipfile.BadZipFile, zlib.error, struct.error, EOFError, RuntimeError, ValueError, OverflowError, KeyError)


@dataclass(frozen=True)
class Limits:
    """How much one archive may bring."""

    members: int = 100_000
    total_bytes: int = 16 * 1024**3
    picture_bytes: int = 128 * 1024**2
    note_bytes: int = MAX_NOTE_BYTES
    ratio: int = 100
    """Unpacked to packed size; pictures hardly shrink in a zip, bombs shrink a thousandfold."""
    ratio_from_bytes: int = 256 * 1024**2
    """The ratio is of no interest while less than this comes out."""
    list_bytes: int = 24 * 1024**2
    """Size of the archive's table of contents."""


LIMITS = Limits()


@dataclass
class Unpacked:
    """What came out of an archive."""

    broken: list[str] = field(default_factory=list)
    """Pictures that could not be read, each with the reason."""
    ignored: list[str] = field(default_factory=list)
    """What was passed over, each with the reason; the litter of file managers is not listed."""
    original: dict[str, str] = field(default_factory=dict)
    """Path below the folder to the name in the archive."""


def unpack(file: BinaryIO, folder: Path, report: Report, limits: Limits = LIMITS) -> Unpacked:
    """Write an archive's pictures and annotations below an empty folder.

    Raises:
        DataError: it is no zip, is encrypted, holds no picture, or is larger than the limits.
        Cancelled, OSError: as ``report`` and the disk have it; the folder is then half filled.
    """
    size = file.seek(0, io.SEEK_END)
    with _opened(file, size, limits) as archive:
        result = Unpacked()
        plan = _plan(archive, result, limits)
        promised = sum(info.file_size for info, _ in plan)
        if promised > limits.total_bytes:
            raise _too_large(limits)
        if promised > shutil.disk_usage(folder).free:
            raise DataError(tr("The server's disk is too full for what is in this archive; make room or pack less."))
        result.original = {path.as_posix(): member_name(info) for info, path in plan}
        _write_members(archive, plan, folder, result, report, limits, size)
    return result


def class_readings(file: BinaryIO, limits: Limits = LIMITS) -> list[tuple[str, ...]]:
    """The names of the classes in each way in which an archive's folders can be read; empty if it can be told."""
    try:
        with _opened(file, file.seek(0, io.SEEK_END), limits) as archive:
            paths = [path for _, path in _plan(archive, Unpacked(), limits)]
    except DataError:  # said when it is imported
        return []
    if any(path.suffix.lower() in (".xml", ".json", ".csv") for path in paths):
        return []
    try:
        class_of_each((path for path in paths if path.suffix.lower() in PICTURE_SUFFIXES), SPLITS)
    except TwoReadings as error:
        return error.readings
    return []


def _opened(file: BinaryIO, size: int, limits: Limits) -> zipfile.ZipFile:
    try:
        return zipfile.ZipFile(_CarefulFile(file, size, limits))
    except DataError:
        raise
    except DAMAGED:
        raise DataError(tr("This file is not a zip archive that can be read; pack the folder again as .zip.")) from None


class _CarefulFile:
    """The uploaded file as zipfile reads it, which takes the table of contents in one gulp of any size."""

    def __init__(self, file: BinaryIO, size: int, limits: Limits):
        self._file, self._size, self._limits = file, size, limits
        self.seek, self.tell = file.seek, file.tell

    def seekable(self) -> bool:
        return True

    def read(self, n: int = -1) -> bytes:
        left = max(0, self._size - self._file.tell())
        n = left if n is None or n < 0 else min(n, left)
        if n > self._limits.list_bytes:
            raise _too_many(self._limits)
        data = self._file.read(n)
        if data.count(b"PK\x01\x02") > self._limits.members:
            raise _too_many(self._limits)
        return data


def _too_many(limits: Limits) -> DataError:
    words = tr("This archive holds more than {count} files; split it.")
    return DataError(words.format(count=number(limits.members, ",")))


def _too_large(limits: Limits) -> DataError:
    words = tr("This archive unpacks to more than {size} GB; split it.")
    return DataError(words.format(size=number(limits.total_bytes / 1e9, ".3g")))


# What to take


def _plan(archive: zipfile.ZipFile, result: Unpacked, limits: Limits) -> list[tuple[zipfile.ZipInfo, PurePosixPath]]:
    """The members to take and where each goes; the others are listed with the reason."""
    members = archive.infolist()
    if len(members) > limits.members:
        raise _too_many(limits)
    taken: dict[tuple[str, ...], zipfile.ZipInfo] = {}
    for info in members:
        if info.is_dir():
            continue
        name = member_name(info)
        parts = tuple(part for part in name.replace("\\", "/").split("/") if part not in ("", "."))
        # Before it is asked what kind of file it is: a file that nobody wants may be locked without harm.
        if not parts or any(part.casefold() in JUNK or (part.startswith(".") and part != "..") for part in parts):
            continue
        reason = _refusal(info, parts)
        if not reason and parts in taken:
            reason = tr("the same name comes twice")
        if reason:
            result.ignored.append(f"{name[:200]}: {reason}")
            continue
        if info.flag_bits & 0x1:
            raise DataError(tr("This archive is locked with a password; pack the images again without one."))
        if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            # zipfile's other decompressors cannot be stopped half way.
            raise DataError(tr("This archive is packed in an unusual way; pack the folder again as an ordinary .zip."))
        taken[parts] = info
    if not any(split_suffix(parts[-1])[1].lower() in PICTURE_SUFFIXES for parts in taken):
        kinds = (split_suffix(info.filename)[1].lower() for info in members)
        if bundle := next((BUNDLES[kind] for kind in kinds if kind in BUNDLES), None):
            words = tr(
                "This archive holds its images as {format}, which cannot be read; export them as files, with YOLO, "
                "COCO or Pascal VOC."
            )
            raise DataError(words.format(format=bundle))
        raise DataError(tr("This archive holds no images (JPEG, PNG, WebP, BMP, TIFF or HEIC)."))
    names = _safe_names(_unwrapped(list(taken)))
    return [(info, path) for info, path in zip(taken.values(), names, strict=True)]


def member_name(info: zipfile.ZipInfo) -> str:
    """A member's name as it was before packing: macOS writes UTF-8 without setting the flag for it."""
    if info.flag_bits & 0x800 or info.filename.isascii():
        return info.filename
    try:
        return info.filename.encode("cp437").decode("utf-8")
    except UnicodeError:
        return info.filename


def _refusal(info: zipfile.ZipInfo, parts: tuple[str, ...]) -> str:
    """Why a member is not taken, or nothing."""
    kind = stat.S_IFMT(info.external_attr >> 16)
    name, suffix = member_name(info).replace("\\", "/"), split_suffix(parts[-1])[1].lower()
    if ".." in parts or name.startswith("/") or (len(parts[0]) == 2 and parts[0][1] == ":"):
        return tr("its path leads out of the archive")
    if kind not in (0, stat.S_IFREG):
        return tr("a link or device, not a file")
    if suffix in ARCHIVES:
        return tr("an archive within the archive")
    if suffix not in PICTURE_SUFFIXES and suffix not in NOTE_SUFFIXES:
        return tr("neither an image nor an annotation")
    return tr("more than {count} folders deep").format(count=MAX_DEPTH) if len(parts) > MAX_DEPTH else ""


def _unwrapped(paths: list[tuple[str, ...]]) -> list[tuple[str, ...]]:
    """Paths without the folders that wrap everything; a class folder or train/ is not such a wrapper."""
    while True:
        tops = {path[0] for path in paths}
        pictures = [path for path in paths if split_suffix(path[-1])[1].lower() in PICTURE_SUFFIXES]
        if len(tops) > 1 or min(map(len, paths)) < 2 or min(map(len, pictures)) < 3:
            return paths
        if tops.pop().casefold() in SPLITS:
            return paths
        paths = [path[1:] for path in paths]


def _safe_names(paths: list[tuple[str, ...]]) -> list[PurePosixPath]:
    """A safe path for each, all different even where capitals do not count; a picture and its annotation, which are
    told by the same name, still have the same name."""
    folders: dict[str, str] = {}
    used: set[str] = set()

    def folder(name: str) -> str:
        key, safe = name.casefold(), safe_part(name)
        if key not in folders:
            number, folders[key] = 1, safe
            while folders[key].casefold() in used:
                number += 1
                folders[key] = _numbered(safe, number)
            used.add(folders[key].casefold())
        return safe if safe.casefold() == folders[key].casefold() else folders[key]

    split = [(tuple(folder(part) for part in path[:-1]), *split_suffix(path[-1])) for path in paths]
    alike = defaultdict(set)
    for place, stem, suffix in split:
        alike["/".join(place).casefold(), safe_part(stem).casefold(), suffix.lower()].add(stem)
    numbers: dict[str, int] = {}
    for stems in alike.values():
        for nth, stem in enumerate(sorted(stems), 1):
            numbers[stem] = max(numbers.get(stem, 1), nth)
    found, seen = [], set()
    for place, stem, suffix in split:
        number = numbers[stem]
        path = PurePosixPath(*place, _numbered(safe_part(stem), number) + suffix)
        while path.as_posix().casefold() in seen:  # a.jpg and a.JPG
            number += 1
            path = PurePosixPath(*place, _numbered(safe_part(stem), number) + suffix)
        seen.add(path.as_posix().casefold())
        found.append(path)
    return found


def _numbered(name: str, number: int) -> str:
    return name if number == 1 else f"{name}-{number}"


# Reading and writing


def _write_members(
    archive: zipfile.ZipFile,
    plan: list[tuple[zipfile.ZipInfo, PurePosixPath]],
    folder: Path,
    result: Unpacked,
    report: Report,
    limits: Limits,
    size: int,
) -> None:
    chunks = _Chunks(archive, limits, size)
    done = 0

    @in_this_language
    def check(item: tuple[zipfile.ZipInfo, PurePosixPath, bytes]) -> str:
        try:
            decode_image(item[2])
        except ImageError as error:
            return str(error)
        except Exception:  # whatever is odd about one image, the others are read
            return tr("This image cannot be read; save it again.")
        return ""

    def finish(batch: list) -> None:
        for (info, path, data), reason in zip(batch, pool.map(check, batch), strict=True):
            if reason:
                result.broken.append(f"{member_name(info)[:200]}: {reason}")
            else:
                target = folder / path
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(data)
        batch.clear()

    batch, batch_bytes = [], 0
    with ThreadPoolExecutor(2) as pool:
        for info, path in plan:
            try:
                if path.suffix.lower() in PICTURE_SUFFIXES:
                    batch.append((info, path, b"".join(chunks(info, limits.picture_bytes))))
                    batch_bytes += len(batch[-1][2])
                else:
                    target = folder / path
                    target.parent.mkdir(parents=True, exist_ok=True)
                    with target.open("wb") as out:
                        for chunk in chunks(info, limits.note_bytes):
                            out.write(chunk)
            except (DataError, Cancelled):
                raise
            except (_MemberError, *DAMAGED) as error:
                (folder / path).unlink(missing_ok=True)
                result.broken.append(f"{member_name(info)[:200]}: {_why(error)}")
            done += 1
            if len(batch) >= BATCH_PICTURES or batch_bytes >= BATCH_BYTES:
                finish(batch)
                batch_bytes = 0
            if done % BATCH_PICTURES == 0:
                words = tr("{done} of {total} files unpacked and checked")
                report(done, len(plan), words.format(done=number(done, ","), total=number(len(plan), ",")))
        finish(batch)
    report(len(plan), len(plan), tr("All files unpacked and checked"))


class _MemberError(Exception):
    """One member cannot be used; the others can."""


class _Chunks:
    """What members hold, a little at a time, counted against the limits of the whole archive."""

    def __init__(self, archive: zipfile.ZipFile, limits: Limits, size: int):
        self._archive, self._limits, self._size = archive, limits, size
        self._unpacked = 0

    def __call__(self, info: zipfile.ZipInfo, limit: int) -> Iterator[bytes]:
        """The bytes of a member, at most so many.

        Raises:
            DataError: the archive unpacks to more than its limits.
            _MemberError: the member does; one of ``DAMAGED``: it cannot be read.
        """
        with self._archive.open(info) as member:
            read = 0
            while chunk := member.read(CHUNK):
                read += len(chunk)
                self._unpacked += len(chunk)
                if self._unpacked > self._limits.total_bytes:
                    raise _too_large(self._limits)
                if self._unpacked > max(self._limits.ratio_from_bytes, self._limits.ratio * self._size):
                    words = tr("This archive unpacks to over {times} times its size, as only traps do.")
                    raise DataError(words.format(times=self._limits.ratio))
                if read > limit:
                    raise _MemberError(tr("larger than {size} MB").format(size=number(limit / 1024**2, "g")))
                yield chunk


def _why(error: Exception) -> str:
    return str(error) if isinstance(error, _MemberError) else tr("damaged within the archive")


class PackedImage(NamedTuple):
    """An image in an archive, not read yet."""

    path: PurePosixPath
    """A safe name, its own within the archive."""
    read: Callable[[], bytes]
    """Its bytes. Raises: ``ImageError``, if it cannot be read; ``DataError``, if the archive is a trap."""


@contextlib.contextmanager
def packed_images(file: BinaryIO, limits: Limits = LIMITS) -> Iterator[tuple[list[PackedImage], list[str]]]:
    """The images of an archive, for as long as a ``with`` lasts; nothing is unpacked onto the disk.

    Yields:
        The images in the archive's order, and what is passed over, each with the reason.

    Raises:
        DataError: it is no zip, is encrypted, holds no image, or too many files.
    """
    size = file.seek(0, io.SEEK_END)
    with _opened(file, size, limits) as archive:
        account = Unpacked()
        plan = _plan(archive, account, limits)
        chunks = _Chunks(archive, limits, size)

        def read(info: zipfile.ZipInfo) -> bytes:
            try:
                return b"".join(chunks(info, limits.picture_bytes))
            except DataError:
                raise
            except (_MemberError, *DAMAGED) as error:
                raise ImageError(tr("This image is {why}.").format(why=_why(error))) from None

        images = [
            PackedImage(path, partial(read, info)) for info, path in plan if path.suffix.lower() in PICTURE_SUFFIXES
        ]
        yield images, account.ignored


MAX_BYTES = 80
# Windows opens devices under these names, whatever the extension.
DEVICES = {"con", "prn", "aux", "nul"} | {f"{port}{number}" for port in ("com", "lpt") for number in range(10)}


def safe_part(text: str) -> str:
    """One part of a path, without extension: any script's letters stay, everything with a meaning to a disk goes.

    The same text always gives the same part; a long one is cut and ends with a checksum, so that it stays its own.
    """
    part = unicodedata.normalize("NFC", text)
    part = "".join(c if c.isprintable() and c not in '<>:"/\\|?*' else "_" for c in part).strip(" ").strip(".").strip()
    if len(part.encode("utf-8", "replace")) > MAX_BYTES:
        checksum = hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()[:8]
        part = part.encode("utf-8", "replace")[: MAX_BYTES - 9].decode("utf-8", "ignore").strip() + "~" + checksum
    if part.casefold().split(".")[0] in DEVICES:
        part = f"_{part}"
    return part or "_"


def split_suffix(name: str) -> tuple[str, str]:
    """``("a.b", ".jpg")`` of ``a.b.jpg``; a suffix of other characters than letters and digits counts as none."""
    match = re.fullmatch(r"(.+?)(\.[A-Za-z0-9]{1,8})", name, re.DOTALL)
    return (match[1], match[2]) if match else (name, "")
