import numpy as np
import pytest
import supervision as sv

from core.vision.classes import (
    CLASS_NAMES,
    CLASS_STYLES,
    NO_PREDICTION,
    class_index,
    contrast,
    style_of,
    styles_of,
    vocabulary,
)
from core.vision.detections import (
    HIDDEN,
    classes_of,
    face_styles,
    hidden_faces,
    make_detections,
    no_detections,
    resized,
)

HELMETS = ("helmet", "no_helmet")
LETTERS = tuple("abcdefghijklmnopqrstuvwxyz")


def test_no_detections_has_every_field():
    none = no_detections()
    assert none.xyxy.shape == (0, 4)
    assert none.class_id.shape == none.confidence.shape == none.data["face_score"].shape == (0,)
    assert none.data["class_name"].shape == (0,) and none.data["probabilities"].shape == (0, 3)
    assert none.data["predicted"].shape == (0,) and none.data["predicted"].dtype == bool and not hidden_faces(none)
    assert classes_of(none) == CLASS_NAMES and classes_of(no_detections(HELMETS)) == HELMETS


def test_missing_scores_are_one():
    truth = make_detections([[0, 0, 5, 5]], [2])
    assert truth.confidence.tolist() == truth.data["face_score"].tolist() == [1.0]
    assert truth.xyxy.dtype == truth.confidence.dtype == np.float32
    assert truth.data["predicted"].tolist() == [True]


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        pytest.param({"class_id": [0, 1]}, r"shape \(2,\), expected \(1,\)", id="too many classes"),
        pytest.param({"class_id": [3]}, r"0\.\.2", id="unknown class"),
        pytest.param({"class_id": [-1]}, r"0\.\.2", id="negative class"),
        pytest.param({"class_id": [0], "confidence": [[0.5]]}, r"shape \(1, 1\)", id="a column instead of a row"),
        pytest.param({"class_id": [0], "confidence": [97.0]}, r"0\.\.1", id="percent instead of a share"),
        pytest.param({"class_id": [0], "face_score": [0.5, 0.5]}, "face_score", id="too many face scores"),
        pytest.param({"class_id": [2], "classes": HELMETS}, r"0\.\.1", id="none of two classes"),
        pytest.param({"class_id": [0], "predicted": [True, False]}, r"predicted has shape \(2,\)", id="too many told"),
        pytest.param({"class_id": [0], "probabilities": [[0.5, 0.5]]}, r"\(1, 2\), expected \(1, 3\)", id="too few"),
    ],
)
def test_wrong_fields_stop_at_once(fields, sentence):
    with pytest.raises(ValueError, match=sentence):
        make_detections([[0, 0, 5, 5]], **fields)


def test_names_and_probabilities_follow_the_detections():
    table = [[0.1, 0.9], [0.7, 0.3], [0.4, 0.6]]
    found = make_detections(np.zeros((3, 4)), [1, 0, 1], [0.9, 0.7, 0.6], None, HELMETS, table)
    assert found.data["class_name"].tolist() == ["no_helmet", "helmet", "no_helmet"]
    parts = [found[[2]], found[found.class_id == 0], no_detections(HELMETS), found[5:]]
    merged = sv.Detections.merge(parts)
    assert merged.data["class_name"].tolist() == ["no_helmet", "helmet"]
    assert merged.data["probabilities"].tolist() == np.array([table[2], table[1]], np.float32).tolist()
    assert classes_of(merged) == classes_of(found[[]]) == HELMETS
    _, boxes = resized(np.zeros((8, 9, 3), np.uint8), found, (18, 16))
    assert classes_of(boxes) == HELMETS and boxes.data["probabilities"].tolist() == found.data["probabilities"].tolist()


def test_what_is_told_and_what_is_hidden_stay_known_in_parts_and_at_other_sizes():
    found = make_detections(np.zeros((3, 4)), [1, 0, 1], [0.9, 0.3, 0.6], predicted=[True, False, True])
    found.metadata[HIDDEN] = 2
    parts = found[[2]], found[found.class_id == 0]
    _, small = resized(np.zeros((8, 9, 3), np.uint8), found[::-1], (18, 16))
    merged = sv.Detections.merge(list(parts))
    assert merged.data["predicted"].tolist() == [True, False] and small.data["predicted"].tolist() == [
        True,
        False,
        True,
    ]
    assert hidden_faces(merged) == hidden_faces(small) == hidden_faces(found[[]]) == 2
    assert face_styles(merged) == [CLASS_STYLES[1], NO_PREDICTION]


