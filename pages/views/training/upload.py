"""A model file from elsewhere: tried in a process of its own, and installed."""

import tempfile
from collections.abc import Sequence
from pathlib import Path

import streamlit as st

from core.jobs import Report
from core.registry.active import in_use, use
from core.registry.upload import MAX_BYTES, check_litert, install_uploaded
from core.vision.model_card import ModelCard
from core.vision.pipeline import method_for_model
from pages.components.jobs import show_end_of_job, show_job
from pages.components.messages import plain, try_to
from pages.components.resources import server_jobs
from train.export.convert import PIXELS, convert_keras


def show() -> None:
    """A model file from elsewhere, tried and installed."""
    key = "training:upload"
    status = show_job(server_jobs(), key)
    show_end_of_job(status)
    if status and status.state == "done":
        card: ModelCard = status.result
        st.success(
            f"**{plain(card.name)}** is installed: {plain(', '.join(card.classes))}, "
            f"{card.input_size} × {card.input_size} pixels."
        )
        if in_use().method.model != card.name and st.button("Deploy", icon=":material/rocket_launch:"):
            try_to(use, method_for_model(card.name, card.kind))
    given = upload_form(list(PIXELS), MAX_BYTES // 1_000_000)
    if not given:
        return
    suffix, data, name, classes, pixels = given

    def keep(report: Report) -> ModelCard:
        with tempfile.TemporaryDirectory() as made:
            file = Path(made) / f"imported{suffix}"
            file.write_bytes(data)
            if suffix == ".keras":
                target = Path(made) / "converted.tflite"
                convert_keras(file, target, pixels, report=report)
                file = target
            return install_uploaded(file, check_litert(file, report=report), name, classes)

    if not server_jobs().start(key, f"Trying {name}", keep):
        st.warning("Another model is being tried; wait until it is done.")
    else:
        st.rerun()


def upload_form(pixels: Sequence[str], max_mb: int) -> tuple[str, bytes, str, tuple[str, ...], str] | None:
    """A model file with all that must be known of it; gives suffix, bytes, name, classes and pixels once asked to."""
    st.markdown(
        "A classifier that was trained elsewhere, as **LiteRT** (`.tflite`) or **Keras 3** (`.keras`): one square "
        "colour image in, one number per class out. It is tried in a process of its own before it is installed; "
        "nothing in it is ever run as a program."
    )
    file = st.file_uploader("Model file", ["tflite", "keras"], key="training_upload", max_upload_size=max_mb)
    if not file:
        return None
    suffix = Path(file.name).suffix.lower()
    stem = "".join(c if c.isascii() and (c.isalnum() or c in "-_") else "-" for c in Path(file.name).stem)[:60]
    name = st.text_input("Name", stem.strip("-"), max_chars=60, key=f"training_upload_name_{file.file_id}")
    classes = st.text_area(
        "Class names, one a line, in the order of the model's outputs",
        placeholder="with_mask\nwithout_mask",
        key="training_upload_classes",
    )
    scale = pixels[0]
    if suffix == ".keras":
        scale = st.segmented_control(
            "It was trained on pixels from", pixels, default=scale, required=True, key="training_upload_pixels"
        )
    else:
        st.caption("A LiteRT file must take pixels from 0 to 255, red first; scaling belongs inside the model.")
    if st.button("Import", type="primary", icon=":material/upload:", disabled=not (name and classes.strip())):
        names = tuple(line.strip() for line in classes.splitlines() if line.strip())
        return suffix, file.getvalue(), name, names, scale
    return None
