"""Charts of training runs, in plotly. Imported where a chart is shown, so that nothing waits for plotly."""

from collections.abc import Sequence

import numpy as np
import plotly.graph_objects as go

from core.classes import styles_of

TRAINING, VALIDATION = "#0072b2", "#d55e00"
# Okabe and Ito: told apart with every kind of colour vision; lines that share a colour differ in their dashes.
RUN_COLORS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")
DASHES = ("solid", "dash", "dot", "dashdot")
QUANTITIES = {"loss": "Loss (lower is better)", "accuracy": "Judged right, per cent"}
BINS = 10


def learning_curve(
    quantity: str, steps: Sequence[dict], metrics: Sequence[dict], epochs: int, fine_tune_from: int | None = None
) -> go.Figure:
    """Loss or accuracy over the epochs: training as a smooth line, validation as a point per epoch.

    Args:
        quantity: ``loss`` or ``accuracy``.
        steps: points within the epochs, as in ``steps.jsonl``; without any, training too has a point per epoch.
        metrics: a line per finished epoch, as in ``metrics.jsonl``.
        epochs: how many there will be; 0 if unknown.
        fine_tune_from: the epoch after which the last blocks of the base learn too.
    """
    figure = go.Figure()
    training = _points(steps, quantity) or _points(metrics, quantity)
    validation = _points(metrics, f"val_{quantity}")
    scale = 100 if quantity == "accuracy" else 1
    for name, points, color, mode in (
        ("Training", training, TRAINING, "lines" if len(training) > 1 else "markers"),
        ("Validation", validation, VALIDATION, "lines+markers"),
    ):
        if points:
            figure.add_scatter(
                x=[x for x, _ in points],
                y=[scale * y for _, y in points],
                name=name,
                mode=mode,
                line={"color": color, "width": 2, "dash": "solid" if name == "Training" else "dot"},
                marker={"color": color, "size": 7, "symbol": "circle" if name == "Training" else "diamond"},
                hovertemplate=f"{name}, epoch %{{x:.1f}}: %{{y:.{1 if scale == 100 else 3}f}}<extra></extra>",
            )
    if fine_tune_from and any(x > fine_tune_from for x, _ in training):
        figure.add_vline(x=fine_tune_from, line={"color": "#8a8a8a", "dash": "dash", "width": 1})
        figure.add_annotation(x=fine_tune_from, y=1, yref="paper", text="last blocks learn too", showarrow=False,
                              xanchor="left", yanchor="bottom", font={"size": 11})  # fmt: skip
    last = max([epochs, *(x for x, _ in (*training, *validation))])
    _lay_out(figure, QUANTITIES[quantity], 300)
    figure.update_xaxes(title="epoch", range=[0, max(1, last) * 1.02])
    figure.update_layout(showlegend=True, uirevision="keep")
    return figure


def curves_together(quantity: str, runs: Sequence[tuple[str, Sequence[dict]]]) -> go.Figure:
    """Validation curves of several runs over each other; training's where a run has no validation.

    Args:
        quantity: ``loss`` or ``accuracy``.
        runs: name and lines of ``metrics.jsonl`` of each.
    """
    figure = go.Figure()
    scale = 100 if quantity == "accuracy" else 1
    for i, (name, metrics) in enumerate(runs):
        points = _points(metrics, f"val_{quantity}")
        of = "validation" if points else "training"
        points = points or _points(metrics, quantity)
        figure.add_scatter(
            x=[x for x, _ in points],
            y=[scale * y for _, y in points],
            name=f"{_text(name)} ({of})",
            mode="lines+markers",
            line={"color": RUN_COLORS[i % len(RUN_COLORS)], "dash": DASHES[i // len(RUN_COLORS) % len(DASHES)]},
            marker={"size": 5},
        )
    _lay_out(figure, QUANTITIES[quantity], 320)
    figure.update_xaxes(title="epoch", rangemode="tozero")
    figure.update_layout(showlegend=True)
    return figure


def confusion(matrix: Sequence[Sequence[int]], classes: tuple[str, ...]) -> go.Figure:
    """How many faces of each class were judged as which; rows are the truth, colours the share of a row."""
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
            hovertemplate="%{y}, judged %{x}: %{customdata:.0f} (%{z:.1%} of the row)<extra></extra>",
        )
    )
    if len(classes) <= 20:  # more numbers than that cannot be read
        for i, row in enumerate(counts):
            for j, count in enumerate(row):
                dark = shares[i, j] > 0.5
                figure.add_annotation(x=j, y=i, text=f"{count:,.0f}", showarrow=False,
                                      font={"size": 15, "color": "#ffffff" if dark else "#1a1a1a"})  # fmt: skip
    _lay_out(figure, "What was judged as what (faces)", max(260, 110 + 46 * len(classes)))
    figure.update_xaxes(title="verdict", type="category")
    figure.update_yaxes(title="truth", autorange="reversed", type="category")
    return figure


