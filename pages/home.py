"""First page: what this does, a sample that needs no network, and the way to the other pages."""

import streamlit as st

from pages.components.access import is_operator

st.title("Who wears a face mask?")
st.markdown(
    "This dashboard finds faces and says for each whether it wears a mask: in photos and videos that you upload and "
    "live from your webcam. It runs on an ordinary computer, without a graphics card."
    + (" You can also look at the data sets, train a model of your own, and deploy it." if is_operator() else "")
)

with st.container(horizontal=True):
    st.page_link("pages/photo.py", label="Upload a photo", icon=":material/photo_camera:")
    st.page_link("pages/video.py", label="Analyse a video", icon=":material/movie:")
    st.page_link("pages/live.py", label="Start the webcam", icon=":material/videocam:")
    if is_operator():
        st.page_link("pages/datasets.py", label="See the data sets", icon=":material/photo_library:")
        st.page_link("pages/training.py", label="Train a model", icon=":material/model_training:")

st.subheader("What it looks like")
places = st.columns(2)

# Only now, with the words on the screen, is anything heavy imported.
from core.registry.active import in_use  # noqa: E402
from core.synthetic.sample import sample_photo  # noqa: E402
from core.vision.annotate import annotate  # noqa: E402
from core.vision.images import encode_image  # noqa: E402
from core.vision.pipeline import Method, detect_masks, method_version  # noqa: E402
from core.vision.stats import describe, summarize  # noqa: E402
from pages.components.messages import plain  # noqa: E402
from pages.components.resources import model_or_stop, pipeline_or_stop  # noqa: E402


@st.cache_data(show_spinner=False)
def annotated_sample(masked: bool, method: Method, version: str) -> tuple[bytes, str]:
    """The sample photo with its boxes as JPEG, and the result in words; made once per server and model."""
    photo = sample_photo(masked)
    detections = detect_masks(photo, pipeline_or_stop(method))
    return encode_image(annotate(photo, detections)), describe(summarize(detections))


method = in_use().method
for place, masked in zip(places, (False, True), strict=True):
    with place, st.spinner("Looking for faces …"), model_or_stop():
        jpeg, words = annotated_sample(masked, method, method_version(method))
    place.image(jpeg, caption=plain(words), width="stretch", alt=f"A portrait with the result: {words}")
st.caption("Eileen Collins (NASA, public domain). The mask on the right is drawn; the results are this server's own.")

st.subheader("Good to know")
st.markdown(
    "- **Private.** Photos stay in this server's memory while you look at them, videos on its disk until you delete "
    "them or leave. Nothing is kept or sent on"
    + (", unless you add it to a data set yourself.\n" if is_operator() else ".\n")
    + "- **Not perfect.** Every result is an estimate with a confidence beside it. Faces far away, half hidden or "
    "blurred are missed, or get a ? in place of a result.\n"
    "- **To raise awareness.** It counts faces; it does not know who anybody is."
)
