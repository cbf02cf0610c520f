"""All trainings of this server: found, compared, renamed, deleted."""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import streamlit as st

from core.io import is_number
from pages.components.figure import show_figure
from pages.components.messages import plain, popover, told_apart, try_to
from pages.components.server import who
from pages.components.terms import metric_columns
from pages.components.undo import KEEP_HELP, show_deleted
from pages.views.training.curves import show_log, show_run_curves
from pages.views.training.result import show_result
from pages.views.training.words import STATES
from train import runs as run_states
from train.estimate import recipe_title
from train.run_folder import read_log, read_metrics, read_report
from train.runs import Run, RunManager
from train.statistics import differing_settings


def show(manager: RunManager) -> None:
    """The table of runs, several over each other, one in full."""
    show_deleted(manager.folder, manager.restore)
    runs = manager.runs()
    if not runs:
        st.info("Nothing has been trained here yet; start with *New training*.")
        return
    rows = {run.id: row_of(run) for run in runs}
    search, choose = st.columns([2, 3])
    text = search.text_input("Search", key="training_search", placeholder="Name, data, recipe, note")
    words = [words for _, words in STATES.values()]
    states = choose.multiselect("State", words, key="training_states", placeholder="All")
    kept = filter_rows(list(rows.values()), text, states)
    show_runs(kept)
    ids = [run_id for run_id, row in rows.items() if row in kept]
    by_id = {run.id: run for run in runs}
    titles = told_apart({each: f"{by_id[each].name} ({rows[each]['Started']:%Y-%m-%d %H:%M})" for each in ids})
    if st.session_state.get("training_chosen"):
        st.session_state["training_chosen"] = [each for each in st.session_state["training_chosen"] if each in ids]
    chosen = st.multiselect(
        "Show",
        ids,
        format_func=titles.__getitem__,
        key="training_chosen",
        placeholder="One run, or several to compare",
    )
    if len(chosen) == 1:
        run = by_id[chosen[0]]
        st.header(plain(run.name))
        run_forms(run, manager.rename, manager.set_note, manager.delete)
        if run.state == run_states.DONE:
            show_result(manager, run)
        else:
            st.markdown(f"{STATES[run.state][0]} {STATES[run.state][1].capitalize()}. {plain(run.sentence)}")
            if run.can_resume and st.button("Resume", icon=":material/resume:", key=f"training_resume_{run.id}"):
                try_to(manager.resume, run.id)
            show_run_curves(f"training_{run.id}", run)
            show_log(read_log(run.folder))
    elif chosen:
        several = [by_id[run_id] for run_id in chosen]
        # Names only: where files lie on the server is nobody's business.
        settings = [
            run.settings
            | {"data": run.data_names, "imagenet_weights": Path(str(run.settings.get("imagenet_weights"))).name}
            for run in several
        ]
        compare_runs([(run.name, read_metrics(run.folder)) for run in several], differing_settings(settings))


def row_of(run: Run) -> dict:
    """A run as the table shows it."""
    scores = read_report(run.folder).get("test_exported") if run.state == run_states.DONE else {}
    known = {name: value for name, value in scores.items() if is_number(value)} if isinstance(scores, dict) else {}
    return {
        "Run": run.name,
        "State": STATES[run.state][1],
        "Data": ", ".join(run.data_names),
        "Recipe": recipe_title(run.settings),
        "Accuracy": known.get("accuracy"),
        "Test faces": known.get("images"),
        "Started": datetime.fromtimestamp(run.created),
        "Minutes": run.spent_s / 60 if run.spent_s else None,
        "Note": run.note,
    }


def show_runs(rows: Sequence[Mapping]) -> None:
    """The table; its columns sort at a click."""
    st.dataframe(
        rows,
        hide_index=True,
        column_config={
            **metric_columns(("Accuracy",)),
            "Started": st.column_config.DatetimeColumn(format="YYYY-MM-DD HH:mm"),
            "Minutes": st.column_config.NumberColumn(format="%.1f"),
        },
    )


def filter_rows(rows: Sequence[Mapping], text: str, states: Sequence[str]) -> list[Mapping]:
    """Rows with all the words somewhere, capitals aside, and one of the states; no states means all.

    >>> filter_rows([{"Run": "Quick one", "State": "done"}], "QUICK", [])
    [{'Run': 'Quick one', 'State': 'done'}]
    """
    words = text.casefold().split()
    return [
        row
        for row in rows
        if (not states or row["State"] in states)
        and all(any(word in str(value).casefold() for value in row.values()) for word in words)
    ]


def compare_runs(runs: Sequence[tuple[str, Sequence[dict]]], differing: Mapping[str, Sequence]) -> None:
    """Curves of several runs over each other, and the settings in which they differ."""
    from pages.components.charts import curves_together

    for column, quantity in zip(st.columns(2), ("loss", "accuracy"), strict=True):
        show_figure(curves_together(quantity, runs), key=f"training_together_{quantity}", place=column)
    st.markdown("**Settings that differ**")
    if not differing:
        st.caption("None: the settings are the same.")
        return

    def words(value: Any) -> str:
        return "–" if value is None else ", ".join(map(str, value)) if isinstance(value, list) else str(value)

    st.dataframe(
        [
            {"Setting": name.replace("_", " ")}
            | {f"{i}. {run[0]}": words(value) for i, (run, value) in enumerate(zip(runs, values, strict=True), 1)}
            for name, values in differing.items()
        ],
        hide_index=True,
    )


def run_forms(
    run: Run,
    rename: Callable[[str, str], Any],
    set_note: Callable[[str, str], Any],
    delete: Callable[[str, str], Any],
) -> None:
    """Name, note and deleting of one run; each function gets the run's id and a text: who asks, for the last."""
    with st.container(horizontal=True):
        with popover("Rename", f"training_renames_{run.id}", icon=":material/edit:"):
            name = st.text_input("Name", run.name, max_chars=80, key=f"training_name_{run.id}")
            if st.button("Save the name", key=f"training_rename_{run.id}"):
                try_to(rename, run.id, name)
        with popover("Note", f"training_notes_{run.id}", icon=":material/sticky_note_2:"):
            note = st.text_area("Note", run.note, max_chars=2000, key=f"training_note_{run.id}")
            if st.button("Save the note", key=f"training_keep_note_{run.id}"):
                try_to(set_note, run.id, note)
        if run.state != "running":
            with popover("Delete", f"training_deletes_{run.id}", icon=":material/delete:"):
                st.markdown(
                    f"Deletes **{plain(run.name)}** with its weights and figures from the server, for everybody. "
                    "A model that was deployed from it stays."
                )
                st.caption(KEEP_HELP)
                if st.button("Delete this run", type="primary", key=f"training_delete_{run.id}"):
                    try_to(delete, run.id, who())
    if run.note:
        st.caption(plain(run.note))
