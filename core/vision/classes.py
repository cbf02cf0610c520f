"""The classes that models tell apart, and how each is shown to a person: the three ways a mask is worn, or any others.

The three names, spelling included, are those of the most used public benchmark of this task. Their order is the order
of ``Detections.class_id`` wherever no other classes are in play. A classifier may know any other names; words, sign
and colour are then made from the name and its place.
"""

from dataclasses import dataclass
from functools import lru_cache

from core.language import mark, tr

CLASS_NAMES = ("with_mask", "without_mask", "mask_weared_incorrect")
WITH_MASK, WITHOUT_MASK, WORN_INCORRECTLY = range(len(CLASS_NAMES))
MAX_NAME_LENGTH = 60


@dataclass(frozen=True)
class ClassStyle:
    """How one class looks to a person: never colour alone, always words and a sign beside it."""

    english: str
    """What the class is called; ``words`` says it in the language of now."""
    sign: str
    """A character or two that no other class of the same model has, for tables and labels."""
    icon: str
    """The same sign for headings and counters, in Streamlit's Markdown."""
    color_rgb: tuple[int, int, int]
    """Box colour, 0..255. The project's three differ in lightness too, so they stay apart without colour vision."""
    text_rgb: tuple[int, int, int]
    """Text colour on a field of ``color_rgb``; contrast at least 4.5 to 1 (WCAG 2 AA)."""
    sentence: str = ""
    """What follows the number of faces in a sentence: "2 with a mask". The words, if empty."""

    @property
    def words(self) -> str:
        """What the class is called. A name that somebody else gave it is no text of ours and stays."""
        return tr(self.english) if self.sentence else self.english

    @property
    def color_hex(self) -> str:
        """The box colour as CSS and plotly write it."""
        return "#{:02x}{:02x}{:02x}".format(*self.color_rgb)


CLASS_STYLES = (
    ClassStyle(mark("Mask"), "✓", ":material/check_circle:", (0, 122, 82), (255, 255, 255), mark("with a mask")),
    ClassStyle(mark("No mask"), "✗", ":material/cancel:", (200, 30, 45), (255, 255, 255), mark("without a mask")),
    ClassStyle(
        *(mark("Worn incorrectly"), "!", ":material/error:", (255, 190, 30), (0, 0, 0)),
        sentence=mark("with a mask worn incorrectly"),
    ),
)
# A face whose class is not sure enough to be told. Between the light and the dark of the three above.
NO_PREDICTION = ClassStyle(
    mark("Not sure"), "?", ":material/help:", (160, 160, 160), (0, 0, 0), mark("not clear enough to tell")
)
# For all other classes: Paul Tol's "muted" (https://personal.sron.nl/~pault/), told apart with every kind of colour
# vision, without its green and wine, which are too near to "Mask" and "No mask"; blue is Okabe and Ito's.
PALETTE_RGB = (
    *((51, 34, 136), (136, 204, 238), (221, 204, 119), (170, 68, 153), (68, 170, 153), (204, 102, 119)),
    *((0, 114, 178), (153, 153, 51)),
)
# With more classes than that the colours come again, first lighter, then darker; words and signs never do.
SHADES = (0.0, 0.55, -0.45)


def vocabulary(classes: tuple[str, ...]) -> tuple[str, ...]:
    """What ``class_id`` counts through in the predictions of a model that knows these classes.

    >>> vocabulary(("without_mask", "with_mask"))
    ('with_mask', 'without_mask', 'mask_weared_incorrect')
    >>> vocabulary(("helmet", "no_helmet"))
    ('helmet', 'no_helmet')
    """
    return CLASS_NAMES if set(classes) <= set(CLASS_NAMES) else tuple(classes)


@lru_cache(maxsize=64)
def styles_of(classes: tuple[str, ...]) -> tuple[ClassStyle, ...]:
    """How the classes of one model look, in their order; the project's own three always look the same."""
    others = [name for name in classes if name not in CLASS_NAMES]
    signs = dict(zip(others, _signs(others), strict=True))
    return tuple(
        CLASS_STYLES[CLASS_NAMES.index(name)]
        if name in CLASS_NAMES
        else _style(name, signs[name], _color(others.index(name)))
        for name in classes
    )


def style_of(name: str, classes: tuple[str, ...]) -> ClassStyle:
    """How one of the classes of a model looks.

    Raises:
        ValueError: the name is none of them.
    """
    return styles_of(tuple(classes))[tuple(classes).index(name)]


def _style(name: str, sign: str, color_rgb: tuple[int, int, int]) -> ClassStyle:
    words = " ".join(name.replace("_", " ").split()) or name
    if len(words) > 1 and words.islower():  # "no_helmet" is read as "No helmet"; the letters a and A stay apart
        words = words[0].upper() + words[1:]
    dark, light = (0, 0, 0), (255, 255, 255)
    text_rgb = max(dark, light, key=lambda text: contrast(text, color_rgb))
    return ClassStyle(words, sign, f":gray-badge[{sign}]", color_rgb, text_rgb)


def _signs(names: list[str]) -> list[str]:
    """First letters where they are all different, else numbers from 1."""
    letters = [name[:1].upper() for name in names]
    if len(set(letters)) == len(names) and all(letter.isascii() and letter.isalnum() for letter in letters):
        return letters
    return [str(place) for place in range(1, len(names) + 1)]


def _color(place: int) -> tuple[int, int, int]:
    shade = SHADES[place // len(PALETTE_RGB) % len(SHADES)]
    target = 255 if shade > 0 else 0
    red, green, blue = (round(c + (target - c) * abs(shade)) for c in PALETTE_RGB[place % len(PALETTE_RGB)])
    return red, green, blue


def contrast(a_rgb: tuple[int, int, int], b_rgb: tuple[int, int, int]) -> float:
    """How well one colour can be read on the other, 1..21 (WCAG 2)."""
    light, dark = sorted((_luminance(a_rgb), _luminance(b_rgb)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def set_off(color_rgb: tuple[int, int, int], ground_rgb: tuple[int, int, int], least: float) -> tuple[int, int, int]:
    """The colour itself, or mixed with black or white until its ``contrast`` to the ground is as high as this.

    >>> set_off((0, 122, 82), (255, 255, 255), 4.5), set_off((255, 190, 30), (255, 255, 255), 3)
    ((0, 122, 82), (189, 141, 22))
    """
    target = max((0, 0, 0), (255, 255, 255), key=lambda end: contrast(end, ground_rgb))
    mixed = color_rgb
    for percent in range(0, 101, 2):
        red, green, blue = (round(c + (end - c) * percent / 100) for c, end in zip(color_rgb, target, strict=True))
        mixed = red, green, blue
        if contrast(mixed, ground_rgb) >= least:
            break
    return mixed


def _luminance(rgb: tuple[int, int, int]) -> float:
    linear = [c / 12.92 if c <= 0.03928 else ((c + 0.055) / 1.055) ** 2.4 for c in (v / 255 for v in rgb)]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def is_class_name(name: object) -> bool:
    """Whether a model's card may name a class so: short printable text."""
    return isinstance(name, str) and bool(name.strip()) and name.isprintable() and len(name) <= MAX_NAME_LENGTH


def class_index(name: str) -> int:
    """Place of a class name in ``CLASS_NAMES``.

    Raises:
        ValueError: the name is none of the three.
    """
    if name not in CLASS_NAMES:
        raise ValueError(f"Unknown class {name!r}; known are {', '.join(CLASS_NAMES)}.")
    return CLASS_NAMES.index(name)
