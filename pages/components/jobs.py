"""Long work on a page: progress, cancel, and how it ended."""

from collections.abc import Callable

import streamlit as st

from core.jobs import Jobs, JobStatus
from core.language import number, tr
from pages.components.compat import page_part
from pages.components.messages import plain
from pages.components.server import who


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
    words = plain(status.text) or tr("Starting")
    if status.total:
        of = tr("{words}: {done} of {total}")
        words = of.format(words=words, done=number(status.done, ","), total=number(status.total, ","))
    else:
        words = f"{words} …"
    with st.container(horizontal=True, vertical_alignment="center"):
        st.progress(status.share or 0.0, f"**{plain(status.title)}.** {words}")
        st.button(tr("Stop"), icon=":material/stop_circle:", on_click=jobs.cancel, args=(key,), key=f"stop_{key}")
    more()


def show_end_of_job(status: JobStatus | None, jobs: Jobs | None = None, for_all: bool = False) -> None:
    """One line for a job that failed or was stopped, for who started it.

    Args:
        status: of the job.
        jobs: where it is; then there is a button to close the message.
        for_all: whether everybody who sees the page must know.
    """
    if status is None or status.state not in ("failed", "cancelled") or not (for_all or is_mine(status)):
        return
    with st.container(horizontal=True, vertical_alignment="center"):
        if status.state == "failed":
            words = f"**{plain(status.title)}.** {plain(status.error)}"
            st.error(words, width="stretch")
        else:
            st.info(tr("{title}: stopped.").format(title=plain(status.title)), width="stretch")
        if jobs:
            close_button(jobs, status)


def is_mine(status: JobStatus) -> bool:
    """Whether how a job ended is for this visitor."""
    return status.by in ("", who())


def close_button(jobs: Jobs, status: JobStatus) -> None:
    """Takes away what is told of a job that has ended."""
    key = status.key
    st.button(tr("Close"), icon=":material/close:", on_click=jobs.forget, args=(key,), key=f"close_{key}")
