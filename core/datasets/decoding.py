"""How many images are decoded at the same time: few, and of large ones only one, for each takes most of a gigabyte."""

import io
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

DECODERS = 2
"""Images that one piece of work decodes side by side."""
LARGE_MEGAPIXELS = 13
_large = threading.Lock()


@contextmanager
def room_for(image: bytes | Path) -> Iterator[None]:
    """Wait, while this image is large, until no other large one is being decoded."""
    if _megapixels(image) <= LARGE_MEGAPIXELS:
        yield
        return
    with _large:
        yield


def _megapixels(image: bytes | Path) -> float:
    """From the header; 0 for what is no image, which costs nothing."""
    from PIL import Image

    try:
        with Image.open(io.BytesIO(image) if isinstance(image, bytes) else image) as opened:
            return opened.size[0] * opened.size[1] / 1e6
    except Exception:
        return 0.0
