"""What the pages share and what needs Streamlit: the cached loader, the settings, the table of faces.

The only module of ``core`` that imports Streamlit.
"""

import base64
import re
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import streamlit as st
import supervision as sv

from core.annotate import percentage
from core.card import ModelError, list_models
from core.classes import CLASS_NAMES, CLASS_STYLES, WITH_MASK
from core.crops import crop_faces
from core.detector import SPEEDS
from core.explain import FaceExplainer, load_explainer, overlay_relevance
from core.faces import CASCADE_FILES, HaarSettings
from core.images import encode_image
from core.jobs import Jobs
from core.pipeline import (
    DEFAULT_PIPELINE,
    PIPELINES,
    DetectionSettings,
    Pipeline,
    build_pipeline,
)
from core.stats import FrameStats

# Asks the browser, without asking the person, whether there is a camera and whether this page may use it.
CAMERA_CHECK_JS = """
export default function ({ setStateValue, parentElement }) {
  const media = navigator.mediaDevices;
  let permission = null;
  const look = async () => {
    let problem = "";
    if (!media) problem = "insecure";
    else if (permission && permission.state === "denied") problem = "refused";
    else if (!(await media.enumerateDevices()).some((device) => device.kind === "videoinput")) problem = "missing";
    if ((parentElement.lastProblem || "") === problem) return;
    parentElement.lastProblem = problem;
    setStateValue("problem", problem);
  };
  const watch = async () => {
    try {
      permission = await navigator.permissions.query({ name: "camera" });
      permission.onchange = look;
    } catch {}  // a browser that does not tell: it will say so itself when the camera is started
    await look();
  };
  watch();
  if (media) media.addEventListener("devicechange", look);
  return () => {
    if (media) media.removeEventListener("devicechange", look);
    if (permission) permission.onchange = null;
  };
}
"""
CAMERA_PROBLEMS = {
    "refused": "The camera was refused: allow it beside the address at the top of your browser, then reload this page.",
    "missing": "No camera was found: connect one, or open this page on a device that has one.",
    "insecure": "Your browser gives its camera only to secure pages: open this one as https, or on the server itself.",
}
CROP_SIDE = 72
# More rows than this make a page slow and help nobody; the downloads have them all.
MAX_ROWS_WITH_CROPS = 300


class Method(NamedTuple):
    """A pipeline and the model it works with: what a visitor chooses."""

    pipeline: str
    """A key of ``PIPELINES``."""
    model: str
    """A model of ``models/``."""


def method_with_its_own_model(pipeline: str = DEFAULT_PIPELINE) -> Method:
    """A pipeline with the model that it has unless another is chosen."""
    return Method(pipeline, PIPELINES[pipeline].default_model)


@st.cache_resource(show_spinner="Loading the model …")
def load_pipeline(method: Method) -> Pipeline:
    """The pipeline, made once and shared by all visitors of the server."""
    return build_pipeline(*method)


@st.cache_resource(show_spinner=False)
def server_jobs() -> Jobs:
    """The long work of this server, whoever started it."""
    return Jobs()


def pipeline_or_stop(method: Method) -> Pipeline:
    """The pipeline, or one sentence that says why there is none, and the end of the page."""
    try:
        return load_pipeline(method)
    except ModelError as error:
        st.error(plain(str(error)))
        st.stop()


def settings_form(page: str, defaults: DetectionSettings) -> tuple[Method, DetectionSettings]:
    """The settings in the sidebar: method, model and speed, and the limits. Kept while pages change.

    Args:
        page: whose speed and limits these are; method and model are the same on all pages.
        defaults: speed and limits at first.
    """
    with st.sidebar:
        st.subheader("Settings")
        name = st.selectbox(
            "Method",
            list(PIPELINES),
            index=list(PIPELINES).index(DEFAULT_PIPELINE),
            format_func=lambda key: PIPELINES[key].title,
            **_kept("pipeline"),
        )
        spec = PIPELINES[name]
        st.caption(spec.summary)
        model = spec.default_model
        models = list_models(kind=spec.model_kind)
        if len(models) > 1 and model in models:
            model = st.selectbox("Model", models, index=models.index(model), **_kept(f"{spec.model_kind}_model"))
        speed = defaults.speed
        if spec.uses_speed:
            speed = st.selectbox(
                "Speed",
                list(SPEEDS),
                index=list(SPEEDS).index(defaults.speed),
                format_func=lambda key: SPEEDS[key].title,
                **_kept(f"{page}_speed"),
            )
            st.caption(SPEEDS[speed].help)
        confidence = st.slider(
            "Lowest confidence",
            *(50, 99, round(100 * defaults.min_confidence)),
            format="%d%%",
            help="Faces whose verdict is less sure than this are left out.",
            **_kept(f"{page}_confidence"),
        )
        min_face = st.slider(
            "Smallest face",
            *(16, 200, round(defaults.min_face_px)),
            format="%d px",
            help="Shorter side of a face in pixels of the picture. Smaller faces are left out.",
            **_kept(f"{page}_min_face"),
        )
        haar = _haar_form(page, defaults.haar) if spec.uses_haar else defaults.haar
    settings = replace(defaults, min_confidence=confidence / 100, min_face_px=min_face, haar=haar, speed=speed)
    return Method(name, model), settings


