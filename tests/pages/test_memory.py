import threading

import pytest
from streamlit.runtime.caching.ttl_cache import TTLCache

from pages.components import compat, memory

MB = 2**20


def test_memory_that_was_freed_goes_back():
    floor = memory.sweep(0)
    kept = [[bytearray(64 * 1024) for _ in range(2000)] for _ in range(2)]  # small blocks, which glibc keeps
    last = kept[1].pop()  # and one that is still used holds the top of the heap
    kept[0].append(kept[0])  # nothing but a full collection finds this
    kept.clear()
    assert memory.sweep(floor) < floor + 40 * MB and last is not None


def test_nothing_is_stopped_while_little_more_is_used(monkeypatch):
    floor = memory.sweep(0)
    monkeypatch.setattr(memory.gc, "collect", lambda: pytest.fail("a full collection stops everybody"))
    assert memory.sweep(floor) <= floor


def test_memory_goes_back_when_somebody_left_though_no_more_is_used(monkeypatch):
    floor, collected = memory.sweep(0), []
    monkeypatch.setattr(memory, "end_old_sessions", lambda: 1)
    monkeypatch.setattr(memory.gc, "collect", lambda: collected.append(1))
    memory.sweep(floor + 500 * MB)
    assert collected


def test_a_session_whose_visitor_left_is_ended(monkeypatch):
    class Session:
        ended = 0

        def shutdown(self):
            self.ended += 1

    class Part:
        """Stands for what Streamlit has; its own names are checked below."""

    now = 0
    session, info, storage, manager, server = Session(), Part(), Part(), Part(), Part()
    info.session, storage._cache = session, TTLCache(9, ttl=1, timer=lambda: now)
    storage._cache["a"] = info
    manager._storage_lock, manager._session_storage, server._session_mgr = threading.Lock(), storage, manager
    monkeypatch.setattr("streamlit.runtime.exists", lambda: True)
    monkeypatch.setattr("streamlit.runtime.get_instance", lambda: server)
    assert compat.end_old_sessions() == session.ended == 0
    now = 2
    assert [compat.end_old_sessions(), compat.end_old_sessions()] == [1, 0]
    assert session.ended == 1


def test_streamlit_still_keeps_sessions_as_the_work_around_expects():
    from streamlit.runtime.memory_session_storage import MemorySessionStorage
    from streamlit.runtime.memory_uploaded_file_manager import MemoryUploadedFileManager
    from streamlit.runtime.runtime import Runtime
    from streamlit.runtime.websocket_session_manager import WebsocketSessionManager

    storage = MemorySessionStorage(ttl_seconds=0.0)
    manager = WebsocketSessionManager(storage, MemoryUploadedFileManager(""), None, lambda: None)
    assert manager._session_storage is storage and manager._storage_lock
    assert isinstance(storage._cache, TTLCache) and "_session_mgr" in Runtime.__init__.__code__.co_names
