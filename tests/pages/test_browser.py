"""The app in a real browser: headless Chromium uploads a photo, and shows a fake camera to the live page."""

import re
import sys
import time
import zipfile
from pathlib import Path

import cv2
import numpy as np
import pytest

from core.synthetic.sample import sample_photo
from core.vision.crops import resize
from core.vision.images import encode_image
from tests.helpers import CHROMIUM, FLAGS, choose, keep_picture, server_process
from tests.people import five_people

pytestmark = pytest.mark.browser

FAKE_CAMERA = [*FLAGS, "--use-fake-ui-for-media-stream", "--use-fake-device-for-media-stream"]


def test_the_first_page_appears_fast_and_is_the_tool(open_page):
    page = open_page("")  # the first visit since the server is up: this test is the first of this file
    page.get_by_role("heading", name="Who wears a face mask?").wait_for()
    # The browser's own clock, from navigation to the title on the screen.
    appeared_s = page.evaluate("performance.now()") / 1000
    print(f"the first page appeared after {appeared_s:.2f} s")
    assert appeared_s < 6, "under 2 s on a free machine; tests may share theirs"
    result = "The photo with its result: "
    page.get_by_alt_text(
        f"{result}5 faces: 2 with a mask, 2 without a mask, 1 with a mask worn incorrectly."
    ).wait_for()
    page.get_by_text("Good to know").wait_for()
    keep_picture(page, "start")
    photo = {"name": "door.jpg", "mimeType": "image/jpeg", "buffer": encode_image(sample_photo(masked=True))}
    page.locator("input[type=file]").set_input_files([photo])
    page.get_by_alt_text(f"{result}1 face: 1 with a mask.").wait_for()
    page.get_by_role("link", name="Photos").click()
    page.get_by_role("heading", name="Photo").wait_for()


def test_a_photo_is_uploaded_and_classified(open_page):
    page = open_page("photo")
    files = [
        {"name": name, "mimeType": "image/jpeg", "buffer": data}
        for name, data in (("bare.jpg", encode_image(sample_photo(False))), ("broken.jpg", b"no picture"))
    ]
    page.locator("input[type=file]").set_input_files(files)
    page.get_by_text("1 face: 1 without a mask.").first.wait_for()
    page.get_by_text("broken.jpg: This file is not an image").wait_for()
    # The red box of "No mask" is really in the picture that the browser shows.
    picture = page.locator("[data-testid=stImage] img").first
    picture.wait_for()
    shot = cv2.imdecode(np.frombuffer(picture.screenshot(), np.uint8), cv2.IMREAD_COLOR)
    red = np.abs(shot.astype(int) - (45, 30, 200)).max(axis=2) < 25
    assert red.sum() > 500
    with page.expect_download() as download:
        page.get_by_role("button", name="Results of this photo (CSV)").click()
    table = Path(download.value.path()).read_text(encoding="utf-8-sig")  # marked as UTF-8, for Excel
    assert table.startswith("photo,face,result") and "bare.jpg,1,without_mask," in table
    with page.expect_download() as download:
        page.get_by_role("button", name="Annotated photo").click()
    annotated = cv2.imread(str(download.value.path()))
    assert annotated.shape == (512, 512, 3)
    assert (annotated != sample_photo(False)).any()