def test_without_more_the_predicted_class_alone_has_a_probability():
    found = make_detections([[0, 0, 5, 5]], [2], [0.75])
    assert found.data["probabilities"].tolist() == [[0, 0, 0.75]]


def test_detections_of_different_classes_are_never_mixed():
    ours, others = (make_detections([[0, 0, 5, 5]], [0], classes=names) for names in (CLASS_NAMES, ("a", "b", "c")))
    with pytest.raises(ValueError, match="metadata"):
        sv.Detections.merge([ours, others])


def test_resized_scales_x_by_width_and_y_by_height():
    frame = np.zeros((100, 400, 3), np.uint8)
    given = make_detections([[40, 10, 80, 50]], [1], [0.7], [0.6])
    view, boxes = resized(frame, given, (200, 200))
    assert view.shape == (200, 200, 3)
    assert boxes.xyxy.tolist() == [[20, 20, 40, 100]]
    assert given.xyxy.tolist() == [[40, 10, 80, 50]]
    assert boxes.data["face_score"].tolist() == pytest.approx([0.6])


def test_every_class_has_a_style_of_its_own():
    assert len(CLASS_STYLES) == len(CLASS_NAMES)
    styles = (*CLASS_STYLES, NO_PREDICTION)
    for field in ("words", "sign", "icon", "color_rgb"):
        assert len({getattr(style, field) for style in styles}) == len(CLASS_NAMES) + 1


def test_a_face_without_a_prediction_is_grey_and_differs_in_lightness_from_every_class():
    assert len(set(NO_PREDICTION.color_rgb)) == 1
    assert all(contrast(NO_PREDICTION.color_rgb, style.color_rgb) >= 1.5 for style in CLASS_STYLES)


def test_contrast_is_that_of_wcag():
    assert contrast((0, 0, 0), (255, 255, 255)) == pytest.approx(21)
    assert contrast((118, 118, 118), (255, 255, 255)) == pytest.approx(4.54, abs=0.01)


@pytest.mark.parametrize("style", (*CLASS_STYLES, NO_PREDICTION, *styles_of(LETTERS)), ids=lambda style: style.words)
def test_label_text_has_the_contrast_that_wcag_asks(style):
    assert contrast(style.color_rgb, style.text_rgb) >= 4.5


@pytest.mark.parametrize(
    ("classes", "words", "signs"),
    [
        pytest.param(HELMETS, ["Helmet", "No helmet"], ["H", "N"], id="words"),
        pytest.param(("a", "A"), ["a", "A"], ["1", "2"], id="letters that differ in size"),
        pytest.param(("hat", "helmet"), ["Hat", "Helmet"], ["1", "2"], id="the same first letter"),
        pytest.param(("_", "шлем"), ["_", "Шлем"], ["1", "2"], id="nothing that a font of OpenCV has"),
        pytest.param(("with_mask", "cap"), ["Mask", "Cap"], ["✓", "C"], id="one of ours among others"),
        pytest.param(("ASL_del",), ["ASL del"], ["A"], id="capitals stay"),
    ],
)
def test_other_classes_get_words_and_signs_from_their_names(classes, words, signs):
    styles = styles_of(classes)
    assert [style.words for style in styles] == words and [style.sign for style in styles] == signs


def test_many_classes_keep_different_signs_and_colors():
    styles = styles_of(LETTERS[:24])
    assert len({style.color_rgb for style in styles}) == len({style.sign for style in styles}) == 24
    assert {style.color_rgb for style in styles}.isdisjoint(style.color_rgb for style in CLASS_STYLES)
    assert style_of("c", LETTERS) == styles_of(LETTERS)[2]


@pytest.mark.parametrize(
    ("classes", "spoken"),
    [
        pytest.param(CLASS_NAMES[:2], CLASS_NAMES, id="two of ours"),
        pytest.param(CLASS_NAMES[::-1], CLASS_NAMES, id="ours in another order"),
        pytest.param(HELMETS, HELMETS, id="others"),
        pytest.param(("with_mask", "helmet"), ("with_mask", "helmet"), id="mixed"),
    ],
)
def test_only_foreign_names_make_a_vocabulary_of_their_own(classes, spoken):
    assert vocabulary(classes) == spoken


def test_unknown_class_name_is_refused():
    assert class_index("without_mask") == 1
    with pytest.raises(ValueError, match="helmet"):
        class_index("helmet")
