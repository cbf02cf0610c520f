import shutil
import subprocess
import sys
import threading
from dataclasses import replace
from types import SimpleNamespace

import cv2
import numpy as np
import pytest

from core.config import models_dir
from core.synthetic.sample import SAMPLE_FACE_XYXY, sample_photo
from core.vision.classifier import DEFAULT_CLASSIFIER, MaskClassifier, load_classifier
from core.vision.crops import crop_faces
from core.vision.detector import DEFAULT_DETECTOR, load_detector
from core.vision.explain import (
    LEAST_PEAK,
    DenseHead,
    Explanation,
    FaceExplainer,
    enlarge_relevance,
    find_end,
    grad_cam,
    load_explainer,
    mask_direction,
    overlay_centers,
    overlay_relevance,
)
from core.vision.model_card import ModelError, load_card
from tests.helpers import ROOT

CARD = load_card(models_dir() / f"{DEFAULT_CLASSIFIER}.json")
MODEL = models_dir() / CARD.file


@pytest.fixture(scope="module")
def explainer():
    return load_explainer()


@pytest.fixture(scope="module")
def bare(explainer):
    return explainer.explain(sample_photo(False), SAMPLE_FACE_XYXY)


@pytest.fixture(scope="module")
def masked(explainer):
    return explainer.explain(sample_photo(True), SAMPLE_FACE_XYXY)


@pytest.fixture(scope="module")
def regions(bare, masked):
    """Where the mask was drawn, and the forehead above it, as (224, 224) bool."""
    mask = (bare.crop_bgr != masked.crop_bgr).any(axis=2)
    forehead = np.zeros_like(mask)
    forehead[26:58, 70:155] = True
    return SimpleNamespace(mask=mask, forehead=forehead)


def random_head(seed: int, hidden: int = 6, channels: int = 5, classes: int = 3) -> DenseHead:
    rng = np.random.default_rng(seed)
    shapes = (hidden, channels), (hidden,), (classes, hidden), (classes,)
    return DenseHead(*(rng.normal(size=shape) for shape in shapes))


@pytest.mark.parametrize("shape", [(1, 1), (2, 3), (7, 7)], ids=str)
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_grad_cam_against_a_numerical_gradient(shape, seed):
    head = random_head(seed)
    features = np.random.default_rng(seed + 10).uniform(0, 6, (*shape, 5))
    direction = np.array([1.0, 0.0, -1.0])
    gradient, step = np.empty(features.shape), 1e-5
    for place in np.ndindex(features.shape):
        nudge = np.zeros(features.shape)
        nudge[place] = step
        gradient[place] = direction @ (head.logits(features + nudge) - head.logits(features - nudge)) / (2 * step)
    expected = (features * gradient.mean(axis=(0, 1))).sum(axis=2)  # as in the paper, without its last ReLU
    assert np.abs(expected).max() > 0
    assert np.allclose(grad_cam(features, head, direction), expected, rtol=1e-4, atol=1e-5)


def test_grad_cam_by_hand():
    # Hidden 0 sees channel 0 and is active, hidden 1 sees channel 1 and is not.
    head = DenseHead(np.array([[2.0, 0], [0, -1.0]]), np.zeros(2), np.array([[3.0, 100], [1.0, 0]]), np.zeros(2))
    features = np.zeros((1, 2, 2))
    features[0, 0] = [4, 7]
    cam = grad_cam(features, head, np.array([1.0, -1.0]))
    assert cam.dtype == np.float32
    assert cam.tolist() == [[4 * 2 * (3 - 1) / 2, 0]]


def test_the_places_of_grad_cam_add_up_to_the_score():
    head = random_head(4)
    head = replace(head, hidden_bias=np.zeros(6), logit_bias=np.zeros(3))
    features = np.random.default_rng(4).uniform(0, 6, (3, 4, 5))
    direction = np.array([0.0, 1.0, -1.0])
    assert grad_cam(features, head, direction).sum() == pytest.approx(direction @ head.logits(features), rel=1e-5)


