"""A model file from elsewhere: tried in a process of its own, shown on a sample face, and installed."""

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import streamlit as st
from streamlit.runtime.uploaded_file_manager import UploadedFile

from core.datasets.spellings import likely_meanings, plain_meanings
from core.jobs import Report
from core.language import number, tr
from core.registry.active import in_use, use
from core.registry.store import file_name, list_models
from core.registry.upload import (
    MAX_BYTES,
    UPLOAD_TYPES,
    ModelFacts,
    check_litert,
    install_uploaded,
    open_uploads,
    read_labels,
)
from core.synthetic.sample import SAMPLE_FACE_XYXY, sample_photo
from core.vision.classes import CLASS_NAMES, CLASS_STYLES, WITH_MASK, WITHOUT_MASK
from core.vision.crops import crop_faces
from core.vision.model_card import ModelError
from core.vision.pipeline import method_for_model
from pages.components.jobs import show_end_of_job, show_job
from pages.components.messages import plain, try_to
from pages.components.resources import server_jobs
from train.export.convert import convert_keras

JOB, INSTALLED = "training:upload", "training_upload_installed"
# With more classes than this, names are taken as they are typed.
MAX_MAPPED = 8


@dataclass(frozen=True)
class Tried:
    """A model that may be imported."""

    file_id: str
    """Of the uploads; other visitors have others."""
    litert: bytes
    facts: ModelFacts
    labels: tuple[str, ...]
    pixels: str
    """The scale of its pixels, if its name tells, else empty."""


def show() -> None:
    """A model file from elsewhere, tried and installed."""
    st.markdown(
        tr(
            "A classifier that was trained elsewhere: **LiteRT** (`.tflite`), **Keras** (`.keras`, `.h5`) or a zip "
            "with one of them, as Teachable Machine exports it. One square colour image in, one number per class out. "
            "It is tried and later run in a process of its own; nothing in it is ever run as a program."
        )
    )
    files = st.file_uploader(
        tr("Model file, alone or with its labels.txt"),
        [*UPLOAD_TYPES, "txt"],
        accept_multiple_files=True,
        key="training_upload",
        max_upload_size=MAX_BYTES // 1_000_000,
    )
    status = show_job(server_jobs(), JOB)
    show_end_of_job(status, server_jobs())
    _show_installed()
    if not files:
        return
    tried = status.result if status and status.state == "done" else None
    if isinstance(tried, Tried) and tried.file_id == _id_of(files):
        name = next((file.name for file in files if not file.name.lower().endswith(".txt")), files[0].name)
        _import_form(tried, Path(name).stem)
    elif st.button(tr("Try the model"), type="primary", icon=":material/labs:"):
        _start(files)


def _id_of(files: Sequence[UploadedFile]) -> str:
    return "+".join(file.file_id for file in files)


def _start(files: Sequence[UploadedFile]) -> None:
    contents, file_id = {file.name: file.getvalue() for file in files}, _id_of(files)

    def work(report: Report) -> Tried:
        found = open_uploads(contents)
        with tempfile.TemporaryDirectory() as made:
            path = source = Path(made) / f"model.{found.kind}"
            source.write_bytes(found.data)
            if found.kind != "tflite":
                path = Path(made) / "converted.tflite"
                convert_keras(source, path, report=report)
            facts = check_litert(path, report=report)
            return Tried(file_id, path.read_bytes(), facts, found.labels, found.pixels)

    if not server_jobs().start(JOB, tr("Trying {name}").format(name=files[0].name), work):
        st.warning(tr("Another model is being tried; wait until it is done."))
    else:
        st.rerun()


def _import_form(tried: Tried, stem: str) -> None:
    """What must be known of a model that was tried: its name, its classes, and the scale of its pixels."""
    facts, key = tried.facts, tried.file_id
    name = st.text_input(tr("Name"), file_name(stem), max_chars=60, key=f"training_upload_name_{key}")
    names = read_labels(
        st.text_area(
            tr("Class names, one a line, in the order of the model's outputs"),
            "\n".join(tried.labels),
            placeholder="\n".join(
                tr("class {number}").format(number=place) for place in range(1, facts.classes + 1)[:MAX_MAPPED]
            ),
            key=f"training_upload_classes_{key}",
        )
    )
    if len(names) != facts.classes:
        words = tr("The model tells {count} classes apart; type one name a line for each of them.")
        st.info(words.format(count=number(facts.classes, ",")))
        return
    classes = _mapped(names, key)
    pixels = _pixel_scale(tried, classes, key)
    if pixels and st.button(tr("Import"), type="primary", icon=":material/upload:", disabled=not name):
        try:
            with tempfile.TemporaryDirectory() as made:
                path = Path(made) / "tried.tflite"
                path.write_bytes(tried.litert)
                card = install_uploaded(path, facts, name, classes, pixels=pixels)
        except (ModelError, OSError) as error:
            st.error(plain(str(error)))
            return
        st.session_state[INSTALLED] = card.name
        st.rerun()


