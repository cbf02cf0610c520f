"""The pictures of a data set: under filters, near copies side by side, one in full, one as training sees it."""

import numpy as np
import streamlit as st

from core.datasets.duplicates import Leak, leak_of_random_split, near_copy_places
from core.datasets.edits import Repairs
from core.datasets.index import Catalogue, catalogue_stamp
from core.datasets.label_issues import SecondOpinion
from core.datasets.query import Filter, face_sample, matching
from core.datasets.store import DataSet
from core.vision.images import ImageError
from pages.components.gallery import PER_PAGE, page_of, show_tiles
from pages.components.messages import plain
from pages.views.datasets.augmentation import recipe_form
from pages.views.datasets.filters import filter_form, split_choice
from pages.views.datasets.opened import catalogue_of, opinion_of
from pages.views.datasets.picture import close_picture, open_picture, picture_panel
from pages.views.datasets.tiles import picture_details, picture_tiles, sheet_of_views
from train.augment import RECIPES
from train.config import TrainConfig
from train.split import default_split, set_default_split

GROUPS_PER_PAGE = 20


def show_gallery(catalogue: Catalogue, opinion: SecondOpinion | None) -> None:
    """Pages of thumbnails under filters."""
    wanted = filter_form(catalogue, Filter(), can_disagree=opinion is not None)
    places = matching(catalogue, wanted, opinion)
    st.session_state["data_around"] = [(catalogue.pictures[place].key, 0) for place in places]
    st.markdown(f"**{len(places):,} of {len(catalogue):,} pictures**")
    some = places[page_of("data_gallery_page", len(places))]
    show_tiles("data_tiles", [("", picture_tiles(catalogue, some, opinion))], open_picture)


@st.cache_data(show_spinner="Dividing the set at random …", max_entries=16)
def leak(_catalogue: Catalogue, name: str, stamp: tuple) -> Leak:
    """What a random split would give away."""
    return leak_of_random_split(_catalogue)


def show_near_copies(catalogue: Catalogue, opinion: SecondOpinion | None) -> None:
    """Groups side by side, and what a random split would give away."""
    groups = near_copy_places(catalogue)
    if not groups:
        st.success("No picture has a near copy in this set.")
        return
    lost = leak(catalogue, catalogue.dataset.name, catalogue_stamp(catalogue.dataset))
    copies, what = sum(map(len, groups)), "pictures" if catalogue.pictures[0].whole else "faces"
    st.markdown(
        f"**{copies:,} of {len(catalogue):,} pictures have a near copy, in {len(groups):,} groups.** Divided at "
        f"random, {lost.leaked:,} of {lost.tested:,} test {what} would have a near copy "
        f"{'' if what == 'pictures' else 'of their picture, or another face of it, '}among those learnt from, and the "
        "figure would look better than it is."
    )
    split_choice(default_split(), set_default_split)
    shown = groups[page_of("data_groups_page", len(groups), GROUPS_PER_PAGE, "groups")]
    st.session_state["data_around"] = [(catalogue.pictures[place].key, 0) for group in shown for place in group]
    sections = [(f"{len(group)} alike", picture_tiles(catalogue, group, opinion)) for group in shown]
    show_tiles("data_groups", sections, open_picture)


def show_views(catalogue: Catalogue) -> None:
    """One face as training varies it."""
    faces = np.flatnonzero(~catalogue.faces.aside)
    if not len(faces):
        st.info("Every picture of this set is set aside.")
        return
    how, seed, item = recipe_form(RECIPES, [catalogue.faces.items[face] for face in faces])
    try:
        sample = face_sample(catalogue, catalogue.faces.items.index(item), TrainConfig.margin)
    except ImageError as error:
        st.error(plain(str(error)))
        return
    st.image(sheet_of_views(sample, how, seed), width=896, alt="Twelve varied views of one face")
    st.caption(
        f"{plain(item)}: every time the network sees it, it looks a little different, so that it learns what matters "
        "and not the photo by heart."
    )


@st.dialog("Picture", width="large", on_dismiss=close_picture)
def show_picture(dataset: DataSet) -> None:
    """One picture in full, what is known of it, and everything that can be done with it."""
    if not st.session_state.get("data_picture"):
        st.rerun()  # it was left for another view
    catalogue = catalogue_of(dataset)
    key, face = st.session_state["data_picture"]
    if catalogue is None or key not in catalogue.place_of:
        st.info("This picture is no longer in the set.")
        return
    opinion = opinion_of(catalogue)
    try:
        details = picture_details(catalogue, key, face, opinion)
    except ImageError as error:
        st.error(plain(str(error)))
        return
    picture_panel(details, Repairs.load(dataset.folder))
    copies = np.flatnonzero(catalogue.groups == catalogue.groups[catalogue.place_of[key]])
    if len(copies) > 1:
        others = copies[copies != catalogue.place_of[key]][:PER_PAGE]
        tiles = picture_tiles(catalogue, others, opinion)
        show_tiles("data_copies", [(f"Its near copies: {len(copies) - 1}", tiles)], open_picture)
