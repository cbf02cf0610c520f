"""The map of a set, on which faces that look alike are near each other, and the faces most similar to one of them."""

from functools import partial

import numpy as np
import streamlit as st

from core.datasets.features import Features, feature_card, features_of, find_features, most_similar
from core.datasets.formats import DataError
from core.datasets.index import Index
from core.datasets.label_issues import LabelIssues
from core.jobs import Report
from core.language import mark, number, tr, trn
from core.vision.classes import CLASS_STYLES, NO_PREDICTION, WITH_MASK
from core.vision.classifier import DEFAULT_CLASSIFIER
from core.vision.explain import load_explainer
from core.vision.model_card import ModelCard, ModelError
from pages.components.faces import load_face_explainer
from pages.components.figure import CHART, on_dark
from pages.components.gallery import show_tiles
from pages.components.jobs import show_end_of_job, show_job
from pages.components.messages import plain, tried
from pages.components.resources import server_jobs
from pages.components.state import kept
from pages.views.datasets.deciding import tell
from pages.views.datasets.filters import show_items
from pages.views.datasets.opened import features_of_set, map_of
from pages.views.datasets.picture import close_image, open_image
from pages.views.datasets.tiles import face_tiles, styles_by_name

BY_CLASS, BY_MODEL = LOOKS = (mark("By class"), mark("By what the model says"))
Look = tuple[str, tuple[int, int, int]]
"""Words and colour (RGB, 0..255) of a kind of points."""
MOST_SIMILAR = 12
LEAST_FACES = 3
"""With fewer there is nothing to compare."""


def show_map(index: Index, predictions: LabelIssues | None) -> None:
    """Every face as a point; those that are circled are shown in the gallery."""
    tell()
    card = _card_or_none()
    if card is None:
        return
    found = features_of_set(index, card.sha256)
    working = _work(index)
    if not working:
        _offer(index, found)
    if len(found.faces) < LEAST_FACES:
        if found.sampled < LEAST_FACES or not (found.left or working):
            st.info(tr("A map needs at least three faces."))
        return
    drawn = map_of(index, card.sha256)
    if not len(drawn.faces):
        st.info(tr("Every image of this set is excluded."))
        return
    st.markdown(
        tr(
            "Each point is a face. Faces that look alike lie close together, whatever their labels: **a point among "
            "those of another class may have a wrong label.** Draw a line around some points, by mouse or finger, to "
            "see them in the gallery, where you can change many labels at once."
        )
    )
    _chart(index, predictions, drawn.faces, drawn.xy)
    sentences = [
        tr(
            "How much two faces look alike is measured by the classifier that comes with the app. The axes have no "
            "unit: they are the two directions in which the faces differ most (PCA). They show {share} of all "
            "differences, so faces that lie close together may still differ in other ways."
        ).format(share=number(drawn.share, ".0%"))
    ]
    if found.sampled < len(index.faces.items):
        sentences.append(
            tr("This is a sample: {shown} of {faces} faces, drawn at random, the same ones every time.").format(
                shown=number(found.sampled, ","), faces=number(len(index.faces.items), ",")
            )
        )
    if len(drawn.faces) < len(found.faces):
        sentences.append(tr("Excluded faces are left out."))
    st.caption(" ".join(sentences))


def show_similar(index: Index, item: str, predictions: LabelIssues | None) -> None:
    """The faces most similar to this one, with their classes; where nobody has looked at the set, a button to begin."""
    card = _card_or_none()
    if card is None or item not in index.faces.items:
        return
    found = features_of_set(index, card.sha256)
    if not len(found.faces):
        if not _work(index):
            _offer(index, found)
        return
    face = index.faces.items.index(item)
    try:
        vector = features_of(index, found, face, load_face_explainer(DEFAULT_CLASSIFIER, card.sha256))
    except ModelError as error:
        st.error(plain(str(error)))
        return
    faces = most_similar(index, found, face, vector, MOST_SIMILAR) if vector is not None else found.faces[:0]
    if not len(faces):
        return
    label = index.faces.label[face]
    others = int((index.faces.label[faces] != label).sum())
    words = trn(
        "The most similar face has another label than this one.",
        "Of the {count} most similar faces, {others} have another label than this one.",
        len(faces),
    )
    if not others:
        words = trn(
            "The most similar face has the same label as this one.",
            "The {count} most similar faces have the same label as this one.",
            len(faces),
        )
    show_tiles(
        "data_similar",
        [(words.format(count=number(len(faces)), others=number(others)), face_tiles(index, faces, predictions))],
        lambda like: open_image(*index.picture_and_face(like)),
    )

    def to_gallery() -> None:
        close_image()
        show_items(index, [item, *(index.faces.items[like] for like in faces)], similar_to=item)

    st.button(tr("Show them in the gallery"), icon=":material/grid_view:", on_click=to_gallery)


