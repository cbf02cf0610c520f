from dataclasses import replace

import numpy as np
import pytest

from core.vision.detections import make_detections, no_detections
from core.vision.metrics import NO_BOXES, Counts, Evaluation, match_photo

A, B, C = [10, 10, 60, 70], [100, 20, 150, 90], [200, 30, 260, 100]
SMALL = [300, 10, 320, 30]


def evaluate(*photos, **options):
    evaluation = Evaluation(**options)
    for shown, truth in photos:
        evaluation.update(shown, truth, 10.0)
    return evaluation.compute()


def test_a_perfect_prediction_scores_one_everywhere():
    truth = make_detections([A, B, C], [0, 1, 2])
    result = evaluate((truth, truth), (no_detections(), no_detections()))
    assert (result.photos, result.faces) == (2, 3)
    assert result.found == result.found_and_right == 1.0
    assert result.mask_found_and_right == result.bare_found_and_right == 1.0
    assert result.false_alarms_per_photo == 0.0
    assert result.map50_two_state == pytest.approx(1.0)
    assert result.map50_three_state == pytest.approx(1.0)
    assert all(value == pytest.approx(1.0) for value in result.ap50.values())
    assert result.median_ms == 10.0


def test_nothing_at_all_is_no_division_by_zero():
    result = Evaluation().compute()
    assert result.photos == result.faces == 0
    assert result.found is None and result.map50_two_state is None and result.median_ms is None


def test_false_alarms_on_a_photo_without_faces_count():
    truth = make_detections([A], [0])
    clean = evaluate((truth, truth), (no_detections(), no_detections()))
    alarmed = evaluate((truth, truth), (make_detections([B], [0], [0.99]), no_detections()))
    assert clean.false_alarms_per_photo == 0 and alarmed.false_alarms_per_photo == 0.5
    assert alarmed.found == 1.0
    surer = evaluate((make_detections([A], [0], [0.6]), truth), (make_detections([B], [0], [0.99]), no_detections()))
    assert surer.map50_two_state == pytest.approx(0.5, abs=0.01)


@pytest.mark.parametrize(
    ("shown", "found", "right"),
    [
        pytest.param(no_detections(), 0.0, 0.0, id="missed"),
        pytest.param(make_detections([A], [1], [0.9]), 0.5, 0.0, id="found, classified wrong"),
        pytest.param(make_detections([A, B], [0, 1], [0.9, 0.9]), 1.0, 1.0, id="both right"),
        pytest.param(make_detections([A, A], [0, 0], [0.9, 0.8]), 0.5, 0.5, id="found twice counts once"),
        pytest.param(make_detections([[12, 30, 90, 95]], [0], [0.9]), 0.0, 0.0, id="too far off"),
    ],
)
def test_found_and_right(shown, found, right):
    result = evaluate((shown, make_detections([A, B], [0, 1])))
    assert (result.found, result.found_and_right) == (found, right)


def test_a_crowd_of_150_faces_is_counted_to_the_last():
    crowd = make_detections([[30 * i, 0, 30 * i + 25, 30] for i in range(150)], [0] * 150)
    assert evaluate((crowd, crowd)).map50_two_state == pytest.approx(1.0)


def test_small_faces_are_neither_hit_nor_miss_nor_false_alarm():
    truth = make_detections([A, SMALL], [0, 1])
    without = evaluate((make_detections([A], [0], [0.9]), truth))
    with_small = evaluate((make_detections([A, SMALL], [0, 0], [0.9, 0.99]), truth))
    assert (without.small_found, with_small.small_found) == (0.0, 1.0), "they are counted apart"
    assert without == replace(with_small, small_found=0.0, by_size=without.by_size)
    assert without.faces == 1 and without.found_and_right == 1.0
    assert without.map50_two_state == pytest.approx(1.0)


def test_small_boxes_on_nothing_are_false_alarms_but_cost_no_precision():
    truth = make_detections([A], [0])
    small = evaluate((make_detections([A, SMALL], [0, 0], [0.5, 0.99]), truth))
    large = evaluate((make_detections([A, C], [0, 0], [0.5, 0.99]), truth))
    assert small.false_alarms_per_photo == 1 and small.map50_two_state == pytest.approx(1.0)
    assert large.false_alarms_per_photo == 1 and large.map50_two_state < 0.6


