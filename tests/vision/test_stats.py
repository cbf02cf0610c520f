import sys
import threading
from functools import partial

import pytest

from core.language import using
from core.vision.detections import HIDDEN, make_detections, no_detections
from core.vision.stats import FrameStats, LiveStats, describe, describe_film, describe_hidden, summarize


@pytest.mark.parametrize(
    ("class_ids", "counts", "share", "words"),
    [
        pytest.param([], (0, 0, 0), None, "No face found.", id="nothing"),
        pytest.param([0], (1, 0, 0), 1.0, "1 face: 1 with a mask.", id="one masked"),
        pytest.param([1, 0, 1], (1, 2, 0), 1 / 3, "3 faces: 1 with a mask, 2 without a mask.", id="several"),
        pytest.param([2, 2], (0, 0, 2), 0.0, "2 faces: 2 with a mask worn incorrectly.", id="worn incorrectly"),
    ],
)
def test_summarize_and_describe(class_ids, counts, share, words):
    detections = make_detections([[0, 0, 9, 9]] * len(class_ids), class_ids) if class_ids else no_detections()
    stats = summarize(detections)
    assert stats.counts == counts
    assert stats.mask_share == share
    assert describe(stats) == words


@pytest.mark.parametrize(
    ("predicted", "hidden", "share", "words"),
    [
        pytest.param(
            *([True, True, False], 0, 0.5),
            "3 faces: 1 with a mask, 1 without a mask, 1 not clear enough to tell.",
            id="the share is that of the faces with a prediction",
        ),
        pytest.param([False] * 3, 0, None, "3 faces: 3 not clear enough to tell.", id="nothing is told"),
        pytest.param(
            *([True, True, False], 1, 0.5),
            "3 faces: 1 with a mask, 1 without a mask, 1 not clear enough to tell. "
            "1 smaller face is hidden by your limit.",
            id="one hidden",
        ),
        pytest.param([], 1, None, "1 face found, but smaller than your limit.", id="only a hidden one"),
        pytest.param([], 2, None, "2 faces found, but smaller than your limit.", id="only hidden ones"),
    ],
)
def test_faces_without_a_prediction_and_hidden_ones_are_counted_apart(predicted, hidden, share, words):
    n = len(predicted)
    found = make_detections([[0, 0, 9, 9]] * n, [0, 1, 1][:n], [0.9, 0.9, 0.4][:n], predicted=predicted)
    found.metadata[HIDDEN] = hidden
    stats = summarize(found)
    assert (stats.faces, stats.unknown, stats.hidden) == (n, predicted.count(False), hidden)
    assert sum(stats.counts) == predicted.count(True) and stats.mask_share == share
    assert describe(stats) == words
    both = stats + FrameStats((1, 0, 0), unknown=2, hidden=3)
    assert (both.faces, both.unknown, both.hidden) == (n + 3, stats.unknown + 2, hidden + 3)


HELMETS = ("helmet", "no_helmet")


def test_other_classes_are_counted_by_their_own_names_without_a_share_of_masks():
    stats = summarize(make_detections([[0, 0, 9, 9]] * 3, [1, 0, 1], classes=HELMETS))
    assert stats.counts == (1, 2) and stats.classes == HELMETS
    assert stats.mask_share is None and stats.count("no_helmet") == 2 and stats.count("with_mask") == 0
    assert describe(stats) == "3 faces: 1 Helmet, 2 No helmet."
    mixed = FrameStats((1, 3), ("with_mask", "cap"))
    assert mixed.mask_share == 0.25


def test_counts_of_different_classes_add_up():
    ours, helmets = FrameStats((1, 2, 0)), FrameStats((4, 5), HELMETS)
    assert FrameStats() + helmets == helmets + FrameStats() == helmets
    assert summarize(no_detections()) + summarize(no_detections(HELMETS)) == FrameStats((0, 0), HELMETS)
    both = ours + helmets
    assert both.faces == 12 and both.count("helmet") == 4 and both.count("without_mask") == 2
    unsure = FrameStats((0, 0), HELMETS, unknown=1)
    assert FrameStats() + unsure == unsure + FrameStats() == unsure


def test_live_stats_forget_what_is_old():
    now = 100.0
    stats = LiveStats(window_s=10, clock=lambda: now)
    stats.update(FrameStats((1, 0, 0)), 20)
    now = 105.0
    stats.update(FrameStats((0, 3, 0)), 30)
    seen = stats.snapshot()
    assert seen.now.counts == (0, 3, 0)
    assert seen.analysed_frames == 2 and seen.analysis_ms == 30
    assert seen.analyses_per_s == pytest.approx(2 / 5)
    now = 114.0
    assert stats.snapshot().now.counts == (0, 3, 0)
    now = 200.0
    seen = stats.snapshot()
    assert seen.now.faces == 0 and seen.analysed_frames == 2


def test_an_error_is_shown_until_a_frame_is_analysed_again():
    stats = LiveStats()
    stats.fail("broken")
    assert stats.snapshot().error == "broken"
    stats.update(FrameStats(), 5)
    assert stats.snapshot().error is None
    stats.fail("again")
    stats.reset()
    assert stats.snapshot().error is None and stats.snapshot().analysed_frames == 0


def test_updates_from_many_threads_are_all_counted(request):
    stats = LiveStats(window_s=1e9)
    request.addfinalizer(partial(sys.setswitchinterval, sys.getswitchinterval()))
    sys.setswitchinterval(1e-6)  # threads take turns as often as they can

    def work():
        for _ in range(100):
            stats.update(FrameStats((1, 0, 0)), 1)
            stats.snapshot()

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert stats.snapshot().now.counts == (1, 0, 0)


def test_counts_in_french():
    with using("fr"):
        words = describe(FrameStats((2, 1, 0), unknown=1, hidden=1)).replace("\xa0", " ")
        film = describe_film(FrameStats((1200, 0, 34))).replace("\xa0", " ")
        hidden = describe_hidden(FrameStats(hidden=2), 48.5)
    assert words == (
        "4 visages : 2 avec masque, 1 sans masque, 1 sans conclusion possible. "
        "1 visage plus petit que votre limite n’est pas montré."
    )
    assert film == "1\u202f234 personnes : 1\u202f200 avec masque, 34 avec un masque mal porté."
    assert hidden == "2 visages trouvés, mais plus petits que votre limite de 48,5 px."
