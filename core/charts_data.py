"""Charts of a data set, in plotly; every bar carries what it stands for, so that a click can filter the gallery.

``customdata`` of a bar is what ``clicked`` gives back. Imported where a chart is shown, so that nothing waits for
plotly.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import plotly.graph_objects as go

from core.classes import CLASS_STYLES, WITH_MASK

BAR = CLASS_STYLES[WITH_MASK].color_hex
SIZE_EDGES = (1, 50, 100, 200, 300, 400, 600, 800, 1200, 1600, 2400, 4000, 100_000)
FACE_EDGES = (1, 16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512, 1024, 100_000)
BRIGHTNESS_EDGES = tuple(i / 10 for i in range(11))
# Of the parts of a data set; they differ in lightness too.
PART_COLORS = {"train": "#4f5d57", "val": "#e69f00", "test": "#56b4e9", "": BAR}
PARTS = {"train": "Training", "val": "Checks while training", "test": "Test", "": "Not divided"}


def class_counts(counts: Mapping[tuple[str, str], int], words: Mapping[str, str]) -> go.Figure:
    """Faces per class, one colour per part of the set.

    Args:
        counts: faces by class name and part (a key of ``PARTS``).
        words: class names in the order of the bars, and what each is called.
    """
    figure = go.Figure()
    for part in (part for part in PARTS if any(count and key[1] == part for key, count in counts.items())):
        values = [counts.get((name, part), 0) for name in words]
        figure.add_bar(
            x=values,
            y=list(words.values()),
            orientation="h",
            name=PARTS[part],
            marker={"color": PART_COLORS[part]},
            customdata=[[name, part] for name in words],
            text=[f"{value:,}" if value else "" for value in values],
            textposition="auto",
            hovertemplate=f"%{{y}}, {PARTS[part].lower()}: %{{x:,}}<extra></extra>",
        )
    _lay_out(figure, "Labels per class", max(240, 110 + 34 * len(words)))
    figure.update_layout(
        barmode="stack",
        showlegend=len(figure.data) > 1,
        legend={"orientation": "h", "y": -0.15},
        yaxis={"autorange": "reversed", "fixedrange": True},
    )
    return figure


def histogram(title: str, values: np.ndarray, edges: Sequence[float], unit: str = "px") -> go.Figure:
    """How many of the values lie between one edge and the next; bars at both ends that are empty are left out.

    Args:
        title: what is counted.
        values: (n,) numbers.
        edges: rising, one more than bars; each bar holds its lower edge and not its upper one, the last one both.
        unit: ``px``, or ``%`` for shares in 0..1 shown as per cent.
    """
    counts = np.histogram(values, np.array(edges, float))[0]
    filled = np.flatnonzero(counts)
    places = range(filled[0], filled[-1] + 1) if len(filled) else range(0)
    factor = 100 if unit == "%" else 1
    figure = go.Figure(
        go.Bar(
            # Only where a bar begins: whole ranges would not fit side by side.
            x=[f"{factor * edges[i]:.0f}" for i in places],
            y=[int(counts[i]) for i in places],
            marker={"color": BAR},
            # A filter's ends are both included: the upper one is the last number below the edge.
            customdata=[[edges[i], float(_last_of(edges, i))] for i in places],
            hovertext=[_range_text(edges[i], edges[i + 1], unit) for i in places],
            hovertemplate="%{hovertext}: %{y:,}<extra></extra>",
        )
    )
    _lay_out(figure, title, 240)
    axis = {"text": f"{unit} and more, up to the next bar", "standoff": 4, "font": {"size": 12}}
    figure.update_layout(xaxis={"type": "category", "tickangle": 0, "fixedrange": True, "title": axis})
    return figure


def group_sizes(sizes: np.ndarray) -> go.Figure:
    """Pictures without a near copy, with one, and with more.

    Args:
        sizes: (n,) int, for each picture how many there are in its group, itself included.
    """
    bars = {"alone": (1, 1), "pairs": (2, 2), "threes": (3, 3), "4 to 9 alike": (4, 9), "10 and more": (10, 10**9)}
    counts = {name: int(((sizes >= low) & (sizes <= high)).sum()) for name, (low, high) in bars.items()}
    figure = go.Figure(
        go.Bar(
            x=list(counts),
            y=list(counts.values()),
            marker={"color": BAR},
            customdata=[list(limits) for limits in bars.values()],
            hovertemplate="%{x}: %{y:,} pictures<extra></extra>",
        )
    )
    _lay_out(figure, "Near copies: pictures that come", 240)
    figure.update_layout(xaxis={"type": "category", "fixedrange": True})
    return figure


def clicked(selection: Mapping | None) -> list | None:
    """``customdata`` of the bar that was clicked, from what Streamlit keeps of a chart; ``None`` if none was."""
    points = ((selection or {}).get("selection") or {}).get("points") or []
    custom = points[0].get("customdata") if points else None
    return list(custom.values()) if isinstance(custom, Mapping) else custom


def _last_of(edges: Sequence[float], place: int) -> float:
    return edges[place + 1] if place + 2 == len(edges) else np.nextafter(edges[place + 1], 0)


def _range_text(low: float, high: float, unit: str) -> str:
    if unit == "%":
        return f"{100 * low:.0f} to {100 * high:.0f}%"
    return f"from {low:g} {unit}" if high >= 100_000 else f"{low:g} to {high - 1:g} {unit}"


def _lay_out(figure: go.Figure, title: str, height: int) -> None:
    figure.update_layout(
        height=height,
        margin={"l": 0, "r": 0, "t": 34, "b": 0},
        title={"text": title, "font": {"size": 14}},
        xaxis={"fixedrange": True},
        yaxis={"fixedrange": True},
        bargap=0.12,
        dragmode=False,
    )
