"""Which picture an annotation file, or a list of a split, means by a name; and which split each picture belongs to."""

import re
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import replace
from itertools import takewhile
from pathlib import PurePosixPath
from urllib.parse import unquote

from core.datasets.archive import safe_part
from core.datasets.findings import Findings, named
from core.datasets.formats import Picture, Tree, list_lines, list_split, plain_name, stem_of
from core.datasets.notes import NoteError, in_words
from core.language import number, tr

# Among more pictures of one name and folder nobody looks for the right one.
MANY = 200


class PictureNames:
    """A set's pictures by the names that annotation files and lists have for them."""

    def __init__(self, tree: Tree):
        self._by_name: dict[tuple[str, ...], list[PurePosixPath]] = defaultdict(list)
        for path in tree.pictures:
            name, folder = plain_name(path.name), plain_name(path.parent.name)
            for key in {name, stem_of(name)}:
                self._by_name[key,].append(path)
                self._by_name[folder, key].append(path)

    def all(self, name: str) -> list[PurePosixPath]:
        """Every picture of this name, with or without its extension; if some lie in the folder it names, only those."""
        *folders, last = (part.strip() for part in re.split(r"[\\/=]", name))
        folder = plain_name(folders[-1]) if folders else ""
        # Archives are unpacked under safe names; Label Studio puts eight characters before its own copies' names.
        for spelling in (last, unquote(last), re.sub(r"^[0-9a-f]{8}-", "", last)):
            stem = stem_of(spelling)
            for each in (plain_name(spelling), plain_name(safe_part(stem) + spelling[len(stem) :])):
                for key in ((folder, each), (folder, stem_of(each)), (each,), (stem_of(each),)):
                    if key in self._by_name:
                        return self._by_name[key]
        return []

    def find(self, name: str, note: PurePosixPath) -> PurePosixPath | None:
        """The one that an annotation file means; where it lay on the machine that wrote it does not matter.

        ``None`` if there is none, or if it cannot be told which of several it is.
        """
        found = self.all(name)
        if len(found) == 1:
            return found[0]
        if len(found) > MANY:
            return None
        parts = [part for part in re.split(r"[\\/]+", name) if part not in ("", ".", "..")]

        def agreement(path: PurePosixPath) -> tuple[int, int, bool]:
            same_end = same_at_start(path.parts[::-1], parts[::-1])
            same_start = same_at_start(path.parent.parts, note.parent.parts)
            return same_end, same_start, any(part.casefold() in note.stem.casefold() for part in path.parent.parts)

        ranked = sorted(found, key=agreement)
        told = len(ranked) > 1 and agreement(ranked[-1]) > agreement(ranked[-2])
        return ranked[-1] if told else None


def same_at_start(a: Iterable[str], b: Iterable[str]) -> int:
    """How many parts of two paths are the same until the first that is not."""
    pairs = zip(a, b, strict=False)
    return sum(1 for _ in takewhile(lambda both: plain_name(both[0]) == plain_name(both[1]), pairs))


def divide(tree: Tree, pictures: list[Picture], names: PictureNames, findings: Findings) -> list[Picture]:
    """The pictures with the parts of the split that the set's own lists name.

    A list of test pictures counts whatever else is said. In class folders, each of which may have a ``1.jpg``, a line
    with a folder means that folder's.
    """
    split_of: dict[PurePosixPath, str] = {}
    whole = {PurePosixPath(picture.key) for picture in pictures if picture.whole}
    for note in (path for path in tree.notes[".txt"] if list_split(path)):
        try:
            lines = list_lines(tree.folder / note)
        except (NoteError, OSError) as error:
            findings.leave_out(note, in_words(error))
            words = tr("The list {file} cannot be read, so its part of the split is unknown.")
            findings.warnings.append(words.format(file=note))
            continue
        lines = list({plain_name(line): line for line in lines}.values())
        missing = []
        for line in lines:
            found = _listed(names, line, whole)
            if not found:
                missing.append(line)
            for path in found:
                if split_of.get(path) != "test":
                    split_of[path] = list_split(note)
        if missing:
            words = tr("{count} of {total} names in {file} are those of no picture: {names}.").format(
                count=number(len(missing), ","), total=number(len(lines), ","), file=note, names=named(missing)
            )
            findings.warnings.append(words)
        if len(missing) < len(lines):
            findings.split_from.add(str(note))

    def part(picture: Picture) -> Picture:
        listed = split_of.get(PurePosixPath(picture.key), "")
        return replace(picture, split=listed) if listed and (listed == "test" or not picture.split) else picture

    return [part(picture) for picture in pictures]


def _listed(names: PictureNames, line: str, whole: set[PurePosixPath]) -> list[PurePosixPath]:
    """The pictures that a line of a list means; behind a name, Pascal VOC has 1 or -1."""
    found = names.all(line) or names.all(re.sub(r"\s+-?[01]$", "", line))
    folders = PurePosixPath(line).parts[:-1]
    if not folders:
        return found
    alike = [same_at_start(path.parts[-2::-1], folders[::-1]) for path in found]
    return [
        path
        for path, same in zip(found, alike, strict=True)
        if same or path not in whole
        if len(found) == 1 or same == max(alike)
    ]