@pytest.mark.parametrize(
    ("change", "agrees"),
    [
        pytest.param({}, True, id="the same layers"),
        pytest.param({"logit_bias": np.array([0.0, 0, 9])}, False, id="other numbers"),
        pytest.param({"hidden_weights": np.ones((6, 4))}, False, id="other channels"),
        pytest.param({"logit_weights": np.ones((3, 7))}, False, id="layers that do not join"),
        pytest.param({"logit_weights": np.ones((2, 6)), "logit_bias": np.ones(2)}, False, id="other classes"),
    ],
)
def test_a_head_knows_its_own_logits(change, agrees):
    head = random_head(0)
    features = np.ones((2, 2, 5))
    assert replace(head, **change).agrees(features, head.logits(features)) is agrees


@pytest.mark.parametrize(
    ("classes", "logits", "expected"),
    [
        pytest.param(("with_mask", "without_mask"), [0, 5], [1, -1], id="two classes"),
        pytest.param(("without_mask", "with_mask"), [5, 0], [-1, 1], id="other order"),
        pytest.param(("with_mask", "without_mask", "mask_weared_incorrect"), [9, 1, 2], [1, 0, -1], id="three classes"),
        pytest.param(("mask_weared_incorrect", "without_mask", "with_mask"), [1, 2, 0], [0, -1, 1], id="mask least"),
    ],
)
def test_mask_stands_against_the_likeliest_other_class(classes, logits, expected):
    assert mask_direction(classes, np.array(logits, np.float32)).tolist() == expected


def steps(*names: str) -> list[dict]:
    """A network of one step after the other; the tensor before the first is 0; dense layers have 50 and 60 too."""
    return [
        {"op_name": name, "inputs": [i, 50, 60] if name == "FULLY_CONNECTED" else [i], "outputs": [i + 1]}
        for i, name in enumerate(names)
    ]


@pytest.mark.parametrize(
    ("names", "features", "logits"),
    [
        pytest.param(("CONV_2D", "MEAN", "FULLY_CONNECTED", "FULLY_CONNECTED"), 1, 4, id="plain"),
        pytest.param(
            ("AVERAGE_POOL_2D", "RESHAPE", "FULLY_CONNECTED", "RELU", "FULLY_CONNECTED", "SOFTMAX", "DEQUANTIZE"),
            *(0, 5),
            id="with everything between",
        ),
        pytest.param(("MAX_POOL_2D", "RESHAPE", "FULLY_CONNECTED", "FULLY_CONNECTED"), None, None, id="other pooling"),
        pytest.param(("MEAN", "FULLY_CONNECTED"), None, None, id="one dense layer"),
        pytest.param(("MEAN", "FULLY_CONNECTED", "TANH", "FULLY_CONNECTED"), None, None, id="other activation"),
        pytest.param(("MEAN", "FULLY_CONNECTED", "FULLY_CONNECTED", "LOGISTIC"), None, None, id="other output"),
        pytest.param(("FULLY_CONNECTED", "FULLY_CONNECTED"), None, None, id="no pooling"),
        pytest.param((), None, None, id="nothing"),
    ],
)
def test_find_end(names, features, logits):
    end = find_end(steps(*names), [{"index": len(names)}])
    if features is None:
        assert end is None
    else:
        assert (end.features, end.hidden, end.last, end.logits) == (features, [50, 60], [50, 60], logits)


def test_find_end_reads_stored_weights_and_goes_without_bias():
    ops = steps("MEAN", "FULLY_CONNECTED", "FULLY_CONNECTED")
    ops[1]["inputs"][2] = -1
    ops.append({"op_name": "DEQUANTIZE", "inputs": [70], "outputs": [50]})
    end = find_end(ops, [{"index": 3}])
    assert end.hidden == [70]
    assert end.last == [70, 60]
    assert find_end(ops, [{"index": 3}, {"index": 2}]) is None


