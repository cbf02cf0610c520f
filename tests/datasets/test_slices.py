import json

import numpy as np
import pytest

from core.datasets.extra import LABELS_DIR
from core.datasets.faces import DataError
from core.datasets.slices import SLICES, read_slices, slices_of
from tests.helpers import ROOT


def write(folder, *entries):
    path = folder / "noted.json"
    path.write_text(json.dumps(entries))
    return path


def test_a_noted_face_is_known_by_its_place(tmp_path):
    path = write(
        tmp_path,
        {"photo": "a", "xyxy": [10, 10, 50, 50], "pose": "down"},
        {"photo": "a", "xyxy": [100, 10, 140, 60], "pose": "turned"},
    )
    noted = read_slices(path, "pose")
    truth = np.array([[101, 11, 140, 60], [200, 0, 240, 40], [10, 10, 50, 49]], float)
    assert [SLICES["pose"][i] if i >= 0 else None for i in slices_of(truth, noted["a"])] == ["turned", None, "down"]
    assert slices_of(truth, noted.get("b")).tolist() == [-1, -1, -1]


@pytest.mark.parametrize(
    "entry",
    [
        {"photo": "a", "xyxy": [10, 10, 50, 50], "pose": "upside down"},
        {"photo": "a", "xyxy": [10, 10, 50, 50], "covering": "hand"},
        {"photo": "a", "xyxy": [50, 10, 10, 50], "pose": "down"},
        {"photo": "a", "xyxy": [10, 10, 50, 50], "pose": ["down"]},
        "down",
    ],
)
def test_a_file_of_another_form_gets_a_sentence(tmp_path, entry):
    with pytest.raises(DataError, match=r"^What .*noted\.json notes of faces cannot be read: "):
        read_slices(write(tmp_path, entry), "pose")


@pytest.mark.parametrize(("name", "kind"), [("ilc2021-poses", "pose"), ("hard-coverings", "covering")])
def test_what_comes_with_the_project_names_every_slice(name, kind):
    noted = read_slices(ROOT / LABELS_DIR / f"{name}.json", kind)
    assert {i for faces in noted.values() for i in faces.slice_id} == set(range(len(SLICES[kind])))
