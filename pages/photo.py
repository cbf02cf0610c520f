"""Who wears a mask in uploaded photos, or in one taken with the camera."""

import logging
from dataclasses import replace
from functools import partial

import streamlit as st

from core.language import mark, number, tr, trn
from core.video.reader import in_words
from core.vision.images import LoadedImage
from core.vision.photos import Photo, PhotoSet, detector_of, looks_at_all_pixels
from core.vision.pipeline import PHOTO_SETTINGS, PIPELINES, DetectionSettings, Method, method_version
from core.vision.stats import FrameStats, describe, summarize
from core.vision.upright import quarters_to_upright
from pages.components.compat import part_of_the_app
from pages.components.faces import show_class_counts
from pages.components.messages import plain
from pages.components.resources import follow_active_method, model_or_stop, photo_turns, pipeline_or_stop
from pages.components.settings import settings_form
from pages.components.state import PHOTO_CHOSEN, PHOTO_EXAMPLE, PHOTO_SET, PHOTO_STOPPED
from pages.views.photo import (
    FIRST_S,
    SLICE_S,
    example,
    filtered,
    page_image,
    show_downloads,
    show_examples,
    show_gallery,
    show_heat_map,
    show_neighbours,
    show_photo,
    show_refused,
    show_words,
)

RESULTS, HEAT_MAP, METHODS = mark("Results"), mark("Face heat map"), mark("All methods")
log = logging.getLogger(__name__)


def show_methods(photo: Photo, image: LoadedImage, settings: DetectionSettings) -> None:
    """The results of every method side by side; with the chosen model where it fits."""
    chosen = PIPELINES[method.pipeline].model_kind
    for column, (name, spec) in zip(st.columns(len(PIPELINES)), PIPELINES.items(), strict=True):
        with column:
            other = Method(name, method.model if spec.model_kind == chosen else spec.default_model)
            detect = detector_of(pipeline_or_stop(other), settings)
            with st.spinner(f"{tr(spec.title)} …"), model_or_stop():
                found, elapsed_ms = photo_set.compare(
                    photo, detect, (other, method_version(other), settings), looks_at_all_pixels(other)
                )
            st.header(tr(spec.title))
            st.markdown(f"{plain(describe(summarize(found)))} {number(elapsed_ms, '.0f')} ms.")
            st.image(page_image(image, found), output_format="JPEG", width="stretch", alt=tr(spec.title))


def show_progress(done: int, total: int, left_s: float) -> None:
    """How far the analysis is; here a click interrupts it."""
    words = tr("Looking for faces: photo {done} of {total}.").format(done=number(done, ","), total=number(total, ","))
    if left_s >= 1 and done < total:
        words += " " + tr("About {time} left.").format(time=in_words(round(left_s)))
    bar.progress(done / total, words)


def show_place(before: int) -> None:
    """Whose photos are looked at first."""
    words = trn("{count} photo is before yours", "{count} photos are before yours", before)
    bar.progress(0.0, words.format(count=number(before, ",")))


def look(seconds: float) -> None:
    """Look for faces in photos for about so long."""
    with model_or_stop():
        photo_set.classify(
            detector_of(pipeline, all_faces),
            made_with,
            show_progress,
            show_place,
            looks_at_all_pixels(method),
            partial(quarters_to_upright, pipeline),
            first=first,
            seconds=seconds,
        )


def stop() -> None:
    """Leave the photos that are on the page as they are."""
    st.session_state[PHOTO_STOPPED] = made_with, frozenset(photo.key for photo in photos)


def resume() -> None:
    """Look at the others too."""
    st.session_state.pop(PHOTO_STOPPED, None)


part_of_the_app()
st.title(tr("Photo"))
source = st.segmented_control(
    *(tr("From"), (mark("Upload"), mark("Camera"))),
    default="Upload",
    format_func=tr,
    required=True,
    label_visibility="collapsed",
    key="photo_source",
)
if source == "Upload":
    # Of any type: what cannot be read is said below, in our words.
    label = tr("Photos: JPEG, PNG, WebP, HEIC and others, up to 50 megapixels")
    uploads = st.file_uploader(label, accept_multiple_files=True, key="photo_files")
else:
    shot = st.camera_input(tr("Take a photo"), key="photo_camera")
    uploads = [shot] if shot else []
