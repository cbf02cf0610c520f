"""Look at data sets, see what is wrong with them, mend them; add and delete them."""

import streamlit as st

from pages.components.compat import part_of_the_app

part_of_the_app()
st.title("Data sets")

# Only now, with the title on the screen, is anything heavy imported.
from functools import partial  # noqa: E402

from core.datasets.index import build_catalogue  # noqa: E402
from core.datasets.store import LAYOUTS, DataError, list_datasets  # noqa: E402
from pages.components.jobs import show_end_of_job, show_job  # noqa: E402
from pages.components.messages import plain  # noqa: E402
from pages.components.resources import server_jobs  # noqa: E402
from pages.components.state import kept_choice, kept_view  # noqa: E402
from pages.views.datasets.add import add_forms, delete, delete_button, show_import  # noqa: E402
from pages.views.datasets.charts import show_overview  # noqa: E402
from pages.views.datasets.label_issues import show_suspicious  # noqa: E402
from pages.views.datasets.opened import catalogue_of, opinion_of  # noqa: E402
from pages.views.datasets.pictures import show_gallery, show_near_copies, show_picture, show_views  # noqa: E402

VIEWS = ("Overview", "Gallery", "Near copies", "Suspicious labels", "What the network sees")

imported = show_job(server_jobs(), "data:import")
show_import(server_jobs(), imported)
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
    chosen = sets[kept_choice("Data set", "set", list(sets), titles)]
    with st.popover("Add a data set", icon=":material/add:"):
        add_forms("From")
    if st.button("Look again", icon=":material/refresh:", help="Look for pictures that are new, changed or gone."):
        st.session_state.pop("data_looked_at", None)
    delete_button(chosen, delete)
where = ", used where it lies on the server" if chosen.linked else ""
st.caption(plain(f"{LAYOUTS[chosen.layout]}{where}. {chosen.card.get('about', '')}".strip()))
view = kept_view("view", VIEWS)  # always there: a widget that comes back would have forgotten its value

try:
    catalogue = catalogue_of(chosen)
except DataError as error:
    st.error(plain(str(error)))
    st.stop()
look_key = f"data:look:{chosen.name}"
if catalogue is None:
    if server_jobs().status(look_key) is None:
        server_jobs().start(look_key, f"Looking at {chosen.name}", partial(build_catalogue, chosen))
    status = show_job(server_jobs(), look_key)
    show_end_of_job(status)
    if status and status.state != "running" and st.button("Go on", icon=":material/play_arrow:"):
        server_jobs().forget(look_key)
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
