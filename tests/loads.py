"""Opens pages in a browser again and again while the server has other work: ``python -m tests.loads --times 300``.

Every load is that of a new visitor, a few at the same moment, and the server starts anew now and then: the first loads
after a start are those on which most goes on at once. What a person must not see is counted: pages that stay white or
lose their title, errors in the browser's console, answers of 400 and more, and lines in the server's log.
"""

import argparse
import contextlib
import json
import os
import re
import tempfile
import threading
import time
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from playwright.sync_api import Browser, ConsoleMessage, Page, Response, sync_playwright
from playwright.sync_api import Error as PlaywrightError

from core.datasets.importers import make_demo_set
from core.synthetic.examples import SEVERAL, example_file
from tests.helpers import CHROMIUM, FLAGS, app_server

PAGES = ("", "photo", "video", "live", "history", "datasets", "synthetic", "training", "model", "how_it_works")
TOGETHER, PER_START = 3, 30
LIMIT_MS = 90_000
# So long a page is looked at once it stands: parts of it run again by themselves meanwhile.
LOOK_MS = 2_500
TOKEN = "loads" * 8
# What Streamlit says when it starts and ends, and TensorFlow's interpreter on its first model.
USUAL = re.compile(r"^\s*$|You can now view|URL: |Stopping\.\.\.|XNNPACK delegate for CPU")
# Where a page of its own address is opened, Streamlit's script asks for the app below that address first.
PROBES = re.compile(r"/\w+/_stcore/(health|host-config)$")
TITLE = "[data-testid=stMain] h1"


@dataclass
class Seen:
    """What went wrong, and how much there was."""

    loads: int = 0
    white: list[str] = field(default_factory=list)
    console: Counter[str] = field(default_factory=Counter)
    answers: Counter[str] = field(default_factory=Counter)
    log: Counter[str] = field(default_factory=Counter)
    appeared_s: list[float] = field(default_factory=list)
    """From navigation to a title, of each load."""
    photos: int = 0
    """Looked at meanwhile."""


def open_together(browser: Browser, url: str, names: tuple[str, ...], seen: Seen) -> None:
    """Some visitors at the same moment, each with a page of their own."""
    opened: list[tuple[str, Page]] = []
    for name in names:
        page = browser.new_context(viewport={"width": 1300, "height": 900}).new_page()
        listen(page, name, seen)
        opened.append((name, page))
    for name, page in opened:
        page.goto(f"{url}/{name}", wait_until="commit")
    standing: list[tuple[str, Page]] = []
    for name, page in opened:
        seen.loads += 1
        try:
            page.locator(TITLE).first.wait_for(timeout=LIMIT_MS)
            seen.appeared_s.append(page.evaluate("performance.now()") / 1000)
            page.locator("[data-testid=stApp][data-test-script-state=notRunning]").wait_for(timeout=LIMIT_MS)
            standing.append((name, page))
        except PlaywrightError as error:
            seen.white.append(f"{name}: {str(error).splitlines()[0]}")
    opened[0][1].wait_for_timeout(LOOK_MS)
    seen.white += [
        f"{name}: its title went away" for name, page in standing if not page.locator(TITLE).first.is_visible()
    ]
    for _, page in opened:
        page.context.close()


def listen(page: Page, name: str, seen: Seen) -> None:
    """Count what the browser complains of."""

    def said(message: ConsoleMessage) -> None:
        if message.type == "error" and not PROBES.search(message.location.get("url", "")):
            seen.console[f"{name}: {message.text[:200]}"] += 1

    def answered(answer: Response) -> None:
        if answer.status >= 400 and not PROBES.search(answer.url):
            seen.answers[f"{answer.status} {urlsplit(answer.url).path}"] += 1

    page.on("console", said)
    page.on("pageerror", lambda error: seen.console.update([f"{name}: {str(error)[:200]}"]))
    page.on("response", answered)


@contextlib.contextmanager
def busy(url: str, seen: Seen) -> Iterator[None]:
    """A program that sends one photo after another meanwhile."""
    done, photo = threading.Event(), example_file(SEVERAL)

    def send() -> None:
        request = urllib.request.Request(f"{url}/api/v1/detect", photo, {"Authorization": f"Bearer {TOKEN}"})
        while not done.is_set():
            try:
                with urllib.request.urlopen(request, timeout=60) as answer:
                    seen.photos += answer.status == 200
            except urllib.error.URLError:
                done.wait(1.0)

    thread = threading.Thread(target=send, daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


def measure(times: int, seen: Seen, home: Path) -> None:
    """So many loads, of all pages in turn."""
    os.environ["MASK_DATA_DIR"] = str(home / "data")
    make_demo_set()
    own = {"MASK_DATA_DIR": str(home / "data"), "MASK_RUNS_DIR": str(home / "runs")}
    own |= {"MASK_API_TOKEN": TOKEN, "MASK_API_PER_MINUTE": "100000"}
    log = home / "log.txt"
    with sync_playwright() as playwright:
        while seen.loads < times:
            with log.open("w") as output, app_server(own, output=output) as url, busy(url, seen):
                browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
                end = min(times, seen.loads + PER_START)
                while seen.loads < end:
                    names = tuple(PAGES[(seen.loads + k) % len(PAGES)] for k in range(min(TOGETHER, end - seen.loads)))
                    open_together(browser, url, names, seen)
                    print(f"{seen.loads} of {times}, {len(seen.white)} white", flush=True)
                browser.close()
            seen.log.update(line[:200] for line in log.read_text().splitlines() if not USUAL.search(line))


def main(arguments: list[str] | None = None) -> None:
    """Command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.loads", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--times", type=int, default=300, help="so many loads")
    parser.add_argument("--json", type=Path, help="write the figures here too")
    given = parser.parse_args(arguments)
    seen, started = Seen(), time.monotonic()
    with tempfile.TemporaryDirectory() as home:
        measure(given.times, seen, Path(home))
    seconds = sorted(seen.appeared_s) or [float("nan")]
    report = {
        "loads": seen.loads,
        "white": seen.white,
        "console": dict(seen.console),
        "answers": dict(seen.answers),
        "log": dict(seen.log),
        "title_median_s": round(seconds[len(seconds) // 2], 2),
        "title_last_s": round(seconds[-1], 2),
        "photos_meanwhile": seen.photos,
        "minutes": round((time.monotonic() - started) / 60, 1),
    }
    print(json.dumps(report, indent=2))
    if given.json:
        given.json.write_text(json.dumps(report, indent=2), encoding="utf-8")


if __name__ == "__main__":
    main()
