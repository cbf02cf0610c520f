"""What an import made of a person's files, to be read before training: kept in the set's card and shown on its page."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields

from core.datasets.findings import Findings
from core.datasets.formats import LAYOUTS, Picture
from core.datasets.spellings import likely_meanings
from core.language import number, tr, trn
from core.vision.classes import styles_of

KEY = "account"
"""Its name in the card."""
# So many lines are kept; the others are counted.
MAX_LINES = 200
# A class with fewer faces than this, or a smaller share of all, is hardly enough to learn it.
FEW_FACES, FEW_SHARE = 10, 0.02


@dataclass(frozen=True)
class Account:
    """The account of one import."""

    format: str
    """A title of ``LAYOUTS``, in English."""
    pictures: int
    faces: dict[str, int]
    """By class."""
    without_faces: int
    """Pictures that show no face, as the set says."""
    splits: dict[str, int]
    """Pictures by part of the set's own split, ``""`` for those in none."""
    split_from: str
    """What divides the set, in words; empty if nothing does."""
    left_out: list[list[str]]
    """File and reason, at most ``MAX_LINES``."""
    left_out_count: int
    warnings: list[str]
    """What looks wrong, a sentence each; as the lines below, in the language of who imported."""
    remarks: list[str]
    """How the files were understood where that could be done in more than one way."""
    joined: dict[str, str]
    """Spellings that were read as one of this project's classes."""
    offered: dict[str, str]
    """Classes of the set that may mean one of this project's."""

    @classmethod
    def from_card(cls, card: Mapping) -> "Account | None":
        """The account that a card holds, or ``None`` if there is none or it is damaged."""
        values = card.get(KEY)
        if not isinstance(values, dict) or values.keys() != {field.name for field in fields(cls)}:
            return None
        empty = cls("", 0, {}, 0, {}, "", [], 0, [], [], {}, {})
        right = all(type(values[name]) is type(value) for name, value in asdict(empty).items())
        return cls(**values) if right else None

    def to_card(self) -> dict:
        """The same as JSON."""
        return asdict(self)


def account_of(
    layout: str, pictures: Sequence[Picture], findings: Findings, left_out: Sequence[tuple[str, str]] = ()
) -> Account:
    """The account of an import.

    Args:
        layout: a key of ``LAYOUTS``.
        pictures: what was read.
        findings: of the same reading.
        left_out: files and reasons beside those that ``findings`` has.
    """
    faces = Counter(label for picture in pictures for label in picture.labels)
    lines = [*left_out, *((str(path), reason) for path, reason in findings.left_out)]
    lines += [(str(path), tr("nothing says what it shows")) for path in findings.unlabelled]
    return Account(
        LAYOUTS[layout],
        len(pictures),
        dict(sorted(faces.items())),
        sum(not picture.labels for picture in pictures),
        dict(sorted(Counter(picture.split for picture in pictures).items())),
        ", ".join(sorted(findings.split_from)),
        [list(line) for line in lines[:MAX_LINES]],
        len(lines),
        [*findings.warnings, *_warnings(faces, findings)],
        findings.remarks,
        findings.joined,
        likely_meanings(faces),
    )


def _warnings(faces: Counter, findings: Findings) -> list[str]:
    warnings = []
    classes = {name: style.words for name, style in zip(faces, styles_of(tuple(faces)), strict=True)}
    if findings.absent:
        words = trn(
            "{count} image named in annotations is not in the set, or shares its name.",
            "{count} images named in annotations are not in the set, or share their name.",
            findings.absent,
        )
        warnings.append(words.format(count=number(findings.absent, ",")))
    if len(faces) == 1:
        one_class = tr("All faces are of one class, {name}; a classifier needs two.")
        warnings.append(one_class.format(name=classes[next(iter(faces))]))
    few = [name for name, n in sorted(faces.items()) if n < FEW_FACES or n < FEW_SHARE * faces.total()]
    if few and len(faces) > 1:
        counted = ", ".join(f"{classes[name]} {number(faces[name], ',')}" for name in few)
        very_few = tr("There are very few faces of some classes: {faces} of {total} in all.")
        warnings.append(very_few.format(faces=counted, total=number(faces.total(), ",")))
    return warnings
