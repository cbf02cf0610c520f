"""Which model is active, which others there are, and what the chosen one is: metrics, speed, limits, data."""

import dataclasses
from datetime import datetime

import streamlit as st

from core.config import models_dir
from core.datasets.parts import PARTS
from core.registry.active import go_back, in_use, previous, remove_model, restore_model, use, why_not_removable
from core.registry.leaderboard import Scoreboard, as_table, load_scoreboards, method_title
from core.registry.speed import FACES, frame_times_ms
from core.registry.store import list_models
from core.vision.classes import styles_of, vocabulary
from core.vision.model_card import ModelCard, ModelError, faces_by_part, load_card, score_rows
from core.vision.pipeline import PHOTO_SETTINGS, PIPELINES, Method, method_for_model
from pages.components.access import is_operator
from pages.components.charts import accuracy_by_method, calibration, recall_by_size, times_by_faces
from pages.components.compat import part_of_the_app
from pages.components.figure import show_figure
from pages.components.messages import plain, popover, try_to
from pages.components.resources import follow_active_method, method_words, model_or_stop, pipeline_or_stop
from pages.components.server import who
from pages.components.settings import settings_form
from pages.components.terms import METRICS, metric_columns
from pages.components.undo import KEEP_HELP, show_deleted

KINDS = {"detector": "finds and classifies faces", "classifier": "classifies faces"}
WIDTHS = {"int8": "8-bit", "fp16": "16-bit", "float32": "32-bit"}
# More class names than this are counted, not listed.
MAX_NAMES = 8


def class_words(card: ModelCard) -> str:
    """The classes that a model tells apart, for Markdown."""
    if len(card.classes) > MAX_NAMES:
        return f"{len(card.classes)} classes"
    return ", ".join(f"{style.sign} {plain(style.words)}" for style in styles_of(card.classes))


def show_active_model(chosen: Method) -> None:
    """The active model of this server, the way back, and the visitor's own choice, should it be another one."""
    now, before = in_use(), previous()
    with st.container(border=True):
        st.markdown(f":green-badge[:material/check: Active] **{method_words(now.method)}**")
        with st.container(horizontal=True):
            if (
                is_operator()
                and chosen != now.method
                and st.button(
                    f"Deploy {method_words(chosen)}",
                    type="primary",
                    key="model_deploy_chosen",
                    icon=":material/rocket_launch:",
                )
            ):
                try_to(use, chosen)
            back = f"Roll back to {method_words(before)}" if before else ""
            if back and is_operator() and st.button(back, key="model_back", icon=":material/undo:"):
                try_to(go_back)
        st.caption("The photo and live pages of all visitors follow at once, running cameras too.")


def show_installed_models() -> None:
    """A row per model, with what can be done with it."""
    if is_operator():
        show_deleted(models_dir(), restore_model)
    now = in_use().method
    for name in list_models():
        about, facts, change, remove = st.columns([5, 3, 2, 2], vertical_alignment="center")
        try:
            card = load_card(models_dir() / f"{name}.json")
        except ModelError as error:
            about.error(plain(str(error)))
        else:
            mark = " :green-badge[Active]" if name == now.model else ""
            about.markdown(f"**{plain(name)}**{mark}  \n{KINDS[card.kind]}: {class_words(card)}")
            # A detector's accuracy counts faces that it missed too: beside a classifier's it would mislead.
            rows = score_rows(card) if card.kind == "classifier" else []
            scores = [row["Accuracy"] for row in rows if row.get("Accuracy") is not None]
            facts.caption(" · ".join([plain(card.date), *[f"accuracy {share:.1%}" for share in scores[:1]]]))
            method = method_for_model(name, card.kind)
            if (
                is_operator()
                and name != now.model
                and change.button("Deploy", key=f"model_deploy_{name}", icon=":material/rocket_launch:")
            ):
                try_to(use, method)
        if is_operator() and not why_not_removable(name):
            with remove, popover("Remove", f"model_removes_{name}", icon=":material/delete:"):
                st.markdown(f"Delete **{plain(name)}** from this server?")
                st.caption(KEEP_HELP)
                if st.button("Delete this model", key=f"model_remove_{name}"):
                    try_to(remove_model, name, by=who())


def rounded(rows: list[dict]) -> list[dict]:
    """Rows of a table with three digits behind the point: nothing here is measured more closely."""
    return [
        {name: round(value, 3) if isinstance(value, float) else value for name, value in row.items()} for row in rows
    ]


