import numpy as np
import pytest

from core.classes import CLASS_NAMES, CLASS_STYLES, class_index
from core.detections import make_detections, no_detections, resized


def test_no_detections_has_every_field():
    none = no_detections()
    assert none.xyxy.shape == (0, 4)
    assert none.class_id.shape == none.confidence.shape == none.data["face_score"].shape == (0,)


def test_missing_scores_are_one():
    truth = make_detections([[0, 0, 5, 5]], [2])
    assert truth.confidence.tolist() == truth.data["face_score"].tolist() == [1.0]
    assert truth.xyxy.dtype == truth.confidence.dtype == np.float32


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        pytest.param({"class_id": [0, 1]}, r"shape \(2,\), expected \(1,\)", id="too many classes"),
        pytest.param({"class_id": [3]}, r"0\.\.2", id="unknown class"),
        pytest.param({"class_id": [-1]}, r"0\.\.2", id="negative class"),
        pytest.param({"class_id": [0], "confidence": [[0.5]]}, r"shape \(1, 1\)", id="a column instead of a row"),
        pytest.param({"class_id": [0], "confidence": [97.0]}, r"0\.\.1", id="percent instead of a share"),
        pytest.param({"class_id": [0], "face_score": [0.5, 0.5]}, "face_score", id="too many face scores"),
    ],
)
def test_wrong_fields_stop_at_once(fields, sentence):
    with pytest.raises(ValueError, match=sentence):
        make_detections([[0, 0, 5, 5]], **fields)


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
    for field in ("words", "sign", "icon", "color_rgb"):
        assert len({getattr(style, field) for style in CLASS_STYLES}) == len(CLASS_NAMES)


def relative_luminance(rgb):
    """WCAG 2: how bright a colour looks, 0..1."""
    linear = [c / 12.92 if c <= 0.03928 else ((c + 0.055) / 1.055) ** 2.4 for c in (v / 255 for v in rgb)]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("style", CLASS_STYLES, ids=lambda style: style.words)
def test_label_text_has_the_contrast_that_wcag_asks(style):
    light, dark = sorted((relative_luminance(style.color_rgb), relative_luminance(style.text_rgb)), reverse=True)
    assert (light + 0.05) / (dark + 0.05) >= 4.5


def test_unknown_class_name_is_refused():
    assert class_index("without_mask") == 1
    with pytest.raises(ValueError, match="helmet"):
        class_index("helmet")
