"""Small pictures with labels, as galleries show them: what a tile holds, whatever it is shown with."""

import base64
from dataclasses import dataclass

from core.classes import ClassStyle


@dataclass(frozen=True)
class TileBox:
    """A face within a tile."""

    xyxy: tuple[float, float, float, float]
    """As shares of the picture's width and height, 0..1."""
    style: ClassStyle
    text: str = ""
    aside: bool = False


@dataclass(frozen=True)
class Tile:
    """One picture of a gallery."""

    id: str
    name: str
    """For tooltips and screen readers."""
    jpeg: bytes
    size_wh: tuple[int, int]
    """Of the whole picture; only their ratio matters."""
    marks: tuple[tuple[ClassStyle, str], ...] = ()
    """A line per label: how its class looks, and text after its words."""
    notes: tuple[str, ...] = ()
    boxes: tuple[TileBox, ...] = ()
    aside: bool = False

    def for_browser(self) -> dict:
        """Everything as JSON; text stays text there and is never read as HTML."""
        return {
            "id": self.id,
            "name": self.name,
            "src": f"data:image/jpeg;base64,{base64.b64encode(self.jpeg).decode()}" if self.jpeg else "",
            "size": [int(side) for side in self.size_wh],
            "marks": [
                {"sign": style.sign, "text": f"{style.words}{text}", "color": style.color_hex}
                for style, text in self.marks
            ],
            "notes": list(self.notes),
            "boxes": [
                {
                    "xyxy": [round(float(share), 4) for share in box.xyxy],
                    "color": box.style.color_hex,
                    "text": box.text,
                    "aside": box.aside,
                }
                for box in self.boxes
            ],
            "aside": self.aside,
        }


@dataclass(frozen=True)
class FaceDetails:
    """What is known of one labelled face."""

    item: str
    label: str
    size_px: float
    aside: bool
    verdict: str = ""
    """What the model in use thinks of it, in words; empty if it was not asked."""
    loss: float = float("nan")
    """How much that contradicts the label; NaN if nothing can be said."""


@dataclass(frozen=True)
class PictureDetails:
    """What a page shows of one picture."""

    tile: Tile
    faces: tuple[FaceDetails, ...]
    chosen: int
    """Which of the faces is looked at."""
    styles: dict[str, ClassStyle]
    """The classes that a face can be given, and how each looks."""
    facts: dict[str, str]
    set_aside: bool
    """Whether the whole picture is."""
    whole: bool
