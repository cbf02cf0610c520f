import json
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import cv2
import numpy as np
import pytest
from scipy.special import softmax

from core.config import MODELS_DIR
from core.vision import detector as detector_module
from core.vision.boxes import match_boxes
from core.vision.classes import CLASS_NAMES
from core.vision.classifier import DEFAULT_CLASSIFIER
from core.vision.detector import PRESETS, MaskDetector, Preset, load_detector
from core.vision.model_card import ModelCard, ModelError, file_sha256

CARD = ModelCard(
    name="door",
    file="door.tflite",
    sha256="",
    classes=CLASS_NAMES,
    input_size=320,
    margin=0,
    output="centers",
    kind="detector",
    face_scores={"photo": 0.3, "live": 0.5},
    calibration={"center_scale": 1.0, "center_offset": 0.0, "temperature": 1.0},
)
# What stands for a face: a rectangle in a pure colour, RGB; the colour is the class.
RGB = np.array([(255, 0, 0), (0, 255, 0), (0, 0, 255)], np.uint8)
BACKGROUND = -9.0


class PaintedNetwork:
    """Takes the place of a LiteRT file: finds rectangles in pure colours and draws their maps."""

    min_side = 0
    """Rectangles with a shorter side, in pixels of the canvas, are not seen."""
    center_logit = 2.0

    def __init__(self, path, num_threads=None):
        self.shapes = []

    def __call__(self, pixels_rgb):
        assert pixels_rgb.dtype == np.uint8 and pixels_rgb.flags["C_CONTIGUOUS"]
        self.shapes.append(pixels_rgb.shape)
        height, width = pixels_rgb.shape[1] // 4, pixels_rgb.shape[2] // 4
        center = np.full((1, height, width, 1), BACKGROUND, np.float32)
        log_edges = np.zeros((1, height, width, 4), np.float32)
        state = np.zeros((1, height, width, 3), np.float32)
        for label, color in enumerate(RGB):
            # Interpolation mixes colours at the rim: what is half the colour belongs to it.
            near = (np.abs(pixels_rgb[0].astype(int) - color).max(axis=-1) < 128).astype(np.uint8)
            for x, y, w, h, area in cv2.connectedComponentsWithStats(near)[2][1:]:
                if area < 4 or min(w, h) < self.min_side:
                    continue
                row, column = int((y + h / 2) / 4), int((x + w / 2) / 4)
                edges = column + 0.5 - x / 4, row + 0.5 - y / 4, (x + w) / 4 - column - 0.5, (y + h) / 4 - row - 0.5
                center[0, row, column] = self.center_logit
                log_edges[0, row, column] = np.log(np.maximum(edges, 0.01))
                state[0, row, column, label] = 3
        return [state, center, log_edges]  # a converter promises no order


@pytest.fixture(autouse=True)
def presets(monkeypatch):
    """Sides of the tests' own: the shipped ones follow the shipped model."""
    sides = {"fast": (448, (), 0), "balanced": (640, (), 0), "thorough": (640, (), 1920)}
    monkeypatch.setattr(detector_module, "PRESETS", {name: Preset(name, "", *three) for name, three in sides.items()})
    monkeypatch.setattr(detector_module, "ENLARGED", 1.5)


@pytest.fixture
def build(monkeypatch):
    """A detector on a network of the test's choice."""

    def make(network=PaintedNetwork, **calibration):
        monkeypatch.setattr(detector_module, "Network", network)
        return MaskDetector(replace(CARD, calibration=CARD.calibration | calibration), "door.tflite")

    return make


def painted_frame(size_wh, faces):
    """A grey BGR frame with (class, box) painted on."""
    frame = np.full((size_wh[1], size_wh[0], 3), 100, np.uint8)
    for label, (x1, y1, x2, y2) in faces:
        frame[y1:y2, x1:x2] = RGB[label][::-1]
    return frame


FRAMES = [
    pytest.param((400, 120), [(0, (20, 10, 70, 80)), (2, (300, 60, 350, 115))], id="wide"),
    pytest.param((120, 400), [(1, (20, 10, 70, 80)), (0, (60, 300, 110, 390))], id="tall"),
    pytest.param((30, 20), [(2, (4, 3, 14, 15))], id="tiny"),
    pytest.param((2000, 1100), [(0, (100, 900, 300, 1090)), (1, (1500, 40, 1700, 290))], id="large"),
    pytest.param((301, 203), [(1, (0, 0, 60, 80)), (2, (241, 120, 301, 203))], id="odd, faces in the corners"),
    pytest.param((640, 480), [], id="nobody"),
]


