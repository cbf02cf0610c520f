"""Parts of the training page that need Streamlit: forms for settings and models, how far a training is, the runs.

They show what they are given; the page knows where it comes from.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import streamlit as st

from core.app import plain, try_to
from core.classes import styles_of

STATES = {
    "queued": (":material/hourglass_empty:", "in the queue"),
    "running": (":material/play_circle:", "running"),
    "done": (":material/check_circle:", "done"),
    "cancelled": (":material/cancel:", "cancelled"),
    "interrupted": (":material/bolt:", "interrupted"),
    "failed": (":material/error:", "failed"),
}
STAGES = {
    "reading": "Reading the pictures",
    "features": "Looking at every picture once",
    "head": "Training the last layers",
    "fine-tune": "Training the last blocks too",
    "finishing": "Exporting the model and judging the test pictures",
}
PARTS = {"train": "Training", "val": "Checks while training", "test": "Test", "held_out": "Held out by the set"}
LABELS = {"val_share": "Validation share", "min_face": "Smallest face"}
"""Of settings whose name is no word."""
CHART = {"displayModeBar": False}
SILENT_AFTER_S = 30
LOG_LINES = 200


@dataclass(frozen=True)
class Setting:
    """One setting as a form shows it."""

    name: str
    help: str
    default: object
    choices: Mapping[object, str] | None = None
    """Values and what they are called, if they are few."""


def view_switch(views: Sequence[str], first: str) -> str:
    """A row of buttons for the parts of the page; the one shown survives a change of page and a reload."""
    if st.session_state.get("training_view") not in views:
        wanted = st.session_state.get("training_kept_view") or st.query_params.get("view")
        st.session_state["training_view"] = wanted if wanted in views else first
    view = st.segmented_control("Show", views, required=True, label_visibility="collapsed", key="training_view")
    st.session_state["training_kept_view"] = st.query_params["view"] = view
    return view


def show_view(view: str) -> None:
    """Show another part of the page when it runs next."""
    st.session_state.pop("training_view", None)
    st.session_state["training_kept_view"] = view


# Before the start


def recipe_choice(recipes: Mapping[str, Mapping]) -> str:
    """One of the recipes, each with a few sentences."""
    return st.radio(
        "Recipe",
        list(recipes),
        format_func=lambda name: recipes[name]["title"],
        captions=[recipes[name].get("about", "") for name in recipes],
        key="training_recipe",
    )


def settings_form(settings: Sequence[Setting], recipe: str) -> dict:
    """Every setting with its sentence, three in a row; another recipe brings its own values.

    Returns:
        Name to value.
    """
    values = {}
    for start in range(0, len(settings), 3):
        for column, setting in zip(st.columns(3), settings[start : start + 3], strict=False):
            with column:
                values[setting.name] = _field(setting, f"training_{recipe}_{setting.name}_{setting.default}")
                st.caption(plain(setting.help[:1].upper() + setting.help[1:].rstrip(".") + "."))
    return values


def _field(setting: Setting, key: str):
    label = LABELS.get(setting.name) or plain(setting.name.replace("_", " ").capitalize())
    default = setting.default
    if setting.choices:
        options = list(setting.choices)
        place = options.index(default) if default in options else 0
        return st.selectbox(label, options, place, format_func=lambda value: setting.choices[value], key=key)
    if isinstance(default, bool):
        return st.toggle(label, default, key=key)
    if isinstance(default, int):
        return st.number_input(label, value=default, step=1, key=key)
    if isinstance(default, float):
        step = 10 ** -(4 if abs(default) < 0.01 else 2 if abs(default) < 10 else 0)
        digits = 5 if abs(default) < 0.01 else 2
        return float(st.number_input(label, value=default, step=float(step), format=f"%.{digits}f", key=key))
    return st.text_input(label, str(default), key=key)


def show_outlook(plan) -> None:
    """What a training would work with: a ``train.outlook.Outlook``."""
    numbers = {
        "Faces": f"{plan.faces:,}",
        "Passes": str(plan.epochs),
        "Steps in a pass": f"{plan.steps:,}",
        "Here it takes about": minutes_words(60 * plan.minutes),
    }
    for column, (label, value) in zip(st.columns(len(numbers)), numbers.items(), strict=True):
        column.metric(label, value)
    classes = tuple(plan.counts)
    used = [part for part in PARTS if any(parts[part] for parts in plan.counts.values())]
    st.dataframe(
        [
            {"Class": f"{style.sign} {style.words}"} | {PARTS[part]: plan.counts[name][part] for part in used}
            for name, style in zip(classes, styles_of(classes), strict=True)
        ],
        hide_index=True,
    )
    if not plan.exact:
        st.caption("About: near copies stay on one side, so the parts come out a little larger or smaller.")


# While it runs


def minutes_words(seconds: float) -> str:
    """A time as people say it: ``40 seconds``, ``3 minutes``, ``2 hours 10 minutes``."""
    if seconds < 55:
        return f"{max(5, round(seconds / 5) * 5)} seconds"
    minutes = max(1, round(seconds / 60))
    if minutes < 100:
        return f"{minutes} minute" + "s" * (minutes != 1)
    return f"{minutes // 60} hours" + (f" {minutes % 60 // 5 * 5} minutes" if minutes % 60 >= 5 else "")


def stage_words(progress: Mapping) -> str:
    """What a training does at the moment, in plain words."""
    stage = progress.get("stage")
    words = str(progress.get("text") or STAGES.get(stage, "Starting"))
    epoch, epochs = progress.get("epoch"), progress.get("epochs")
    if stage in ("head", "fine-tune") and epoch and epochs and "epoch" not in words.lower():
        words += f", epoch {min(int(epoch), int(epochs))} of {int(epochs)}"
    return words


def share_done(progress: Mapping, now: float) -> float | None:
    """Part of the whole run that is done, 0..1, ``None`` if nobody knows."""
    left, started = progress.get("left_s"), progress.get("started")
    if isinstance(left, int | float) and isinstance(started, int | float) and now > started:
        return max(0.0, min(1.0, (now - started) / (now - started + left)))
    return None


def show_progress(name: str, progress: Mapping, stopping: bool) -> None:
    """A bar with what happens and how long it will still take."""
    now = time.time()
    words = stage_words(progress)
    left = progress.get("left_s")
    if isinstance(left, int | float):
        words += f" · about {minutes_words(left)} left" if left >= 5 else " · nearly done"
    if stopping:
        words = "Stopping after this step …"
    st.progress(share_done(progress, now) or 0.0, f"**{plain(name)}.** {plain(words)}")
    silent = now - progress["time"] if isinstance(progress.get("time"), int | float) else 0
    if silent > SILENT_AFTER_S and not stopping:
        st.caption(f"No news for {minutes_words(silent)}; some steps take long.")


def show_curves(key: str, steps: Sequence[dict], metrics: Sequence[dict], epochs: int, fine_tune_from: int) -> None:
    """Loss and accuracy side by side."""
    if not steps and not metrics:
        st.caption("The curves begin with the first steps.")
        return
    from core.charts_training import learning_curve

    for column, quantity in zip(st.columns(2), ("loss", "accuracy"), strict=True):
        figure = learning_curve(quantity, steps, metrics, epochs, fine_tune_from)
        column.plotly_chart(figure, key=f"{key}_{quantity}", config=CHART)


def show_log(lines: Sequence[str]) -> None:
    """What the training printed, folded away."""
    with st.expander("Log"):
        st.code("\n".join(lines[-LOG_LINES:]) or "Nothing yet.", language=None, height=300)


# Runs


def show_runs(rows: Sequence[Mapping]) -> None:
    """The table; its columns sort at a click."""
    st.dataframe(
        rows,
        hide_index=True,
        column_config={
            "Test": st.column_config.NumberColumn(format="percent", help="Share of its test pictures judged right"),
            "Begun": st.column_config.DatetimeColumn(format="YYYY-MM-DD HH:mm"),
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
    from core.charts_training import curves_together

    for column, quantity in zip(st.columns(2), ("loss", "accuracy"), strict=True):
        column.plotly_chart(curves_together(quantity, runs), key=f"training_together_{quantity}", config=CHART)
    st.markdown("**What differs in their settings**")
    if not differing:
        st.caption("Nothing: the settings are the same.")
        return

    def words(value) -> str:
        return "–" if value is None else ", ".join(map(str, value)) if isinstance(value, list) else str(value)

    st.dataframe(
        [
            {"Setting": name.replace("_", " ")}
            | {f"{i}. {run[0]}": words(value) for i, (run, value) in enumerate(zip(runs, values, strict=True), 1)}
            for name, values in differing.items()
        ],
        hide_index=True,
    )


def run_forms(run, rename: Callable, set_note: Callable, delete: Callable) -> None:
    """Name, note and deleting of one run; each function gets the run's id, the first two a text too."""
    with st.container(horizontal=True):
        with st.popover("Rename", icon=":material/edit:"):
            name = st.text_input("Name", run.name, max_chars=80, key=f"training_name_{run.id}")
            if st.button("Keep this name", key=f"training_rename_{run.id}"):
                try_to(rename, run.id, name)
        with st.popover("Note", icon=":material/sticky_note_2:"):
            note = st.text_area("Note", run.note, max_chars=2000, key=f"training_note_{run.id}")
            if st.button("Keep this note", key=f"training_keep_note_{run.id}"):
                try_to(set_note, run.id, note)
        if run.state != "running":
            with st.popover("Delete", icon=":material/delete:"):
                st.markdown(
                    f"Deletes **{plain(run.name)}** with its weights and figures from the server, for everybody. "
                    "A model that was put to work from it stays."
                )
                if st.button("Delete for good", type="primary", key=f"training_delete_{run.id}"):
                    try_to(delete, run.id)
    if run.note:
        st.caption(plain(run.note))


