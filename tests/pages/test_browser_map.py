"""The map of a set in a real browser: made beside the page, points circled by mouse, their labels given at once."""

import cv2
import pytest

from core.datasets.edits import Edits
from core.synthetic.sample import sample_photo
from tests.helpers import empty_app, keep_picture, wait_until

pytestmark = pytest.mark.browser


@pytest.fixture
def portrait(tmp_path):
    """Views of a face with and without a mask; of those with one, two are labelled as without."""
    folder = tmp_path / "data/portrait"
    for masked in (True, False):
        for i in range(5):
            label = "with_mask" if masked and i < 3 else "without_mask"
            (folder / label).mkdir(parents=True, exist_ok=True)
            view = sample_photo(masked)[20 - 4 * i : 240 + 6 * i, 140 - 9 * i : 310 + 5 * i]
            cv2.imwrite(str(folder / label / f"{'masked' if masked else 'bare'}-{i}.jpg"), view)
    return folder


@pytest.fixture
def server_url(portrait, tmp_path):
    with empty_app(tmp_path) as url:
        yield url


def test_what_is_circled_on_the_map_is_relabelled_at_once(open_page, portrait):
    page = open_page("datasets?view=Map")
    page.set_viewport_size({"width": 1300, "height": 1000})
    page.set_default_timeout(60_000)
    page.get_by_role("button", name="Compare the faces").click()
    points = page.locator(".scatterlayer .points path")
    wait_until(lambda: points.count() == 10, 90)
    page.reload()
    wait_until(lambda: points.count() == 10, 90)
    page.locator("[data-testid=stApp][data-test-script-state=notRunning]").wait_for()
    keep_picture(page, "map")

    # A circle around all of them.
    area = page.locator(".nsewdrag").first
    area.scroll_into_view_if_needed()
    box = area.bounding_box()
    corners = [(0.002, 0.002), (0.998, 0.002), (0.998, 0.998), (0.002, 0.998), (0.002, 0.01)]
    at = [(box["x"] + x * box["width"], box["y"] + y * box["height"]) for x, y in corners]
    page.mouse.move(*at[0])
    page.mouse.down()
    for corner in at[1:]:
        page.mouse.move(*corner, steps=5)
    page.mouse.up()
    page.get_by_text("Only images with a point chosen on the map").wait_for()
    tiles = page.locator(".pick")
    wait_until(lambda: tiles.count() == 10, 60)
    tiles.first.focus()
    page.keyboard.press("a")
    page.keyboard.press("1")
    wait_until(lambda: len(Edits.load(portrait).labels) == 10, 60)
    assert set(Edits.load(portrait).labels.values()) == {"with_mask"}
