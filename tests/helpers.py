"""Small things that many tests need. Nothing here imports TensorFlow."""

import contextlib
import io
import os
import re
import shutil
import socket
import struct
import subprocess
import sys
import time
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO

import cv2
import numpy as np
import psutil
from PIL import Image
from streamlit.testing.v1 import AppTest

from core.synthetic.sample import SAMPLE_FACE_XYXY
from core.vision.classes import CLASS_NAMES
from core.vision.detections import make_detections

ROOT = Path(__file__).resolve().parent.parent


SHARED = ROOT.parent / "shared"


def picture_bytes(mode: str = "RGB", size_wh: tuple[int, int] = (40, 30), format: str = "PNG", **options) -> bytes:
    """A picture file with a gradient, encoded by Pillow."""
    width, height = size_wh
    ramp = np.linspace(0, 255, width * height).reshape(height, width).astype(np.uint8)
    data = io.BytesIO()
    image = Image.fromarray(ramp)
    (image if mode == "L" else image.convert(mode)).save(data, format, **options)
    return data.getvalue()


class StubPipeline:
    """Finds the sample's face wherever it is asked, with a prediction of the test's choice; no model needed."""

    classes = CLASS_NAMES

    def __init__(self, class_id: int = 0, confidence: float = 0.9):
        self.face_scores: dict[str, float] = {}
        self.class_id, self.confidence = class_id, confidence
        self.calls = 0

    def __call__(self, frame_bgr, settings=None):
        self.calls += 1
        return make_detections([SAMPLE_FACE_XYXY], [self.class_id], [self.confidence], [0.8])


CHROMIUM = os.environ.get("CHROMIUM") or next(
    (path for name in ("chromium", "chromium-browser", "google-chrome") if (path := shutil.which(name))), None
)


FLAGS = [
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"),
    *("--disable-component-update", "--disable-sync"),
]


SCREENSHOTS = os.environ.get("SCREENSHOTS")


def keep_picture(page, name: str) -> None:
    """Save what the browser shows, if ``SCREENSHOTS`` names a folder; so the README's picture is made."""
    if SCREENSHOTS:
        Path(SCREENSHOTS).mkdir(parents=True, exist_ok=True)
        page.wait_for_timeout(1000)
        page.screenshot(path=Path(SCREENSHOTS) / f"{name}.png")


def choose(page, label: str, option: str) -> None:
    """Choose in a list of a page as a person does: it closes by itself when the page changes meanwhile."""
    end = time.monotonic() + 60
    while not page.get_by_role("option", name=option).count():
        assert time.monotonic() < end, f"{label} does not offer {option}"
        page.get_by_role("combobox", name=label).click()
        page.wait_for_timeout(1500)
    page.get_by_role("option", name=option).first.click()


def noise_picture(seed, size_wh=(80, 60)):
    """Blurred noise: every seed gives a picture that is no near-duplicate of another's."""
    pixels = np.random.default_rng(seed).integers(0, 256, (12, 16, 3), dtype=np.uint8)
    return cv2.resize(pixels, size_wh, interpolation=cv2.INTER_CUBIC)


def write_class_folders(folder, per_class=10, classes=("with_mask", "without_mask")):
    for k, name in enumerate(classes):
        (folder / name).mkdir(parents=True)
        for i in range(per_class):
            cv2.imwrite(str(folder / name / f"{i:03}.jpg"), noise_picture(1000 * k + i))
    return folder


def voc_xml(objects, size_wh):
    rows = "".join(
        f"<object><name>{name}</name><bndbox><xmin>{x1}</xmin><ymin>{y1}</ymin><xmax>{x2}</xmax><ymax>{y2}</ymax>"
        "</bndbox></object>"
        for name, (x1, y1, x2, y2) in objects
    )
    return f"<annotation><size><width>{size_wh[0]}</width><height>{size_wh[1]}</height></size>{rows}</annotation>"


