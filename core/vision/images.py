"""Where pictures enter and leave: bytes of a file in, BGR frame out, and back.

Pillow decodes, because it reads a file's size before its pixels, so that a header that promises a gigapixel costs
nothing, and because it knows every format that people upload.
"""

import io
import warnings
from collections.abc import Callable, Collection
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np

if TYPE_CHECKING:
    import PIL.Image

# The text says 50; cameras of "50 megapixels" make 8192 × 6144.
MAX_MEGAPIXELS = 51
FORMATS = ("JPEG", "PNG", "WEBP", "HEIF", "BMP", "TIFF")
UPLOAD_TYPES = ("jpg", "jpeg", "png", "webp", "heic", "heif", "bmp", "tif", "tiff")


class ImageError(ValueError):
    """A picture cannot be used; the message is one sentence for the person who brought it."""


def decode_image(data: bytes, max_megapixels: float = MAX_MEGAPIXELS) -> np.ndarray:
    """Decode the bytes of a picture file, turned upright as its EXIF data says.

    Grey, CMYK, palette and 16-bit pictures become 8-bit colour; transparent parts become white.

    Args:
        data: a whole file: JPEG, PNG, WebP, HEIC/HEIF, BMP or TIFF (its first page).
        max_megapixels: larger pictures are refused before their pixels are decoded.

    Returns:
        (h, w, 3) uint8, BGR.

    Raises:
        ImageError: empty, damaged, too large or not a picture.
    """
    from PIL import Image, ImageOps, UnidentifiedImageError

    _register_heif()
    limit = int(max_megapixels) // 10 * 10
    if not data:
        raise ImageError("This file is empty; save or export the image again.")
    try:
        with warnings.catch_warnings():
            # Pillow warns of large pictures; the limit below is ours and stricter than its error.
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            image = Image.open(io.BytesIO(data), formats=FORMATS)
    except Image.DecompressionBombError:
        raise ImageError(f"This image is larger than {limit} megapixels; make it smaller.") from None
    except (UnidentifiedImageError, OSError, ValueError, SyntaxError, RuntimeError):
        raise ImageError("This file is not an image that can be read; use JPEG, PNG, WebP or HEIC.") from None
    width, height = image.size
    if width * height > max_megapixels * 1e6:
        raise ImageError(f"This image has {width} × {height} pixels; make it smaller than {limit} megapixels.")
    try:
        # A JPEG far larger than needed is not decoded at full size by anyone else, but faces may be small: keep all.
        rgb = _to_rgb(ImageOps.exif_transpose(image))
    except (OSError, ValueError, SyntaxError, EOFError, RuntimeError, MemoryError, Image.DecompressionBombError):
        raise ImageError("This image is damaged or incomplete; save or download it again.") from None
    return cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR)


def _register_heif() -> None:
    try:
        import pillow_heif
    except ImportError:  # optional: without it, HEIC files are refused like any unknown format
        return
    pillow_heif.register_heif_opener()


def _to_rgb(image: "PIL.Image.Image") -> np.ndarray:
    """Any Pillow mode as (h, w, 3) uint8 RGB."""
    from PIL import Image

    if image.mode.startswith(("I", "F")):  # 16 and 32 bits a pixel: Pillow would cut values off at 255
        grey = np.nan_to_num(np.asarray(image, np.float32))
        brightest = grey.max(initial=0)
        span = 65535 if brightest > 255 else 255 if brightest > 1 else 1
        grey8 = np.clip(grey * np.float32(255 / span), 0, 255).astype(np.uint8)
        return cv2.cvtColor(grey8, cv2.COLOR_GRAY2RGB)
    if image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info:
        image = image.convert("RGBA")
        white = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(white, image)
    return np.asarray(image.convert("RGB"))


class DecodedImages:
    """Pictures decoded on demand, the latest kept: a visitor's photos take only so much memory, however many."""

    def __init__(self, max_megapixels: float = 2 * MAX_MEGAPIXELS):
        """Args: how many megapixels are kept in all, at 3 bytes a pixel; the latest picture is kept at any size."""
        self._max_pixels = max_megapixels * 1e6
        self._frames: dict[str, np.ndarray] = {}

    def get(self, key: str, read: Callable[[], bytes]) -> np.ndarray:
        """The frame of this key, (h, w, 3) uint8 BGR; ``read`` gives the file's bytes if it must be decoded.

        Raises:
            ImageError: as ``decode_image``.
        """
        frame = self._frames.pop(key, None)
        if frame is None:
            frame = decode_image(read())
        self._frames[key] = frame
        while len(self._frames) > 1 and sum(f.size / 3 for f in self._frames.values()) > self._max_pixels:
            self._frames.pop(next(iter(self._frames)))
        return frame

    def keep_only(self, keys: Collection[str]) -> None:
        """Forget all other pictures."""
        self._frames = {key: frame for key, frame in self._frames.items() if key in keys}


def read_image(path: Path | str) -> np.ndarray:
    """Read and decode a picture file: (h, w, 3) uint8, BGR.

    Raises:
        ImageError: as ``decode_image``, with the file's name in front.
    """
    path = Path(path)
    try:
        return decode_image(path.read_bytes())
    except OSError as error:
        raise ImageError(f"{path} cannot be read: {error.strerror or error}.") from None
    except ImageError as error:
        raise ImageError(f"{path}: {error}") from None


def encode_image(frame_bgr: np.ndarray, extension: str = ".jpg") -> bytes:
    """Encode a frame as the bytes of a ``.jpg`` (quality 92), ``.png`` or ``.webp`` file."""
    options = [cv2.IMWRITE_JPEG_QUALITY, 92] if extension == ".jpg" else []
    done, data = cv2.imencode(extension, frame_bgr, options)
    if not done:
        raise ImageError(f"A frame of shape {frame_bgr.shape} cannot be written as {extension}.")
    return data.tobytes()
