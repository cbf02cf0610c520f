"""Detected faces on a page: counters, table, explanation."""

import base64
from typing import Protocol

import numpy as np
import streamlit as st
import supervision as sv

from core.language import mark, number, tr
from core.vision.annotate import percentage
from core.vision.classes import CLASS_NAMES, NO_PREDICTION, WITH_MASK, style_of, vocabulary
from core.vision.classifier import DEFAULT_CLASSIFIER
from core.vision.crops import crop_faces
from core.vision.detections import classes_of, face_styles, fitted
from core.vision.explain import FaceExplainer, load_explainer, overlay_relevance
from core.vision.images import LoadedImage, encode_image
from core.vision.model_card import ModelError
from core.vision.pipeline import PIPELINES, Method, method_version
from core.vision.stats import FrameStats, describe_hidden
from pages.components.messages import plain
from pages.components.state import choose_next, is_chosen_next
from pages.components.style import use_style

CROP_SIDE = 60
# More rows than this make a page slow and help nobody; the downloads have them all.
MAX_ROWS_WITH_CROPS = 300
# More counters than this make a page restless: then only those of classes that are seen are shown.
MAX_COUNTERS = 8
UNKNOWN_HELP = mark("Faces whose confidence is below the minimum in the settings.")
SHARE_HELP = mark("Of the faces with a result, the share with a mask over mouth and nose.")


class Knows(Protocol):
    """Something that tells classes apart: a pipeline, or the result of one."""

    @property
    def classes(self) -> tuple[str, ...]:
        """Their names."""
        ...


def show_hidden_faces(page: str, stats: FrameStats, min_face_px: float, narrow: bool = False) -> None:
    """How many faces the limit hides, and a button that takes the limit away.

    Args:
        page: as for ``settings_form``.
        stats: what was counted with that limit.
        min_face_px: the limit, in pixels.
        narrow: make every sentence take two lines in a column, so that nothing below moves when another one comes.
    """
    if narrow:
        words, button = st.columns([3, 2], vertical_alignment="center")
        words.caption(plain(describe_hidden(stats, min_face_px)))
    else:
        button = st.container(horizontal=True, vertical_alignment="center")
        button.markdown(plain(describe_hidden(stats, min_face_px)), width="content")

    limit = f"settings_{page}_min_face"
    button.button(
        tr("Show them"), key=f"{page}_show_hidden", disabled=not stats.hidden, on_click=choose_next, args=(limit, 0)
    )
    if is_chosen_next(limit):
        st.rerun(scope="app")  # the settings stand outside the part of the page that runs again by itself


def show_class_counts(stats: FrameStats, pipeline: Knows, mask_share: float | None) -> None:
    """A number per class that the pipeline knows, of faces without a prediction, and the share with a mask.

    Args:
        stats: what was counted.
        pipeline: what counted it.
        mask_share: 0..1, or ``None`` if there is none.
    """
    spoken = vocabulary(pipeline.classes)
    names = [name for name in spoken if name in pipeline.classes]
    if len(names) > MAX_COUNTERS:
        names = [name for name in names if stats.count(name)]
        if names:
            count = number(len(pipeline.classes))
            st.caption(tr("{count} classes are told apart; these are seen:").format(count=count))
        elif not stats.faces and not stats.hidden:
            st.caption(tr("No face found."))
    numbers: list[tuple[str, str, str | None]] = []
    for name in names:
        style = style_of(name, spoken)
        numbers.append((f"{style.icon} {plain(style.words)}", number(stats.count(name)), None))
    numbers.append((f"{NO_PREDICTION.icon} {NO_PREDICTION.words}", number(stats.unknown), tr(UNKNOWN_HELP)))
    if CLASS_NAMES[WITH_MASK] in pipeline.classes:
        share = "–" if mask_share is None else number(mask_share, ".0%")
        numbers.append((tr("Wear a mask well"), share, tr(SHARE_HELP)))
    with st.container(key="class_counts"):
        use_style("counters")
        with st.container(key="class_counters", horizontal=True, gap="medium"):
            for label, value, help in numbers:
                st.metric(label, value, help=help, width="content")


