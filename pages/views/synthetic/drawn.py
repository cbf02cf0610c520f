"""Masks drawn onto bare faces: on one to look at, on a whole data set to train with."""

from functools import partial

import streamlit as st
from streamlit.runtime.uploaded_file_manager import UploadedFile

from core.datasets.faces import DataError
from core.datasets.sources.synthetic import MAX_PER_FACE, DrawSettings, bare_faces, make_drawn_set
from core.datasets.store import find_dataset, list_datasets, read_pictures
from core.jobs import JobStatus
from core.language import mark, number, tr
from core.synthetic.preview import Portrait, draw_variants, make_portrait
from core.synthetic.render import MASK_KINDS, WEARING
from core.synthetic.sample import sample_photo
from core.vision.classes import CLASS_NAMES
from core.vision.images import ImageError, decode_image
from core.vision.model_card import ModelError
from pages.components.compat import page_part
from pages.components.jobs import is_mine
from pages.components.messages import plain, told_apart, why
from pages.components.resources import server_jobs
from pages.components.state import SYNTHETIC_IMAGES, SYNTHETIC_PORTRAIT, made_once
from pages.views.synthetic.face import load_finder

JOB = "draw-masks"
IMAGE_WIDTH = 180
# Measured on two cores of an x86 server: one bare face, found and drawn on once.
SECONDS_PER_MASK = 0.3
ALL_KINDS = mark("All kinds")
SEED = "synthetic_seed"
"""Under this key: the seed of the masks on show."""


def show() -> None:
    """The whole tab."""
    st.markdown(
        tr(
            "Masks are drawn onto bare faces, to have more images to train on. They do not replace photos of real "
            "masks."
        )
    )
    show_preview()
    show_making()


def portrait_of(upload: UploadedFile | None) -> Portrait | None:
    """The face of an uploaded photo, or of the sample."""
    frame = decode_image(upload.getvalue()) if upload else sample_photo(masked=False)
    return make_portrait(frame, load_finder())


def other_colors() -> None:
    """Another seed for everything that chance decides."""
    st.session_state[SEED] = st.session_state.get(SEED, 0) + 1


def show_preview() -> None:
    """Masks of every kind on one face."""
    upload = st.file_uploader(tr("A photo of a bare face (without one, the sample is shown)"), key="synthetic_file")
    with st.container(horizontal=True, vertical_alignment="bottom"):
        wearing = st.segmented_control(
            *(tr("How it is worn"), list(WEARING)),
            format_func=lambda name: tr(WEARING[name].title),
            default="well",
            required=True,
            key="synthetic_wearing",
        )
        kind = st.selectbox(
            *(tr("Kind of mask"), [ALL_KINDS, *MASK_KINDS]),
            format_func=lambda name: tr(MASK_KINDS[name].title if name in MASK_KINDS else name),
            width=260,
            key="synthetic_kind",
        )
        st.button(tr("Other colours"), icon=":material/palette:", on_click=other_colors)
    shown = upload.file_id if upload else "sample"
    try:
        with st.spinner(tr("Looking for the face …")):
            portrait = made_once(SYNTHETIC_PORTRAIT, shown, partial(portrait_of, upload))
    except (ImageError, ModelError) as error:
        st.error(plain(str(error)))
        return
    if portrait is None:
        st.warning(tr("No face was found in this photo; take one in which the face is larger and looks at the camera."))
        return
    if not portrait.bare:
        st.warning(tr("This face seems to wear a mask already; masks are drawn for bare faces."))
    how = wearing, None if kind == ALL_KINDS else kind, st.session_state.get(SEED, 0)
    images = made_once(SYNTHETIC_IMAGES, (shown, *how), partial(draw_variants, portrait, *how))
    with st.container(horizontal=True):  # as many in a row as the screen is wide
        for title, image in images:
            st.image(
                *(image, tr(title), IMAGE_WIDTH),
                channels="BGR",
                output_format="JPEG",
                alt=tr("{mask}, drawn onto the face").format(mask=tr(title)),
            )
    words = []
    if portrait.faces > 1:
        words.append(tr("The largest of {count} faces.").format(count=number(portrait.faces, ",")))
    if portrait.pose.source == "box":
        words.append(tr("Its eyes were not found, so the mask sits where it fits most faces."))
    words.append(tr("Photos stay in this server's memory while you look at them and are never stored."))
    st.caption(" ".join(words) if upload else tr("Eileen Collins (NASA, public domain). The masks are drawn."))


