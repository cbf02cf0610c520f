"""What both tabs need: something that finds faces, and what classes are called."""

from typing import TypeVar

import streamlit as st

from core.vision.classes import CLASS_NAMES, CLASS_STYLES
from core.vision.detector import MaskDetector, load_detector

Made = TypeVar("Made")
WORDS = {name: style.words for name, style in zip(CLASS_NAMES, CLASS_STYLES, strict=True)}


@st.cache_resource(show_spinner="Loading the model …")
def load_finder() -> MaskDetector:
    """What finds faces, made once and shared."""
    return load_detector()
