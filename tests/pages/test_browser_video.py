"""The Video page in a real browser: the sample is analysed, the result plays, and nobody else gets it."""

import json
import re
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from core.video.reader import FilmReader
from tests.helpers import keep_picture
from tests.video.films import film
from tests.video.test_film import walkers

pytestmark = pytest.mark.browser
WORDS = "4 people: 2 with a mask, 2 without a mask."


def wait_for(player, condition: str) -> None:
    """Until this is true of the player; the page's own headers forbid Playwright's way to wait."""
    end = time.monotonic() + 30
    while not player.evaluate(f"video => {condition}"):
        assert time.monotonic() < end, condition
        player.page.wait_for_timeout(100)


def test_the_sample_is_counted_and_plays(open_page, tmp_path):
    page = open_page("video")
    page.get_by_role("button", name="Use a sample").click()
    page.get_by_role("button", name="Stop").wait_for()
    page.reload()  # the work goes on
    page.get_by_text(WORDS).wait_for()
    player = page.locator("video")
    player.wait_for()
    player.evaluate("video => { video.muted = true; video.loop = true; return video.play(); }")
    wait_for(player, "video.getVideoPlaybackQuality().totalVideoFrames > 15")
    assert player.evaluate("video => video.videoWidth") == 640
    assert player.evaluate("video => video.duration") == pytest.approx(8, abs=0.2)
    page.get_by_role("button", name=re.compile("0:0[45]–")).click()
    wait_for(player, "video.currentTime >= 4 && video.currentTime < 6.5")
    player.evaluate("video => video.pause()")
    # A click on the last bar jumps to its moment.
    bars = page.locator(".js-plotly-plot .bars .point path")
    bars.first.wait_for(state="attached")
    boxes = [bar.bounding_box() for bar in bars.all()]
    last = max((box for box in boxes if box and box["height"] > 16), key=lambda box: box["x"])
    page.mouse.move(last["x"] + last["width"] / 2, last["y"] + last["height"] - 8)
    page.wait_for_timeout(500)
    page.mouse.down()
    page.mouse.up()
    wait_for(player, "video.currentTime >= 6.5")
    keep_picture(page, "video")
    with page.expect_download() as download:
        page.get_by_role("button", name="All results (JSON)").click()
    people = json.loads(Path(download.value.path()).read_text(encoding="utf-8"))["people"]
    assert [person["result"] for person in people] == ["without_mask", "with_mask"] * 2
    # The video's own address: the visitor gets it, nobody else does.
    address = player.evaluate("video => video.src")
    answer = page.request.get(address, headers={"Range": "bytes=0-99"})
    assert answer.status == 206 and len(answer.body()) == 100
    (tmp_path / "whole.mp4").write_bytes(page.request.get(address).body())
    with FilmReader(tmp_path / "whole.mp4") as whole:
        assert sum(1 for _ in whole.frames()) == 200
    with pytest.raises(urllib.error.HTTPError, match="404"):
        urllib.request.urlopen(address)
    page.get_by_role("button", name="Delete this video").click()
    page.get_by_text(WORDS).wait_for(state="detached")
    assert page.request.get(address).status == 404


def test_an_upload_keeps_its_sound(open_page):
    page = open_page("video")
    data = film(walkers(), sound="aac", seconds=1.5)
    files = [{"name": "walk.mp4", "mimeType": "video/mp4", "buffer": data}]
    page.locator("input[type=file]").set_input_files(files)
    page.get_by_role("button", name="Analyse").click()
    player = page.locator("video")
    player.wait_for()
    wait_for(player, "video.readyState >= 2")
    player.evaluate("video => { video.muted = true; return video.play(); }")
    wait_for(player, "video.webkitAudioDecodedByteCount > 0")
