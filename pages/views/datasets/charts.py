"""What a data set holds, as numbers and charts; a click on a bar leads to its images."""

from functools import partial
from typing import Any

import streamlit as st

from core.datasets.index import Index
from core.datasets.query import Filter, facts
from core.language import number, tr
from pages.views.datasets.filters import click_chart, show_filtered
from pages.views.datasets.tiles import styles_by_name


def show_overview(index: Index) -> None:
    """Counts and charts; a click on a bar leads to its images."""
    from pages.components import charts

    numbers = facts(index)
    for column, (name, value) in zip(st.columns(len(numbers.totals)), numbers.totals.items(), strict=True):
        column.metric(tr(name), number(value, ","))
    st.caption(tr("Click a bar to see its images."))
    words = {name: style.words for name, style in styles_by_name(index).items()}
    figures = {
        "classes": charts.class_counts(numbers.labels, words),
        "group_size": charts.group_sizes(index.group_sizes),
        "size_px": charts.histogram(tr("Image size: longer side"), index.sizes_px, charts.SIZE_EDGES),
        "face_px": charts.histogram(
            tr("Face size: shorter side"), index.faces.size_px, charts.FACE_EDGES, of=tr("Faces")
        ),
        "brightness": charts.histogram(tr("Mean brightness"), index.rows["brightness"], charts.BRIGHTNESS_EDGES, "%"),
    }
    divided = len({split for _, split in numbers.labels}) > 1
    columns = st.columns(2)
    for i, (field, figure) in enumerate(figures.items()):
        with columns[i % 2]:
            click_chart(figure, f"data_chart_{field}", partial(filter_from_bar, field, divided))
    if index.problems:
        with st.expander(tr("Images that cannot be read: {images}").format(images=number(len(index.problems), ","))):
            st.dataframe(
                [{tr("Image"): key, tr("Why"): tr(why)} for key, why in index.problems.items()], hide_index=True
            )


def filter_from_bar(field: str, divided: bool, bar: list) -> None:
    """Show the images that a bar counts: of a class (and part, where the set is divided), or within a range."""
    values: dict[str, Any] = {field: tuple(bar)}
    if field == "classes":
        values = {"classes": (bar[0],), "splits": (bar[1],) if divided else ()}
    show_filtered(Filter(**values))
