"""What the pages share and what needs Streamlit: the cached loaders, the settings, the method in use, tables of faces.

Of ``core``, only the modules named ``app…`` import Streamlit.
"""

import base64
import re
from collections.abc import Callable, Collection
from dataclasses import replace

import numpy as np
import streamlit as st
import supervision as sv

from core.annotate import percentage
from core.card import ModelError, list_models
from core.classes import CLASS_NAMES, NO_PREDICTION, WITH_MASK, style_of, vocabulary
from core.classifier import DEFAULT_CLASSIFIER
from core.crops import crop_faces
from core.detections import classes_of, face_styles
from core.detector import SPEEDS
from core.explain import FaceExplainer, load_explainer, overlay_relevance
from core.faces import CASCADE_FILES, HaarSettings
from core.images import encode_image
from core.in_use import in_use
from core.jobs import Jobs
from core.pipeline import PIPELINES, DetectionSettings, Method, Pipeline, build_pipeline, method_version
from core.stats import FrameStats, describe_hidden

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
# More counters than this make a page restless: then only those of classes that are seen are shown.
MAX_COUNTERS = 8
# A change of the method in use is noticed within this time.
NOTICE_S = 0.8


@st.cache_resource(show_spinner="Loading the model …", max_entries=12)
def load_pipeline(method: Method, version: str) -> Pipeline:
    """The pipeline, made once and shared by all visitors of the server; anew if its model's files have changed.

    Args:
        method: pipeline and model.
        version: ``core.pipeline.method_version`` of it.
    """
    return build_pipeline(*method)


@st.cache_resource(show_spinner=False)
def server_jobs() -> Jobs:
    """The long work of this server, whoever started it."""
    return Jobs()


def pipeline_or_stop(method: Method) -> Pipeline:
    """The pipeline, or one sentence that says why there is none, and the end of the page."""
    try:
        return load_pipeline(method, method_version(method))
    except ModelError as error:
        st.error(plain(str(error)))
        st.stop()


def settings_form(page: str, defaults: DetectionSettings) -> tuple[Method, DetectionSettings]:
    """The settings in the sidebar: method, model and speed, and the limits. Kept while pages change.

    Method and model start from those in use on this server. A visitor may choose others, until the server's change.

    Args:
        page: whose speed and limits these are; method and model are the same on all pages.
        defaults: speed and limits at first.
    """
    _follow_method_in_use()
    now = in_use()
    with st.sidebar:
        st.subheader("Settings")
        if now.problem:
            st.warning(plain(now.problem))
        name = st.selectbox(
            "Method",
            list(PIPELINES),
            format_func=lambda key: PIPELINES[key].title,
            **_kept("pipeline", now.method.pipeline, PIPELINES),
        )
        spec = PIPELINES[name]
        st.caption(spec.summary)
        in_use_here = PIPELINES[now.method.pipeline].model_kind == spec.model_kind
        model = now.method.model if in_use_here else spec.default_model
        models = list_models(kind=spec.model_kind)
        if len(models) > 1 and model in models:
            model = st.selectbox("Model", models, **_kept(f"{spec.model_kind}_model", model, models))
        if Method(name, model) == now.method:
            st.caption(":material/check: In use on this server.")
        speed = defaults.speed
        if spec.uses_speed:
            speed = st.selectbox(
                "Speed",
                list(SPEEDS),
                format_func=lambda key: SPEEDS[key].title,
                **_kept(f"{page}_speed", defaults.speed, SPEEDS),
            )
            st.caption(SPEEDS[speed].help)
        confidence = st.slider(
            "Lowest confidence",
            *(50, 99),
            format="%d%%",
            help="A face that is less sure than this gets a ? in place of a result.",
            **_kept(f"{page}_confidence", round(100 * defaults.min_confidence)),
        )
        min_face = st.slider(
            "Smallest face",
            *(0, 200),
            format="%d px",
            help="Shorter side of a face in pixels of the picture. At 0 every face is shown.",
            **_kept(f"{page}_min_face", round(defaults.min_face_px)),
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
                format_func=names.get,
                help="Two Haar cascades that come with OpenCV; each finds faces that the other misses.",
                **_kept(f"{page}_cascade", default.cascade, CASCADE_FILES),
            ),
            profile=st.checkbox(
                "Look for faces from the side too",
                help="Finds more faces and takes about three times as long.",
                **_kept(f"{page}_profile", default.profile),
            ),
            scale_factor=st.slider(
                "Step between face sizes",
                *(1.05, 1.5),
                step=0.05,
                help="`scaleFactor`: small steps find more faces and are slower.",
                **_kept(f"{page}_scale_factor", default.scale_factor),
            ),
            min_neighbors=st.slider(
                "Agreement",
                *(1, 10),
                help="`minNeighbors`: how many overlapping hits make a face. Higher gives fewer false alarms.",
                **_kept(f"{page}_min_neighbors", default.min_neighbors),
            ),
            max_side=st.select_slider(
                "Search size",
                (320, 480, 640, 800, 1024, 1600),
                format_func=lambda side: f"{side} px",
                help="The picture's longer side is reduced to this for the search. Larger finds smaller faces.",
                **_kept(f"{page}_max_side", default.max_side),
            ),
            min_face_px=st.slider(
                "Look for faces from",
                *(16, 200),
                format="%d px",
                help="Smaller faces are not looked for. Higher is faster.",
                **_kept(f"{page}_haar_min_face", round(default.min_face_px)),
            ),
        )


