"""Completing the labels of a set in a real browser: keys, a box drawn by hand, undo, and the zip at the end."""

import contextlib
import json
import time
import zipfile

import cv2
import pytest

from core.datasets.edits import Edits
from tests.helpers import empty_app, keep_picture, voc_xml, wait_until
from tests.people import five_people

pytestmark = pytest.mark.browser


@pytest.fixture
def street(tmp_path):
    """A photo of five people of whom one is annotated."""
    folder, (frame, faces) = tmp_path / "data/street", five_people()
    (folder / "images").mkdir(parents=True)
    (folder / "annotations").mkdir()
    cv2.imwrite(str(folder / "images/five.jpg"), frame)
    box = tuple(int(side) for side in faces[-1])
    (folder / "annotations/five.xml").write_text(voc_xml([("without_mask", box)], (640, 480)))
    return folder


@pytest.fixture
def server_url(street, tmp_path):
    with empty_app(tmp_path) as url:
        yield url


def test_a_missing_face_is_accepted_a_box_drawn_undone_and_the_set_exported(open_page, street):
    from playwright.sync_api import Error

    def edits() -> Edits:
        return Edits.load(street)

    page = open_page("datasets?view=Missing+faces")
    page.set_default_timeout(60_000)
    page.get_by_role("button", name="Look for missing faces").click()
    page.get_by_text("may be missing in 1 of 1 images").wait_for()
    tiles = page.locator(".pick")
    tiles.first.wait_for()
    before = tiles.count()
    assert before >= 3, "of the four that nobody annotated"
    keep_picture(page, "missing-faces")

    # Keys: the first one gets a class, the next one, which has the focus by itself, is none.
    tiles.first.focus()
    page.keyboard.press("1")
    page.keyboard.press("x")
    wait_until(lambda: len(edits().boxes) == 2, 60)
    first, second = sorted(edits().boxes)
    assert edits().labels[first] == "with_mask" and edits().removed == {second}
    page.locator(f".pick >> nth={before - 3}").wait_for()
    wait_until(lambda: tiles.count() == before - 2, 60)

    # A box, drawn on the whole photo, and taken back.
    tiles.first.click()
    picture = page.locator(".figure svg")
    picture.wait_for()
    keep_picture(page, "boxes")
    box = picture.bounding_box()
    x, y = box["x"] + 0.6 * box["width"], box["y"] + 0.75 * box["height"]
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x + 0.1 * box["width"], y + 0.2 * box["height"], steps=3)
    page.mouse.up()
    wait_until(lambda: len(edits().boxes) == 3, 60)
    drawn = max(edits().boxes)
    assert edits().boxes[drawn] == pytest.approx((384, 360, 448, 456), abs=2.5)
    page.locator('.face[aria-pressed="true"] text', has_text="3").wait_for()
    page.locator(".figure").focus()
    page.keyboard.press("z")
    wait_until(lambda: drawn not in edits().boxes, 60)
    page.get_by_text("Undone").first.wait_for()
    page.get_by_test_id("stDialog").get_by_role("button", name="Close").click()
    page.get_by_test_id("stDialog").wait_for(state="hidden")
    page.locator("[data-testid=stApp][data-test-script-state=notRunning]").wait_for()

    link, end = page.get_by_role("link", name="street-coco.zip"), time.monotonic() + 120
    while not link.is_visible():  # the popover may close when the page runs again
        assert time.monotonic() < end, "no zip is offered"
        make = page.get_by_role("button", name="Make the zip")
        button = make if make.is_visible() else page.get_by_role("button", name="Download")
        with contextlib.suppress(Error):
            button.click(timeout=5000)
        page.wait_for_timeout(1500)
    with page.expect_download() as download:
        link.click()
    with zipfile.ZipFile(download.value.path()) as archive:
        labels = json.loads(archive.read("annotations.json"))
    names = {each["id"]: each["name"] for each in labels["categories"]}
    assert sorted(names[each["category_id"]] for each in labels["annotations"]) == ["with_mask", "without_mask"]
