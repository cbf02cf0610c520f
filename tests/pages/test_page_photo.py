"""The photo page with many photos, run as Streamlit runs it, without a browser."""

import io
import json
import zipfile
from collections import Counter

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest

from core.vision.detections import make_detections, no_detections
from core.vision.images import decode_image, encode_image
from core.vision.model_card import ModelError
from pages.components import resources
from pages.components.state import PHOTO_CHOSEN, PHOTO_EXAMPLE, PHOTO_SET
from pages.views import photo as view
from tests.helpers import ROOT, StubPipeline, labelled, numbers, picture_bytes, texts, unescaped

FACE = (20, 20, 60, 70)


class ByWidth(StubPipeline):
    """The width of a photo, 200 and more pixels, tells what its face wears: 0, 1 or 2; 3 stands for no face."""

    broken_after = 1_000_000

    def __call__(self, frame_bgr, settings=None):
        self.calls += 1
        if self.calls > self.broken_after:
            raise ModelError("The model is gone.")
        kind = frame_bgr.shape[1] - 200
        if kind not in range(3):
            return no_detections()
        return make_detections([FACE, (100, 20, 112, 32)], [kind, kind], [0.9, 0.8])


def photo(kind: int, seed: int = 0) -> bytes:
    pixels = np.random.default_rng(seed).integers(0, 256, (150, 200 + kind, 3), dtype=np.uint8)
    return encode_image(pixels, ".png")


@pytest.fixture
def pipeline(monkeypatch):
    made = ByWidth()
    monkeypatch.setattr(resources, "load_pipeline", lambda method, version: made)
    return made


@pytest.fixture
def page(pipeline) -> AppTest:
    app = AppTest.from_file(str(ROOT / "streamlit_app.py"), default_timeout=60).run()
    app = run(app.switch_page("pages/photo.py"))
    pipeline.calls = 0  # the first page has an example
    return app


def run(app) -> AppTest:
    app = app.run()
    assert not app.exception
    return app


def upload(app: AppTest, *files: tuple[str, bytes]) -> AppTest:
    return run(app.file_uploader[0].set_value([(name, data, "image/png") for name, data in files]))


def four(app: AppTest) -> AppTest:
    return upload(app, *((f"{kind}.png", photo(kind)) for kind in range(4)))


def filters(app: AppTest):
    return next(control for control in app.segmented_control if control.key == "photo_filter")


def zipped(app: AppTest) -> dict[str, np.ndarray]:
    """The photos in the zip as it can be downloaded now, by name."""
    data = b"".join(app.session_state[PHOTO_SET].zip_file())
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        assert archive.testzip() is None
        return {name: decode_image(archive.read(name)) for name in archive.namelist()}


def table(app: AppTest) -> list[dict]:
    photo_set = app.session_state[PHOTO_SET]
    photos = [photo_set._photos[key] for key in photo_set.chosen]
    return json.loads(view._table(photo_set, photos, photo_set.names(), view.rows_to_json))


def test_it_says_in_advance_that_photos_go_and_offers_examples(page):
    assert "they go when you leave it" in texts(page) and "No photo at hand?" in texts(page)
    page.session_state[PHOTO_EXAMPLE] = "Five people"
    run(page)
    assert page.session_state[PHOTO_SET].names() == {"example Five people": "Five people.jpg"}
    assert len(page.image) == 1 and "No photo at hand?" in texts(page), "another one can be taken"
    upload(page, ("0.png", photo(0)))
    assert list(page.session_state[PHOTO_SET].names().values()) == ["0.png"], "one's own takes its place"
    assert "No photo at hand?" not in texts(page)


def test_many_photos_are_counted_filtered_and_leafed_through(page):
    four(page)
    assert numbers(page)["Mask"] == numbers(page)["No mask"] == numbers(page)["Worn incorrectly"] == "2"
    labels = [getattr(option, "content", option) for option in filters(page).options]
    words = ["All (4)", "Mask (1)", "No mask (1)", "Worn incorrectly (1)", "No face (1)"]
    assert [label.rpartition(": ")[2] for label in labels] == words
    assert "1 of 4: **0.png**" in texts(page) and labelled(page.button, "Previous").disabled
    run(labelled(page.button, "Next").click())
    assert "2 of 4: **1.png**" in texts(page) and page.dataframe[0].value["Result"].tolist() == ["✗ No mask"] * 2
    assert page.dataframe[0].value["No."].tolist() == [1, 2]
    run(filters(page).set_value("mask_weared_incorrect"))
    assert "1 of 1: **2.png**" in texts(page) and numbers(page)["Mask"] == "2", "the counts are those of all"
    assert {name.partition(".")[0] for name in zipped(page)} == {"2"} == {row["photo"][0] for row in table(page)}
    assert [button.label for button in page.download_button][1:] == [
        *(f"Results of this photo ({kind})" for kind in ("CSV", "JSON")),
        "Report of this photo (HTML)",
    ]
    run(filters(page).set_value("no_face"))
    assert "No face found." in texts(page) and "1 of 1: **3.png**" in texts(page)


