"""What a model is good for and how often it errs, for those who want to use it."""

from dataclasses import replace

import streamlit as st

from core.language import mark, number, tr
from core.registry.leaderboard import Row
from core.synthetic.examples import TRIALS, Trial
from core.vision.annotate import percentage
from core.vision.classes import CLASS_NAMES, NO_PREDICTION, WITH_MASK, ClassStyle, style_of
from core.vision.crops import fit_within
from core.vision.detections import face_styles
from core.vision.images import encode_image
from core.vision.model_card import ModelCard
from core.vision.pipeline import PHOTO_SETTINGS, DetectionSettings, Method, Pipeline, detect_masks, method_version
from pages.components.charts import errors, sizes_in_words
from pages.components.figure import show_figure
from pages.components.messages import plain
from pages.components.resources import model_or_stop, photo_turns

TILE_PX, TILE_SIDE = 164, 200
Answer = tuple[bytes, ClassStyle | None, float, bool]
"""The picture as JPEG, what its face is taken for, with which confidence, and whether that is right."""
LEAST_FACES = 20
"""Fewer faces of a size say too little."""
PURPOSE = mark(
    "**Made for**\n"
    "- counting how many people wear a mask: at a door, in a shop, in photos of an event;\n"
    "- reminding people, and watching how habits change from week to week;\n"
    "- learning how such a model works."
)
NOT_FOR = mark(
    "**Not made for**\n"
    "- decisions about a person, such as who may come in: some results are wrong;\n"
    "- telling who somebody is: it cannot;\n"
    "- telling how well a mask protects: it sees only whether mouth and nose are covered."
)
DISTANCE = mark(
    "How near is that? With a webcam of 640 pixels that sees 60 degrees, a face is about 48 pixels wide at 1.7 metres "
    "and 24 at 3.5 metres; with twice the pixels, at twice the distance."
)

OF_OUR_CARDS = (
    mark(
        "Trained on faces of 24 px and more; smaller ones are guesses. It does not know mask_weared_incorrect and "
        "takes such a face for one of its own classes."
    ),
    mark("A nose that is just uncovered is often taken for a mask worn well, a mask under the chin for none."),
    mark("Scarves, collars and hands before the mouth can pass for a mask, worn well or incorrectly."),
    mark(
        "Fists, hands, wheels, toys, animals' faces and round, face-coloured things are now and then taken for a face."
    ),
    mark("Faces in strong side or back light, turned far away or looking down are missed more often than others."),
    mark(
        "Trained on faces of 8 px and more. Half hidden or strongly blurred faces are often left out, as in the photos "
        "it was trained on. Nose, mouth or chin uncovered counts as worn incorrectly."
    ),
)
"""Weaknesses on the cards of the models that come with the app; other cards are shown as they are."""


def show_purpose(card: ModelCard) -> None:
    """What the model is for, what it is not for, and where it is known to fail."""
    if CLASS_NAMES[WITH_MASK] in card.classes:
        for column, words in zip(st.columns(2, border=True), (PURPOSE, NOT_FOR), strict=True):
            column.markdown(tr(words))
    if sentences := [sentence for sentence in [*card.failures, card.limits] if sentence]:
        st.markdown(tr("**Known weaknesses**") + "\n" + "\n".join(f"- {plain(tr(each))}" for each in sentences))


def show_trials(pipeline: Pipeline, method: Method, preset: str) -> None:
    """Easy and hard drawn pictures, with what the chosen method says of each at this moment."""
    settings = replace(PHOTO_SETTINGS, preset=preset or PHOTO_SETTINGS.preset)
    with model_or_stop(), st.spinner(tr("Trying it on examples …")):
        answers = _answers(pipeline, method, method_version(method), settings)
    right = sum(is_right for _, _, _, is_right in answers)
    words = tr("Tried on this server on {count} pictures, easy and hard ones: **{right} right**.")
    st.markdown(words.format(count=number(len(answers)), right=number(right)))
    with st.container(horizontal=True):
        for trial, (jpeg, style, confidence, is_right) in zip(TRIALS, answers, strict=True):
            title, said = tr(trial.title), tr("no face found")
            if style:
                said = style.words if style == NO_PREDICTION else f"{style.words} {percentage(confidence)}"
            with st.container(border=True, width=TILE_PX):
                st.image(jpeg, width="stretch", alt=tr("{name}: {words}").format(name=title, words=said))
                sign = tr(":green[:material/check: Right]") if is_right else tr(":red[:material/close: Wrong]")
                st.markdown(f"{sign}  \n**{title}**")
                told = [tr("Result: {result}").format(result=plain(said))]
                if not is_right:
                    told.append(tr("Truth: {result}").format(result=style_of(trial.truth, CLASS_NAMES).words))
                st.caption("  \n".join(told))
    st.caption(tr("Eileen Collins (NASA, public domain); the masks are drawn, and real ones are harder."))


@st.cache_data(show_spinner=False, max_entries=16)
def _answers(_pipeline: Pipeline, method: Method, version: str, settings: DetectionSettings) -> list[Answer]:
    return [_answer(trial, _pipeline, settings) for trial in TRIALS]


def _answer(trial: Trial, pipeline: Pipeline, settings: DetectionSettings) -> Answer:
    frame = trial.make()
    with photo_turns().turn():
        found = detect_masks(frame, pipeline, settings)
    jpeg = encode_image(fit_within(frame, TILE_SIDE)[0])
    if not len(found):
        return jpeg, None, 0.0, False
    (style,) = face_styles(found[:1])
    return jpeg, style, float(found.confidence[0]), style == style_of(trial.truth, CLASS_NAMES)


def show_errors(row: Row, key: str) -> None:
    """How often the chosen method errs, by size and kind of face.

    Args:
        row: its figures.
        key: of the charts.
    """
    figures = row.figures
    wrong = round(100 * (1 - figures["found_and_right"]))
    words = [
        tr(
            "**Of 100 faces, {count} are missed or get a wrong result**, on {photos} street and press photos that it "
            "was not trained on."
        ).format(count=number(wrong), photos=number(figures["photos"]))
    ]
    if interval := figures.get("intervals", {}).get("found_and_right"):
        low, high = (round(100 * (1 - share)) for share in reversed(interval))
        sentence = tr("On other photos like these it would be {low} to {high}, with 95% certainty.")
        words.append(sentence.format(low=number(low), high=number(high)))
    if (share := figures.get("bare_shown_as_masked")) is not None:
        sentence = tr("Of 100 faces without a mask that are found, {count} are said to wear one.")
        words.append(sentence.format(count=number(round(100 * share))))
    st.markdown(" ".join(words))
    sizes = [
        (sizes_in_words(size["from_px"], size["to_px"]), size["faces"], size["right"])
        for size in figures.get("by_size", [])
        if size["faces"] >= LEAST_FACES
    ]
    kinds = [
        (style_of(kind["kind"], CLASS_NAMES).words, kind["faces"], kind["right"])
        for kind in figures.get("by_kind", [])
        if kind["faces"]
    ]
    left, right = st.columns(2)
    show_figure(errors(tr("Errors by size of the face"), sizes, tr("Pixels")), key=f"{key}_sizes", place=left)
    if kinds:
        chart = errors(tr("Errors by kind"), kinds, tr("What the person wears"))
        show_figure(chart, key=f"{key}_kinds", place=right)
    lines = tr("The thin lines show how sure each bar is: the truth lies within them 19 times out of 20.")
    st.caption(f"{lines} {tr(DISTANCE)}")
