"""The images of a data set: under filters, near-duplicates side by side, one in full, augmentations of a face."""

import numpy as np
import streamlit as st

from core.datasets.duplicates import Leak, leak_of_random_split, near_duplicate_groups
from core.datasets.edits import Edits
from core.datasets.index import Index, index_fingerprint
from core.datasets.label_issues import LabelIssues
from core.datasets.query import Filter, face_sample, matching, matching_faces
from core.datasets.store import DataError, DataSet
from core.language import mark, number, tr
from core.vision.images import ImageError
from pages.components.gallery import PER_PAGE, page_of, show_tiles
from pages.components.messages import plain, why
from pages.components.state import DUPLICATES_PAGE, GALLERY_PAGE, NEIGHBOURS, OPEN_IMAGE, kept
from pages.views.datasets.augmentation import recipe_form
from pages.views.datasets.deciding import OF_FACES, OF_IMAGES, actions_for, decide, other_actions, tell
from pages.views.datasets.filters import filter_form, split_choice
from pages.views.datasets.opened import index_of, missing_of, predictions_of
from pages.views.datasets.picture import close_image, image_panel, open_image
from pages.views.datasets.tiles import augmentation_sheet, face_tiles, image_details, image_tiles
from train.augment import RECIPES
from train.config import TrainConfig
from train.split import default_split, set_default_split

GROUPS_PER_PAGE = 20
IMAGES, FACES = mark("Images"), mark("Faces")


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
            **kept("data_gallery_of", IMAGES),
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


@st.cache_data(show_spinner=False, max_entries=16)
def leak(_index: Index, name: str, stamp: tuple) -> Leak:
    """What a random split would give away."""
    return leak_of_random_split(_index)


def show_near_duplicates(index: Index, predictions: LabelIssues | None) -> None:
    """Groups side by side, and what a random split would give away."""
    groups = near_duplicate_groups(index)
    if not groups:
        st.success(tr("No image of this set has a near-duplicate."))
        return
    with st.spinner(tr("Splitting the set at random …")):
        lost = leak(index, index.dataset.name, index_fingerprint(index.dataset))
    if index.pictures[0].whole:
        words = tr(
            "**{copies} of {images} images have a near-duplicate, in {groups} groups.** After a split at random, "
            "{leaked} of {tested} test images would have a near-duplicate in the training part, and the accuracy "
            "would look better than it is."
        )
    else:
        words = tr(
            "**{copies} of {images} images have a near-duplicate, in {groups} groups.** After a split at random, "
            "{leaked} of {tested} test faces would have a near-duplicate of their image, or another face of it, in "
            "the training part, and the accuracy would look better than it is."
        )
    st.markdown(
        words.format(
            copies=number(sum(map(len, groups)), ","),
            images=number(len(index), ","),
            groups=number(len(groups), ","),
            leaked=number(lost.leaked, ","),
            tested=number(lost.tested, ","),
        )
    )
    split_choice(default_split(), set_default_split)
    shown = groups[page_of(DUPLICATES_PAGE, len(groups), GROUPS_PER_PAGE, "groups")]
    st.session_state[NEIGHBOURS] = [(index.pictures[place].key, 0) for group in shown for place in group]
    sections = [
        (tr("{count} near-duplicates").format(count=number(len(group), ",")), image_tiles(index, group, predictions))
        for group in shown
    ]
    show_tiles("data_groups", sections, open_image)


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
