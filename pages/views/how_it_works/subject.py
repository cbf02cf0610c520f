"""The photo that all steps look at, with whatever was computed of it; one for each visitor."""

from dataclasses import dataclass, field
from functools import cached_property, partial

import numpy as np
import streamlit as st
import supervision as sv
from streamlit.runtime.uploaded_file_manager import UploadedFile

from core.language import current, mark, tr
from core.synthetic.sample import sample_photo
from core.vision.boxes import shorter_sides
from core.vision.cascade import SHOWN_SIDE, SHOWN_STEP, Cascade, Windows, prepare, read_cascade, search
from core.vision.classifier import DEFAULT_CLASSIFIER
from core.vision.crops import fit_within
from core.vision.detector import DEFAULT_DETECTOR
from core.vision.explain import FaceExplainer
from core.vision.haar import HaarSettings
from core.vision.images import ImageError, load_image, turn_image
from core.vision.photos import LEAST_SIDES, classify_upright, detector_of
from core.vision.pipeline import PHOTO_SETTINGS, ClassicPipeline, Method, NeuralPipeline, detect_masks, method_version
from core.vision.trace import Trace, trace
from core.vision.upright import quarters_to_upright
from pages.components.faces import load_face_explainer
from pages.components.messages import plain
from pages.components.resources import model_or_stop, photo_turns, pipeline_or_stop
from pages.components.state import HOW_SUBJECT, made_once

# Larger photos are reduced: no step shows more pixels.
LONG_SIDE = 1024
BARE, MASKED, OWN = SOURCES = mark("Bare face"), mark("With a mask"), mark("My photo")
CLASSIC, NEURAL = Method("classic", DEFAULT_CLASSIFIER), Method("neural", DEFAULT_DETECTOR)


def classic() -> ClassicPipeline:
    """The cascade and the shipped classifier."""
    return pipeline_or_stop(CLASSIC)  # type: ignore[return-value]  # what it is under this name


def neural() -> NeuralPipeline:
    """The shipped detector."""
    return pipeline_or_stop(NEURAL)  # type: ignore[return-value]


def explainer() -> FaceExplainer:
    """The shipped classifier, whose inside can be read."""
    with model_or_stop():
        return load_face_explainer(CLASSIC.model, method_version(CLASSIC))


@st.cache_resource(show_spinner=False)
def cascade() -> Cascade:
    """The cascade of the classic pipeline."""
    with model_or_stop():
        return read_cascade()


@dataclass(eq=False)
class Subject:
    """One photo. What a step needs is computed when it is first shown, and kept as long as the photo."""

    frame_bgr: np.ndarray
    """(h, w, 3) uint8, upright, not larger than ``LONG_SIDE``."""
    note: str = ""
    traces: dict[int, Trace] = field(default_factory=dict)

    @cached_property
    def found(self) -> sv.Detections:
        """The detector's faces, the largest first."""
        pipeline = neural()
        with photo_turns().turn():
            found = detect_masks(self.frame_bgr, pipeline, PHOTO_SETTINGS)
        return found[np.argsort(-shorter_sides(found.xyxy), kind="stable")]

    @cached_property
    def grey(self) -> tuple[np.ndarray, np.ndarray]:
        """What the cascade gets: (h, w) uint8, as it is and equalised."""
        return prepare(self.frame_bgr)

    @cached_property
    def windows(self) -> Windows:
        """All windows of the cascade."""
        return search(self.grey[1], cascade())

    def squares(self, min_neighbors: int) -> np.ndarray:
        """OpenCV's own search among the same windows: (n, 4) in pixels of the photo; with 0 neighbours, all."""
        how = HaarSettings(scale_factor=SHOWN_STEP, min_neighbors=min_neighbors, max_side=SHOWN_SIDE)
        return classic().find_faces.find_squares(self.frame_bgr, how.cascade, how)[0]

    @property
    def zoom(self) -> float:
        """Pixels of the photo per pixel of ``grey``."""
        return self.frame_bgr.shape[1] / self.grey[0].shape[1]

    def trace(self, face: int) -> Trace:
        """What the classifier makes of a face."""
        if face not in self.traces:
            self.traces.clear()  # a face at a time is enough
            self.traces[face] = trace(explainer(), explainer().crop(self.frame_bgr, self.found.xyxy[face]))
        return self.traces[face]


def choose_subject() -> Subject | None:
    """The photo to look at: an example or the visitor's own; ``None`` as long as there is none."""
    with st.container(horizontal=True, vertical_alignment="bottom"):
        source = st.segmented_control(
            tr("Photo"),
            SOURCES,
            format_func=tr,
            default=BARE,
            required=True,
            key="how_source",
            label_visibility="collapsed",
        )
    upload = None
    if source == OWN:
        upload = st.file_uploader(tr("A photo with a face, best one that looks at the camera"), key="how_file")
        if upload is None:
            st.caption(tr("The photo stays in this server's memory while you look at it and is never stored."))
            return None
    key = (source, upload.file_id if upload else "", current())  # its note is in words
    try:
        with st.spinner(tr("Looking for faces …")), model_or_stop():
            return made_once(HOW_SUBJECT, key, partial(own_photo, upload) if upload else partial(example, source))
    except ImageError as error:
        name = plain(upload.name) if upload else ""
        st.error(tr("{name}: {problem}").format(name=name, problem=plain(str(error))))
        return None


def example(source: str) -> Subject:
    """The portrait of the astronaut, bare or with a drawn mask."""
    note = tr("Eileen Collins (NASA, public domain).")
    if source == MASKED:
        note = tr("Eileen Collins (NASA, public domain); the mask is drawn.")
    return Subject(sample_photo(masked=source == MASKED), note)


def own_photo(upload: UploadedFile) -> Subject:
    """An uploaded photo, turned upright where its faces are not. Raises: ImageError."""
    pipeline = neural()
    with photo_turns().turn():
        image = load_image(upload.getvalue(), LEAST_SIDES)
        small = fit_within(image.frame_bgr, LONG_SIDE)[0]
        image = image._replace(frame_bgr=small, size_wh=small.shape[1::-1])
        found, quarters = classify_upright(
            image, detector_of(pipeline, PHOTO_SETTINGS), partial(quarters_to_upright, pipeline)
        )
    subject = Subject(np.ascontiguousarray(turn_image(image, quarters).frame_bgr), image.note)
    subject.found = found
    return subject
