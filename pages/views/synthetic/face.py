"""What both ways to make pictures need: a face in a photo, looked for once."""

from collections.abc import Callable, Hashable
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


def kept(name: str, key: Hashable, make: Callable[[], Made]) -> Made:
    """What ``make`` gives, made again only if the key is another one than at the last run of this visitor's page."""
    if st.session_state.get(name, (None, None))[0] != key:
        st.session_state[name] = key, make()
    return st.session_state[name][1]