def show_faces_table(image: LoadedImage, detections: sv.Detections) -> None:
    """A row per face: crop, result, confidence, size."""
    shown = detections[:MAX_ROWS_WITH_CROPS]
    in_frame = fitted(shown, image.size_wh, image.frame_bgr.shape[1::-1])
    crops = crop_faces(image.frame_bgr, in_frame.xyxy, CROP_SIDE, 0.1)
    rows, styles = [], face_styles(shown)
    for i, (crop, style) in enumerate(zip(crops, styles, strict=True)):
        width, height = shown.xyxy[i, 2:] - shown.xyxy[i, :2]
        jpeg = base64.b64encode(encode_image(crop[..., ::-1])).decode()
        rows.append(
            {
                "Face": f"data:image/jpeg;base64,{jpeg}",
                "No.": i + 1,
                "Result": f"{style.sign} {style.words}",
                "Confidence": "–" if style is NO_PREDICTION else percentage(shown.confidence[i]),
                "Size": f"{width:.0f} × {height:.0f}",
            }
        )
    st.dataframe(
        rows,
        hide_index=True,
        row_height=CROP_SIDE,
        column_config={
            "Face": st.column_config.ImageColumn(tr("Face"), width="small"),
            "No.": st.column_config.NumberColumn(
                tr("No."), width=30, help=tr("The number in the face's label on the photo.")
            ),
            "Result": st.column_config.TextColumn(tr("Result")),
            "Confidence": st.column_config.TextColumn(
                tr("Confidence"), help=tr("How likely the model takes its result to be.")
            ),
            "Size": st.column_config.TextColumn(tr("Size"), help=tr("Width and height in pixels of the photo.")),
        },
    )
    if len(detections) > MAX_ROWS_WITH_CROPS:
        words = tr("The first {shown} of {count} faces; the downloads hold all.")
        st.caption(words.format(shown=number(MAX_ROWS_WITH_CROPS), count=number(len(detections))))


@st.cache_resource(show_spinner=False, max_entries=4)
def load_face_explainer(model: str, version: str) -> FaceExplainer:
    """What explains the class of a face, made once and shared; arguments as of ``load_pipeline``."""
    return load_explainer(model)


def show_reasons(frame_bgr: np.ndarray, detections: sv.Detections, method: Method) -> None:
    """On request, for one face: which parts of it speak for a mask and which against, if masks are the topic."""
    if CLASS_NAMES[WITH_MASK] not in classes_of(detections) or not st.toggle(
        tr("Explain a result"), key="photo_reasons"
    ):
        return
    has_classifier = PIPELINES[method.pipeline].model_kind == "classifier"
    method = method if has_classifier else Method("classic", DEFAULT_CLASSIFIER)
    place = 0
    if len(detections) > 1:
        place = st.selectbox(
            *(tr("Face"), range(len(detections))),
            format_func=lambda i: tr("Face {number}").format(number=number(i + 1)),
            key="photo_face",
        )
    try:
        with st.spinner(tr("Explaining …")):
            explainer = load_face_explainer(method.model, method_version(method))
            explanation = explainer.explain(frame_bgr, detections.xyxy[place])
    except ModelError as error:
        st.error(plain(str(error)))
        return
    mask = explanation.probabilities[CLASS_NAMES[WITH_MASK]]
    face, words = st.columns(2)
    alt = tr("What speaks for and against")
    face.image(overlay_relevance(explanation), channels="BGR", width="stretch", alt=alt)
    colours = tr(":blue-background[Blue] speaks for a mask, :orange-background[orange] against.")
    who = tr("The classifier, which looks at this face alone, gives {share} for a mask.")
    if not has_classifier:
        who = tr(
            "A second network, which looks at this face alone and knows only mask or no mask, gives {share} for a mask."
        )
    words.markdown(f"{colours} {who.format(share=percentage(mask))}")
