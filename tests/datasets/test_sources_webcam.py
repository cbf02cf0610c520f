import re

import numpy as np
import pytest

from core.datasets.formats import DataError
from core.datasets.sources.webcam import add_sample, count_samples, delete_all, delete_last, sample_label
from core.datasets.store import find_dataset, list_datasets, read_pictures
from core.synthetic.sample import SAMPLE_FACE_XYXY, sample_photo
from core.vision.images import encode_image, read_image

FACE = np.float32(SAMPLE_FACE_XYXY)  # 94 × 130 pixels


@pytest.fixture
def data(tmp_path, monkeypatch):
    monkeypatch.setenv("MASK_DATA_DIR", str(tmp_path / "data"))
    return tmp_path / "data"


def add(label="with_mask", name="webcam-samples", frame=None):
    return add_sample(name, sample_photo(False) if frame is None else frame, FACE, label)


def test_a_sample_is_the_face_with_room_around_and_nothing_else(data):
    key = add("with_mask")
    assert re.fullmatch(r"with_mask/000001-[0-9a-f]{16}\.jpg", key)
    path = data / "webcam-samples" / key
    picture = read_image(path)
    # A square of 130 pixels and 0.3 of that on each side, as far as the photo reaches.
    assert picture.shape == (208, 208, 3)
    assert np.abs(picture.astype(int) - sample_photo(False)[21:229, 121:329]).mean() < 5
    assert b"Exif" not in path.read_bytes()
    dataset = find_dataset("webcam-samples")
    assert dataset.card["title"] == "Webcam samples" and dataset.card["drawn"] is False and dataset.card["own"] is True
    (read,) = read_pictures(dataset.folder)
    assert (read.key, read.labels, read.whole) == (key, ("with_mask",), True)


@pytest.mark.parametrize(
    ("face", "shape"),
    [
        pytest.param((-50, -20, 60, 90), (123, 93, 3), id="over the upper left corner"),
        pytest.param((200, 100, 1300, 1500), (300, 400, 3), id="larger than the picture"),
    ],
)
def test_faces_at_the_edge_keep_what_the_picture_has(data, face, shape):
    frame = np.full((300, 400, 3), 90, np.uint8)
    key = add_sample("webcam-samples", frame, np.float32(face), "x")
    assert read_image(data / "webcam-samples" / key).shape == shape


def test_a_huge_face_is_reduced(data):
    key = add_sample("webcam-samples", np.zeros((2000, 3000, 3), np.uint8), np.float32([500, 200, 2200, 1900]), "x")
    assert max(read_image(data / "webcam-samples" / key).shape) == 640


def test_samples_are_counted_per_label_and_the_last_one_goes_first(data):
    assert count_samples("webcam-samples") == {} and delete_last("webcam-samples") is None
    keys = [add(label) for label in ("with_mask", "helmet", "with_mask")]
    assert count_samples("webcam-samples") == {"helmet": 1, "with_mask": 2}
    assert delete_last("webcam-samples") == keys[2]
    assert delete_last("webcam-samples") == keys[1]
    assert count_samples("webcam-samples") == {"with_mask": 1}
    assert not (data / "webcam-samples/helmet").exists()
    assert add("helmet").startswith("helmet/000002-")


def test_the_last_of_all_takes_the_set_with_it(data):
    add()
    delete_last("webcam-samples")
    assert list_datasets() == [] and leftovers(data) == []


def leftovers(data):
    return [path for path in data.rglob("*") if path.is_file() and path.name != ".lock"]


def test_delete_all_leaves_nothing(data):
    for label in ("with_mask", "helmet"):
        add(label)
    for name in (".cache/webcam-samples/thumbnails.bin", "webcam-samples.repairs.json"):
        path = data / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text('{"labels": {}, "aside": [], "history": []}')
    assert delete_all("webcam-samples") == 2
    assert leftovers(data) == [] and count_samples("webcam-samples") == {}
    assert delete_all("webcam-samples") == 0


def test_a_deleted_picture_takes_its_thumbnail_along(data):
    add(), add()
    thumbnails = data / ".cache/webcam-samples/thumbnails.bin"
    thumbnails.parent.mkdir(parents=True)
    thumbnails.write_bytes(b"x")
    delete_last("webcam-samples")
    assert not thumbnails.exists()


@pytest.mark.parametrize("work", [add, count_samples, delete_last, delete_all], ids=lambda work: work.__name__)
def test_other_data_sets_are_never_touched(data, work):
    path = data / "people/with_mask/a.jpg"
    path.parent.mkdir(parents=True)
    path.write_bytes(encode_image(sample_photo(True)))
    with pytest.raises(DataError, match="'people' does not hold webcam samples"):
        work(name="people") if work is add else work("people")
    assert leftovers(data) == [path]


def test_a_link_of_that_name_is_never_touched(data, tmp_path):
    data.mkdir()
    (data / "webcam-samples.link.json").write_text('{"folder": "/somewhere"}')
    with pytest.raises(DataError, match="does not hold webcam samples"):
        add()
    with pytest.raises(DataError, match="does not hold webcam samples"):
        delete_all("webcam-samples")


@pytest.mark.parametrize(
    ("text", "label"),
    [
        pytest.param("with_mask", "with_mask", id="the project's own"),
        pytest.param("Helmet-2", "Helmet-2", id="digits"),
        pytest.param("Größe", "Größe", id="other letters"),
        pytest.param("A", "A", id="one letter"),
        pytest.param(" B\n", "B", id="spaces around"),
    ],
)
def test_labels(text, label):
    assert sample_label(text) == label


@pytest.mark.parametrize(
    "text",
    ["", " ", "../up", "a/b", "a\\b", ".hidden", "a b", "a.b", "_a", "a-", "x" * 41, "a\nb", "test", "Train", "images"],
    ids=repr,
)
def test_labels_that_cannot_be_used(data, text):
    with pytest.raises(DataError):
        add(text)
    assert leftovers(data) == []


@pytest.mark.parametrize("name", ["../outside", "a/b", ".."], ids=repr)
def test_names_stay_inside_the_data_folder(data, name):
    try:
        add(name=name)
    except DataError:
        assert name == ".."
    assert all(path.is_relative_to(data) for path in leftovers(data.parent))