def test_worn_incorrectly_is_ignored_in_two_states_and_counts_in_three():
    truth = make_detections([A, B, C], [0, 1, 2])
    shown = make_detections([A, B, C], [0, 1, 0], [0.9, 0.9, 0.95])
    result = evaluate((shown, truth))
    assert result.map50_two_state == pytest.approx(1.0), "the box on C is neither right nor wrong"
    assert result.ap50["mask_weared_incorrect"] == 0.0
    assert result.map50_three_state < 0.67
    assert result.found == 1.0 and result.found_and_right == pytest.approx(2 / 3)


def test_ranked_detections_serve_average_precision_only():
    truth = make_detections([A, B], [0, 1])
    ranked = make_detections([A, B, C], [0, 1, 0], [0.9, 0.4, 0.1])
    evaluation = Evaluation()
    evaluation.update(ranked[ranked.confidence >= 0.5], truth, 5.0, ranked)
    result = evaluation.compute()
    assert result.found == 0.5 and result.false_alarms_per_photo == 0
    assert result.map50_two_state == pytest.approx(1.0)


def test_a_frame_that_is_not_square_and_a_face_score_that_ranks():
    truth = make_detections([A], [0])
    shown = make_detections([A, C], [0, 0], [0.9, 0.9], [0.9, 0.1])
    other = make_detections([A, C], [0, 0], [0.9, 0.9], [0.1, 0.9])
    assert evaluate((shown, truth)).map50_two_state == pytest.approx(1.0)
    assert evaluate((other, truth)).map50_two_state < 0.6


def test_reset_forgets():
    evaluation = Evaluation()
    evaluation.update(make_detections([A], [0]), make_detections([A], [0]), 3.0)
    evaluation.reset()
    assert evaluation.compute().photos == 0


def test_the_calibration_error_is_that_of_the_faces_found():
    truth = make_detections([A, B, C], [0, 1, 0])
    shown = make_detections([A, B], [0, 0], [0.9, 0.9])  # one right, one wrong, one not found
    assert evaluate((shown, truth)).verdict_calibration_error == pytest.approx(0.4)
    assert evaluate((no_detections(), truth)).verdict_calibration_error is None


def test_faces_are_counted_by_size_whatever_the_least_size():
    tiny, low = [300, 10, 312, 24], [400, 10, 416, 40]  # 12 and 16 px
    truth = make_detections([A, tiny, low], [0, 1, 1])
    shown = make_detections([A, tiny], [0, 0])
    rows = evaluate((shown, truth), min_face_px=24).by_size
    assert [(row["from_px"], row["to_px"]) for row in rows] == [(10, 16), (16, 24), (24, 48), (48, 96), (96, None)]
    assert [(row["faces"], row["found"], row["right"]) for row in rows] == [
        *((1, 1, 0), (1, 0, 0), (0, 0, 0)),
        *((1, 1, 1), (0, 0, 0)),
    ]


def test_faces_are_counted_by_kind():
    tiny = [300, 10, 312, 24]
    truth = make_detections([A, B, C, tiny], [0, 1, 1, 1])
    rows = evaluate((make_detections([A, B], [0, 0]), truth), min_face_px=24).by_kind
    assert [(row["kind"], row["faces"], row["right"]) for row in rows] == [
        *(("with_mask", 1, 1), ("without_mask", 2, 0)),
        ("mask_weared_incorrect", 0, 0),
    ]


def test_bare_faces_that_are_called_masked():
    truth = make_detections([A, B, C], [1, 1, 1])
    result = evaluate((make_detections([A, B], [0, 1]), truth))
    assert result.bare_shown_as_masked == 0.5, "of the two that are found"
    assert evaluate((no_detections(), truth)).bare_shown_as_masked is None


def test_intervals_hold_the_rate_and_narrow_with_more_photos():
    truth, one = make_detections([A, B], [0, 1]), make_detections([A], [0])
    few, many = ([(one, truth), (truth, truth)] * times for times in (5, 100))
    wide, narrow = evaluate(*few).intervals["found"], evaluate(*many).intervals["found"]
    assert wide[0] < narrow[0] < 0.75 < narrow[1] < wide[1]
    assert narrow[1] - narrow[0] == pytest.approx(2 * 1.96 * 0.25 / 200**0.5, rel=0.1), "of 200 rates, 0.5 or 1 each"
    empty = evaluate((no_detections(), no_detections()), (no_detections(), no_detections())).intervals
    assert set(empty) == {"false_alarms_per_photo"}, "nothing to divide by"