def test_an_enlarged_map_lies_where_its_cells_lie():
    cam = np.zeros((7, 7), np.float32)
    cam[2, 5] = -3
    large = enlarge_relevance(cam, 224)
    assert (large.shape, large.dtype) == ((224, 224), np.float32)
    y, x = np.average(np.indices((224, 224)).reshape(2, -1) + 0.5, axis=1, weights=large.ravel())
    assert (x, y) == pytest.approx((5.5 * 32, 2.5 * 32), abs=0.5)
    assert large.min() == -1 and large.max() <= 0


@pytest.mark.parametrize("value", [0.0, 2.0, -0.5])
def test_an_even_map_stays_even(value):
    assert np.allclose(enlarge_relevance(np.full((7, 7), value, np.float32), 64), np.sign(value))


def test_the_explanation_is_of_what_the_classifier_saw(explainer, masked):
    box = np.array([SAMPLE_FACE_XYXY], np.float32)
    crop = crop_faces(sample_photo(True), box, CARD.input_size, CARD.margin)[0]
    assert np.array_equal(masked.crop_bgr[..., ::-1], crop)
    assert masked.relevance.shape == (224, 224) and masked.relevance.dtype == np.float32
    assert np.abs(masked.relevance).max() == pytest.approx(1)
    assert tuple(masked.probabilities) == CARD.classes


def test_probabilities_are_those_of_the_classifier(explainer):
    classifier = load_classifier()
    rng = np.random.default_rng(0)
    for masked in (False, True):
        frame = sample_photo(masked)
        for box in np.array(SAMPLE_FACE_XYXY) + rng.integers(-40, 40, (10, 4)):
            crop = crop_faces(frame, box[None], CARD.input_size, CARD.margin)
            probabilities = explainer.explain(frame, box).probabilities
            assert list(probabilities.values()) == pytest.approx(classifier.probabilities(crop)[0].tolist(), abs=1e-6)


def test_the_mask_speaks_for_a_mask(masked, regions):
    # Measured: 0.63 on the mask, 0.08 on the forehead.
    assert masked.relevance[regions.mask].mean() > 0.4
    assert masked.relevance[regions.mask].mean() > masked.relevance[regions.forehead].mean() + 0.3
    assert masked.relevance.mean() > 0.1


def test_a_bare_mouth_speaks_against_a_mask(bare, regions):
    # Measured: -0.53 where the mask would be, -0.10 on the forehead.
    assert bare.relevance[regions.mask].mean() < -0.3
    assert bare.relevance[regions.mask].mean() < bare.relevance[regions.forehead].mean() - 0.2
    assert bare.relevance.mean() < -0.1


def test_what_is_beside_the_face_hardly_matters(bare, masked):
    for explanation in (bare, masked):
        assert np.abs(explanation.relevance[:10]).max() < 0.1


def test_a_face_in_a_wide_frame_over_its_edge(explainer, masked):
    x1, y1, x2, y2 = SAMPLE_FACE_XYXY
    frame = np.zeros((300, 900, 3), np.uint8)
    frame[10:, 350:862] = sample_photo(True)[:290]
    moved = explainer.explain(frame, (x1 + 350, y1 + 10, x2 + 350, y2 + 10))
    assert np.array_equal(moved.crop_bgr, masked.crop_bgr)
    assert np.allclose(moved.relevance, masked.relevance, atol=1e-5)
    assert np.isfinite(explainer.explain(frame, (850, -30, 950, 60)).relevance).all()


def test_class_order_follows_the_card(masked):
    swapped = FaceExplainer(replace(CARD, classes=CARD.classes[::-1]), MODEL)
    other = swapped.explain(sample_photo(True), SAMPLE_FACE_XYXY)
    assert np.allclose(other.relevance, -masked.relevance, atol=1e-5)
    assert other.probabilities["with_mask"] == pytest.approx(masked.probabilities["without_mask"], abs=1e-6)


