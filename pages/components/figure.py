"""The one way to show a plotly chart."""

from typing import Any

import plotly.graph_objects as go
import streamlit as st

from core.language import tr

CHART = {"displayModeBar": False}


def show_figure(figure: go.Figure, key: str | None = None, place: Any = st, alt: str = "") -> None:
    """Show a chart without plotly's row of tools.

    Args:
        figure: of ``pages.components.charts``.
        key: of the widget.
        place: where; the page itself, if left out.
        alt: what screen readers are told; the chart's title and what its axes count, if left out.
    """
    place.plotly_chart(figure, key=key, config=CHART, alt=alt or described(figure))


def on_dark() -> bool:
    """Whether the visitor's pages are dark."""
    return st.context.theme.type == "dark"


def described(figure: go.Figure) -> str:
    """What a chart shows, in words.

    >>> described(go.Figure(layout={"title": {"text": "People"}, "yaxis": {"title": {"text": "Number"}}}))
    'Chart. People: Number.'
    """
    layout = figure.layout
    title = layout.title.text or ""
    x, y = layout.xaxis.title.text, layout.yaxis.title.text
    axes = tr("{y} against {x}").format(x=x, y=y) if x and y else x or y or ""
    words = tr("{name}: {words}").format(name=title, words=axes) if title and axes else title or axes
    return tr("Chart. {words}.").format(words=words)
