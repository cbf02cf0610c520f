"""The work-arounds of libraries' insides: each fails here when it is no longer needed."""

import asyncio
import inspect
from fractions import Fraction
from types import SimpleNamespace

import av
import numpy as np
import pytest
from aiortc import MediaStreamTrack
from aiortc.contrib.media import MediaRelay
from streamlit.runtime.memory_uploaded_file_manager import MemoryUploadedFileManager
from streamlit.runtime.uploaded_file_manager import UploadedFileRec
from streamlit.testing.v1 import AppTest, local_script_runner
from streamlit_webrtc import component, process, webrtc

from pages.components import compat
from tests.helpers import ROOT

OWN_TRACK = process.AsyncVideoProcessTrack


class Camera(MediaStreamTrack):
    """Gives frames numbered 0, 1, 2 …, one every 10 ms."""

    kind = "video"

    def __init__(self):
        super().__init__()
        self.n = -1

    async def recv(self):
        await asyncio.sleep(0.01)
        self.n += 1
        frame = av.VideoFrame.from_ndarray(np.zeros((16, 16, 3), np.uint8), format="bgr24")
        frame.pts, frame.time_base = self.n, Fraction(1, 100)
        return frame


class Drawing:
    """Takes no time."""

    def __init__(self):
        self.ended = 0

    def recv(self, frame):
        return frame

    def on_ended(self):
        self.ended += 1


async def falls_behind(newest: bool) -> int:
    """By how many frames an encoder that takes 50 ms for each is late after a second."""
    relay, camera, drawing = MediaRelay(), Camera(), Drawing()
    track = relay.subscribe(camera)
    if newest:
        track = relay.subscribe(compat.newest_frames()(track, drawing))
    for _ in range(20):
        frame = await track.recv()
        await asyncio.sleep(0.05)
    late = camera.n - frame.pts
    track.stop()
    camera.stop()
    assert drawing.ended == newest
    return late


@pytest.mark.parametrize("newest", [False, True])
def test_a_slow_encoder_gets_a_new_frame(newest):
    left_out = []
    compat.show_newest_frames(left_out.append)
    late = asyncio.run(falls_behind(newest))
    # Without it, a slow consumer falls behind: should that change, show_newest_frames can go.
    assert late <= 12 if newest else late > 30
    assert (sum(left_out) > 30) == newest, "it is told"


def test_the_place_of_the_newest_frames_is_still_there():
    compat.show_newest_frames(lambda left_out: None)
    assert webrtc.AsyncVideoProcessTrack is compat.newest_frames()
    assert "video_cls = AsyncVideoProcessTrack if async_processing" in inspect.getsource(webrtc._wrap_with_processor)
    assert list(inspect.signature(OWN_TRACK).parameters)[:2] == ["track", "processor"]
    assert list(inspect.signature(MediaRelay.subscribe).parameters) == ["self", "track", "buffered"]


def test_a_video_that_is_shown_goes_on_though_pages_ran_meanwhile(monkeypatch):
    """Several runs ended before their messages had left the server, so that the count of runs jumps."""
    counted = 5
    monkeypatch.setattr(component, "get_this_session_info", lambda: "session")
    monkeypatch.setattr(component, "get_script_run_count", lambda session: counted)
    ended = []
    monkeypatch.setattr(component, "_reset_context", ended.append)
    monkeypatch.setattr("streamlit.session_state", {})
    compat.keep_stream("live")  # nothing is there yet
    component._get_or_create_context("live")
    counted = 7
    component._get_or_create_context("live")
    assert len(ended) == 1, "otherwise keep_stream can go"
    counted = 9
    compat.keep_stream("live")
    component._get_or_create_context("live")
    assert len(ended) == 1


def test_the_uploads_of_a_session_are_known_and_forgotten(monkeypatch):
    manager = MemoryUploadedFileManager("/upload")
    for session, name, size in (("a", "1", 10), ("a", "2", 20), ("b", "1", 40)):
        manager.add_file(session, UploadedFileRec(name, f"{name}.jpg", "image/jpeg", bytes(size)))
    monkeypatch.setattr("streamlit.runtime.exists", lambda: True)
    monkeypatch.setattr("streamlit.runtime.get_instance", lambda: SimpleNamespace(uploaded_file_mgr=manager))
    assert sorted(compat.held_uploads("a")) == [10, 20] and sum(compat.held_uploads()) == 70
    assert compat.held_uploads("nobody") == []
    compat.forget_uploads("a")
    assert compat.held_uploads("a") == [] and compat.held_uploads() == [40]


def page_with_a_part(shows):
    import streamlit as st

    from pages.components.compat import page_part

    @page_part(run_every=60.0, shows=shows)
    def part():
        st.write("part")

    part()
    st.write("below")


@pytest.mark.parametrize("shows", [True, False])
def test_a_part_stands_in_a_container_of_the_page(monkeypatch, shows):
    """Streamlit takes a part's messages out of those that wait: the part's own container must not hold a place."""
    sent = []
    parse = local_script_runner.parse_tree_from_messages
    monkeypatch.setattr(
        local_script_runner, "parse_tree_from_messages", lambda messages: sent.extend(messages) or parse(messages)
    )
    AppTest.from_function(page_with_a_part, kwargs={"shows": shows}).run()
    blocks = {
        tuple(message.metadata.delta_path): message.delta.fragment_id
        for message in sent
        if message.HasField("delta") and message.delta.HasField("add_block")
    }
    root = 0 if shows else 1  # main or sidebar
    assert blocks[root, 0] == "" and blocks[root, 0, 0] != ""


def test_every_part_of_a_page_stands_so():
    for path in (ROOT / "pages").rglob("*.py"):
        assert path.name == "compat.py" or "st.fragment" not in path.read_text(encoding="utf-8"), path
