import json

import cv2
import numpy as np
import pytest
import supervision as sv

from core.datasets.edits import Edits
from core.datasets.faces import read_samples
from core.datasets.findings import Findings
from core.datasets.formats import layout_of, walk
from core.datasets.readers import read_layout
from core.datasets.store import (
    DataError,
    class_order,
    clean_name,
    delete_dataset,
    detect_layout,
    edits_path,
    find_dataset,
    link_folder,
    list_datasets,
    read_pictures,
    sweep_data,
    write_card,
)
from tests.helpers import noise_picture, run_together, write_class_folders, write_voc

SIZE_WH = (160, 120)
BOXES = {
    "a": [("helmet", (10, 20, 60, 80)), ("bare head", (100, 20, 160, 120))],
    "b": [],
    "c": [("helmet", (0, 0, 40, 60))],
}


@pytest.fixture
def data_folder(tmp_path, monkeypatch):
    folder = tmp_path / "data"
    folder.mkdir()
    monkeypatch.setenv("MASK_DATA_DIR", str(folder))
    monkeypatch.delenv("MASK_ALLOWED_DIRS", raising=False)
    return folder


def write_picture(path, seed=1, size_wh=SIZE_WH):
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), noise_picture(seed, size_wh))


def as_dataset(folder):
    """The pictures and boxes above as supervision holds them, with their pictures in a folder."""
    names, annotations = ["bare head", "helmet"], {}
    for i, (stem, faces) in enumerate(BOXES.items()):
        path = folder / f"{stem}.jpg"
        write_picture(path, i)
        annotations[str(path)] = sv.Detections(
            xyxy=np.array([box for _, box in faces], np.float32).reshape(-1, 4),
            class_id=np.array([names.index(label) for label, _ in faces], int),
        )
    return sv.DetectionDataset(names, list(annotations), annotations)


def write_voc_set(folder, tmp_path):
    as_dataset(tmp_path / "source").as_pascal_voc(str(folder / "images"), str(folder / "annotations"))


def write_yolo(folder, tmp_path):
    as_dataset(tmp_path / "source").as_yolo(str(folder / "images"), str(folder / "labels"), str(folder / "data.yaml"))


def write_roboflow_yolo(folder, tmp_path):
    where = folder / "train"
    as_dataset(tmp_path / "source").as_yolo(str(where / "images"), str(where / "labels"), str(folder / "data.yaml"))


def write_darknet(folder, tmp_path):
    write_yolo(folder, tmp_path)
    (folder / "data.yaml").unlink()
    (folder / "classes.txt").write_text("bare head\nhelmet\n")
    for path in [*(folder / "labels").iterdir(), *(folder / "images").iterdir()]:
        path.rename(folder / path.name)


def write_coco(folder, tmp_path):
    as_dataset(tmp_path / "source").as_coco(str(folder / "images"), str(folder / "annotations" / "instances.json"))


def write_roboflow_coco(folder, tmp_path):
    as_dataset(tmp_path / "source").as_coco(str(folder / "valid"), str(folder / "valid" / "_annotations.coco.json"))


@pytest.mark.parametrize(
    ("write", "layout", "split"),
    [
        pytest.param(write_voc_set, "pascal_voc", "", id="Pascal VOC"),
        pytest.param(write_yolo, "yolo", "", id="YOLO"),
        pytest.param(write_roboflow_yolo, "yolo", "train", id="YOLO as Roboflow packs it"),
        pytest.param(write_darknet, "yolo", "", id="YOLO with everything in one folder"),
        pytest.param(write_coco, "coco", "", id="COCO"),
        pytest.param(write_roboflow_coco, "coco", "val", id="COCO as Roboflow packs it"),
    ],
)
def test_annotated_sets_of_any_layout_and_class(tmp_path, write, layout, split):
    folder = tmp_path / "set"
    write(folder, tmp_path)
    assert detect_layout(folder) == layout
    pictures = read_pictures(folder)
    assert [picture.path.stem for picture in pictures] == ["a", "b", "c"]
    for picture in pictures:
        assert picture.path == folder / picture.key and picture.path.is_file()
        faces = BOXES[picture.path.stem]
        assert picture.labels == tuple(label for label, _ in faces)
        assert np.allclose(picture.xyxy, np.array([box for _, box in faces]).reshape(-1, 4), atol=0.01)
        assert picture.xyxy.dtype == np.float32 and picture.split == split and not picture.whole
    samples = read_samples(folder, 0.15)
    assert [sample.label for sample in samples] == ["helmet", "bare head", "helmet"]
    assert [sample.key for sample in samples] == [
        f"{pictures[0].key}#0",
        f"{pictures[0].key}#1",
        f"{pictures[2].key}#0",
    ]