def test_several_photos_are_leafed_through_filtered_and_zipped(open_page):
    page = open_page("photo")
    page.get_by_role("button", name="Example: Five people").click()
    page.get_by_text("5 faces: 2 with a mask, 2 without a mask, 1 with a mask worn incorrectly.").wait_for()
    files = [
        {"name": f"{k}.jpg", "mimeType": "image/jpeg", "buffer": encode_image(sample_photo(masked=k % 2 == 1))}
        for k in range(4)
    ]
    page.locator("input[type=file]").set_input_files(files)
    page.get_by_text("1 of 4: 0.jpg").wait_for()
    page.get_by_role("button", name="3.jpg, Mask").click()
    page.get_by_text("4 of 4: 3.jpg").wait_for()
    page.get_by_role("heading", name="Photo").click()
    page.keyboard.press("ArrowLeft")
    page.get_by_text("3 of 4: 2.jpg").wait_for()
    page.get_by_text("No mask (2)").click()
    page.get_by_text("2 of 2: 2.jpg").wait_for()
    page.get_by_text("Blur faces in the downloads").click()
    with page.expect_download() as download:
        page.get_by_role("link", name="These 2 photos, annotated (ZIP)").click()
    with zipfile.ZipFile(download.value.path()) as archive:
        assert archive.namelist() == ["0.jpg", "2.jpg"]
        annotated = cv2.imdecode(np.frombuffer(archive.read("0.jpg"), np.uint8), cv2.IMREAD_COLOR)
    mouth = annotated[150:180, 205:245]
    assert len(np.unique(mouth.reshape(-1, 3) // 16, axis=0)) < 40, "the face is a mosaic"


def test_two_faces_in_one_photo(open_page):
    both = np.hstack([sample_photo(masked)[:400, 60:400] for masked in (False, True)])
    page = open_page("photo")
    page.set_viewport_size({"width": 1280, "height": 800})
    files = [{"name": "two.jpg", "mimeType": "image/jpeg", "buffer": encode_image(both)}]
    page.locator("input[type=file]").set_input_files(files)
    page.get_by_text("2 faces: 1 with a mask, 1 without a mask.").wait_for()
    page.locator("[data-testid=stDataFrame]").first.wait_for()
    keep_picture(page, "photo")


def test_every_view_of_a_photo(open_page):
    page = open_page("photo")
    files = [{"name": "masked.jpg", "mimeType": "image/jpeg", "buffer": encode_image(sample_photo(True))}]
    page.locator("input[type=file]").set_input_files(files)
    page.get_by_text("1 face: 1 with a mask.").first.wait_for()
    page.get_by_text("Explain a result").click()
    page.get_by_text("against. A second network").wait_for()
    keep_picture(page, "why")
    page.get_by_role("radio", name="Face heat map").click()
    page.get_by_text("The brighter, the likelier").wait_for()
    keep_picture(page, "heat-map")
    page.get_by_role("radio", name="All methods").click()
    for title in ("Neural", "Classic", "Neural + classifier"):
        page.get_by_role("heading", name=title, exact=True).wait_for()
    end = time.monotonic() + 45
    while page.get_by_text(re.compile(r"1 face: 1 with a mask\. \d+ ms\.")).count() != 3:
        assert time.monotonic() < end, "one result per method"
        page.wait_for_timeout(100)
    end = time.monotonic() + 20  # what the view before showed goes a moment later
    while page.locator("[data-testid=stImage] img").count() != 3:
        assert time.monotonic() < end, "one picture per method"
        page.wait_for_timeout(100)
    keep_picture(page, "methods")


def test_the_model_page_measures_this_computer(open_page):
    page = open_page("model")
    page.get_by_role("heading", name="Metrics").wait_for()
    page.get_by_text("Training data").wait_for()
    charts = page.locator(".js-plotly-plot")
    charts.first.wait_for()
    before = charts.count()
    page.get_by_role("button", name="Measure").click()
    end = time.monotonic() + 60
    while charts.count() == before:
        assert time.monotonic() < end, "no chart of times appears"
        page.wait_for_timeout(200)
    keep_picture(page, "model")


@pytest.fixture(scope="module")
def camera_film(tmp_path_factory):
    """A film for the fake camera: the sample bare for four seconds, then masked, slowly moving from side to side."""
    path = tmp_path_factory.mktemp("camera") / "film.mjpeg"
    pictures = []
    for masked in (False, True):
        photo = resize(sample_photo(masked), (480, 480))
        for i in range(80):
            frame = np.full((480, 640, 3), 40, np.uint8)  # dark on the left,
            frame[:, 320:] = 220  # light on the right: a mirror shows
            left = 80 + round(12 * np.sin(i / 80 * 2 * np.pi))
            frame[:, left : left + 480] = photo
            pictures.append(encode_image(frame))
    path.write_bytes(b"".join(pictures))
    return path


def video_frames(page) -> int:
    return page.frame_locator("iframe").locator("video").evaluate("v => v.getVideoPlaybackQuality().totalVideoFrames")


def left_is_darker(page) -> bool:
    """Of the edges of the picture that the browser shows."""
    return (
        page.frame_locator("iframe")
        .locator("video")
        .evaluate(
            """video => {
            const canvas = document.createElement("canvas");
            canvas.width = 64; canvas.height = 48;
            const context = canvas.getContext("2d");
            context.drawImage(video, 0, 0, 64, 48);
            const green = x => context.getImageData(x, 24, 1, 1).data[1];
            return green(1) < green(62);
        }"""
        )
    )


def start_camera(page) -> None:
    """Press Start until frames are analysed: on a busy machine an offer of a connection can get lost, as for people."""
    video = page.frame_locator("iframe")
    analysed = page.get_by_text("frames analysed per second")
    for _ in range(3):
        video.get_by_role("button", name="Start").click()
        end = time.monotonic() + 40
        while time.monotonic() < end:
            if analysed.count():
                return
            page.wait_for_timeout(200)
        if video.get_by_role("button", name="Stop").count():
            video.get_by_role("button", name="Stop").click()
    pytest.fail("no frame of the camera is analysed")


def test_the_live_page_classifies_the_camera_and_the_video_moves(open_page, camera_film):
    page = open_page("live", [*FAKE_CAMERA, f"--use-file-for-fake-video-capture={camera_film}"])
    page.get_by_text("Allow the camera").or_(page.get_by_text("Press Start")).first.wait_for()
    start_camera(page)
    # Both results come by, again and again, without anybody touching the page.
    for words in ("No mask", "Mask"):
        label = page.locator("[data-testid=stMetric]").filter(has_text=re.compile(rf"{words}\s*1$"))
        label.first.wait_for()
    before, started = video_frames(page), time.monotonic()
    page.wait_for_timeout(3000)
    rate = (video_frames(page) - before) / (time.monotonic() - started)
    assert rate > 8, f"the picture moves at {rate:.1f} frames a second"
    if sys.platform == "linux":  # half the delay with six viewers depends on it, see docs/results.md
        assert any("uvloop" in each.path for each in server_process().memory_maps()), "Streamlit's loop is another"
    keep_picture(page, "live")
    # A setting takes effect while the video runs on.
    assert not left_is_darker(page), "the front camera, as a mirror"
    before = video_frames(page)
    page.get_by_text("Advanced").click()
    page.get_by_text("Mirror the video").click()
    page.get_by_role("heading", level=1).scroll_into_view_if_needed()  # out of sight, a browser draws no video
    end = time.monotonic() + 4  # what the visitor sees is at most half a second old; the rest is the page
    while not left_is_darker(page):
        assert time.monotonic() < end, "the mirror does nothing, or the picture falls behind"
        page.wait_for_timeout(100)
    assert video_frames(page) > before
    # A second tab has a video of its own, and the first goes on when it is closed.
    second = page.context.new_page()
    second.goto(page.url)
    start_camera(second)
    second.close()
    page.bring_to_front()
    before = video_frames(page)
    page.wait_for_timeout(1000)
    assert video_frames(page) > before
    page.get_by_role("button", name="Stop").click()
    page.get_by_text("Press Start").wait_for()


def counters(page) -> dict[str, int]:
    """The live page's counters, without the share."""
    texts = page.locator("[data-testid=stMetric]").all_inner_texts()
    found = (re.search(r"(Mask|No mask|Worn incorrectly|Not sure)\s*(\d+)\s*$", text) for text in texts)
    return {match[1]: int(match[2]) for match in found if match}


def test_everyone_is_counted_who_walks_towards_the_camera(open_page, tmp_path):
    film = tmp_path / "people.mjpeg"
    film.write_bytes(encode_image(five_people()[0]) * 20)
    page = open_page("live", [*FAKE_CAMERA, f"--use-file-for-fake-video-capture={film}"])
    start_camera(page)

    def wait_for_faces(n: int) -> None:
        end = time.monotonic() + 30
        while sum((seen := counters(page)).values()) != n:
            assert time.monotonic() < end, f"{n} faces are there, counted are {seen}"
            page.wait_for_timeout(200)

    wait_for_faces(5)
    # What keeps the video's place has the shape that the camera really gives.
    page.locator(".st-key-live_stage[style*='640 / 480']").wait_for()
    assert set(counters(page)) == {"Mask", "No mask", "Worn incorrectly", "Not sure"}
    # A limit hides some, the page says so, and a click shows them again while the video runs on.
    slider = page.get_by_role("slider", name="Smallest face")
    slider.focus()
    page.keyboard.press("End")
    page.get_by_text("5 faces found, but smaller than your limit of 200 px.").wait_for()
    wait_for_faces(0)
    page.get_by_role("button", name="Show them").click()
    wait_for_faces(5)
    assert slider.input_value() == "0" and not page.get_by_text("your limit").count()
    page.get_by_role("button", name="Stop").click()


def wait_for_choice(page, label: str, option: str) -> None:
    """Until the box shows it and no run of the page is going on."""
    box = page.locator("[data-testid=stSelectbox]").filter(has_text=label).locator("input")
    end = time.monotonic() + 30
    while not box.count() or box.input_value() != option or page.locator("[data-testid=stStatusWidget]").count():
        assert time.monotonic() < end, f"{label} does not become {option}"
        page.wait_for_timeout(100)
    page.wait_for_timeout(500)


def test_the_method_is_the_same_on_every_page_and_the_preset_is_the_pages_own(open_page):
    page = open_page("live")
    page.get_by_text("No camera was found").wait_for()  # which moves what is below
    page.get_by_text("Advanced").click()
    choose(page, "Preset", "Fast")
    wait_for_choice(page, "Preset", "Fast")
    choose(page, "Method", "Classic")
    wait_for_choice(page, "Method", "Classic")
    page.get_by_role("link", name="Photo").click()
    page.get_by_role("heading", name="Photo").wait_for()
    page.get_by_text("Advanced").click()
    wait_for_choice(page, "Method", "Classic")
    choose(page, "Method", "Neural")
    wait_for_choice(page, "Method", "Neural")
    wait_for_choice(page, "Preset", "Thorough")
    page.get_by_role("link", name="Live webcam").click()
    page.get_by_role("heading", name="Live webcam").wait_for()
    page.get_by_text("No camera was found").wait_for()
    page.get_by_text("Advanced").click()
    wait_for_choice(page, "Method", "Neural")
    wait_for_choice(page, "Preset", "Fast")
    # So it is in another language, also when the browser sends all choices again.
    page.get_by_role("radio", name="Français").click()
    wait_for_choice(page, "Préréglage", "Rapide")
    page.get_by_text("Flouter les visages").click()
    page.get_by_text("avec des visages floutés").first.wait_for()
    wait_for_choice(page, "Préréglage", "Rapide")


def test_a_refused_camera_gets_a_sentence(open_page):
    page = open_page("live", [*FLAGS, "--use-fake-device-for-media-stream", "--deny-permission-prompts"])
    page.frame_locator("iframe").get_by_role("button", name="Start").click()
    page.get_by_text("The camera was refused: allow it").wait_for()


def test_no_camera_gets_a_sentence(open_page):
    page = open_page("live")
    page.get_by_text("No camera was found").wait_for()
    page.get_by_role("button", name="Take single pictures instead").click()
    page.get_by_text("memory while it is shown, and never stored").wait_for()
    page.get_by_role("button", name="Back to the video").click()
    page.get_by_text("Press Start").wait_for()


def test_plain_http_on_another_host_gets_a_sentence(open_page, server_url):
    # A name that is not localhost, led to this machine: the browser treats it like any other host.
    page = open_page("", [*FLAGS, "--host-resolver-rules=MAP door.example.org 127.0.0.1"])
    page.goto(server_url.replace("127.0.0.1", "door.example.org") + "/live")
    page.get_by_text("only to secure pages").wait_for()


def test_all_counters_are_in_one_row_on_a_phone(open_page, server_url):
    page = open_page("")
    page.set_viewport_size({"width": 390, "height": 844})
    for language, last in (("en", "Wear a mask well"), ("fr", "Masque bien porté")):
        page.goto(f"{server_url}/?lang={language}")
        page.locator("[data-testid=stMetric]").filter(has_text=last).get_by_text("40").wait_for()
        counters = page.locator("[data-testid=stMetric]")
        boxes = [each.bounding_box() for each in counters.all()]
        assert len(boxes) == 5 and len({box["y"] for box in boxes}) == 1, (language, boxes)
        cut_off = "each => each.scrollWidth > each.clientWidth + 1 && each.clientWidth > 0"
        for words in counters.locator("*").all():
            assert not words.evaluate(cut_off), (language, words.inner_text())


def test_the_parts_of_a_page_are_one_row_on_a_phone_and_the_chosen_one_is_in_sight(open_page, server_url):
    page = open_page("")
    page.set_viewport_size({"width": 390, "height": 844})
    row = page.locator(".st-key-views_part [role=radiogroup]")

    def in_sight(words: str) -> None:
        chosen = row.locator("[data-selected=true]").filter(has_text=words)
        chosen.wait_for()
        end = time.monotonic() + 10
        while not 0 <= (box := chosen.bounding_box())["x"] <= 390 - box["width"]:
            assert time.monotonic() < end, box
            page.wait_for_timeout(100)

    page.goto(f"{server_url}/training?lang=fr&part=Import%20a%20model")
    in_sight("Importer un modèle")
    buttons = row.locator("button")
    assert len({button.bounding_box()["y"] for button in buttons.all()}) == 1 and buttons.count() == 4
    assert row.evaluate("row => row.scrollWidth > row.clientWidth && row.scrollLeft > 0")
    assert page.evaluate("document.documentElement.scrollWidth") == 390
    pushed_back = """async row => {
        await Promise.all(row.getAnimations({ subtree: true }).map((each) => each.finished));
        row.scrollTo(0, 0);
        for (let frame = 0; frame < 3; frame++) await new Promise(requestAnimationFrame);
        return row.scrollLeft;
    }"""
    assert row.evaluate(pushed_back) == 0, "it is free once the chosen one was in sight"
    buttons.first.click()
    in_sight("Nouvel entraînement")


def test_a_french_browser_gets_french_and_a_choice_of_language_is_kept(playwright, server_url):
    browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
    try:
        page = browser.new_page(viewport={"width": 1300, "height": 900}, locale="fr-FR")
        page.set_default_timeout(45_000)

        def is_in(language: str, title: str) -> None:
            page.get_by_role("heading", name=title, exact=True).wait_for()
            page.locator(f"html[lang={language}]").wait_for(state="attached")

        page.goto(server_url)
        is_in("fr", "Qui porte un masque ?")
        page.locator("[data-testid=stMetric]").filter(has_text="Masque bien porté").get_by_text("40\u202f%").wait_for()
        page.get_by_role("radio", name="English").click()
        is_in("en", "Who wears a face mask?")
        page.get_by_role("link", name="How it works").first.click()
        page.get_by_role("radio", name="Detector").click()
        page.wait_for_url("**step=Detector**")
        page.reload()
        is_in("en", "How it works")
        assert "step=Detector" in page.url and "lang=en" in page.url
        page.goto(f"{server_url}/model?lang=fr")
        is_in("fr", "Modèle")
        page.get_by_role("radio", name="English").click()
        is_in("en", "Model")
        page.get_by_role("radio", name="Français").click()
        is_in("fr", "Modèle")
        page.set_viewport_size({"width": 390, "height": 844})
        page.get_by_test_id("stExpandSidebarButton").click()
        page.get_by_role("radio", name="English").click()
        is_in("en", "Model")
    finally:
        browser.close()
