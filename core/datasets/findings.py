"""What reading a data set found that its pictures do not show: what was left out and why, and what looks wrong."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import PurePosixPath

from core.datasets.class_folders import and_more
from core.language import number, tr

NAMED = 3
"""So many files are named in a sentence, the others counted."""


@dataclass
class Findings:
    """Filled by ``core.datasets.readers.read_layout``."""

    left_out: list[tuple[PurePosixPath, str]] = field(default_factory=list)
    """Files, pictures and single annotations, each with the reason."""
    pictures_out: set[PurePosixPath] = field(default_factory=set)
    """Pictures that are left out because of what their annotations say."""
    unlabelled: list[PurePosixPath] = field(default_factory=list)
    """Pictures of which nothing says what they show."""
    stray_notes: list[PurePosixPath] = field(default_factory=list)
    """Label files that belong to no picture."""
    absent: int = 0
    """Pictures that annotation files name, but that are not in the set or cannot be told from others."""
    boxes: int = 0
    outside: int = 0
    """Boxes of which nothing lies within their picture; among ``boxes``."""
    empty: int = 0
    """Boxes without an area, or of numbers that are none; among ``boxes``."""
    repeated: int = 0
    """Further annotations of pictures that have one already."""
    resized: int = 0
    """Pictures of another size than their annotations state."""
    split_from: set[str] = field(default_factory=set)
    """What divides the set, in words, in English."""
    joined: dict[str, str] = field(default_factory=dict)
    """Class names in the files that were read as one of this project's classes, and as which."""
    remarks: list[str] = field(default_factory=list)
    """How the files were understood where that could be done in more than one way."""
    warnings: list[str] = field(default_factory=list)
    """What looks wrong, a sentence each."""

    def leave_out(self, path: PurePosixPath, reason: str, picture: PurePosixPath | None = None) -> None:
        """Note why a file, or a picture for which it is the reason, is not used."""
        self.left_out.append((path, reason))
        if picture is not None:
            self.pictures_out.add(picture)

    def boxes_in_words(self, hint: str = "") -> str:
        """How many boxes cannot be used, as one sentence; empty if all can."""
        parts = [
            words.format(count=number(count, ","), boxes=number(self.boxes, ","))
            for count, words in (
                (self.outside, tr("{count} of {boxes} boxes lie outside their pictures")),
                (self.empty, tr("{count} of {boxes} boxes have no area")),
            )
            if count
        ]
        if not parts:
            return ""
        sentence = tr(" and ").join(parts)
        if hint and self.outside:
            sentence = tr("{sentence}; {hint}").format(sentence=sentence, hint=hint)
        return sentence + "."


def named(paths: Iterable[object]) -> str:
    """The first of some files by name, and how many more there are."""
    return and_more([str(path) for path in paths], NAMED)
