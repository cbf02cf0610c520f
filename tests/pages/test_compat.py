"""The work-arounds of libraries' insides: each fails here when it is no longer needed."""

import asyncio
import inspect
from types import SimpleNamespace

import av
import numpy as np
import pytest
from aiortc import MediaStreamTrack
from aiortc.contrib.media import MediaRelay
from streamlit.runtime.memory_uploaded_file_manager import MemoryUploadedFileManager
from streamlit.runtime.uploaded_file_manager import UploadedFileRec
from streamlit.testing.v1 import AppTest, local_script_runner

from pages.components import compat
from tests.helpers import ROOT


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
        frame.pts = self.n
        return frame


async def falls_behind(relay: MediaRelay) -> int:
    """By how many frames a consumer that takes 50 ms for each is late after a second."""
    camera = Camera()
    track = relay.subscribe(camera)
    for _ in range(20):
        frame = await track.recv()
        await asyncio.sleep(0.05)
    late = camera.n - frame.pts
    track.stop()
    camera.stop()
    return late


@pytest.mark.parametrize("newest", [False, True])
def test_a_slow_encoder_gets_the_newest_frame(monkeypatch, newest):
    monkeypatch.setattr(MediaRelay.subscribe, "__defaults__", (True,))  # as aiortc has it; put back after the test
    if newest:
        compat.show_newest_frames()

    async def run() -> int:
        return await falls_behind(MediaRelay())

    late = asyncio.run(run())
    # Without it, a slow consumer falls behind: should that change, show_newest_frames can go.
    assert late <= 8 if newest else late > 30


def test_the_relay_still_has_that_one_default():
    assert list(inspect.signature(MediaRelay.subscribe).parameters) == ["self", "track", "buffered"]


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
