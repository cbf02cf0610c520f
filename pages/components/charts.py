"""Every plotly figure. Imported where a chart is shown, so that nothing waits for plotly."""

import base64
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

import numpy as np
import plotly.graph_objects as go
from plotly.basedatatypes import BasePlotlyType

from core.datasets.parts import PARTS
from core.io import is_number
from core.language import day, mark, number, tr
from core.video.record import share_interval
from core.video.zones import Place, Point
from core.vision.classes import CLASS_NAMES, CLASS_STYLES, NO_PREDICTION, WITH_MASK, set_off, styles_of
from core.vision.images import encode_image
from core.vision.stats import FrameStats

BAR = CLASS_STYLES[WITH_MASK].color_hex
# Okabe and Ito: told apart with every kind of colour vision.
CURVE_COLORS = (BAR, "#d55e00", "#0072b2", "#8a8a8a")
WEEK_COLORS = ("#9fb4ad", BAR)
LIGHT, DARK = ((255, 255, 255), 3.5), ((14, 18, 17), 5.5)
"""Ground of pages, and the least contrast of thin marks to it: more on dark ground, where they look thinner."""
MOST_NAMES = 7
"""Below bars: as many as a phone has room for, and a week has days."""


def people_by_class(
    title: str,
    points: Mapping[str, FrameStats],
    x: str = "",
    height: int = 260,
    short: Mapping[str, str] | None = None,
) -> go.Figure:
    """People as stacked bars, a colour for each class.

    Args:
        title: what is counted.
        points: what each bar is called, in order, and who is counted in it.
        x: what the bars are.
        height: in pixels.
        short: what stands below a bar, where its name is too long for that.
    """
    figure = go.Figure()
    everybody = sum(points.values(), FrameStats())
    styles = [*zip(everybody.classes, styles_of(everybody.classes), strict=True), (None, NO_PREDICTION)]
    for name, style in styles:
        counts = [stats.unknown if name is None else stats.count(name) for stats in points.values()]
        if any(counts):
            figure.add_bar(
                x=list(points),
                y=counts,
                name=f"{style.sign} {_text(style.words)}",
                marker={"color": style.color_hex},
                hovertemplate=tr("%{{x}}: %{{y:,}} × {result}").format(result=_text(style.words)) + "<extra></extra>",
            )
    _layout(figure, title, height, x=x, y=tr("People"))
    _set(figure.layout, barmode="stack", showlegend=True, uirevision="keep")
    _few_names(figure, list(points), short)
    most = max((stats.faces for stats in points.values()), default=0)
    few = {"dtick": 1, "range": [0, max(1, most) * 1.05]} if most < 5 else {}  # else plotly would show halves of people
    _set(figure.layout.yaxis, rangemode="tozero", tickformat=",d", **few)
    return figure


def share_with_mask(points: Mapping[str, FrameStats], short: Mapping[str, str] | None = None) -> go.Figure:
    """Share of people who wear a mask well, each with the interval in which it lies in 95 of 100 cases.

    Args:
        points: what each point is called, in order, and who is counted in it.
        short: as of ``people_by_class``.
    """
    told = [(at, stats, interval) for at, stats in points.items() if (interval := share_interval(stats))]
    shares = [100 * (stats.mask_share or 0.0) for _, stats, _ in told]
    figure = go.Figure(
        go.Scatter(
            x=[at for at, _, _ in told],
            y=shares,
            mode="lines+markers",
            line={"color": BAR},
            marker={"size": 8},
            error_y=_spread(shares, [(100 * low, 100 * high) for _, _, (low, high) in told], "#8a8a8a"),
            customdata=[
                [100 * low, 100 * high, sum(stats.count(name) for name in CLASS_NAMES)]
                for _, stats, (low, high) in told
            ],
            hovertemplate=tr(
                "%{x}: %{y:.0f}% of %{customdata[2]:,} people, probably %{customdata[0]:.0f}% to %{customdata[1]:.0f}%"
            )
            + "<extra></extra>",
        )
    )
    _layout(figure, tr("Wear a mask well"), 260, y=tr("Share in %"))
    _few_names(figure, list(points), short)
    _set(figure.layout.yaxis, range=[-3, 103])
    return figure


