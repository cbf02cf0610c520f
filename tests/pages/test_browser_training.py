"""The whole way in a real browser: upload images, train, watch, cancel, deploy the model, roll back."""

import io
import os
import re
import time
import zipfile

import cv2
import numpy as np
import pytest

from core.synthetic.sample import SAMPLE_FACE_XYXY, sample_photo
from core.vision.crops import resize
from core.vision.images import encode_image
from tests.helpers import SCREENSHOTS, keep_picture

pytestmark = pytest.mark.browser

PICTURES = 18


def class_folders_zip() -> bytes:
    """A zip as a person would make it: a folder per class, not square, and one file that is no picture."""
    rng = np.random.default_rng(5)
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as file:
        for masked, name in ((True, "with_mask"), (False, "without_mask")):
            x1, y1, x2, y2 = SAMPLE_FACE_XYXY
            for i in range(PICTURES):
                left, top, right, bottom = rng.integers(5, 40, 4)
                face = sample_photo(masked)[y1 - top : y2 + bottom, x1 - left : x2 + right]
                face = cv2.convertScaleAbs(face, alpha=rng.uniform(0.7, 1.2), beta=rng.uniform(-25, 25))
                file.writestr(f"faces/{name}/{i:02}.jpg", encode_image(resize(face, (90 + i, 120))))
        file.writestr("faces/with_mask/broken.jpg", b"no picture")
    return data.getvalue()


def points(page) -> int:
    """How many points the first curve on the page has."""
    return page.evaluate(
        "Math.max(0, ...[...document.querySelectorAll('.js-plotly-plot')].map(p => p.data?.[0]?.x?.length ?? 0))"
    )


def choose(page, label: str, option: str) -> None:
    """Choose in a list as a person does; it closes by itself when the page changes meanwhile."""
    end = time.monotonic() + 60
    while not page.get_by_role("option", name=option).count():
        assert time.monotonic() < end, f"{label} does not offer {option}"
        page.get_by_role("combobox", name=label).click()
        page.wait_for_timeout(1500)
    page.get_by_role("option", name=option).first.click()


def start_training(page, recipe: str) -> None:
    """A training from random numbers, unless somebody has ImageNet weights for the README's pictures."""
    page.get_by_role("radio", name="New training").click()
    page.get_by_text(recipe, exact=True).first.click()
    if not os.environ.get("MASK_IMAGENET_WEIGHTS"):
        page.get_by_text("Advanced: every setting").click()
        choose(page, "Imagenet weights", "Random numbers")
    page.get_by_role("button", name="Start the training").click()


def test_from_a_zip_to_a_deployed_model_and_back(open_page):
    page = open_page("datasets")
    page.set_default_timeout(90_000)
    page.get_by_role("radio", name="Upload").click()
    upload = {"name": "faces.zip", "mimeType": "application/zip", "buffer": class_folders_zip()}
    page.locator("input[type=file]").set_input_files([upload])
    page.get_by_role("button", name="Add this data set").click()
    page.get_by_text(f"faces is here: {2 * PICTURES} images.").wait_for()
    page.get_by_text("Left out: 1").first.wait_for()
    page.locator(".js-plotly-plot").first.wait_for()
    page.get_by_role("radio", name="Gallery").click()
    page.get_by_text(f"{2 * PICTURES} of {2 * PICTURES} images").wait_for()
    keep_picture(page, "data")

    # One training is watched, through a reload, and cancelled.
    page.get_by_role("link", name="Training").click()
    start_training(page, "The student's report")
    page.locator(".js-plotly-plot").first.wait_for()
    wanted, end = points(page) + (1 if not SCREENSHOTS else 10), time.monotonic() + 90
    while points(page) < wanted:
        assert time.monotonic() < end, "the curve does not grow"
        page.wait_for_timeout(200)
    keep_picture(page, "training")
    page.reload()
    page.locator(".js-plotly-plot").first.wait_for()
    page.get_by_role("button", name="Cancel").click()
    page.get_by_role("button", name="Resume").wait_for()
    page.get_by_text("cancelled").first.wait_for()

    # Another one ends.
    start_training(page, "Quick")
    page.get_by_role("heading", name="Quick is done").wait_for(timeout=180_000)
    page.get_by_role("button", name="Deploy").wait_for()
    page.get_by_text("All data sets of this server").wait_for()
    page.get_by_text("Training the last layers").wait_for(state="detached")
    page.get_by_role("heading", name="Quick is done").scroll_into_view_if_needed()
    keep_picture(page, "result")
    photo = open_page("photo")  # somebody else looks at a photo meanwhile
    picture = {"name": "bare.jpg", "mimeType": "image/jpeg", "buffer": encode_image(sample_photo(False))}
    photo.locator("input[type=file]").set_input_files([picture])
    photo.get_by_text("1 face: 1 without a mask.").first.wait_for()
    photo.get_by_text("Advanced").click()
    settings = photo.locator("[data-testid=stExpander]").filter(has_text="Advanced")
    assert settings.get_by_text("a classifier of your choice").count() == 0
    page.get_by_role("button", name="Deploy").click()
    settings.get_by_text("a classifier of your choice").first.wait_for()
    photo.get_by_text(re.compile(r"^(1 face: 1 (with|without) a mask|No face)")).first.wait_for()  # it learnt little
    page.get_by_role("button", name="Roll back").click()
    page.get_by_role("button", name="Deploy").wait_for()
    photo.get_by_text("1 face: 1 without a mask.").first.wait_for()
    settings.get_by_text("a classifier of your choice").first.wait_for(state="detached")
