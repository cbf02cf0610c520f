"""A picture with its labelled faces: boxes are drawn, moved, resized, removed and given a class on it."""

import base64
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import isfinite
from typing import Protocol

import streamlit as st

from core.language import mark, tr
from core.vision.classes import ClassStyle
from pages.components.acts import Action, acts_done, handler, parts

HOW = mark(
    "Drag to draw a box. Click a box to choose it, then drag it or its corners, or move it with the arrow keys; "
    "N chooses the next one."
)
Box = tuple[float, float, float, float]


@dataclass(frozen=True)
class PictureBox:
    """A face on the picture."""

    id: str
    xyxy: Box
    """Pixels of the picture."""
    style: ClassStyle
    text: str
    """What stands in its corner."""
    words: str
    """For screen readers."""
    excluded: bool = False
    suggested: bool = False
    """Whether it is not labelled yet."""


class OnBox(Protocol):
    """What is called when somebody has drawn or moved a box."""

    def __call__(self, box: Box, id: str | None) -> object:
        """``box`` is in pixels of the picture and inside it; ``id`` is that of a box that was moved, or ``None``."""


def edit_boxes(
    key: str,
    jpeg: bytes,
    size_wh: tuple[int, int],
    name: str,
    boxes: Sequence[PictureBox],
    actions: Sequence[Action],
    chosen: str | None,
    pressed: str,
    on_box: OnBox,
    on_choose: Callable[[str | None], object],
    on_act: Callable[[str, str | None], object],
) -> None:
    """The picture in the width of its place. Every callback runs before the page does.

    Args:
        key: of the widget.
        jpeg: the picture, of any size.
        size_wh: of the picture in whose pixels the boxes are.
        name: of the picture.
        boxes: what is drawn on it.
        actions: what can be done with the chosen box; those that give a class also hold for the next box.
        chosen: id of the chosen box.
        pressed: the action that gives the next box its class.
        on_box: called with a box that was drawn or moved.
        on_choose: called with the id of the box that was clicked, ``None`` for a place without one.
        on_act: called with an action's id and the chosen box's, ``None`` if none is chosen.
    """
    ids, known = {box.id for box in boxes}, {action.id for action in actions}
    width, height = size_wh

    def act(wanted: dict) -> None:
        action, face = wanted.get("action"), wanted.get("id")
        face = face if face in ids else None
        if action == "choose":
            on_choose(face)
        elif action in ("draw", "move"):
            box = box_within(wanted.get("box"), width, height)
            if box and (face or action == "draw"):
                on_box(box, face if action == "move" else None)
        elif action in known:
            on_act(action, face)

    css, js = parts(__file__)
    show = st.components.v2.component("picture_boxes", html="<div class='editor'></div>", css=css, js=js)
    show(
        key=key,
        data={
            "src": f"data:image/jpeg;base64,{base64.b64encode(jpeg).decode()}",
            "size": [int(width), int(height)],
            "name": name,
            "boxes": [
                {
                    "id": box.id,
                    "xyxy": [round(float(side), 2) for side in box.xyxy],
                    "color": box.style.color_hex,
                    "text": box.text,
                    "words": box.words,
                    "excluded": box.excluded,
                    "suggested": box.suggested,
                }
                for box in boxes
            ],
            "actions": [action.for_browser() for action in actions],
            "chosen": chosen,
            "pressed": pressed,
            "words": {"how": tr(HOW)},
            "done": acts_done(key),
        },
        on_acted_change=handler(key, act),
    )


def box_within(raw: object, width: int, height: int) -> Box | None:
    """What the browser calls a box, within the picture; ``None`` if it is none."""
    if not (isinstance(raw, list) and len(raw) == 4 and all(isinstance(side, int | float) for side in raw)):
        return None
    if not all(map(isfinite, raw)):
        return None
    x1, y1, x2, y2 = (
        min(max(float(side), 0.0), float(most)) for side, most in zip(raw, (width, height) * 2, strict=True)
    )
    return (x1, y1, x2, y2) if x1 < x2 and y1 < y2 else None
