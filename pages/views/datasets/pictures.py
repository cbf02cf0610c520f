"""The images of a data set: under filters, one in full, augmentations of a face."""

import numpy as np
import streamlit as st

from core.datasets.edits import Edits
from core.datasets.index import Index
from core.datasets.label_issues import LabelIssues
from core.datasets.query import Filter, face_sample, matching, matching_faces
from core.datasets.store import DataError, DataSet
from core.language import number, tr
from core.vision.images import ImageError
from pages.components.gallery import PER_PAGE, page_of, show_tiles
from pages.components.messages import plain, why
from pages.components.state import GALLERY_OF, GALLERY_PAGE, NEIGHBOURS, OPEN_IMAGE, kept
from pages.views.datasets.augmentation import recipe_form
from pages.views.datasets.deciding import OF_FACES, OF_IMAGES, actions_for, decide, other_actions, tell
from pages.views.datasets.filters import FACES, IMAGES, filter_form
from pages.views.datasets.map import show_similar
from pages.views.datasets.opened import index_of, missing_of, predictions_of
from pages.views.datasets.picture import NOBODY, close_image, image_panel, open_image
from pages.views.datasets.tiles import augmentation_sheet, face_tiles, image_details, image_tiles
from train.augment import RECIPES
from train.config import TrainConfig


def show_gallery(index: Index, predictions: LabelIssues | None) -> None:
    """Pages of thumbnails under filters, of images or, in annotated sets, of single faces."""
    tell()
    wanted = filter_form(index, Filter(), can_disagree=predictions is not None)
    places = matching(index, wanted, predictions)
    whole = index.dataset.layout == "class_folders"
    faces_alone = (
        not whole
        and st.segmented_control(
            *(tr("Show"), (IMAGES, FACES)),
            format_func=tr,
            required=True,
            label_visibility="collapsed",
            **kept(GALLERY_OF, IMAGES),
        )
        == FACES
    )
    if faces_alone:
        _faces(index, matching_faces(index, wanted, predictions), predictions)
        return
    st.session_state[NEIGHBOURS] = [(index.pictures[place].key, 0) for place in places]
    st.markdown(
        tr("**{shown} of {images} images**").format(shown=number(len(places), ","), images=number(len(index), ","))
    )
    some = places[page_of(GALLERY_PAGE, len(places))]
    show_tiles(
        "data_tiles",
        [("", image_tiles(index, some, predictions))],
        open_image,
        actions=actions_for(index, *OF_IMAGES) if whole else other_actions(*OF_IMAGES),
        on_act=lambda action, ids: decide(index, action, ids),
    )


def _faces(index: Index, faces: np.ndarray, predictions: LabelIssues | None) -> None:
    st.session_state[NEIGHBOURS] = [index.picture_and_face(index.faces.items[face]) for face in faces]
    total = len(index.faces.items)
    st.markdown(tr("**{shown} of {faces} faces**").format(shown=number(len(faces), ","), faces=number(total, ",")))
    some = faces[page_of(GALLERY_PAGE, len(faces), what="faces")]
    show_tiles(
        "data_faces",
        [("", face_tiles(index, some, predictions))],
        lambda item: open_image(*index.picture_and_face(item)),
        actions=actions_for(index, *OF_FACES, OF_IMAGES[1]),
        on_act=lambda action, ids: decide(index, action, ids),
    )


def show_augmentations(index: Index) -> None:
    """One face under the augmentations of a training."""
    faces = np.flatnonzero(~index.faces.excluded)
    if not len(faces):
        st.info(tr("Every image of this set is excluded."))
        return
    how, seed, item = recipe_form(RECIPES, [index.faces.items[face] for face in faces])
    try:
        sample = face_sample(index, index.faces.items.index(item), TrainConfig.margin)
    except ImageError as error:
        st.error(plain(str(error)))
        return
    st.image(augmentation_sheet(sample, how, seed), width=896, alt=tr("Twelve augmentations of one face"))
    st.caption(
        tr(
            "{name}: training shows it a little differently in every epoch, so that the model learns what matters and "
            "not the photo by heart."
        ).format(name=plain(item))
    )


def show_image(dataset: DataSet) -> None:
    """One image in full, what is known of it, and everything that can be done with it."""
    st.dialog(tr("Image"), width="large", on_dismiss=close_image)(_image)(dataset)


def _image(dataset: DataSet) -> None:
    if not st.session_state.get(OPEN_IMAGE):
        st.rerun()  # it was left for another view
    try:
        index, edits = index_of(dataset), Edits.load(dataset.folder)
    except (DataError, OSError) as error:
        st.error(why(error))
        return
    key, face, *chosen = st.session_state[OPEN_IMAGE]
    if index is None or key not in index.place_of:
        st.info(tr("This image is no longer in the set."))
        return
    predictions = predictions_of(index)
    try:
        details = image_details(index, key, face, predictions)
    except ImageError as error:
        st.error(plain(str(error)))
        return
    suggested = [] if details.whole else [each for each in missing_of(index).suggestions if each.picture == key]
    image_panel(index, details, edits, suggested, chosen[0] if chosen else "")
    copies = np.flatnonzero(index.groups == index.groups[index.place_of[key]])
    if len(copies) > 1:
        others = copies[copies != index.place_of[key]][:PER_PAGE]
        tiles = image_tiles(index, others, predictions)
        title = tr("Near-duplicates of it: {count}").format(count=number(len(copies) - 1, ","))
        show_tiles("data_copies", [(title, tiles)], open_image)
    if details.faces and details.chosen != NOBODY and not chosen:
        show_similar(index, details.faces[details.chosen].item, predictions)
