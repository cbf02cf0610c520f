"""Long work on a page: progress, cancel, and how it ended."""

from collections.abc import Callable

import streamlit as st

from core.jobs import Jobs, JobStatus
from pages.components.compat import page_part
from pages.components.messages import plain


def show_job(jobs: Jobs, key: str, more: Callable[[], object] = lambda: None) -> JobStatus | None:
    """How far a job is, with a button to stop it; when it ends the whole page runs again.

    Args:
        jobs: where it is.
        key: of the job.
        more: shows what else is to be seen of it while it runs.

    Returns:
        The job's status, ``None`` if there is none.
    """
    status = jobs.status(key)
    if status and status.state == "running":
        _running_job(jobs, key, more)
    return status


@page_part(run_every=1.0)
def _running_job(jobs: Jobs, key: str, more: Callable[[], object]) -> None:
    status = jobs.status(key)
    if status is None or status.state != "running":
        st.rerun()
    words = plain(status.text) or "Starting"
    count = f": {status.done:,} of {status.total:,}" if status.total else " …"
    with st.container(horizontal=True, vertical_alignment="center"):
        st.progress(status.share or 0.0, f"**{plain(status.title)}.** {words}{count}")
        st.button("Stop", icon=":material/stop_circle:", on_click=jobs.cancel, args=(key,), key=f"stop_{key}")
    more()


def show_end_of_job(status: JobStatus | None) -> None:
    """One line for a job that failed or was stopped."""
    if status and status.state == "failed":
        st.error(f"{plain(status.title)}: {plain(status.error)}")
    elif status and status.state == "cancelled":
        st.info(f"{plain(status.title)}: stopped.")
