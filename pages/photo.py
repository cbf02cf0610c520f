"""Who wears a mask in uploaded photos, or in one taken with the camera."""

from dataclasses import replace
from functools import partial

import numpy as np
import streamlit as st
import supervision as sv

from core.vision.annotate import annotate
from core.vision.crops import fit_within
from core.vision.detections import resized
from core.vision.detector import MaskDetector
from core.vision.explain import overlay_centers
from core.vision.images import UPLOAD_TYPES, decode_image, encode_image
from core.vision.photos import Photo, PhotoSet
from core.vision.pipeline import PHOTO_SETTINGS, PIPELINES, DetectionSettings, Method, detect_masks, method_version
from core.vision.stats import FrameStats, describe, summarize
from core.vision.tables import detection_rows, rows_to_csv, rows_to_json
from pages.components.compat import part_of_the_app
from pages.components.faces import show_class_counts, show_faces_table, show_hidden_faces, show_reasons
from pages.components.messages import plain, told_apart
from pages.components.resources import follow_active_method, model_or_stop, pipeline_or_stop
from pages.components.settings import settings_form
from pages.components.state import PHOTO_SET

# The photo on the page, longer side; the download has every pixel.
DISPLAY_SIDE = (640, 1600)
RESULTS, HEAT_MAP, METHODS = "Results", "Face heat map", "All methods"


def page_image(frame_bgr: np.ndarray, detections: sv.Detections) -> np.ndarray:
    """The annotated photo in a size for the page."""
    small, _ = fit_within(frame_bgr, DISPLAY_SIDE[1])
    # Labels on a tiny photo would hide it: enlarge it first.
    size_wh = np.array(small.shape[1::-1])
    size_wh = np.rint(size_wh * max(1, DISPLAY_SIDE[0] / size_wh.max())).astype(int)
    return annotate(*resized(frame_bgr, detections, tuple(size_wh.tolist())))


def show(photo: Photo, frame_bgr: np.ndarray, found: sv.Detections) -> None:
    """One photo large, its result in words, a row per face."""
    seen = summarize(found)
    if seen.faces or not seen.hidden:
        st.markdown(f"**{plain(describe(replace(seen, hidden=0)))}**")
    if seen.hidden:
        show_hidden_faces("photo", seen, settings.min_face_px)
    image, table = st.columns([4, 3])
    annotated = page_image(frame_bgr, found)
    image.image(annotated, channels="BGR", output_format="JPEG", width="stretch", alt="The photo with a box per face")
    with table:
        if len(found):
            show_faces_table(frame_bgr, found)
            show_reasons(frame_bgr, found, method)
        st.download_button(
            "Annotated photo",
            lambda: encode_image(annotate(decode_image(photo.read()), found)),
            file_name="faces.jpg",
            mime="image/jpeg",
            icon=":material/download:",
            on_click="ignore",
        )


def show_heat_map(frame_bgr: np.ndarray, detector: MaskDetector, settings: DetectionSettings) -> None:
    """How likely every place is the centre of a face, over the photo."""
    st.markdown("**The brighter, the likelier the centre of a face.** A box is drawn around each bright spot.")
    small, _ = fit_within(frame_bgr, DISPLAY_SIDE[1])
    seen = overlay_centers(small, detector.center_map(frame_bgr, settings.preset))
    st.image(seen, channels="BGR", output_format="JPEG", width="stretch", alt="The photo with its face heat map")


def show_methods(photo: Photo, frame_bgr: np.ndarray, settings: DetectionSettings) -> None:
    """The results of every method side by side; with the chosen model where it fits."""
    chosen = PIPELINES[method.pipeline].model_kind
    for column, (name, spec) in zip(st.columns(len(PIPELINES)), PIPELINES.items(), strict=True):
        with column:
            other = Method(name, method.model if spec.model_kind == chosen else spec.default_model)
            detect = partial(detect_masks, pipeline=pipeline_or_stop(other), settings=settings)
            with st.spinner(f"{spec.title} …"), model_or_stop():
                found, elapsed_ms = photo_set.compare(photo, detect, (other, method_version(other), settings))
            st.subheader(spec.title)
            st.markdown(f"{plain(describe(summarize(found)))} {elapsed_ms:.0f} ms.")
            st.image(
                page_image(frame_bgr, found), channels="BGR", output_format="JPEG", width="stretch", alt=spec.title
            )


part_of_the_app()
st.title("Photo")
method, settings = settings_form("photo", PHOTO_SETTINGS)
follow_active_method()
source = st.segmented_control(
    "From", ("Upload", "Camera"), default="Upload", required=True, label_visibility="collapsed", key="photo_source"
)
if source == "Upload":
    label = "Photos: JPEG, PNG, WebP or HEIC, up to 50 megapixels"
    uploads = st.file_uploader(label, UPLOAD_TYPES, accept_multiple_files=True, key="photo_files")
else:
    shot = st.camera_input("Take a photo", key="photo_camera")
    uploads = [shot] if shot else []

photo_set: PhotoSet = st.session_state.setdefault(PHOTO_SET, PhotoSet())
photos = photo_set.show((upload.file_id, upload.name, upload.getvalue) for upload in uploads)
pipeline = pipeline_or_stop(method)
bar = st.empty()  # appears only while there is something to do
with model_or_stop():
    photo_set.judge(
        partial(detect_masks, pipeline=pipeline, settings=settings),
        (method, method_version(method), settings),
        lambda done, total: bar.progress(done / total, f"Looking for faces: photo {done} of {total}"),
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
chosen, frame = good[key], photo_set.frame(good[key])
views = [RESULTS, *([HEAT_MAP] if detector else []), METHODS]
view = st.segmented_control(
    "Show", views, default=RESULTS, required=True, label_visibility="collapsed", key="photo_view"
)
if view == METHODS:
    show_methods(chosen, frame, settings)
elif view == HEAT_MAP and detector:
    show_heat_map(frame, detector, settings)
else:
    show(chosen, frame, detections[key])

rows = [row for key, found in detections.items() for row in detection_rows(good[key].name, found)]
of = "all photos" if len(good) > 1 else "this photo"
with st.container(horizontal=True):
    for kind, text, mime in (
        ("csv", rows_to_csv(rows), "text/csv"),
        ("json", rows_to_json(rows), "application/json"),
    ):
        name = f"Results of {of} ({kind.upper()})"
        st.download_button(name, text, f"faces.{kind}", mime, icon=":material/download:", on_click="ignore")
