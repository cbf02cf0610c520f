"""The images of a data set: under filters, near-duplicates side by side, one in full, augmentations of a face."""

import numpy as np
import streamlit as st

from core.datasets.duplicates import Leak, leak_of_random_split, near_duplicate_groups
from core.datasets.edits import Edits
from core.datasets.index import Index, index_fingerprint
from core.datasets.label_issues import LabelIssues
from core.datasets.query import Filter, face_sample, matching, matching_faces
from core.datasets.store import DataError, DataSet
from core.vision.images import ImageError
from pages.components.gallery import PER_PAGE, page_of, show_tiles
from pages.components.messages import plain, why
from pages.components.state import DUPLICATES_PAGE, GALLERY_PAGE, NEIGHBOURS, OPEN_IMAGE, kept
from pages.views.datasets.augmentation import recipe_form
from pages.views.datasets.deciding import OF_FACES, OF_IMAGES, UNDO_IT, actions_for, decide, tell
from pages.views.datasets.filters import filter_form, split_choice
from pages.views.datasets.opened import index_of, missing_of, predictions_of
from pages.views.datasets.picture import close_image, image_panel, open_image
from pages.views.datasets.tiles import augmentation_sheet, face_tiles, image_details, image_tiles
from train.augment import RECIPES
from train.config import TrainConfig
from train.split import default_split, set_default_split

GROUPS_PER_PAGE = 20
IMAGES, FACES = "Images", "Faces"


def show_gallery(index: Index, predictions: LabelIssues | None) -> None:
    """Pages of thumbnails under filters, of images or, in annotated sets, of single faces."""
    tell()
    wanted = filter_form(index, Filter(), can_disagree=predictions is not None)
    places = matching(index, wanted, predictions)
    whole = index.dataset.layout == "class_folders"
    faces_alone = (
        not whole
        and st.segmented_control(
            "Show", (IMAGES, FACES), required=True, label_visibility="collapsed", **kept("data_gallery_of", IMAGES)
        )
        == FACES
    )
    if faces_alone:
        _faces(index, matching_faces(index, wanted, predictions), predictions)
        return
    st.session_state[NEIGHBOURS] = [(index.pictures[place].key, 0) for place in places]
    st.markdown(f"**{len(places):,} of {len(index):,} images**")
    some = places[page_of(GALLERY_PAGE, len(places))]
    show_tiles(
        "data_tiles",
        [("", image_tiles(index, some, predictions))],
        open_image,
        actions=actions_for(index, *OF_IMAGES) if whole else [*OF_IMAGES, UNDO_IT],
        on_act=lambda action, ids: decide(index, action, ids),
    )


def _faces(index: Index, faces: np.ndarray, predictions: LabelIssues | None) -> None:
    st.session_state[NEIGHBOURS] = [index.picture_and_face(index.faces.items[face]) for face in faces]
    st.markdown(f"**{len(faces):,} of {len(index.faces.items):,} faces**")
    some = faces[page_of(GALLERY_PAGE, len(faces), what="faces")]
    show_tiles(
        "data_faces",
        [("", face_tiles(index, some, predictions))],
        lambda item: open_image(*index.picture_and_face(item)),
        actions=actions_for(index, *OF_FACES, OF_IMAGES[1]),
        on_act=lambda action, ids: decide(index, action, ids),
    )


@st.cache_data(show_spinner="Splitting the set at random …", max_entries=16)
def leak(_index: Index, name: str, stamp: tuple) -> Leak:
    """What a random split would give away."""
    return leak_of_random_split(_index)


def show_near_duplicates(index: Index, predictions: LabelIssues | None) -> None:
    """Groups side by side, and what a random split would give away."""
    groups = near_duplicate_groups(index)
    if not groups:
        st.success("No image of this set has a near-duplicate.")
        return
    lost = leak(index, index.dataset.name, index_fingerprint(index.dataset))
    copies, what = sum(map(len, groups)), "images" if index.pictures[0].whole else "faces"
    st.markdown(
        f"**{copies:,} of {len(index):,} images have a near-duplicate, in {len(groups):,} groups.** After a split "
        f"at random, {lost.leaked:,} of {lost.tested:,} test {what} would have a near-duplicate "
        f"{'' if what == 'images' else 'of their image, or another face of it, '}in the training part, and the "
        "accuracy would look better than it is."
    )
    split_choice(default_split(), set_default_split)
    shown = groups[page_of(DUPLICATES_PAGE, len(groups), GROUPS_PER_PAGE, "groups")]
    st.session_state[NEIGHBOURS] = [(index.pictures[place].key, 0) for group in shown for place in group]
    sections = [(f"{len(group)} near-duplicates", image_tiles(index, group, predictions)) for group in shown]
    show_tiles("data_groups", sections, open_image)


def show_augmentations(index: Index) -> None:
    """One face under the augmentations of a training."""
    faces = np.flatnonzero(~index.faces.excluded)
    if not len(faces):
        st.info("Every image of this set is excluded.")
        return
    how, seed, item = recipe_form(RECIPES, [index.faces.items[face] for face in faces])
    try:
        sample = face_sample(index, index.faces.items.index(item), TrainConfig.margin)
    except ImageError as error:
        st.error(plain(str(error)))
        return
    st.image(augmentation_sheet(sample, how, seed), width=896, alt="Twelve augmentations of one face")
    st.caption(
        f"{plain(item)}: training shows it a little differently in every epoch, so that the model learns what matters "
        "and not the photo by heart."
    )


@st.dialog("Image", width="large", on_dismiss=close_image)
def show_image(dataset: DataSet) -> None:
    """One image in full, what is known of it, and everything that can be done with it."""
    if not st.session_state.get(OPEN_IMAGE):
        st.rerun()  # it was left for another view
    try:
        index, edits = index_of(dataset), Edits.load(dataset.folder)
    except (DataError, OSError) as error:
        st.error(why(error))
        return
    key, face, *chosen = st.session_state[OPEN_IMAGE]
    if index is None or key not in index.place_of:
        st.info("This image is no longer in the set.")
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
        show_tiles("data_copies", [(f"Near-duplicates of it: {len(copies) - 1}", tiles)], open_image)
