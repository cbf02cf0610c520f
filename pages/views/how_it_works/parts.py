"""How every step looks: a picture on the left, words beside it; on a phone below."""

from collections.abc import Mapping

import numpy as np
import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from core.language import tr
from core.vision.images import encode_image


def picture_and_words() -> tuple[DeltaGenerator, DeltaGenerator]:
    """Two columns."""
    picture, words = st.columns([3, 2], gap="large")
    return picture, words


def explain(place: DeltaGenerator, text: str, terms: Mapping[str, str] | None = None) -> None:
    """What happens in this step, in two sentences or so.

    Args:
        place: where.
        text: Markdown.
        terms: words that need a sentence, with that sentence as their tooltip.
    """
    place.markdown(text)
    if terms:
        with place.container(horizontal=True):
            for term, sentence in terms.items():
                st.caption(term, help=sentence, width="content")


def show_picture(
    place: DeltaGenerator, image_bgr: np.ndarray, caption: str, exact: bool = False, width: int | None = None
) -> None:
    """A picture with its caption, which is also what a screen reader says.

    Args:
        place: where.
        image_bgr: (h, w, 3) uint8 BGR, or (h, w) grey.
        caption: what there is to see; no Markdown.
        exact: keep every pixel as it is, for pictures of numbers.
        width: in pixels; otherwise as wide as the place.
    """
    place.image(
        encode_image(image_bgr, ".png" if exact else ".jpg"),
        caption=caption,
        output_format="PNG" if exact else "JPEG",
        width=width or "stretch",
        alt=caption,
    )


def no_face() -> None:
    """Where a step needs a face and the photo has none."""
    st.info(tr("No face was found in this photo. Take one of the examples for this step, or another photo."))