def test_class_folders_with_any_names_and_parts(tmp_path):
    for i, key in enumerate(
        ["train/Größe L/1.png", "train/no helmet/1.png", "test/no helmet/2.png", "val/no helmet/3.png"]
    ):
        write_picture(tmp_path / "set" / key, i)
    (tmp_path / "set" / "train" / "no helmet" / "notes.txt").write_text("nothing")
    (tmp_path / "set" / ".hidden").mkdir()
    write_picture(tmp_path / "set" / ".hidden" / "1.png")
    pictures = read_pictures(tmp_path / "set")
    assert [(picture.key, picture.labels, picture.split) for picture in pictures] == [
        ("test/no helmet/2.png", ("no helmet",), "test"),
        ("train/Größe L/1.png", ("Größe L",), "train"),
        ("train/no helmet/1.png", ("no helmet",), "train"),
        ("val/no helmet/3.png", ("no helmet",), "val"),
    ]
    assert all(picture.whole and picture.xyxy.shape == (0, 4) for picture in pictures)
    samples = read_samples(tmp_path / "set", 0.15)
    assert [sample.held_out for sample in samples] == [True, False, False, False]
    assert samples[0].key == "test/no helmet/2.png"


def test_a_class_may_be_called_train(tmp_path):
    for key in ("train/1.png", "bus/1.png"):
        write_picture(tmp_path / "set" / key)
    assert [(p.labels, p.split) for p in read_pictures(tmp_path / "set")] == [(("bus",), ""), (("train",), "")]


def test_a_list_of_test_pictures_may_name_their_class_folder(tmp_path):
    folder = write_class_folders(tmp_path / "set", 2)
    (folder / "test.txt").write_text("with_mask/000.jpg\n001\n")
    held_out = [picture.key for picture in read_pictures(folder) if picture.split == "test"]
    assert held_out == ["with_mask/000.jpg", "with_mask/001.jpg", "without_mask/001.jpg"]


def test_yolo_boxes_follow_the_picture_as_it_is_shown(tmp_path):
    from PIL import Image

    (tmp_path / "labels").mkdir()
    (tmp_path / "images").mkdir()
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (200, 100)).save(tmp_path / "images" / "a.jpg", exif=exif)  # shown 100 wide, 200 high
    (tmp_path / "labels" / "a.txt").write_text("0 0.5 0.5 0.5 0.5\n")
    (tmp_path / "data.yaml").write_text("names: {0: face}\n")
    assert read_pictures(tmp_path)[0].xyxy.tolist() == [[25, 50, 75, 150]]


def test_yolo_polygons_and_key_points_become_boxes(tmp_path):
    write_yolo(tmp_path / "set", tmp_path)
    (tmp_path / "set" / "labels" / "b.txt").write_text("1 0.25 0.5 0.5 0.25 0.75 0.5 0.5 1.0\n")
    assert read_pictures(tmp_path / "set")[1].xyxy.tolist() == [[40, 30, 120, 120]]
    (tmp_path / "set" / "data.yaml").write_text("names: [bare head, helmet]\nkpt_shape: [2, 2]\n")
    (tmp_path / "set" / "labels" / "b.txt").write_text("1 0.5 0.5 0.5 0.5 0.1 0.1 0.2 0.2\n")
    assert read_pictures(tmp_path / "set")[1].xyxy.tolist() == [[40, 30, 120, 90]]


# Broken and hostile files


def yolo_with(**files):
    def write(folder, tmp_path):
        write_yolo(folder, tmp_path)
        for name, text in files.items():
            path = folder / name.replace("__", "/").replace("_", ".")
            path.write_text(text)

    return write


def coco_with(change):
    def write(folder, tmp_path):
        write_coco(folder, tmp_path)
        path = folder / "annotations" / "instances.json"
        data = json.loads(path.read_text())
        change(data)
        path.write_text(json.dumps(data))

    return write


def voc_with(text):
    def write(folder, tmp_path):
        write_voc_set(folder, tmp_path)
        (folder / "annotations" / "a.xml").write_text(text)

    return write


