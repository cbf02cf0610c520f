"""What the chosen model is for and how often it errs, which one is active, and the figures for engineers."""

import dataclasses
from datetime import datetime

import streamlit as st

from core.config import models_dir
from core.datasets.parts import PARTS
from core.language import mark, number, tr
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

KINDS = {
    "detector": mark("**{name}**{active}  \nfinds and classifies faces: {classes}"),
    "classifier": mark("**{name}**{active}  \nclassifies faces: {classes}"),
}
DOES = {
    "detector": mark("It finds and classifies faces: {classes}."),
    "classifier": mark("It classifies faces: {classes}."),
}
"""What models of a kind do, in a list of them and in a sentence."""
WIDTHS = {"int8": mark("8-bit"), "fp16": mark("16-bit"), "float32": mark("32-bit")}
# More class names than this are counted, not listed.
MAX_NAMES = 8


def class_words(card: ModelCard) -> str:
    """The classes that a model tells apart, for Markdown."""
    if len(card.classes) > MAX_NAMES:
        return tr("{count} classes").format(count=number(len(card.classes), ","))
    return ", ".join(f"{style.sign} {plain(style.words)}" for style in styles_of(card.classes))


def show_active_model(chosen: Method) -> None:
    """The active model of this server, the way back, and the visitor's own choice, should it be another one."""
    now, before = in_use(), previous()
    with st.container(border=True):
        words = tr(":green-badge[:material/check: Active] **{method}**")
        st.markdown(words.format(method=method_words(now.method)))
        with st.container(horizontal=True):
            if (
                is_operator()
                and chosen != now.method
                and st.button(
                    tr("Deploy {method}").format(method=method_words(chosen)),
                    type="primary",
                    key="model_deploy_chosen",
                    icon=":material/rocket_launch:",
                )
            ):
                try_to(use, chosen)
            back = tr("Roll back to {method}").format(method=method_words(before)) if before else ""
            if back and is_operator() and st.button(back, key="model_back", icon=":material/undo:"):
                try_to(go_back)
        st.caption(tr("The photo and live pages of all visitors follow at once, running cameras too."))


def show_installed_models() -> None:
    """A row per model, with what can be done with it."""
    if is_operator():
        show_deleted(models_dir(), restore_model)
    now = in_use().method
    for name in list_models():
        about, facts, change, remove = st.columns([4, 3, 3, 2], vertical_alignment="center")
        try:
            card = load_card(models_dir() / f"{name}.json")
        except ModelError as error:
            about.error(plain(str(error)))
        else:
            active = " " + tr(":green-badge[Active]") if name == now.model else ""
            words = tr(KINDS[card.kind])
            about.markdown(words.format(name=plain(name), active=active, classes=class_words(card)))
            # A detector's accuracy counts faces that it missed too: beside a classifier's it would mislead.
            rows = score_rows(card) if card.kind == "classifier" else []
            scores = [row["Accuracy"] for row in rows if row.get("Accuracy") is not None]
            accuracy = [tr("accuracy {share}").format(share=number(share, ".1%")) for share in scores[:1]]
            facts.caption(" · ".join([plain(card.date), *accuracy]))
            method = method_for_model(name, card.kind)
            if (
                is_operator()
                and name != now.model
                and change.button(tr("Deploy"), key=f"model_deploy_{name}", icon=":material/rocket_launch:")
            ):
                try_to(use, method)
        if is_operator() and not why_not_removable(name):
            with remove, popover(tr("Remove"), f"model_removes_{name}", icon=":material/delete:"):
                st.markdown(tr("Delete **{name}** from this server?").format(name=plain(name)))
                st.caption(tr(KEEP_HELP))
                if st.button(tr("Delete this model"), key=f"model_remove_{name}"):
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
st.title(tr("Model"))
above = st.container()
with st.popover(tr("Another method, model or preset"), icon=":material/tune:"):
    method, settings, _ = settings_form("photo", PHOTO_SETTINGS, st.container())
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

st.header(tr("About {name}").format(name=plain(card.name)))
finder = PIPELINES[method.pipeline].finds_with
about = [tr(DOES[card.kind]).format(classes=class_words(card))]
if finder:
    about.append(tr("The faces are found by **{finder}**.").format(finder=plain(finder)))