@pytest.mark.parametrize("preset", PRESETS)
@pytest.mark.parametrize(("size_wh", "faces"), FRAMES)
def test_boxes_come_back_in_pixels_of_the_frame_with_their_class(build, size_wh, faces, preset):
    frame = painted_frame(size_wh, faces)
    before = frame.copy()
    xyxy, score, probabilities = build().find(frame, preset)
    assert xyxy.shape == (len(faces), 4) and score.shape == (len(faces),) and probabilities.shape == (len(faces), 3)
    assert xyxy.dtype == score.dtype == np.float32
    assert (frame == before).all()
    # One pixel of what the network sees, or of the frame, whichever is larger.
    tolerance = max(1.0, max(size_wh) / PRESETS[preset].long_side)
    true = np.array([box for _, box in faces], np.float32).reshape(-1, 4)
    predicted, place = match_boxes(xyxy, true, 0.5)
    assert len(predicted) == len(faces)
    assert np.abs(xyxy[predicted] - true[place]).max(initial=0) <= tolerance
    assert probabilities[predicted].argmax(axis=1).tolist() == [faces[i][0] for i in place]
    assert (xyxy >= 0).all() and (xyxy <= [*size_wh, *size_wh]).all()


def test_a_face_that_fills_the_frame_is_left_to_the_near_look_and_small_ones_are_not(build):
    large, small = (60, 10, 500, 470), (560, 400, 600, 450)
    detector = build()
    xyxy, _, _ = detector.find(painted_frame((640, 480), [(0, large), (1, small)]), Preset("", "", 640, (256,)))
    order = np.argsort(-xyxy[:, 2])  # the small one lies to the right
    assert len(xyxy) == 2, "neither is there twice"
    assert xyxy[order[0]].tolist() == list(small), "as exactly as the larger look sees it"
    assert np.abs(xyxy[order[1]] - large).max() <= 640 / 256
    looks = [network.shapes[-1] for network in detector._networks[:2]]
    assert looks == [(1, 480, 640, 3), (1, 192, 256, 3)]


def test_small_faces_are_seen_enlarged_and_each_face_counts_once(build):
    frame = painted_frame((640, 480), [(0, (60, 60, 74, 76)), (1, (300, 100, 420, 260))])
    detector = build()
    everything = Preset("", "", 640, (256, 160), 2048)
    xyxy, _, probabilities = detector.find(frame, everything)
    assert len(xyxy) == 2 and sorted(probabilities.argmax(axis=1)) == [0, 1]
    assert [network.shapes[-1] for network in detector._networks[:4]] == [
        *((1, 480, 640, 3), (1, 192, 256, 3), (1, 128, 160, 3), (1, 736, 960, 3))
    ]


def test_likeliest_first(build):
    class TwoHeights(PaintedNetwork):
        def __call__(self, pixels_rgb):
            state, center, log_edges = super().__call__(pixels_rgb)
            center[(center > 0) & (state[..., :1] > 0)] = 4  # with a mask: surer
            return [state, center, log_edges]

    frame = painted_frame((400, 120), [(1, (20, 10, 70, 80)), (0, (300, 30, 350, 100)), (1, (150, 10, 200, 80))])
    _, score, probabilities = build(TwoHeights).find(frame)
    assert (np.diff(score) <= 0).all()
    assert probabilities.argmax(axis=1).tolist() == [0, 1, 1]


def test_a_box_that_reaches_over_the_edge_is_clipped(build):
    class TooLarge(PaintedNetwork):
        def __call__(self, pixels_rgb):
            state, center, log_edges = super().__call__(pixels_rgb)
            return [state, center, log_edges + 2]

    xyxy, _, _ = build(TooLarge).find(painted_frame((400, 120), [(1, (180, 40, 240, 100))]))
    assert xyxy.tolist() == [[0, 0, 400, 120]]


# How closely it looks


