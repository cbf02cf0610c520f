"""The settings of a page: method, model, preset and limits."""

from dataclasses import replace

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from core.language import tr
from core.registry.active import active_method, in_use
from core.registry.store import list_models
from core.vision.detector import PRESETS
from core.vision.haar import CASCADE_FILES, HaarSettings
from core.vision.pipeline import PIPELINES, DetectionSettings, Method
from pages.components.messages import plain
from pages.components.resources import method_words
from pages.components.state import kept


def settings_form(
    page: str, defaults: DetectionSettings, beside: DeltaGenerator
) -> tuple[Method, DetectionSettings, DeltaGenerator]:
    """The settings: method, model and preset, and the limits. Kept while pages change.

    Method and model start from the active ones of this server. A visitor may choose others, until the server's change.

    Args:
        page: whose preset and limits these are; method and model are the same on all pages.
        defaults: preset and limits at first.
        beside: where on the page they are, the limits first and the others folded.

    Returns:
        Method, settings, and the folded part, for what else a page has to set.
    """
    _start_from_active_method()
    now = in_use()
    if now.problem:
        beside.warning(plain(now.problem))
    left, right = beside.columns(2)
    advanced = beside.expander(tr("Advanced"), icon=":material/tune:")
    with advanced:
        name = st.selectbox(
            *(tr("Method"), list(PIPELINES)),
            format_func=lambda key: tr(PIPELINES[key].title),
            **kept("settings_pipeline", now.method.pipeline, PIPELINES),
        )
        spec = PIPELINES[name]
        st.caption(tr(spec.summary))
        model = active_method(name).model
        models = list_models(kind=spec.model_kind)
        if len(models) > 1 and model in models:
            model = st.selectbox(tr("Model"), models, **kept(f"settings_{spec.model_kind}_model", model, models))
        if Method(name, model) == now.method:
            st.caption(tr(":material/check: Active on this server."))
        preset = defaults.preset
        if spec.uses_preset:
            preset = st.selectbox(
                *(tr("Preset"), list(PRESETS)),
                format_func=lambda key: tr(PRESETS[key].title),
                **kept(f"settings_{page}_preset", defaults.preset, PRESETS),
            )
            st.caption(tr(PRESETS[preset].help))
        confidence = left.slider(
            *(tr("Minimum confidence"), 50, 99),
            format=tr("%d%%"),
            help=tr("A face whose confidence is lower gets a ? in place of a result."),
            **kept(f"settings_{page}_confidence", round(100 * defaults.min_confidence)),
        )
        min_face = right.slider(
            *(tr("Smallest face"), 0, 200),
            format="%d px",
            help=tr("Shorter side of a face in pixels of the image. At 0 every face is shown."),
            **kept(f"settings_{page}_min_face", round(defaults.min_face_px)),
        )
        haar = defaults.haar
        if spec.uses_haar:
            haar = _haar_form(page, defaults.haar)
    settings = replace(defaults, min_confidence=confidence / 100, min_face_px=min_face, haar=haar, preset=preset)
    return Method(name, model), settings, advanced


def _haar_form(page: str, default: HaarSettings) -> HaarSettings:
    names = {"default": tr("Standard"), "alt2": tr("Alternative")}
    return HaarSettings(
        cascade=st.selectbox(
            tr("Cascade"),
            list(CASCADE_FILES),
            format_func=names.__getitem__,
            help=tr("Two Haar cascades that come with OpenCV; each finds faces that the other misses."),
            **kept(f"settings_{page}_cascade", default.cascade, CASCADE_FILES),
        ),
        profile=st.checkbox(
            tr("Profile faces too"),
            help=tr("A third cascade looks for faces from the side: finds more and takes about three times as long."),
            **kept(f"settings_{page}_profile", default.profile),
        ),
        scale_factor=st.slider(
            *(tr("Scale factor"), 1.05, 1.5),
            step=0.05,
            help=tr("OpenCV's `scaleFactor`, the step between face sizes: smaller finds more faces and is slower."),
            **kept(f"settings_{page}_scale_factor", default.scale_factor),
        ),
        min_neighbors=st.slider(
            *(tr("Minimum neighbours"), 1, 10),
            help=tr("OpenCV's `minNeighbors`: how many overlapping hits make a face. Higher gives fewer false alarms."),
            **kept(f"settings_{page}_min_neighbors", default.min_neighbors),
        ),
        max_side=st.select_slider(
            tr("Image size"),
            (320, 480, 640, 800, 1024, 1600),
            format_func=lambda side: f"{side} px",
            help=tr("The image's longer side is reduced to this for the search. Larger finds smaller faces."),
            **kept(f"settings_{page}_max_side", default.max_side),
        ),
        min_face_px=st.slider(
            *(tr("Minimum size"), 16, 200),
            format="%d px",
            help=tr("OpenCV's `minSize`: smaller faces are not looked for. Higher is faster."),
            **kept(f"settings_{page}_haar_min_face", round(default.min_face_px)),
        ),
    )


def _start_from_active_method() -> None:
    """Put the visitor's choice to the server's active method at the first visit and whenever that has changed."""
    now, seen = in_use(), st.session_state.get("settings_stamp")
    if now.stamp == seen:
        return
    st.session_state["settings_stamp"] = now.stamp
    st.session_state["settings_pipeline"] = now.method.pipeline
    st.session_state[f"settings_{PIPELINES[now.method.pipeline].model_kind}_model"] = now.method.model
    if seen is not None:
        words = tr("Now active on this server: {method}.").format(method=method_words(now.method))
        st.toast(words, icon=":material/swap_horiz:")