def test_explaining_changes_nothing(explainer):
    frame, box = sample_photo(True), np.array(SAMPLE_FACE_XYXY, np.float32)
    explainer.explain(frame, box)
    assert np.array_equal(frame, sample_photo(True))
    assert box.tolist() == list(SAMPLE_FACE_XYXY)


def test_many_threads_share_one_explainer(explainer, bare, masked):
    right = []

    def work(is_masked, expected):
        for _ in range(8):
            found = explainer.explain(sample_photo(is_masked), SAMPLE_FACE_XYXY)
            right.append(np.allclose(found.relevance, expected.relevance, atol=1e-5))

    threads = [threading.Thread(target=work, args=args) for args in ((False, bare), (True, masked)) * 2]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert right == [True] * 32


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        pytest.param(None, "missing", id="no file"),
        pytest.param(b"\x1c\0\0\0TFL3" + b"\xff" * 400, "not a usable LiteRT model", id="broken"),
    ],
)
def test_a_bad_model_file_gets_a_sentence(tmp_path, content, sentence):
    if content is not None:
        (tmp_path / "model.tflite").write_bytes(content)
    with pytest.raises(ModelError, match=sentence):
        FaceExplainer(CARD, tmp_path / "model.tflite")


@pytest.mark.parametrize(
    ("card", "sentence"),
    [
        pytest.param(replace(CARD, input_size=96), "its card says", id="another size"),
        pytest.param(replace(CARD, classes=("with_mask",)), "its card says", id="another number of classes"),
        pytest.param(
            replace(CARD, classes=("without_mask", "mask_weared_incorrect")),
            "only a model that knows with_mask",
            id="no mask",
        ),
    ],
)
def test_a_card_that_does_not_fit_is_refused(card, sentence):
    with pytest.raises(ModelError, match=sentence):
        FaceExplainer(card, MODEL)


def test_a_classifier_of_another_shape_is_refused(tmp_path):
    from ai_edge_litert import schema_py_generated as schema

    content = bytearray(MODEL.read_bytes())
    model = schema.Model.GetRootAs(content)
    average, largest = schema.BuiltinOperator.AVERAGE_POOL_2D, schema.BuiltinOperator.MAX_POOL_2D
    for code in map(model.OperatorCodes, range(model.OperatorCodesLength())):
        if code.BuiltinCode() == average:
            # Two fields of the file say which step this is, an older one and a newer one.
            for field in (4, 10):
                if code._tab.Offset(field):
                    content[code._tab.Pos + code._tab.Offset(field)] = largest
    path = tmp_path / "largest.tflite"
    path.write_bytes(content)
    MaskClassifier(CARD, path)
    with pytest.raises(ModelError, match=r"largest\.tflite does not end in average pooling"):
        FaceExplainer(CARD, path)


def test_other_models_are_refused_by_name(tmp_path):
    with pytest.raises(ModelError, match="no model card"):
        load_explainer("nothing")
    with pytest.raises(ModelError, match="is a detector"):
        load_explainer(DEFAULT_DETECTOR)
    shutil.copy(models_dir() / f"{DEFAULT_CLASSIFIER}.json", tmp_path)
    (tmp_path / CARD.file).write_bytes(MODEL.read_bytes()[:-1] + b"?")
    with pytest.raises(ModelError, match="not the file that its card describes"):
        load_explainer(folder=tmp_path)


def explanation(relevance: np.ndarray, crop_bgr: np.ndarray | None = None) -> Explanation:
    if crop_bgr is None:
        crop_bgr = np.full((*relevance.shape, 3), (60, 120, 180), np.uint8)
    return Explanation(crop_bgr, relevance.astype(np.float32), {})


