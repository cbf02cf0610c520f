"""Small things that many tests need. Nothing here imports TensorFlow."""

import io
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

ROOT = Path(__file__).resolve().parent.parent
SHARED = ROOT.parent / "shared"
# Tests put models to work and remove them: in a copy, so that the app of whoever runs them stays as it is. This must be
# set before anything of ours is imported, and once, though pytest and the tests import this file under two names.
if "mask-tests-" not in os.environ.get("MASK_MODELS_DIR", ""):
    MODELS_COPY = tempfile.TemporaryDirectory(prefix="mask-tests-")
    os.environ["MASK_MODELS_DIR"] = str(Path(MODELS_COPY.name) / "models")
    (Path(MODELS_COPY.name) / "models").mkdir()
    for each in (ROOT / "models").glob("mask-*"):
        shutil.copy(each, os.environ["MASK_MODELS_DIR"])
    shutil.copytree(ROOT / "models" / "scores", Path(os.environ["MASK_MODELS_DIR"]) / "scores")

from core.classes import CLASS_NAMES  # noqa: E402
from core.detections import make_detections  # noqa: E402
from core.sample import SAMPLE_FACE_XYXY  # noqa: E402


@pytest.fixture(autouse=True)
def usual_method():
    """Every test starts with the method that is in use at first."""
    (Path(os.environ["MASK_MODELS_DIR"]) / "in_use.json").unlink(missing_ok=True)


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real data sets, where there is one."""
    folder = SHARED / "datasets"
    if not folder.is_dir():
        pytest.skip("needs the data sets in ../shared/datasets, which are not part of the project")
    return folder


@pytest.fixture(scope="session")
def imagenet_weights() -> Path:
    """ImageNet weights of MobileNetV2, where they are at hand."""
    found = sorted((SHARED / "weights").glob("mobilenet_v2*_no_top.h5"))
    if not found:
        pytest.skip("needs the ImageNet weights in ../shared/weights, which are not part of the project")
    return found[0]


def picture_bytes(mode: str = "RGB", size_wh: tuple[int, int] = (40, 30), format: str = "PNG", **options) -> bytes:
    """A picture file with a gradient, encoded by Pillow."""
    width, height = size_wh
    ramp = np.linspace(0, 255, width * height).reshape(height, width).astype(np.uint8)
    data = io.BytesIO()
    image = Image.fromarray(ramp)
    (image if mode == "L" else image.convert(mode)).save(data, format, **options)
    return data.getvalue()


class StubPipeline:
    """Finds the sample's face wherever it is asked, with a verdict of the test's choice; no model needed."""

    classes = CLASS_NAMES

    def __init__(self, class_id: int = 0, confidence: float = 0.9):
        self.face_scores: dict[str, float] = {}
        self.class_id, self.confidence = class_id, confidence
        self.calls = 0

    def __call__(self, frame_bgr, settings=None):
        self.calls += 1
        return make_detections([SAMPLE_FACE_XYXY], [self.class_id], [self.confidence], [0.8])


# A real browser: headless Chromium looks at the app as a user starts it.

CHROMIUM = os.environ.get("CHROMIUM") or next(
    (path for name in ("chromium", "chromium-browser", "google-chrome") if (path := shutil.which(name))), None
)
FLAGS = [
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"),
    *("--disable-component-update", "--disable-sync"),
]
SCREENSHOTS = os.environ.get("SCREENSHOTS")


@pytest.fixture(scope="module")
def playwright():
    api = pytest.importorskip("playwright.sync_api", reason="needs the package playwright")
    if CHROMIUM is None:
        if os.environ.get("CI"):
            pytest.fail("CI must have a browser: install chromium")
        pytest.skip("needs Chromium; set CHROMIUM to its path if it has another name")
    with api.sync_playwright() as started:
        yield started


@pytest.fixture(scope="module")
def server_url(tmp_path_factory):
    """The app as a user starts it, on a free port, without data sets and runs, all of it shut down afterwards."""
    home = tmp_path_factory.mktemp("home")
    folders = {"MASK_DATA_DIR": str(home / "data"), "MASK_RUNS_DIR": str(home / "runs")}
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    server = subprocess.Popen(
        [
            *(sys.executable, "-m", "streamlit", "run", "streamlit_app.py", "--server.headless", "true"),
            *("--server.port", str(port), "--server.address", "127.0.0.1"),
        ],
        cwd=ROOT,
        env=os.environ | folders,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        end = time.monotonic() + 60
        while True:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            assert server.poll() is None and time.monotonic() < end, "the app does not start"
            time.sleep(0.1)
        yield f"http://127.0.0.1:{port}"
    finally:
        server.terminate()
        server.wait(20)


@pytest.fixture
def open_page(playwright, server_url):
    browsers = []

    def go(path: str, flags: list[str] = FLAGS):
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=flags)
        browsers.append(browser)
        page = browser.new_page(viewport={"width": 1300, "height": 900})
        page.set_default_timeout(45_000)
        page.goto(f"{server_url}/{path}")
        return page

    yield go
    for browser in browsers:
        browser.close()


def keep_picture(page, name: str) -> None:
    """Save what the browser shows, if ``SCREENSHOTS`` names a folder; this is how the README's pictures are made."""
    if SCREENSHOTS:
        Path(SCREENSHOTS).mkdir(parents=True, exist_ok=True)
        page.wait_for_timeout(1000)
        page.screenshot(path=Path(SCREENSHOTS) / f"{name}.png")
