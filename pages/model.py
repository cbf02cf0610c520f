"""What the chosen model is: figures, speed on this computer, limits, what it learnt from."""

import dataclasses

import streamlit as st

from core.app import pipeline_or_stop, plain, settings_form
from core.benchmark import FACES, frame_times_ms
from core.card import MODELS_DIR, faces_by_part, load_card
from core.charts import found_and_right, times_by_faces
from core.classes import CLASS_NAMES, CLASS_STYLES
from core.pipeline import PIPELINES, DetectionSettings
from core.scoreboard import as_table, load_scoreboards, method_title

PARTS = {"train": "training", "val": "checks while training", "test": "test", "held_out": "street photos, test"}
SHARES = ("Found", "Found and right", "With a mask", "Without")

st.title("Model")
method, settings = settings_form("photo", DetectionSettings())
pipeline = pipeline_or_stop(method)
card = load_card(MODELS_DIR / f"{method.model}.json")

facts = {
    "Verdicts": str(len(card.classes)),
    "Size": f"{(MODELS_DIR / card.file).stat().st_size / 1e6:.1f} MB",
    "Numbers": card.precision,
    "Made": card.date,
}
for column, (label, value) in zip(st.columns(len(facts)), facts.items(), strict=True):
    column.metric(label, value)
styles = [CLASS_STYLES[CLASS_NAMES.index(name)] for name in card.classes]
st.caption(f"**{plain(card.name)}** says: {', '.join(f'{style.sign} {style.words}' for style in styles)}.")

st.subheader("How good it is")
for board in load_scoreboards():
    table, figures = as_table(board), board.rows[0].figures
    st.markdown(
        f"{figures['photos']} street and press photos that no model has learnt from (`{board.photos}`), with "
        f"{figures['faces']} faces of {figures['min_face_px']:g} pixels and more:"
    )
    chart = found_and_right([row["Method"] for row in table], [row["Found and right"] for row in table])
    st.plotly_chart(chart, key=f"model_{board.photos}", config={"displayModeBar": False})
    st.dataframe(
        table,
        hide_index=True,
        column_config={name: st.column_config.NumberColumn(format="percent") for name in SHARES},
    )
st.caption(
    "A false alarm is a box where nobody marked a face; many show a face in the background that was left unmarked. "
    "mAP50, for engineers, is the mean average precision at an overlap of 0.5; 1 is perfect."
)

st.subheader("How fast it is on this computer")
speed = settings.speed if PIPELINES[method.pipeline].uses_speed else ""
if st.button("Measure", icon=":material/timer:", help="Judges sample pictures for a few seconds."):
    bar, times = st.progress(0.0, "Measuring …"), {}
    for faces, ms in frame_times_ms(pipeline, settings):
        times[faces] = ms
        bar.progress(len(times) / len(FACES), "Measuring …")
    bar.empty()
    st.session_state["model_times"] = {**st.session_state.get("model_times", {}), method_title(method[0], speed): times}
for title, times in st.session_state.get("model_times", {}).items():
    st.plotly_chart(times_by_faces(title, times), key=f"model_times_{title}", config={"displayModeBar": False})

st.subheader("Limits")
st.markdown("\n".join(f"- {sentence}" for sentence in [card.limits, *card.failures] if sentence))

st.subheader("What it learnt from")
st.dataframe(
    [
        {"Data set": row["data"], "Used for": PARTS.get(row["part"], row["part"])}
        | {style.words: row.get(name, 0) for name, style in zip(CLASS_NAMES, CLASS_STYLES, strict=True)}
        for row in faces_by_part(card)
    ],
    hide_index=True,
)
with st.expander("The whole card"):
    st.json(dataclasses.asdict(card), expanded=1)
