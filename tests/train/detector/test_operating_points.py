"""From which score on a face is shown, chosen on completed photos by a stated rule."""

import json

import numpy as np
import pytest

from core.datasets.faces import DataError
from core.vision.detections import make_detections
from core.vision.metrics import match_photo
from core.vision.model_card import shown_from
from tests.helpers import write_voc
from train.detector.operating_points import (
    AnnotatedFrame,
    Seen,
    as_used,
    choose_score,
    curve,
    figures,
    main,
    read_validation,
)

FACE = np.array([[100, 50, 160, 130]], np.float32)
FRAME = np.zeros((240, 320, 3), np.uint8)


TINY = np.array([[100, 50, 112, 65]], np.float32)
AWAY = np.array([200, 100, 200, 100], np.float32)


def seen(score, is_face, class_id=0, probabilities=(0.9, 0.08, 0.02), face=FACE, tiny=False):
    """One photo with one face, and one box on it or beside it; a tiny one has a least score of its own."""
    photo = AnnotatedFrame(FRAME, face, np.array([class_id]), np.empty((0, 4), np.float32))
    box = face if is_face else (TINY if tiny else face) + AWAY
    detections = make_detections(box, [np.argmax(probabilities)], [max(probabilities)], probabilities=[probabilities])
    match = match_photo(detections, photo.xyxy, photo.class_id)
    return Seen(photo, np.array([score]), match, np.array([tiny]))


@pytest.mark.parametrize(
    ("alarms", "photos", "chosen"),
    [
        pytest.param([], 10, 0.05, id="no false alarm: everything is shown"),
        pytest.param([0.4], 50, 0.05, id="one in fifty photos is allowed"),
        pytest.param([0.4, 0.6], 50, 0.41, id="the less likely of two is hidden"),
        pytest.param([0.4, 0.6, 0.62], 50, 0.61, id="two are hidden"),
        pytest.param([0.99] * 5, 10, 0.95, id="nothing keeps to the limit: the highest score"),
    ],
)
def test_the_lowest_score_that_keeps_to_the_limit(alarms, photos, chosen):
    rows = [seen(score, False) for score in alarms] + [seen(0.9, True) for _ in range(photos - len(alarms))]
    assert choose_score(rows) == pytest.approx(chosen)


def test_tiny_boxes_have_a_score_of_their_own():
    rows = [seen(score, False, tiny=True) for score in (0.7, 0.7, 0.8)] + [seen(0.3, False)] + [seen(0.9, True)] * 46
    assert choose_score(rows) == pytest.approx(0.05) and choose_score(rows, tiny=True) == pytest.approx(0.71)
    rows += [seen(0.75, True, tiny=True)]
    at = figures(rows, 0.2, tiny_score=0.71)
    assert at["found"] == 47 / 51 and at["false_alarms_per_photo"] == at["tiny_false_alarms_per_photo"] == 1 / 51
    assert figures(rows, 0.2, tiny_score=0.76)["found"] == 46 / 51


def test_what_a_score_gives():
    small = np.array([[10, 10, 25, 28]], np.float32)
    rows = [
        seen(0.9, True),
        seen(0.3, True),
        seen(0.8, True, class_id=1),
        seen(0.8, True, class_id=2, probabilities=(0.2, 0.1, 0.7)),
        seen(0.7, True, face=small),
        seen(0.6, False),
    ]
    at = figures(rows, 0.5)
    assert at["faces"] == 5 and at["found"] == 3 / 5 and at["found_and_right"] == 2 / 5
    assert at["found_and_right_two_state"] == 1 / 4, "the face worn incorrectly is left out"
    assert at["small_found"] == 1.0 and at["false_alarms_per_photo"] == pytest.approx(1 / 6)
    alarms, found = curve(rows)
    assert found[0] == 4 / 5 and alarms[-1] == 0 and (np.diff(found) <= 0).all() and (np.diff(alarms) <= 0).all()


def test_live_video_is_chosen_for_on_frames_of_a_webcams_size():
    photo = AnnotatedFrame(np.zeros((600, 1280, 3), np.uint8), FACE, np.array([0]), FACE)
    live = as_used(photo, "live")
    assert live.frame_bgr.shape == (300, 640, 3) and live.xyxy.tolist() == (FACE / 2).tolist()
    assert live.ignored_xyxy.tolist() == (FACE / 2).tolist() and as_used(photo, "photo") is photo


def test_cards_have_one_number_for_a_use_or_one_by_preset():
    scores = {"photo": {"fast": 0.5, "balanced": 0.3}, "live": 0.4}
    assert shown_from(scores, "photo", "balanced") == 0.3
    assert shown_from(scores, "live", "balanced") == shown_from(scores, "live", "fast") == 0.4
    assert shown_from(scores, "photo", "thorough") == 0.5, "a preset that is missing: the highest"
    assert shown_from({}, "photo", "fast") == 0.0


def test_the_command_prints_a_row_for_each_use_and_preset(tmp_path, capsys):
    folder = write_voc(tmp_path / "voc", {"a": [("with_mask", (11, 21, 60, 80))], "b": [], "c": []})
    labels = tmp_path / "labels"
    labels.mkdir()
    with pytest.raises(DataError, match=r"no voc-validation\.txt"):
        read_validation([folder], labels)
    (labels / "voc-validation.txt").write_text("a\nb\n")
    (labels / "voc.json").write_text(json.dumps([{"photo": "b", "xyxy": [5, 5, 30, 40], "name": None}]))
    assert [len(photo.ignored_xyxy) for photo in read_validation([folder], labels)] == [0, 1]
    main(["--data", str(folder), "--labels", str(labels)])
    printed = capsys.readouterr().out
    assert "2 validation photos" in printed
    for name in ("photo, fast", "photo, thorough", "live, balanced"):
        assert f"| {name} | " in printed and f"  {name}: " in printed
