"""A set as a zip: what people corrected is in it, and an import reads the same again."""

import zipfile

import cv2
import numpy as np
import pytest

from core.datasets.edits import Edits, NewFace
from core.datasets.export import FORMATS, export, formats_of
from core.datasets.faces import DataError
from core.datasets.importers import import_zip
from core.datasets.index import build_index, open_index
from core.datasets.store import find_dataset, read_pictures
from core.jobs import Cancelled
from tests.helpers import write_class_folders, write_voc

A, B, C = (10, 10, 50, 60), (60, 10, 100, 60), (110, 60, 150, 110)


@pytest.fixture
def crowd(tmp_path, monkeypatch):
    """Annotated photos: one of the test part, one without a face, one excluded, two of one name."""
    monkeypatch.setenv("MASK_DATA_DIR", str(tmp_path / "data"))
    photos = {"a": [("with_mask", A), ("with_mask", B)], "b": [], "c": [("with_mask", A)], "d": [("without_mask", C)]}
    folder = write_voc(tmp_path / "data/crowd", photos)
    (folder / "test.txt").write_text("d\n")
    edits = Edits.load(folder)
    edits.add_faces([NewFace("images/a.jpg", C, "mask_weared_incorrect")])
    edits.change_label("images/a.jpg#0", "without_mask")
    edits.exclude(["images/a.jpg#1", "images/c.jpg"])
    build_index(find_dataset("crowd"))
    return open_index(find_dataset("crowd"))


@pytest.mark.parametrize("form", ["pascal_voc", "yolo", "coco"])
def test_an_import_reads_what_was_exported(crowd, form):
    with export(crowd, form).open("rb") as packed:
        import_zip(packed, "again")
    again = {picture.path.stem: picture for picture in read_pictures(find_dataset("again").folder)}
    assert find_dataset("again").layout == form and again.keys() == {"a", "b", "d"}
    faces = {(again["a"].labels[i], tuple(again["a"].xyxy[i].round().astype(int).tolist())) for i in again["a"].counted}
    assert faces == {("without_mask", (9, 9, 50, 60)), ("mask_weared_incorrect", C)}, "Pascal VOC counts from 1"
    assert len(again["a"].labels) == (2 if form == "yolo" else 3), "not sure is kept where the format can say it"
    assert again["b"].labels == () and again["d"].split == "test" and again["a"].split != "test"


def test_class_folders_hold_the_faces_that_count(crowd):
    assert formats_of(crowd) == tuple(FORMATS)
    with zipfile.ZipFile(export(crowd, "class_folders")) as archive:
        assert sorted(archive.namelist()) == [
            "mask_weared_incorrect/a.jpg",
            "test/without_mask/d.jpg",
            "without_mask/a.jpg",
        ]
        crop = cv2.imdecode(np.frombuffer(archive.read("without_mask/a.jpg"), np.uint8), cv2.IMREAD_COLOR)
    assert crop.shape == (77, 77, 3), "a square around the face, with some room"


def test_pictures_of_class_folders_go_to_their_new_class(tmp_path, monkeypatch):
    monkeypatch.setenv("MASK_DATA_DIR", str(tmp_path))
    folder = write_class_folders(tmp_path / "set", 2)
    build_index(find_dataset("set"))
    Edits.load(folder).change_label("with_mask/000.jpg", "half: on")
    Edits.load(folder).exclude("without_mask/001.jpg")
    index = open_index(find_dataset("set"))
    assert formats_of(index) == ("class_folders",)
    with zipfile.ZipFile(export(index, "class_folders")) as archive:
        assert sorted(archive.namelist()) == ["half_ on/000.jpg", "with_mask/001.jpg", "without_mask/000.jpg"]
        assert archive.read("with_mask/001.jpg") == (folder / "with_mask/001.jpg").read_bytes()


def test_only_one_zip_is_kept_and_none_is_half_written(crowd):
    first = export(crowd, "yolo")
    second = export(crowd, "coco")
    assert second.is_file() and not first.exists()

    def stop(done, total, text):
        raise Cancelled

    with pytest.raises(Cancelled):
        export(crowd, "yolo", stop)
    assert [path.name for path in second.parent.iterdir()] == [second.name]


def test_a_set_of_which_everything_is_excluded_gets_a_sentence(crowd):
    Edits.load(crowd.dataset.folder).exclude([picture.key for picture in crowd.pictures])
    with pytest.raises(DataError, match="nothing is left to download"):
        export(crowd.with_edits(), "yolo")