LAUGHS = "a: &a [x, x, x]\nb: &b [*a, *a, *a]\nnames: [*b, *b]\n"


@pytest.mark.parametrize(
    ("write", "reason"),
    [
        pytest.param(yolo_with(labels__a_txt="0 0.5 0.5 0.2"), "labels/a.txt: a line has a class", id="YOLO too short"),
        pytest.param(
            yolo_with(labels__a_txt="7 0.5 0.5 0.2 0.2"), "class 7 is not among the 2", id="YOLO class unknown"
        ),
        pytest.param(yolo_with(labels__a_txt="\x00\x01"), "labels/a.txt: ", id="YOLO labels of bytes"),
        pytest.param(
            coco_with(lambda d: d["annotations"][0].update(bbox=[1, 2])), "a.jpg: 1 of 2", id="COCO box of two numbers"
        ),
        pytest.param(
            coco_with(lambda d: d["annotations"][0].update(category_id=9)), "category 9", id="COCO class unknown"
        ),
        pytest.param(
            coco_with(lambda d: d["annotations"][0].pop("image_id")), "to which image", id="COCO without an image"
        ),
        pytest.param(
            coco_with(lambda d: d["annotations"].append("x")), "to which image", id="COCO annotation that is a word"
        ),
        pytest.param(
            voc_with("<annotation><object/></annotation>"), "annotations/a.xml: it has no name", id="VOC without a name"
        ),
        pytest.param(
            voc_with("<?xml version='1.0' encoding='klingon'?><annotation/>"), "save it as UTF-8", id="VOC unknown text"
        ),
        pytest.param(
            voc_with('<!DOCTYPE a [<!ENTITY b SYSTEM "file:///etc/passwd">]><annotation>&b;</annotation>'),
            "entities",
            id="VOC that wants another file",
        ),
    ],
)
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_a_broken_annotation_is_named_and_the_others_are_read(tmp_path, write, reason):
    write(tmp_path / "set", tmp_path)
    findings = Findings()
    tree = walk(tmp_path / "set")
    pictures = read_layout(tree, layout_of(tree), findings)
    (line,) = [f"{path}: {why}" for path, why in findings.left_out]
    assert reason in line and {"b", "c"} <= {picture.path.stem for picture in pictures}
    assert [picture.key for picture in read_pictures(tmp_path / "set")] == [picture.key for picture in pictures]


@pytest.mark.parametrize(
    ("write", "sentence"),
    [
        pytest.param(yolo_with(data_yaml=LAUGHS), "references", id="YAML that unfolds"),
        pytest.param(yolo_with(data_yaml="names: [[a], {b: c}]"), "other than a name", id="YAML names that are lists"),
        pytest.param(yolo_with(data_yaml="names: " + "[" * 60_000), "nested too deeply", id="YAML that is deep"),
        pytest.param(yolo_with(data_yaml="names:\n" + "- " * 30_000), "data.yaml: ", id="YAML that is deep without"),
        pytest.param(
            yolo_with(data_yaml="names: !!python/object/apply:os.system [ls]"), "no YAML", id="YAML that runs"
        ),
        pytest.param(yolo_with(data_yaml="names: [a\nb: {"), r"line 2, column \d", id="YAML that is none"),
        pytest.param(coco_with(lambda d: d.update(images=3)), r"instances\.json", id="COCO without a list"),
    ],
)
def test_a_file_that_all_pictures_need_is_named(tmp_path, write, sentence):
    write(tmp_path / "set", tmp_path)
    with pytest.raises(DataError, match=sentence):
        read_pictures(tmp_path / "set")


@pytest.mark.parametrize("name", ["../../secret.jpg", "/etc/secret.jpg", "C:\\secret.jpg", "a/../../../secret.jpg"])
def test_no_annotation_leads_out_of_the_set(tmp_path, name):
    folder = tmp_path / "set"
    write_picture(tmp_path / "secret.jpg")
    coco_with(lambda data: data["images"][0].update(file_name=name))(folder, tmp_path)
    pictures = read_pictures(folder)
    assert [picture.path.name for picture in pictures] == ["b.jpg", "c.jpg"]
    assert all(picture.path.resolve().is_relative_to(folder.resolve()) for picture in pictures)


def test_coco_finds_its_pictures_wherever_they_lay_before(tmp_path):
    coco_with(lambda data: data["images"][0].update(file_name="D:\\photos\\a.jpg"))(tmp_path / "set", tmp_path)
    assert [picture.path.name for picture in read_pictures(tmp_path / "set")] == ["a.jpg", "b.jpg", "c.jpg"]


