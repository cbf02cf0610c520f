"""Judge uploaded photos, or a picture taken with the camera."""

from dataclasses import dataclass

import numpy as np
import streamlit as st
import supervision as sv

from core.annotate import annotate
from core.app import pipeline_or_stop, plain, settings_form, show_faces_table, show_verdict_counts
from core.crops import fit_within
from core.detections import resized
from core.export import detection_rows, rows_to_csv, rows_to_json
from core.images import UPLOAD_TYPES, ImageError, decode_image, encode_image
from core.pipeline import detect_masks
from core.stats import FrameStats, describe, summarize

# The picture on the page; the download has every pixel.
DISPLAY_SIDE = (640, 1600)


@dataclass
class Photo:
    """One upload, decoded once, and the newest verdicts on it."""

    name: str
    frame_bgr: np.ndarray | None = None
    problem: str = ""
    judged_with: tuple | None = None
    detections: sv.Detections | None = None


def read_photos(uploads: list) -> list[Photo]:
    """Decode what is new, forget what was removed. Kept for this visitor alone, in memory."""
    known = st.session_state.setdefault("photo_uploads", {})
    for upload in uploads:
        if upload.file_id not in known:
            photo = known[upload.file_id] = Photo(upload.name)
            try:
                with st.spinner(f"Reading {plain(upload.name)} …"):
                    photo.frame_bgr = decode_image(upload.getvalue())
            except ImageError as error:
                photo.problem = str(error)
    present = {upload.file_id: known[upload.file_id] for upload in uploads}
    st.session_state["photo_uploads"] = present
    return list(present.values())


def judge(photos: list[Photo], pipeline_name: str, settings) -> None:
    """Judge every photo whose verdicts were made with other settings."""
    pipeline = pipeline_or_stop(pipeline_name)
    waiting = [photo for photo in photos if photo.judged_with != (pipeline_name, settings)]
    progress = st.progress(0.0, "Looking for faces …") if len(waiting) > 3 else None
    for done, photo in enumerate(waiting, start=1):
        photo.detections = detect_masks(photo.frame_bgr, pipeline, settings)
        photo.judged_with = (pipeline_name, settings)
        if progress:
            progress.progress(done / len(waiting), f"Looking for faces: photo {done} of {len(waiting)}")
    if progress:
        progress.empty()


def show(photo: Photo) -> None:
    """One photo large, its verdict in words, a row per face."""
    st.markdown(f"**{describe(summarize(photo.detections))}**")
    small, _ = fit_within(photo.frame_bgr, DISPLAY_SIDE[1])
    # Labels on a tiny picture would hide it: enlarge it first.
    size_wh = np.array(small.shape[1::-1])
    size_wh = np.rint(size_wh * max(1, DISPLAY_SIDE[0] / size_wh.max())).astype(int)
    view, boxes = resized(photo.frame_bgr, photo.detections, tuple(size_wh.tolist()))
    picture, table = st.columns([4, 3])
    picture.image(
        annotate(view, boxes),
        channels="BGR",
        output_format="JPEG",
        width="stretch",
        alt="The photo with a box per face",
    )
    with table:
        if len(photo.detections):
            show_faces_table(photo.frame_bgr, photo.detections)
        else:
            st.info("No face was found. Faces must look at the camera and be larger than the smallest face set beside.")
        st.download_button(
            "Annotated photo",
            lambda: encode_image(annotate(photo.frame_bgr, photo.detections)),
            file_name="faces.jpg",
            mime="image/jpeg",
            icon=":material/download:",
            on_click="ignore",
        )


st.title("Photo")
pipeline_name, settings = settings_form()
source = st.segmented_control(
    "Where from?",
    ("Upload", "Camera"),
    default="Upload",
    required=True,
    label_visibility="collapsed",
    key="photo_source",
)
if source == "Upload":
    uploads = st.file_uploader(
        "Photos: JPEG, PNG, WebP or HEIC, up to 50 megapixels",
        UPLOAD_TYPES,
        accept_multiple_files=True,
        key="photo_files",
    )
else:
    picture = st.camera_input("Take a picture", key="photo_camera")
    uploads = [picture] if picture else []

photos = read_photos(uploads)
for photo in photos:
    if photo.problem:
        st.error(f"{plain(photo.name)}: {photo.problem}")
photos = [photo for photo in photos if photo.frame_bgr is not None]
if not photos:
    st.caption("Pictures stay in this server's memory while you look at them and are never stored.")
    st.stop()

judge(photos, pipeline_name, settings)
total = sum((summarize(photo.detections) for photo in photos), FrameStats())
show_verdict_counts(total.counts, total.mask_share, "Faces with a mask worn well, of all faces found.")
chosen = 0
if len(photos) > 1:
    chosen = st.selectbox(
        "Photo",
        range(len(photos)),
        format_func=lambda i: f"{photos[i].name}: {describe(summarize(photos[i].detections))}",
    )
show(photos[chosen])

rows = [row for photo in photos for row in detection_rows(photo.name, photo.detections)]
with st.container(horizontal=True):
    of = "all photos" if len(photos) > 1 else "this photo"
    csv, json = rows_to_csv(rows), rows_to_json(rows)
    st.download_button(
        f"Table of {of} (CSV)", csv, "faces.csv", "text/csv", icon=":material/download:", on_click="ignore"
    )
    st.download_button(
        f"Table of {of} (JSON)", json, "faces.json", "application/json", icon=":material/download:", on_click="ignore"
    )
