"""New data sets: from a zip, from GitHub, or made here. Each is built out of sight and appears when it is complete."""

import errno
import logging
import os
import shutil
import tempfile
import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from core.config import data_dir
from core.datasets.account import KEY, Account, account_of
from core.datasets.archive import LIMITS, Limits, Unpacked, unpack
from core.datasets.findings import Findings
from core.datasets.formats import SPLITS, DataError, layout_of, list_split, walk
from core.datasets.readers import read_layout
from core.datasets.sources.demo import DEMO_CARD, draw_demo_pictures
from core.datasets.sources.prajnasb import REPORT_CARD, REPORT_NAME, fetch_files
from core.datasets.store import (
    DataSet,
    delete_dataset,
    find_dataset,
    free_name,
    is_taken,
    link_folder,
    names_lock,
    write_card,
)
from core.datasets.tool_formats import TOOLS
from core.jobs import Report, no_report

log = logging.getLogger(__name__)
INCOMING = ".incoming-"
PARTIAL = ".partial-"
# What belongs to a layout beside its pictures; everything else in an archive is passed over.
NOTES_OF = {
    "class_folders": (),
    "pascal_voc": (".xml",),
    "yolo": (".txt", ".yaml", ".yml", ".names", ".labels"),
    "coco": (".json",),
} | {key: (tool.suffix,) for key, tool in TOOLS.items()}


@dataclass(frozen=True)
class ImportResult:
    """A new data set, and what did not make it into it."""

    dataset: DataSet
    pictures: int
    broken: list[str] = field(default_factory=list)
    """Files that could not be read, each with the reason."""
    ignored: list[str] = field(default_factory=list)
    """Files that were passed over, each with the reason."""
    account: Account | None = None
    """What a person should read before training; kept in the set's card too."""


def import_zip(
    file: BinaryIO,
    name: str,
    report: Report = no_report,
    limits: Limits = LIMITS,
    classes: Collection[str] = (),
) -> ImportResult:
    """A data set from an uploaded archive of any layout, however hostile.

    Args:
        file: open for reading, seekable.
        name: for the new set; made clean, must not be taken.
        classes: which folders are the classes, if ``core.datasets.archive.class_readings`` leaves a choice.

    Raises:
        DataError: nothing usable in it, too much in it, the disk is full, or the name is taken; nothing is left behind.
        Cancelled: as ``report`` has it; nothing is left behind.
    """
    with building(name) as (folder, clean):
        unpacked = unpack(file, folder, report, limits)
        try:
            if classes:
                _one_level(folder, unpacked, classes)
            report(len(unpacked.original), len(unpacked.original), "Reading the labels")
            account = _keep_what_is_labelled(folder, unpacked)
        except DataError as error:
            also = f" Left out: {unpacked.broken[0]}" if unpacked.broken else ""
            raise DataError(str(error).replace(f"{folder}", "This archive") + also) from None
    title = " ".join(name.split())[:100]
    about = f"{account.pictures:,} images from an uploaded archive."
    card = {"title": title, "about": about, "drawn": False, KEY: account.to_card()}
    return ImportResult(_finish(clean, card), account.pictures, unpacked.broken, unpacked.ignored, account)


def link_with_account(folder: Path | str, name: str) -> ImportResult:
    """Use pictures where they lie on the server, and say what they are.

    Raises:
        DataError: as ``core.datasets.store.link_folder``, or nothing in it can be used; nothing is then linked.
    """
    dataset = link_folder(folder, name)
    try:
        findings = Findings()
        pictures = read_layout(walk(dataset.folder), dataset.layout, findings)
        account = account_of(dataset.layout, pictures, findings)
        write_card(dataset.name, {**dataset.card, KEY: account.to_card()})
    except BaseException:
        delete_dataset(dataset.name)
        raise
    broken = [f"{path}: {reason}" for path, reason in account.left_out]
    return ImportResult(find_dataset(dataset.name), account.pictures, broken, account=account)


def make_demo_set(report: Report = no_report) -> ImportResult:
    """A small set for a first try, made from the sample portrait with drawn masks: always the same pictures."""
    name, number = "demonstration", 2
    while is_taken(name):
        name, number = f"demonstration-{number}", number + 1
    with building(name) as (folder, clean):
        count = draw_demo_pictures(folder, report)
    return ImportResult(_finish(clean, DEMO_CARD), count)


