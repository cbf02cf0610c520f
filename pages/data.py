"""Look at data sets, see what is wrong with them, mend them; add and delete them."""

import streamlit as st

from core.app_start import part_of_the_app

part_of_the_app()
st.title("Data sets")

# Only now, with the title on the screen, is anything heavy imported.
from functools import partial  # noqa: E402

import numpy as np  # noqa: E402

from core import app_data as parts  # noqa: E402
from core import app_gallery as gallery  # noqa: E402
from core.app import plain, server_jobs  # noqa: E402
from core.card import ModelCard, ModelError  # noqa: E402
from core.classifier import load_classifier  # noqa: E402
from core.images import ImageError  # noqa: E402
from train.augment import RECIPES  # noqa: E402
from train.catalogue import (  # noqa: E402
    Catalogue,
    build_catalogue,
    catalogue_stamp,
    default_split,
    open_catalogue,
    set_default_split,
)
from train.gallery import Filter, facts, leak_of_random_split, matching, near_copy_places  # noqa: E402
from train.imports import fetch_report_set, import_zip, make_demo_set  # noqa: E402
from train.library import LAYOUTS, DataError, DataSet, delete_dataset, link_folder, list_datasets  # noqa: E402
from train.places import allowed_dirs  # noqa: E402
from train.repairs import Repairs  # noqa: E402
from train.second_opinion import (  # noqa: E402
    SecondOpinion,
    classifier_card,
    judge,
    open_opinion,
    opinion_stamp,
    suspicious,
)
from train.tiles import (  # noqa: E402
    face_sample,
    face_tiles,
    picture_details,
    picture_tiles,
    sheet_of_views,
    styles_by_name,
)

jobs = server_jobs()
GROUPS_PER_PAGE = 20
VIEWS = ("Overview", "Gallery", "Near copies", "Suspicious labels", "What the network sees")


@st.cache_resource(show_spinner="Opening the data set …", max_entries=4)
def opened(_dataset: DataSet, name: str, looked_at: int) -> Catalogue | None:
    """The catalogue as it was built at this moment, shared by all visitors."""
    return open_catalogue(_dataset)


@st.cache_resource(show_spinner=False, max_entries=4)
def repaired(_catalogue: Catalogue, name: str, stamp: tuple) -> Catalogue:
    """The catalogue with what people had changed at this moment."""
    return _catalogue.repaired()


@st.cache_resource(show_spinner=False, max_entries=4)
def judged(_catalogue: Catalogue, _card: ModelCard, name: str, stamp: tuple) -> SecondOpinion | None:
    """What the model in use thought of it at this moment."""
    return open_opinion(_catalogue, _card)


@st.cache_data(show_spinner="Dividing the set at random …", max_entries=16)
def leak(_catalogue: Catalogue, name: str, stamp: tuple):
    """What a random split would give away."""
    return leak_of_random_split(_catalogue)


def catalogue_of(dataset: DataSet) -> Catalogue | None:
    """The catalogue, or ``None`` if it has to be built; looks for new files once per visit."""
    stamp = catalogue_stamp(dataset)
    looked_at = st.session_state.setdefault("data_looked_at", set())
    if dataset.name not in looked_at:
        looked_at.add(dataset.name)
        opened.clear(dataset, dataset.name, stamp[0])
        repaired.clear()  # a changed annotation file alone does not change the stamp
        judged.clear()
        jobs.forget(f"data:look:{dataset.name}")
    catalogue = opened(dataset, dataset.name, stamp[0])
    return catalogue and repaired(catalogue, dataset.name, stamp)


def opinion_of(catalogue: Catalogue) -> SecondOpinion | None:
    """What the model in use thinks of the set, if it was asked."""
    try:
        card = classifier_card()
    except ModelError:
        return None
    stamp = (card.sha256, opinion_stamp(catalogue, card), *catalogue_stamp(catalogue.dataset))
    return judged(catalogue, card, catalogue.dataset.name, stamp)


