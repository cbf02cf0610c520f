"""Where pictures enter and leave: bytes of a file in, BGR frame out, and back.

Pillow decodes, because it reads a file's size before its pixels, so that a header that promises a gigapixel costs
nothing, and because it knows every format that people upload. What a small file could ask for much work is known before
the work begins: pixels, passes of a JPEG, tiles of a TIFF.
"""

import contextlib
import io
import threading
import warnings
from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import cv2
import numpy as np

from core.language import mark, number, tr

if TYPE_CHECKING:
    import PIL.Image

# The text says 50; cameras of "50 megapixels" make 8192 × 6144.
MAX_MEGAPIXELS = 51
FORMATS = ("JPEG", "PNG", "WEBP", "HEIF", "AVIF", "BMP", "TIFF", "GIF", "PPM")
SUFFIXES = {
    *(".jpg", ".jpeg", ".jpe", ".jfif", ".jif", ".pjpeg", ".mpo", ".png", ".apng", ".webp", ".heic", ".heif", ".hif"),
    *(".avif", ".bmp", ".dib", ".tif", ".tiff", ".gif", ".ppm", ".pgm", ".pbm", ".pnm"),
}
"""The usual endings of these formats, in lower case. What is in a file decides, not its ending."""
# Progressive JPEGs are decoded pass by pass: cameras and programs write about ten. Passes times megapixels.
MAX_PASSES, MAX_PASS_MEGAPIXELS = 100, 1000
# How far a JPEG, and what is decoded like it, may be reduced while it is decoded.
REDUCTIONS = (8, 4, 2)
ROWS_AT_ONCE = 256
TILE_TAGS = 322, 323  # of a TIFF: width and height
ROTATIONS = {1: cv2.ROTATE_90_CLOCKWISE, 2: cv2.ROTATE_180, 3: cv2.ROTATE_90_COUNTERCLOCKWISE}
# By EXIF's orientation: how many quarters the stored picture must be turned clockwise, and along which axis mirrored.
TURNS = {2: (0, 1), 3: (2, None), 4: (0, 0), 5: (1, 1), 6: (1, None), 7: (1, 0), 8: (3, None)}
NOT_READABLE = mark("This file is not an image that can be read; use JPEG, PNG, WebP or HEIC.")


class ImageError(ValueError):
    """A picture cannot be used; the message is one sentence for the person who brought it."""


class LoadedImage(NamedTuple):
    """A decoded picture file."""

    frame_bgr: np.ndarray
    """(h, w, 3) uint8, upright; perhaps smaller than the picture."""
    size_wh: tuple[int, int]
    """Of the whole picture, upright."""
    note: str
    """What of the file is left out, in one sentence; empty if nothing is."""


class PixelBudget:
    """Bounds what all threads decode at once by its pixels, and so by memory; one picture alone may be of any size."""

    def __init__(self, megapixels: float):
        """Args: how many megapixels may be decoded at once, at about 12 bytes a pixel."""
        self._most = megapixels * 1e6
        self._used = 0.0
        self._entrance = threading.Lock()  # one waits at a time, so that small pictures don't overtake a large one
        self._changed = threading.Condition()

    @contextlib.contextmanager
    def taken(self, pixels: float) -> Iterator[None]:
        """Wait until so many pixels fit beside those of other threads, and hold them for the time of a ``with``."""
        with self._entrance, self._changed:
            self._changed.wait_for(lambda: not self._used or self._used + pixels <= self._most)
            self._used += pixels
        try:
            yield
        finally:
            with self._changed:
                self._used -= pixels
                self._changed.notify()


_in_work = PixelBudget(MAX_MEGAPIXELS)


def decode_image(data: bytes, max_megapixels: float = MAX_MEGAPIXELS) -> np.ndarray:
    """The pixels of a picture file, all of them: (h, w, 3) uint8, BGR; otherwise as ``load_image``."""
    return load_image(data, max_megapixels=max_megapixels).frame_bgr