def drawing_board(still_bgr: np.ndarray, place: Place, first_end: Point | None, select: bool) -> go.Figure:
    """A picture on which a zone can be dragged, or points clicked; both axes are shares of it, from its upper left.

    Args:
        still_bgr: (h, w, 3) uint8.
        place: what is drawn already.
        first_end: of a line that has no second one yet.
        select: dragging selects.
    """
    jpeg = base64.b64encode(encode_image(still_bgr)).decode()
    figure = go.Figure()
    # Plotly tells of a selection or a click only where there are points: these cannot be seen.
    x, y = np.meshgrid(np.linspace(0, 1, 65), np.linspace(0, 1, 49))
    figure.add_scatter(x=x.ravel(), y=y.ravel(), mode="markers", marker={"opacity": 0, "size": 12}, hoverinfo="none",
                       selected={"marker": {"opacity": 0}}, unselected={"marker": {"opacity": 0}})  # fmt: skip
    line = {"color": "#ffffff", "width": 3}
    if place.zone:
        corners = [*place.zone, place.zone[0]]
        figure.add_scatter(x=[x for x, _ in corners], y=[y for _, y in corners], mode="lines", line=line,
                           fill="toself", fillcolor="rgba(255, 255, 255, 0.25)", hoverinfo="skip")  # fmt: skip
    ends = place.line if first_end is None else (first_end,)
    if ends:
        figure.add_scatter(x=[x for x, _ in ends], y=[y for _, y in ends], mode="lines+markers", line=line,
                           marker={"size": 12, "color": "#ffffff"}, hoverinfo="skip")  # fmt: skip
    figure.add_layout_image(source=f"data:image/jpeg;base64,{jpeg}", xref="x", yref="y", x=0, y=0, sizex=1, sizey=1,
                            sizing="stretch", layer="below")  # fmt: skip
    _layout(figure, "", 360)
    _set(figure.layout.margin, t=0)
    _set(figure.layout, dragmode="select" if select else False, hovermode="closest", hoverdistance=40)
    _set(figure.layout.xaxis, range=[0, 1], visible=False, constrain="domain")
    _set(figure.layout.yaxis, range=[1, 0], visible=False, constrain="domain",
         scaleanchor="x", scaleratio=still_bgr.shape[0] / still_bgr.shape[1])  # fmt: skip
    return figure


MONDAY = date(2024, 1, 1)


def weeks_side_by_side(weeks: Mapping[str, Sequence[int]], of: str = mark("People")) -> go.Figure:
    """Two weeks as bars side by side, Monday to Sunday.

    Args:
        weeks: what each is called, and its seven numbers.
        of: what they count, in English.
    """
    figure = go.Figure()
    days = [day(MONDAY + timedelta(i), "EEE") for i in range(7)]
    for (name, counts), color in zip(weeks.items(), WEEK_COLORS, strict=True):
        figure.add_bar(x=days, y=list(counts), name=name, marker={"color": color})
    _layout(figure, tr("{people} by day of the week").format(people=tr(of)), 280, y=tr(of))
    _set(figure.layout, barmode="group", showlegend=True)
    _set(figure.layout.yaxis, rangemode="tozero", tickformat=",d")
    return figure


def people_over_time(moments: Sequence[tuple[float, FrameStats]], step_s: float, dark: bool = False) -> go.Figure:
    """Faces at each moment of a video as bars, a colour per class, with the share that wears a mask as a line.

    Args:
        moments: seconds and what is seen then.
        step_s: from one moment to the next.
        dark: whether the page is.
    """
    figure, times = go.Figure(), [at_s for at_s, _ in moments]
    classes = moments[-1][1].classes if moments else ()
    for style, counts in (
        *(
            (style, [s.count(name) for _, s in moments])
            for name, style in zip(classes, styles_of(classes), strict=True)
        ),
        (NO_PREDICTION, [s.unknown for _, s in moments]),
    ):
        if any(counts):
            figure.add_bar(
                x=[at_s + step_s / 2 for at_s in times],
                y=counts,
                width=step_s,
                name=style.words,
                marker={"color": style.color_hex, "line": {"width": 0}},
                customdata=[[at_s] for at_s in times],
                hovertemplate=tr("%{{customdata[0]:.1f}} s: %{{y}} {result}").format(result=_text(style.words))
                + "<extra></extra>",
            )
    if any(s.mask_share is not None for _, s in moments):
        figure.add_scatter(
            x=[at_s + step_s / 2 for at_s in times],
            y=[None if s.mask_share is None else 100 * s.mask_share for _, s in moments],
            yaxis="y2",
            mode="lines+markers",
            marker={"size": 5},
            line={"color": "#e8ecea" if dark else "#1f2a27", "width": 2},
            name=tr("Share with a mask"),
            customdata=[[at_s] for at_s in times],
            hovertemplate=tr("%{customdata[0]:.1f} s: %{y:.0f}% with a mask") + "<extra></extra>",
        )
    _layout(figure, tr("People over time; click to jump there"), 300, x=tr("Seconds"), y=tr("People"))
    share: dict = {"overlaying": "y", "side": "right", "range": [-3, 103], "fixedrange": True, "showgrid": False}
    share |= {"tickmode": "array", "tickvals": [0, 50, 100]}
    share["title"] = {"text": tr("Share in %"), "font": {"size": 12}}
    figure.update_layout(barmode="stack", bargap=0, showlegend=True, yaxis2=share)
    figure.update_yaxes(rangemode="tozero", tickformat="d", selector={"anchor": "x"})
    return figure