@pytest.mark.parametrize(
    ("preset", "size_wh", "expected"),
    [
        # Canvases (height, width) of the first and of the second look.
        pytest.param("fast", (4000, 2000), [(224, 448)], id="fast"),
        pytest.param("balanced", (4000, 2000), [(320, 640)], id="balanced"),
        pytest.param("thorough", (4000, 2000), [(320, 640), (960, 1920)], id="thorough, large photo"),
        pytest.param("thorough", (500, 1000), [(640, 320), (1504, 768)], id="half as large again"),
        pytest.param("thorough", (520, 390), [(480, 640), (608, 800)], id="from about 513 pixels"),
        pytest.param("thorough", (510, 390), [(512, 640)], id="a second look would show nothing new"),
        pytest.param("thorough", (40, 30), [(480, 640)], id="thorough, tiny photo"),
    ],
)
def test_a_second_look_is_for_large_photos_only(build, preset, size_wh, expected):
    detector = build()
    for network in detector._networks:
        network.shapes.clear()
    detector.find(painted_frame(size_wh, []), preset)
    looks = [[shape[1:3] for shape in network.shapes] for network in detector._networks]
    # Each look has a network of its own.
    assert looks == [expected[:1], expected[1:], [], [], []]


def test_a_face_seen_twice_is_one_face_with_its_better_score(build):
    class SurerInDetail(PaintedNetwork):
        def __call__(self, pixels_rgb):
            self.center_logit = 1.0 if pixels_rgb.shape[2] <= 640 else 3.0
            return super().__call__(pixels_rgb)

    true = [(0, (100, 200, 170, 280)), (2, (1400, 300, 1470, 380))]
    xyxy, score, _ = build(SurerInDetail).find(painted_frame((2000, 1100), true), "thorough")
    assert len(xyxy) == 2
    assert score.tolist() == pytest.approx([1 / (1 + np.exp(-3))] * 2, abs=1e-5)


def test_the_second_look_adds_small_faces_and_loses_no_large_one(build):
    class Shortsighted(PaintedNetwork):
        min_side = 10

        def __call__(self, pixels_rgb):
            maps = super().__call__(pixels_rgb)
            if pixels_rgb.shape[2] > 640:  # in detail, large faces are out of its reach
                maps[1][np.exp(maps[2]).sum(axis=-1, keepdims=True) > 60] = BACKGROUND
            return maps

    large, small = (0, (100, 200, 500, 700)), (1, (1700, 300, 1720, 324))
    frame = painted_frame((2000, 1100), [large, small])
    detector = build(Shortsighted)
    found = {preset: detector.find(frame, preset)[2].argmax(axis=1).tolist() for preset in PRESETS}
    assert found["balanced"] == [0] and sorted(found["thorough"]) == [0, 1]


@pytest.mark.parametrize(
    ("size_wh", "preset", "limit"),
    [
        pytest.param((640, 480), Preset("", "", 640), 16, id="small frame"),
        pytest.param((800, 600), Preset("", "", 640), 16, id="as large as those that the score was chosen on"),
        pytest.param((480, 1600), Preset("", "", 640), 32, id="seen at half the scale: twice the pixels"),
        pytest.param((1280, 720), Preset("", "", 640, (), 1920), 16, id="seen enlarged as the small ones are"),
        pytest.param((4000, 3000), Preset("", "", 640, (), 2000), 48, id="a large photo is not"),
    ],
)
def test_what_is_tiny_follows_from_how_the_network_sees_it(size_wh, preset, limit):
    frame = np.empty((*size_wh[::-1], 3), np.uint8)
    assert detector_module.tiny_px(frame, preset) == pytest.approx(limit)


def test_an_unknown_speed_is_named(build):
    with pytest.raises(ValueError, match=r"'quick'.*fast, balanced, thorough"):
        build().find(painted_frame((64, 48), []), "quick")


# Scores


FRAME = painted_frame((400, 120), [(1, (180, 40, 240, 100))])


