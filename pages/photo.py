"""Who wears a mask in uploaded photos, or in one taken with the camera."""

import logging
from dataclasses import replace
from functools import partial

import numpy as np
import streamlit as st
import supervision as sv

from core.vision.annotate import annotate
from core.vision.crops import fit_within
from core.vision.detections import fitted, resized
from core.vision.detector import MaskDetector
from core.vision.explain import overlay_centers
from core.vision.images import LoadedImage, encode_image
from core.vision.photos import Photo, PhotoSet, detector_of, looks_at_all_pixels
from core.vision.pipeline import (
    PHOTO_SETTINGS,
    PIPELINES,
    DetectionSettings,
    Method,
    method_version,
)
from core.vision.stats import FrameStats, describe, summarize
from core.vision.tables import detection_rows, rows_to_csv, rows_to_json
from core.vision.upright import quarters_to_upright
from pages.components.compat import part_of_the_app
from pages.components.faces import show_class_counts, show_faces_table, show_hidden_faces, show_reasons
from pages.components.messages import plain, told_apart
from pages.components.resources import follow_active_method, model_or_stop, photo_turns, pipeline_or_stop
from pages.components.settings import settings_form
from pages.components.state import PHOTO_SET, made_once

# The photo on the page, longer side; the download has every pixel. Streamlit would encode a larger one again.
DISPLAY_SIDE = (640, 1460)
RESULTS, HEAT_MAP, METHODS = "Results", "Face heat map", "All methods"
log = logging.getLogger(__name__)


def page_image(image: LoadedImage, detections: sv.Detections) -> bytes:
    """The annotated photo in a size for the page, as a JPEG file."""
    in_frame = fitted(detections, image.size_wh, image.frame_bgr.shape[1::-1])
    longest = max(image.frame_bgr.shape[:2])
    # Labels on a tiny photo would hide it: enlarge it first.
    scale = float(np.clip(longest, *DISPLAY_SIDE)) / longest
    size_wh = tuple(max(1, round(scale * side)) for side in image.frame_bgr.shape[1::-1])
    return encode_image(annotate(*resized(image.frame_bgr, in_frame, size_wh)))


def show(photo: Photo, image: LoadedImage, found: sv.Detections) -> None:
    """One photo large, its result in words, a row per face."""
    seen = summarize(found)
    if seen.faces or not seen.hidden:
        st.markdown(f"**{plain(describe(replace(seen, hidden=0)))}**")
    if seen.hidden:
        show_hidden_faces("photo", seen, settings.min_face_px)
    picture, table = st.columns([4, 3])
    annotated = made_once("photo_annotated", (photo.key, photo.turned, made_with), partial(page_image, image, found))
    picture.image(annotated, output_format="JPEG", width="stretch", alt="The photo with a box per face")
    with table:
        if len(found):
            show_faces_table(image, found)
            show_reasons(image.frame_bgr, fitted(found, image.size_wh, image.frame_bgr.shape[1::-1]), method)
        with st.container(horizontal=True):
            st.download_button(
                "Annotated photo",
                lambda: encode_image(annotate(photo.whole(), found)),
                file_name="faces.jpg",
                mime="image/jpeg",
                icon=":material/download:",
                on_click="ignore",
            )
            st.button(
                "Turn",
                icon=":material/rotate_right:",
                help="By a quarter to the right: faces are found best when they are upright.",
                on_click=photo.turn,
            )
    if photo.note:
        st.caption(photo.note)
    if photo.found_turned:
        st.caption("No face was clear as this photo is stored, so it was turned.")


def show_heat_map(image: LoadedImage, detector: MaskDetector, settings: DetectionSettings) -> None:
    """How likely every place is the centre of a face, over the photo."""
    st.markdown("**The brighter, the likelier the centre of a face.** A box is drawn around each bright spot.")
    small, _ = fit_within(image.frame_bgr, DISPLAY_SIDE[1])
    seen = overlay_centers(small, detector.center_map(image.frame_bgr, settings.preset))
    st.image(seen, channels="BGR", output_format="JPEG", width="stretch", alt="The photo with its face heat map")