def _card_or_none() -> ModelCard | None:
    """The card of the shipped classifier; where there is none, one sentence says so."""
    try:
        return feature_card()
    except ModelError as error:
        st.error(plain(str(error)))
        return None


def _job(index: Index) -> str:
    return f"data:features:{index.dataset.name}"


def _work(index: Index) -> bool:
    """Whether the faces are being looked at; shows how far that is, or how it ended."""
    status = show_job(server_jobs(), _job(index))
    show_end_of_job(status, server_jobs())
    return status is not None and status.state == "running"


def _offer(index: Index, found: Features) -> None:
    """A button to look at the faces that nobody has looked at."""
    if not found.left or found.sampled < LEAST_FACES:
        return
    count = number(found.left, ",")
    words = trn("Add {count} face to the map", "Add {count} faces to the map", found.left).format(count=count)
    if found.left == found.sampled:
        words = tr("Compare the faces")
        st.markdown(
            tr(
                "The classifier that comes with the app looks at {count} faces of this set, only once. A map then "
                "shows which of them look alike, and below each image you see the faces most similar to it."
            ).format(count=count)
        )

    def start() -> None:
        server_jobs().start(_job(index), tr("Comparing the faces"), partial(_find, index))

    st.button(words, icon=":material/scatter_plot:", type="primary", on_click=start)


def _find(index: Index, report: Report) -> None:
    find_features(index, load_explainer(DEFAULT_CLASSIFIER), report)


def _chart(index: Index, predictions: LabelIssues | None, faces: np.ndarray, xy: np.ndarray) -> None:
    from pages.components.charts import chosen_points, points_by_kind

    look = st.segmented_control(
        *(tr("Colour and shape"), LOOKS),
        format_func=tr,
        required=True,
        label_visibility="collapsed",
        **kept("data_map_look", BY_CLASS),
    )
    kinds, order = _by_class(index, faces) if look == BY_CLASS else _by_model(predictions, faces)
    if look == BY_MODEL and predictions is None:
        st.info(tr("First let the model classify the set, under Label issues."))
    key = f"data_map_{LOOKS.index(look)}"
    items = [index.faces.items[face] for face in faces]

    @tried
    def chosen() -> None:
        if not index.dataset.folder.is_dir():
            raise DataError(tr("This data set is no longer there."))
        known = set(items)
        if some := [item for item in chosen_points(st.session_state.get(key)) if item in known]:
            show_items(index, some)

    st.plotly_chart(
        points_by_kind(xy, kinds, order, items, on_dark()),
        key=key,
        on_select=chosen,
        selection_mode="lasso",
        config=CHART,
        alt=tr("Map of {count} faces").format(count=number(len(faces), ",")),
    )


def _by_class(index: Index, faces: np.ndarray) -> tuple[list[str], dict[str, Look]]:
    """What kind each face is, and the words and the colour of each kind."""
    styles = styles_by_name(index)
    labels = index.faces.label[faces].tolist()
    return labels, {name: (f"{style.sign} {style.words}", style.color_rgb) for name, style in styles.items()}


def _by_model(predictions: LabelIssues | None, faces: np.ndarray) -> tuple[list[str], dict[str, Look]]:
    kinds = {
        "agrees": (tr("The model agrees"), CLASS_STYLES[WITH_MASK].color_rgb),
        "differs": (tr("The model disagrees"), (213, 94, 0)),
        "unknown": (tr("No prediction"), NO_PREDICTION.color_rgb),
    }
    if predictions is None:
        return ["unknown"] * len(faces), kinds
    known, differs = ~np.isnan(predictions.losses[faces]), predictions.disagrees[faces]
    return np.where(differs, "differs", np.where(known, "agrees", "unknown")).tolist(), kinds