def _haar_form(page: str, default: HaarSettings) -> HaarSettings:
    names = {"default": "Standard", "alt2": "Alternative"}
    with st.expander("Advanced"):
        return HaarSettings(
            cascade=st.selectbox(
                "Face finder",
                list(CASCADE_FILES),
                index=list(CASCADE_FILES).index(default.cascade),
                format_func=names.get,
                help="Two Haar cascades that come with OpenCV; each finds faces that the other misses.",
                **_kept(f"{page}_cascade"),
            ),
            profile=st.checkbox(
                "Look for faces from the side too",
                default.profile,
                help="Finds more faces and takes about three times as long.",
                **_kept(f"{page}_profile"),
            ),
            scale_factor=st.slider(
                "Step between face sizes",
                *(1.05, 1.5, default.scale_factor, 0.05),
                help="`scaleFactor`: small steps find more faces and are slower.",
                **_kept(f"{page}_scale_factor"),
            ),
            min_neighbors=st.slider(
                "Agreement",
                *(1, 10, default.min_neighbors),
                help="`minNeighbors`: how many overlapping hits make a face. Higher gives fewer false alarms.",
                **_kept(f"{page}_min_neighbors"),
            ),
            max_side=st.select_slider(
                "Search size",
                (320, 480, 640, 800, 1024, 1600),
                default.max_side,
                format_func=lambda side: f"{side} px",
                help="The picture's longer side is reduced to this for the search. Larger finds smaller faces.",
                **_kept(f"{page}_max_side"),
            ),
        )


def _kept(name: str) -> dict:
    """Arguments that make a widget remember its value when another page is shown.

    Streamlit forgets a widget's value once another page has run, even if that has a widget of the same key; a copy
    under another key survives.
    """
    key, copy = f"settings_{name}", f"kept_{name}"
    if copy in st.session_state:
        st.session_state[key] = st.session_state[copy]

    def keep() -> None:
        st.session_state[copy] = st.session_state[key]

    return {"key": key, "on_change": keep}


def camera_problem() -> str | None:
    """Why the visitor's browser would give no picture, in one sentence, or ``None``; follows every change."""
    check = st.components.v2.component("camera_check", js=CAMERA_CHECK_JS)
    state = check(key="camera_check", on_problem_change=lambda: None)
    return CAMERA_PROBLEMS.get(state.get("problem") or "")


def plain(text: str) -> str:
    """Text from outside, such as a file name, without any meaning in Markdown."""
    return re.sub(r"([\\`*_{}\[\]()#+\-.!|~<>$:&])", r"\\\1", text)


def show_verdict_counts(stats: FrameStats, pipeline: Pipeline, mask_share: float | None, a_row: int = 4) -> None:
    """One number per class that the pipeline knows, and the share with a mask; ``a_row`` of them side by side."""
    numbers = [
        (f"{style.icon} {style.words}", str(count))
        for name, style, count in zip(CLASS_NAMES, CLASS_STYLES, stats.counts, strict=True)
        if name in pipeline.classes
    ]
    numbers.append(("Wear a mask well", "–" if mask_share is None else f"{mask_share:.0%}"))
    for start in range(0, len(numbers), a_row):
        for column, (label, value) in zip(st.columns(a_row), numbers[start : start + a_row], strict=False):
            column.metric(label, value)


def show_faces_table(frame_bgr: np.ndarray, detections: sv.Detections) -> None:
    """A row per face: crop, verdict, probability, size."""
    shown = detections[:MAX_ROWS_WITH_CROPS]
    crops = crop_faces(frame_bgr, shown.xyxy, CROP_SIDE, 0.1)
    rows = []
    for i, crop in enumerate(crops):
        style = CLASS_STYLES[shown.class_id[i]]
        width, height = shown.xyxy[i, 2:] - shown.xyxy[i, :2]
        jpeg = base64.b64encode(encode_image(crop[..., ::-1])).decode()
        rows.append(
            {
                "Face": f"data:image/jpeg;base64,{jpeg}",
                "Verdict": f"{style.sign} {style.words}",
                "Probability": percentage(shown.confidence[i]),
                "Size": f"{width:.0f} × {height:.0f} px",
            }
        )
    st.dataframe(
        rows,
        hide_index=True,
        row_height=CROP_SIDE,
        column_config={"Face": st.column_config.ImageColumn(width="small")},
    )
    if len(detections) > MAX_ROWS_WITH_CROPS:
        st.caption(f"The first {MAX_ROWS_WITH_CROPS} of {len(detections)} faces; the downloads hold all.")


@st.cache_resource(show_spinner=False)
def load_face_explainer() -> FaceExplainer:
    """What says why a face is judged as it is, made once and shared."""
    return load_explainer()


def show_reasons(frame_bgr: np.ndarray, detections: sv.Detections) -> None:
    """On request, for one face: which parts of it speak for a mask and which against."""
    if not st.toggle("Why this verdict?", key="photo_reasons"):
        return
    place = 0
    if len(detections) > 1:
        place = st.selectbox("Face", range(len(detections)), format_func=lambda i: f"Face {i + 1}", key="photo_face")
    try:
        with st.spinner("Looking closely …"):
            explanation = load_face_explainer().explain(frame_bgr, detections.xyxy[place])
    except ModelError as error:
        st.error(plain(str(error)))
        return
    mask = explanation.probabilities[CLASS_NAMES[WITH_MASK]]
    face, words = st.columns(2)
    face.image(overlay_relevance(explanation), channels="BGR", width="stretch", alt="What speaks for and against")
    words.markdown(
        f":blue-background[Blue] speaks for a mask, :orange-background[orange] against. A second network, which looks "
        f"at this face alone and knows only mask or no mask, gives {percentage(mask)} for a mask."
    )
