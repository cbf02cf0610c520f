"""See what data sets hold and what is wrong with them, correct that; add and delete data sets."""

import streamlit as st

from core.language import tr
from pages.components.access import operators_only
from pages.components.compat import part_of_the_app

part_of_the_app()
operators_only()
st.title(tr("Data sets"))

# Only now, with the title on the screen, is anything heavy imported.
from functools import partial  # noqa: E402

from core.config import data_dir  # noqa: E402
from core.datasets.index import build_index  # noqa: E402
from core.datasets.spellings import likely_meanings  # noqa: E402
from core.datasets.store import LAYOUTS, DataError, list_datasets  # noqa: E402
from pages.components.jobs import show_end_of_job, show_job  # noqa: E402
from pages.components.messages import plain, popover, show_problem, why  # noqa: E402
from pages.components.resources import server_jobs  # noqa: E402
from pages.components.state import (  # noqa: E402
    DATA_VIEW,
    DATA_VIEWS,
    DUPLICATES,
    GALLERY,
    LABEL_ISSUES,
    MAP,
    MISSING,
    OPEN_IMAGE,
    OVERVIEW,
    view_switch,
)
from pages.components.undo import show_deleted  # noqa: E402
from pages.views.datasets.account import join_classes, show_kept_account  # noqa: E402
from pages.views.datasets.add import add_forms, delete, delete_button, restore, show_import  # noqa: E402
from pages.views.datasets.charts import show_overview  # noqa: E402
from pages.views.datasets.download import download_form  # noqa: E402
from pages.views.datasets.label_issues import show_label_issues  # noqa: E402
from pages.views.datasets.map import show_map  # noqa: E402
from pages.views.datasets.missing import show_missing_faces  # noqa: E402
from pages.views.datasets.near_duplicates import show_near_duplicates  # noqa: E402
from pages.views.datasets.opened import (  # noqa: E402
    choose_set,
    forget_former_scan,
    index_of,
    predictions_of,
    rescan,
    scan_job,
)
from pages.views.datasets.pictures import (  # noqa: E402
    show_augmentations,
    show_gallery,
    show_image,
)

imported = show_job(server_jobs(), "data:import")
show_import(server_jobs(), imported)
show_deleted(data_dir(), restore)
show_problem()
sets = {dataset.name: dataset for dataset in list_datasets()}
if not sets:
    st.markdown(
        tr(
            "There is no data set on this server yet. A data set is a collection of labelled images to train a model "
            "on. Start with one of these:"
        )
    )
    add_forms(tr("A first data set"))
    st.stop()
with st.container(horizontal=True, vertical_alignment="bottom"):
    chosen = choose_set(sets)
    with popover(tr("Add a data set"), "data_add", icon=":material/add:"):
        add_forms(tr("From"))
    if st.button(tr("Rescan"), icon=":material/refresh:", help=tr("Look for images that are new, changed or gone.")):
        rescan(chosen)
    download = st.empty()
    delete_button(chosen, delete)
form = tr("{format}, used where it lies on the server.") if chosen.linked else "{format}."
about = tr(str(chosen.card.get("about", "")))
st.caption(plain(f"{form.format(format=tr(LAYOUTS[chosen.layout]))} {about}".strip()))
show_kept_account(chosen.card)
view = view_switch(DATA_VIEW, DATA_VIEWS)  # always there: a widget that comes back would have forgotten its value

try:
    index = index_of(chosen)
except (DataError, OSError) as error:
    st.error(why(error))
    st.stop()
if index is None:
    job = scan_job(chosen)
    forget_former_scan(chosen)
    if server_jobs().status(job) is None:
        server_jobs().start(job, tr("Scanning {name}").format(name=chosen.name), partial(build_index, chosen))
    status = show_job(server_jobs(), job)
    show_end_of_job(status, for_all=True)
    if not (status and status.state == "running") and st.button(tr("Resume"), icon=":material/play_arrow:"):
        server_jobs().forget(job)
        st.rerun()
    st.stop()
with download:
    download_form(index)
predictions = predictions_of(index)
if view == OVERVIEW:
    show_overview(index)
    join_classes(index, likely_meanings(index.classes))
elif view == GALLERY:
    show_gallery(index, predictions)
elif view == MAP:
    show_map(index, predictions)
elif view == DUPLICATES:
    show_near_duplicates(index, predictions)
elif view == LABEL_ISSUES:
    show_label_issues(index, predictions)
elif view == MISSING:
    show_missing_faces(index)
else:
    show_augmentations(index)
if st.session_state.get(OPEN_IMAGE):
    show_image(chosen)