def test_scores_are_calibrated(build):
    class Fixed(PaintedNetwork):
        center_logit = 0.6

    _, score, probabilities = build(Fixed, center_scale=2.0, center_offset=-1.0, temperature=1.5).find(FRAME, "fast")
    assert score.tolist() == pytest.approx([1 / (1 + np.exp(-0.2))], abs=1e-5)
    assert np.allclose(probabilities, softmax(np.array([[0, 3, 0]]) / 1.5, axis=-1), atol=1e-5)
    assert probabilities.sum() == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize(
    ("calibration", "probability"),
    [
        pytest.param({}, 1 / (1 + np.exp(-0.6)), id="none"),
        pytest.param({"center_scale": 2.0, "center_offset": -1.0}, 1 / (1 + np.exp(-0.2)), id="steeper, lower"),
        pytest.param({"center_scale": 0.5, "center_offset": 1.5}, 1 / (1 + np.exp(-1.8)), id="flatter, higher"),
    ],
)
@pytest.mark.parametrize("preset", ["fast", "thorough"])
def test_the_least_score_is_in_calibrated_units(build, calibration, probability, preset):
    class Fixed(PaintedNetwork):
        center_logit = 0.6

    detector = build(Fixed, **calibration)
    frame = painted_frame((800, 600), [(1, (180, 40, 240, 100))])
    assert len(detector.find(frame, preset, min_score=probability - 0.01)[0]) == 1
    assert len(detector.find(frame, preset, min_score=probability + 0.01)[0]) == 0


def test_each_speed_has_its_own_calibration_of_centres(build):
    class Fixed(PaintedNetwork):
        center_logit = 0.6

    detector = build(Fixed, centers={"fast": [2.0, -1.0], "another app's": [9.0, 9.0]})
    frame = painted_frame((800, 600), [(1, (180, 40, 240, 100))])
    for preset, logit in (("fast", 0.2), ("balanced", 0.6), (Preset("", "", 512), 0.6)):
        assert detector.find(frame, preset)[1] == pytest.approx([1 / (1 + np.exp(-logit))], abs=1e-5)
        if isinstance(preset, str):
            assert detector.center_map(frame, preset).max() == pytest.approx(1 / (1 + np.exp(-logit)), abs=1e-5)


@pytest.mark.parametrize(("min_score", "any_found"), [(0.0, True), (1.0, False)], ids=["0", "1"])
def test_the_ends_of_the_scale_are_allowed(build, min_score, any_found):
    assert bool(len(build().find(FRAME, min_score=min_score)[0])) == any_found


# Doubtful faces


class Closer(PaintedNetwork):
    """Gives a face one logit in the frame, and another where it is seen by itself."""

    in_frame, alone, alone_mirrored = 0.0, 4.0, 2.0

    def __call__(self, pixels_rgb):
        maps = super().__call__(pixels_rgb)
        is_alone = pixels_rgb.shape[1:3] == (96, 96)
        mirrored = is_alone and len(self.shapes) % 2 == 0
        logit = self.alone_mirrored if mirrored else self.alone if is_alone else self.in_frame
        maps[1][maps[1] > BACKGROUND] = logit
        return maps


@pytest.mark.parametrize(
    ("in_frame", "alone", "min_score", "logit"),
    [
        pytest.param(0.0, 4.0, 0.3, 1.5, id="likelier"),
        pytest.param(0.0, -4.0, 0.4, None, id="no face after all"),
        pytest.param(0.0, -4.0, 0.05, -0.5, id="less likely"),
        pytest.param(0.0, 4.0, 0.7, 1.5, id="found though it would not have been shown"),
        pytest.param(4.0, -4.0, 0.3, 4.0, id="beyond doubt"),
        pytest.param(-1.5, 4.0, 0.05, -1.5, id="not even doubtful"),
    ],
)
def test_a_doubtful_face_is_looked_at_again(build, in_frame, alone, min_score, logit):
    network = type("", (Closer,), {"in_frame": in_frame, "alone": alone})
    _, score, probabilities = build(network).find(FRAME, Preset("", "", 448, again=1), min_score)
    assert score.tolist() == pytest.approx([] if logit is None else [1 / (1 + np.exp(-logit))], abs=1e-5)
    assert (probabilities.argmax(axis=1) == 1).all()


def test_only_so_many_are_looked_at_again_and_the_order_is_right_after_that(build):
    class LeftIsLikelier(Closer):
        alone = alone_mirrored = -4.0

        def __call__(self, pixels_rgb):
            maps = super().__call__(pixels_rgb)
            if pixels_rgb.shape[1:3] != (96, 96):
                maps[1][maps[1] > BACKGROUND] -= 0.1 * np.arange((maps[1] > BACKGROUND).sum())
            return maps

    frame = painted_frame((640, 480), [(0, (40, 40, 80, 80)), (1, (240, 40, 280, 80)), (2, (440, 40, 480, 80))])
    detector = build(LeftIsLikelier)
    logits = np.array([0.0, -0.1, -0.2])
    for again in range(4):
        _, score, probabilities = detector.find(frame, Preset("", "", 640, again=again), 0.1)
        lower = [*logits[again:], *(logits[:again] - 4) / 2]
        assert score.tolist() == pytest.approx([1 / (1 + np.exp(-logit)) for logit in lower], abs=1e-5)
        assert probabilities.argmax(axis=1).tolist() == [*range(again, 3), *range(again)]