if uploads:
    st.session_state.pop(PHOTO_EXAMPLE, None)

if PHOTO_SET not in st.session_state:
    st.session_state[PHOTO_SET] = PhotoSet(photo_turns())
photo_set: PhotoSet = st.session_state[PHOTO_SET]
photos = photo_set.show(
    [(upload.file_id, upload.name, upload.getvalue) for upload in uploads] or example(PHOTO_EXAMPLE)
)
progress, head, switch, whole = st.container(), st.container(), st.container(), st.container()
picture, beside = st.columns([6, 5], gap="medium") if photos else (st.container(), None)
foot = st.container()
method, settings, _ = settings_form("photo", PHOTO_SETTINGS, beside or st.container())
follow_active_method()
pipeline = pipeline_or_stop(method)
# Faces that a limit hides are found too: downloads blur them, and another limit needs no other look.
all_faces = replace(settings, min_face_px=0)
photo_set.min_face_px = settings.min_face_px
made_with = method, method_version(method), all_faces
first = st.session_state.get(PHOTO_CHOSEN, "")

stopped_with, stopped_at = st.session_state.get(PHOTO_STOPPED, (None, frozenset()))
stopped = stopped_with == made_with and all(photo.key in stopped_at for photo in photos)
with progress.container(horizontal=True, vertical_alignment="center"):
    bar = st.empty()  # appears only while there is something to do
    button = st.empty()
if todo := photo_set.todo(made_with, first):
    if stopped:
        words = tr("Stopped: {done} of {total} photos were looked at.")
        bar.info(words.format(done=number(len(photos) - len(todo), ","), total=number(len(photos), ",")))
        button.button(tr("Continue"), icon=":material/play_arrow:", on_click=resume)
    elif len(photos) > 1:
        button.button(tr("Stop"), icon=":material/stop_circle:", on_click=stop)
    if not stopped and (len(todo) == len(photos) or todo[0].key == first):
        look(FIRST_S)

good = {photo.key: photo for photo in photos if not photo.problem}
done = {key: photo for key, photo in good.items() if photo.classified_with == made_with}
going_on = not stopped and len(done) < len(good)
if not going_on and not stopped:
    bar.empty()
    button.empty()
with head:
    show_refused(photos)
with foot:
    last = st.container()
    if not uploads:
        show_examples(PHOTO_EXAMPLE)
    st.caption(
        tr(
            "Photos are in this server's memory while this page is open: they go when you leave it, and are "
            "never stored."
        )
    )
if not done:
    if going_on:  # all were refused until now
        look(SLICE_S)
        st.rerun()
    st.stop()

stats = {key: summarize(photo_set.shown(photo)) for key, photo in done.items()}
names, keys = photo_set.names(), list(done)
with head:
    total = sum(stats.values(), FrameStats())
    show_class_counts(total, pipeline, total.mask_share)
    if len(good) > 1:
        keys = filtered(stats, pipeline.classes)
    chosen = done[first if first in keys else keys[0]]
    if len(good) > 1:
        show_gallery(photo_set, [done[key] for key in keys], names, chosen.key)
        show_neighbours(keys, names[chosen.key], chosen.key)
detector = getattr(pipeline, "detector", None)
views = [RESULTS, *([HEAT_MAP] if detector else []), METHODS]
with switch.container(key="views_photo"):  # one row on a phone: app.css
    view = st.segmented_control(
        *(tr("Show"), views),
        default=RESULTS,
        format_func=tr,
        required=True,
        label_visibility="collapsed",
        key="photo_view",
    )
try:
    image = photo_set.image(chosen)
    if view == METHODS:
        with whole:
            show_methods(chosen, image, settings)
    elif view == HEAT_MAP and detector:
        with picture:
            show_heat_map(image, detector, settings)
    else:
        with switch:
            show_words(photo_set, chosen)
        show_photo(photo_set, chosen, image, made_with, method, picture, beside or picture)
except Exception:  # one photo that cannot be shown must not cost the others their results
    log.exception("A photo could not be shown")
    words = tr("This photo cannot be shown; try it in another format or size.")
    st.error(tr("{name}: {words}").format(name=plain(chosen.name), words=words))
with last:
    show_downloads(photo_set, [done[key] for key in keys], {key: names[key] for key in done}, len(keys) == len(done))
if going_on:
    look(SLICE_S)
    st.rerun()
