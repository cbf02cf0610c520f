import csv
import json

import cv2
import numpy as np
import pytest

from core.batch.formats import FORMATS, write_formats
from core.batch.results import Results
from core.datasets.store import read_pictures
from core.vision.detections import make_detections
from core.vision.tables import detection_rows
from tests.helpers import noise_picture

BOXES = {"a": [(10, 20, 40, 60), (50, 20, 79, 58)], "in/b": [], "in/c": [(5, 6, 30, 40)]}


@pytest.fixture
def results(tmp_path):
    """Three photos of 80 × 60; ``in/c`` was turned by a quarter."""
    with Results(tmp_path / "out", {}) as results:
        for name, boxes in reversed(BOXES.items()):
            found = make_detections(boxes, [1, 0][: len(boxes)], predicted=[True, False][: len(boxes)])
            turned = int(name == "in/c")
            results.add(
                {
                    **{"source": f"/photos/{name}.jpg", "photo": f"{name}.jpg", "note": "", "turned": turned},
                    **{"width": (80, 60)[turned], "height": (60, 80)[turned]},
                    "faces": detection_rows(f"{name}.jpg", found),
                }
            )
        results.add({"source": "/photos/=bad.jpg", "photo": "=bad.jpg", "problem": "It is damaged."})
        yield results


def test_tables_have_every_face_in_the_order_of_the_names(results):
    summary = write_formats(results, ("csv", "jsonl"))
    assert (summary.photos, summary.stats.counts, summary.stats.unknown) == (3, (0, 2, 0), 1)
    with (results.folder / "faces.csv").open(encoding="utf-8-sig") as file:
        rows = list(csv.DictReader(file))
    assert [(row["photo"], row["result"]) for row in rows] == [
        *(("a.jpg", "without_mask"), ("a.jpg", "unknown"), ("in/c.jpg", "without_mask"))
    ]
    lines = [json.loads(line) for line in (results.folder / "faces.jsonl").read_text().splitlines()]
    assert [line["photo"] for line in lines] == ["a.jpg", "in/b.jpg", "in/c.jpg"]
    with (results.folder / "unreadable.csv").open(encoding="utf-8-sig") as file:
        assert list(csv.DictReader(file)) == [
            {"photo": "'=bad.jpg", "source": "/photos/=bad.jpg", "problem": "It is damaged."}
        ]


@pytest.mark.parametrize("name", ["coco", "voc", "yolo"])
def test_our_own_readers_read_what_is_written(results, name):
    write_formats(results, (name,))
    write_formats(results, (name,))  # in the place of the first
    for photo in BOXES:
        path = results.folder / name / "images" / f"{photo}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(path), noise_picture(0))
    pictures = {picture.key.removeprefix("images/"): picture for picture in read_pictures(results.folder / name)}
    assert pictures.keys() == {"a.jpg", "in/b.jpg", "in/c.jpg"}
    assert pictures["a.jpg"].labels == ("without_mask", "unknown") and not pictures["in/b.jpg"].labels
    np.testing.assert_allclose(pictures["a.jpg"].xyxy, BOXES["a"], atol=0.1)
    # Found in the photo turned to the right; here in the photo as it is stored.
    np.testing.assert_allclose(pictures["in/c.jpg"].xyxy, [(6, 30, 40, 55)], atol=0.1)
    assert pictures["a.jpg"].difficult == ((1,) if name == "voc" else ())
    assert not [path for path in results.folder.glob(".formats*")]


def test_every_format_can_be_written_of_nothing(tmp_path):
    with Results(tmp_path / "out", {}) as results:
        assert write_formats(results, tuple(FORMATS)).photos == 0
        assert not (results.folder / "unreadable.csv").exists()
