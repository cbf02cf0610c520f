"""Many visitors at once: real browsers on the Photo and the Live page, and what that costs the server.

Half of them upload photo after photo, half show a fake camera. Prints what went wrong, how long results took, and the
server's memory before, meanwhile and after everybody has left::

    python -m tests.crowd --browsers 10 --minutes 5 [--json FILE]
"""

import argparse
import asyncio
import json
import re
import tempfile
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path

import cv2
import psutil
from playwright.async_api import Page, async_playwright
from playwright.async_api import TimeoutError as TooLate

from core.synthetic.sample import sample_photo
from core.vision.images import encode_image
from tests.helpers import CHROMIUM, FLAGS, app_server, server_process

# Chromium and the app share one machine here: a result may take this long before it counts as missing.
PATIENCE_MS = 90_000
CAMERA_WH = (320, 240)
# Visitors come one after another: ten pages that load at the same moment are work for the browsers, not for the app.
ARRIVAL_S = 4.0
# Memory is read so long after the last browser is closed: a session is kept for two minutes, its visitor may return.
REST_S = 150
WRONG = re.compile(r"Traceback|encountered an error|Connection error|Bad message|cannot be classified at the moment")


@dataclass
class Report:
    """What a crowd saw, and what it cost."""

    browsers: int
    minutes: float
    photos: int = 0
    photo_s: list[float] = field(default_factory=list)
    """From choosing the file to the result on the screen, in seconds."""
    frames_per_s: list[float] = field(default_factory=list)
    """Shown to each visitor of the Live page."""
    wrong: list[str] = field(default_factory=list)
    rss_start_mb: float = 0
    rss_most_mb: float = 0
    rss_end_mb: float = 0
    server_cores: float = 0
    """Processor cores that the server kept busy on average, while everybody was there; the browsers take the rest."""
    threads_start: int = 0
    threads_end: int = 0


async def upload_photos(page: Page, url: str, end: float, report: Report, number: int) -> None:
    """Photo after photo, masked and bare in turn, each a file of its own."""
    await page.goto(f"{url}/photo")
    masked = bool(number % 2)
    while time.monotonic() < end:
        data = encode_image(sample_photo(masked))
        file = {"name": f"{number}-{report.photos}.jpg", "mimeType": "image/jpeg", "buffer": data}
        started = time.monotonic()
        await page.locator("input[type=file]").first.set_input_files([file])
        await page.get_by_text(file["name"]).first.wait_for()
        await page.get_by_text(f"1 face: 1 with{'' if masked else 'out'} a mask.").first.wait_for()
        report.photo_s.append(round(time.monotonic() - started, 2))
        report.photos += 1
        await look(page, report)
        masked = not masked
        await page.get_by_role("button", name=f"Remove {file['name']}").click()
        await page.get_by_text("No photo at hand?").wait_for()


async def watch(page: Page, url: str, end: float, report: Report, number: int) -> None:
    """One long stream."""
    await page.goto(f"{url}/live")
    await page.frame_locator("iframe").get_by_role("button", name="Start").click()
    await page.get_by_text("frames analysed per second").wait_for()
    frames = page.frame_locator("iframe").locator("video")
    count = "v => v.getVideoPlaybackQuality().totalVideoFrames"
    before, since = await frames.evaluate(count), time.monotonic()
    while time.monotonic() < end:
        await look(page, report)
        await asyncio.sleep(5)
    if (seconds := time.monotonic() - since) > 1:
        report.frames_per_s.append(round((await frames.evaluate(count) - before) / seconds, 1))


async def look(page: Page, report: Report) -> None:
    """Note what no visitor should see."""
    if found := WRONG.search(await page.locator("body").inner_text()):
        report.wrong.append(f"{page.url}: {found[0]}")


async def crowd(url: str, server: psutil.Process, report: Report) -> None:
    """Everybody at once, until the time is over."""
    end = time.monotonic() + report.minutes * 60
    with tempfile.TemporaryDirectory() as folder:
        film = Path(folder) / "film.y4m"
        write_film(film)
        camera = ["--use-fake-ui-for-media-stream", "--use-fake-device-for-media-stream"]
        flags = [*FLAGS, *camera, f"--use-file-for-fake-video-capture={film}"]
        async with async_playwright() as playwright:
            browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=flags)
            visits = [
                visit(browser, watch if i % 2 else upload_photos, url, end, report, i) for i in range(report.browsers)
            ]
            await asyncio.gather(*visits, keep_most(server, end, report))
            await browser.close()


def write_film(path: Path) -> None:
    """A masked face for a fake camera, in the form that costs a browser least: small, raw, ten frames a second."""
    width, height = CAMERA_WH
    frame = cv2.resize(sample_photo(True), CAMERA_WH, interpolation=cv2.INTER_AREA)
    planes = cv2.cvtColor(frame, cv2.COLOR_BGR2YUV_I420).tobytes()
    path.write_bytes(f"YUV4MPEG2 W{width} H{height} F10:1 Ip A1:1 C420jpeg\n".encode() + (b"FRAME\n" + planes) * 10)


async def visit(browser, what, url: str, end: float, report: Report, number: int) -> None:
    """One visitor; whatever goes wrong is noted."""
    await asyncio.sleep(number * ARRIVAL_S)
    context = await browser.new_context()
    page = await context.new_page()
    page.set_default_timeout(PATIENCE_MS)
    try:
        await what(page, url, end, report, number)
    except TooLate as error:
        shown = " ".join((await page.locator("body").inner_text()).split())
        report.wrong.append(f"{page.url}: {str(error).splitlines()[0]} It shows: {shown[-300:]}")
    await context.close()


async def keep_most(server: psutil.Process, end: float, report: Report) -> None:
    """Look at the server's memory twice a second."""
    while time.monotonic() < end:
        report.rss_most_mb = max(report.rss_most_mb, megabytes(server))
        await asyncio.sleep(0.5)


def megabytes(server: psutil.Process) -> float:
    """Resident memory."""
    return round(server.memory_info().rss / 1e6, 1)


def run(browsers: int, minutes: float) -> Report:
    """A crowd at an app of its own."""
    report = Report(browsers, minutes)
    with (
        tempfile.TemporaryDirectory() as home,
        app_server(
            {
                "MASK_DATA_DIR": f"{home}/data",
                "MASK_RUNS_DIR": f"{home}/runs",
                "MASK_LIVE_VIEWERS": str(browsers),  # nobody is sent away: what the machine bears is measured
            }
        ) as url,
    ):
        server = server_process()
        # One visitor first: models are loaded once and stay, and are no part of what a crowd costs.
        warm = Report(2, 0.1)
        asyncio.run(crowd(url, server, warm))
        report.wrong += warm.wrong
        time.sleep(5)
        report.rss_start_mb, report.threads_start = megabytes(server), server.num_threads()
        busy_s, since = sum(server.cpu_times()[:2]), time.monotonic()
        asyncio.run(crowd(url, server, report))
        report.server_cores = round((sum(server.cpu_times()[:2]) - busy_s) / (time.monotonic() - since), 2)
        time.sleep(REST_S)
        report.rss_end_mb, report.threads_end = megabytes(server), server.num_threads()
    return report


def main(arguments: list[str] | None = None) -> None:
    """Command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.crowd", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--browsers", type=int, default=10, help="half for photos, half live; default 10")
    parser.add_argument("--minutes", type=float, default=5.0, help="default 5")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there too")
    given = parser.parse_args(arguments)
    report = run(given.browsers, given.minutes)
    text = json.dumps(asdict(report), indent=2)
    print(text)
    if given.json:
        given.json.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