def test_blue_speaks_for_and_orange_against_and_nothing_lies_over_the_rest():
    relevance = np.zeros((8, 8))
    relevance[:, :2], relevance[:, 2:4], relevance[:, 4:6] = 1, -1, 0.03
    blue, green, red = (overlay_relevance(explanation(relevance))[..., i].astype(int) for i in range(3))
    assert (blue - red)[:, :2].min() > 60
    assert (red - blue)[:, 2:4].min() > 60
    assert (blue == green)[:, 4:].all() and (blue == red)[:, 4:].all()  # plain grey


@pytest.mark.parametrize("sign", [1, -1])
def test_colour_grows_with_relevance(sign):
    relevance = sign * np.linspace(0, 0.85, 30)[None].repeat(3, axis=0)
    overlay = overlay_relevance(explanation(relevance)).astype(int)
    colored = sign * (overlay[0, :, 0] - overlay[0, :, 2])
    assert (np.diff(colored) >= 0).all() and colored[-1] > colored[15] > colored[6] > 0


@pytest.mark.parametrize("value", [1, -1])
def test_the_crop_shows_through_the_strongest_colour(value):
    ramp = np.arange(256, dtype=np.uint8)[None, :, None].repeat(3, axis=2)
    overlay = overlay_relevance(explanation(np.full((1, 256), value), ramp))
    lightness = cv2.cvtColor(overlay, cv2.COLOR_BGR2GRAY)[0].astype(int)
    assert (np.diff(lightness) >= 0).all()
    assert lightness[-1] - lightness[0] > 60


def test_overlay_relevance_of_the_sample(bare, masked):
    for made, place in ((bare, 2), (masked, 0)):
        before = made.crop_bgr.copy(), made.relevance.copy()
        overlay = overlay_relevance(made)
        assert overlay.shape == (224, 224, 3) and overlay.dtype == np.uint8
        middle = overlay[100:130, 90:130].mean(axis=(0, 1))
        assert middle.argmax() == place
        assert np.array_equal(made.crop_bgr, before[0]) and np.array_equal(made.relevance, before[1])


def changed_by(frame: np.ndarray, center_map: np.ndarray) -> np.ndarray:
    """How much a map changes the picture of an empty one: (h, w) int."""
    without = overlay_centers(frame, np.zeros_like(center_map)).astype(int)
    return np.abs(overlay_centers(frame, center_map) - without).sum(axis=2)


@pytest.mark.parametrize(
    ("shape", "map_shape", "cell"),
    [
        pytest.param((90, 160), (45, 80), (30, 70), id="wide, cells of 2 px"),
        pytest.param((640, 320), (40, 20), (35, 2), id="high, cells of 16 px"),
        pytest.param((101, 333), (49, 160), (11, 150), id="odd sides, cells of 2.08 px"),
        pytest.param((900, 1600), (90, 160), (77, 13), id="cells that must grow"),
        pytest.param((40, 100), (128, 320), (65, 102), id="a cell between two pixels"),
        pytest.param((50, 50), (1, 1), (0, 0), id="one cell"),
        pytest.param((480, 640), (120, 160), (0, 159), id="at the corner"),
    ],
)
def test_a_hot_cell_colours_its_own_place(shape, map_shape, cell):
    center_map = np.zeros(map_shape, np.float32)
    center_map[cell] = 1
    changed = changed_by(np.full((*shape, 3), 90, np.uint8), center_map)
    assert changed.shape == shape
    cell_px = max(shape) / max(map_shape)
    y, x = (np.array(cell) + 0.5) * cell_px
    assert changed[min(int(y), shape[0] - 1), min(int(x), shape[1] - 1)] > 0.7 * changed.max() > 100
    rows, columns = np.nonzero(changed)
    # A cell fades out over half a cell on each side, after growing to the least size.
    most = max(cell_px, LEAST_PEAK * max(shape)) / 2 + cell_px / 2 + 2
    assert np.abs(columns + 0.5 - x).max() <= most and np.abs(rows + 0.5 - y).max() <= most
    inside = most <= x <= shape[1] - most and most <= y <= shape[0] - most
    if inside:
        weights = changed[rows, columns]
        middle = np.average(columns + 0.5, weights=weights), np.average(rows + 0.5, weights=weights)
        assert middle == pytest.approx((x, y), abs=max(0.1 * cell_px, 0.6))


