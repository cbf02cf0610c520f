"""The size of a picture as it is shown, from its file's header alone."""

from functools import lru_cache
from pathlib import Path

from core.datasets.notes import NoteError
from core.language import tr

# Pictures whose own size cannot be read end here, as the largest JPEG does.
MAX_SIDE = 65_535


def size_or_limit(path: Path) -> tuple[int, int]:
    """(width, height); of a picture that cannot be read, and therefore never cut, more than any has."""
    try:
        return picture_size(path)
    except (ValueError, OSError):
        return MAX_SIDE, MAX_SIDE


def picture_size(path: Path) -> tuple[int, int]:
    """(width, height) as the picture is shown, from the file's header alone."""
    stat = path.stat()
    return _read_size(path, stat.st_size, stat.st_mtime_ns)


# Pages read a set at every click; the header of an unchanged file says the same each time.
@lru_cache(maxsize=2**16)
def _read_size(path: Path, size: int, changed_ns: int) -> tuple[int, int]:
    from PIL import Image

    from core.vision.images import FORMATS, read_image

    try:
        with Image.open(path, formats=[name for name in FORMATS if name != "HEIF"]) as image:
            width, height = image.size
            try:
                turned = image.getexif().get(0x0112) in (5, 6, 7, 8)
            except Exception:  # such EXIF data turn nothing
                turned = False
            return (height, width) if turned else (width, height)
    except Exception:  # what is no picture makes the readers of headers fail in every way
        try:
            return read_image(path).shape[1::-1]  # HEIC, and a sentence for what is no picture
        except Exception:
            raise NoteError(tr("the image cannot be read.")) from None