def add_forms(heading: str) -> None:
    """Every way to get a data set."""
    ways = ["Demonstration", "Upload", "The report's set", *(["Folder on the server"] if allowed_dirs() else [])]
    way = st.segmented_control(heading, ways, default=ways[0], required=True, key="data_way")
    if way == "Demonstration":
        st.markdown("A few dozen pictures, made here from one portrait with drawn masks: enough to try everything.")
        if st.button("Make the demonstration set", icon=":material/auto_awesome:", type="primary"):
            parts.start_import(jobs, "Making the demonstration set", make_demo_set)
    elif way == "The report's set":
        st.markdown(
            "1,376 pictures with and without masks that the student's report learnt from, fetched from GitHub "
            "(prajnasb/observations). Every file is checked; what was fetched is kept if the connection breaks."
        )
        if st.button("Fetch the report's set", icon=":material/cloud_download:", type="primary"):
            parts.start_import(jobs, "Fetching the report's set", fetch_report_set)
    elif way == "Upload":
        parts.upload_form(
            lambda file, name: parts.start_import(jobs, f"Reading {name}", partial(import_zip, file, name))
        )
    else:
        parts.folder_form([str(folder) for folder in allowed_dirs()], link_folder)


def filter_from_bar(field: str, divided: bool, bar: list) -> None:
    """Show the pictures that a bar counts: of a class (and part, where the set is divided), or within a range."""
    values = {field: tuple(bar)}
    if field == "classes":
        values = {"classes": (bar[0],), "splits": (bar[1],) if divided else ()}
    gallery.show_filtered(Filter(**values))


def delete(name: str) -> None:
    """Delete a data set; work on it is stopped."""
    for kind in ("look", "judge"):
        jobs.cancel(f"data:{kind}:{name}")
    delete_dataset(name)


def show_overview(catalogue: Catalogue) -> None:
    """Counts and charts; a click on a bar leads to its pictures."""
    from core import charts_data as charts

    numbers = facts(catalogue)
    for column, (name, value) in zip(st.columns(len(numbers.totals)), numbers.totals.items(), strict=True):
        column.metric(name, f"{value:,}")
    st.caption("Click a bar to see its pictures.")
    words = {name: style.words for name, style in styles_by_name(catalogue).items()}
    figures = {
        "classes": charts.class_counts(numbers.labels, words),
        "group_size": charts.group_sizes(catalogue.group_sizes),
        "size_px": charts.histogram("Pictures: longer side", catalogue.sizes_px, charts.SIZE_EDGES),
        "face_px": charts.histogram("Faces: shorter side", catalogue.faces.size_px, charts.FACE_EDGES),
        "brightness": charts.histogram(
            "Pictures: mean brightness", catalogue.rows["brightness"], charts.BRIGHTNESS_EDGES, "%"
        ),
    }
    divided = len({split for _, split in numbers.labels}) > 1
    columns = st.columns(2)
    for i, (field, figure) in enumerate(figures.items()):
        with columns[i % 2]:
            gallery.click_chart(figure, f"data_chart_{field}", partial(filter_from_bar, field, divided))
    if catalogue.problems:
        with st.expander(f"Pictures that cannot be read: {len(catalogue.problems):,}"):
            st.dataframe([{"Picture": key, "Why": why} for key, why in catalogue.problems.items()], hide_index=True)


def show_gallery(catalogue: Catalogue, opinion: SecondOpinion | None) -> None:
    """Pages of thumbnails under filters."""
    wanted = gallery.filter_form(catalogue, Filter(), can_disagree=opinion is not None)
    places = matching(catalogue, wanted, opinion)
    st.session_state["data_around"] = [(catalogue.pictures[place].key, 0) for place in places]
    st.markdown(f"**{len(places):,} of {len(catalogue):,} pictures**")
    some = places[parts.page_of("data_gallery_page", len(places))]
    parts.show_tiles("data_tiles", [("", picture_tiles(catalogue, some, opinion))], gallery.open_picture)


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
    gallery.split_choice(default_split(), set_default_split)
    shown = groups[parts.page_of("data_groups_page", len(groups), GROUPS_PER_PAGE, "groups")]
    st.session_state["data_around"] = [(catalogue.pictures[place].key, 0) for group in shown for place in group]
    sections = [(f"{len(group)} alike", picture_tiles(catalogue, group, opinion)) for group in shown]
    parts.show_tiles("data_groups", sections, gallery.open_picture)