def _mapped(names: tuple[str, ...], key: str) -> tuple[str, ...]:
    """What each class means: one of this project's, which all pages know, or itself."""
    if len(names) > MAX_MAPPED:
        return names
    likely = plain_meanings(names) | likely_meanings(names)
    if len(set(likely.values())) < len(likely):  # two names of one meaning: a person must say
        likely = {}
    words = dict(zip(CLASS_NAMES, (style.words for style in CLASS_STYLES), strict=True))
    chosen: list[str] = []
    for place, (column, name) in enumerate(zip(st.columns(len(names)), names, strict=True)):
        options = [*CLASS_NAMES, *([] if name in CLASS_NAMES else [name])]
        chosen.append(
            column.selectbox(
                tr("“{name}” means").format(name=plain(name)),
                options,
                options.index(likely.get(name, name)),
                format_func=lambda option: words.get(option) or tr("a class of its own: {name}").format(name=option),
                key=f"training_upload_means_{key}_{place}_{name}",
            )
        )
    return tuple(chosen)


def _pixel_scale(tried: Tried, classes: tuple[str, ...], key: str) -> str | None:
    """The scale of pixels that a model was trained on, chosen by what it says of the sample face with each."""
    facts = tried.facts
    st.markdown(tr("**What it says of a face, bare and with a mask drawn on**"))
    left, right = st.columns([1, 2])
    box = np.array([SAMPLE_FACE_XYXY])
    faces = [crop_faces(sample_photo(masked), box, 160, 0.15)[0] for masked in (False, True)]
    left.image(faces, caption=[tr("Bare"), tr("Masked")], width=110)

    def words(shares: list[float]) -> str:
        best = max(range(len(shares)), key=shares.__getitem__)
        style = dict(zip(CLASS_NAMES, CLASS_STYLES, strict=True)).get(classes[best])
        return f"{style.words if style else classes[best]}, {number(shares[best], '.0%')}"

    right.dataframe(
        [
            {tr("Pixels"): scale, tr("Bare"): words(bare), tr("Masked"): words(masked)}
            for scale, (bare, masked) in facts.answers.items()
        ],
        hide_index=True,
    )
    scales = list(facts.answers)
    if len(scales) == 1:
        return scales[0]
    right.caption(
        tr(
            "The right scale is the one it was trained on; with others its answers mean nothing. Usual are -1..1 "
            "(Teachable Machine, MobileNet's own preprocessing), 0..1, and 0..255 where the model scales by itself."
        )
    )
    return right.segmented_control(
        tr("It was trained on pixels from"),
        scales,
        default=tried.pixels if tried.pixels in scales else likely_scale(facts.answers, classes),
        key=f"training_upload_pixels_{key}",
        help=tr("Import follows once this is chosen."),
    )


def likely_scale(answers: dict[str, list[list[float]]], classes: tuple[str, ...]) -> str | None:
    """The scale with which a model calls the bare face bare and the masked one masked, the surest first, if any."""
    if CLASS_NAMES[WITH_MASK] not in classes or CLASS_NAMES[WITHOUT_MASK] not in classes:
        return None
    bare, masked = classes.index(CLASS_NAMES[WITHOUT_MASK]), classes.index(CLASS_NAMES[WITH_MASK])
    sure = {scale: min(first[bare], second[masked]) for scale, (first, second) in answers.items()}
    best = max(sure, key=sure.__getitem__)
    return best if sure[best] > 0.5 else None


def _show_installed() -> None:
    """The model that this visitor has imported last, and how to deploy it."""
    name = st.session_state.get(INSTALLED)
    if not name or name not in list_models():
        return
    st.success(tr("**{name}** is installed.").format(name=plain(name)))
    if in_use().method.model != name and st.button(tr("Deploy"), icon=":material/rocket_launch:"):
        try_to(use, method_for_model(name, "classifier"))