# The map of centres


@pytest.mark.parametrize(
    ("size_wh", "preset", "shape"),
    [
        pytest.param((400, 100), "fast", (28, 112), id="wide"),
        pytest.param((100, 400), "fast", (112, 28), id="tall"),
        pytest.param((640, 360), "balanced", (90, 160), id="a quarter of the side"),
        pytest.param((3000, 1000), "thorough", (160, 480), id="as the closest look sees it"),
        pytest.param((1000, 2), "balanced", (1, 160), id="a line"),
    ],
)
def test_the_map_covers_the_frame_and_nothing_beyond(build, size_wh, preset, shape):
    heat = build().center_map(painted_frame(size_wh, []), preset)
    assert heat.shape == shape and heat.dtype == np.float32
    assert np.allclose(heat, 1 / (1 + np.exp(-BACKGROUND)), atol=1e-5)


def test_the_map_is_high_where_the_face_is_and_calibrated(build):
    heat = build(center_scale=2.0, center_offset=-1.0).center_map(painted_frame((640, 360), [(0, (520, 40, 560, 90))]))
    assert np.unravel_index(heat.argmax(), heat.shape) == (16, 135)  # the middle (540, 65) in cells of four pixels
    assert heat.max() == pytest.approx(1 / (1 + np.exp(-3)), abs=1e-5)
    assert (heat > 0.5).sum() == 1


# Threads


def test_many_threads_share_one_detector(build):
    class Interpreter(PaintedNetwork):
        """Keeps its input between two calls, as the real one does."""

        def __call__(self, pixels_rgb):
            self.input = pixels_rgb
            time.sleep(0.002)
            return super().__call__(self.input)

    detector = build(Interpreter)
    boxes = [(10 + 12 * i, 10 + 5 * i, 60 + 12 * i, 70 + 5 * i) for i in range(4)]
    frames = [painted_frame((520, 390), [(i % 3, box)]) for i, box in enumerate(boxes)]
    expected = [detector.find(frame, "thorough") for frame in frames]
    start = threading.Barrier(4)

    def work(i):
        start.wait()
        for _ in range(3):
            for got, wanted in zip(detector.find(frames[i], "thorough"), expected[i], strict=True):
                assert got.shape == wanted.shape and np.allclose(got, wanted)

    with ThreadPoolExecutor(4) as pool:
        for done in [pool.submit(work, i) for i in range(4)]:
            done.result()


# What cannot be used


class OtherStride(PaintedNetwork):
    def __call__(self, pixels_rgb):
        return [m[:, ::2, ::2] for m in super().__call__(pixels_rgb)]


class Transposed(PaintedNetwork):
    def __call__(self, pixels_rgb):
        return [m.transpose(0, 2, 1, 3) for m in super().__call__(pixels_rgb)]


class FiveStates(PaintedNetwork):
    def __call__(self, pixels_rgb):
        state, center, log_edges = super().__call__(pixels_rgb)
        return [np.concatenate([state, state[..., :2]], axis=-1), center, log_edges]


class NoEdges(PaintedNetwork):
    def __call__(self, pixels_rgb):
        return super().__call__(pixels_rgb)[:2]


class Verdicts(PaintedNetwork):
    def __call__(self, pixels_rgb):
        return [np.zeros((1, 2), np.float32)]


class OfOneSize(PaintedNetwork):
    def __call__(self, pixels_rgb):
        raise RuntimeError("tensor 0 cannot be resized")


@pytest.mark.parametrize(
    ("network", "sentence"),
    [
        pytest.param(OtherStride, r"door\.tflite gives maps .*\(8, 12, 1\).*expected .*\(16, 24, 1\)", id="stride 8"),
        pytest.param(Transposed, r"gives maps .*\(24, 16, 1\)", id="height and width exchanged"),
        pytest.param(FiveStates, r"door\.tflite loads but cannot be run", id="five states"),
        pytest.param(NoEdges, r"gives maps of the shapes \[\(16, 24, 1\), \(16, 24, 3\)\]", id="two maps only"),
        pytest.param(Verdicts, "cannot be run", id="a classifier's outputs"),
        pytest.param(OfOneSize, r"cannot be run \(tensor 0", id="of one size only"),
    ],
)
def test_a_model_with_other_outputs_is_refused_when_it_is_loaded(build, network, sentence):
    with pytest.raises(ModelError, match=sentence):
        build(network)