def fetch_report_set(report: Report = no_report, base_url: str | None = None) -> ImportResult:
    """The set of the student's report, from GitHub, each file checked. What has arrived is kept for the next try.

    Args:
        base_url: where ``with_mask/`` and ``without_mask/`` are; by default GitHub.

    Raises:
        DataError: it is here already, there is no connection, the disk is full, or a file is not what it was.
        Cancelled: as ``report`` has it.
    """
    free_name(REPORT_NAME)
    partial = data_dir() / f"{PARTIAL}{REPORT_NAME}"
    with _disk_errors():
        count = fetch_files(partial, report, base_url)
        _put_in_place(partial, REPORT_NAME)
    return ImportResult(_finish(REPORT_NAME, REPORT_CARD), count)


# Building out of sight


@contextmanager
def building(name: str) -> Iterator[tuple[Path, str]]:
    """An empty folder to fill and the clean name of the data set that it becomes when the block ends well.

    Raises:
        DataError: the name is taken, or the disk is full.
    """
    clean = free_name(name)
    with _disk_errors():
        data_dir().mkdir(parents=True, exist_ok=True)
        _sweep()
        outer = Path(tempfile.mkdtemp(prefix=f"{INCOMING}{os.getpid()}-", dir=data_dir()))
        try:
            folder = outer / "set"
            folder.mkdir()
            yield folder, clean
            _put_in_place(folder, clean)
        finally:
            shutil.rmtree(outer, ignore_errors=True)


def _put_in_place(folder: Path, name: str) -> None:
    with names_lock:
        folder.rename(data_dir() / free_name(name))


def _finish(name: str, card: dict) -> DataSet:
    try:
        write_card(name, card)
        return find_dataset(name)
    except BaseException:
        delete_dataset(name)
        raise


def _sweep() -> None:
    """Remove what an app that was killed left half built."""
    for path in data_dir().glob(f"{INCOMING}*"):
        try:
            if time.time() - path.stat().st_mtime > 24 * 3600:
                shutil.rmtree(path, ignore_errors=True)
        except OSError:
            continue


@contextmanager
def _disk_errors() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        log.warning("Import failed: %s", error)
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise DataError("The server's disk is full; make room and try again.") from None
        raise DataError(f"The data folder cannot be written to: {error.strerror or error}.") from None


def _one_level(folder: Path, unpacked: Unpacked, classes: Collection[str]) -> None:
    """Leave only class folders, below those of a split; the other folders' names go into the files' names."""
    for path in walk(folder).pictures:
        name = next((part for part in path.parts[:-1] if part in classes), None)
        if name is None:
            continue
        split = [part for part in path.parts[:-1] if part != name and part.casefold() in SPLITS]
        others = [part for part in path.parts if part != name and part not in split]
        target = PurePosixPath(*split[:1], name, "-".join(others))
        (folder / target).parent.mkdir(parents=True, exist_ok=True)
        if not (folder / target).exists():
            (folder / path).rename(folder / target)
            unpacked.original[str(target)] = unpacked.original.get(str(path), str(path))


def _keep_what_is_labelled(folder: Path, unpacked: Unpacked) -> Account:
    """Read the new set once; what is broken, or belongs to nothing, goes and is listed."""
    tree = walk(folder)
    layout = layout_of(tree)
    findings = Findings()

    def original(path: PurePosixPath) -> str:
        return unpacked.original.get(str(path), str(path))

    pictures = read_layout(tree, layout, findings)
    findings.left_out = [(PurePosixPath(original(path)), reason) for path, reason in findings.left_out]
    left_out = [(file, reason) for file, _, reason in (line.partition(": ") for line in unpacked.broken)]
    odd_notes = [
        path
        for suffix, paths in tree.notes.items()
        for path in paths
        if suffix not in NOTES_OF[layout] and not list_split(path)
    ]
    unpacked.broken += [f"{path}: {reason}" for path, reason in findings.left_out]
    unpacked.ignored += [f"{original(path)}: nothing says what it shows" for path in findings.unlabelled]
    unpacked.ignored += [f"{original(path)}: not needed for this layout" for path in odd_notes]
    wanted = {PurePosixPath(picture.key) for picture in pictures}
    for path in {*tree.pictures} - wanted | {*odd_notes} | {*findings.stray_notes}:
        (folder / path).unlink(missing_ok=True)
    return account_of(layout, pictures, findings, left_out)
