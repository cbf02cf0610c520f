"""What both tabs need: something that finds faces, and what classes are called."""

import streamlit as st

from core.language import tr
from core.vision.classes import CLASS_NAMES, CLASS_STYLES
from core.vision.detector import MaskDetector, load_detector

STYLES = dict(zip(CLASS_NAMES, CLASS_STYLES, strict=True))


def class_words(label: str) -> str:
    """What a label is called: one of this project's classes has words, any other is its own."""
    return STYLES[label].words if label in STYLES else label


def load_finder() -> MaskDetector:
    """What finds faces, made once and shared."""
    with st.spinner(tr("Loading the model …")):
        return _finder()


@st.cache_resource(show_spinner=False)
def _finder() -> MaskDetector:
    return load_detector()
