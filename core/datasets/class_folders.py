"""Class folders: which of several levels of folders names the classes."""

from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import PurePosixPath

from core.datasets.spellings import likely_meanings, plain_meanings
from core.language import number, tr
from core.vision.classes import CLASS_NAMES

# Folders of these names say what kind of files they hold, never what the images show.
GENERIC = {
    *("images", "image", "imgs", "img", "jpegimages", "photos", "photo", "pictures", "pics", "frames", "data"),
    *("dataset", "datasets", "masks", "labels", "label", "annotations", "annotation", "xmls", "ann"),
    *("obj_train_data", "segmentationclass", "segmentationobject"),
}
# A level is one of the set's if this share of its images has it.
USUAL_SHARE = 0.9
SHOWN = 4


class TwoReadings(ValueError):
    """It cannot be told which level of folders names the classes; the message shows what is possible."""

    def __init__(self, readings: list[tuple[str, ...]]):
        """Args: the names of the classes in each way."""
        self.readings = readings
        shown = tr(", or ").join(map(some, readings))
        words = tr("its folders can be read in {count} ways: the classes are {classes}")
        super().__init__(words.format(count=len(readings), classes=shown))


def class_of_each(paths: Iterable[PurePosixPath], splits: Iterable[str]) -> dict[PurePosixPath, str]:
    """The folder that names each picture's class; pictures without one are left out.

    The level that holds names of this project's classes, in any spelling, is the class. If none does, it is the only
    level with several names, or the one with clearly the fewest.

    Args:
        paths: of pictures, below the set's folder.
        splits: what folders of a split are called.

    Raises:
        TwoReadings: two levels have equally few names.
    """
    folders = {path: path.parts[:-1] for path in paths}
    meant = plain_meanings({part for parts in folders.values() for part in parts})  # masks/ beside no_masks/
    passed_over = (GENERIC | set(splits)) - {name.casefold() for name in meant}
    levels = {path: tuple(p for p in parts if p.casefold() not in passed_over) for path, parts in folders.items()}
    # A class may be called as a split is, beside classes of other names.
    direct = {path: parts[0] for path, parts in folders.items() if len(parts) == 1}
    deeper = {parts[0] for parts in folders.values() if len(parts) > 1}
    if any(levels[path] for path in direct):
        levels |= {path: (name,) for path, name in direct.items() if name.casefold() not in GENERIC | deeper}
    depth = max(map(len, levels.values()), default=0)
    if not depth:
        return {}
    level = _class_level([Counter(parts[i] for parts in levels.values() if len(parts) > i) for i in range(depth)])
    plain = _plain({part for parts in levels.values() for part in parts})

    def class_of(parts: tuple[str, ...]) -> str:
        """The folder of that level; where folders are nested unevenly, one that plainly means a class."""
        at_level = parts[level : level + 1]
        return next((part for part in (*at_level, *parts) if part in plain), "".join(at_level))

    return {path: name for path, parts in levels.items() if (name := class_of(parts))}


def names_known_class(names: Iterable[str]) -> bool:
    """Whether one of these plainly means a class of this project."""
    return bool(_plain(names))


def _class_level(names: list[Counter]) -> int:
    """Which level is the class; ``names`` has the number of pictures by folder for each."""
    known = [_known(level) for level in names]
    if max(known) > (0, 0):
        best = [i for i, count in enumerate(known) if count == max(known)]
        return _only(names, [i for i in best if len(names[i]) > 1] or best[:1])
    largest = max(level.total() for level in names)
    usual = [i for i, level in enumerate(names) if level.total() >= USUAL_SHARE * largest]
    several = [i for i in usual if len(names[i]) > 1]
    if not several:
        return usual[-1]
    few = min(len(names[i]) for i in several)
    return _only(names, [i for i in several if len(names[i]) == few])


def _known(level: Counter) -> tuple[int, int]:
    """How many of this project's classes a level's names mean plainly, and how many perhaps, if it has several."""
    plain = set(_plain(level).values())
    return len(plain), len({*likely_meanings(level).values()} - plain) if len(level) > 1 else 0


def _plain(names: Iterable[str]) -> dict[str, str]:
    """The class of this project that each name plainly means, for those that do."""
    names = set(names)
    return plain_meanings(names) | {name: name for name in names & set(CLASS_NAMES)}


def _only(names: list[Counter], readings: list[int]) -> int:
    if len(readings) > 1:
        raise TwoReadings([tuple(sorted(names[i])) for i in readings])
    return readings[0]


def some(names: Sequence[str]) -> str:
    """The first of some names, and how many more there are."""
    return and_more(names, SHOWN)


def and_more(names: Sequence[str], shown: int) -> str:
    """So many of some names, and how many more there are."""
    first, more = ", ".join(names[:shown]), len(names) - shown
    return tr("{names} and {count} more").format(names=first, count=number(more, ",")) if more > 0 else first
