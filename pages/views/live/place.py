"""Where people count: a zone and a line, drawn with the mouse or a finger on a still of the camera."""

from collections.abc import Callable, Mapping
from typing import Any, Protocol

import cv2
import numpy as np
import streamlit as st

from core.language import mark, tr
from core.video.live import LiveProcessor
from core.video.zones import Place, Point
from pages.components.charts import drawing_board
from pages.components.state import LIVE_STILL

ZONE, LINE = SHAPES = (mark("Zone"), mark("Line"))
PLACES, FIRST_END, BOARD = "live_places", "live_first_end", "live_board"
MAX_CORNERS = 24
HOW = {
    ZONE: mark("Drag a rectangle over the picture, or choose the lasso above it and drag around the zone."),
    LINE: mark("Click one end of the line, then the other."),
}


Keep = Callable[[Place], None]


class Shown(Protocol):
    """What a place can be drawn on."""

    @property
    def place(self) -> Place:
        """What is drawn on it now."""

    @property
    def blur(self) -> bool:
        """Whether faces are blurred in what is shown."""

    @property
    def mirror(self) -> bool:
        """Whether the picture is turned round."""

    def snapshot(self) -> np.ndarray | None:
        """The picture as it is shown."""


def place_for_visit(processor: LiveProcessor, camera: str) -> Keep:
    """Give a camera the place that was drawn for it during this visit; what keeps another one."""
    places: dict[str, Place] = st.session_state.setdefault(PLACES, {})
    processor.place = places.get(camera, Place())
    return lambda place: places.update({camera: place})


def place_editor(processor: Shown, keep: Keep) -> None:
    """Draw, turn or remove the place of a camera.

    Args:
        processor: whose place it is.
        keep: called with another place.
    """
    still, blurred = st.session_state.get(LIVE_STILL, (None, True))
    if processor.blur and not blurred:  # the switch holds for what was taken before, too
        del st.session_state[LIVE_STILL]
        still = None
    with st.container(horizontal=True):
        words = tr("Draw on a new picture") if still is not None else tr("Draw")
        if st.button(words, icon=":material/draw:"):
            still = processor.snapshot()
            st.session_state[LIVE_STILL] = still, processor.blur
            if still is None:
                st.info(tr("Start the camera first: the zone is drawn on its picture."))
        if still is not None and st.button(tr("Done"), icon=":material/check:"):
            st.session_state.pop(LIVE_STILL)
            st.rerun()
        if processor.place.line and st.button(tr("Exchange in and out"), icon=":material/swap_horiz:"):
            _keep(keep, processor.place.turned())
        if processor.place != Place() and st.button(tr("Remove zone and line"), icon=":material/delete:"):
            _keep(keep, Place())
    if still is not None:
        _board(processor, keep, still)


def _keep(keep: Keep, place: Place) -> None:
    keep(place)
    st.session_state.pop(FIRST_END, None)
    _new_board()


def _new_board() -> None:
    """Show the page anew, with a chart in which nothing is selected."""
    st.session_state[BOARD] = st.session_state.get(BOARD, 0) + 1
    st.rerun()


def _board(processor: Shown, keep: Keep, still: np.ndarray) -> None:
    shape = st.segmented_control(tr("Draw"), SHAPES, format_func=tr, default=ZONE, required=True, key="live_shape")
    first = st.session_state.get(FIRST_END) if shape == LINE else None
    st.caption(tr("Now click the other end.") if first else tr(HOW[shape]))
    shown = processor.place.mirrored() if processor.mirror else processor.place
    drawn = st.plotly_chart(
        drawing_board(still, shown, first, select=shape == ZONE),
        on_select="rerun",
        selection_mode=("box", "lasso") if shape == ZONE else "points",
        key=f"live_board_{shape}_{st.session_state.get(BOARD, 0)}",
        config={"displaylogo": False, "modeBarButtonsToRemove": ["zoom", "pan", "autoScale", "resetScale"]},
    )
    selection: Mapping[str, Any] = drawn["selection"]
    if shape == ZONE and (zone := zone_of(selection)):
        _keep_drawn(processor, keep, Place(zone, shown.line))
    elif shape == LINE and (end := point_of(selection)):
        if first is not None and first != end:
            _keep_drawn(processor, keep, Place(shown.zone, (first, end)))
        st.session_state[FIRST_END] = end
        _new_board()


def _keep_drawn(processor: Shown, keep: Keep, place: Place) -> None:
    """What was drawn on the picture as it is shown, which may be mirrored."""
    _keep(keep, place.mirrored() if processor.mirror else place)


def zone_of(selection: Mapping[str, Any]) -> tuple[Point, ...]:
    """The corners of the rectangle or the lasso that was drawn on a board, as shares of it; empty if there is none.

    >>> zone_of({"box": [{"x": [0.5, -0.1], "y": [0.2, 0.6]}]})
    ((0.0, 0.2), (0.5, 0.2), (0.5, 0.6), (0.0, 0.6))
    """
    for box in selection.get("box") or []:
        (left, right), (top, bottom) = sorted(map(_share, box["x"])), sorted(map(_share, box["y"]))
        return ((left, top), (right, top), (right, bottom), (left, bottom)) if left < right and top < bottom else ()
    for lasso in selection.get("lasso") or []:
        points = np.array([[_share(x), _share(y)] for x, y in zip(lasso["x"], lasso["y"], strict=True)], np.float32)
        detail = 0.005
        while len(corners := cv2.approxPolyDP(points, detail, True)) > MAX_CORNERS:
            detail *= 1.5
        return tuple((float(x), float(y)) for x, y in corners.reshape(-1, 2)) if len(corners) >= 3 else ()
    return ()


def point_of(selection: Mapping[str, Any]) -> Point | None:
    """The point of a board that was clicked."""
    points = selection.get("points") or []
    return (_share(points[0]["x"]), _share(points[0]["y"])) if points else None


def _share(value: float) -> float:
    return min(max(float(value), 0.0), 1.0)