def _kept(name: str, default: object, options: Collection | None = None) -> dict:
    """Arguments that make a widget remember its value when another page is shown.

    Streamlit forgets a widget's value once another page has run, even if that has a widget of the same key; a copy
    under another key survives.

    Args:
        name: of the setting.
        default: its value as long as nobody has changed it, or if what was chosen is no longer among the options.
        options: what can be chosen, where that may change.
    """
    key, copy = f"settings_{name}", f"kept_{name}"
    value = st.session_state.get(copy, default)
    st.session_state[key] = value if options is None or value in options else default

    def keep() -> None:
        st.session_state[copy] = st.session_state[key]

    return {"key": key, "on_change": keep}


def set_kept(name: str, value: object) -> None:
    """Give a widget of ``_kept`` another value, from a button's callback or before a rerun."""
    st.session_state[f"kept_{name}"] = value


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
    key, name = f"{page}_show_hidden", f"{page}_min_face"
    if button.button("Show them", key=key, disabled=not stats.hidden, on_click=set_kept, args=(name, 0)):
        st.rerun(scope="app")  # the settings stand outside the part of the page that runs again by itself


def _follow_method_in_use() -> None:
    """Put the visitor's choice to the server's method at the first visit and whenever that has changed."""
    now, seen = in_use(), st.session_state.get("settings_stamp")
    if now.stamp == seen:
        return
    st.session_state["settings_stamp"] = now.stamp
    st.session_state["kept_pipeline"] = now.method.pipeline
    st.session_state[f"kept_{PIPELINES[now.method.pipeline].model_kind}_model"] = now.method.model
    if seen is not None:
        st.toast(f"Now in use on this server: {method_words(now.method)}.", icon=":material/swap_horiz:")


def method_words(method: Method) -> str:
    """What people call a method and its model, for Markdown."""
    return f"{PIPELINES[method.pipeline].title}, {plain(method.model)}"


def method_changed() -> bool:
    """Whether the server's method in use is another one than this visitor's page has followed."""
    return in_use().stamp != st.session_state.get("settings_stamp")


@st.fragment(run_every=NOTICE_S)
def notice_method_in_use() -> None:
    """Make the page follow the server's method in use, without anybody touching it; after ``settings_form``."""
    if method_changed():
        st.rerun(scope="app")


def camera_problem() -> str | None:
    """Why the visitor's browser would give no picture, in one sentence, or ``None``; follows every change."""
    check = st.components.v2.component("camera_check", js=CAMERA_CHECK_JS)
    state = check(key="camera_check", on_problem_change=lambda: None)
    return CAMERA_PROBLEMS.get(state.get("problem") or "")


def try_to(change: Callable, *arguments) -> None:
    """Change something on the server and show the page anew, or say in one sentence why it could not be done."""
    try:
        with st.spinner("One moment …"):
            change(*arguments)
    except (ValueError, OSError) as error:
        st.error(plain(str(error)))
    else:
        st.rerun()


