"""All trainings of this server: found, compared, renamed, deleted."""

import zlib
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from functools import partial
from typing import Any

import streamlit as st

from core.io import is_number
from core.language import mark, tr
from pages.components.figure import show_figure
from pages.components.messages import plain, popover, told_apart, try_to
from pages.components.server import who
from pages.components.terms import metric_columns
from pages.components.undo import KEEP_HELP, show_deleted
from pages.views.training.curves import show_log, show_run_curves
from pages.views.training.looks import Look, looks_of
from pages.views.training.report import public_settings
from pages.views.training.result import show_result
from pages.views.training.words import STATES, setting_words
from train import runs as run_states
from train.estimate import recipe_title
from train.run_folder import read_log, read_metrics, read_report
from train.runs import Run, RunManager
from train.statistics import differing_settings

OPENED = "training_opened"
"""Ids of the runs that are shown below the table."""
MOST_FACES = 10_000_000
"""A report that tells of more in its test is damaged."""


def show(manager: RunManager) -> None:
    """The table of runs; below it the one that was clicked, or several over each other."""
    show_deleted(manager.folder, manager.restore)
    runs = manager.runs()
    if not runs:
        st.info(tr("Nothing has been trained here yet; start with *New training*."))
        return
    looks = looks_of(runs)
    rows = {run.id: row_of(run, looks[run.id]) for run in runs}
    search, choose = st.columns([2, 3])
    text = search.text_input(tr("Search"), key="training_search", placeholder=tr("Name, data, recipe, note"))
    states = choose.multiselect(
        *(tr("State"), list(STATES)),
        format_func=state_words,
        key="training_states",
        placeholder=tr("All"),
    )
    kept = filter_rows(rows, text, [state_words(state) for state in states])
    opened = show_runs(kept)
    by_id = {run.id: run for run in runs}
    if len(opened) == 1:
        show_run(manager, by_id[opened[0]])
    elif opened:
        names = told_apart({each: by_id[each].name for each in opened}, by_key=False)
        compare_runs([by_id[each] for each in opened], names, looks)
    done = [by_id[each] for each in kept if by_id[each].state == run_states.DONE]
    compare_scores(done, looks)


def state_words(state: str) -> str:
    """What a state, a key of ``STATES``, is called."""
    return tr(STATES[state][1])


def show_run(manager: RunManager, run: Run) -> None:
    """One run in full."""
    st.header(plain(run.name))
    run_forms(run, manager.rename, manager.set_note, manager.delete)
    if run.state == run_states.DONE:
        show_result(manager, run)
        return
    st.markdown(f"{STATES[run.state][0]} {state_words(run.state).capitalize()}. {plain(run.sentence)}")
    if run.can_resume and st.button(tr("Resume"), icon=":material/resume:", key=f"training_resume_{run.id}"):
        try_to(manager.resume, run.id)
    show_run_curves(f"training_{run.id}", run)
    show_log(read_log(run.folder))


def row_of(run: Run, look: Look) -> dict:
    """A run as the table shows it."""
    known = scores_of(run)
    return {
        "Line": look.swatch,
        "Run": run.name,
        "State": state_words(run.state),
        "Data": ", ".join(run.data_names),
        "Recipe": tr(recipe_title(run.settings)),
        "Accuracy": known.get("accuracy"),
        mark("Test faces"): known.get("images"),
        "Started": datetime.fromtimestamp(run.created),
        "Minutes": run.spent_s / 60 if run.spent_s else None,
        "Note": run.note,
    }


def scores_of(run: Run) -> dict:
    """The figures on the test of a run that is done; none of others."""
    scores = read_report(run.folder).get("test_exported") if run.state == run_states.DONE else {}
    return {name: value for name, value in scores.items() if is_number(value)} if isinstance(scores, dict) else {}


def show_runs(rows: Mapping[str, Mapping]) -> list[str]:
    """The table; its columns sort at a click.

    Args:
        rows: by the run's id.

    Returns:
        Ids of the runs to show: those that are ticked.
    """
    ids = list(rows)
    opened = [each for each in st.session_state.get(OPENED, []) if each in ids]
    st.caption(tr("Click a run to open it; tick several to compare them."))
    chosen = st.dataframe(
        list(rows.values()),
        hide_index=True,
        column_config={
            "Line": st.column_config.ImageColumn(tr("Line"), width="small", help=tr("How the run is drawn in charts.")),
            **{name: tr(name) for name in (mark("Run"), "State", "Data", "Recipe", mark("Test faces"), "Note")},
            **metric_columns(("Accuracy",)),
            "Started": st.column_config.DatetimeColumn(tr("Started"), format="YYYY-MM-DD HH:mm"),
            "Minutes": st.column_config.NumberColumn(tr("Minutes"), format="%.1f"),
        },
        # What is chosen are places in the table: with other rows it is another table.
        key=(key := f"training_runs_{zlib.crc32(repr(ids).encode())}"),
        on_select=partial(tick_clicked, key),
        selection_mode=("multi-row", "single-cell"),
        selection_default={"selection": {"rows": [ids.index(each) for each in opened]}},
        placeholder="–",
        alt=tr("The trainings of this server"),
    )["selection"]
    st.session_state[OPENED] = opened = [ids[place] for place in chosen["rows"] if place < len(ids)]
    return opened


