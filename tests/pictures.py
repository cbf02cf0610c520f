"""The pictures of the user guide in a language: ``python -m tests.pictures docs --language fr``.

They show the portrait that comes with the project and made counts. ``MASK_IMAGENET_WEIGHTS`` names the weights that the
training on them starts from; without it Keras downloads them.
"""

import argparse
import os
import re
import tempfile
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from pathlib import Path

import numpy as np
from playwright.sync_api import Page, sync_playwright

from core.language import ENGLISH, current, languages, tr, trc, using
from core.synthetic.sample import sample_photo
from core.video.record import Minute, Recorder, Visit
from core.vision.classes import CLASS_NAMES, CLASS_STYLES, WITHOUT_MASK
from core.vision.crops import resize
from core.vision.images import encode_image
from tests.helpers import CHROMIUM, FLAGS, app_server
from tests.pages.test_browser_training import start_quick_training

LIMIT_MS, TRAINING_MS = 90_000, 600_000


def count_a_week() -> None:
    """Put people on the record, fewer at its ends."""
    recorder, now, chance = Recorder(), datetime.now(timezone.utc).replace(minute=0), np.random.default_rng(1)
    for ago in range(7):
        morning = int((now.replace(hour=8) - timedelta(days=ago)).timestamp() // 60)
        for minute in range(morning, morning + 8 * 60):
            recorder.put(Minute("Webcam", minute, 60.0))
        for _ in range(chance.integers(20, 40)):
            at = (now.replace(hour=12) - timedelta(days=ago, hours=chance.normal(0, 2))).timestamp()
            recorder.put(Visit("Webcam", at, at + 20, str(chance.choice(CLASS_NAMES, p=(0.7, 0.2, 0.1)))))
    assert recorder.flush()


def write_film(path: Path) -> None:
    """What the camera shows: the portrait on grey."""
    frame = np.full((480, 640, 3), 60, np.uint8)
    frame[:, 80:560] = resize(sample_photo(masked=False), (480, 480))
    path.write_bytes(encode_image(frame) * 20)


def keep(page: Page, path: Path) -> None:
    """Save what the browser shows once nothing moves any more."""
    page.locator("[data-testid=stApp]").hover(position={"x": 5, "y": 5})
    page.wait_for_timeout(1500)
    page.screenshot(path=path)
    print(path)


def photo(page: Page, url: str, name: Callable[[str], Path]) -> None:
    """Two portraits with their result."""
    both = np.hstack([sample_photo(masked)[:400, 60:400] for masked in (False, True)])
    page.goto(f"{url}/photo")
    page.locator("input[type=file]").set_input_files(
        [{"name": "two.jpg", "mimeType": "image/jpeg", "buffer": encode_image(both)}]
    )
    page.locator("[data-testid=stDataFrame]").first.wait_for()
    keep(page, name("photo"))


def live(page: Page, url: str, name: Callable[[str], Path]) -> None:
    """The running webcam."""
    page.goto(f"{url}/live")
    page.frame_locator("iframe").get_by_role("button", name=trc("button", "Start")).click()
    bare = CLASS_STYLES[WITHOUT_MASK].words
    page.locator("[data-testid=stMetric]").filter(has_text=re.compile(rf"{bare}\s*1$")).wait_for()
    keep(page, name("live"))


def history(page: Page, url: str, name: Callable[[str], Path]) -> None:
    """A week of counts."""
    count_a_week()
    page.goto(f"{url}/history")
    page.locator(".js-plotly-plot").nth(1).wait_for()
    keep(page, name("history"))


def training(page: Page, url: str, name: Callable[[str], Path]) -> None:
    """A training, its result, and what it trained on."""
    page.goto(url)
    start_quick_training(page, current())
    page.get_by_text(tr("Exporting the model and classifying the test pictures")).wait_for(timeout=TRAINING_MS)
    page.locator(".js-plotly-plot").first.wait_for()
    keep(page, name("training"))
    page.locator("button:enabled").filter(has_text=tr("Deploy")).first.wait_for(timeout=TRAINING_MS)
    keep(page, name("result"))
    page.goto(f"{url}/datasets")
    page.get_by_role("radio", name=tr("Gallery")).click()
    page.get_by_role("radio", name=tr("Gallery"), checked=True).wait_for()
    page.locator(".pick img").first.wait_for()
    keep(page, name("data"))


PICTURES = {each.__name__: each for each in (photo, live, history, training)}


def main() -> None:
    """Start the app and a browser of this language, and save the pictures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="where the pictures go")
    parser.add_argument("--language", default=ENGLISH, choices=list(languages()))
    parser.add_argument("--only", nargs="+", default=list(PICTURES), choices=list(PICTURES))
    given = parser.parse_args()
    given.folder.mkdir(parents=True, exist_ok=True)
    suffix = "" if given.language == ENGLISH else f".{given.language}"
    with tempfile.TemporaryDirectory(prefix="mask-pictures-") as home, sync_playwright() as playwright:
        film = Path(home) / "film.mjpeg"
        write_film(film)
        os.environ |= {"MASK_DATA_DIR": f"{home}/data", "MASK_RUNS_DIR": f"{home}/runs"}
        camera = ["--use-fake-ui-for-media-stream", "--use-fake-device-for-media-stream"]
        with app_server({}) as url, using(given.language):
            browser = playwright.chromium.launch(
                executable_path=CHROMIUM, args=[*FLAGS, *camera, f"--use-file-for-fake-video-capture={film}"]
            )
            page = browser.new_page(viewport={"width": 1300, "height": 900}, locale=given.language)
            page.set_default_timeout(LIMIT_MS)
            for each in given.only:
                PICTURES[each](page, url, lambda name: given.folder / f"{name}{suffix}.png")
            browser.close()


if __name__ == "__main__":
    main()