@st.cache_data(ttl=60, show_spinner=False)
def count_bare(name: str) -> int:
    """Bare faces of a data set that can get a mask."""
    return len(bare_faces(read_pictures(find_dataset(name).folder), DrawSettings.min_face_px))


def show_making() -> None:
    """The form for a new data set, or how far the one that is being made is."""
    st.header(tr("Make a data set"))
    job = server_jobs().status(JOB)
    if job and job.state == "running":
        show_progress()
        return
    if job and is_mine(job):
        show_end(job)
    sets = {each.name: each.card.get("title") or each.name for each in list_datasets() if not each.card.get("drawn")}
    if not sets:
        st.info(tr("There is no data set yet to draw on. The page **Data sets** offers several ways to get one."))
        return
    source = st.selectbox(
        tr("Bare faces from"), list(sets), format_func=told_apart(sets).__getitem__, key="synthetic_source"
    )
    try:
        with st.spinner(tr("Counting bare faces …")):
            bare = count_bare(source)
    except (DataError, OSError) as error:
        st.error(why(error))
        return
    if not bare:
        words = tr("Nothing in this data set is labelled {label}, so there is nothing to draw on.")
        st.info(words.format(label=plain(CLASS_NAMES[1])))
        return
    kinds = st.multiselect(
        tr("Kinds of mask"),
        list(MASK_KINDS),
        default=list(MASK_KINDS),
        format_func=lambda name: tr(MASK_KINDS[name].title),
        key="synthetic_kinds",
    )
    left, middle, right, far = st.columns(4)
    wrong = left.slider(
        *(tr("Worn incorrectly"), 0, 100, 20),
        format="%d%%",
        help=tr("Half under the nose, half on the chin."),
        key="synthetic_wrong",
    )
    per_face = middle.slider(tr("Masks per face"), 1, MAX_PER_FACE, 1, key="synthetic_per_face")
    limit = right.number_input(tr("Faces at most"), 1, bare, bare, key=f"synthetic_limit_{source}")
    seed = far.number_input(
        *(tr("Seed"), 0, 2**31 - 1, 42), help=tr("The same seed draws the same masks."), key="synthetic_seed_of_set"
    )
    name = st.text_input(tr("Name of the new data set"), f"{source}-drawn", 60, key=f"synthetic_name_{source}")
    count = limit * per_face
    st.caption(
        tr(
            "{bare} bare faces and {drawn} with a drawn mask, about {minutes} min. The originals stay as they are, and "
            "the new set says that its masks are drawn."
        ).format(
            bare=number(limit, ","),
            drawn=number(count, ","),
            minutes=number(max(1, round(count * SECONDS_PER_MASK / 60)), ","),
        )
    )
    if st.button(tr("Make the data set"), type="primary", icon=":material/draw:", disabled=not kinds):
        settings = DrawSettings(tuple(kinds), wrong / 100, per_face, int(seed), 0 if limit == bare else int(limit))
        server_jobs().start(JOB, name, partial(make_drawn_set, source, name, settings))
        st.rerun()


@page_part(run_every=1.0)
def show_progress() -> None:
    """How far the data set is; the work continues when nobody looks."""
    job = server_jobs().status(JOB)
    if job is None or job.state != "running":
        st.rerun()
    words = tr("{name}: {value}").format(name=plain(job.title), value=tr(job.text or mark("reading the data set")))
    st.progress(job.share or 0.0, words)
    st.button(tr("Cancel"), on_click=server_jobs().cancel, args=(JOB,))


def show_end(job: JobStatus) -> None:
    """What became of the last data set that was made here."""
    with st.container(horizontal=True, vertical_alignment="center"):
        if job.state == "done":
            st.success(
                tr(
                    "The data set {name} is ready. {about} See it on the page **Data sets**, train with it on the page "
                    "**Training**."
                ).format(name=plain(job.title), about=plain(tr(job.result.card.get("about", ""))))
            )
        elif job.state == "cancelled":
            st.info(tr("{name} was cancelled; nothing was kept.").format(name=plain(job.title)))
        else:
            st.error(plain(job.error))
        st.button(tr("OK"), on_click=server_jobs().forget, args=(JOB,))
