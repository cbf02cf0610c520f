"""A model file from elsewhere: tried in a process of its own, and kept."""

import tempfile
from pathlib import Path

import streamlit as st

from core import app_training as parts
from core.app import plain, server_jobs, try_to
from core.app_data import show_end_of_job, show_job
from core.in_use import in_use, use
from core.pipeline import method_for_model
from core.uploaded_model import MAX_BYTES, check_litert, install_uploaded
from train.convert import PIXELS, convert_keras


def show() -> None:
    """A model file from elsewhere, tried and kept."""
    key = "training:upload"
    status = show_job(server_jobs(), key)
    show_end_of_job(status)
    if status and status.state == "done":
        card = status.result
        st.success(
            f"**{plain(card.name)}** is among the models: {plain(', '.join(card.classes))}, "
            f"{card.input_size} × {card.input_size} pixels."
        )
        if in_use().method.model != card.name and st.button("Use this model", icon=":material/play_arrow:"):
            try_to(use, method_for_model(card.name, card.kind))
    given = parts.upload_form(list(PIXELS), MAX_BYTES // 1_000_000)
    if not given:
        return
    suffix, data, name, classes, pixels = given

    def keep(report):
        with tempfile.TemporaryDirectory() as made:
            file = Path(made) / f"brought{suffix}"
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