def test_a_classifier_is_not_taken_for_a_detector():
    with pytest.raises(ModelError, match=f"{DEFAULT_CLASSIFIER} is a classifier, not a detector"):
        load_detector(DEFAULT_CLASSIFIER)
    # Nor if its card claims so.
    (file,) = MODELS_DIR.glob(f"{DEFAULT_CLASSIFIER}-*.tflite")
    with pytest.raises(ModelError, match=r"cannot be run|gives maps"):
        MaskDetector(CARD, file)


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        pytest.param(None, "missing", id="no file"),
        pytest.param(b"", "not a usable LiteRT model", id="empty"),
        pytest.param(b"\x1c\0\0\0TFL3" + b"\xff" * 400, "not a usable LiteRT model", id="broken"),
    ],
)
def test_a_bad_model_file_gets_a_sentence(tmp_path, content, sentence):
    if content is not None:
        (tmp_path / "door.tflite").write_bytes(content)
    with pytest.raises(ModelError, match=sentence):
        MaskDetector(CARD, tmp_path / "door.tflite")


def save_model(folder, **change):
    """A card with its file in a folder; a change to a value of a table is given as ``table__name``."""
    (folder / "door.tflite").write_bytes(b"painted")
    replace(CARD, sha256=file_sha256(folder / "door.tflite")).save(folder / "door.json")
    raw = json.loads((folder / "door.json").read_text())
    for name, value in change.items():
        table, _, entry = name.partition("__")
        if entry:
            raw[table] |= {entry: value}
        else:
            raw[table] = value
    (folder / "door.json").write_text(json.dumps(raw))


def test_a_model_is_loaded_by_its_name(tmp_path, monkeypatch):
    monkeypatch.setattr(detector_module, "Network", PaintedNetwork)
    save_model(tmp_path)
    detector = load_detector("door", tmp_path)
    assert len(detector.find(FRAME)[0]) == 1
    assert detector.card.face_scores == {"photo": 0.3, "live": 0.5}


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        pytest.param({"kind": "classifier", "output": "logits"}, "is a classifier, not a detector", id="other kind"),
        pytest.param({"kind": "tracker"}, "tracker", id="unknown kind"),
        pytest.param({"output": "logits"}, "logits", id="a classifier's output"),
        pytest.param({"face_scores": {"photo": 0.3}}, r"no number 'live' in 'face_scores'", id="no score for live"),
        pytest.param({"face_scores": [0.3, 0.5]}, "face_scores", id="scores are a list"),
        pytest.param({"calibration": {}}, "no number 'center_offset' in 'calibration'", id="no calibration"),
        pytest.param({"calibration__center_scale": "2"}, "center_scale", id="scale is text"),
        pytest.param({"calibration__center_offset": None}, "center_offset", id="offset is nothing"),
        pytest.param({"calibration__centers": {"fast": [1]}}, "two numbers by preset", id="one number for a preset"),
        pytest.param({"calibration__centers": {"fast": [1, "0"]}}, "two numbers", id="a preset's offset is text"),
        pytest.param({"calibration__centers": 3}, "two numbers by preset", id="centers are a number"),
        pytest.param({"calibration__temperature": 0}, "temperature above 0", id="temperature 0"),
        pytest.param({"classes": ["with_mask", "without_mask"]}, "all three classes", id="two classes"),
        pytest.param({"classes": list(CLASS_NAMES[::-1])}, "all three classes", id="classes in another order"),
        pytest.param({"sha256": "0" * 64}, "not the file that its card describes", id="another file"),
        pytest.param({"file": "gone.tflite"}, "gone.tflite is missing", id="no file"),
    ],
)
def test_a_model_that_does_not_fit_its_card_is_refused(tmp_path, change, sentence):
    save_model(tmp_path, **change)
    with pytest.raises(ModelError, match=sentence):
        load_detector("door", tmp_path)


def test_a_missing_model_says_what_to_do(tmp_path):
    with pytest.raises(ModelError, match="train"):
        load_detector("door", tmp_path)
