"""What the chosen model is for and how often it errs, which one is active, and the figures for engineers."""

import dataclasses
from datetime import datetime

import streamlit as st

from core.config import models_dir
from core.datasets.parts import PARTS
from core.registry.active import go_back, in_use, previous, remove_model, restore_model, use, why_not_removable
from core.registry.leaderboard import SCORES, SLICES, Row, Scoreboard, as_table, load_scoreboards, method_title
from core.registry.speed import FACES, frame_times_ms
from core.registry.store import list_models
from core.vision.classes import CLASS_NAMES, WITH_MASK, styles_of, vocabulary
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
from pages.views.model import show_errors, show_purpose, show_trials
from pages.views.slices import show_slices

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


def figures_of(board: Scoreboard, chosen: Method, preset: str) -> Row | None:
    """What was measured of the chosen method, if its very model was.

    Args:
        board: figures on one set of photos.
        chosen: the method.
        preset: at which; empty for a pipeline without presets.
    """
    wanted = chosen.pipeline, preset, card.sha256
    return next((row for row in board.rows if (row.pipeline, row.preset, row.model_sha256) == wanted), None)


part_of_the_app()
st.title("Model")
above = st.container()
with st.popover("Another method, model or preset", icon=":material/tune:"):
    method, settings = settings_form("photo", PHOTO_SETTINGS, st.container())
follow_active_method()
with above:
    show_active_model(method)
pipeline = pipeline_or_stop(method)
card = load_card(models_dir() / f"{method.model}.json")
preset = settings.preset if PIPELINES[method.pipeline].uses_preset else ""
try:
    boards, slices = load_scoreboards(), load_scoreboards(models_dir() / SCORES / SLICES)
except ValueError as error:
    st.error(plain(str(error)))
    boards, slices = [], []

st.header(f"About {plain(card.name)}")
finder = PIPELINES[method.pipeline].finds_with
st.markdown(
    f"It {KINDS[card.kind]}: {class_words(card)}." + (f" The faces are found by **{plain(finder)}**." if finder else "")
)
show_purpose(card)
if CLASS_NAMES[WITH_MASK] in card.classes:
    st.header("Right and wrong")
    show_trials(pipeline, method, preset)
st.header("How often it errs")
rows = [(figures_of(board, method, preset), board) for board in boards]
measured = [(row, board) for row, board in rows if row]
for row, board in measured:
    photos = f"{row.figures['photos']} street and press photos that it was not trained on"
    show_errors(row, photos, f"model_errors_{board.photos}")
show_slices([its for board in slices if (its := figures_of(board, method, preset))], "model_slices")
if not measured:
    st.markdown("This one was not measured on photos that it was not trained on; what is known stands below.")

st.header("Models on this server")
show_installed_models()

st.header("For engineers")
file = models_dir() / card.file
facts = {
    "Classes": str(len(card.classes)),
    "Size": f"{file.stat().st_size / 1e6:.1f} MB",
    "Weights": WIDTHS.get(card.precision, card.precision),
    "Date": card.date or f"{datetime.fromtimestamp(file.stat().st_mtime):%Y-%m-%d}",
}
with st.container(horizontal=True, gap="large"):
    for label, value in facts.items():
        st.metric(label, value, width="content")

st.subheader("Metrics")
if rows_of_card := score_rows(card):
    st.markdown(f"**{plain(card.name)}**, measured at the end of its training:")
    st.dataframe(rounded(rows_of_card), hide_index=True, column_config=metric_columns(METRICS))
for its, board in rows:
    table, figures = as_table(board), board.rows[0].figures
    st.markdown(
        f"**All methods** with the models that came with the app, on {figures['photos']} street and press photos that "
        f"none of them was trained on (`{board.photos}`), with {figures['faces']} faces of "
        f"{figures['min_face_px']:g} pixels and more:"
    )
    chart = accuracy_by_method([each["Method"] for each in table], [each["Accuracy"] for each in table])
    show_figure(chart, key=f"model_{board.photos}")
    st.dataframe(rounded(table), hide_index=True, column_config=metric_columns(METRICS))
    if its:
        left, right = st.columns(2)
        if sizes := its.figures.get("by_size"):
            show_figure(recall_by_size(sizes), key=f"model_sizes_{board.photos}", place=left)
        if bins := its.figures.get("calibration"):
            show_figure(calibration(bins), key=f"model_calibration_{board.photos}", place=right)
        st.caption(f"The charts are of **{method_title(its.pipeline, its.preset)}**.")
st.caption("Point at the name of a column to see what it means. Faces that the annotators had left out were filled in.")

st.subheader("Speed on this server")
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