def tick_clicked(key: str) -> None:
    """A click beside the boxes ticks that run and no other; ``key`` is of the table."""
    if cells := st.session_state[key]["selection"]["cells"]:
        st.session_state[key] = {"selection": {"rows": [cells[0][0]], "columns": [], "cells": []}}


def filter_rows(rows: Mapping[str, Mapping], text: str, states: Sequence[str]) -> dict[str, Mapping]:
    """Rows with all the words somewhere, in capitals or not, and one of the states; no states means all.

    >>> filter_rows({"a": {"Run": "Quick one", "State": "done"}}, "QUICK", [])
    {'a': {'Run': 'Quick one', 'State': 'done'}}
    """
    words = text.casefold().split()
    return {
        key: row
        for key, row in rows.items()
        if (not states or row["State"] in states)
        and all(any(word in str(value).casefold() for name, value in row.items() if name != "Line") for word in words)
    }


def compare_runs(runs: Sequence[Run], names: Mapping[str, str], looks: Mapping[str, Look]) -> None:
    """Curves of several runs over each other, and the settings in which they differ; both mappings are by id."""
    from pages.components.charts import RunCurve, curves_together

    curves = [
        RunCurve(names[run.id], looks[run.id].color, looks[run.id].dash, read_metrics(run.folder)) for run in runs
    ]
    for column, quantity in zip(st.columns(2), ("loss", "accuracy"), strict=True):
        show_figure(curves_together(quantity, curves), key=f"training_together_{quantity}", place=column)
    st.markdown(tr("**Settings that differ**"))
    differing = differing_settings([public_settings(run) for run in runs])
    if not differing:
        st.caption(tr("None: the settings are the same."))
        return

    def words(value: Any) -> str:
        return "–" if value is None else ", ".join(map(str, value)) if isinstance(value, list) else str(value)

    st.dataframe(
        [
            {tr("Setting"): setting_words(name)}
            | {names[run.id]: words(value) for run, value in zip(runs, values, strict=True)}
            for name, values in differing.items()
        ],
        hide_index=True,
    )


def compare_scores(runs: Sequence[Run], looks: Mapping[str, Look]) -> None:
    """The accuracy of the finished runs against a setting in which they differ."""
    tested = [
        (run, round(scores["accuracy"] * scores["images"]), round(scores["images"]))
        for run in runs
        if 1 <= (scores := scores_of(run)).get("images", 0) < MOST_FACES and 0 <= scores.get("accuracy", -1) <= 1
    ]
    differing = differing_settings([public_settings(run) for run, _, _ in tested])
    usable = {
        name: values
        for name, values in differing.items()
        if name not in ("seed", "imagenet_weights") and all(isinstance(value, str | int | float) for value in values)
    }
    if not usable:
        return
    # Numbers first: they make a curve.
    usable = dict(sorted(usable.items(), key=lambda item: isinstance(item[1][0], str)))
    from pages.components.charts import RunScore, scores_by_setting

    st.header(tr("Settings against score"))
    setting = st.selectbox(tr("Setting"), list(usable), format_func=setting_words, key="training_setting")
    names = told_apart({run.id: run.name for run, _, _ in tested}, by_key=False)
    dots = [
        RunScore(names[run.id], looks[run.id].color, value, right, faces, ", ".join(run.data_names))
        for (run, right, faces), value in zip(tested, usable[setting], strict=True)
    ]
    show_figure(scores_by_setting(setting_words(setting), dots), key="training_scores")
    if len({dot.data for dot in dots}) > 1:
        st.caption(tr("These runs were tested on faces of different data sets: only those of the same data compare."))


def run_forms(
    run: Run,
    rename: Callable[[str, str], Any],
    set_note: Callable[[str, str], Any],
    delete: Callable[[str, str], Any],
) -> None:
    """Name, note and deleting of one run; each function gets the run's id and a text: who asks, for the last."""
    with st.container(horizontal=True):
        with popover(tr("Rename"), f"training_renames_{run.id}", icon=":material/edit:"):
            name = st.text_input(tr("Name"), run.name, max_chars=80, key=f"training_name_{run.id}")
            if st.button(tr("Save the name"), key=f"training_rename_{run.id}"):
                try_to(rename, run.id, name)
        with popover(tr("Note"), f"training_notes_{run.id}", icon=":material/sticky_note_2:"):
            note = st.text_area(tr("Note"), run.note, max_chars=2000, key=f"training_note_{run.id}")
            if st.button(tr("Save the note"), key=f"training_keep_note_{run.id}"):
                try_to(set_note, run.id, note)
        if run.state != "running":
            with popover(tr("Delete"), f"training_deletes_{run.id}", icon=":material/delete:"):
                st.markdown(
                    tr(
                        "Deletes **{name}** with its weights and figures from the server, for everybody. A model that "
                        "was deployed from it stays."
                    ).format(name=plain(run.name))
                )
                st.caption(tr(KEEP_HELP))
                if st.button(tr("Delete this run"), type="primary", key=f"training_delete_{run.id}"):
                    try_to(delete, run.id, who())
    if run.note:
        st.caption(plain(run.note))
