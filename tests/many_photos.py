"""What many photos at once cost the server: ``python -m tests.many_photos [NUMBER]``, 500 if left out.

Prints the size of the files, the time and the memory beyond them that looking for faces takes at most, the same with
the zip of all annotated photos, and the processor time in which the page is shown with all of them. The preset is the
fastest, and on the page a stub stands for the network: neither changes what is kept.
"""

import resource
import sys
import time
from dataclasses import replace

import numpy as np
import psutil
from streamlit.testing.v1 import AppTest

from core.synthetic.examples import example_file
from core.vision.images import decode_image, encode_image
from core.vision.photos import PhotoSet, detector_of
from core.vision.pipeline import PHOTO_SETTINGS, build_pipeline
from pages.components import resources
from tests.helpers import ROOT, StubPipeline
from tests.photo_cost import photo_bytes, processor_s

SIZE_WH = (1600, 1200)
KINDS = 5


def peak_mb() -> float:
    """The most memory that this process has had until now."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6


def main() -> None:
    """Measure and print."""
    number = int(sys.argv[1]) if len(sys.argv) > 1 else 500
    kinds = [encode_image(decode_image(photo_bytes(SIZE_WH))[k:]) for k in range(KINDS)]
    files = [kinds[k % KINDS] + bytes([k % 256]) for k in range(number)]  # what follows a picture is passed over
    detect = detector_of(build_pipeline(), replace(PHOTO_SETTINGS, preset="fast"))

    def show(photos: PhotoSet, some: list[bytes]) -> None:
        photos.show((str(k), f"{k}.jpg", lambda k=k: some[k]) for k in range(len(some)))
        photos.chosen = tuple(map(str, range(len(some))))

    warm = PhotoSet()
    show(warm, files[:1])
    warm.classify(detect, 1)  # the model, and one photo
    del warm
    before, started, photos = psutil.Process().memory_info().rss / 1e6, time.monotonic(), PhotoSet()
    print(f"{number} photos of {SIZE_WH[0]} × {SIZE_WH[1]}, {sum(map(len, files)) / 1e6:.0f} MB", flush=True)
    show(photos, files)
    photos.classify(detect, 1)
    print(f"faces found: {time.monotonic() - started:.0f} s, {peak_mb() - before:.0f} MB more at most", flush=True)
    started = time.monotonic()
    size = sum(len(part) for part in photos.zip_file())
    print(f"zip of {size / 1e6:.0f} MB: {time.monotonic() - started:.0f} s, {peak_mb() - before:.0f} MB more at most")

    small = np.asarray(decode_image(example_file("One person")))
    resources.load_pipeline = lambda method, version: StubPipeline()
    app = AppTest.from_file(str(ROOT / "streamlit_app.py"), default_timeout=600).run()
    app.switch_page("pages/photo.py").run()
    app.file_uploader[0].set_value([(f"{k}.jpg", encode_image(small[k % 50 :]), "image/jpeg") for k in range(number)])
    app.run()
    print(f"the page with {number} results, run again: {1000 * processor_s(lambda: app.run()):.0f} ms of a processor")


if __name__ == "__main__":
    main()
