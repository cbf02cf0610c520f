import io
import warnings

import numpy as np
import pytest
from PIL import Image

from core.vision.images import DecodedImages, ImageError, decode_image, encode_image, read_image
from tests.helpers import JPEG, picture_bytes, png_header_bomb


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        pytest.param(b"", "empty", id="zero bytes"),
        pytest.param(b"hello, I am a text", "not an image", id="text named jpg"),
        pytest.param(JPEG[: len(JPEG) // 2], "damaged or incomplete", id="truncated JPEG"),
        pytest.param(picture_bytes()[:60], "damaged or incomplete|not an image", id="truncated PNG"),
        pytest.param(png_header_bomb(30000, 30000), "megapixels", id="header bomb"),
        pytest.param(png_header_bomb(8000, 8000), "megapixels", id="just too large, with its own size"),
        pytest.param(png_header_bomb(0, 10), "not an image|damaged", id="no pixels"),
        pytest.param(b"GIF89a" + b"\0" * 40, "not an image", id="a format that is not offered"),
        pytest.param(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "not an image", id="a program: PostScript"),
    ],
)
def test_bad_files_get_one_sentence(data, sentence):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(ImageError, match=sentence) as caught:
            decode_image(data)
    assert str(caught.value).endswith(".")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("mode", "format", "options"),
    [
        pytest.param("RGB", "PNG", {}, id="colour PNG"),
        pytest.param("RGB", "WEBP", {}, id="WebP"),
        pytest.param("RGB", "HEIF", {}, id="HEIC"),
        pytest.param("L", "JPEG", {}, id="grey"),
        pytest.param("CMYK", "JPEG", {}, id="CMYK"),
        pytest.param("P", "PNG", {}, id="palette"),
        pytest.param("1", "PNG", {}, id="one bit"),
        pytest.param("LA", "PNG", {}, id="grey with transparency"),
        pytest.param("RGBA", "PNG", {}, id="colour with transparency"),
        pytest.param("I;16", "PNG", {}, id="16 bits"),
        pytest.param("RGB", "TIFF", {}, id="TIFF"),
    ],
)
def test_every_kind_of_picture_becomes_8_bit_colour(mode, format, options):
    if format == "HEIF":
        pillow_heif = pytest.importorskip("pillow_heif")
        pillow_heif.register_heif_opener()
    if mode == "I;16":
        data = io.BytesIO()
        Image.fromarray(np.linspace(0, 65535, 1200).reshape(30, 40).astype(np.uint16)).save(data, "PNG")
        data = data.getvalue()
    else:
        data = picture_bytes(mode, format=format, **options)
    frame = decode_image(data)
    assert frame.shape == (30, 40, 3) and frame.dtype == np.uint8
    # The gradient runs from dark to light in every mode: nothing was cut off, inverted or turned.
    assert frame[:3].mean() < 60 and frame[-3:].mean() > 195


def test_one_pixel_is_a_picture():
    assert decode_image(picture_bytes(size_wh=(1, 1))).shape == (1, 1, 3)


def test_transparent_becomes_white():
    data = io.BytesIO()
    Image.new("RGBA", (8, 6), (10, 20, 30, 0)).save(data, "PNG")
    assert (decode_image(data.getvalue()) == 255).all()


def test_red_is_red():
    data = io.BytesIO()
    Image.new("RGB", (8, 6), (255, 0, 0)).save(data, "PNG")
    assert (decode_image(data.getvalue()) == [0, 0, 255]).all()


def test_exif_turn_is_respected():
    image = Image.new("RGB", (40, 20))
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was held upright
    data = io.BytesIO()
    image.save(data, "JPEG", exif=exif)
    assert decode_image(data.getvalue()).shape == (40, 20, 3)


def test_fifty_megapixels_are_accepted_and_more_are_not():
    data = picture_bytes("L", (8000, 6200), "JPEG")
    assert decode_image(data).shape == (6200, 8000, 3)
    with pytest.raises(ImageError, match="smaller than 40 megapixels"):
        decode_image(data, max_megapixels=40)


def test_float_and_nan_pixels_keep_their_range():
    data = io.BytesIO()
    grey = np.linspace(0, 1, 1200, dtype=np.float32).reshape(30, 40)
    grey[0, 0] = np.nan
    Image.fromarray(grey).save(data, "TIFF")
    frame = decode_image(data.getvalue())
    assert frame[:3].mean() < 40 and frame[-3:].mean() > 215


@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP", "HEIF"])
def test_damaged_files_never_raise_anything_else(format):
    if format == "HEIF":
        pytest.importorskip("pillow_heif").register_heif_opener()
    whole = bytearray(picture_bytes(format=format, size_wh=(64, 48)))
    rng = np.random.default_rng(0)
    for _ in range(150):
        data = whole.copy()
        for place in rng.integers(0, len(data), 6):
            data[place] = rng.integers(0, 256)
        try:
            frame = decode_image(bytes(data))
        except ImageError:
            continue
        assert frame.dtype == np.uint8 and frame.ndim == 3


def test_decoded_images_keep_the_latest_within_their_limit():
    reads = []

    def read(name):
        reads.append(name)
        return picture_bytes(size_wh=(100, 100))

    images = DecodedImages(max_megapixels=0.025)
    for name in ("a", "b", "a", "c", "a", "b"):
        assert images.get(name, lambda name=name: read(name)).shape == (100, 100, 3)
    assert reads == ["a", "b", "c", "b"], "b was used longest ago when c came"
    images.keep_only({"b"})
    images.get("a", lambda: read("a"))
    assert reads[-1] == "a"
    assert DecodedImages(0.001).get("large", lambda: read("large")).shape == (100, 100, 3)


def test_read_image_names_the_file(tmp_path):
    (tmp_path / "broken.jpg").write_bytes(b"no")
    with pytest.raises(ImageError, match=r"broken\.jpg"):
        read_image(tmp_path / "broken.jpg")
    with pytest.raises(ImageError, match=r"missing\.jpg cannot be read"):
        read_image(tmp_path / "missing.jpg")


@pytest.mark.parametrize("extension", [".jpg", ".png", ".webp"])
def test_encode_and_decode_agree(extension):
    frame = decode_image(picture_bytes(size_wh=(64, 48)))
    again = decode_image(encode_image(frame, extension))
    assert np.abs(again.astype(int) - frame).max() <= (0 if extension == ".png" else 12)
