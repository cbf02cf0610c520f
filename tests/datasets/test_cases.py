"""Data sets as people bring them: exports of other tools, odd names, odd text, mistakes. Each was met in the wild."""

import functools
import io
import json
import zipfile
from urllib.parse import quote

import cv2
import pytest

from core.datasets.account import Account
from core.datasets.archive import class_readings
from core.datasets.formats import DataError
from core.datasets.importers import import_zip, link_with_account
from core.datasets.store import find_dataset, read_pictures
from core.io import LOCK
from tests.helpers import noise_picture, voc_xml

W, H = 80, 60
BOX = (10, 6, 50, 42)
"""In pixels from 0; every format below says the same box of every picture."""
M, B = "with_mask", "without_mask"
SHOT = "Capture d'écran 1"


@pytest.fixture(autouse=True)
def data_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("MASK_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("MASK_ALLOWED_DIRS", str(tmp_path / "shelf"))
    return tmp_path / "data"


@functools.cache
def picture(seed=1):
    return cv2.imencode(".jpg", noise_picture(seed, (W, H)))[1].tobytes()


def pictures(*names):
    return {name: picture(seed) for seed, name in enumerate(names)}


def zipped(members):
    """A zip of name to bytes, text or what becomes JSON."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for member, data in members.items():
            archive.writestr(member, data if isinstance(data, bytes | str) else json.dumps(data))
    return file


def bring(members, name="new"):
    return import_zip(zipped(members), name)


def labels_of(result):
    """Label of each picture that has one face, by its key."""
    return {p.key: p.labels[0] for p in read_pictures(result.dataset.folder)}


YOLO_LINE = "0 0.375 0.4 0.5 0.6\n"
YAML = "names: [with_mask, without_mask]\n"


def yolo(number=0):
    return f"{number}{YOLO_LINE[1:]}"


def voc(name=M, box=(BOX[0] + 1, BOX[1] + 1, *BOX[2:])):
    return voc_xml([(name, box)], (W, H))


def coco(*names, **change):
    faces = [{"image_id": i, "category_id": 1 + i % 2, "bbox": [10, 6, 40, 36]} for i in range(len(names))]
    data = {
        "images": [{"id": i, "file_name": name} for i, name in enumerate(names)],
        "annotations": faces,
        "categories": [{"id": 1, "name": M}, {"id": 2, "name": B}],
    }
    return data | change


# Class folders


@pytest.mark.parametrize(
    ("names", "labels", "splits"),
    [
        pytest.param(
            [f"S/{a}/{b}/{c}/1.jpg" for a in ("Correct", "Incorrect") for b in ("N95", "KN") for c in ("Child", "Man")],
            ["Correct"] * 4 + ["Incorrect"] * 4,
            "",
            id="kinds of masks and people below",
        ),
        pytest.param(
            ["with_mask/simple/1.jpg", "with_mask/complex/1.jpg", "without_mask/simple/1.jpg", "other/simple/1.jpg"],
            [M, M, B, "other"],
            "",
            id="with a class of one's own",
        ),
        pytest.param(
            ["with_mask/train/1.jpg", "with_mask/test/1.jpg", "hat/train/1.jpg"],
            [M, M, "hat"],
            "train test",
            id="parts of a split below",
        ),
        pytest.param(["set/Train/WithMask/1.jpg", "set/Test/without mask/1.jpg"], [M, B], "train test", id="12K"),
        pytest.param(["helmet/images/1.jpg", "cap/images/1.jpg"], ["helmet", "cap"], "", id="images in images/"),
        pytest.param(["data/hat/1.jpg", "data/cap/1.jpg"], ["hat", "cap"], "", id="below data/"),
        pytest.param(
            [f"p{i}/{c}/1.jpg" for i in range(3) for c in ("hat", "cap")],
            ["hat", "cap"] * 3,
            "",
            id="people above two classes",
        ),
        pytest.param(
            ["a/with_mask/1.jpg", "b/deep/without_mask/1.jpg", "a/hat/1.jpg"], [M, B, "hat"], "", id="nested unevenly"
        ),
        pytest.param(["mask/1.jpg", "no-mask/1.jpg", "Mask/2.jpg"], [M, B, M], "", id="mask beside no-mask"),
        pytest.param(["masks/1.jpg", "no_masks/1.jpg"], [M, B], "", id="masks beside no_masks"),
        pytest.param(
            ["CMFD/0/1.jpg", "CMFD/1/1.jpg", "IMFD/0/1.jpg"], ["CMFD", "CMFD", "IMFD"], "", id="MaskedFace-Net"
        ),
        pytest.param(["mask/1.jpg", "hat/1.jpg"], ["mask", "hat"], "", id="mask beside others is its own"),
    ],
)
def test_the_class_is_the_level_that_says_so(names, labels, splits):
    result = bring(pictures(*names))
    found = sorted(p.labels[0] for p in read_pictures(result.dataset.folder))
    assert found == sorted(labels)
    assert {p.split for p in read_pictures(result.dataset.folder)} - {""} == set(splits.split())


@pytest.mark.parametrize(
    ("names", "sentence"),
    [
        pytest.param(
            [f"{a}/{b}/1.jpg" for a in ("hat", "cap") for b in ("man", "woman")],
            r"2 ways: the classes are cap, hat, or man, woman\. Keep one level",
            id="two levels of two",
        ),
        pytest.param(["images/1.jpg", "img/2.jpg"], "images, img, which name no class", id="images and img"),
        pytest.param(["train/1.jpg", "valid/1.jpg"], "train, valid, which name no class", id="parts of a split alone"),
        pytest.param(["images/1.png", "masks/1.png"], "segmentation masks", id="segmentation masks"),
    ],
)
def test_folders_that_name_no_class_are_no_classes(data_folder, names, sentence):
    with pytest.raises(DataError, match=sentence):
        bring(pictures(*names))
    assert [path.name for path in data_folder.iterdir() if path.name != LOCK] == []


def test_where_two_levels_may_be_the_classes_a_person_chooses():
    names = [f"S/{part}/{a}/{b}/1.jpg" for part in ("train", "test") for a in ("hat", "cap") for b in ("man", "woman")]
    packed = zipped(pictures(*names))
    assert class_readings(packed) == [("cap", "hat"), ("man", "woman")]
    result = import_zip(packed, "new", classes=("man", "woman"))
    assert labels_of(result) == {
        f"{part}/{b}/{a}-1.jpg": b for part in ("test", "train") for b in ("man", "woman") for a in ("cap", "hat")
    }
    assert result.account.splits == {"test": 4, "train": 4} and result.account.left_out == []
    assert class_readings(zipped(pictures("hat/1.jpg", "cap/1.jpg"))) == []
    assert class_readings(io.BytesIO(b"no zip")) == []


def test_the_account_says_how_class_folders_were_understood():
    account = bring(pictures("WithMask/a/1.jpg", "WithMask/b/1.jpg", "no mask/a/1.jpg")).account
    assert account.joined == {"WithMask": M, "no mask": B}
    assert account.remarks == ["The classes are the folders WithMask, no mask; folders called a, b only divide them."]
    assert bring(pictures("Correct/1.jpg", "Incorrect/1.jpg"), "2").account.offered == {
        "Correct": M,
        "Incorrect": "mask_weared_incorrect",
    }


@pytest.mark.parametrize(
    "stray",
    [
        pytest.param({"metadata.csv": "filename,source\n1.jpg,web\n"}, id="a table"),
        pytest.param({"log.jsonl": "{}\n"}, id="JSON lines"),
        pytest.param({"with_mask/1.xml": voc("dog")}, id="one annotation"),
        pytest.param({"with_mask/1.txt": yolo(0), "classes.txt": "dog\n"}, id="one label"),
        pytest.param({"README.txt": "hello", "notes.json": {"images": []}}, id="notes"),
    ],
)
def test_what_lies_beside_class_folders_does_not_matter(stray):
    result = bring(pictures("with_mask/1.jpg", "with_mask/2.jpg", "without_mask/1.jpg") | stray)
    assert sorted(labels_of(result).values()) == [M, M, B] and result.account.format == "Class folders"


# Other tools


def labelme(shape="rectangle"):
    return {"imagePath": "..\\img\\a.jpg", "shapes": [{"label": M, "shape_type": shape, "points": [BOX[:2], BOX[2:]]}]}


VIA_FACE = {
    "shape_attributes": {"name": "rect", "x": 10, "y": 6, "width": 40, "height": 36},
    "region_attributes": {"c": {M: True, B: False}},
}
LABEL_STUDIO_FACE = {"x": 12.5, "y": 10, "width": 50, "height": 60, "rectanglelabels": [M]}
SUPERVISELY_FACE = {"classTitle": M, "points": {"exterior": [BOX[:2], BOX[2:]], "interior": []}}
VOTT_FACE = {"tags": [M], "boundingBox": {"left": 10, "top": 6, "width": 40, "height": 36}}
DATUMARO = {
    "categories": {"label": {"labels": [{"name": M}]}},
    "items": [{"id": "a", "annotations": [{"type": "bbox", "label_id": 0, "bbox": [10, 6, 40, 36]}]}],
}
TOOLS = {
    "Roboflow CSV": {
        "train/_annotations.csv": f"filename,width,height,class,xmin,ymin,xmax,ymax\r\na.jpg,{W},{H},{M},10,6,50,42\r\n"
    },
    "CSV with other columns": {"train.csv": "name;x1;x2;y1;y2;classname\na.jpg;10;50;6;42;with_mask\n"},
    "CreateML": {
        "_annotations.createml.json": [
            {
                "image": "a.jpg",
                "annotations": [{"label": M, "coordinates": {"x": 30, "y": 24, "width": 40, "height": 36}}],
            }
        ]
    },
    "LabelMe": {"ann/a.json": labelme()},
    "CVAT": {
        "annotations.xml": f'<annotations><version>1.1</version><image id="0" name="sub/a.jpg"><box label="{M}" '
        'xtl="10" ytl="6" xbr="50" ybr="42"><attribute name="x">y</attribute></box></image></annotations>'
    },
    "VIA": {"via_region_data.json": {"a.jpg123": {"filename": "a.jpg", "regions": [VIA_FACE]}}},
    "VIA 2 project": {"p.json": {"_via_img_metadata": {"a": {"filename": "a.jpg", "regions": {"0": VIA_FACE}}}}},
    "VIA CSV": {
        "via.csv": "filename,region_count,region_shape_attributes,region_attributes\n"
        'a.jpg,1,"{""name"":""rect"",""x"":10,""y"":6,""width"":40,""height"":36}","{""mask"":""with_mask""}"\n'
    },
    "Supervisely": {"meta.json": {"classes": []}, "ds/ann/a.jpg.json": {"objects": [SUPERVISELY_FACE]}},
    "Label Studio": {
        "project.json": [
            {
                "data": {"image": "/data/upload/3/0123abcd-a.jpg"},
                "annotations": [{"result": [{"type": "rectanglelabels", "value": LABEL_STUDIO_FACE}]}],
            }
        ]
    },
    "Label Studio polygon": {
        "min.json": [{"img": "a.jpg", "p": [{"points": [[12.5, 10], [62.5, 30], [30, 70]], "polygonlabels": [M]}]}]
    },
    "Label Studio JSON-MIN": {"min.json": [{"image": "s3://x/a.jpg", "id": 1, "label": [LABEL_STUDIO_FACE]}]},
    "Datumaro": {"annotations/default.json": DATUMARO},
    "VoTT": {"export.json": {"assets": {"1": {"asset": {"name": "a.jpg"}, "regions": [VOTT_FACE]}}}},
}


@pytest.mark.parametrize("tool", TOOLS)
def test_boxes_of_other_tools_are_read(tool):
    result = bring({"img/a.jpg": picture(1), "img/b.jpg": picture(2)} | TOOLS[tool])
    (found,) = read_pictures(result.dataset.folder)
    assert found.labels == (M,) and found.xyxy[0] == pytest.approx(BOX, abs=0.01)
    assert result.account.left_out == [["img/b.jpg", "nothing says what it shows"]]
    assert result.account.format != "Class folders"


@pytest.mark.parametrize(
    ("name", "text", "sentence"),
    [
        pytest.param(
            "wider_face_train_bbx_gt.txt",
            "a/a.jpg\n1\n449 330 122 149 0 0\n",
            "WIDER FACE.*not whether",
            id="WIDER FACE",
        ),
        pytest.param(
            "train-annotations-bbox.csv",
            "ImageID,Source,LabelName,XMin,XMax,YMin,YMax\na,x,/m/0,0,1,0,1\n",
            "Open Images.*YOLO",
            id="Open Images",
        ),
        pytest.param(
            "annotations.xml",
            '<annotations><track label="x"><box frame="0"/></track></annotations>',
            "CVAT for images",
            id="CVAT for video",
        ),
        pytest.param(
            "_classes.csv", "filename,with_mask,without_mask\na.jpg,1,0\n", "whole images", id="table of classes"
        ),
        pytest.param("_annotations.txt", "a.jpg 10,6,50,42,0\n", "one .txt for each image", id="YOLO of Keras"),
        pytest.param("train.jsonl", "{}\n", "JSON lines", id="JSON lines"),
    ],
)
def test_what_is_only_recognized_is_refused_by_its_name(name, text, sentence):
    with pytest.raises(DataError, match=sentence):
        bring({f"{'0--Parade' if 'wider' in name else 'images'}/a.jpg": picture(), name: text})


def test_an_archive_of_one_large_file_is_refused_by_its_name():
    with pytest.raises(DataError, match="as TFRecord, which cannot be read; export"):
        bring({"train/faces.tfrecord": b"\0"})


# Classes of YOLO


@pytest.mark.parametrize(
    "names",
    [
        pytest.param({"data.yaml": 'path: "C:\\Users"\r\nnames: ["with_mask", "without_mask"]\r\n'}, id="backslash"),
        pytest.param({"set/config/data.yaml": YAML}, id="YAML below"),
        pytest.param({"train/labels/classes.txt": "with_mask\nwithout_mask\n"}, id="list beside the labels"),
        pytest.param({"classes.txt": "with_mask\r\nwithout_mask\r\n".encode("utf-16")}, id="list in UTF-16"),
        pytest.param({"data.yaml": YAML.encode("utf-16")}, id="YAML in UTF-16"),
        pytest.param({"obj.names": "with_mask\nwithout_mask\n\n"}, id="darknet"),
        pytest.param({"train/_darknet.labels": "with_mask\nwithout_mask"}, id="Roboflow's darknet"),
        pytest.param({"data.yaml": "names: {1: without_mask, 0: with_mask, 7: hat}\n"}, id="numbers"),
    ],
)
def test_class_names_are_found_and_read(names):
    members = pictures("images/a.jpg", "images/b.jpg") | {"labels/a.txt": yolo(0), "labels/b.txt": yolo(1)}
    assert labels_of(bring(members | names)) == {"images/a.jpg": M, "images/b.jpg": B}


def test_the_number_of_a_class_is_that_of_its_line():
    members = pictures("images/a.jpg", "images/b.jpg", "images/c.jpg") | {
        "classes.txt": "\nwith_mask\n\nwithout_mask\n"
    }
    result = bring(members | {"labels/a.txt": yolo(1), "labels/b.txt": yolo(3), "labels/c.txt": yolo(2)})
    assert labels_of(result) == {"images/a.jpg": M, "images/b.jpg": B}
    assert result.account.left_out == [["labels/c.txt", "class 2 is not among the 2 that classes.txt names."]]


def test_yolo_as_cvat_packs_it():
    members = pictures("obj_train_data/a.jpg", "obj_test_data/b.jpg") | {
        "obj.data": "classes = 2\n",
        "obj.names": f"{M}\n{B}",
    }
    members |= {"obj_train_data/a.txt": yolo(0), "obj_test_data/b.txt": yolo(1)}
    result = bring(members | {"train.txt": "data/obj_train_data/a.jpg\n", "test.txt": "data/obj_test_data/b.jpg\n"})
    found = {p.path.stem: (p.labels, p.split) for p in read_pictures(result.dataset.folder)}
    assert found == {"a": ((M,), "train"), "b": ((B,), "test")}


def test_lists_that_name_different_classes_are_told():
    members = {
        "images/a.jpg": picture(),
        "labels/a.txt": yolo(0),
        "data.yaml": YAML,
        "labels/classes.txt": "dog\ncat\n",
    }
    result = bring(members)
    assert labels_of(result) == {"images/a.jpg": M}
    sentence = "Other class names than in data.yaml, which is used, are in labels/classes.txt."
    assert sentence in result.account.warnings


# Boxes

FACE = {"annotations": [{"image_id": 0, "category_id": 1, "bbox": [10, 6, 40, 36]}]}


@pytest.mark.parametrize(
    ("members", "sentence"),
    [
        pytest.param(
            {"labels/a.txt": "0 40 30 20 20", "data.yaml": YAML},
            "1 of 1 boxes lie outside.*YOLO wants shares",
            id="YOLO in pixels",
        ),
        pytest.param(
            {"annotations/a.xml": voc(box=(900, 800, 950, 850))},
            r"1 of 1 boxes lie outside their pictures\.",
            id="VOC of a larger picture",
        ),
        pytest.param({"labels/a.txt": "0 0.5 0.5 0 0.2", "data.yaml": YAML}, "1 of 1 boxes have no area", id="no area"),
    ],
)
def test_a_set_whose_boxes_lie_outside_is_refused_with_the_count(members, sentence):
    with pytest.raises(DataError, match=sentence):
        bring({"images/a.jpg": picture()} | members)


def test_a_picture_whose_boxes_cannot_be_used_is_no_picture_without_faces():
    members = pictures("images/a.jpg", "images/b.jpg", "images/c.jpg") | {"data.yaml": YAML, "labels/c.txt": ""}
    result = bring(members | {"labels/a.txt": "0 40 30 20 20\n1 50 30 9 9", "labels/b.txt": yolo(1) + "0 9 9 1 1"})
    found = {p.key: p.labels for p in read_pictures(result.dataset.folder)}
    assert found == {"images/b.jpg": (B,), "images/c.jpg": ()}, "c is empty, as its label file says"
    assert any(
        warning.startswith("3 of 4 boxes lie outside their pictures; YOLO") for warning in result.account.warnings
    )
    assert result.account.left_out == [["labels/a.txt", "its boxes lie outside the image or have no area."]]
    assert result.account.without_faces == 1


@pytest.mark.parametrize("wide", [W, 2 * W])
@pytest.mark.parametrize(
    "note",
    [
        lambda wide: {"annotations/a.xml": voc_xml([(M, BOX)], (wide, H))},
        lambda wide: {
            "c.json": coco("a.jpg") | {"images": [{"id": 0, "file_name": "a.jpg", "width": wide, "height": H}]}
        },
        lambda wide: {"_.csv": f"filename,width,height,class,xmin,ymin,xmax,ymax\na.jpg,{wide},{H},hat,1,1,9,9\n"},
        lambda wide: {"a.json": labelme() | {"imageWidth": wide, "imageHeight": H}},
    ],
    ids=["VOC", "COCO", "CSV", "LabelMe"],
)
def test_images_that_were_resized_after_they_were_annotated_are_told(note, wide):
    warnings = bring({"images/a.jpg": picture()} | note(wide)).account.warnings
    assert any("1 image has another size" in warning for warning in warnings) == (wide != W)


def test_tags_may_be_in_capitals():
    members = {"images/a.jpg": picture(), "annotations/a.xml": voc().replace("xmin", "XMin").replace("name", "Name")}
    assert labels_of(bring(members)) == {"images/a.jpg": M}


def test_chinese_windows_text_is_read_where_the_file_says_so():
    members = pictures("images/a.jpg", "images/b.jpg", "images/c.jpg") | {"annotations/c.xml": voc()}
    members["annotations/a.xml"] = f'<?xml version="1.0" encoding="gbk"?>{voc("口罩")}'.encode("gbk")
    members["annotations/b.xml"] = voc("口罩").encode("gbk")
    result = bring(members)
    assert labels_of(result) == {"images/a.jpg": "口罩", "images/c.jpg": M}
    assert result.account.left_out == [
        ["annotations/b.xml", "its text is not UTF-8; open it in an editor and save it as UTF-8."]
    ]


# Parts of a split


@pytest.mark.parametrize(
    ("stem", "lists"),
    [
        pytest.param("p", {"ImageSets/Main/test.txt": "p1\n", "ImageSets/Main/trainval.txt": "p0\n"}, id="VOC"),
        pytest.param("p", {"ImageSets/Main/test.txt": "p1  1\n"}, id="VOC of one class"),
        pytest.param("p", {"test.txt": b"\xef\xbb\xbfp1.jpg\r\n"}, id="UTF-8 with its mark"),
        pytest.param("p", {"test.txt": "p1.jpg\r\n".encode("utf-16")}, id="UTF-16"),
        pytest.param("I_jpg.rf.0a", {"test.txt": "I_jpg.rf.0a1\n"}, id="dots, no extension"),
        pytest.param("I_jpg.rf.0a", {"test.txt": "I_jpg.rf.0a1.jpg\n"}, id="dots, extension"),
        pytest.param("p", {"test.txt": "C:\\me\\set\\images\\p1.jpg\n"}, id="paths of Windows"),
        pytest.param("é ", {"test.txt": quote("é 1.jpg")}, id="quoted"),
    ],
)
def test_lists_of_test_pictures_are_read(stem, lists):
    members = pictures(*(f"JPEGImages/{stem}{i}.jpg" for i in range(3)))
    members |= {f"Annotations/{stem}{i}.xml": voc() for i in range(3)}
    result = bring(members | lists)
    splits = {p.path.stem[-1]: p.split for p in read_pictures(result.dataset.folder)}
    assert splits == {"0": "", "1": "test", "2": ""}
    assert result.account.splits == {"": 2, "test": 1} and "test.txt" in result.account.split_from


@pytest.mark.parametrize(
    ("yaml", "splits"),
    [
        pytest.param("train: ../set/a\nval: ./b\\images\ntest: [images/x, c]\n", ["train", "", "test"], id="folders"),
        pytest.param("train: /me/x/images/b\ntest: D:\\me\\images\\c\n", ["", "train", "test"], id="elsewhere"),
        pytest.param("train: ../train/images\nval: ../valid/images\n", ["", "", ""], id="of another set"),
        pytest.param("train: images\nval: images\ntest: images\n", ["", "", ""], id="the same for all"),
    ],
)
def test_the_parts_that_a_yaml_names_are_read(yaml, splits):
    members = pictures("images/set/a/1.jpg", "images/b/2.jpg", "images/c/3.jpg") | {"data.yaml": yaml + YAML}
    result = bring(members | {f"labels/{name}.txt": yolo() for name in ("set/a/1", "b/2", "c/3")})
    found = {p.path.stem: p.split for p in read_pictures(result.dataset.folder)}
    assert [found[stem] for stem in "123"] == splits


def test_a_list_that_names_nothing_is_told():
    members = {"images/a.jpg": picture(), "annotations/a.xml": voc(), "test.txt": "gone\na\n", "val.txt": b"\xff\xff"}
    warnings = bring(members).account.warnings
    assert "1 of 2 names in test.txt are those of no picture: gone." in warnings
    assert "The list val.txt cannot be read, so its part of the split is unknown." in warnings


# Names


@pytest.mark.parametrize("spelling", [quote, lambda name: name, lambda name: name.replace("é", "e\u0301")])
def test_names_are_paired_however_they_are_spelt(spelling):
    members = pictures("images/Capture d'écran 1.jpg") | {"data.yaml": YAML, "images/b.jpg": picture(2)}
    members |= {f"labels/{spelling(SHOT)}.txt": yolo(1), "labels/b.txt": yolo(0)}
    assert labels_of(bring(members)) == {"images/Capture d'écran 1.jpg": B, "images/b.jpg": M}
    names = [f"images/{spelling(SHOT)}.jpg", "b.jpg"]
    members = pictures("images/Capture d'écran 1.jpg", "images/b.jpg") | {"c.json": coco(*names)}
    assert labels_of(bring(members, "coco")) == {"images/Capture d'écran 1.jpg": M, "images/b.jpg": B}


def test_a_folder_with_decomposed_names_is_read(tmp_path):
    folder = tmp_path / "shelf" / "set"
    (folder / "images").mkdir(parents=True)
    (folder / "images" / "Mu\u0308ller.jpg").write_bytes(picture())
    (folder / "c.json").write_text(json.dumps(coco("M\u00fcller.jpg")))
    assert link_with_account(folder, "set").account.faces == {M: 1}


def test_finders_names_without_the_mark_of_utf_8():
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name, data in pictures("con mxxscara/1.jpg", "sin mxxscara/1.jpg").items():
            archive.writestr(name, data)
    packed = file.getvalue().replace(b"mxxscara", "máscara".encode())
    assert sorted(labels_of(import_zip(io.BytesIO(packed), "new")).values()) == ["con máscara", "sin máscara"]


@pytest.mark.parametrize("folder", ["photos", "img", "frames", "x/image"])
def test_pictures_may_lie_in_any_folder(folder):
    members = {f"{folder}/a.jpg": picture(1), f"{folder}/b.jpg": picture(2), "data.yaml": YAML}
    members |= {"labels/a.txt": yolo(0), "labels/b.txt": yolo(1)}
    assert list(labels_of(bring(members)).values()) == [M, B]


def test_a_picture_without_a_label_file_shows_nobody_knows_what():
    members = pictures("images/a.jpg", "images/b.jpg", "images/background/c.jpg") | {"data.yaml": YAML}
    result = bring(members | {"labels/a.txt": yolo(0), "labels/gone.txt": yolo(0)})
    found = {p.key: p.labels for p in read_pictures(result.dataset.folder)}
    assert found == {"images/a.jpg": (M,), "images/background/c.jpg": ()}
    assert any("1 image has no label file" in warning for warning in result.account.warnings)
    assert "1 label file belongs to no image: labels/gone.txt." in result.account.warnings


# One bad entry, and what is kept


def test_one_bad_annotation_is_left_out_and_named():
    data = coco("a.jpg", "b.jpg", "c.jpg")
    data["annotations"][1]["bbox"] = []
    data["annotations"].append({"image_id": 0, "category_id": 2, "bbox": ["x", 1, 2, 3]})
    del data["annotations"][2]["bbox"]
    data["images"] += [{"id": 9}, None]
    result = bring(pictures("a.jpg", "b.jpg", "c.jpg") | {"annotations.json": data})
    assert labels_of(result) == {"a.jpg": M}
    assert result.account.left_out == [
        *[["annotations.json", "one of its images has no id or no file_name."]] * 2,
        ["annotations.json", "a.jpg: 1 of 2 annotations are left out, as a box has something other than numbers."],
        ["annotations.json", "b.jpg: a box has 0 numbers, expected 4."],
        ["annotations.json", "c.jpg: 'bbox' is missing."],
    ]


@pytest.mark.parametrize(
    "change",
    [
        pytest.param({"images": [{"id": 0, "file_name": "a.jpg"}, {"id": 0, "file_name": "b.jpg"}]}, id="images"),
        pytest.param({"categories": [{"id": 1, "name": M}, {"id": 1, "name": B}]}, id="categories"),
    ],
)
def test_a_number_that_means_two_things_is_refused(change):
    with pytest.raises(DataError, match=r"c\.json: two of its (images|categories) have the id"):
        bring(pictures("a.jpg", "b.jpg") | {"c.json": coco("a.jpg", "b.jpg", **change)})


def test_a_name_that_fits_two_pictures_means_none():
    data = coco("1.jpg", "hat/2.jpg")
    result = bring(pictures("hat/1.jpg", "cap/1.jpg", "hat/2.jpg", "cap/2.jpg") | {"c.json": data})
    assert labels_of(result) == {"hat/2.jpg": B}
    assert "1 image named in annotations is not in the set, or shares its name." in result.account.warnings


def test_images_that_are_annotated_twice_are_told():
    result = bring(pictures("a.jpg", "b.jpg") | {"1.json": coco("a.jpg"), "2.json": coco("b.jpg", "a.jpg")})
    assert labels_of(result) == {"a.jpg": M, "b.jpg": M}
    assert "1 image is annotated more than once; the first is used." in result.account.warnings


def test_the_log_names_what_is_left_out_of_a_folder(tmp_path, caplog):
    (tmp_path / "images").mkdir()
    for name, data in (pictures("images/a.jpg", "images/b.jpg") | {"data.yaml": YAML.encode()}).items():
        (tmp_path / name).write_bytes(data)
    (tmp_path / "images/a.txt").write_text(yolo(0))
    (tmp_path / "images/b.txt").write_text("dog")
    for _ in range(2):
        assert len(read_pictures(tmp_path)) == 1
    assert caplog.text.count("images/b.txt: ") == 1


def test_a_folder_with_a_broken_file_is_used_without_it(tmp_path):
    folder = tmp_path / "shelf" / "set"
    for name, data in pictures("images/a.jpg", "images/b.jpg").items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    (folder / "annotations").mkdir()
    (folder / "annotations/a.xml").write_text(voc())
    (folder / "annotations/b.xml").write_text("<annotation>")
    result = link_with_account(folder, "mine")
    assert result.dataset.linked and list(labels_of(result)) == ["images/a.jpg"]
    assert result.broken == ["annotations/b.xml: it is no complete XML (line 1)."]
    kept = Account.from_card(find_dataset("mine").card)
    assert kept == result.account and kept.pictures == 1 and "one class" in kept.warnings[0]
    (folder / "annotations/a.xml").write_text("<annotation>")
    with pytest.raises(DataError, match="no labelled images"):
        read_pictures(folder)


def test_a_damaged_account_is_none():
    card = {"account": bring(pictures("hat/1.jpg", "cap/1.jpg")).account.to_card()}
    assert Account.from_card(card).faces == {"cap": 1, "hat": 1}
    assert Account.from_card({"account": card["account"] | {"faces": 3}}) is None
    assert Account.from_card({"account": []}) is None and Account.from_card({}) is None


# Small input, much work


@pytest.mark.parametrize(
    ("members", "sentence"),
    [
        pytest.param(
            {"c.json": lambda: b'{"images":[' + b"{}," * 3_000_000 + b'{}],"annotations":[],"categories":[]}'},
            "too many entries",
            id="a list of millions",
        ),
        pytest.param(
            {"c.json": lambda: b'{"images":' + b"[" * 100_000 + b'"annotations" "categories"'},
            "nested too deeply",
            id="deep JSON",
        ),
        pytest.param(
            {"annotations/a.xml": lambda: b"<annotation>" + b"<a/>" * 3_000_000 + b"</annotation>"},
            "too many entries",
            id="XML of millions",
        ),
        pytest.param({"annotations/a.xml": lambda: b"<a>" * 100_000}, "no complete XML", id="deep XML"),
        pytest.param(
            {"annotations/a.xml": lambda: voc_xml([(f"c{i}", (1, 1, 9, 9)) for i in range(1_001)], (W, H)).encode()},
            "has 1,001 classes",
            id="class names without end",
        ),
        pytest.param(
            {"b.csv": lambda: b"filename,class,xmin,ymin,xmax,ymax\n" + b"a\n" * 3_000_000},
            "too many rows",
            id="CSV of millions",
        ),
    ],
)
def test_a_file_that_would_take_gigabytes_is_refused_at_once(members, sentence):
    with pytest.raises(DataError, match=sentence):
        bring({"images/a.jpg": picture()} | {name: make() for name, make in members.items()})
