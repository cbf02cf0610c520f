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


def found_and_right(names: list[str], shares: list[float]) -> go.Figure:
    """Share of the faces that each method finds and judges right, as bars; shares in 0..1, best on top."""
    order = sorted(range(len(names)), key=lambda i: shares[i])
    figure = go.Figure(
        go.Bar(
            x=[100 * shares[i] for i in order],
            y=[names[i] for i in order],
            orientation="h",
            text=[f"{shares[i]:.0%}" for i in order],
            marker={"color": CLASS_STYLES[WITH_MASK].color_hex},
            hovertemplate="%{y}: %{x:.1f}%<extra></extra>",
        )
    )
    figure.update_layout(
        height=80 + 42 * len(names),
        margin={"l": 0, "r": 0, "t": 30, "b": 0},
        title={"text": "Faces found and judged right, per cent", "font": {"size": 14}},
        xaxis={"range": [0, 103], "fixedrange": True},
        yaxis={"fixedrange": True},
    )
    return figure


def times_by_faces(name: str, times_ms: dict[int, float]) -> go.Figure:
    """Milliseconds per webcam picture by the number of faces in it, as bars."""
    figure = go.Figure(
        go.Bar(
            x=[f"{faces} face" + "s" * (faces != 1) for faces in times_ms],
            y=list(times_ms.values()),
            text=[f"{ms:.1f} ms" for ms in times_ms.values()],
            marker={"color": CLASS_STYLES[WITH_MASK].color_hex},
            hovertemplate="%{x}: %{y:.1f} ms<extra></extra>",
        )
    )
    figure.update_layout(
        height=260,
        margin={"l": 0, "r": 0, "t": 30, "b": 0},
        title={"text": f"{name}: milliseconds for a picture of 640 × 480 pixels", "font": {"size": 14}},
        xaxis={"fixedrange": True},
        yaxis={"rangemode": "tozero", "fixedrange": True},
    )
    return figure
