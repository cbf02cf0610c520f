"""The three ways a mask is worn, and how each is shown to a person.

The names, spelling included, are those of the most used public benchmark of this task. Their order is the order of
``Detections.class_id`` everywhere in this project.
"""

from dataclasses import dataclass

CLASS_NAMES = ("with_mask", "without_mask", "mask_weared_incorrect")
WITH_MASK, WITHOUT_MASK, WORN_INCORRECTLY = range(len(CLASS_NAMES))


@dataclass(frozen=True)
class ClassStyle:
    """How one class looks to a person: never colour alone, always words and a sign beside it."""

    words: str
    """What a label says, short and in ASCII, since OpenCV's fonts know nothing else."""
    sign: str
    """A character for tables that every font has."""
    icon: str
    """Streamlit's name of the same sign for headings and counters."""
    color_rgb: tuple[int, int, int]
    """Box colour, 0..255. The three differ in lightness too, so they stay apart without colour vision."""
    text_rgb: tuple[int, int, int]
    """Text colour on a field of ``color_rgb``; contrast at least 4.5 to 1 (WCAG 2 AA)."""

    @property
    def color_hex(self) -> str:
        """The box colour as CSS and plotly write it."""
        return "#{:02x}{:02x}{:02x}".format(*self.color_rgb)


CLASS_STYLES = (
    ClassStyle("Mask", "✓", ":material/check_circle:", (0, 122, 82), (255, 255, 255)),
    ClassStyle("No mask", "✗", ":material/cancel:", (200, 30, 45), (255, 255, 255)),
    ClassStyle("Worn incorrectly", "!", ":material/error:", (255, 190, 30), (0, 0, 0)),
)


def class_index(name: str) -> int:
    """Place of a class name in ``CLASS_NAMES``.

    Raises:
        ValueError: the name is none of the three.
    """
    if name not in CLASS_NAMES:
        raise ValueError(f"Unknown class {name!r}; known are {', '.join(CLASS_NAMES)}.")
    return CLASS_NAMES.index(name)