def accuracy_by_method(names: list[str], shares: list[float]) -> go.Figure:
    """Share of the faces that each method finds and classifies correctly, as bars; shares in 0..1, best on top."""
    order = sorted(range(len(names)), key=lambda i: shares[i])
    figure = go.Figure(
        go.Bar(
            x=[100 * shares[i] for i in order],
            y=[names[i] for i in order],
            orientation="h",
            text=[number(shares[i], ".0%") for i in order],
            marker={"color": BAR},
            hovertemplate=tr("%{y}: %{x:.1f}%") + "<extra></extra>",
        )
    )
    words = tr("Faces found and classified correctly, in %")
    _layout(figure, tr("Accuracy"), 100 + 42 * len(names), x=words)
    _set(figure.layout.xaxis, range=[0, 103])
    return figure


def times_by_faces(name: str, times_ms: dict[int, float]) -> go.Figure:
    """Milliseconds per webcam image by the number of faces in it, as bars."""
    figure = go.Figure(
        go.Bar(
            x=[str(faces) for faces in times_ms],
            y=list(times_ms.values()),
            text=[tr("{count} ms").format(count=number(ms, ".1f")) for ms in times_ms.values()],
            marker={"color": BAR},
            hovertemplate=tr("%{x} faces: %{y:.1f} ms") + "<extra></extra>",
        )
    )
    title = tr("{name}: time for an image of 640 × 480 pixels").format(name=name)
    _layout(figure, title, 280, x=tr("Faces in the image"), y=tr("Milliseconds"))
    _set(figure.layout.xaxis, type="category")
    _set(figure.layout.yaxis, rangemode="tozero")
    return figure


SIZE_EDGES = (1, 50, 100, 200, 300, 400, 600, 800, 1200, 1600, 2400, 4000, 100_000)
FACE_EDGES = (1, 16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512, 1024, 100_000)
BRIGHTNESS_EDGES = tuple(i / 10 for i in range(11))
# Of the parts of a data set; they differ in lightness too.
PART_COLORS = {"train": "#7a8a84", "val": "#e69f00", "test": "#56b4e9", "": BAR}


def class_counts(counts: Mapping[tuple[str, str], int], words: Mapping[str, str]) -> go.Figure:
    """Faces per class, one colour per part of the set.

    Args:
        counts: faces by class name and part (a key of ``PARTS``).
        words: class names in the order of the bars, and what each is called.
    """
    figure = go.Figure()
    for part in (part for part in PART_COLORS if any(count and key[1] == part for key, count in counts.items())):
        values = [counts.get((name, part), 0) for name in words]
        figure.add_bar(
            x=values,
            y=list(words.values()),
            orientation="h",
            name=tr(PARTS[part]),
            marker={"color": PART_COLORS[part]},
            customdata=[[name, part] for name in words],
            text=[number(value, ",") if value else "" for value in values],
            textposition="auto",
            hovertemplate=tr("%{{y}}, {part}: %{{x:,}}").format(part=tr(PARTS[part]).lower()) + "<extra></extra>",
        )
    _layout(figure, tr("Labels per class"), max(260, 120 + 34 * len(words)), x=tr("Labels"))
    _set(figure.layout, barmode="stack", showlegend=len(figure.data) > 1)
    _set(figure.layout.yaxis, autorange="reversed")
    return figure