def test_links_out_of_a_set_are_passed_over(tmp_path):
    folder = write_class_folders(tmp_path / "set", 1)
    write_picture(tmp_path / "elsewhere" / "secret.jpg")
    (folder / "with_mask" / "link.jpg").symlink_to(tmp_path / "elsewhere" / "secret.jpg")
    (folder / "with_mask" / "inner.jpg").symlink_to(folder / "with_mask" / "000.jpg")
    (folder / "stolen").symlink_to(tmp_path / "elsewhere")
    assert [p.key for p in read_pictures(folder)] == [
        "with_mask/000.jpg",
        "with_mask/inner.jpg",
        "without_mask/000.jpg",
    ]


def test_a_box_that_promises_a_gigapixel_is_cut_off(tmp_path):
    folder = write_voc(tmp_path / "set", {"a": [("x", (-900000, 1, 900000, 100)), ("y", (500000, 1, 900000, 90000))]})
    (sample,) = read_samples(folder, 0.15)
    assert max(sample.patch_rgb.shape) < 1000


@pytest.mark.parametrize(
    ("files", "sentence"),
    [
        pytest.param([], "no images", id="empty"),
        pytest.param(["notes.txt"], "no images", id="only notes"),
        pytest.param(["a.png", "b.png"], "lie loose", id="no folders"),
        pytest.param(["images/a.png", "labels/a.txt"], "no data.yaml", id="YOLO without names"),
    ],
)
def test_a_folder_without_a_layout_gets_a_sentence(tmp_path, files, sentence):
    (tmp_path / "set").mkdir()
    for name in files:
        path = tmp_path / "set" / name
        path.parent.mkdir(exist_ok=True)
        write_picture(path) if path.suffix == ".png" else path.write_text("0 0.5 0.5 1 1")
    with pytest.raises(DataError, match=sentence):
        detect_layout(tmp_path / "set")


# The data folder


def test_the_list_shows_what_can_be_used(data_folder):
    assert list_datasets() == []
    write_class_folders(data_folder / "beta", 1)
    write_voc(data_folder / "Alpha", {"a": [("x", (1, 1, 40, 40))]})
    (data_folder / "empty").mkdir()
    write_class_folders(data_folder / ".incoming-1", 1)
    (data_folder / "bad.link.json").write_text("{")
    write_card("beta", {"title": "Second", "drawn": True})
    found = list_datasets()
    assert [(each.name, each.layout, each.linked) for each in found] == [
        ("Alpha", "pascal_voc", False),
        ("beta", "class_folders", False),
    ]
    assert found[1].card["title"] == "Second" and found[0].card == {}
    assert find_dataset("beta") == found[1]


@pytest.mark.parametrize("name", ["nothing", "../data", "beta/with_mask", "", ".", "..", "/etc"])
def test_only_names_of_the_list_are_found(data_folder, name):
    write_class_folders(data_folder / "beta", 1)
    with pytest.raises(DataError, match="no data set"):
        find_dataset(name)
    with pytest.raises(DataError, match="no data set"):
        delete_dataset(name)
    with pytest.raises(DataError, match="no data set"):
        write_card(name, {})
    assert (data_folder / "beta" / "with_mask").is_dir()


def test_a_new_class_folder_changes_the_layout_at_once(data_folder):
    (data_folder / "new").mkdir()
    with pytest.raises(DataError):
        detect_layout(data_folder / "new")
    write_class_folders(data_folder / "new" / "inner", 1)
    assert detect_layout(data_folder / "new") == "class_folders"


def test_deleting_takes_the_small_files_along(data_folder):
    write_class_folders(data_folder / "beta", 1)
    write_card("beta", {"title": "Second"})
    Edits.load(data_folder / "beta").exclude("with_mask/000.jpg")
    (data_folder / ".cache" / "beta").mkdir(parents=True)
    (data_folder / "gamma").symlink_to(data_folder / "not mounted now")
    (data_folder / "gamma.repairs.json").write_text("{}")
    delete_dataset("beta")
    assert {path.name for path in data_folder.rglob("*")} == {".cache", ".lock", "gamma", "gamma.repairs.json"}


