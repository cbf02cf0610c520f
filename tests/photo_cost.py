"""What a photo of 12 megapixels costs the server, from the upload to the result: ``python -m tests.photo_cost``.

Processor seconds, the least of several runs: of the page as a whole, and of the steps that it is made of.
"""

import os
import time
from collections.abc import Callable

import cv2
import numpy as np
from streamlit.testing.v1 import AppTest

from core.synthetic.sample import sample_photo
from core.vision.annotate import annotate
from core.vision.crops import letterbox
from core.vision.detections import resized
from core.vision.images import encode_image, load_image
from core.vision.photos import LEAST_SIDES
from core.vision.pipeline import PHOTO_SETTINGS, build_pipeline, detect_masks
from tests.helpers import ROOT


def photo_bytes(size_wh: tuple[int, int] = (4000, 3000)) -> bytes:
    """A JPEG with several faces and a camera's noise."""
    people = np.hstack([sample_photo(masked) for masked in (False, True, False)])
    people = cv2.resize(np.vstack([people, people[:, ::-1]]), size_wh, interpolation=cv2.INTER_CUBIC)
    noise = np.random.default_rng(0).normal(0, 4, people.shape)
    return encode_image(np.clip(people + noise, 0, 255).astype(np.uint8))


def processor_s(work: Callable[[], object], times: int = 3) -> float:
    """Processor seconds, of all threads, that ``work`` takes at least."""
    spent = []
    for _ in range(times):
        start = time.process_time()
        work()
        spent.append(time.process_time() - start)
    return min(spent)


def main() -> None:
    """Measure and print."""
    data = photo_bytes()
    pipeline = build_pipeline()
    image = load_image(data, LEAST_SIDES)
    found = detect_masks(image.frame_bgr, pipeline, PHOTO_SETTINGS, image.size_wh)
    networks = pipeline.detector._networks
    canvases = [letterbox(image.frame_bgr, side)[0][None] for side in (640, 256, 160, 2048)]
    steps = {
        "decoded as a whole": lambda: load_image(data),
        "decoded as for the page": lambda: load_image(data, LEAST_SIDES),
        "faces found and classified": lambda: detect_masks(image.frame_bgr, pipeline, PHOTO_SETTINGS, image.size_wh),
        "of that, the network": lambda: [network(canvas) for network, canvas in zip(networks, canvases, strict=True)],
        "drawn and encoded": lambda: encode_image(annotate(*resized(image.frame_bgr, found, (1460, 1095)))),
    }
    app = AppTest.from_file(str(ROOT / "streamlit_app.py"), default_timeout=120).run()
    app.switch_page("pages/photo.py").run()

    def upload() -> None:
        app.file_uploader[0].set_value([(f"{time.monotonic()}.jpg", data, "image/jpeg")]).run()

    upload()  # the first one loads the model
    steps["the page, from upload to result"] = upload
    steps["the page, run again"] = lambda: app.run()
    print(f"{len(data) / 1e6:.1f} MB, {len(found)} faces, {os.cpu_count()} cores; processor ms")
    for name, work in steps.items():
        print(f"{name:32}{1000 * processor_s(work):8.0f}", flush=True)


if __name__ == "__main__":
    main()
