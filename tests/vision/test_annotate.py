from itertools import combinations

import numpy as np
import pytest

from core.vision.annotate import annotate, percentage
from core.vision.classes import CLASS_STYLES, NO_PREDICTION, styles_of
from core.vision.detections import make_detections, no_detections
from tests.people import five_people


def grey_frame(height=240, width=400):
    return np.full((height, width, 3), 128, np.uint8)


def has_color(frame, rgb):
    return (np.abs(frame.astype(int) - rgb[::-1]).max(axis=2) < 12).any()


def test_nothing_found_changes_nothing():
    frame = grey_frame()
    drawn = annotate(frame, no_detections())
    assert (drawn == frame).all() and drawn is not frame


@pytest.mark.parametrize("class_id", range(3), ids=lambda i: CLASS_STYLES[i].words)
def test_box_and_label_have_the_class_color_and_the_given_frame_stays(class_id):
    frame = grey_frame()
    drawn = annotate(frame, make_detections([[100, 80, 180, 180]], [class_id], [0.87]))
    assert (frame == 128).all()
    assert drawn.shape == frame.shape
    assert has_color(drawn[78:84, 105:175], CLASS_STYLES[class_id].color_rgb), "box"
    assert has_color(drawn[50:79, 100:200], CLASS_STYLES[class_id].color_rgb), "label above the box"
    assert has_color(drawn[50:79, 100:250], CLASS_STYLES[class_id].text_rgb), "text"


def test_signs_differ_so_that_color_is_not_needed():
    shapes = []
    for class_id, style in enumerate((*CLASS_STYLES, NO_PREDICTION)):
        told = style is not NO_PREDICTION
        found = make_detections([[100, 80, 180, 180]], [class_id % 3], [0.87], predicted=[told])
        label = annotate(grey_frame(), found)[50:78, 100:122]
        shapes.append(np.abs(label.astype(int) - style.text_rgb[::-1]).max(axis=2) < 60)
    assert all((a != b).sum() > 15 for a, b in combinations(shapes, 2))


@pytest.mark.parametrize("class_id", range(3), ids=lambda i: CLASS_STYLES[i].words)
def test_a_face_without_a_prediction_has_a_grey_box_and_a_question_mark_alone(class_id, monkeypatch):
    unsure = make_detections([[100, 80, 180, 180]], [class_id], [0.4], predicted=[False])
    drawn = annotate(np.zeros((240, 400, 3), np.uint8), unsure)
    assert has_color(drawn[78:84, 105:175], NO_PREDICTION.color_rgb), "box"
    assert not has_color(drawn, CLASS_STYLES[class_id].color_rgb), "nothing of the guess"
    area = label_area(unsure, monkeypatch)
    height, width = (np.ptp(places) + 1 for places in np.nonzero(area))
    assert width <= 1.1 * height, "room for a sign, none for words or a percentage"
    assert has_color(drawn[50:79, 100:122], NO_PREDICTION.text_rgb), "the sign"


@pytest.mark.parametrize("classes", [("helmet", "no_helmet"), ("шлем", "__" * 20), tuple("abcdefghijkl")], ids=str)
def test_other_classes_have_their_own_color_sign_and_words(classes):
    labels = []
    for class_id, style in enumerate(styles_of(classes)):
        drawn = annotate(grey_frame(), make_detections([[100, 80, 180, 180]], [class_id], [0.87], classes=classes))
        assert has_color(drawn[78:84, 105:175], style.color_rgb), "box"
        assert has_color(drawn[50:79, 100:122], style.text_rgb), "sign"
        labels.append(np.abs(drawn[50:78, 100:122].astype(int) - style.text_rgb[::-1]).max(axis=2) < 60)
    for i, label in enumerate(labels):
        assert all((label != other).sum() > 10 for other in labels[:i]), "signs differ without colour"