def write_voc(folder, photos, size_wh=(160, 120)):
    """``photos``: name to list of (class, box)."""
    (folder / "images").mkdir(parents=True)
    (folder / "annotations").mkdir()
    for i, (name, objects) in enumerate(photos.items()):
        cv2.imwrite(str(folder / "images" / f"{name}.jpg"), noise_picture(5000 + i, size_wh))
        if objects is not None:
            (folder / "annotations" / f"{name}.xml").write_text(voc_xml(objects, size_wh))
    return folder


def texts(app: AppTest) -> str:
    kinds = (app.markdown, app.caption, app.info, app.warning, app.error, app.title, app.header)
    return unescaped("\n".join(element.value for kind in kinds for element in kind))


def numbers(app: AppTest) -> dict[str, str]:
    return {re.sub(r"^:material/\w+: ", "", unescaped(metric.label)): metric.value for metric in app.metric}


def labelled(widgets, label: str):
    return next(widget for widget in widgets if widget.label == label)


def wait_until(condition, seconds=30.0):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "timed out"
        time.sleep(0.005)


def png_header_bomb(width: int, height: int) -> bytes:
    """A PNG whose header promises far more pixels than it holds."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")


JPEG = picture_bytes(format="JPEG", size_wh=(400, 300))


def unescaped(markdown: str) -> str:
    """As a browser shows what ``pages.components.messages.plain`` made."""
    return re.sub(r"\\([^\w\s]|_)", r"\1", markdown).replace("\u2060", "")


@contextlib.contextmanager
def app_server(
    environment: Mapping[str, str], *options: str, port: int = 0, output: int | IO = subprocess.DEVNULL
) -> Iterator[str]:
    """The address of the app, started as a user starts it, with this environment and Streamlit's options."""
    port = port or free_port()
    server = subprocess.Popen(
        [
            *(sys.executable, "-m", "streamlit", "run", "streamlit_app.py", "--server.headless", "true"),
            *("--server.port", str(port), "--server.address", "127.0.0.1", *options),
        ],
        cwd=ROOT,
        env=os.environ | environment,
        stdout=output,
        stderr=subprocess.STDOUT,
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


def empty_app(folder: Path) -> contextlib.AbstractContextManager[str]:
    """The address of the app without data sets and runs; what it keeps is in this folder."""
    return app_server({"MASK_DATA_DIR": str(folder / "data"), "MASK_RUNS_DIR": str(folder / "runs")})


def server_process() -> psutil.Process:
    """The newest app that ``app_server`` started and that still runs."""
    running = []
    for child in psutil.Process().children():
        with contextlib.suppress(psutil.Error):  # one that has just ended
            running += [child] if "streamlit" in child.cmdline() else []
    return max(running, key=lambda child: child.create_time())


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


def run_together(code: str, folder: Path) -> None:
    """Run this in two processes; it knows ``folder`` and ``me``, 0 or 1. What follows ``# together`` begins at once."""
    before, _, work = code.rpartition("\n# together\n")
    prepared = f"""
import sys, time
from pathlib import Path
folder, me = Path(sys.argv[1]), int(sys.argv[2])
{before}
(folder / f"ready-{{me}}").touch()
while not (folder / f"ready-{{1 - me}}").exists():
    time.sleep(0.001)
{work}
"""
    both = [
        subprocess.Popen([sys.executable, "-c", prepared, str(folder), me], cwd=ROOT, stderr=subprocess.PIPE, text=True)
        for me in "01"
    ]
    for process in both:
        _, errors = process.communicate(timeout=100)
        assert process.returncode == 0, errors[-3000:]


def peak_megabytes(prepare: str, code: str, *arguments: object) -> float:
    """What ``code`` allocates at most, in a process of its own: here, another test's threads may allocate as well.

    ``arguments`` are ``sys.argv[1:]`` of both parts; ``prepare`` runs before the counting starts.
    """
    script = "\n".join(
        [
            *("import sys, tracemalloc", prepare, "tracemalloc.start()", code),
            "print(tracemalloc.get_traced_memory()[1] / 1e6)",
        ]
    )
    done = subprocess.run(
        [sys.executable, "-c", script, *map(str, arguments)], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return float(done.stdout.splitlines()[-1])