def test_a_small_peak_is_seen_on_a_large_photo():
    center_map = np.zeros((120, 160), np.float32)
    center_map[50, 60] = 0.5
    changed = changed_by(np.full((1200, 1600, 3), 90, np.uint8), center_map)
    assert (changed > changed.max() / 2).sum() > 2 * (LEAST_PEAK * 1600 / 2) ** 2


def test_likelier_is_brighter():
    frame = np.full((20, 110, 3), 40, np.uint8)
    center_map = np.repeat(np.linspace(0, 1, 11, dtype=np.float32), 10)[None].repeat(20, axis=0)
    lightness = cv2.cvtColor(overlay_centers(frame, center_map), cv2.COLOR_BGR2GRAY)[10, 5::10].astype(int)
    assert (np.diff(lightness) > 0).all()


def test_without_centres_the_frame_is_dark_and_grey():
    frame = sample_photo(False)[:300]
    overlay = overlay_centers(frame, np.zeros((94, 160), np.float32))
    assert (overlay == overlay[..., :1]).all()
    assert overlay.mean() < 0.7 * frame.mean()
    assert np.corrcoef(overlay[..., 0].ravel(), frame.mean(axis=2).ravel())[0, 1] > 0.95


@pytest.mark.parametrize("shape", [(300, 700), (700, 300), (430, 613)], ids=str)
def test_the_detectors_map_glows_on_the_face(shape):
    frame = np.full((*shape, 3), 127, np.uint8)
    top, left = shape[0] - 300, shape[1] - 300
    frame[top:, left:] = sample_photo(True)[20:320, 80:380]
    x1, y1, x2, y2 = np.array(SAMPLE_FACE_XYXY) + [left - 80, top - 20] * 2
    center_map = load_detector().center_map(frame)
    before = frame.copy(), center_map.copy()
    overlay = overlay_centers(frame, center_map)
    assert overlay.shape == frame.shape and overlay.dtype == np.uint8
    rows, columns = np.nonzero(np.ptp(overlay.astype(int), axis=2) > 120)  # strongly coloured
    assert len(rows)
    assert x1 < columns.min() and columns.max() < x2 and y1 < rows.min() and rows.max() < y2
    assert abs(columns.mean() - (x1 + x2) / 2) < (x2 - x1) / 4 and abs(rows.mean() - (y1 + y2) / 2) < (y2 - y1) / 4
    assert np.array_equal(frame, before[0]) and np.array_equal(center_map, before[1])


@pytest.mark.parametrize(
    ("map_shape", "sentence"),
    [
        pytest.param((160, 90), "does not belong", id="turned"),
        pytest.param((90, 160, 1), r"shape \(h', w'\)", id="three axes"),
        pytest.param((0, 160), r"shape \(h', w'\)", id="empty"),
    ],
)
def test_a_map_of_another_frame_is_refused(map_shape, sentence):
    with pytest.raises(ValueError, match=sentence):
        overlay_centers(np.zeros((900, 1600, 3), np.uint8), np.zeros(map_shape, np.float32))


def test_explaining_needs_no_tensorflow():
    code = (
        "import sys, warnings; warnings.simplefilter('error');"
        "from core.vision.explain import load_explainer; from core.synthetic.sample import *;"
        "load_explainer().explain(sample_photo(True), SAMPLE_FACE_XYXY);"
        "bad = [m for m in sys.modules if m.split('.')[0] in ('tensorflow', 'keras', 'sklearn', 'torch')];"
        "sys.exit(repr(bad) if bad else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