def show_methods(photo: Photo, image: LoadedImage, settings: DetectionSettings) -> None:
    """The results of every method side by side; with the chosen model where it fits."""
    chosen = PIPELINES[method.pipeline].model_kind
    for column, (name, spec) in zip(st.columns(len(PIPELINES)), PIPELINES.items(), strict=True):
        with column:
            other = Method(name, method.model if spec.model_kind == chosen else spec.default_model)
            detect = detector_of(pipeline_or_stop(other), settings)
            with st.spinner(f"{spec.title} …"), model_or_stop():
                found, elapsed_ms = photo_set.compare(
                    photo, detect, (other, method_version(other), settings), looks_at_all_pixels(other)
                )
            st.subheader(spec.title)
            st.markdown(f"{plain(describe(summarize(found)))} {elapsed_ms:.0f} ms.")
            st.image(page_image(image, found), output_format="JPEG", width="stretch", alt=spec.title)


def show_place(before: int) -> None:
    """Whose photos are looked at first."""
    bar.progress(0.0, f"{before} {'photo is' if before == 1 else 'photos are'} before yours")


part_of_the_app()
st.title("Photo")
method, settings = settings_form("photo", PHOTO_SETTINGS)
follow_active_method()
source = st.segmented_control(
    "From", ("Upload", "Camera"), default="Upload", required=True, label_visibility="collapsed", key="photo_source"
)
if source == "Upload":
    # Of any type: what cannot be read is said below, in our words.
    label = "Photos: JPEG, PNG, WebP, HEIC and others, up to 50 megapixels"
    uploads = st.file_uploader(label, accept_multiple_files=True, key="photo_files")
else:
    shot = st.camera_input("Take a photo", key="photo_camera")
    uploads = [shot] if shot else []

if PHOTO_SET not in st.session_state:
    st.session_state[PHOTO_SET] = PhotoSet(photo_turns())
photo_set: PhotoSet = st.session_state[PHOTO_SET]
photos = photo_set.show((upload.file_id, upload.name, upload.getvalue) for upload in uploads)
pipeline = pipeline_or_stop(method)
made_with = method, method_version(method), settings
bar = st.empty()  # appears only while there is something to do
with model_or_stop():
    photo_set.judge(
        detector_of(pipeline, settings),
        made_with,
        lambda done, total: bar.progress(done / total, f"Looking for faces: photo {done} of {total}"),
        show_place,
        looks_at_all_pixels(method),
        partial(quarters_to_upright, pipeline),
    )
bar.empty()
for photo in photos:
    if photo.problem:
        st.error(f"{plain(photo.name)}: {photo.problem}")
good = {photo.key: photo for photo in photos if not photo.problem}
detections = {key: photo.detections for key, photo in good.items() if photo.detections is not None}
if not good:
    st.caption("Photos stay in this server's memory while you look at them and are never stored.")
    st.stop()

total = sum((summarize(found) for found in detections.values()), FrameStats())
detector = getattr(pipeline, "detector", None)
show_class_counts(total, pipeline, total.mask_share)
key = next(iter(good))
if len(good) > 1:
    names = told_apart({each: photo.name for each, photo in good.items()}, by_key=False)
    key = st.selectbox("Photo", list(good), format_func=names.__getitem__, key="photo_chosen")
chosen = good[key]
views = [RESULTS, *([HEAT_MAP] if detector else []), METHODS]
view = st.segmented_control(
    "Show", views, default=RESULTS, required=True, label_visibility="collapsed", key="photo_view"
)
try:
    image = photo_set.image(chosen)
    if view == METHODS:
        show_methods(chosen, image, settings)
    elif view == HEAT_MAP and detector:
        show_heat_map(image, detector, settings)
    else:
        show(chosen, image, detections[key])
except Exception:  # one photo that cannot be shown must not cost the others their results
    log.exception("A photo could not be shown")
    st.error(f"{plain(chosen.name)}: This photo cannot be shown; try it in another format or size.")

rows = [row for key, found in detections.items() for row in detection_rows(good[key].name, found)]
of = "all photos" if len(good) > 1 else "this photo"
with st.container(horizontal=True):
    for kind, make, mime in (("csv", rows_to_csv, "text/csv"), ("json", rows_to_json, "application/json")):
        name = f"Results of {of} ({kind.upper()})"
        data = partial(make, rows)
        st.download_button(name, data, f"faces.{kind}", mime, icon=":material/download:", on_click="ignore")
