"""What a photo of 12 megapixels costs the server, from the upload to the result: ``python -m tests.photo_cost``.

Processor seconds, the least of several runs: of the page as a whole, and of the steps that it is made of.
"""

import time
from collections.abc import Callable

import cv2
import numpy as np

from core.synthetic.sample import sample_photo
from core.vision.images import encode_image


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
