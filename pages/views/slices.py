"""How often a model errs by what was noted of faces: their pose, and what covers them."""

from collections.abc import Sequence

import streamlit as st

from core.language import mark, number, tr
from core.registry.leaderboard import Row
from pages.components.charts import errors
from pages.components.figure import show_figure

LEAST_FACES = 10
"""Fewer faces of a slice say too little."""
POSES = {"frontal": mark("frontal"), "turned": mark("turned"), "down": mark("looking down")}
COVERINGS = {
    "nothing": mark("nothing"),
    "hand": mark("hand"),
    "microphone": mark("microphone"),
    "cup": mark("cup, food"),
    "paper": mark("paper, book"),
    "beard": mark("beard"),
    "scarf": mark("scarf, cloth"),
    "helmet": mark("helmet"),
    "camera": mark("camera, phone"),
    "other": mark("other"),
}


def show_slices(rows: Sequence[Row], key: str) -> None:
    """Errors by pose and by covering, if they were measured.

    Args:
        rows: figures of the chosen method, on one set of photos each.
        key: of the charts.
    """
    of_kind = {kind: its for row in rows for kind, its in row.figures.get("slices", {}).items()}
    left, right = st.columns(2)
    if poses := _groups(of_kind.get("pose", []), POSES):
        chart = errors(tr("Errors by pose"), poses, tr("How the head is held"))
        show_figure(chart, key=f"{key}_pose", place=left)
    if coverings := _groups(of_kind.get("covering", []), COVERINGS):
        chart = errors(tr("Errors on faces without a mask"), coverings, tr("What covers the face"))
        show_figure(chart, key=f"{key}_covering", place=right)
    covered = [row for row in of_kind.get("covering", []) if row["name"] != "nothing" and row["bare_faces"]]
    if covered:
        masked = sum(row["bare_faces"] * row["bare_shown_as_masked"] for row in covered)
        share = masked / sum(row["bare_faces"] for row in covered)
        words = tr(
            "Of 100 faces without a mask that are found though a hand, a helmet or another thing covers them, {count} "
            "are said to wear one."
        )
        st.caption(words.format(count=number(round(100 * share))))


def _groups(rows: Sequence[dict], titles: dict[str, str]) -> list[tuple[str, int, int]]:
    """Words, faces and how many are right, of the slices with enough faces, in the order of their titles."""
    by_name = {row["name"]: row for row in rows if row["faces"] >= LEAST_FACES}
    return [
        (tr(title), by_name[name]["faces"], by_name[name]["right"]) for name, title in titles.items() if name in by_name
    ]