def test_of_two_states_the_likelier_counts_and_masks_worn_incorrectly_are_left_out():
    truth = make_detections([A, B, C], [0, 1, 2])
    probabilities = [[0.4, 0.05, 0.55], [0.5, 0.3, 0.2], [0.1, 0.1, 0.8]]
    shown = make_detections([A, B, C], [2, 0, 2], [0.55, 0.5, 0.8], probabilities=probabilities)
    result = evaluate((shown, truth))
    assert result.found_and_right == pytest.approx(1 / 3) and result.found_and_right_two_state == 0.5
    sure = make_detections([A], [2], [0.9])  # nothing is known of the other two states
    assert evaluate((sure, truth)).found_and_right_two_state == 0.0
    assert evaluate((no_detections(), make_detections([C], [2]))).found_and_right_two_state is None


def test_a_box_is_ranked_under_every_class_by_its_probability():
    truth = make_detections([A, B], [0, 2])
    probabilities = [[0.9, 0.05, 0.05], [0.5, 0.1, 0.4]]
    unsure = make_detections([A, B], [0, 0], [0.9, 0.5], probabilities=probabilities)
    result = evaluate((unsure, truth))
    assert result.found_and_right == 0.5, "the prediction is the likeliest class alone"
    assert result.ap50["mask_weared_incorrect"] == pytest.approx(1.0), "no other box is likelier to be one"
    assert result.ap50["with_mask"] == pytest.approx(1.0), "the wrong class ranks below the right one"
    swapped = make_detections([A, B], [0, 0], [0.9, 0.5], probabilities=[probabilities[0], [0.5, 0.47, 0.03]])
    assert evaluate((swapped, truth)).ap50["mask_weared_incorrect"] == pytest.approx(0.5, abs=0.01)


NEAR_A = [14, 10, 64, 70]  # overlaps A by 0.85
TINY = [400, 10, 410, 24]


def counted(detections, truth, class_id=None, ignored_xyxy=NO_BOXES, is_shown=None, **options):
    counts = Counts(**options)
    class_id = truth.class_id if class_id is None else class_id
    counts.add(match_photo(detections, truth.xyxy, class_id, ignored_xyxy), is_shown)
    return counts


def test_counts_of_nothing_are_unknown_rates():
    counts = Counts()
    assert counts.recall() is counts.precision() is counts.false_alarms_per_photo() is counts.small_recall() is None
    counts = counted(no_detections(), no_detections())
    assert (counts.photos, counts.faces, counts.recall(), counts.false_alarms_per_photo()) == (1, 0, None, 0.0)


def test_a_face_of_unknown_class_counts_for_recall_and_for_no_class():
    both = make_detections([A, B], [0, 1])
    counts = counted(both, both, class_id=[-1, 1])
    assert counts.faces == 2 and counts.recall() == 1.0
    assert counts.found_and_right() == 0.5 and counts.found_and_right_of_two() == 1.0
    assert counts.recall(0) is None and counts.recall(1) == 1.0


def test_small_boxes_on_nothing_cost_precision_and_are_no_false_alarms():
    truth = make_detections([A], [0])
    detections = make_detections([A, NEAR_A, B, TINY], [0, 0, 0, 0])
    counts = counted(detections, truth)
    assert counts.precision() == 0.5, "a second box on the same face is on a face"
    assert (counts.false_alarms, counts.off_face) == (1, 2)
    spared = counted(detections, truth, ignored_xyxy=[B])
    assert (spared.false_alarms, spared.precision()) == (0, pytest.approx(2 / 3)), "neither right nor wrong"


def test_what_is_hidden_is_matched_and_not_counted():
    truth = make_detections([A, SMALL], [0, 1])
    detections = make_detections([A, NEAR_A, SMALL, C], [0, 0, 1, 0])
    only_second = counted(detections, truth, is_shown=np.array([False, True, False, False]))
    assert only_second.recall() == 0.0, "the hidden box is the better match: recall never rises with the score"
    assert (only_second.shown, only_second.false_alarms, only_second.small_recall()) == (1, 0, 0.0)
    nothing = counted(detections, truth, is_shown=np.zeros(4, bool))
    assert nothing.photos_with_a_face_shown == 0 and nothing.precision() is None
    everything = counted(detections, truth)
    assert (everything.recall(), everything.small_recall(), everything.false_alarms) == (1.0, 1.0, 1)
