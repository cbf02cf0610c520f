"""Every way to get a data set, and how to be rid of one."""

from collections.abc import Callable, Collection, Sequence
from functools import partial
from pathlib import PurePath
from typing import BinaryIO

import streamlit as st

from core.config import allowed_dirs
from core.datasets.archive import class_readings
from core.datasets.class_folders import some
from core.datasets.importers import ImportResult, fetch_report_set, import_zip, link_with_account, make_demo_set
from core.datasets.store import DataSet, delete_dataset, restore_dataset
from core.jobs import Jobs, JobStatus, Report
from core.language import mark, number, tr
from pages.components.jobs import close_button, is_mine, show_end_of_job
from pages.components.messages import close_popovers, plain, popover, try_to, why
from pages.components.resources import server_jobs
from pages.components.server import who
from pages.components.undo import KEEP_HELP
from pages.views.datasets.account import show_account
from pages.views.datasets.opened import show_set_next

WAYS = DEMONSTRATION, UPLOAD, REPORT_SET, FOLDER = (
    mark("Demonstration"),
    mark("Upload"),
    mark("The report's set"),
    mark("Folder on the server"),
)


def add_forms(heading: str) -> None:
    """Every way to get a data set."""
    ways = WAYS if allowed_dirs() else WAYS[:-1]
    way = st.segmented_control(heading, ways, format_func=tr, default=ways[0], required=True, key="data_way")
    if way == DEMONSTRATION:
        st.markdown(
            tr("A few dozen images, made here from one portrait with synthetic masks: enough to try everything.")
        )
        if st.button(tr("Make the demonstration set"), icon=":material/auto_awesome:", type="primary"):
            start_import(server_jobs(), tr("Making the demonstration set"), make_demo_set)
    elif way == REPORT_SET:
        st.markdown(
            tr(
                "1,376 images with and without masks that the student's report was trained on, fetched from GitHub "
                "(prajnasb/observations). Every file is checked; what was fetched is kept if the connection breaks."
            )
        )
        if st.button(tr("Fetch the report's set"), icon=":material/cloud_download:", type="primary"):
            start_import(server_jobs(), tr("Fetching the report's set"), fetch_report_set)
    elif way == UPLOAD:
        upload_form(
            lambda file, name, classes: start_import(
                server_jobs(),
                tr("Reading {name}").format(name=name),
                partial(import_zip, file, name, classes=classes),
            )
        )
    else:
        folder_form([str(folder) for folder in allowed_dirs()], link_with_account)


def delete(name: str) -> None:
    """Delete a data set; work on it is stopped. Who deletes it can bring it back for a while."""
    for work in ("scan", "classify", "missing", "export"):
        server_jobs().cancel(f"data:{work}:{name}")
        server_jobs().forget(f"data:{work}:{name}")
    delete_dataset(name, who())


def restore(key: str, by: str) -> None:
    """Bring back a data set that was deleted, and show it."""
    name = restore_dataset(key, by)
    server_jobs().forget(f"data:scan:{name}")
    show_set_next(name)


def start_import(jobs: Jobs, title: str, work: Callable[[Report], ImportResult]) -> None:
    """Begin to make a data set; one at a time for the whole server."""
    if jobs.start("data:import", title, work):
        st.session_state["data_import"] = True
        close_popovers()
        st.rerun()
    st.warning(tr("Another data set is being added; wait until it is there."))


def show_import(jobs: Jobs, status: JobStatus | None) -> None:
    """How the latest import ended, for who began it, until they have read it."""
    if status is None or status.state == "running" or not is_mine(status):
        return
    if status.state != "done":
        show_end_of_job(status, jobs)
        return
    result: ImportResult = status.result
    if st.session_state.pop("data_import", False):
        show_set_next(result.dataset.name)
    row = st.container(horizontal=True)
    with row.container():
        st.success(
            tr("**{name}** is here: {images} images.").format(
                name=plain(result.dataset.name), images=number(result.pictures, ",")
            )
        )
        if result.account:
            show_account(result.account)
        if result.ignored:
            with st.expander(tr("Ignored: {files}").format(files=number(len(result.ignored), ","))):
                st.dataframe([{tr("File"): file} for file in result.ignored], hide_index=True)
    with row:
        close_button(jobs, status)


def upload_form(start: Callable[[BinaryIO, str, Collection[str]], None]) -> None:
    """A zip, a name for it, and its classes if its folders can be read in several ways; ``start`` gets the three."""
    file = st.file_uploader(tr("A zip with images"), "zip", key="data_zip")
    st.caption(
        tr(
            "One folder per class with images in it, or images with boxes as Pascal VOC, YOLO, COCO or as annotation "
            "tools export them. They are kept on this server until the data set is deleted."
        )
    )
    if file:
        name = st.text_input(tr("Name"), PurePath(file.name).stem, max_chars=60, key=f"data_name_{file.file_id}")
        classes = _choose_classes(file, file.file_id)
        ready = bool(name.strip()) and classes is not None
        if st.button(tr("Add this data set"), icon=":material/upload:", type="primary", disabled=not ready):
            start(file, name.strip(), classes or ())


def _choose_classes(file: BinaryIO, file_id: str) -> Collection[str] | None:
    """Which folders of an archive are the classes, where that cannot be told; ``None`` until somebody has said it."""
    kept = f"data_readings_{file_id}"
    if kept not in st.session_state:
        st.session_state[kept] = class_readings(file)
    if not st.session_state[kept]:
        return ()
    return st.radio(
        tr("Which folders are the classes?"),
        st.session_state[kept],
        index=None,
        format_func=lambda names: plain(some(names)),
        key=f"data_classes_{file_id}",
    )


def folder_form(allowed: Sequence[str], link: Callable[[str, str], ImportResult]) -> None:
    """A folder of the server that is used where it lies; ``link(folder, name)`` gets both."""
    folder = st.text_input(tr("Folder"), placeholder=f"{allowed[0]}/images", key="data_folder")
    st.caption(
        tr("Below {folders}. Nothing is copied or changed.").format(folders=plain(", ".join(allowed), hide_paths=False))
    )
    name = st.text_input(tr("Name"), PurePath(folder.strip()).name, max_chars=60, key=f"data_link_{folder}")
    if st.button(tr("Use this folder"), icon=":material/link:", type="primary", disabled=not (folder and name)):
        try:
            result = link(folder.strip(), name.strip())
        except (ValueError, OSError) as error:
            st.error(why(error))
        else:
            show_set_next(result.dataset.name)
            close_popovers()
            st.rerun()


def delete_button(dataset: DataSet, delete: Callable[[str], None]) -> None:
    """Deletes a data set after asking once more; of a linked one only the entry in the list."""
    with popover(tr("Delete"), "data_delete", icon=":material/delete:"):
        if dataset.linked:
            st.markdown(tr("Takes this set out of the list. **The folder and its images stay**, edits made here go."))
        else:
            st.markdown(
                tr("Deletes **all images of this set** and the edits made here from the server, for everybody.")
            )
        st.caption(tr(KEEP_HELP))
        if st.button(
            tr("Delete {name}").format(name=plain(dataset.name)), type="primary", icon=":material/delete_forever:"
        ):
            try_to(delete, dataset.name)
