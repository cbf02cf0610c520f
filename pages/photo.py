"""Judge uploaded photos, or a picture taken with the camera."""

import logging
from dataclasses import dataclass

import numpy as np
import streamlit as st
import supervision as sv

from core.annotate import annotate
from core.app import pipeline_or_stop, plain, settings_form, show_faces_table, show_verdict_counts
from core.crops import fit_within
from core.detections import resized
from core.export import detection_rows, rows_to_csv, rows_to_json
from core.images import UPLOAD_TYPES, DecodedImages, ImageError, decode_image, encode_image
from core.pipeline import DetectionSettings, detect_masks
from core.stats import FrameStats, describe, summarize

log = logging.getLogger(__name__)
# The picture on the page; the download has every pixel.
DISPLAY_SIDE = (640, 1600)


@dataclass(eq=False)
class Photo:
    """One upload of this visitor and the newest verdicts on it; its pixels are decoded when they are needed."""

    key: str
    upload: object
    problem: str = ""
    judged_with: tuple | None = None
    detections: sv.Detections | None = None

    @property
    def name(self) -> str:
        """The file's own name; never used as a path."""
        return self.upload.name

    def frame(self) -> np.ndarray:
        """(h, w, 3) uint8 BGR. Raises: ImageError."""
        return decoded_images().get(self.key, self.upload.getvalue)


def decoded_images() -> DecodedImages:
    """This visitor's decoded pictures, in memory."""
    return st.session_state.setdefault("photo_decoded", DecodedImages())


def known_photos(uploads: list) -> list[Photo]:
    """The uploads with what is known of them already; what was removed is forgotten."""
    known = st.session_state.get("photo_known", {})
    photos = [known.get(upload.file_id) or Photo(upload.file_id, upload) for upload in uploads]
    st.session_state["photo_known"] = {photo.key: photo for photo in photos}
    decoded_images().keep_only(st.session_state["photo_known"])
    return photos


def judge(photos: list[Photo], pipeline_name: str, settings: DetectionSettings) -> None:
    """Judge every photo whose verdicts were made with other settings."""
    pipeline = pipeline_or_stop(pipeline_name)
    waiting = [photo for photo in photos if not photo.problem and photo.judged_with != (pipeline_name, settings)]
    progress = st.progress(0.0, "Looking for faces …") if len(waiting) > 1 else None
    for done, photo in enumerate(waiting, start=1):
        try:
            photo.detections = detect_masks(photo.frame(), pipeline, settings)
            photo.judged_with = (pipeline_name, settings)
        except ImageError as error:
            photo.problem = str(error)
        except Exception:  # one photo that breaks the analysis must not cost the others their results
            log.exception("A photo could not be judged")
            photo.problem = "This photo could not be judged; try it in another format or size."
        if progress:
            progress.progress(done / len(waiting), f"Looking for faces: photo {done} of {len(waiting)}")
    if progress:
        progress.empty()


def show(photo: Photo) -> None:
    """One photo large, its verdict in words, a row per face."""
    st.markdown(f"**{describe(summarize(photo.detections))}**")
    frame = photo.frame()
    small, _ = fit_within(frame, DISPLAY_SIDE[1])
    # Labels on a tiny picture would hide it: enlarge it first.
    size_wh = np.array(small.shape[1::-1])
    size_wh = np.rint(size_wh * max(1, DISPLAY_SIDE[0] / size_wh.max())).astype(int)
    view, boxes = resized(frame, photo.detections, tuple(size_wh.tolist()))
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
            show_faces_table(frame, photo.detections)
        else:
            st.info("No face was found. Faces must look at the camera and be larger than the smallest face set beside.")
        st.download_button(
            "Annotated photo",
            lambda: encode_image(annotate(decode_image(photo.upload.getvalue()), photo.detections)),
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

photos = known_photos(uploads)
if photos:
    judge(photos, pipeline_name, settings)
for photo in photos:
    if photo.problem:
        st.error(f"{plain(photo.name)}: {photo.problem}")
photos = [photo for photo in photos if not photo.problem]
if not photos:
    st.caption("Pictures stay in this server's memory while you look at them and are never stored.")
    st.stop()

total = sum((summarize(photo.detections) for photo in photos), FrameStats())
show_verdict_counts(total, pipeline_or_stop(pipeline_name), total.mask_share)
chosen = photos[0]
if len(photos) > 1:
    by_key = {photo.key: photo for photo in photos}
    chosen = by_key[st.selectbox("Photo", list(by_key), format_func=lambda key: by_key[key].name, key="photo_chosen")]
show(chosen)

rows = [row for photo in photos for row in detection_rows(photo.name, photo.detections)]
of = "all photos" if len(photos) > 1 else "this photo"
with st.container(horizontal=True):
    for kind, text, mime in (
        ("csv", rows_to_csv(rows), "text/csv"),
        ("json", rows_to_json(rows), "application/json"),
    ):
        st.download_button(
            f"Table of {of} ({kind.upper()})",
            text,
            f"faces.{kind}",
            mime,
            icon=":material/download:",
            on_click="ignore",
        )
