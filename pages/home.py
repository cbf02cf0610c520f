"""First page: the tool itself, with an example or a photo of the visitor's, and the way to the other pages."""

from functools import partial

import streamlit as st

from core.language import mark, tr
from pages.components.access import is_operator

CARDS = (
    (
        "pages/live.py",
        mark("Live webcam"),
        ":material/videocam:",
        mark("Who wears a mask right now; everybody is counted once."),
    ),
    (
        "pages/photo.py",
        mark("Photos"),
        ":material/photo_camera:",
        mark("Many at once, as a gallery, a table and a zip."),
    ),
    ("pages/video.py", mark("Videos"), ":material/movie:", mark("Boxes that move with people, and a card for each.")),
)
LEARN = (
    "pages/how_it_works.py",
    mark("How it works"),
    ":material/school:",
    mark("Every step, shown on a photo of your own."),
)
OPERATORS_CARDS = (
    (
        "pages/datasets.py",
        mark("Data sets"),
        ":material/photo_library:",
        mark("Look at the images and correct their labels."),
    ),
    (
        "pages/training.py",
        mark("Training"),
        ":material/model_training:",
        mark("A model of your own, compared and deployed here."),
    ),
    ("pages/model.py", mark("Model"), ":material/neurology:", mark("How often the model errs, and on what.")),
)

st.title(tr("Who wears a face mask?"))
picture, controls = st.columns([2, 1], gap="medium")
with picture:
    place = st.empty()
place.caption(tr("Looking for faces …"))
with controls:
    st.markdown(tr("Drop a photo: the faces in it are found, and for each it is said whether it wears a mask."))
    upload = st.file_uploader(tr("Your photo"), key="start_photo")
    st.caption(tr("Photos are in this server's memory while this page is open, and are never stored."))

# Only now, with the words on the screen, is anything heavy imported.
from core.registry.active import in_use  # noqa: E402
from core.synthetic.examples import SEVERAL  # noqa: E402
from core.vision.photos import PhotoSet, detector_of, looks_at_all_pixels  # noqa: E402
from core.vision.pipeline import PHOTO_SETTINGS, method_version  # noqa: E402
from core.vision.stats import describe, summarize  # noqa: E402
from core.vision.upright import quarters_to_upright  # noqa: E402
from pages.components.faces import show_class_counts  # noqa: E402
from pages.components.messages import plain  # noqa: E402
from pages.components.resources import model_or_stop, photo_turns, pipeline_or_stop  # noqa: E402
from pages.components.state import START_EXAMPLE, START_SET  # noqa: E402
from pages.views.photo import example, page_image, show_examples  # noqa: E402


def show_result() -> None:
    """The photo with a box per face, and what they are in numbers."""
    files = [(upload.file_id, upload.name, upload.getvalue)] if upload else example(START_EXAMPLE)
    (photo,) = photo_set.show(files)
    with place, st.spinner(tr("Looking for faces …")), model_or_stop():
        photo_set.classify(
            detector_of(pipeline, PHOTO_SETTINGS),
            (method, method_version(method)),
            whole=looks_at_all_pixels(method),
            other_turn=partial(quarters_to_upright, pipeline),
        )
    if photo.problem:
        place.error(tr("{name}: {words}").format(name=plain(photo.name), words=photo.problem))
        return
    seen = summarize(photo_set.shown(photo))
    image = page_image(photo_set.image(photo), photo_set.shown(photo))
    alt = tr("The photo with its result: {words}").format(words=describe(seen))
    place.image(image, width="stretch", output_format="JPEG", alt=alt)
    show_class_counts(seen, pipeline, seen.mask_share)


def show_cards(cards: tuple[tuple[str, str, str, str], ...]) -> None:
    """What else there is."""
    for column, (page, title, icon, words) in zip(st.columns(len(cards)), cards, strict=True):
        with column.container(border=True, height="stretch"):
            st.page_link(page, label=f"**{tr(title)}**", icon=icon)
            st.caption(tr(words))


method = in_use().method
pipeline = pipeline_or_stop(method)
photo_set: PhotoSet = st.session_state.setdefault(START_SET, PhotoSet(photo_turns()))
st.session_state.setdefault(START_EXAMPLE, SEVERAL)
with picture:
    result = st.container()
    show_examples(START_EXAMPLE)
    with result:
        show_result()

st.header(tr("What else there is"))
show_cards(CARDS)
show_cards((*(OPERATORS_CARDS if is_operator() else ()), LEARN))

st.header(tr("Good to know"))
private = (
    tr(
        "**Private.** Photos stay in this server's memory while you look at them, videos on its disk until you delete "
        "them or leave. Nothing is kept or sent on, unless you add it to a data set yourself."
    )
    if is_operator()
    else tr(
        "**Private.** Photos stay in this server's memory while you look at them, videos on its disk until you delete "
        "them or leave. Nothing is kept or sent on."
    )
)
not_perfect = tr(
    "**Not perfect.** Every result is an estimate with a confidence beside it. Faces far away, half hidden or blurred "
    "are missed, or get a ? in place of a result."
)
aware = tr(
    "**To raise awareness.** It counts faces; it does not know who anybody is. It runs on an ordinary computer, "
    "without a graphics card."
)
st.markdown(f"- {private}\n- {not_perfect}\n- {aware}")
