"""The viewers without browsers that measure live video."""

import asyncio

import av
import numpy as np
import pytest

from tests import load


@pytest.fixture(scope="module")
def film(tmp_path_factory):
    return load.make_film(tmp_path_factory.mktemp("film"), seconds=1)


def test_the_number_of_a_frame_can_be_read_from_the_screen_in_any_size(film):
    decoder = av.CodecContext.create("libvpx", "r")
    pictures = [frame for packet in film.frames for frame in decoder.decode(av.Packet(packet))]
    assert len(pictures) == load.FPS
    for size in (load.SIZE_WH, (320, 240)):
        grey = [frame.reformat(*size, format="gray").to_ndarray() for frame in pictures]
        assert [load.read_number(each) for each in grey] == list(range(load.FPS))
    assert load.read_number(np.where(np.arange(640) < 24, 255, 0) * np.ones((480, 1))) is None, "parity"


def test_a_larger_film_keeps_its_numbers(tmp_path):
    film = load.make_film(tmp_path, (1280, 720), seconds=0.2)
    decoder = av.CodecContext.create("libvpx", "r")
    (first, *_, last) = [frame for packet in film.frames for frame in decoder.decode(av.Packet(packet))]
    for frame, number in ((first, 0), (last, 5)):
        for size in ((1280, 720), (640, 360)):
            assert load.read_number(frame.reformat(*size, format="gray").to_ndarray(), 720) == number


def test_a_viewer_without_a_browser_sees_the_film_and_the_counters(film):
    async def watch(url):
        viewer = load.Viewer(film)
        await viewer.join(url)
        await viewer._until(lambda: viewer.screen.delays_s and viewer.screen.shown > 10)
        await viewer._until(lambda: any("analysed per second" in text for text in viewer.texts))
        await viewer.leave()
        return viewer

    with load.app(1) as (url, server):
        viewer = asyncio.run(watch(url))
        assert load.look(server).threads > 5
    assert viewer.screen.size_wh == load.SIZE_WH
    assert viewer.camera.sent >= viewer.screen.shown and 0 < min(viewer.screen.delays_s) < 3