def histogram(
    title: str, values: np.ndarray, edges: Sequence[float], unit: str = "px", of: str = mark("Images")
) -> go.Figure:
    """How many of the values lie between one edge and the next; bars at both ends that are empty are left out.

    Args:
        title: what is counted.
        values: (n,) numbers.
        edges: rising, one more than bars; each bar holds its lower edge and not its upper one, the last one both.
        unit: ``px``, or ``%`` for shares in 0..1 shown as per cent.
        of: what a bar counts, in English.
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
            hovertemplate=tr("%{hovertext}: %{y:,}") + "<extra></extra>",
        )
    )
    words = tr("Per cent, from here to the next bar") if unit == "%" else tr("Pixels, from here to the next bar")
    _layout(figure, title, 260, x=words, y=tr(of))
    _set(figure.layout.xaxis, type="category", tickangle=0)
    return figure


def group_sizes(sizes: np.ndarray) -> go.Figure:
    """Images without a near-duplicate, with one, and with more.

    Args:
        sizes: (n,) int, for each image how many there are in its group, itself included.
    """
    bars = {"1": (1, 1), "2": (2, 2), "3": (3, 3), tr("4 to 9"): (4, 9), tr("10 and more"): (10, 10**9)}
    counts = {name: int(((sizes >= low) & (sizes <= high)).sum()) for name, (low, high) in bars.items()}
    figure = go.Figure(
        go.Bar(
            x=list(counts),
            y=list(counts.values()),
            marker={"color": BAR},
            customdata=[list(limits) for limits in bars.values()],
            hovertemplate=tr("groups of %{x}: %{y:,} images") + "<extra></extra>",
        )
    )
    _layout(figure, tr("Near-duplicates"), 260, x=tr("Images in a group of near-duplicates"), y=tr("Images"))
    _set(figure.layout.xaxis, type="category")
    return figure


# Told apart in black and white; no two next to each other look alike when they are small.
SYMBOLS = (
    *("circle-open", "x-thin-open", "diamond-open", "triangle-up-open"),
    *("square-open", "cross-thin-open", "star-open", "triangle-down-open"),
)
"""Hollow and thin: of two copies with different labels, which lie on one spot, both are seen."""


def points_by_kind(
    xy: np.ndarray,
    kinds: Sequence[str],
    looks: Mapping[str, tuple[str, tuple[int, int, int]]],
    items: Sequence[str],
    dark: bool = False,
) -> go.Figure:
    """Points of a plane without units, each kind with a colour and a shape of its own; they can be circled.

    Args:
        xy: (n, 2).
        kinds: n of them, keys of ``looks``.
        looks: words and colour (RGB, 0..255) of each kind, in the legend's order.
        items: what each point stands for, n of them; told by ``chosen_points``, and when the pointer is on it.
        dark: whether the page is; colours that would be dim there come lighter, on a light one darker.
    """
    figure, of_kind = go.Figure(), np.array(kinds, str)
    for i, (kind, (words, color)) in enumerate(looks.items()):
        places = np.flatnonzero(of_kind == kind).tolist()
        if not places:
            continue
        figure.add_scatter(
            x=xy[places, 0].round(3),
            y=xy[places, 1].round(3),
            mode="markers",
            name=_text(tr("{name}: {value}").format(name=words, value=number(len(places), ","))),
            marker={
                "color": _set_off(color, dark),
                "symbol": SYMBOLS[i % len(SYMBOLS)],
                "size": 9,
                "opacity": 1,
                "line": {"width": 2},
            },
            customdata=[[items[place]] for place in places],
            hovertemplate=f"%{{customdata[0]}}<extra>{_text(words)}</extra>",
        )
    _layout(figure, "", 480)
    _set(figure.layout, showlegend=True, dragmode="lasso", hovermode="closest")
    for axis in (figure.layout.xaxis, figure.layout.yaxis):
        _set(axis, visible=False)
    return figure


def chosen_points(selection: Mapping | None) -> list[str]:
    """What the points stand for that were circled, from what Streamlit keeps of ``points_by_kind``."""
    points = ((selection or {}).get("selection") or {}).get("points") or []
    custom = [point.get("customdata") for point in points]
    return [str(next(iter(each.values())) if isinstance(each, Mapping) else each[0]) for each in custom if each]


def clicked(selection: Mapping | None) -> list | None:
    """``customdata`` of the bar that was clicked, from what Streamlit keeps of a chart; ``None`` if none was."""
    points = ((selection or {}).get("selection") or {}).get("points") or []
    custom = points[0].get("customdata") if points else None
    return list(custom.values()) if isinstance(custom, Mapping) else custom


def _last_of(edges: Sequence[float], place: int) -> float:
    return edges[place + 1] if place + 2 == len(edges) else np.nextafter(edges[place + 1], 0)


def _range_text(low: float, high: float, unit: str) -> str:
    if unit == "%":
        return tr("{low} to {high}").format(low=f"{100 * low:.0f}", high=number(high, ".0%"))
    if high >= 100_000:
        return tr("from {low} {unit}").format(low=number(low, "g"), unit=unit)
    return tr("{low} to {high} {unit}").format(low=number(low, "g"), high=number(high - 1, "g"), unit=unit)


TRAINING, VALIDATION = "#0072b2", "#d55e00"
DASHES = ("solid", "dash", "dot", "dashdot")
QUANTITIES = {"loss": mark("Loss"), "accuracy": mark("Accuracy")}


def learning_curve(
    quantity: str, steps: Sequence[dict], metrics: Sequence[dict], epochs: int, fine_tune_from: int | None = None
) -> go.Figure:
    """Loss or accuracy over the epochs: training as a smooth line, validation as a point per epoch.

    Args:
        quantity: ``loss`` or ``accuracy``.
        steps: points within the epochs, as in ``steps.jsonl``; without any, training too has a point per epoch.
        metrics: a line per finished epoch, as in ``metrics.jsonl``.
        epochs: how many there will be; 0 if unknown.
        fine_tune_from: the epoch after which the last blocks of the base are trained too.
    """
    figure = go.Figure()
    training = _points(steps, quantity) or _points(metrics, quantity)
    validation = _points(metrics, f"val_{quantity}")
    scale = 100 if quantity == "accuracy" else 1
    for name, points, color, mode in (
        (mark("Training"), training, TRAINING, "lines" if len(training) > 1 else "markers"),
        (mark("Validation"), validation, VALIDATION, "lines+markers"),
    ):
        if points:
            figure.add_scatter(
                x=[x for x, _ in points],
                y=[scale * y for _, y in points],
                name=tr(name),
                mode=mode,
                line={"color": color, "width": 2, "dash": "solid" if name == "Training" else "dot"},
                marker={"color": color, "size": 7, "symbol": "circle" if name == "Training" else "diamond"},
                hovertemplate=tr("{name}, epoch {epoch}: {value}").format(
                    name=tr(name), epoch="%{x:.1f}", value="%{y:.1f}" if scale == 100 else "%{y:.3f}"
                )
                + "<extra></extra>",
            )
    if fine_tune_from and any(x > fine_tune_from for x, _ in training):
        figure.add_vline(x=fine_tune_from, line={"color": "#8a8a8a", "dash": "dash", "width": 1})
        figure.add_annotation(x=fine_tune_from, y=1, yref="paper", text=tr("last blocks trained too"), showarrow=False,
                              xanchor="left", yanchor="bottom", font={"size": 11})  # fmt: skip
    last = max([epochs, *(x for x, _ in (*training, *validation))])
    _layout(figure, tr(QUANTITIES[quantity]), 320, x=tr("Epoch"), y=tr("Accuracy in %") if scale == 100 else tr("Loss"))
    _set(figure.layout.xaxis, range=[0, max(1, last) * 1.02])
    _set(figure.layout, showlegend=True, uirevision="keep")
    return figure


@dataclass(frozen=True)
class RunCurve:
    """A run in a chart of several."""

    name: str
    color: str
    """Hexadecimal."""
    dash: str
    """As plotly names it."""
    metrics: Sequence[dict]
    """Lines of ``metrics.jsonl``."""


def curves_together(quantity: str, runs: Sequence[RunCurve]) -> go.Figure:
    """Validation curves of several runs over each other; training's where a run has no validation.

    Args:
        quantity: ``loss`` or ``accuracy``.
        runs: what to draw.
    """
    figure = go.Figure()
    scale = 100 if quantity == "accuracy" else 1
    for run in runs:
        points = _points(run.metrics, f"val_{quantity}")
        words = tr("{run} (validation)") if points else tr("{run} (training)")
        points = points or _points(run.metrics, quantity)
        figure.add_scatter(
            x=[x for x, _ in points],
            y=[scale * y for _, y in points],
            name=words.format(run=_text(run.name)),
            mode="lines+markers",
            line={"color": run.color, "dash": run.dash},
            marker={"size": 5},
        )
    _layout(figure, tr(QUANTITIES[quantity]), 320, x=tr("Epoch"), y=tr("Accuracy in %") if scale == 100 else tr("Loss"))
    _set(figure.layout.xaxis, rangemode="tozero")
    _set(figure.layout, showlegend=True)
    return figure


@dataclass(frozen=True)
class RunScore:
    """A finished run in a chart of scores."""

    name: str
    color: str
    value: str | int | float
    """Of the setting."""
    right: int
    """Of its test faces."""
    faces: int
    data: str


def scores_by_setting(setting: str, runs: Sequence[RunScore]) -> go.Figure:
    """Accuracy against a setting: a dot with its 95 % interval (Wilson 1927) per run, a line through the means.

    Args:
        setting: what it is called.
        runs: with their values; numbers keep their distances unless they differ by orders of magnitude.
    """
    from scipy.stats import binomtest

    numbers = all(is_number(run.value) for run in runs)
    by_value: dict = {}
    for run in runs:
        by_value.setdefault(run.value if numbers else str(run.value), []).append(100 * run.right / run.faces)
    values = sorted(by_value)
    figure = go.Figure()
    if len(values) > 1:
        figure.add_scatter(x=values, y=[float(np.mean(by_value[value])) for value in values], mode="lines",
                           name=tr("Mean"), line={"color": "#8a8a8a", "dash": "dot"}, hoverinfo="skip")  # fmt: skip
    for run in runs:
        share = 100 * run.right / run.faces
        interval = binomtest(run.right, run.faces).proportion_ci(method="wilson")
        figure.add_scatter(
            x=[run.value if numbers else str(run.value)],
            y=[share],
            name=_text(run.name),
            mode="markers",
            marker={"size": 11, "color": run.color},
            error_y=_spread([share], [(100 * interval.low, 100 * interval.high)], run.color),
            hovertemplate=tr("{run}: %{{y:.1f}}% of {faces} faces of {data}").format(
                run=_text(run.name), faces=number(run.faces, ","), data=_text(run.data)
            )
            + "<extra></extra>",
        )
    title = tr("Accuracy by {setting}").format(setting=_text(setting.lower()))
    _layout(figure, title, 360, x=_text(setting), y=tr("Accuracy in %"))
    _set(figure.layout, showlegend=True)
    if not numbers:
        _set(figure.layout.xaxis, type="category")
    elif min(values) > 0 and max(values) >= 20 * min(values):
        _set(figure.layout.xaxis, type="log", tickformat="~g", dtick="D2")
    return figure


def confusion(matrix: Sequence[Sequence[int]], classes: tuple[str, ...]) -> go.Figure:
    """How many faces of each class were classified as which; rows are the labels, colours the share of a row."""
    counts = np.asarray(matrix, float).reshape(len(classes), len(classes))
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    words = [_text(style.words) for style in styles_of(classes)]
    figure = go.Figure(
        go.Heatmap(
            z=shares,
            x=words,
            y=words,
            zmin=0,
            zmax=1,
            colorscale=[[0, "#f4f7f6"], [1, "#007a52"]],
            showscale=False,
            xgap=2,
            ygap=2,
            customdata=counts,
            hovertemplate=tr("%{y}, classified as %{x}: %{customdata:.0f} (%{z:.1%} of the row)") + "<extra></extra>",
        )
    )
    if len(classes) <= 20:  # more numbers than that cannot be read
        for i, row in enumerate(counts):
            for j, count in enumerate(row):
                dark = shares[i, j] > 0.5
                figure.add_annotation(x=j, y=i, text=number(count, ",.0f"), showarrow=False,
                                      font={"size": 15, "color": "#ffffff" if dark else "#1a1a1a"})  # fmt: skip
    height = max(260, 110 + 46 * len(classes))
    _layout(figure, tr("Confusion matrix (faces)"), height, x=tr("Prediction"), y=tr("Label"))
    _set(figure.layout.xaxis, type="category")
    _set(figure.layout.yaxis, autorange="reversed", type="category")
    return figure


WORSE, BETTER = "rgba(213, 94, 0, 0.16)", "rgba(0, 158, 115, 0.16)"


def better_or_worse(difference: float, low: float, high: float) -> go.Figure:
    """How much better or worse a model is than another, and how sure that is: a dot with its interval about zero.

    Args:
        difference: of the accuracies, -1..1.
        low: lower limit of the difference.
        high: upper limit.
    """
    reach = 100 * min(1.0, max(0.05, 1.15 * max(abs(low), abs(high), abs(difference))))
    figure = go.Figure()
    for x0, x1, color, words in ((-reach, 0, WORSE, tr("worse")), (0, reach, BETTER, tr("better"))):
        figure.add_vrect(x0=x0, x1=x1, fillcolor=color, line_width=0, layer="below")
        figure.add_annotation(x=(x0 + x1) / 2, y=1, yref="paper", yanchor="top", text=words, showarrow=False,
                              font={"size": 14})  # fmt: skip
    figure.add_vline(x=0, line={"color": "#8a8a8a", "width": 2})
    figure.add_scatter(
        x=[100 * difference],
        y=[0],
        mode="markers",
        marker={"size": 16, "color": BAR, "line": {"width": 2, "color": "#ffffff"}},
        error_x={**_spread([100 * difference], [(100 * low, 100 * high)], BAR), "thickness": 5, "width": 12},
        hovertemplate=tr("%{{x:+.1f}} points; with 95% certainty between {low} and {high}").format(
            low=number(100 * low, "+.1f"), high=number(100 * high, "+.1f")
        )
        + "<extra></extra>",
    )
    _layout(figure, "", 150, x=tr("Accuracy against that of the active model, in percentage points"))
    _set(figure.layout.margin, t=6)
    _set(figure.layout.xaxis, range=[-reach, reach], zeroline=False, nticks=9)
    _set(figure.layout.yaxis, range=[-1, 1.4], visible=False)
    return figure


def calibration(rows: Sequence[dict]) -> go.Figure:
    """Reliability diagram: how often predictions of each confidence are correct; on the diagonal, 80 % means 80 %.

    Args:
        rows: of ``core.vision.metrics.reliability``.
    """
    stated = [100 * row["confidence"] for row in rows]
    counts = [row["faces"] for row in rows]
    figure = go.Figure()
    figure.add_scatter(x=[0, 100], y=[0, 100], mode="lines", hoverinfo="skip", name=tr("perfectly calibrated"),
                       line={"color": "#8a8a8a", "dash": "dash"})  # fmt: skip
    figure.add_scatter(
        x=stated,
        y=[100 * row["right"] for row in rows],
        mode="lines+markers",
        name=tr("this model"),
        line={"color": TRAINING},
        cliponaxis=False,
        marker={"size": [6 + 14 * (count / max(counts, default=1)) ** 0.5 for count in counts]},
        customdata=counts,
        hovertemplate=tr("confidence %{x:.0f}%, correct %{y:.0f}% of %{customdata} faces") + "<extra></extra>",
    )
    _layout(figure, tr("Calibration"), 340, x=tr("Confidence in %"), y=tr("Accuracy in %"))
    _set(figure.layout.xaxis, range=[min([45, *stated]) - 3, 103])
    _set(figure.layout.yaxis, range=[-3, 103])
    return figure


def _spread(values: Sequence[float], ends: Sequence[tuple[float, float]], color: str = "#e69f00") -> dict:
    """Error bars of plotly from one end of each interval to the other."""
    return {
        "type": "data",
        "symmetric": False,
        "color": color,
        "thickness": 2,
        "array": [high - value for value, (_, high) in zip(values, ends, strict=True)],
        "arrayminus": [value - low for value, (low, _) in zip(values, ends, strict=True)],
    }


def sizes_in_words(low: int, high: int | None) -> str:
    """From one number of pixels to another, or from one on.

    >>> sizes_in_words(24, 48), sizes_in_words(96, None)
    ('24 to 48', '96 and more')
    """
    if high:
        return tr("{low} to {high}").format(low=number(low), high=number(high))
    return tr("{low} and more").format(low=number(low))


def recall_by_size(rows: Sequence[dict]) -> go.Figure:
    """Share of the annotated faces that are found, by their size, as bars with 95 % intervals (Wilson 1927).

    Args:
        rows: ``by_size`` of ``core.vision.metrics.EvaluationResult``.
    """
    from scipy.stats import binomtest

    rows = [row for row in rows if row["faces"]]
    shares = [100 * row["found"] / row["faces"] for row in rows]
    intervals = [binomtest(row["found"], row["faces"]).proportion_ci(method="wilson") for row in rows]
    figure = go.Figure(
        go.Bar(
            x=[sizes_in_words(row["from_px"], row["to_px"]) for row in rows],
            y=shares,
            error_y=_spread(shares, [(100 * each.low, 100 * each.high) for each in intervals]),
            marker={"color": BAR},
            customdata=[row["faces"] for row in rows],
            hovertemplate=tr("%{y:.0f}% of %{customdata} faces") + "<extra></extra>",
        )
    )
    x = tr("Shorter side of the face in pixels")
    _layout(figure, tr("Face recall by size"), 340, x=x, y=tr("Faces found, in %"))
    _set(figure.layout.xaxis, type="category")
    _set(figure.layout.yaxis, range=[0, 103])
    return figure


def errors(title: str, groups: Sequence[tuple[str, int, int]], x: str) -> go.Figure:
    """Share of faces that are missed or given a wrong class, as bars with 95 % intervals (Wilson 1927).

    Args:
        title: of the chart.
        groups: words, faces, and how many of them are right.
        x: what the groups are.
    """
    from scipy.stats import binomtest

    shares = [100 * (faces - right) / faces for _, faces, right in groups]
    intervals = [binomtest(faces - right, faces).proportion_ci(method="wilson") for _, faces, right in groups]
    lines = [(100 * each.low, 100 * each.high) for each in intervals]
    figure = go.Figure(
        go.Bar(
            x=[words for words, _, _ in groups],
            y=shares,
            error_y=_spread(shares, lines),
            marker={"color": BAR},
            customdata=[faces for _, faces, _ in groups],
            hovertemplate=tr("%{y:.0f} of 100, seen on %{customdata} faces") + "<extra></extra>",
        )
    )
    _layout(figure, title, 320, x=x, y=tr("Errors in 100 faces"))
    _set(figure.layout.xaxis, type="category")
    _set(figure.layout.yaxis, range=[0, max(20.0, *(high for _, high in lines)) + 3])
    return figure


def precision_recall(labels: np.ndarray, probabilities: np.ndarray, classes: tuple[str, ...]) -> go.Figure:
    """Precision against recall for every class, over all thresholds.

    Args:
        labels: (n,) int into ``classes``.
        probabilities: (n, k) in 0..1.
        classes: k names; those that do not occur have no curve.
    """
    from sklearn.metrics import average_precision_score, precision_recall_curve

    figure = go.Figure()
    for k, style in enumerate(styles_of(classes)):
        truth = labels == k
        if not truth.any() or truth.all():
            continue
        precision, recall, _ = precision_recall_curve(truth, probabilities[:, k])
        area = average_precision_score(truth, probabilities[:, k])
        figure.add_scatter(
            x=100 * recall,
            y=100 * precision,
            mode="lines",
            name=f"{_text(style.words)} ({number(area, '.3f')})",
            line={"color": style.color_hex, "width": 2, "dash": DASHES[k % len(DASHES)], "shape": "hv"},
            hovertemplate=tr("recall %{x:.0f}%, precision %{y:.1f}%") + "<extra></extra>",
        )
    title = tr("Precision and recall (average precision)")
    _layout(figure, title, 340, x=tr("Recall in %"), y=tr("Precision in %"))
    _set(figure.layout.xaxis, range=[0, 103])
    _set(figure.layout.yaxis, range=[-3, 103])
    _set(figure.layout, showlegend=True)
    return figure


def lines(
    title: str,
    curves: Mapping[str, Sequence[float]],
    x: str,
    y: str,
    log: bool = False,
    marked: int | None = None,
    percent: bool = False,
) -> go.Figure:
    """Curves over 0, 1, 2, …, each told apart by colour and dash.

    Args:
        title: of the chart.
        curves: by their names.
        x: what is counted from 0.
        y: what the values are.
        log: whether the values' axis is logarithmic; zeros are left out then.
        marked: a place on the axis that gets a line.
        percent: whether the values lie in 0..100.
    """
    figure = go.Figure()
    for (name, values), color, dash in zip(curves.items(), CURVE_COLORS, DASHES, strict=False):
        figure.add_scatter(
            y=[float(value) if value or not log else None for value in values],
            mode="lines",
            name=name,
            line={"color": color, "width": 3, "dash": dash},
            hovertemplate=tr("{what} %{{x}}: %{{y:,.3~g}}").format(what=x) + f"<extra>{name}</extra>",
        )
    if marked is not None:
        figure.add_vline(x=marked, line={"color": "#8a8a8a", "dash": "dot"})
    _layout(figure, title, 320, x=x, y=y)
    _set(figure.layout, showlegend=len(curves) > 1)
    if log:
        _set(figure.layout.yaxis, type="log", tickformat=",~r", dtick="D2")
    if percent:
        _set(figure.layout.yaxis, range=[-3, 103])
    return figure


def bars(
    title: str, values: Mapping[str, float], y: str, colors: Sequence[str] = (), texts: Sequence[str] = ()
) -> go.Figure:
    """A bar for each name, with its value or another text on it."""
    figure = go.Figure(
        go.Bar(
            x=[_text(name) for name in values],
            y=list(values.values()),
            text=list(texts) or [number(value, ",.3g") for value in values.values()],
            textposition="outside",
            marker={"color": list(colors) or BAR},
            hovertemplate=tr("%{x}: %{y:,.4~g}") + "<extra></extra>",
        )
    )
    _layout(figure, title, 280, y=y)
    _set(figure.layout.xaxis, type="category")
    _set(figure.layout.yaxis, range=[0, 1.15 * max(values.values(), default=1)])
    return figure


def _points(lines: Sequence[dict], name: str) -> list[tuple[float, float]]:
    """(epoch, value) of the lines that have a finite value of that name."""
    values = [(line.get("epoch"), line.get(name)) for line in lines]
    return [(float(x), float(y)) for x, y in values if is_number(x) and is_number(y)]


def _set_off(color_rgb: tuple[int, int, int], dark: bool) -> str:
    return "#{:02x}{:02x}{:02x}".format(*set_off(color_rgb, *(DARK if dark else LIGHT)))


def _text(words: str) -> str:
    """Text from outside without any meaning in plotly, which reads some HTML."""
    return words.replace("&", "&amp;").replace("<", "&lt;")


def _few_names(figure: go.Figure, names: Sequence[str], short: Mapping[str, str] | None = None) -> None:
    """Name so few of the bars or points below them that on a phone, too, no name runs into the next."""
    named = names[:: max(1, math.ceil(len(names) / MOST_NAMES))]
    ticks = {"tickvals": named, "ticktext": [(short or {}).get(name, name) for name in named], "tickangle": 0}
    _set(figure.layout.xaxis, type="category", categoryorder="array", categoryarray=names, **ticks)


def _layout(figure: go.Figure, title: str, height: int, x: str = "", y: str = "") -> None:
    """The same look for every figure: small margins, nothing to zoom by accident, a legend only where asked for."""
    thousands, decimal = number(1000.5, ",.1f")[1], number(0.5, ".1f")[1]
    _set(
        figure.layout,
        height=height,
        separators=f"{decimal}{thousands}",
        margin={"l": 0, "r": 0, "t": 34, "b": 0},
        title={"text": title, "font": {"size": 14}},
        legend={"orientation": "h", "yref": "container", "y": 0, "yanchor": "bottom"},
        showlegend=False,
        bargap=0.12,
        dragmode=False,
    )
    for axis, words in ((figure.layout.xaxis, x), (figure.layout.yaxis, y)):
        _set(axis, fixedrange=True, automargin=True, title={"text": words, "standoff": 14, "font": {"size": 12}})


def _set(part: BasePlotlyType, **values: Any) -> None:
    """Give a part of a figure these values, as plotly's ``update_layout`` does in ten times as long."""
    for name, value in values.items():
        part[name] = value
