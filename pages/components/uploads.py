"""What visitors have uploaded: how much each may have in the server's memory, and for how long."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

import streamlit as st
from streamlit.runtime.uploaded_file_manager import UploadedFile

from core.config import limits
from core.language import tr
from pages.components.compat import forget_uploads, held_uploads, page_part, rerun_session, session_id
from pages.components.messages import plain
from pages.components.state import IMAGES

LAST_USED, NOTE, NOTES = "uploads_last_used", "uploads_note", "uploads_notes"
MB = 1024 * 1024
# An upload's request is a little longer than its file.
ENVELOPE_BYTES = 2048
_lock = threading.Lock()
_on_the_way: dict[str, list[int]] = {}
"""Session to the sizes of the uploads that have begun."""
_refused: dict[str, list[tuple[str, str]]] = {}
"""Session to what its visitor must be told: the files that were refused, and for which limit."""
MOST_NOTES, NOTE_S = 20, 120.0


@contextmanager
def reserved(session: str, size: int) -> Iterator[str]:
    """For the time of an upload: the limit for which it is refused, empty if it is not."""
    with _lock:
        mine = [*held_uploads(session), *_on_the_way.get(session, [])]
        all_bytes = sum(held_uploads()) + sum(map(sum, _on_the_way.values()))
        refusal = _refusal(mine, all_bytes, max(0, size - ENVELOPE_BYTES))
        if not refusal:
            _on_the_way.setdefault(session, []).append(size)
    try:
        yield refusal
    finally:
        if not refusal:
            with _lock:
                _on_the_way[session].remove(size)
                if not _on_the_way[session]:
                    del _on_the_way[session]


def tell_refused(session: str, name: str, limit: str) -> None:
    """Let the page of a visitor say which upload was refused, and for which limit."""
    with _lock:
        notes = _refused.setdefault(session, [])
        if len(notes) < MOST_NOTES:
            notes.append((name, limit))
    rerun_session(session)


def _refusal(mine: list[int], all_bytes: int, size: int) -> str:
    now = limits()
    if len(mine) >= now.upload_files:
        return "upload_files"
    if sum(mine) + size > now.upload_mb * MB:
        return "upload_mb"
    return "all_uploads_mb" if all_bytes + size > now.all_uploads_mb * MB else ""


def watch_uploads() -> None:
    """Note that the visitor is here, tell what happened to uploads, and drop them once nobody uses them."""
    st.session_state[LAST_USED] = time.monotonic()
    with _lock:
        files = _refused.pop(session_id(), [])
    says = tr("**{name}**: {words}")
    refused = [
        says.format(name=plain(name) or tr("A file"), words=plain(limits().reached(limit))) for name, limit in files
    ]
    if note := st.session_state.pop(NOTE, ""):
        refused = [*refused, plain(note)]
    told_at, told = st.session_state.get(NOTES, (0.0, []))
    if refused or time.monotonic() - told_at > NOTE_S:
        told = [*told, *refused][-MOST_NOTES:] if time.monotonic() - told_at <= NOTE_S else refused
        st.session_state[NOTES] = time.monotonic(), told
    if told:
        with st.container(horizontal=True):
            st.warning("  \n".join(told), width="stretch")
            forget = partial(st.session_state.pop, NOTES, None)
            st.button(tr("Close"), icon=":material/close:", key="uploads_close", on_click=forget)
    _drop_when_idle()


@page_part(run_every=20.0, shows=False)
def _drop_when_idle() -> None:
    idle_s = time.monotonic() - st.session_state[LAST_USED]
    if idle_s > 60 * limits().idle_minutes and held_uploads(session_id()):
        forget_uploads(session_id())
        # Widgets keep what they gave out, and pages what they made of it.
        images = {key for keys in IMAGES.values() for key in keys}
        for key, value in list(st.session_state.items()):
            values = value if isinstance(value, list) else [value]
            if key in images or any(isinstance(each, UploadedFile) for each in values):
                del st.session_state[key]
        st.session_state[NOTE] = limits().reached("idle_minutes")
        st.rerun(scope="app")