def label_area(detections, monkeypatch, frame=None):
    """Where the labels are: (h, w) bool, what drawing them changes."""
    frame = grey_frame() if frame is None else frame
    whole = annotate(frame, detections)
    with monkeypatch.context() as patch:
        patch.setattr("core.vision.annotate._draw_label", lambda *args: None)
        return (whole != annotate(frame, detections)).any(axis=2)


@pytest.mark.parametrize(
    "xyxy",
    [
        pytest.param([10, 0, 90, 60], id="at the top: label below"),
        pytest.param([0, 0, 400, 240], id="fills the frame"),
        pytest.param([350, 190, 400, 240], id="lower right corner"),
        pytest.param([-30, -40, 30, 40], id="over the edge"),
        pytest.param([100, 100, 101, 101], id="one pixel"),
    ],
)
def test_the_whole_label_stays_inside_the_frame(xyxy, monkeypatch):
    in_the_middle = label_area(make_detections([[100, 100, 101, 101]], [2], [0.6]), monkeypatch)
    area = label_area(make_detections([xyxy], [2], [0.6]), monkeypatch)
    ys, xs = np.nonzero(area)
    filled = area.sum() / ((np.ptp(ys) + 1) * (np.ptp(xs) + 1))
    assert filled > 0.95, "a whole rectangle"
    assert area.sum() >= 0.9 * in_the_middle.sum()


@pytest.mark.parametrize("shape", [(1, 1), (8, 300), (300, 8), (3000, 40)], ids=str)
def test_any_size_of_frame_works(shape):
    frame = np.zeros((*shape, 3), np.uint8)
    drawn = annotate(frame, make_detections([[0, 0, shape[1], shape[0]]], [1], [0.99]))
    assert drawn.shape == frame.shape


def test_labels_of_neighbours_do_not_hide_each_other(monkeypatch):
    boxes = [[20 + 60 * i, 100, 65 + 60 * i, 150] for i in range(6)]
    together = label_area(make_detections(boxes, [2] * 6, [0.77] * 6), monkeypatch).sum()
    short = label_area(make_detections(boxes[:1], [2], [0.77]), monkeypatch, grey_frame(width=60)).sum()
    assert together >= 6 * 0.9 * short, "six labels, whole ones or short ones, none covered"


def test_a_label_keeps_off_other_faces_where_it_can(monkeypatch):
    above, below = [100, 40, 150, 90], [100, 92, 150, 142]
    area = label_area(make_detections([above, below], [0, 1], [0.9, 0.9]), monkeypatch)
    assert not area[44:86, 104:146].any() and not area[96:138, 104:146].any()


def test_labels_hide_none_of_the_people_that_a_webcam_sees(monkeypatch):
    frame, faces = five_people()
    largest_first = faces[::-1]
    area = label_area(make_detections(largest_first, [1, 0, 1, 0, 1], [0.9] * 5), monkeypatch, frame)
    for x1, y1, x2, y2 in largest_first.round().astype(int):
        assert not area[y1:y2, x1:x2].any()


@pytest.mark.parametrize(
    ("probability", "text"), [(0.5, "50%"), (0.966, "97%"), (0.994, "99%"), (0.9999, "99%"), (1.0, "99%")]
)
def test_percentage_never_claims_certainty(probability, text):
    assert percentage(probability) == text


@pytest.mark.parametrize(
    ("accented", "plain", "above"),
    [("porté", "porte", True), ("PORTÈ", "PORTE", True), ("côte", "cote", True), ("façade", "facade", False)],
)
def test_accents_are_drawn_over_letters_and_cedillas_under_them(accented, plain, above):
    with_accent, without = (
        annotate(grey_frame(), make_detections([[100, 80, 180, 180]], [0], [0.87], classes=(name, "b")))
        for name in (accented, plain)
    )
    rows = np.nonzero((with_accent != without).any(axis=(1, 2)))[0]
    text = np.nonzero((without[50:78, 130:160].min(axis=2) > 200).any(axis=1))[0] + 50
    assert len(rows) and len(text) and (rows.mean() < text.mean()) == above
    assert rows.min() >= 50 and rows.max() < 80, "inside its label"