def show_where_it_errs(board: Scoreboard, chosen: Method, preset: str) -> None:
    """How small a face the chosen method finds, and whether its confidence is right, if its model was measured here.

    Args:
        board: figures on one set of photos.
        chosen: whose.
        preset: at which; empty for a pipeline without presets.
    """
    for row in board.rows:
        if (row.pipeline, row.preset, row.model_sha256) != (chosen.pipeline, preset, card.sha256):
            continue
        left, right = st.columns(2)
        if sizes := row.figures.get("by_size"):
            show_figure(recall_by_size(sizes), key=f"model_sizes_{board.photos}", place=left)
        if bins := row.figures.get("calibration"):
            show_figure(calibration(bins), key=f"model_calibration_{board.photos}", place=right)
        if interval := row.figures.get("intervals", {}).get("found_and_right"):
            st.caption(
                f"**{method_title(row.pipeline, row.preset)}**: on other photos like these, its accuracy lies between "
                f"{interval[0]:.0%} and {interval[1]:.0%} with 95% certainty. Of the faces without a mask that it "
                f"classifies, {row.figures['bare_shown_as_masked']:.0%} are called masked."
            )


part_of_the_app()
st.title("Model")
method, settings = settings_form("photo", PHOTO_SETTINGS)
follow_active_method()
show_active_model(method)
st.subheader("Models on this server")
show_installed_models()

pipeline = pipeline_or_stop(method)
card = load_card(models_dir() / f"{method.model}.json")
file = models_dir() / card.file
st.subheader(f"About {plain(card.name)}")
facts = {
    "Classes": str(len(card.classes)),
    "Size": f"{file.stat().st_size / 1e6:.1f} MB",
    "Weights": WIDTHS.get(card.precision, card.precision),
    "Date": card.date or f"{datetime.fromtimestamp(file.stat().st_mtime):%Y-%m-%d}",
}
for column, (label, value) in zip(st.columns(len(facts)), facts.items(), strict=True):
    column.metric(label, value)
st.caption(f"**{plain(card.name)}** {KINDS[card.kind]}: {class_words(card)}.")
if finder := PIPELINES[method.pipeline].finds_with:
    st.caption(f"The faces are found by **{plain(finder)}**.")

st.subheader("Metrics")
if rows := score_rows(card):
    st.markdown(f"**{plain(card.name)}**, measured at the end of its training:")
    st.dataframe(rounded(rows), hide_index=True, column_config=metric_columns(METRICS))
try:
    boards = load_scoreboards()
except ValueError as error:
    st.error(plain(str(error)))
    boards = []
for board in boards:
    table, figures = as_table(board), board.rows[0].figures
    st.markdown(
        f"**All methods** with the models that came with the app, on {figures['photos']} street and press photos that "
        f"none of them was trained on (`{board.photos}`), with {figures['faces']} faces of "
        f"{figures['min_face_px']:g} pixels and more:"
    )
    chart = accuracy_by_method([row["Method"] for row in table], [row["Accuracy"] for row in table])
    show_figure(chart, key=f"model_{board.photos}")
    st.dataframe(rounded(table), hide_index=True, column_config=metric_columns(METRICS))
    show_where_it_errs(board, method, settings.preset if PIPELINES[method.pipeline].uses_preset else "")
st.caption("Point at the name of a column to see what it means. Faces that the annotators had left out were filled in.")

st.subheader("Speed on this server")
preset = settings.preset if PIPELINES[method.pipeline].uses_preset else ""
what = "Analyses sample images for some seconds."
if is_operator() and st.button("Measure", key="model_measure", icon=":material/timer:", help=what):
    bar, times = st.progress(0.0, "Measuring …"), {}
    with model_or_stop():
        for faces, ms in frame_times_ms(pipeline, settings):
            times[faces] = ms
            bar.progress(len(times) / len(FACES), "Measuring …")
    bar.empty()
    title = f"{method_title(method.pipeline, preset)}, {method.model}"
    st.session_state["model_times"] = {**st.session_state.get("model_times", {}), title: times}
for title, times in st.session_state.get("model_times", {}).items():
    show_figure(times_by_faces(title, times), key=f"model_times_{title}")

st.subheader("Limits")
st.markdown("\n".join(f"- {plain(sentence)}" for sentence in [card.limits, *card.failures] if sentence))

st.subheader("Training data")
names = vocabulary(card.classes)
st.dataframe(
    [
        {"Data set": row["data"], "Part": PARTS.get(row["part"], row["part"])}
        | {style.words: row.get(name, 0) for name, style in zip(names, styles_of(names), strict=True)}
        for row in faces_by_part(card)
    ],
    hide_index=True,
)
with st.expander("The whole model card"):
    st.json(dataclasses.asdict(card), expanded=1)
