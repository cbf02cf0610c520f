"""What a model is good for and how often it errs, for those who want to use it."""

from dataclasses import replace

import streamlit as st

from core.registry.leaderboard import Row
from core.synthetic.examples import TRIALS, Trial
from core.vision.annotate import percentage
from core.vision.classes import CLASS_NAMES, NO_PREDICTION, WITH_MASK, style_of
from core.vision.crops import fit_within
from core.vision.detections import face_styles
from core.vision.images import encode_image
from core.vision.model_card import ModelCard
from core.vision.pipeline import PHOTO_SETTINGS, DetectionSettings, Method, Pipeline, detect_masks, method_version
from pages.components.charts import errors
from pages.components.figure import show_figure
from pages.components.messages import plain
from pages.components.resources import model_or_stop, photo_turns

TILE_PX, TILE_SIDE = 164, 200
LEAST_FACES = 20
"""Fewer faces of a size say too little."""
PURPOSE = (
    "**Made for**\n"
    "- counting how many people wear a mask: at a door, in a shop, in photos of an event;\n"
    "- reminding people, and watching how habits change from week to week;\n"
    "- learning how such a model works."
)
NOT_FOR = (
    "**Not made for**\n"
    "- decisions about a person, such as who may come in: some results are wrong;\n"
    "- telling who somebody is: it cannot;\n"
    "- telling how well a mask protects: it sees only whether mouth and nose are covered."
)
DISTANCE = (
    "How near is that? With a webcam of 640 pixels that sees 60 degrees, a face is about 48 pixels wide at 1.7 metres "
    "and 24 at 3.5 metres; with twice the pixels, at twice the distance."
)


def show_purpose(card: ModelCard) -> None:
    """What the model is for, what it is not for, and where it is known to fail."""
    if CLASS_NAMES[WITH_MASK] in card.classes:
        for column, words in zip(st.columns(2, border=True), (PURPOSE, NOT_FOR), strict=True):
            column.markdown(words)
    if sentences := [sentence for sentence in [*card.failures, card.limits] if sentence]:
        st.markdown("**Known weaknesses**\n" + "\n".join(f"- {plain(sentence)}" for sentence in sentences))


def show_trials(pipeline: Pipeline, method: Method, preset: str) -> None:
    """Easy and hard drawn pictures, with what the chosen method says of each at this moment."""
    settings = replace(PHOTO_SETTINGS, preset=preset or PHOTO_SETTINGS.preset)
    with model_or_stop():
        answers = _answers(pipeline, method, method_version(method), settings)
    right = sum(is_right for _, _, is_right in answers)
    st.markdown(f"Tried on this server on {len(answers)} pictures, easy and hard ones: **{right} right**.")
    with st.container(horizontal=True):
        for trial, (jpeg, said, is_right) in zip(TRIALS, answers, strict=True):
            with st.container(border=True, width=TILE_PX):
                st.image(jpeg, width="stretch", alt=f"{trial.title}: {said}")
                mark = ":green[:material/check: Right]" if is_right else ":red[:material/close: Wrong]"
                st.markdown(f"{mark}  \n**{trial.title}**")
                truth = "" if is_right else f"  \nTruth: {style_of(trial.truth, CLASS_NAMES).words}"
                st.caption(f"Result: {plain(said)}{truth}")
    st.caption("Eileen Collins (NASA, public domain); the masks are drawn, and real ones are harder.")


@st.cache_data(show_spinner="Trying it on examples …", max_entries=16)
def _answers(
    _pipeline: Pipeline, method: Method, version: str, settings: DetectionSettings
) -> list[tuple[bytes, str, bool]]:
    return [_answer(trial, _pipeline, settings) for trial in TRIALS]


def _answer(trial: Trial, pipeline: Pipeline, settings: DetectionSettings) -> tuple[bytes, str, bool]:
    """The picture as JPEG, what is said of it, and whether that is right."""
    frame = trial.make()
    with photo_turns().turn():
        found = detect_masks(frame, pipeline, settings)
    jpeg = encode_image(fit_within(frame, TILE_SIDE)[0])
    if not len(found):
        return jpeg, "no face found", False
    (style,) = face_styles(found[:1])
    if style is NO_PREDICTION:
        return jpeg, style.words, False
    words = f"{style.words} {percentage(found.confidence[0])}"
    return jpeg, words, style == style_of(trial.truth, CLASS_NAMES)


def show_errors(row: Row, photos: str, key: str) -> None:
    """How often the chosen method errs, by size and kind of face.

    Args:
        row: its figures.
        photos: what they were measured on, in words.
        key: of the charts.
    """
    figures = row.figures
    wrong = round(100 * (1 - figures["found_and_right"]))
    words = [f"**Of 100 faces, {wrong} are missed or get a wrong result**, on {photos}."]
    if interval := figures.get("intervals", {}).get("found_and_right"):
        low, high = (round(100 * (1 - share)) for share in reversed(interval))
        words.append(f"On other photos like these it would be {low} to {high}, with 95% certainty.")
    if (share := figures.get("bare_shown_as_masked")) is not None:
        words.append(f"Of 100 faces without a mask that are found, {round(100 * share)} are said to wear one.")
    st.markdown(" ".join(words))
    sizes = [
        (f"{size['from_px']} to {size['to_px']}" if size["to_px"] else f"{size['from_px']} and more",
         size["faces"], size["right"])
        for size in figures.get("by_size", []) if size["faces"] >= LEAST_FACES
    ]  # fmt: skip
    kinds = [
        (style_of(kind["kind"], CLASS_NAMES).words, kind["faces"], kind["right"])
        for kind in figures.get("by_kind", [])
        if kind["faces"]
    ]
    left, right = st.columns(2)
    show_figure(errors("Errors by size of the face", sizes, "Pixels"), key=f"{key}_sizes", place=left)
    if kinds:
        show_figure(errors("Errors by kind", kinds, "What the person wears"), key=f"{key}_kinds", place=right)
    st.caption(f"The thin lines show how sure each bar is: the truth lies within them 19 times out of 20. {DISTANCE}")
