"""Work-arounds of what libraries do inside: each has its reason here, and a test that fails once it is not needed."""

import functools
from collections.abc import Callable
from typing import ParamSpec

import streamlit as st

P = ParamSpec("P")


def page_part(run_every: float | None = None, shows: bool = True) -> Callable[[Callable[P, None]], Callable[P, None]]:
    """A part of a page that runs by itself, as ``st.fragment``, in a container that belongs to the page.

    A fragment that runs again before the page's messages have left the server takes its own out of them, with the one
    for its container. The browser then removes the container, what follows moves up, and the next message for a later
    place finds none: the page goes white. In a container of the page's own, nothing moves.

    Args:
        run_every: seconds.
        shows: whether there is anything to see; otherwise the container stands in the sidebar, since it would push
            down what follows it on the page.
    """

    def decorate(function: Callable[P, None]) -> Callable[P, None]:
        fragment = st.fragment(function, run_every=run_every)

        @functools.wraps(function)
        def in_its_place(*args: P.args, **kwargs: P.kwargs) -> None:
            with st.container() if shows else st.sidebar.container():
                fragment(*args, **kwargs)

        return in_its_place

    return decorate


def part_of_the_app() -> None:
    """Start over where Streamlit runs a page by itself; the first line of a page.

    It takes a folder named ``pages`` for its older kind of app until ``st.navigation`` was called once since the start
    of the server; a page that is opened before would come without our navigation.
    """
    from streamlit.runtime.pages_manager import PagesManager

    # Once per visitor: should another Streamlit work otherwise, no page goes round in circles.
    if getattr(PagesManager, "uses_pages_directory", False) and "part_of_the_app" not in st.session_state:
        st.session_state["part_of_the_app"] = True
        PagesManager.uses_pages_directory = False
        st.rerun()


def show_newest_frames() -> None:
    """Let a stream that cannot keep up leave frames out; call it before ``webrtc_streamer``.

    Streamlit-webrtc hands the processed frames to the encoder through aiortc's relay, which by default queues them
    without end: where encoding takes longer than frames come, what the visitor sees falls behind by half a second for
    every second. It offers no setting for that, so the relay's default changes for this process.
    """
    from aiortc.contrib.media import MediaRelay

    MediaRelay.subscribe.__defaults__ = (False,)  # buffered


def session_id() -> str:
    """The name of this visitor's session; empty outside of a page."""
    from streamlit.runtime.scriptrunner import get_script_run_ctx

    context = get_script_run_ctx(suppress_warning=True)
    return context.session_id if context else ""


def held_uploads(session: str = "") -> list[int]:
    """The sizes in bytes of the files that a session, or all together, uploaded; Streamlit tells of no single one."""
    from streamlit import runtime

    files = getattr(runtime.get_instance().uploaded_file_mgr, "file_storage", {}) if runtime.exists() else {}
    kept = [files.get(session, {})] if session else list(files.values())
    return [len(file.data) for each in kept for file in list(each.values())]


def forget_uploads(session: str) -> None:
    """Drop the files that a session has uploaded; Streamlit keeps them until the session ends."""
    from streamlit import runtime

    if runtime.exists():
        runtime.get_instance().uploaded_file_mgr.remove_session_files(session)


def rerun_session(session: str) -> None:
    """Run the page of a session again, from outside of it; Streamlit lets only the page itself ask for that."""
    from streamlit import runtime

    info = runtime.get_instance()._session_mgr.get_active_session_info(session) if runtime.exists() else None
    if info:
        info.session.request_rerun(None)


def end_old_sessions() -> int:
    """End the sessions of visitors who left longer ago than ``server.disconnectedSessionTTL`` says, and count them.

    Streamlit does so only when another visitor comes or goes, so the last ones' photos would stay in memory.
    """
    from streamlit import runtime

    if not runtime.exists():
        return 0
    manager = runtime.get_instance()._session_mgr
    with manager._storage_lock:  # type: ignore[attr-defined]
        old = manager._session_storage._cache.expire()  # type: ignore[attr-defined]
    for _, info in old:
        info.session.shutdown()
    return len(old)
