"""Work-arounds of what libraries do inside: each has its reason here, and a test that fails once it is not needed."""

import asyncio
import functools
from collections.abc import Callable
from typing import Any, ParamSpec

import streamlit as st

P = ParamSpec("P")
# Frames come in bursts where the machine has other things to do; beyond so many, all but the newest are left out.
MOST_WAITING = 3


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


def show_newest_frames(tell: Callable[[int], object]) -> None:
    """Let a stream that cannot keep up leave frames out; call it before ``webrtc_streamer``.

    Streamlit-webrtc has a frame drawn while it already hands the one before to the encoder, again the same if none is
    ready, and passes frames on through queues without end: what the visitor sees falls behind. It offers no setting for
    that, so ``NewestFrames`` takes the place of its own part, for this process.

    Args:
        tell: is called for every frame that is about to be drawn, with how many before it were left out.
    """
    import streamlit_webrtc.webrtc

    frames = newest_frames()
    frames.tell = staticmethod(tell)
    streamlit_webrtc.webrtc.AsyncVideoProcessTrack = frames  # type: ignore[misc]


@functools.cache
def newest_frames() -> Any:
    """The class; the video libraries are imported where they are needed."""
    from aiortc import MediaStreamTrack
    from aiortc.contrib.media import MediaRelay
    from aiortc.mediastreams import MediaStreamError

    class NewestFrames(MediaStreamTrack):
        """Draws a frame each time the encoder asks for one, in a thread; the next, or the newest if too many wait."""

        kind = "video"
        tell: Callable[[int], object]

        def __init__(self, track: Any, processor: Any):
            super().__init__()
            self.track, self.processor = track, processor
            self._drawing: asyncio.Future | None = None
            track.on("ended", self.stop)

        async def recv(self) -> Any:
            if self.readyState != "live":
                raise MediaStreamError
            waiting, left_out = self.track._queue, 0
            if waiting.qsize() > MOST_WAITING:
                left_out = waiting.qsize() - 1
                for _ in range(left_out):
                    waiting.get_nowait()
            frame = await self.track.recv()
            self.tell(left_out)
            self._drawing = asyncio.get_running_loop().run_in_executor(None, self.processor.recv, frame)
            shown = await self._drawing
            shown.pts, shown.time_base = frame.pts, frame.time_base
            return shown

        def stop(self) -> None:
            if self.readyState != "live":
                return
            super().stop()
            self.track.stop()
            if self._drawing is None or self._drawing.done():
                self.processor.on_ended()
            else:  # the last frame would begin everything anew
                self._drawing.add_done_callback(lambda drawing: self.processor.on_ended())

    subscribe = MediaRelay.subscribe

    def directly(self: MediaRelay, track: MediaStreamTrack, buffered: bool = True) -> MediaStreamTrack:
        """The relay would have frames drawn that the encoder never asks for."""
        return track if isinstance(track, NewestFrames) else subscribe(self, track, buffered)

    MediaRelay.subscribe = directly  # type: ignore[method-assign]
    return NewestFrames


def keep_stream(key: str) -> None:
    """Let a video go on that is on the screen; call it before ``webrtc_streamer`` with its key.

    Streamlit-webrtc ends a video that was not shown in the run before, taking its page for left. It counts runs when
    their last message leaves the server; where several end before that (a slider that is moved by key presses, a
    server with much to do), the count jumps, and it ends a video that was shown all the time. When its page is left,
    ``streamlit_app.py`` drops the stream's state, so that nothing old is there on return.
    """
    if key in st.session_state:
        st.session_state[key]._last_rendered_run_count = None


def ice_candidates(key: str) -> list[str]:
    """The addresses that the browser of this visitor found for a video; ``webrtc_streamer`` keeps them for itself."""
    from streamlit_webrtc.component import generate_frontend_component_key

    told = st.session_state.get(generate_frontend_component_key(key)) or {}
    return [each.get("candidate") or "" for each in (told.get("iceCandidates") or {}).values()]


def came_by_history() -> bool:
    """Whether the visitor went back or forward in the browser's history to the address that the page runs for."""
    from streamlit.runtime.scriptrunner import get_script_run_ctx

    return bool(getattr(get_script_run_ctx(suppress_warning=True), "is_history_navigation", False))


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