def test_zip_and_table_say_what_the_page_says(page):
    upload(page, ("a.png", photo(0)), ("a.png", photo(1)), ("b.jpg", b"no photo"))
    assert unescaped(page.error[0].value).startswith("b.jpg: This file is not an image"), "the reason beside the name"
    rows = table(page)
    assert Counter((row["photo"], row["result"]) for row in rows) == {
        ("a.png", "with_mask"): 2,
        ("a (2).png", "without_mask"): 2,
    }
    pictures = zipped(page)
    assert list(pictures) == ["a.png.jpg", "a (2).png.jpg"]
    photo_set = page.session_state[PHOTO_SET]
    for picture, each in zip(pictures.values(), photo_set._photos.values(), strict=False):
        assert (picture == decode_image(photo_set.annotated(each))).all() and picture.shape[1::-1] == each.size_wh
    run(labelled(page.slider, "Smallest face").set_value(30))
    assert Counter(row["photo"] for row in table(page)) == {"a.png": 1, "a (2).png": 1}, "as the page shows them"
    (link,) = page.get("link_button")
    assert link.proto.url.endswith(f"/photos/{photo_set.key}") and link.proto.label == "All photos, annotated (ZIP)"


def test_downloads_are_blurred_on_request_hidden_faces_too(page):
    upload(page, ("0.png", photo(0)), ("1.png", photo(1)))
    within = np.s_[30:60, 30:50], np.s_[23:29, 103:109]  # the large face and the small one, where nothing is drawn
    clear = zipped(page)["0.png.jpg"]
    run(labelled(page.slider, "Smallest face").set_value(30))
    run(labelled(page.toggle, "Blur faces in the downloads").set_value(True))
    covered = zipped(page)["0.png.jpg"]
    assert all(covered[place].std() < clear[place].std() / 2 for place in within)
    photo_set = page.session_state[PHOTO_SET]
    (first, _), single = photo_set._photos.values(), labelled(page.download_button, "Annotated photo")
    assert single and (decode_image(photo_set.annotated(first)) == covered).all(), "the single one as well"


def test_another_limit_of_size_needs_no_other_look(page, pipeline):
    four(page)
    looks = pipeline.calls
    run(labelled(page.slider, "Smallest face").set_value(30))
    assert numbers(page)["Mask"] == "1" and pipeline.calls == looks
    run(labelled(page.slider, "Minimum confidence").set_value(95))
    assert numbers(page)["Not sure"] == "3" and pipeline.calls > looks


def test_the_work_can_be_stopped_and_continued(page, pipeline, monkeypatch):
    monkeypatch.setattr(view, "FIRST_S", 0.0)
    pipeline.broken_after = 1  # here the page ends, as where somebody clicks
    four(page)
    assert numbers(page)["Mask"] == "2" and "1 of 1: **0.png**" in texts(page), "the first result is there before"
    pipeline.broken_after = 1_000_000
    run(labelled(page.button, "Stop").click())
    assert "Stopped: 1 of 4 photos were looked at." in texts(page) and numbers(page)["No mask"] == "0"
    looks = pipeline.calls
    run(page)
    assert pipeline.calls == looks, "it stays so"
    run(labelled(page.button, "Continue").click())
    assert numbers(page)["No mask"] == "2" and "Stopped" not in texts(page)
    assert not {"Stop", "Continue"} & {button.label for button in page.button}


def test_photos_that_are_added_are_looked_at_though_others_were_stopped(page, pipeline, monkeypatch):
    monkeypatch.setattr(view, "FIRST_S", 0.0)
    pipeline.broken_after = 1
    four(page)
    pipeline.broken_after = 1_000_000
    run(labelled(page.button, "Stop").click())
    upload(page, *((f"{kind}.png", photo(kind)) for kind in range(4)), ("new.png", photo(1, 5)))
    assert numbers(page)["No mask"] == "4" and "Stopped" not in texts(page)


def test_many_refused_files_are_one_list(page):
    bad = [(f"{i}*.jpg", b"" if i % 2 else b"text") for i in range(9)]
    upload(page, *bad, ("good.png", photo(0)))
    (error,) = page.error
    lines = unescaped(error.value).split("\n\n")
    assert lines[0] == "**9 files cannot be used.**"
    assert lines[1].startswith("0*.jpg: This file is not an image") and "1*.jpg: This file is empty" in lines[2]
    assert len(lines) == 10 and numbers(page)["Mask"] == "2"


def test_the_gallery_marks_results_by_sign_and_words_and_a_click_opens_one(page):
    four(page)
    photo_set = page.session_state[PHOTO_SET]
    photos = list(photo_set._photos.values())
    tiles = [view._tile(each, photo_set.shown(each), each.name, False) for each in photos]
    assert [[(style.sign, text) for style, text in tile.marks] for tile in tiles] == [
        *([("✓", " 2")], [("✗", " 2")], [("!", " 2")], [])
    ]
    assert tiles[3].notes[0] == "No face" and all(1 < len(tile.jpeg) < 40_000 for tile in tiles)
    assert tiles[0].boxes[0].xyxy == pytest.approx((0.1, 20 / 150, 0.3, 70 / 150))
    page.session_state[PHOTO_CHOSEN] = photos[2].key
    run(page)
    assert "3 of 4: **2.png**" in texts(page)
    turned = photos[2]
    run(labelled(page.button, "Turn").click())
    assert "3 of 4: **2.png**" in texts(page) and turned.size_wh == (150, 202), "it stays the one that is shown"


def test_one_photo_needs_no_gallery(page):
    upload(page, ("0.png", picture_bytes(size_wh=(200, 150))))
    assert not page.get("link_button") and "Next" not in [button.label for button in page.button]
    assert not [control for control in page.segmented_control if control.key == "photo_filter"]
