"""Near-duplicates side by side: which contradict each other, one of each kept, and what a random split gives away."""

from collections.abc import Sequence

import streamlit as st

from core.datasets.duplicates import Copies, Leak, copies, copies_to_exclude, leak_of_random_split
from core.datasets.edits import Edits
from core.datasets.index import Index, index_fingerprint
from core.datasets.label_issues import LabelIssues
from core.language import number, tr, trn
from pages.components.gallery import page_of, show_tiles
from pages.components.messages import tried
from pages.components.state import DUPLICATES_PAGE, NEIGHBOURS
from pages.views.datasets.deciding import (
    ALL_RIGHT,
    KEEP_ALONE,
    OF_IMAGES,
    actions_for,
    decide,
    other_actions,
    tell,
    undo_button,
)
from pages.views.datasets.filters import split_choice
from pages.views.datasets.picture import open_image
from pages.views.datasets.tiles import image_tiles
from train.split import default_split, set_default_split

GROUPS_PER_PAGE = 20


@st.cache_data(show_spinner=False, max_entries=16)
def leak(_index: Index, name: str, stamp: tuple) -> Leak:
    """What a random split would give away."""
    return leak_of_random_split(_index)


def show_near_duplicates(index: Index, predictions: LabelIssues | None) -> None:
    """Groups side by side, those with contradicting labels first, and what a random split would give away."""
    tell()
    groups = copies(index)
    if not groups:
        st.success(tr("No image of this set has a near-duplicate."))
        return
    with st.spinner(tr("Splitting the set at random …")):
        lost = leak(index, index.dataset.name, index_fingerprint(index.dataset))
    sentences = [
        trn(
            "**{copies} of {images} images have a near-duplicate, in {count} group.**",
            "**{copies} of {images} images have a near-duplicate, in {count} groups.**",
            len(groups),
        ).format(
            copies=number(sum(len(group.places) for group in groups), ","),
            images=number(len(index), ","),
            count=number(len(groups), ","),
        )
    ]
    if lost.leaked:
        words = tr(
            "After a split at random, {leaked} of {tested} test images would have a near-duplicate in the training "
            "part, and the accuracy would look better than it is."
        )
        if not index.pictures[0].whole:
            words = tr(
                "After a split at random, {leaked} of {tested} test faces would have a near-duplicate of their image, "
                "or another face of it, in the training part, and the accuracy would look better than it is."
            )
        sentences.append(words.format(leaked=number(lost.leaked, ","), tested=number(lost.tested, ",")))
    st.markdown(" ".join(sentences))
    split_choice(default_split(), set_default_split)
    _exclusion(index, groups)
    shown = groups[page_of(DUPLICATES_PAGE, len(groups), GROUPS_PER_PAGE, "groups")]
    st.session_state[NEIGHBOURS] = [(index.pictures[place].key, 0) for group in shown for place in group.places]
    divided = any(picture.split for picture in index.pictures)
    show_tiles(
        "data_groups",
        [(_title(group), image_tiles(index, group.places, predictions, parts=divided)) for group in shown],
        open_image,
        actions=(actions_for if index.pictures[0].whole else other_actions)(
            *_first(index), KEEP_ALONE, ALL_RIGHT, *OF_IMAGES
        ),
        on_act=lambda action, ids: decide(index, action, ids),
        beside=True,
    )


def _first(index: Index) -> list:
    """Classes are given to whole images alone."""
    return [index] if index.pictures[0].whole else []


def _title(group: Copies) -> str:
    count = number(len(group.places), ",")
    if group.contradicts:
        return "⚠ " + tr("{count} near-duplicates, their labels contradict each other").format(count=count)
    if group.differs:
        return "✓ " + tr("{count} near-duplicates, their labels differ and were confirmed").format(count=count)
    if group.is_open:
        return tr("{count} near-duplicates").format(count=count)
    if group.left:
        return "✓ " + tr("{count} near-duplicates, one is kept").format(count=count)
    return "✓ " + tr("{count} near-duplicates, none is kept").format(count=count)


def _exclusion(index: Index, groups: Sequence[Copies]) -> None:
    """One of each group stays, at one click; what contradicts is left to a person."""
    agreeing, contradicting = ([group for group in groups if group.contradicts == is_so] for is_so in (False, True))
    if contradicting:
        st.warning(
            trn(
                "In {count} group the labels contradict each other: one is wrong, or the images really differ, as a "
                "face with and without a drawn mask does. Correct the wrong label, or choose the image to keep and "
                "press *Keep, exclude its copies*. If the images really differ, choose one of them and press "
                "*Labels of the group are right*.",
                "In {count} groups the labels contradict each other: one is wrong, or the images really differ, as a "
                "face with and without a drawn mask does. Correct the wrong labels, or choose the image to keep and "
                "press *Keep, exclude its copies*. Where the images really differ, choose one of the group and press "
                "*Labels of the group are right*.",
                len(contradicting),
            ).format(count=number(len(contradicting), ",")),
            icon=":material/warning:",
        )
    with st.container(horizontal=True, vertical_alignment="center"):
        if extra := len(copies_to_exclude(index, agreeing)):
            st.button(
                trn("Exclude {count} copy", "Exclude {count} copies", extra).format(count=number(extra, ",")),
                icon=":material/filter_none:",
                on_click=_exclude,
                args=(index, False),
                help=tr(
                    "One image of each group stays, or one of each label where differing labels were confirmed: one of "
                    "the set's own test part if there is one, else the largest. Training and evaluation leave out the "
                    "others. The files stay."
                ),
            )
        if more := len(copies_to_exclude(index, contradicting)):
            st.button(
                trn(
                    "Keep one of each label, exclude {count} copy",
                    "Keep one of each label, exclude {count} copies",
                    more,
                ).format(count=number(more, ",")),
                icon=":material/rule:",
                on_click=_exclude,
                args=(index, True),
                help=tr(
                    "For the groups whose labels contradict each other, if all their labels are right: one image of "
                    "each label stays."
                ),
            )
        if not any(group.is_open for group in groups):
            st.markdown(tr(":material/check_circle: At most one image of each group is kept."))
        elif not contradicting and not extra:
            st.markdown(tr(":material/check_circle: One image of each label is kept in each group."))
        undo_button(Edits.load(index.dataset.folder))


@tried
def _exclude(index: Index, contradicting: bool) -> None:
    """Keep one image of each group whose labels agree, or one of each label of those that contradict."""
    now = index.with_edits()  # somebody else may have decided meanwhile
    groups = [group for group in copies(now) if group.contradicts == contradicting]
    Edits.load(index.dataset.folder).exclude(copies_to_exclude(now, groups))
