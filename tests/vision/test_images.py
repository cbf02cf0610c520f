import io
import struct
import threading
import time
import warnings

import cv2
import numpy as np
import pytest
from PIL import Image, ImageOps, features

import core.vision.images as images_module
from core.vision.images import (
    DecodedImages,
    ImageError,
    PixelBudget,
    decode_image,
    encode_image,
    load_image,
    read_image,
)
from tests.helpers import JPEG, picture_bytes, png_header_bomb


def jpeg_of_passes(more: int) -> bytes:
    """A progressive JPEG whose last pass comes again and again."""
    data = picture_bytes(format="JPEG", progressive=True)
    return data[:-2] + data[data.rindex(b"\xff\xda") : -2] * more + data[-2:]


def tiff_of_a_tile(side: int) -> bytes:
    """A TIFF of 64 × 64 grey pixels, stored in one tile of this side."""
    tags = (
        (256, 64),
        (257, 64),
        (258, 8),
        (259, 1),
        (262, 1),
        (277, 1),
        (322, side),
        (323, side),
        (324, 8),
        (325, 4096),
    )
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags)
    start = struct.pack("<2sHI", b"II", 42, 8 + 4096)
    return start + bytes(4096) + struct.pack("<H", len(tags)) + entries + bytes(4)


def test_a_usual_progressive_jpeg_and_a_usual_tile_are_decoded():
    assert decode_image(jpeg_of_passes(20)).shape == (30, 40, 3)
    assert not decode_image(tiff_of_a_tile(64)).any()


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
        pytest.param(b"8BPS" + b"\0" * 40, "not an image", id="a format that is not offered"),
        pytest.param(b"GIF89a" + b"\0" * 40, "not an image|damaged", id="a GIF of nothing"),
        pytest.param(jpeg_of_passes(150), "stored in 1.. passes", id="a JPEG of many passes"),
        pytest.param(tiff_of_a_tile(26_000), "tiles of 26000 × 26000", id="a small TIFF with a huge tile"),
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
        pytest.param("CMYK", "TIFF", {}, id="CMYK TIFF"),
        pytest.param("RGB", "GIF", {}, id="GIF"),
        pytest.param("RGB", "PPM", {}, id="portable pixmap"),
        pytest.param("RGB", "AVIF", {}, id="AVIF"),
    ],
)
def test_every_kind_of_picture_becomes_8_bit_colour(mode, format, options):
    if format == "HEIF":
        pillow_heif = pytest.importorskip("pillow_heif")
        pillow_heif.register_heif_opener()
    if format == "AVIF" and not features.check("avif"):
        pytest.skip("this Pillow has no AVIF")
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


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_turns_as_pillow_does(orientation):
    image = Image.open(io.BytesIO(picture_bytes(size_wh=(40, 20))))
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = io.BytesIO()
    image.save(data, "PNG", exif=exif)
    turned = ImageOps.exif_transpose(Image.open(data)).convert("RGB")
    frame, size_wh, _ = load_image(data.getvalue())
    assert (frame[..., ::-1] == np.asarray(turned)).all() and size_wh == turned.size


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP"])
def test_damaged_exif_data_leave_a_picture_as_it_is_stored(format):
    exif = Image.Exif()
    exif[0x0112], exif[0x010F], exif[0x011A] = 6, "camera", 72.0
    exif[0x8769] = {0x9003: "2020:01:01 00:00:00"}
    whole, rng, refused = exif.tobytes(), np.random.default_rng(0), 0
    image = Image.new("RGB", (40, 20))
    for _ in range(150):
        damaged = bytearray(whole)
        for place in rng.integers(6, len(whole), 4):
            damaged[place] = rng.integers(0, 256)
        data = io.BytesIO()
        image.save(data, format, exif=bytes(damaged))
        assert sorted(decode_image(data.getvalue()).shape) == [3, 20, 40]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                ImageOps.exif_transpose(Image.open(data))
            except Exception:
                refused += 1
    assert refused, "some of it is more than Pillow can take"


def test_a_damaged_list_of_further_pictures_leaves_the_first():
    data = picture_bytes(format="JPEG")
    damaged = b"\xff\xe2" + struct.pack(">H", 2 + 12) + b"MPF\0MM\0*\0\0\0\xff"
    assert decode_image(data[:2] + damaged + data[2:]).shape == (30, 40, 3)


@pytest.mark.parametrize(("format", "word"), [("GIF", "frame"), ("TIFF", "page"), ("WEBP", "frame"), ("PNG", "frame")])
def test_of_several_frames_the_first_is_taken_and_said(format, word):
    first, second = Image.new("RGB", (40, 30), "red"), Image.new("RGB", (40, 30), "blue")
    data = io.BytesIO()
    first.save(data, format, save_all=True, append_images=[second])
    image = load_image(data.getvalue())
    assert word in image.note and image.frame_bgr[5, 5].argmax() == 2
    assert not load_image(picture_bytes(format=format)).note


@pytest.mark.parametrize(
    "mode, format", [("RGB", "JPEG"), ("RGB", "PNG"), ("P", "PNG"), ("RGBA", "PNG"), ("L", "JPEG")]
)
@pytest.mark.parametrize(
    ("size_wh", "factor"),
    [
        pytest.param((400, 300), 4, id="both sides keep enough"),
        pytest.param((400, 120), 2, id="the shorter side would lose too much"),
        pytest.param((120, 90), 1, id="small already"),
    ],
)
def test_a_picture_is_reduced_while_enough_remains(mode, format, size_wh, factor):
    data = picture_bytes(mode, size_wh, format)
    frame, whole_wh, _ = load_image(data, (100, 60))
    assert whole_wh == size_wh and frame.shape[1::-1] == (size_wh[0] // factor, size_wh[1] // factor)
    expected = cv2.resize(decode_image(data), frame.shape[1::-1], interpolation=cv2.INTER_AREA)
    assert np.abs(frame.astype(int) - expected).mean() < 3


def test_heic_without_its_library_says_what_to_do(monkeypatch):
    monkeypatch.setattr(images_module, "_register_heif", lambda: None)
    monkeypatch.setattr(images_module, "FORMATS", tuple(set(images_module.FORMATS) - {"HEIF"}))
    with pytest.raises(ImageError, match="HEIC photos cannot be read on this server; save it as JPEG"):
        decode_image(b"\0\0\0\x18ftypheic" + bytes(40))


def test_large_pictures_are_decoded_one_after_the_other():
    budget, at_once, most = PixelBudget(1), 0, 0
    lock = threading.Lock()

    def decode(pixels):
        nonlocal at_once, most
        with budget.taken(pixels):
            with lock:
                at_once += pixels
                most = max(most, at_once)
            time.sleep(0.005)
            with lock:
                at_once -= pixels

    threads = [threading.Thread(target=decode, args=(pixels,)) for pixels in (4e5, 4e5, 9e5, 3e6, 1e5, 1e5) * 2]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(5)
        assert not thread.is_alive()
    assert most == 3e6, "a larger one than all may work alone"


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
        assert images.get(name, lambda name=name: read(name)).size_wh == (100, 100)
    assert reads == ["a", "b", "c", "b"], "b was used longest ago when c came"
    images.keep_only({"b"})
    images.get("a", lambda: read("a"))
    assert reads[-1] == "a"
    assert DecodedImages(0.001).get("large", lambda: read("large")).size_wh == (100, 100)


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