def show_suspicious(catalogue: Catalogue, opinion: SecondOpinion | None) -> None:
    """Labels that the model contradicts, the worst first."""
    key = f"data:judge:{catalogue.dataset.name}"
    try:
        card = classifier_card()
    except ModelError as error:
        st.error(plain(str(error)))
        return
    if not set(card.classes) & set(catalogue.classes):
        st.info("The model in use knows none of the classes of this set. Train one on it first.")
        return
    status = parts.show_job(jobs, key)
    parts.show_end_of_job(status)
    if opinion is None:
        if status is None or status.state != "running":
            st.markdown(
                f"The model in use, **{plain(card.name)}**, looks at every face and says where it would give another "
                "label. Often the model is wrong; sometimes the label is."
            )
            if st.button("Let the model look", icon=":material/search:", type="primary"):
                work = lambda report: judge(catalogue, load_classifier(card.name), report)  # noqa: E731
                jobs.start(key, "The model looks at the set", work)
                st.rerun()
        return
    faces = suspicious(catalogue, opinion)
    doubted = int(opinion.disagrees[faces].sum())
    st.markdown(
        f"**{plain(card.name)} would give {doubted:,} of {len(faces):,} labels differently.** The most doubtful come "
        "first. If the model learnt from this very set, it has seen these labels."
    )
    st.session_state["data_around"] = [catalogue.picture_and_face(catalogue.faces.items[face]) for face in faces]
    some = faces[parts.page_of("data_suspicious_page", len(faces), what="labels")]
    open_item = lambda item: gallery.open_picture(*catalogue.picture_and_face(item))  # noqa: E731
    parts.show_tiles("data_suspicious", [("", face_tiles(catalogue, some, opinion))], open_item)


def show_views(catalogue: Catalogue) -> None:
    """One face as training varies it."""
    faces = np.flatnonzero(~catalogue.faces.aside)
    if not len(faces):
        st.info("Every picture of this set is set aside.")
        return
    how, seed, item = gallery.recipe_form(RECIPES, [catalogue.faces.items[face] for face in faces])
    try:
        sample = face_sample(catalogue, catalogue.faces.items.index(item))
    except ImageError as error:
        st.error(plain(str(error)))
        return
    st.image(sheet_of_views(sample, how, seed), width=896, alt="Twelve varied views of one face")
    st.caption(
        f"{plain(item)}: every time the network sees it, it looks a little different, so that it learns what matters "
        "and not the photo by heart."
    )


@st.dialog("Picture", width="large", on_dismiss=gallery.close_picture)
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
    gallery.picture_panel(details, Repairs.load(dataset.folder))
    copies = np.flatnonzero(catalogue.groups == catalogue.groups[catalogue.place_of[key]])
    if len(copies) > 1:
        others = copies[copies != catalogue.place_of[key]][: parts.PER_PAGE]
        tiles = picture_tiles(catalogue, others, opinion)
        parts.show_tiles("data_copies", [(f"Its near copies: {len(copies) - 1}", tiles)], gallery.open_picture)


imported = parts.show_job(jobs, "data:import")
parts.show_import(jobs, imported)
sets = {dataset.name: dataset for dataset in list_datasets()}
if not sets:
    st.markdown(
        "There is no data set on this server yet. A data set is a collection of pictures that say what they show; a "
        "model learns from it. Start with one of these:"
    )
    add_forms("A first data set")
    st.stop()
with st.container(horizontal=True, vertical_alignment="bottom"):
    titles = {name: dataset.card.get("title") or name for name, dataset in sets.items()}
    chosen = sets[parts.kept_choice("Data set", "set", list(sets), titles)]
    with st.popover("Add a data set", icon=":material/add:"):
        add_forms("From")
    if st.button("Look again", icon=":material/refresh:", help="Look for pictures that are new, changed or gone."):
        st.session_state.pop("data_looked_at", None)
    parts.delete_button(chosen, delete)
where = ", used where it lies on the server" if chosen.linked else ""
st.caption(plain(f"{LAYOUTS[chosen.layout]}{where}. {chosen.card.get('about', '')}".strip()))
view = parts.kept_view("view", VIEWS)  # always there: a widget that comes back would have forgotten its value

try:
    catalogue = catalogue_of(chosen)
except DataError as error:
    st.error(plain(str(error)))
    st.stop()
look_key = f"data:look:{chosen.name}"
if catalogue is None:
    if jobs.status(look_key) is None:
        jobs.start(look_key, f"Looking at {chosen.name}", partial(build_catalogue, chosen))
    status = parts.show_job(jobs, look_key)
    parts.show_end_of_job(status)
    if status.state != "running" and st.button("Go on", icon=":material/play_arrow:"):
        jobs.forget(look_key)
        st.rerun()
    st.stop()
opinion = opinion_of(catalogue)
if view == "Overview":
    show_overview(catalogue)
elif view == "Gallery":
    show_gallery(catalogue, opinion)
elif view == "Near copies":
    show_near_copies(catalogue, opinion)
elif view == "Suspicious labels":
    show_suspicious(catalogue, opinion)
else:
    show_views(catalogue)
if st.session_state.get("data_picture"):
    show_picture(chosen)
