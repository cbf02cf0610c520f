"""The work-arounds of libraries' insides: each fails here when it is no longer needed."""

import asyncio
import inspect

import av
import numpy as np
import pytest
from aiortc import MediaStreamTrack
from aiortc.contrib.media import MediaRelay

from pages.components import compat


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
