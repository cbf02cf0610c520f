"""Charts of statistics, in plotly. Imported where a chart is shown, so that nothing waits for plotly."""

import plotly.graph_objects as go

from core.classes import CLASS_STYLES, WITH_MASK


def share_over_time(share_by_second: tuple[tuple[float, float | None], ...]) -> go.Figure:
    """Share of faces with a mask, as a line up to now; it breaks off where no face was seen.

    Args:
        share_by_second: seconds ago, and share in 0..1 or ``None``; as in ``core.stats.LiveSnapshot``.
    """
    figure = go.Figure(
        go.Scatter(
            x=[-ago for ago, _ in share_by_second],
            y=[None if share is None else 100 * share for _, share in share_by_second],
            mode="lines",
            line={"color": CLASS_STYLES[WITH_MASK].color_hex, "width": 3},
            hovertemplate="%{y:.0f}% with a mask<extra></extra>",
        )
    )
    figure.update_layout(
        height=220,
        margin={"l": 0, "r": 0, "t": 30, "b": 0},
        title={"text": "Faces with a mask, per cent", "font": {"size": 14}},
        xaxis={"title": "seconds ago", "range": [-120, 0], "tickvals": [-120, -90, -60, -30, 0], "fixedrange": True,
               "ticktext": ["120", "90", "60", "30", "now"]},
        yaxis={"range": [-3, 103], "fixedrange": True},
        uirevision="keep",
    )  # fmt: skip
    return figure
