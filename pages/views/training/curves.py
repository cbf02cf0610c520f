"""How a training went: its curves and its log."""

from collections.abc import Sequence

import streamlit as st

from core.language import tr
from pages.components.figure import show_figure
from train.run_folder import epochs_of, read_metrics, read_steps
from train.runs import Run

LOG_LINES = 200


def show_curves(key: str, steps: Sequence[dict], metrics: Sequence[dict], epochs: int, fine_tune_from: int) -> None:
    """Loss and accuracy side by side."""
    if not steps and not metrics:
        st.caption(tr("The curves begin with the first steps."))
        return
    from pages.components.charts import learning_curve

    for column, quantity in zip(st.columns(2), ("loss", "accuracy"), strict=True):
        figure = learning_curve(quantity, steps, metrics, epochs, fine_tune_from)
        show_figure(figure, key=f"{key}_{quantity}", place=column)


def show_log(lines: Sequence[str]) -> None:
    """What the training printed, folded away."""
    with st.expander(tr("Log")):
        st.code("\n".join(lines[-LOG_LINES:]) or tr("Nothing yet."), language=None, height=300)


def show_run_curves(key: str, run: Run) -> None:
    """How a training went, or goes: loss and accuracy, within the epochs too."""
    epochs, head = epochs_of(run.settings)
    show_curves(key, read_steps(run.folder), read_metrics(run.folder), epochs, head)