def calibration(confidence: np.ndarray, right: np.ndarray) -> go.Figure:
    """How often verdicts of each stated probability are right; on the diagonal, 80 % means 80 %.

    Args:
        confidence: (n,) in 0..1, of the verdict.
        right: (n,) bool.
    """
    bins = np.minimum((np.asarray(confidence) * BINS).astype(int), BINS - 1)
    used = [b for b in range(BINS) if (bins == b).any()]
    stated = [100 * float(confidence[bins == b].mean()) for b in used]
    true = [100 * float(right[bins == b].mean()) for b in used]
    counts = [int((bins == b).sum()) for b in used]
    figure = go.Figure()
    figure.add_scatter(x=[0, 100], y=[0, 100], mode="lines", hoverinfo="skip", name="as it should be",
                       line={"color": "#8a8a8a", "dash": "dash"})  # fmt: skip
    figure.add_scatter(
        x=stated,
        y=true,
        mode="lines+markers",
        name="this model",
        line={"color": TRAINING},
        cliponaxis=False,
        marker={"size": [6 + 14 * (count / max(counts, default=1)) ** 0.5 for count in counts]},
        customdata=counts,
        hovertemplate="stated %{x:.0f}%, right %{y:.0f}% of %{customdata} faces<extra></extra>",
    )
    _lay_out(figure, "Stated and true probability, per cent", 320)
    figure.update_xaxes(title="the model says", range=[min([45, *stated]) - 3, 103])
    figure.update_yaxes(title="it is right", range=[-3, 103])
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
            name=f"{_text(style.words)} ({area:.3f})",
            line={"color": style.color_hex, "width": 2, "dash": DASHES[k % len(DASHES)], "shape": "hv"},
            hovertemplate="%{x:.0f}% of them found, %{y:.1f}% of the finds right<extra></extra>",
        )
    _lay_out(figure, "Precision and recall, per cent (area)", 320)
    figure.update_xaxes(title="recall: of the faces of a class, how many are found", range=[0, 103])
    figure.update_yaxes(title="precision", range=[-3, 103])
    figure.update_layout(showlegend=True)
    return figure


def _points(lines: Sequence[dict], name: str) -> list[tuple[float, float]]:
    """(epoch, value) of the lines that have a finite value of that name."""
    values = [(line.get("epoch"), line.get(name)) for line in lines]
    return [
        (float(x), float(y))
        for x, y in values
        if isinstance(x, int | float) and isinstance(y, int | float) and np.isfinite([x, y]).all()
    ]


def _text(words: str) -> str:
    """Text from outside without any meaning in plotly, which reads some HTML."""
    return words.replace("&", "&amp;").replace("<", "&lt;")


def _lay_out(figure: go.Figure, title: str, height: int) -> None:
    figure.update_layout(
        height=height,
        margin={"l": 0, "r": 0, "t": 36, "b": 0},
        title={"text": title, "font": {"size": 14}},
        legend={"orientation": "h", "y": -0.25},
        showlegend=False,
    )
    figure.update_xaxes(fixedrange=True)
    figure.update_yaxes(fixedrange=True)
