"""Every way to get a data set, and how to be rid of one."""

from functools import partial

import streamlit as st

from core import app_data as parts
from core.app import server_jobs
from train.imports import fetch_report_set, import_zip, make_demo_set
from train.library import delete_dataset, link_folder
from train.places import allowed_dirs


def add_forms(heading: str) -> None:
    """Every way to get a data set."""
    ways = ["Demonstration", "Upload", "The report's set", *(["Folder on the server"] if allowed_dirs() else [])]
    way = st.segmented_control(heading, ways, default=ways[0], required=True, key="data_way")
    if way == "Demonstration":
        st.markdown("A few dozen pictures, made here from one portrait with drawn masks: enough to try everything.")
        if st.button("Make the demonstration set", icon=":material/auto_awesome:", type="primary"):
            parts.start_import(server_jobs(), "Making the demonstration set", make_demo_set)
    elif way == "The report's set":
        st.markdown(
            "1,376 pictures with and without masks that the student's report learnt from, fetched from GitHub "
            "(prajnasb/observations). Every file is checked; what was fetched is kept if the connection breaks."
        )
        if st.button("Fetch the report's set", icon=":material/cloud_download:", type="primary"):
            parts.start_import(server_jobs(), "Fetching the report's set", fetch_report_set)
    elif way == "Upload":
        parts.upload_form(
            lambda file, name: parts.start_import(server_jobs(), f"Reading {name}", partial(import_zip, file, name))
        )
    else:
        parts.folder_form([str(folder) for folder in allowed_dirs()], link_folder)


def delete(name: str) -> None:
    """Delete a data set; work on it is stopped."""
    for kind in ("look", "judge"):
        server_jobs().cancel(f"data:{kind}:{name}")
    delete_dataset(name)
