"""New data sets: from a zip, from GitHub, or made here. Each is built out of sight and appears when it is complete."""

import logging
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from core.access import for_operators
from core.config import data_dir
from core.datasets.account import KEY, Account, account_of
from core.datasets.archive import LIMITS, Limits, Unpacked, unpack
from core.datasets.findings import Findings
from core.datasets.formats import SPLITS, DataError, layout_of, list_split, walk
from core.datasets.readers import read_layout
from core.datasets.sources.demo import DEMO_CARD, draw_demo_pictures
from core.datasets.sources.prajnasb import REPORT_CARD, REPORT_NAME, fetch_files
from core.datasets.store import (
    INCOMING,
    DataSet,
    delete_dataset,
    find_dataset,
    free_name,
    is_taken,
    link_folder,
    publish,
    sweep_data,
    write_card,
)
from core.datasets.tool_formats import TOOLS
from core.io import disk_sentence, scratch_folder
from core.jobs import Report, no_report
from core.language import number, tr, trn
from core.quota import check_disk

log = logging.getLogger(__name__)
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


@for_operators
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
    with building(name) as new:
        unpacked = unpack(file, new.folder, report, limits)
        try:
            if classes:
                _one_level(new.folder, unpacked, classes)
            report(len(unpacked.original), len(unpacked.original), tr("Reading the labels"))
            account = _keep_what_is_labelled(new.folder, unpacked)
        except DataError as error:
            words = str(error).replace(f"{new.folder}", tr("This archive"))
            if unpacked.broken:
                words = tr("{sentence} Left out: {file}").format(sentence=words, file=unpacked.broken[0])
            raise DataError(words) from None
        title = " ".join(name.split())[:100]
        about = trn(
            "{count} image from an uploaded archive.", "{count} images from an uploaded archive.", account.pictures
        ).format(count=number(account.pictures, ","))
        new.card = {"title": title, "about": about, "drawn": False, KEY: account.to_card()}
    return ImportResult(find_dataset(new.name), account.pictures, unpacked.broken, unpacked.ignored, account)


@for_operators
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
    unknown, not_needed = tr("nothing says what it shows"), tr("not needed for this layout")
    unpacked.ignored += [f"{original(path)}: {unknown}" for path in findings.unlabelled]
    unpacked.ignored += [f"{original(path)}: {not_needed}" for path in odd_notes]
    wanted = {PurePosixPath(picture.key) for picture in pictures}
    for path in {*tree.pictures} - wanted | {*odd_notes} | {*findings.stray_notes}:
        (folder / path).unlink(missing_ok=True)
    return account_of(layout, pictures, findings, left_out)
