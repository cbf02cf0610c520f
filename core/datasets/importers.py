"""New data sets: from a zip, from GitHub, or made here. Each is built out of sight and appears when it is complete."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from core.access import for_operators
from core.config import data_dir
from core.datasets.archive import LIMITS, Limits, Unpacked, unpack
from core.datasets.formats import HELD_OUT_LIST, DataError, Picture, layout_of, walk
from core.datasets.readers import read_layout
from core.datasets.sources.demo import DEMO_CARD, draw_demo_pictures
from core.datasets.sources.prajnasb import REPORT_CARD, REPORT_NAME, fetch_files
from core.datasets.store import INCOMING, DataSet, find_dataset, free_name, is_taken, publish, sweep_data
from core.io import disk_sentence, scratch_folder
from core.jobs import Report, no_report
from core.quota import check_disk

log = logging.getLogger(__name__)
PARTIAL = ".partial-"
# What belongs to a layout beside its pictures; everything else in an archive is passed over.
NOTES_OF = {
    "class_folders": (),
    "pascal_voc": (".xml",),
    "yolo": (".txt", ".yaml", ".yml", ".names"),
    "coco": (".json",),
}


@dataclass(frozen=True)
class ImportResult:
    """A new data set, and what did not make it into it."""

    dataset: DataSet
    pictures: int
    broken: list[str] = field(default_factory=list)
    """Files that could not be read, each with the reason."""
    ignored: list[str] = field(default_factory=list)
    """Files that were passed over, each with the reason."""


@for_operators
def import_zip(file: BinaryIO, name: str, report: Report = no_report, limits: Limits = LIMITS) -> ImportResult:
    """A data set from an uploaded archive of any layout, however hostile.

    Args:
        file: open for reading, seekable.
        name: for the new set; made clean, must not be taken.

    Raises:
        DataError: nothing usable in it, too much in it, the disk is full, or the name is taken; nothing is left behind.
        Cancelled: as ``report`` has it; nothing is left behind.
    """
    with building(name) as new:
        unpacked = unpack(file, new.folder, report, limits)
        try:
            pictures = _keep_what_is_labelled(new.folder, unpacked)
        except DataError as error:
            raise DataError(str(error).replace(f"{new.folder}", "This archive")) from None
        title = " ".join(name.split())[:100]
        new.card = {"title": title, "about": f"{len(pictures):,} images from an uploaded archive.", "drawn": False}
    return ImportResult(find_dataset(new.name), len(pictures), unpacked.broken, unpacked.ignored)


@for_operators
def make_demo_set(report: Report = no_report) -> ImportResult:
    """A small set for a first try, made from the sample portrait with drawn masks: always the same pictures."""
    name, number = "demonstration", 2
    while is_taken(name):
        name, number = f"demonstration-{number}", number + 1
    with building(name) as new:
        count = draw_demo_pictures(new.folder, report)
        new.card = DEMO_CARD
    return ImportResult(find_dataset(new.name), count)


@for_operators
def fetch_report_set(report: Report = no_report, base_url: str | None = None) -> ImportResult:
    """The set of the student's report, from GitHub, each file checked. What has arrived is kept for the next try.

    Args:
        base_url: where ``with_mask/`` and ``without_mask/`` are; by default GitHub.

    Raises:
        DataError: it is here already, there is no connection, the disk is full, or a file is not what it was.
        Cancelled: as ``report`` has it.
    """
    free_name(REPORT_NAME)
    check_disk("data_gb")
    partial = data_dir() / f"{PARTIAL}{REPORT_NAME}"
    with _disk_errors():
        sweep_data()
        count = fetch_files(partial, report, base_url)
        publish(partial, REPORT_NAME, REPORT_CARD)
    return ImportResult(find_dataset(REPORT_NAME), count)


# Building out of sight


@dataclass
class NewSet:
    """A data set that is being built."""

    name: str
    folder: Path
    """To fill, out of sight."""
    card: dict = field(default_factory=dict)
    """What the set is, see ``DataSet.card``."""


@contextmanager
def building(name: str) -> Iterator[NewSet]:
    """A new data set, to be filled; it appears, with its card, when the block ends well.

    Raises:
        DataError: the name is taken, or the disk is full; nothing is left behind.
    """
    clean = free_name(name)
    check_disk("data_gb")
    with _disk_errors():
        sweep_data()
        with scratch_folder(data_dir(), INCOMING, purpose=clean) as folder:
            new = NewSet(clean, folder)
            yield new
            check_disk("data_gb")
            publish(folder, clean, new.card)


@contextmanager
def _disk_errors() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        log.warning("Import failed: %s", error)
        raise DataError(disk_sentence(error)) from None


def _keep_what_is_labelled(folder: Path, unpacked: Unpacked) -> list[Picture]:
    """Read the new set once; what is broken, or belongs to nothing, goes and is listed."""
    tree = walk(folder)
    layout = layout_of(tree)
    bad: list[PurePosixPath] = []

    def on_broken(note: PurePosixPath, reason: str, picture: PurePosixPath | None) -> None:
        if picture is None:  # the one file for many pictures
            raise DataError(f"This archive cannot be used: {note}: {reason}")
        bad.extend((note, picture))
        unpacked.broken.append(f"{unpacked.original.get(str(note), note)}: {reason}")

    pictures = read_layout(tree, layout, on_broken)
    wanted = {PurePosixPath(picture.key) for picture in pictures}
    for path in tree.pictures:
        if path not in wanted and path not in bad:
            unpacked.ignored.append(f"{unpacked.original.get(str(path), path)}: nothing says what it shows")
    notes = [path for suffix, paths in tree.notes.items() for path in paths if suffix not in NOTES_OF[layout]]
    odd_notes = [path for path in notes if path != PurePosixPath(HELD_OUT_LIST)]
    for path in odd_notes:
        unpacked.ignored.append(f"{unpacked.original.get(str(path), path)}: not needed for this layout")
    for path in {*tree.pictures} - wanted | {*bad} | {*odd_notes}:
        (folder / path).unlink(missing_ok=True)
    return pictures
