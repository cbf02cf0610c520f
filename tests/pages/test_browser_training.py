"""A newcomer's way in a real browser: from the start page to a trained and deployed model, and back."""

import os
import re

import pytest

from core.language import tr, using
from core.synthetic.sample import sample_photo
from core.vision.images import encode_image
from tests.helpers import CHROMIUM, FLAGS, SCREENSHOTS, choose, empty_app, keep_picture

pytestmark = pytest.mark.browser

NAME = "Quick, Demonstration"


def deploy(page) -> None:
    """Press the button once the models are compared, and answer its question, if this one is worse."""
    button = page.locator("button:enabled").filter(has_text="Deploy").first
    button.wait_for(timeout=180_000)
    asks = "anyway" in button.inner_text()
    button.click()
    if asks:
        page.get_by_role("button", name="Deploy the worse model").click()


def start_quick_training(page, language: str = "en") -> None:
    """From the start page to the start of a training on example data, in a language."""
    with using(language):
        page.locator("[data-testid=stMain]").get_by_role("link", name=tr("Training")).click()
        page.get_by_role("button", name=tr("Use example data")).click()
        quick = page.get_by_role("radio", name=tr("Quick"))
        quick.wait_for()
        assert quick.is_checked()
        if not os.environ.get("MASK_IMAGENET_WEIGHTS"):  # somebody may have them, for the README's pictures
            page.get_by_text(tr("Advanced: every setting")).click()
            choose(page, tr("ImageNet weights"), tr("Random numbers (far less accurate)"))
        page.get_by_role("button", name=tr("Start the training")).click()


@pytest.fixture
def server_url(tmp_path):
    """An app without data sets and runs for each test, also for one that is tried again."""
    with empty_app(tmp_path) as url:
        yield url


def test_the_way_to_a_training_is_the_same_in_french(playwright, server_url):
    browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
    page = browser.new_page(viewport={"width": 1300, "height": 900}, locale="fr-FR")
    page.set_default_timeout(90_000)
    page.goto(server_url)
    start_quick_training(page, "fr")
    page.get_by_role("button", name="Arrêter").click()  # what comes then is the same as in English
    page.get_by_role("button", name="Reprendre").wait_for()
    browser.close()


def test_from_the_start_page_to_a_deployed_model_and_back(open_page):
    page = open_page("")
    page.set_default_timeout(90_000)
    start_quick_training(page)
    page.get_by_text("Exporting the model").wait_for(timeout=240_000)
    page.locator(".js-plotly-plot").first.wait_for()
    keep_picture(page, "training")
    page.reload()
    page.get_by_role("heading", name=f"{NAME} is done").wait_for(timeout=240_000)
    page.get_by_text(re.compile("than the active model|both classify")).first.wait_for(timeout=180_000)
    keep_picture(page, "result")

    photo = open_page("photo")  # somebody else looks at a photo meanwhile
    photo.set_default_timeout(90_000)
    picture = {"name": "bare.jpg", "mimeType": "image/jpeg", "buffer": encode_image(sample_photo(False))}
    photo.locator("input[type=file]").set_input_files([picture])
    photo.get_by_text("1 face: 1 without a mask.").first.wait_for()
    photo.get_by_text("Advanced").click()
    settings = photo.locator("[data-testid=stExpander]").filter(has_text="Advanced")
    assert settings.get_by_text("a classifier of your choice").count() == 0
    deploy(page)
    settings.get_by_text("a classifier of your choice").first.wait_for()
    # It knows little: any answer will do.
    photo.get_by_text(re.compile("^(1 face: 1 |No face)")).first.wait_for()
    page.get_by_role("button", name="Roll back").click()
    photo.get_by_text("1 face: 1 without a mask.").first.wait_for()
    settings.get_by_text("a classifier of your choice").first.wait_for(state="detached")

    # A click on a run opens it.
    page.get_by_role("radio", name="Runs").click()
    page.locator("[data-testid=stDataFrame]").first.click(position={"x": 220, "y": 52})
    page.get_by_role("heading", name=NAME).wait_for()
    if SCREENSHOTS:
        page.goto(page.url.partition("training")[0] + "datasets")
        page.get_by_role("radio", name="Gallery").click()
        page.get_by_text("48 of 48 images").wait_for()
        keep_picture(page, "data")