# A model that somebody brings


def upload_form(pixels: Sequence[str], max_mb: int) -> tuple[str, bytes, str, tuple[str, ...], str] | None:
    """A model file with all that must be known of it; gives suffix, bytes, name, classes and pixels once asked to."""
    st.markdown(
        "A classifier that was trained elsewhere, as **LiteRT** (`.tflite`) or **Keras 3** (`.keras`): one square "
        "colour picture in, one number per class out. It is tried in a process of its own before it is used; "
        "nothing in it is ever run as a program."
    )
    file = st.file_uploader("Model file", ["tflite", "keras"], key="training_upload", max_upload_size=max_mb)
    if not file:
        return None
    suffix = Path(file.name).suffix.lower()
    stem = "".join(c if c.isascii() and (c.isalnum() or c in "-_") else "-" for c in Path(file.name).stem)[:60]
    name = st.text_input("Name", stem.strip("-"), max_chars=60, key=f"training_upload_name_{file.file_id}")
    classes = st.text_area(
        "Class names, one a line, in the order of the model's outputs",
        placeholder="with_mask\nwithout_mask",
        key="training_upload_classes",
    )
    scale = pixels[0]
    if suffix == ".keras":
        scale = st.segmented_control(
            "It was trained on pixels from", pixels, default=scale, required=True, key="training_upload_pixels"
        )
    else:
        st.caption("A LiteRT file must take pixels from 0 to 255, red first; scaling belongs inside the model.")
    if st.button("Try and keep it", type="primary", icon=":material/upload:", disabled=not (name and classes.strip())):
        names = tuple(line.strip() for line in classes.splitlines() if line.strip())
        return suffix, file.getvalue(), name, names, scale
    return None
