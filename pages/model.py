"""Which model is in use, which others there are, and what the chosen one is: figures, speed, limits, data."""

import dataclasses
from datetime import datetime

import streamlit as st

from core.config import MODELS_DIR
from core.registry.active import go_back, in_use, previous, remove_model, use, why_not_removable
from core.registry.leaderboard import as_table, load_scoreboards, method_title
from core.registry.speed import FACES, frame_times_ms
from core.registry.store import list_models
from core.vision.classes import styles_of, vocabulary
from core.vision.model_card import ModelCard, ModelError, faces_by_part, load_card, score_rows
from core.vision.pipeline import PHOTO_SETTINGS, PIPELINES, Method, method_for_model
from pages.components.charts import found_and_right, times_by_faces
from pages.components.compat import part_of_the_app
from pages.components.messages import plain, try_to
from pages.components.resources import method_words, notice_method_in_use, pipeline_or_stop
from pages.components.settings import settings_form

PARTS = {"train": "training", "val": "checks while training", "test": "test", "held_out": "street photos, test"}
SHARES = (
    "Found",
    "Found, 12 to 24 px",
    "Found and right",
    "Of two verdicts",
    "With a mask",
    "Without",
    "Right",
    "Right, mean of the classes",
)
KINDS = {"detector": "finds faces and judges them", "classifier": "judges faces"}
WIDTHS = {"int8": "8-bit", "fp16": "16-bit", "float32": "32-bit"}
# More class names than this are counted, not listed.
MAX_NAMES = 8


def class_words(card: ModelCard) -> str:
    """The classes that a model tells apart, for Markdown."""
    if len(card.classes) > MAX_NAMES:
        return f"{len(card.classes)} classes"
    return ", ".join(f"{style.sign} {plain(style.words)}" for style in styles_of(card.classes))


def show_model_in_use(chosen: Method) -> None:
    """What this server uses, the way back, and the visitor's own choice, should it be another one."""
    now, before = in_use(), previous()
    with st.container(border=True):
        st.markdown(f":green-badge[:material/check: In use] **{method_words(now.method)}**")
        with st.container(horizontal=True):
            if chosen != now.method and st.button(
                f"Use {method_words(chosen)}", type="primary", key="model_use_chosen", icon=":material/play_arrow:"
            ):
                try_to(use, chosen)
            if before and st.button(f"Go back to {method_words(before)}", key="model_back", icon=":material/undo:"):
                try_to(go_back)
        st.caption("Photo and live pages of all visitors follow at once, running cameras too.")


def show_installed_models() -> None:
    """A row per model, with what can be done with it."""
    now = in_use().method
    for name in list_models():
        about, facts, change, remove = st.columns([5, 3, 2, 2], vertical_alignment="center")
        try:
            card = load_card(MODELS_DIR / f"{name}.json")
        except ModelError as error:
            about.error(plain(str(error)))
        else:
            mark = " :green-badge[In use]" if name == now.model else ""
            about.markdown(f"**{plain(name)}**{mark}  \n{KINDS[card.kind]}: {class_words(card)}")
            scores = [row["Right"] for row in score_rows(card) if row.get("Right") is not None]
            facts.caption(" · ".join([plain(card.date), *[f"{share:.1%} right in its test" for share in scores[:1]]]))
            method = method_for_model(name, card.kind)
            if name != now.model and change.button("Use", key=f"model_use_{name}", icon=":material/play_arrow:"):
                try_to(use, method)
        if not why_not_removable(name):
            with remove.popover("Remove", icon=":material/delete:"):
                st.markdown(f"Delete **{plain(name)}** from this server?")
                if st.button("Delete for good", key=f"model_remove_{name}"):
                    try_to(remove_model, name)


def rounded(rows: list[dict]) -> list[dict]:
    """Rows of a table with three digits behind the point: nothing here is measured more closely."""
    return [
        {name: round(value, 3) if isinstance(value, float) else value for name, value in row.items()} for row in rows
    ]


