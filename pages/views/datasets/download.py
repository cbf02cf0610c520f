"""A data set as one zip, with all corrections."""

import secrets
from functools import partial
from pathlib import Path

import streamlit as st

from core.datasets.export import FORMATS, export, formats_of
from core.datasets.index import Index, index_fingerprint
from core.jobs import Report
from core.language import mark, number, tr
from pages.components.jobs import show_end_of_job, show_job
from pages.components.messages import plain
from pages.components.resources import server_jobs, set_zips
from pages.components.server import address, own_cookie
from pages.components.state import made_once

ABOUT = {
    "class_folders": mark("A folder for each class, with the faces cut out of their images."),
    "pascal_voc": mark("An XML file for each image; faces that are not sure are marked as difficult."),
    "yolo": mark("A text file for each image, and data.yaml. Faces that are not sure are left out."),
    "coco": mark("One JSON file for all images; faces that are not sure are marked as iscrowd."),
}


def download_form(index: Index) -> None:
    """Which format, and the zip once it is made."""
    with st.popover(tr("Download"), icon=":material/download:"):
        forms = formats_of(index)
        form = st.segmented_control(
            *(tr("As"), forms),
            format_func=lambda form: tr(FORMATS[form]),
            default=forms[-1],
            required=True,
            key="data_export_form",
        )
        if len(forms) > 1:
            st.caption(tr(ABOUT[form]))
        st.caption(tr("With all corrections; excluded images are left out."))
        jobs, job = server_jobs(), f"data:export:{index.dataset.name}"
        status = show_job(jobs, job)
        show_end_of_job(status, jobs)
        if status and status.state == "running":
            return
        wanted = form, index_fingerprint(index.dataset)
        path: Path | None = status.result[1] if status and status.result and status.result[0] == wanted else None
        if path and path.is_file():
            key = made_once("data_export_key", (path, wanted), partial(_offer, path))
            words = tr("{name} ({size} MB)").format(
                name=plain(path.name), size=number(path.stat().st_size / 1e6, ",.1f")
            )
            st.link_button(words, address("datasets", f"sets/{key}"), icon=":material/download:", type="primary")
        elif st.button(tr("Make the zip"), icon=":material/folder_zip:", type="primary"):
            jobs.start(job, tr("Packing {name}").format(name=index.dataset.name), partial(_export, index, wanted))
            st.rerun()


def _export(index: Index, wanted: tuple, report: Report) -> tuple[tuple, Path]:
    return wanted, export(index, wanted[0], report)


def _offer(path: Path) -> str:
    """The key under which this visitor's browser gets the file."""
    key = secrets.token_urlsafe(24)
    set_zips[own_cookie(), key] = path
    return key
