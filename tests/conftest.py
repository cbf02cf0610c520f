"""What pytest hands to the tests: data, a browser, the running app. Nothing here imports TensorFlow."""

import functools
import os
import shutil
import sys
import tempfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
# Two processes of tests on two cores: threads of one would only wait for those of the other, and not idly.
if "PYTEST_XDIST_WORKER" in os.environ:
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "TF_NUM_INTRAOP_THREADS", "OPENCV_FOR_THREADS_NUM"):
        os.environ.setdefault(name, "1")
# What tests start would compile the app anew each time; files beside the code that git ignores keep that.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
# Where a page breaks down, rich would colour the source of every function on the way to it: a second each.
os.environ.setdefault("STREAMLIT_LOGGER_ENABLE_RICH", "false")
# Tests deploy models and remove them: in a copy, so that the real ones stay as they are. This must be set before
# anything of ours is imported.
MODELS_COPY = tempfile.TemporaryDirectory(prefix="mask-tests-")
os.environ["MASK_MODELS_DIR"] = str(Path(MODELS_COPY.name) / "models")
(Path(MODELS_COPY.name) / "models").mkdir()
for each in (ROOT / "models").glob("mask-*"):
    shutil.copy(each, os.environ["MASK_MODELS_DIR"])
shutil.copytree(ROOT / "models" / "scores", Path(os.environ["MASK_MODELS_DIR"]) / "scores")
SHIPPED = {path.name for path in Path(os.environ["MASK_MODELS_DIR"]).iterdir()}

from core.vision.litert import use_threads  # noqa: E402
from tests.helpers import CHROMIUM, FLAGS, SHARED, empty_app  # noqa: E402

if "PYTEST_XDIST_WORKER" in os.environ:
    use_threads(1)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Long files first, so that no process is left alone with one at the end; what opens pages is slow."""
    tests = ROOT / "tests"
    first = [tests / room for room in ("train", "pages/test_browser_training.py", "pages", "batch")]
    opens_pages = {tests / "pages", tests / "batch"}
    items.sort(
        key=lambda item: next(
            (k for k, room in enumerate(first) if room in (item.path, *item.path.parents)), len(first)
        )
    )
    for item in items:
        if item.get_closest_marker("long") or not opens_pages.isdisjoint(item.path.parents):
            item.add_marker("slow")


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Where only tests in a browser are wanted, files without any need not be imported, with all that they import."""
    if config.option.markexpr != "browser" or collection_path.suffix != ".py":
        return None
    return b"mark.browser" not in collection_path.read_bytes() or None


@pytest.fixture(autouse=True)
def usual_method():
    """Every test starts with the method that is in use at first."""
    (Path(os.environ["MASK_MODELS_DIR"]) / "in_use.json").unlink(missing_ok=True)


@pytest.fixture(scope="module", autouse=True)
def shipped_models_alone():
    """Every file of tests starts with the models that we ship, whichever file ran before and installed others."""
    folder = Path(os.environ["MASK_MODELS_DIR"])
    yield
    left = {path.name for path in folder.iterdir()}
    assert left >= SHIPPED, f"a test removed {sorted(SHIPPED - left)} for all tests after it"
    for name in left - SHIPPED - {".lock"}:
        (folder / name).unlink()


@pytest.fixture(autouse=True)
def own_main():
    """Streamlit's test of a page leaves that page as the main module, which every process started later would run."""
    main = sys.modules["__main__"]
    yield
    sys.modules["__main__"] = main


@pytest.fixture(scope="session", autouse=True)
def packages_scanned_once():
    """Each page that a test opens would look through all installed packages for components: most of the test's time."""
    from streamlit.components.v2 import manifest_scanner

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            manifest_scanner, "scan_component_manifests", functools.cache(manifest_scanner.scan_component_manifests)
        )
        yield


@pytest.fixture(scope="session", autouse=True)
def pages_are_waited_for():
    """Streamlit's test of a page asks every millisecond whether it is done, on the core that the page could use."""
    from streamlit.testing.v1 import local_script_runner

    ask = local_script_runner.require_widgets_deltas

    def wait(runner: local_script_runner.LocalScriptRunner, timeout: float = 3) -> None:
        runner._script_thread.join(timeout)
        if not runner.script_stopped():
            ask(runner, 0)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(local_script_runner, "require_widgets_deltas", wait)
        yield


@pytest.fixture(scope="session", autouse=True)
def memory_is_left_alone():
    """The app of a test looks through all that the tests hold, every few seconds."""
    from pages.components import memory

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(memory, "SWEEP_S", 1e6)
        yield


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


# A real browser: headless Chromium looks at the app as a user starts it.


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
    with empty_app(tmp_path_factory.mktemp("home")) as url:
        yield url


@pytest.fixture
def open_page(playwright, server_url):
    browsers, refused = [], []

    def go(path: str, flags: list[str] = FLAGS):
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=flags)
        browsers.append(browser)
        page = browser.new_context(viewport={"width": 1300, "height": 900}).new_page()
        page.set_default_timeout(45_000)
        page.on("console", lambda message: "Content Security Policy" in message.text and refused.append(message.text))
        page.goto(f"{server_url}/{path}")
        return page

    yield go
    for browser in browsers:
        browser.close()
    assert not refused, "the headers of pages.components.server forbid what the app needs"