def percent_columns(names: tuple[str, ...] = SHARES) -> dict:
    """Columns of shares, as tables show them."""
    return {name: st.column_config.NumberColumn(format="percent") for name in names}


part_of_the_app()
st.title("Model")
method, settings = settings_form("photo", PHOTO_SETTINGS)
notice_method_in_use()
show_model_in_use(method)
st.subheader("Models on this server")
show_installed_models()

pipeline = pipeline_or_stop(method)
card = load_card(MODELS_DIR / f"{method.model}.json")
file = MODELS_DIR / card.file
st.subheader(f"About {plain(card.name)}")
facts = {
    "Verdicts": str(len(card.classes)),
    "Size": f"{file.stat().st_size / 1e6:.1f} MB",
    "Numbers": WIDTHS.get(card.precision, card.precision),
    "Made": card.date or f"{datetime.fromtimestamp(file.stat().st_mtime):%Y-%m-%d}",
}
for column, (label, value) in zip(st.columns(len(facts)), facts.items(), strict=True):
    column.metric(label, value)
st.caption(f"**{plain(card.name)}** {KINDS[card.kind]}: {class_words(card)}.")
if finder := PIPELINES[method.pipeline].finds_with:
    st.caption(f"The faces are found by **{plain(finder)}**.")

st.subheader("How good it is")
if rows := score_rows(card):
    st.markdown(f"**{plain(card.name)}**, measured when its training ended:")
    st.dataframe(rounded(rows), hide_index=True, column_config=percent_columns((*SHARES, "Probability off by")))
for board in load_scoreboards():
    table, figures = as_table(board), board.rows[0].figures
    st.markdown(
        f"**All methods** with the models that came with the app, on {figures['photos']} street and press photos that "
        f"none of these has learnt from (`{board.photos}`), with {figures['faces']} faces of "
        f"{figures['min_face_px']:g} pixels and more:"
    )
    chart = found_and_right([row["Method"] for row in table], [row["Found and right"] for row in table])
    st.plotly_chart(chart, key=f"model_{board.photos}", config={"displayModeBar": False})
    st.dataframe(rounded(table), hide_index=True, column_config=percent_columns())
st.caption(
    "*Of two verdicts* leaves masks worn incorrectly out and asks only for mask or no mask. "
    "A false alarm is a box of 16 pixels and more where no face is; faces that the annotators left out were filled in. "
    "mAP50, for engineers, is the mean average precision at an overlap of 0.5; 1 is perfect."
)

st.subheader("How fast it is on this computer")
speed = settings.speed if PIPELINES[method.pipeline].uses_speed else ""
if st.button("Measure", key="model_measure", icon=":material/timer:", help="Judges sample pictures for some seconds."):
    bar, times = st.progress(0.0, "Measuring …"), {}
    for faces, ms in frame_times_ms(pipeline, settings):
        times[faces] = ms
        bar.progress(len(times) / len(FACES), "Measuring …")
    bar.empty()
    title = f"{method_title(method.pipeline, speed)}, {method.model}"
    st.session_state["model_times"] = {**st.session_state.get("model_times", {}), title: times}
for title, times in st.session_state.get("model_times", {}).items():
    st.plotly_chart(times_by_faces(title, times), key=f"model_times_{title}", config={"displayModeBar": False})

st.subheader("Limits")
st.markdown("\n".join(f"- {plain(sentence)}" for sentence in [card.limits, *card.failures] if sentence))

st.subheader("What it learnt from")
names = vocabulary(card.classes)
st.dataframe(
    [
        {"Data set": row["data"], "Used for": PARTS.get(row["part"], row["part"])}
        | {style.words: row.get(name, 0) for name, style in zip(names, styles_of(names), strict=True)}
        for row in faces_by_part(card)
    ],
    hide_index=True,
)
with st.expander("The whole card"):
    st.json(dataclasses.asdict(card), expanded=1)
