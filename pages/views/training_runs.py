"""All trainings of this server: found, compared, renamed, deleted."""

from datetime import datetime
from pathlib import Path

import streamlit as st

from core import app_training as parts
from core.app import plain, try_to
from pages.views.training_result import show_curves, show_result
from train import runs as run_states
from train.comparison import differing_settings
from train.outlook import recipe_title
from train.run_files import read_json, read_log, read_metrics
from train.runs import Run, RunManager


def show(manager: RunManager) -> None:
    """The table of runs, several over each other, one in full."""
    runs = manager.runs()
    if not runs:
        st.info("Nothing has been trained here yet; start with *New training*.")
        return
    rows = {run.id: row_of(run) for run in runs}
    search, choose = st.columns([2, 3])
    text = search.text_input("Search", key="training_search", placeholder="Name, data, recipe, note")
    words = [words for _, words in parts.STATES.values()]
    states = choose.multiselect("State", words, key="training_states", placeholder="All")
    kept = parts.filter_rows(list(rows.values()), text, states)
    parts.show_runs(kept)
    ids = [run_id for run_id, row in rows.items() if row in kept]
    by_id = {run.id: run for run in runs}
    if st.session_state.get("training_chosen"):
        st.session_state["training_chosen"] = [each for each in st.session_state["training_chosen"] if each in ids]
    chosen = st.multiselect(
        "Look at",
        ids,
        format_func=lambda run_id: f"{by_id[run_id].name} ({rows[run_id]['Begun']:%Y-%m-%d %H:%M})",
        key="training_chosen",
        placeholder="One run, or several to compare",
    )
    if len(chosen) == 1:
        run = by_id[chosen[0]]
        st.subheader(plain(run.name))
        parts.run_forms(run, manager.rename, manager.set_note, manager.delete)
        if run.state == run_states.DONE:
            show_result(manager, run)
        else:
            st.markdown(
                f"{parts.STATES[run.state][0]} {parts.STATES[run.state][1].capitalize()}. {plain(run.sentence)}"
            )
            if run.can_resume and st.button("Resume", icon=":material/resume:", key=f"training_resume_{run.id}"):
                try_to(manager.resume, run.id)
            show_curves(f"training_{run.id}", run)
            parts.show_log(read_log(run.folder))
    elif chosen:
        several = [by_id[run_id] for run_id in chosen]
        # Names only: where files lie on the server is nobody's business.
        settings = [
            run.settings
            | {"data": run.data_names, "imagenet_weights": Path(str(run.settings.get("imagenet_weights"))).name}
            for run in several
        ]
        parts.compare_runs([(run.name, read_metrics(run.folder)) for run in several], differing_settings(settings))


def row_of(run: Run) -> dict:
    """A run as the table shows it."""
    scores = (read_json(run.folder / "report.json").get("test_exported") or {}) if run.state == run_states.DONE else {}
    return {
        "Run": run.name,
        "State": parts.STATES[run.state][1],
        "Data": ", ".join(run.data_names),
        "Recipe": recipe_title(run.settings),
        "Test": scores.get("accuracy"),
        "Test faces": scores.get("images"),
        "Begun": datetime.fromtimestamp(run.created),
        "Minutes": run.spent_s / 60 if run.spent_s else None,
        "Note": run.note,
    }