st.markdown(" ".join(about))
show_purpose(card)
if CLASS_NAMES[WITH_MASK] in card.classes:
    st.header(tr("Right and wrong"))
    show_trials(pipeline, method, preset)
st.header(tr("How often it errs"))
rows = [(figures_of(board, method, preset), board) for board in boards]
measured = [(row, board) for row, board in rows if row]
for row, board in measured:
    show_errors(row, f"model_errors_{board.photos}")
show_slices([its for board in slices if (its := figures_of(board, method, preset))], "model_slices")
if not measured:
    st.markdown(tr("This one was not measured on photos that it was not trained on; what is known stands below."))

st.header(tr("Models on this server"))
show_installed_models()

st.header(tr("For engineers"))
file = models_dir() / card.file
facts = {
    tr("Classes"): number(len(card.classes)),
    tr("Size"): tr("{size} MB").format(size=number(file.stat().st_size / 1e6, ".1f")),
    tr("Weights"): tr(WIDTHS.get(card.precision, card.precision)),
    tr("Date"): card.date or f"{datetime.fromtimestamp(file.stat().st_mtime):%Y-%m-%d}",
}
with st.container(horizontal=True, gap="large"):
    for label, value in facts.items():
        st.metric(label, value, width="content")

st.subheader(tr("Metrics"))
if rows_of_card := score_rows(card):
    st.markdown(tr("**{name}**, measured at the end of its training:").format(name=plain(card.name)))
    st.dataframe(
        rounded(rows_of_card),
        hide_index=True,
        column_config={mark("Tested on"): tr("Tested on"), "Faces": tr("Faces"), **metric_columns(METRICS)},
    )
for its, board in rows:
    table, figures = as_table(board), board.rows[0].figures
    words = tr(
        "**All methods** with the models that came with the app, on {photos} street and press photos that none of them "
        "was trained on (`{name}`), with {faces} faces of {pixels} pixels and more:"
    )
    st.markdown(
        words.format(
            photos=number(figures["photos"]),
            name=board.photos,
            faces=number(figures["faces"]),
            pixels=number(figures["min_face_px"], "g"),
        )
    )
    chart = accuracy_by_method([each["Method"] for each in table], [each["Accuracy"] for each in table])
    show_figure(chart, key=f"model_{board.photos}")
    columns = {"Method": st.column_config.TextColumn(tr("Method")), **metric_columns(METRICS)}
    st.dataframe(rounded(table), hide_index=True, column_config=columns)
    if its:
        left, right = st.columns(2)
        if sizes := its.figures.get("by_size"):
            show_figure(recall_by_size(sizes), key=f"model_sizes_{board.photos}", place=left)
        if bins := its.figures.get("calibration"):
            show_figure(calibration(bins), key=f"model_calibration_{board.photos}", place=right)
        st.caption(tr("The charts are of **{method}**.").format(method=method_title(its.pipeline, its.preset)))
st.caption(
    tr("Point at the name of a column to see what it means. Faces that the annotators had left out were filled in.")
)

st.subheader(tr("Speed on this server"))
what = tr("Analyses sample images for some seconds.")
if is_operator() and st.button(tr("Measure"), key="model_measure", icon=":material/timer:", help=what):
    bar, times = st.progress(0.0, tr("Measuring …")), {}
    with model_or_stop():
        for faces, ms in frame_times_ms(pipeline, settings):
            times[faces] = ms
            bar.progress(len(times) / len(FACES), tr("Measuring …"))
    bar.empty()
    title = f"{method_title(method.pipeline, preset)}, {method.model}"
    st.session_state["model_times"] = {**st.session_state.get("model_times", {}), title: times}
for title, times in st.session_state.get("model_times", {}).items():
    show_figure(times_by_faces(title, times), key=f"model_times_{title}")

st.subheader(tr("Training data"))
names = vocabulary(card.classes)
st.dataframe(
    [
        {tr("Data set"): row["data"], tr("Part"): tr(PARTS.get(row["part"], row["part"]))}
        | {style.words: row.get(name, 0) for name, style in zip(names, styles_of(names), strict=True)}
        for row in faces_by_part(card)
    ],
    hide_index=True,
)
with st.expander(tr("The whole model card")):
    st.json(dataclasses.asdict(card), expanded=1)