def test_a_deletion_that_cannot_be_begun_leaves_the_set_whole(data_folder, monkeypatch):
    write_class_folders(data_folder / "beta", 2)
    write_card("beta", {"title": "Second"})

    def only_read(*_, **__):
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr("pathlib.Path.rename", only_read)
    with pytest.raises(OSError, match="Read-only"):
        delete_dataset("beta")
    assert find_dataset("beta").card == {"title": "Second"} and len(read_pictures(data_folder / "beta")) == 4
    assert sorted(path.name for path in data_folder.iterdir()) == [".lock", "beta", "beta.card.json"]


def test_a_half_deleted_set_of_an_earlier_version_is_swept_away(data_folder):
    write_class_folders(data_folder / ".deleted-abc" / "set", 2)
    write_class_folders(data_folder / "beta", 1)
    sweep_data()
    assert sorted(path.name for path in data_folder.iterdir()) == [".lock", "beta"]


def test_links_only_below_allowed_folders(data_folder, tmp_path, monkeypatch):
    elsewhere = write_class_folders(tmp_path / "server" / "set", 1)
    write_class_folders(tmp_path / "server-secret", 1)
    with pytest.raises(DataError, match="MASK_ALLOWED_DIRS"):
        link_folder(elsewhere, "mine")
    monkeypatch.setenv("MASK_ALLOWED_DIRS", str(tmp_path / "server"))
    (tmp_path / "server" / "way-out").symlink_to(tmp_path / "server-secret")
    for bad in (
        tmp_path / "server-secret",
        tmp_path / "server" / "way-out",
        tmp_path / "server" / ".." / "x",
        "/no",
        "a\0",
    ):
        with pytest.raises(DataError, match="not allowed"):
            link_folder(bad, "mine")
    with pytest.raises(DataError, match="no data folder"):
        link_folder(tmp_path / "server" / "nothing", "mine")
    made = link_folder(str(elsewhere), "My set")
    assert (made.name, made.linked, made.folder) == ("My-set", True, elsewhere.resolve())
    assert list_datasets() == [made]
    with pytest.raises(DataError, match="already is a data set"):
        link_folder(tmp_path / "server", "my-SET")
    with pytest.raises(DataError, match="in the list already"):
        link_folder(elsewhere, "other")

    assert edits_path(elsewhere) == data_folder / "My-set.repairs.json"
    Edits.load(elsewhere).change_label("with_mask/000.jpg", "without_mask")
    files = sorted(path.name for path in data_folder.iterdir())
    assert files == [".lock", "My-set.link.json", "My-set.repairs.json"]

    monkeypatch.setenv("MASK_ALLOWED_DIRS", str(tmp_path / "elsewhere"))
    assert list_datasets() == []
    with pytest.raises(DataError, match="no longer allowed"):
        find_dataset("My-set")
    delete_dataset("My-set")
    assert (elsewhere / "with_mask" / "000.jpg").is_file()
    assert [path.name for path in data_folder.iterdir()] == [".lock"]


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("Masks", "Masks"),
        (" my set (2).zip", "my-set-2-zip"),
        ("../../etc/passwd", "etc-passwd"),
        ("Größe_1", "Groe_1"),
        ("x" * 300, "x" * 60),
    ],
)
def test_names_are_made_clean(text, name):
    assert clean_name(text) == name


@pytest.mark.parametrize("text", ["", "...", "/", "日本", "--_"])
def test_names_need_a_letter_or_digit(text):
    with pytest.raises(DataError, match="Give the data set a name"):
        clean_name(text)


def test_the_projects_classes_come_first():
    assert class_order(["zebra", "without_mask", "ant", "with_mask"]) == ("with_mask", "without_mask", "ant", "zebra")
    assert class_order([]) == ()


def test_two_apps_cannot_give_two_sets_one_name(data_folder):
    data_folder.mkdir(exist_ok=True)
    run_together(
        """
from core.datasets.store import DataError, publish
from tests.helpers import run_together, write_class_folders
made = write_class_folders(folder / f".made-{me}", 2, (f"a{me}", f"b{me}"))
# together
try:
    publish(made, "set", {"title": str(me)})
except DataError as error:
    assert "already is a data set" in str(error)
    (folder / f"refused-{me}.txt").touch()
""",
        data_folder,
    )
    assert len(list(data_folder.glob("refused-*"))) == 1
    (only,) = list_datasets()
    assert {picture.labels[0][1] for picture in read_pictures(only.folder)} == {only.card["title"]}
