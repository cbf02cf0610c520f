"""What no annotation file may do: place a box outside its picture, or make anybody ask for gigabytes."""

import json

import cv2
import numpy as np
import pytest

from core.datasets.edits import Edits
from core.datasets.faces import cut_face, face_view, read_photos, read_samples
from core.datasets.store import read_pictures
from core.vision.crops import crop_faces
from tests.helpers import noise_picture, peak_megabytes

WIDTH, HEIGHT = 160, 120
GOOD = (40, 30, 90, 100)
NAN, INF = float("nan"), float("inf")


def write_voc_boxes(folder, boxes, size_wh):
    # Corners count from 1. The size that the file states is as little to be trusted as its boxes.
    corners = ("xmin", "ymin", "xmax", "ymax")
    objects = "".join(
        "<object><name>with_mask</name><bndbox>"
        + "".join(f"<{k}>{v + (i < 2)}</{k}>" for i, (k, v) in enumerate(zip(corners, box, strict=True)))
        + "</bndbox></object>"
        for box in boxes
    )
    size = "<size><width>100000</width><height>100000</height></size>"
    (folder / "annotations").mkdir()
    (folder / "annotations" / "a.xml").write_text(f"<annotation>{size}{objects}</annotation>")


def write_yolo_boxes(folder, boxes, size_wh):
    w, h = size_wh
    lines = [f"0 {(x1 + x2) / 2 / w} {(y1 + y2) / 2 / h} {(x2 - x1) / w} {(y2 - y1) / h}" for x1, y1, x2, y2 in boxes]
    (folder / "labels").mkdir()
    (folder / "labels" / "a.txt").write_text("\n".join(lines))
    (folder / "data.yaml").write_text("names: [with_mask]\n")


def write_coco_boxes(folder, boxes, size_wh):
    data = {
        "images": [{"id": 1, "file_name": "a.png", "width": 100_000, "height": 100_000}],
        "categories": [{"id": 7, "name": "with_mask"}],
        "annotations": [
            {"id": i, "image_id": 1, "category_id": 7, "bbox": [x1, y1, x2 - x1, y2 - y1]}
            for i, (x1, y1, x2, y2) in enumerate(boxes)
        ],
    }
    (folder / "instances.json").write_text(json.dumps(data))  # Python writes and reads NaN and Infinity


FORMATS = [
    pytest.param(write_voc_boxes, id="Pascal VOC"),
    pytest.param(write_yolo_boxes, id="YOLO"),
    pytest.param(write_coco_boxes, id="COCO"),
]


def write_set(folder, write, boxes, size_wh=(WIDTH, HEIGHT)):
    (folder / "images").mkdir(parents=True)
    cv2.imwrite(str(folder / "images" / "a.png"), noise_picture(3, size_wh))
    write(folder, boxes, size_wh)
    return folder


@pytest.mark.parametrize("write", FORMATS)
@pytest.mark.parametrize(
    ("box", "read"),
    [
        pytest.param((0, 0, 60_000, 60_000), (0, 0, WIDTH, HEIGHT), id="60,000 px"),
        pytest.param((-60_000, 20, 60_000, 80), (0, 20, WIDTH, 80), id="60,000 px beyond both sides"),
        pytest.param((-30, -20, 50, 60), (0, 0, 50, 60), id="negative corner"),
        pytest.param((-90, -80, -10, -20), None, id="negative, outside"),
        pytest.param((500, 20, 560, 80), None, id="outside on the right"),
        pytest.param((NAN, 20, 60, 80), None, id="NaN"),
        pytest.param((20, 20, INF, 80), None, id="infinite"),
        pytest.param((0, 0, 1e300, 80), None, id="beyond what a pixel can be"),
    ],
)
def test_a_box_that_cannot_be_is_clipped_or_dropped(tmp_path, write, box, read):
    folder = write_set(tmp_path / "set", write, [box, GOOD])
    (picture,) = read_pictures(folder)
    samples = read_samples(folder, 0.15)
    (photo,) = read_photos(folder)
    expected = [GOOD] if read is None else [read, GOOD]
    assert np.allclose(picture.xyxy, expected, atol=0.01) and picture.labels == ("with_mask",) * len(expected)
    assert np.allclose(photo.truth.xyxy, expected, atol=0.01)
    assert len(samples) == len(expected)
    # A face keeps its name whatever becomes of those before it: edits are kept under it.
    assert samples[-1].key == "images/a.png#1" and picture.item(len(expected) - 1).endswith("#1")
    Edits.load(folder).change_label("images/a.png#1", "hat")
    assert read_pictures(folder)[0].labels == ("with_mask",) * (len(expected) - 1) + ("hat",)


READ_AND_CUT = """
for folder in sys.argv[2:]:
    (picture,) = read_pictures(folder)
    assert len(read_samples(folder, 0.15)) == len(picture.labels) and len(read_photos(folder)) == 1
    frame = cv2.imread(str(picture.path))
    for i in range(len(picture.labels)):
        assert max(face_view(frame, picture.box(i), 224, 0.15).shape) < 1000
"""


