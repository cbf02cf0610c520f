"""A network camera in a real browser: its picture moves, is counted, and is gone when the camera is."""

import pytest

from tests.helpers import app_server, keep_picture
from tests.video.mjpeg import mjpeg_camera

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def camera():
    with mjpeg_camera() as served:
        yield served


@pytest.fixture(scope="module")
def server_url(camera, tmp_path_factory):
    home = tmp_path_factory.mktemp("home")
    folders = {"MASK_DATA_DIR": str(home / "data"), "MASK_RUNS_DIR": str(home / "runs")}
    with app_server({**folders, "MASK_CAMERAS": f"Entrance={camera.address}"}) as url:
        yield url


def test_a_configured_camera_is_shown_with_counters_lost_and_back(open_page, camera):
    page = open_page("live")
    page.get_by_role("combobox", name="Camera").click()
    page.get_by_role("option", name="Entrance").click()
    page.get_by_role("row", name="Session 2 50% 0").wait_for()
    picture = page.get_by_role("img", name="The picture of Entrance")
    assert picture.evaluate("image => [image.naturalWidth, image.naturalHeight]") == [640, 480]
    first = picture.get_attribute("src")
    page.wait_for_function(
        """first => {
        const all = (root) => [...root.querySelectorAll("*")].flatMap((each) =>
            [each, ...(each.shadowRoot ? all(each.shadowRoot) : [])]);
        return all(document).some((each) => each.alt?.startsWith("The picture of Entrance") && each.src !== first);
    }""",
        arg=first,
    )
    keep_picture(page, "camera")
    page.get_by_text("Blur faces").click()
    page.get_by_text("Pictures are shown with blurred faces").wait_for()
    assert picture.is_visible()
    camera.off()
    page.get_by_text("Entrance: It has been offline since").wait_for()
    page.get_by_text("No picture at the moment.").wait_for()
    assert not picture.is_visible(), "no frozen picture"
    camera.on()
    picture.wait_for()
    page.set_viewport_size({"width": 390, "height": 844})
    page.get_by_text("It has been offline").wait_for(state="detached")
    keep_picture(page, "camera-phone")
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
