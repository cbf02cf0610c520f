"""The classes of a YOLO set, and the parts of its split, from whatever file names them."""

import re
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from core.datasets.class_folders import GENERIC
from core.datasets.findings import Findings, named
from core.datasets.formats import DataError, Tree, clean_label, names_files
from core.datasets.notes import MAX_NAMES_BYTES, NoteError, in_words, read_text, read_yaml
from core.language import tr

MAX_NAMES_FILES = 20


class ClassNames(NamedTuple):
    """What a file says of YOLO's classes."""

    names: dict[int, str]
    """By number."""
    source: PurePosixPath
    is_pose: bool = False
    """Whether the labels hold key points too."""
    splits: Mapping[tuple[str, ...], str] = {}
    """Folders of the parts of the split, in lower case."""


def class_names(tree: Tree, findings: Findings) -> ClassNames:
    """What the most trustworthy file says; others are told if they disagree.

    Raises:
        DataError: none can be read.
    """
    failed = []
    found = []
    for path in names_files(tree)[:MAX_NAMES_FILES]:
        try:
            found.append(_read_names(tree.folder, path))
        except Exception as error:
            failed.append((path, in_words(error)))
    findings.left_out += failed
    if not found:
        reasons = " ".join(f"{path}: {reason}" for path, reason in failed)
        words = tr("{folder} cannot be read as YOLO: {why}")
        raise DataError(words.format(folder=tree.folder, why=reasons or tr("it has no list of class names.")))
    if others := [other.source for other in found if other.names != found[0].names]:
        words = tr("Other class names than in {file}, which is used, are in {others}.")
        findings.warnings.append(words.format(file=found[0].source, others=named(others)))
    return found[0]


def _read_names(folder: Path, path: PurePosixPath) -> ClassNames:
    if path.suffix.lower() not in (".yaml", ".yml"):
        lines = re.split(r"\r\n|\n|\r", read_text(folder / path, MAX_NAMES_BYTES))
        # A number is that of a line, empty ones included.
        return ClassNames({number: clean_label(line) for number, line in enumerate(lines) if line.strip()}, path)
    data = read_yaml(folder / path)
    names = data.get("names") if isinstance(data, dict) else None
    if isinstance(names, list):
        names = dict(enumerate(names))
    if not isinstance(names, dict) or not names:
        raise NoteError(tr("it has no list of names."))
    splits: dict[tuple[str, ...], str] = {}
    for part in ("train", "val", "test"):
        for place in data[part] if isinstance(data.get(part), list) else [data.get(part)]:
            parts = re.split(r"[\\/]+", place) if isinstance(place, str) else []
            splits.setdefault(tuple(name.casefold() for name in parts if name not in ("", ".", "..")), part)
    if len(set(splits.values())) == 1 or len(splits) > MAX_NAMES_FILES:  # some name the same images for all parts
        splits = {}
    numbered = {int(number): clean_label(name) for number, name in names.items()}
    return ClassNames(numbered, path, "kpt_shape" in data, splits)


def split_in_yaml(splits: Mapping[tuple[str, ...], str], path: PurePosixPath) -> str:
    """The part whose folder the picture lies in; where that folder lay on another machine does not matter."""
    folders = tuple(name.casefold() for name in path.parts[:-1])

    def agreement(place: tuple[str, ...]) -> int:
        """How many parts both have in common, from the set's top or at the end of a longer path."""
        ends = (folders[:n] for n in range(len(folders), 0, -1))
        common = next((place[-len(end) :] for end in ends if end[-len(place) :] == place[-len(end) :]), ())
        return len(common) if set(common) - GENERIC else 0

    best = max(map(agreement, splits), default=0)
    found = {split for place, split in splits.items() if best and agreement(place) == best}
    return found.pop() if len(found) == 1 else ""
