"""What is shown of the classifier's inside are its own numbers."""

import numpy as np
import pytest
from scipy.ndimage import correlate
from scipy.special import softmax

from core.synthetic.sample import SAMPLE_FACE_XYXY, sample_photo
from core.vision.classifier import load_classifier
from core.vision.explain import load_explainer
from core.vision.trace import dropped_out, strongest, trace, with_dropout


@pytest.fixture(scope="module")
def explainer():
    return load_explainer()


@pytest.fixture(scope="module")
def seen(explainer):
    return trace(explainer, explainer.crop(sample_photo(masked=True), np.array(SAMPLE_FACE_XYXY)))


def test_the_probabilities_are_the_classifiers(seen):
    theirs = load_classifier().probabilities(seen.crop_rgb[None])[0]
    assert seen.probabilities == pytest.approx(theirs, abs=1e-6)
    assert seen.probabilities == pytest.approx(np.exp(seen.logits) / np.exp(seen.logits).sum())


def test_the_first_maps_are_what_the_filters_make_of_the_pixels(seen):
    pixels = seen.crop_rgb / 127.5 - 1
    for place in strongest(seen.maps[0], 3):
        answer = sum(correlate(pixels[..., c], seen.filters[place, ..., c], mode="constant") for c in range(3))
        assert np.corrcoef(answer[1::2, 1::2].ravel(), seen.maps[0][..., place].ravel())[0, 1] > 0.9


def test_maps_shrink_and_the_head_follows_from_the_last(seen, explainer):
    assert [maps.shape[0] for maps in seen.maps] == [112, 56, 28, 14, 7]
    assert seen.pooled == pytest.approx(seen.maps[-1].mean(axis=(0, 1)))
    logits = explainer.head.logit_weights @ seen.hidden + explainer.head.logit_bias
    assert logits == pytest.approx(seen.logits, abs=0.5), "but for 8 bits"


def test_dropout_changes_nothing_at_0_and_more_the_more_is_off(seen, explainer):
    whole = softmax(explainer.head.logit_weights @ seen.hidden + explainer.head.logit_bias)
    assert with_dropout(seen.hidden, explainer.head, 0, 3) == pytest.approx(np.tile(whole, (3, 1)))
    spread = [with_dropout(seen.hidden, explainer.head, share, 200)[:, 0].std() for share in (0.2, 0.5, 0.9)]
    assert spread == sorted(spread) and spread[0] < spread[2]
    assert dropped_out(1000, 0.3, 10).mean() == pytest.approx(0.7, abs=0.03)