def load_image(
    data: bytes, least_sides: tuple[int, int] | None = None, max_megapixels: float = MAX_MEGAPIXELS
) -> LoadedImage:
    """Decode the bytes of a picture file, turned upright as its EXIF data says; where that is damaged, as it is stored.

    Grey, CMYK, palette and 16-bit pictures become 8-bit colour; transparent parts become white. Of an animation or a
    document, the first frame or page is taken.

    Args:
        data: a whole file: JPEG, PNG, WebP, HEIC/HEIF, AVIF, BMP, TIFF, GIF or portable pixmap.
        least_sides: pixels of the longer and the shorter side that are enough: a larger picture is reduced to a half, a
            quarter or an eighth while it is decoded, if so many remain.
        max_megapixels: larger pictures are refused before their pixels are decoded.

    Raises:
        ImageError: empty, damaged, too large, too much work or not a picture.
    """
    if not data:
        raise ImageError(tr("This file is empty; save or export the image again."))
    image = _open(data, max_megapixels)
    size_wh = image.size
    tile_pixels = _refuse_much_work(image, data, max_megapixels)
    try:
        factor = _reduction(size_wh, least_sides)
        if factor > 1 and image.format in ("JPEG", "MPO"):
            image.draft(None, (size_wh[0] // factor, size_wh[1] // factor))
            factor = 1
        with _in_work.taken(max(image.width * image.height, tile_pixels)):
            image.load()
            note, orientation = _note(image), _orientation(image)
            frame = cv2.cvtColor(_to_rgb(image, factor), cv2.COLOR_RGB2BGR)
    except MemoryError:
        raise ImageError(tr("This image needs more memory than this server has; make it smaller.")) from None
    except Exception:  # a damaged file makes decoders fail in every way
        raise ImageError(tr("This image is damaged or incomplete; save or download it again.")) from None
    turn, mirror = TURNS.get(orientation, (0, None))
    upright = turn_image(LoadedImage(frame, size_wh, note), turn)
    return upright if mirror is None else upright._replace(frame_bgr=cv2.flip(upright.frame_bgr, mirror))


def turn_image(image: LoadedImage, quarters: int) -> LoadedImage:
    """The picture turned clockwise by so many quarters."""
    size_wh = image.size_wh[::-1] if quarters % 2 else image.size_wh
    return LoadedImage(turn_frame(image.frame_bgr, quarters), size_wh, image.note)


def turn_frame(frame_bgr: np.ndarray, quarters: int) -> np.ndarray:
    """A frame (h, w, 3) turned clockwise by so many quarters."""
    return cv2.rotate(frame_bgr, ROTATIONS[quarters % 4]) if quarters % 4 else frame_bgr


def _open(data: bytes, max_megapixels: float) -> "PIL.Image.Image":
    """The file with its header read, not its pixels; of an allowed size."""
    from PIL import Image, JpegImagePlugin

    _register_heif()
    Image.init()
    limit = int(max_megapixels) // 10 * 10
    try:
        with warnings.catch_warnings():
            # Pillow warns of large pictures; the limit below is ours and stricter than its error.
            warnings.simplefilter("ignore")
            try:
                image = Image.open(io.BytesIO(data), formats=[name for name in FORMATS if name in Image.OPEN])
            except Image.DecompressionBombError:
                raise
            except Exception:
                if not data.startswith(b"\xff\xd8"):
                    raise
                # A damaged note on further pictures in the file costs these alone.
                image = JpegImagePlugin.JpegImageFile(io.BytesIO(data))
    except Image.DecompressionBombError:
        sentence = tr("This image is larger than {limit} megapixels; make it smaller.")
        raise ImageError(sentence.format(limit=number(limit))) from None
    except Exception:  # what is no picture makes the readers of headers fail in every way
        if data[4:8] == b"ftyp" and data[8:12] in (b"heic", b"heix", b"heim", b"heis", b"mif1", b"msf1", b"hevc"):
            raise ImageError(
                tr("HEIC photos cannot be read on this server; save it as JPEG and choose that.")
            ) from None
        raise ImageError(tr(NOT_READABLE)) from None
    width, height = image.size
    if width * height > max_megapixels * 1e6:
        sentence = tr("This image has {width} × {height} pixels; make it smaller than {limit} megapixels.")
        raise ImageError(sentence.format(width=number(width), height=number(height), limit=number(limit)))
    if not width * height:
        raise ImageError(tr(NOT_READABLE))
    return image


def _register_heif() -> None:
    try:
        import pillow_heif
    except ImportError:  # optional: without it, HEIC files are refused in words of their own
        return
    pillow_heif.register_heif_opener()


def _refuse_much_work(image: "PIL.Image.Image", data: bytes, max_megapixels: float) -> int:
    """Raise ``ImageError`` where a file asks for far more work than its pixels; return those of a tile, if any."""
    is_tiff = image.format == "TIFF"
    if image.format in ("JPEG", "MPO") or (is_tiff and "jpeg" in str(image.info.get("compression"))):
        passes = data.count(b"\xff\xda")  # the mark of each; it cannot be part of the compressed pixels
        if passes > MAX_PASSES or passes * image.width * image.height > MAX_PASS_MEGAPIXELS * 1e6:
            sentence = tr("This JPEG is stored in {passes} passes, far more than usual; save it again.")
            raise ImageError(sentence.format(passes=number(passes)))
    if not is_tiff:
        return 0
    try:
        width, height = (int(image.tag_v2.get(tag, 0)) for tag in TILE_TAGS)  # type: ignore[attr-defined]
    except (TypeError, ValueError):
        return 0
    if width * height > max_megapixels * 1e6:
        sentence = tr("This TIFF is stored in tiles of {width} × {height} pixels; save it without tiles.")
        raise ImageError(sentence.format(width=number(width), height=number(height)))
    return width * height


def _reduction(size_wh: tuple[int, int], least_sides: tuple[int, int] | None) -> int:
    if least_sides is None:
        return 1
    longer, shorter = max(size_wh), min(size_wh)
    fits = (n for n in REDUCTIONS if longer // n >= least_sides[0] and shorter // n >= least_sides[1])
    return next(fits, 1)


def _orientation(image: "PIL.Image.Image") -> int:
    """EXIF's orientation, 1 (upright) to 8; 1 where it is damaged."""
    try:
        orientation = image.getexif().get(0x0112, 1)
        return orientation if orientation in TURNS else 1
    except Exception:  # damaged EXIF data fails in every way
        return 1


def _note(image: "PIL.Image.Image") -> str:
    if image.format not in ("GIF", "WEBP", "PNG", "AVIF", "TIFF"):
        return ""
    try:
        several = getattr(image, "is_animated", False)
    except Exception:  # later frames are damaged
        several = False
    if not several:
        return ""
    if image.format == "TIFF":
        return tr("Of this file, the first page is used.")
    return tr("Of this file, the first frame is used.")


def _to_rgb(image: "PIL.Image.Image", factor: int = 1) -> np.ndarray:
    """Any Pillow mode as (h, w, 3) uint8 RGB, reduced by a whole number."""
    from PIL import Image

    if image.mode.startswith(("I", "F")):  # 16 and 32 bits a pixel: Pillow would cut values off at 255
        return cv2.cvtColor(_to_8_bit(np.asarray(image)), cv2.COLOR_GRAY2RGB)
    transparent = image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info
    mode = "RGBA" if transparent else "L" if image.mode == "L" else "RGB"
    if image.mode != mode:  # otherwise it would be copied
        image = image.convert(mode)
    if factor > 1:
        image = image.reduce(factor)
    if transparent:
        white = Image.new("RGB", image.size, "white")
        white.paste(image, mask=image)
        image = white
    return np.asarray(image if image.mode == "RGB" else image.convert("RGB"))


def _to_8_bit(grey: np.ndarray) -> np.ndarray:
    """Grey values of any type and range, (h, w), as uint8; a few rows at a time, to need little memory."""
    strips = [grey[start : start + ROWS_AT_ONCE] for start in range(0, len(grey), ROWS_AT_ONCE)]
    brightest = max(float(np.nan_to_num(strip.astype(np.float32)).max(initial=0)) for strip in strips)
    span = 65535 if brightest > 255 else 255 if brightest > 1 else 1
    grey8 = np.empty(grey.shape, np.uint8)
    for start, strip in zip(range(0, len(grey), ROWS_AT_ONCE), strips, strict=True):
        values = np.nan_to_num(strip.astype(np.float32)) * np.float32(255 / span)
        grey8[start : start + ROWS_AT_ONCE] = np.clip(values, 0, 255)
    return grey8


class DecodedImages:
    """Pictures decoded on demand, the latest kept: a visitor's photos take only so much memory, however many."""

    def __init__(self, max_megapixels: float = MAX_MEGAPIXELS):
        """Args: how many megapixels are kept in all, at 3 bytes a pixel; the latest picture is kept at any size."""
        self._max_pixels = max_megapixels * 1e6
        self._images: dict[tuple, LoadedImage] = {}

    def get(self, key: str, read: Callable[[], bytes], least_sides: tuple[int, int] | None = None) -> LoadedImage:
        """The picture of this key; ``read`` gives the file's bytes if it must be decoded.

        Raises:
            ImageError: as ``load_image``, which also says what ``least_sides`` are.
        """
        image = self._images.pop((key, least_sides), None) or load_image(read(), least_sides)
        self._images[key, least_sides] = image
        while len(self._images) > 1 and sum(i.frame_bgr.size / 3 for i in self._images.values()) > self._max_pixels:
            self._images.pop(next(iter(self._images)))
        return image

    def keep_only(self, keys: Collection[str]) -> None:
        """Forget all other pictures."""
        self._images = {kept: image for kept, image in self._images.items() if kept[0] in keys}


def read_image(path: Path | str) -> np.ndarray:
    """Read and decode a picture file: (h, w, 3) uint8, BGR.

    Raises:
        ImageError: as ``decode_image``, with the file's name in front.
    """
    path = Path(path)
    try:
        return decode_image(path.read_bytes())
    except OSError as error:
        sentence = tr("{file} cannot be read: {reason}.")
        raise ImageError(sentence.format(file=path, reason=error.strerror or error)) from None
    except ImageError as error:
        raise ImageError(f"{path}: {error}") from None


def encode_image(frame_bgr: np.ndarray, extension: str = ".jpg", quality: int = 92) -> bytes:
    """Encode a frame as the bytes of a ``.jpg`` (of this quality, 0..100), ``.png`` or ``.webp`` file."""
    options = [cv2.IMWRITE_JPEG_QUALITY, quality] if extension == ".jpg" else []
    done, data = cv2.imencode(extension, frame_bgr, options)
    if not done:
        raise ImageError(f"A frame of shape {frame_bgr.shape} cannot be written as {extension}.")
    return data.tobytes()