def test_boxes_far_outside_cost_little(tmp_path):
    sets = []
    for write in (write_voc_boxes, write_yolo_boxes, write_coco_boxes):
        for box in ((0, 0, 60_000, 60_000), (-60_000, 20, 60_000, 80)):
            sets.append(write_set(tmp_path / f"set{len(sets)}", write, [box, GOOD]))
    # What is imported at need has its own memory: the first set is read before the counting.
    prepare = (
        "import cv2\n"
        "from core.datasets.faces import face_view, read_photos, read_samples\n"
        "from core.datasets.store import read_pictures\n"
        "read_photos(sys.argv[1]), read_samples(sys.argv[1], 0.15)"
    )
    other = write_set(tmp_path / "other", write_voc_boxes, [GOOD])
    assert peak_megabytes(prepare, READ_AND_CUT, other, *sets) < 50


@pytest.mark.parametrize(
    ("write", "read"),
    [
        # Pascal VOC names two corners, which say the same in either order.
        pytest.param(write_voc_boxes, [(20, 19, 61, 80), GOOD], id="Pascal VOC"),
        pytest.param(write_yolo_boxes, [GOOD], id="YOLO"),
        pytest.param(write_coco_boxes, [GOOD], id="COCO"),
    ],
)
def test_a_box_that_is_upside_down(tmp_path, write, read):
    (picture,) = read_pictures(write_set(tmp_path / "set", write, [(20, 80, 61, 20), GOOD]))
    assert np.allclose(picture.xyxy, read, atol=1)


@pytest.mark.parametrize("write", FORMATS[1:])
def test_a_box_without_width_is_dropped(tmp_path, write):  # Pascal VOC's smallest has one pixel
    (picture,) = read_pictures(write_set(tmp_path / "set", write, [(50, 20, 50, 80), GOOD]))
    assert np.allclose(picture.xyxy, [GOOD]) and picture.item(0) == "images/a.png#1"


@pytest.mark.parametrize("write", FORMATS)
def test_a_face_as_long_as_a_panorama_costs_little(tmp_path, write):
    size_wh = (9000, 60)
    folder = write_set(tmp_path / "set", write, [(0, 0, 60_000, 60_000)], size_wh)
    (picture,) = read_pictures(folder)
    frame = cv2.imread(str(picture.path))
    patch, crop = cut_face(frame, picture.box(0), 0.15)
    assert picture.xyxy.tolist() == [[0, 0, *size_wh]]
    assert max(patch.shape) < 1000
    assert crop[2] - crop[0] == pytest.approx(crop[3] - crop[1], abs=1)
    prepare = (
        "import cv2\nfrom core.datasets.faces import cut_face\nfrom core.datasets.store import read_pictures\n"
        "(picture,) = read_pictures(sys.argv[1])\nframe = cv2.imread(str(picture.path))"
    )
    peak = peak_megabytes(prepare, "cut_face(frame, picture.box(0), 0.15)", folder)
    assert peak < 50, "a square around it would have 600 megabytes"


def test_a_picture_that_cannot_be_read_keeps_its_labels(tmp_path):
    folder = write_set(tmp_path / "set", write_voc_boxes, [GOOD])
    (folder / "images" / "a.png").write_bytes(b"no picture")
    assert read_pictures(folder)[0].xyxy.tolist() == [list(GOOD)]


@pytest.mark.filterwarnings("ignore:Corrupt EXIF")
def test_odd_exif_data_turn_nothing(tmp_path):
    folder = write_set(tmp_path / "set", write_voc_boxes, [(0, 0, 999, 999)])
    jpeg = cv2.imencode(".jpg", noise_picture(3, (WIDTH, HEIGHT)))[1].tobytes()
    exif = b"Exif\0\0MM\0*\0\0\0\x08\xff\xff\x01\x12\0\x05"  # of 65,535 entries, the first cut off
    length = (len(exif) + 2).to_bytes(2, "big")
    (folder / "images" / "a.png").rename(folder / "images" / "a.jpg")
    (folder / "images" / "a.jpg").write_bytes(jpeg[:2] + b"\xff\xe1" + length + exif + jpeg[2:])
    assert read_pictures(folder)[0].xyxy.tolist() == [[0, 0, WIDTH, HEIGHT]]


def test_a_picture_that_was_replaced_clips_its_boxes_anew(tmp_path):
    folder = write_set(tmp_path / "set", write_voc_boxes, [GOOD])
    assert read_pictures(folder)[0].xyxy.tolist() == [list(GOOD)]
    cv2.imwrite(str(folder / "images" / "a.png"), noise_picture(4, (70, 50)))
    assert read_pictures(folder)[0].xyxy.tolist() == [[40, 30, 70, 50]]


def test_a_face_is_cut_as_the_app_cuts_it():
    frame = noise_picture(5, (WIDTH, HEIGHT))
    crops = crop_faces(frame, np.array([GOOD]), 64, 0.15)
    assert (face_view(frame, np.array(GOOD, np.float32), 64, 0.15) == crops[0]).all()
    whole = cv2.cvtColor(cv2.resize(frame, (64, 64), interpolation=cv2.INTER_AREA), cv2.COLOR_BGR2RGB)
    assert (face_view(frame, None, 64, 0.15) == whole).all(), "in class folders the picture is the face"
