"""Features of a set's faces: kept, found again for what is new, put on a map, and compared."""

from types import SimpleNamespace

import numpy as np
import pytest

from core.access import AccessError, Role
from core.datasets import features as module
from core.datasets import index_db
from core.datasets.edits import Edits
from core.datasets.features import (
    Features,
    face_map,
    features_fingerprint,
    features_of,
    find_features,
    most_similar,
    open_features,
    sample,
)
from core.datasets.index import build_index, open_index
from core.datasets.query import Filter, matching, matching_faces
from core.datasets.store import find_dataset
from core.jobs import Cancelled
from core.vision.images import encode_image
from tests.helpers import ROOT, noise_picture, write_voc

SHA = "a" * 64


class StubNetwork:
    """Its features of a face are the mean colour, and that it has one."""

    def __init__(self, sha256=SHA):
        self.card = SimpleNamespace(sha256=sha256, input_size=32, margin=0.1)
        self.faces = 0

    def features(self, crop_rgb):
        assert crop_rgb.shape == (32, 32, 3) and crop_rgb.dtype == np.uint8
        self.faces += 1
        return np.array([*crop_rgb.mean(axis=(0, 1)) / 255, 1], np.float32)


@pytest.fixture(autouse=True)
def data_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("MASK_DATA_DIR", str(tmp_path))
    return tmp_path


def write(path, seed, tint):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(encode_image((0.3 * noise_picture(seed) + 0.7 * np.array(tint)).astype(np.uint8), ".png"))


@pytest.fixture
def colors(data_folder):
    """Four reddish faces, of which the last is labelled as the four bluish ones are."""
    for i in range(8):
        red = i < 4
        label = "with_mask" if red and i < 3 else "without_mask"
        write(data_folder / f"set/{label}/{i}.png", i, (20, 30, 230) if red else (230, 30, 20 + 5 * i))
    return find_dataset("set")


def names(index, faces):
    return [index.faces.items[face].rpartition("/")[2].split(".")[0] for face in faces]


def test_only_new_and_changed_faces_are_looked_at(colors):
    index, network = build_index(colors), StubNetwork()
    assert open_features(index, SHA).left == 8 and features_fingerprint(index) == ((0, None),)
    find_features(index, network)
    found, stamp = open_features(index, SHA), features_fingerprint(index)
    assert (found.left, found.sampled, network.faces) == (0, 8, 8) and found.vectors.shape == (8, 4)
    find_features(open_index(colors), network)
    assert network.faces == 8 and features_fingerprint(index) == stamp
    write(colors.folder / "with_mask/0.png", 0, (0, 255, 0))
    write(colors.folder / "with_mask/new.png", 20, (0, 255, 0))
    (colors.folder / "with_mask/1.png").unlink()
    index = build_index(colors)
    assert open_features(index, SHA).left == 2
    find_features(index, network)
    assert network.faces == 10 and len(open_features(index, SHA).faces) == 8 and features_fingerprint(index) != stamp
    find_features(index, StubNetwork("b" * 64))
    assert index_db.select("set", "SELECT DISTINCT model FROM features") == [("b" * 64,)], "those of one model are kept"


def test_what_was_looked_at_before_a_stop_is_kept(colors, monkeypatch):
    monkeypatch.setattr("core.datasets.indexed_faces.PER_REPORT", 2)
    index, network, told = build_index(colors), StubNetwork(), []

    def stop_soon(done, total, text):
        told.append((done, total))
        if done >= 4:
            raise Cancelled

    with pytest.raises(Cancelled):
        find_features(index, network, stop_soon)
    assert told == [(0, 8), (2, 8), (4, 8)] and len(open_features(index, SHA).faces) == 4
    find_features(index, network)
    assert network.faces == 8


def test_only_operators_let_the_faces_be_looked_at(colors, monkeypatch):
    index = build_index(colors)
    monkeypatch.setattr("core.access._ask", lambda: Role.VISITOR)
    with pytest.raises(AccessError):
        find_features(index, StubNetwork())
    assert open_features(index, SHA).left == 8


def test_an_image_that_can_no_longer_be_read_is_left_out_and_not_asked_for_again(colors):
    index, network = build_index(colors), StubNetwork()
    (colors.folder / "with_mask/0.png").unlink()
    find_features(index, network)
    found = open_features(index, SHA)
    assert found.left == 0 and len(found.faces) == 7
    assert features_of(index, found, index.faces.items.index("with_mask/0.png"), network) is None