def plain(text: str) -> str:
    """Text from outside, such as a file name, without any meaning in Markdown."""
    return re.sub(r"([\\`*_{}\[\]()#+\-.!|~<>$:&])", r"\\\1", text)


def show_verdict_counts(stats: FrameStats, pipeline: Pipeline, mask_share: float | None, a_row: int = 5) -> None:
    """A number per class that the pipeline knows, of faces without a prediction, and the share with a mask.

    Args:
        stats: what was counted.
        pipeline: what counted it.
        mask_share: 0..1, or ``None`` if there is none.
        a_row: how many numbers stand side by side.
    """
    spoken = vocabulary(pipeline.classes)
    names = [name for name in spoken if name in pipeline.classes]
    if len(names) > MAX_COUNTERS:
        names = [name for name in names if stats.count(name)]
        if names:
            st.caption(f"{len(pipeline.classes)} classes are told apart; these are seen:")
        elif not stats.faces and not stats.hidden:
            st.caption("No face found.")
    numbers = []
    for name in names:
        style = style_of(name, spoken)
        numbers.append((f"{style.icon} {plain(style.words)}", str(stats.count(name))))
    numbers.append((f"{NO_PREDICTION.icon} {NO_PREDICTION.words}", str(stats.unknown)))
    if CLASS_NAMES[WITH_MASK] in pipeline.classes:
        numbers.append(("Wear a mask well", "–" if mask_share is None else f"{mask_share:.0%}"))
    for start in range(0, len(numbers), a_row):
        for column, (label, value) in zip(st.columns(a_row), numbers[start : start + a_row], strict=False):
            column.metric(label, value)


def show_faces_table(frame_bgr: np.ndarray, detections: sv.Detections) -> None:
    """A row per face: crop, verdict, probability, size."""
    shown = detections[:MAX_ROWS_WITH_CROPS]
    crops = crop_faces(frame_bgr, shown.xyxy, CROP_SIDE, 0.1)
    rows, styles = [], face_styles(shown)
    for i, (crop, style) in enumerate(zip(crops, styles, strict=True)):
        width, height = shown.xyxy[i, 2:] - shown.xyxy[i, :2]
        jpeg = base64.b64encode(encode_image(crop[..., ::-1])).decode()
        rows.append(
            {
                "Face": f"data:image/jpeg;base64,{jpeg}",
                "Verdict": f"{style.sign} {style.words}",
                "Probability": "–" if style is NO_PREDICTION else percentage(shown.confidence[i]),
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


@st.cache_resource(show_spinner=False, max_entries=4)
def load_face_explainer(model: str, version: str) -> FaceExplainer:
    """What says why a face is judged as it is, made once and shared; arguments as of ``load_pipeline``."""
    return load_explainer(model)


def show_reasons(frame_bgr: np.ndarray, detections: sv.Detections, method: Method) -> None:
    """On request, for one face: which parts of it speak for a mask and which against, if masks are the topic."""
    if CLASS_NAMES[WITH_MASK] not in classes_of(detections) or not st.toggle("Why this verdict?", key="photo_reasons"):
        return
    has_classifier = PIPELINES[method.pipeline].model_kind == "classifier"
    method = method if has_classifier else Method("classic", DEFAULT_CLASSIFIER)
    place = 0
    if len(detections) > 1:
        place = st.selectbox("Face", range(len(detections)), format_func=lambda i: f"Face {i + 1}", key="photo_face")
    try:
        with st.spinner("Looking closely …"):
            explainer = load_face_explainer(method.model, method_version(method))
            explanation = explainer.explain(frame_bgr, detections.xyxy[place])
    except ModelError as error:
        st.error(plain(str(error)))
        return
    mask = explanation.probabilities[CLASS_NAMES[WITH_MASK]]
    face, words = st.columns(2)
    face.image(overlay_relevance(explanation), channels="BGR", width="stretch", alt="What speaks for and against")
    who = "The classifier, which looks at this face alone,"
    if not has_classifier:
        who = "A second network, which looks at this face alone and knows only mask or no mask,"
    words.markdown(
        ":blue-background[Blue] speaks for a mask, :orange-background[orange] against. "
        f"{who} gives {percentage(mask)} for a mask."
    )