def test_a_large_set_has_a_sample_that_stays(colors, monkeypatch):
    monkeypatch.setattr(module, "MOST_FACES", 5)
    index, network = build_index(colors), StubNetwork()
    before = names(index, sample(index))
    find_features(index, network)
    assert len(before) == 5 and network.faces == 5 and open_features(index, SHA).sampled == 5
    write(colors.folder / "with_mask/new.png", 20, (0, 255, 0))
    after = names(build_index(colors), sample(build_index(colors)))
    assert len(set(before) - set(after)) <= 1
    other = next(face for face in range(8) if face not in sample(index))
    vector = features_of(index, open_features(index, SHA), other, network)
    assert network.faces == 6 and vector.shape == (4,)


def test_the_map_keeps_apart_what_looks_different(colors):
    index = build_index(colors)
    find_features(index, StubNetwork())
    found = open_features(index, SHA)
    drawn = face_map(index, found)
    red = np.isin(names(index, drawn.faces), ["0", "1", "2", "3"])
    assert drawn.xy.shape == (8, 2) and 0.5 < drawn.share <= 1 + 1e-5
    assert np.ptp(drawn.xy[red, 0]) < abs(drawn.xy[red, 0].mean() - drawn.xy[~red, 0].mean())
    assert (drawn.xy == face_map(index, found).xy).all()
    Edits.load(colors.folder).exclude("with_mask/0.png")
    assert names(index, face_map(open_index(colors), found).faces) == names(index, drawn.faces)[1:]


@pytest.mark.parametrize("vectors", [np.ones((8, 3)), np.ones((0, 3)), np.eye(8)[:2]], ids=["alike", "none", "two"])
def test_what_has_no_two_axes_is_one_point(colors, vectors):
    index = build_index(colors)
    found = Features(np.arange(len(vectors)), vectors.astype(np.float32), 0, 8)
    drawn = face_map(index, found)
    assert drawn.xy.shape == (len(vectors), 2) and not drawn.xy.any() and drawn.share == 0


def test_the_most_similar_faces_show_what_else_is_labelled_wrongly(colors):
    index = build_index(colors)
    find_features(index, StubNetwork())
    found = open_features(index, SHA)
    wrong = index.faces.items.index("without_mask/3.png")
    nearest = most_similar(index, found, wrong, found.vectors[wrong], 3)
    assert set(names(index, nearest)) == {"0", "1", "2"} and set(index.faces.label[nearest]) == {"with_mask"}


def test_near_duplicates_are_not_among_the_similar_ones(colors):
    write(colors.folder / "with_mask/copy.png", 0, (20, 30, 230))
    index = build_index(colors)
    find_features(index, StubNetwork())
    found = open_features(index, SHA)
    first = index.faces.items.index("with_mask/0.png")
    similar = names(index, most_similar(index, found, first, found.vectors[first], 20))
    assert index.group_sizes[index.place_of["with_mask/copy.png"]] == 2
    assert sorted(similar) == ["1", "2", "3", "4", "5", "6", "7"]


def test_single_faces_are_looked_at_and_chosen(data_folder):
    write_voc(data_folder / "boxes", {"a": [("with_mask", (5, 5, 60, 60)), ("without_mask", (80, 5, 140, 60))]})
    index, network = build_index(find_dataset("boxes")), StubNetwork()
    find_features(index, network)
    assert network.faces == 2
    wanted = Filter(items=("images/a.jpg#1",))
    assert matching(index, wanted).tolist() == [0] and matching_faces(index, wanted).tolist() == [1]
    assert matching(index, Filter(items=("images/a.jpg#1",), classes=("with_mask",))).tolist() == [], "the same face"
    assert wanted.in_words({}) == "a point chosen on the map"
    assert Filter(items=("x",), similar_to="y.jpg").in_words({}) == "likeness to y.jpg"


def test_features_of_the_shipped_classifier_are_those_before_its_decision():
    from core.synthetic.sample import SAMPLE_FACE_XYXY, sample_photo
    from core.vision.explain import load_explainer

    network = load_explainer(folder=ROOT / "models")
    crop = network.crop(sample_photo(True), SAMPLE_FACE_XYXY)
    vector = network.features(crop)
    logits = network.values(crop, [network.logits_place])[0][0]
    assert vector.shape == (1280,) and network.head.agrees(vector[None, None], logits)
