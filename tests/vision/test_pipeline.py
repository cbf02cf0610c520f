from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from core.synthetic.sample import SAMPLE_FACE_XYXY, sample_photo
from core.vision.boxes import overlaps
from core.vision.classes import CLASS_NAMES, WITH_MASK, WITHOUT_MASK, vocabulary
from core.vision.crops import resize
from core.vision.detections import classes_of, hidden_faces, make_detections, no_detections
from core.vision.pipeline import (
    LIVE_SETTINGS,
    PHOTO_SETTINGS,
    PIPELINES,
    CombinedPipeline,
    DetectionSettings,
    Method,
    build_pipeline,
    detect_masks,
    method_version,
    models_of,
)
from tests.people import five_people


@pytest.fixture(scope="module", params=PIPELINES)
def pipeline(request):
    return build_pipeline(request.param)


def test_the_sample_is_classified_right(pipeline):
    for masked, class_id in ((False, 1), (True, 0)):
        frame = sample_photo(masked)
        before = frame.copy()
        found = detect_masks(frame, pipeline)
        assert found.class_id.tolist() == [class_id]
        assert found.confidence[0] > 0.8
        assert 0 <= found.data["face_score"][0] <= 1
        assert found.data["class_name"].tolist() == [CLASS_NAMES[class_id]]
        probabilities = found.data["probabilities"]
        assert probabilities.shape == (1, 3) and probabilities.dtype == np.float32
        assert probabilities.sum() == pytest.approx(1, abs=1e-4)
        assert probabilities[0, class_id] == found.confidence[0]
        assert all(probabilities[0, i] == 0 for i, name in enumerate(CLASS_NAMES) if name not in pipeline.classes)
        x1, y1, x2, y2 = found.xyxy[0]
        middle = (x1 + x2) / 2, (y1 + y2) / 2
        assert SAMPLE_FACE_XYXY[0] < middle[0] < SAMPLE_FACE_XYXY[2]
        assert SAMPLE_FACE_XYXY[1] < middle[1] < SAMPLE_FACE_XYXY[3]
        assert (frame == before).all()


@pytest.mark.parametrize("shape", [(1, 1), (3, 900), (900, 3), (480, 640)], ids=str)
def test_a_frame_without_a_face_gives_no_detections_of_the_right_kind(pipeline, shape):
    found = detect_masks(np.full((*shape, 3), 120, np.uint8), pipeline)
    assert found.xyxy.shape == (0, 4) and found.data["face_score"].shape == (0,)
    assert found.data["probabilities"].shape == (0, 3) and classes_of(found) == CLASS_NAMES


def test_boxes_lie_within_the_frame(pipeline):
    x1, y1, x2, y2 = SAMPLE_FACE_XYXY
    cut = np.ascontiguousarray(sample_photo(False)[y1 - 8 : y2 + 4, x1 - 4 : x2 + 4])
    found = detect_masks(cut, pipeline)
    height, width = cut.shape[:2]
    assert (
        (found.xyxy >= 0).all() and (found.xyxy[:, [0, 2]] <= width).all() and (found.xyxy[:, [1, 3]] <= height).all()
    )


@pytest.mark.parametrize(
    "frame",
    [
        pytest.param(np.zeros((10, 10), np.uint8), id="grey"),
        pytest.param(np.zeros((10, 10, 4), np.uint8), id="four channels"),
        pytest.param(np.zeros((10, 10, 3), np.float32), id="float"),
        pytest.param(np.zeros((0, 10, 3), np.uint8), id="no rows"),
        pytest.param(None, id="nothing, as OpenCV gives for a missing file"),
        pytest.param([[1, 2, 3]], id="a list"),
    ],
)
def test_what_is_no_frame_stops_at_once(frame):
    with pytest.raises(ValueError, match="A frame must"):
        detect_masks(frame, lambda frame, settings: no_detections())


def three_faces(frame, settings):
    return make_detections(
        [[60, 0, 90, 40], [0, 0, 100, 90], [90, 0, 110, 90]], [0, 1, 0], [0.9, 0.6, 0.99], [0.5, 0.5, 0.5]
    )


three_faces.face_scores = {"photo": 0.4, "live": 0.6}


@pytest.mark.parametrize(
    ("settings", "sizes", "hidden"),
    [
        pytest.param(DetectionSettings(), [90, 30, 20], 0, id="defaults: every face, from left to right"),
        pytest.param(DetectionSettings(min_face_px=20), [90, 30, 20], 0, id="the limit itself is large enough"),
        pytest.param(DetectionSettings(min_face_px=24), [90, 30], 1, id="larger ones only"),
        pytest.param(DetectionSettings(min_face_px=500), [], 3, id="none is large enough"),
        pytest.param(DetectionSettings(use="live"), [], 0, id="live: the pipeline's stricter limit"),
        pytest.param(DetectionSettings(use="live", min_face_score=0.5), [90, 30, 20], 0, id="a limit of one's own"),
        pytest.param(DetectionSettings(min_face_score=0.6), [], 0, id="none is likely enough"),
        pytest.param(DetectionSettings(min_face_score=0.6, min_face_px=50), [], 0, id="unlikely ones are not hidden"),
    ],
)
def test_settings_hold_for_every_pipeline(settings, sizes, hidden):
    found = detect_masks(np.zeros((100, 120, 3), np.uint8), three_faces, settings)
    assert [min(x2 - x1, y2 - y1) for x1, y1, x2, y2 in found.xyxy.tolist()] == sizes
    assert found.data["face_score"].shape == (len(sizes),) and hidden_faces(found) == hidden


@pytest.mark.parametrize(
    ("settings", "sizes"),
    [
        pytest.param(DetectionSettings(), [40, 15], id="a tiny face must be surer"),
        pytest.param(DetectionSettings(use="live"), [40], id="as the use says"),
        pytest.param(DetectionSettings(min_face_score=0.3), [40, 15, 15], id="a limit of one's own holds for all"),
    ],
)
def test_tiny_faces_have_a_score_of_their_own(settings, sizes):
    def tiny_and_large(frame, settings):
        return make_detections(
            [[0, 0, 40, 40], [50, 0, 65, 20], [80, 0, 95, 20]], [0, 0, 0], [0.9] * 3, [0.5, 0.8, 0.7]
        )

    tiny_and_large.face_scores = {"photo": 0.4, "live": 0.4}
    tiny_and_large.tiny_face_scores = {"photo": {"balanced": 0.75}, "live": {"balanced": 0.85}}
    found = detect_masks(np.zeros((100, 120, 3), np.uint8), tiny_and_large, settings)
    assert [min(x2 - x1, y2 - y1) for x1, y1, x2, y2 in found.xyxy.tolist()] == sizes


def test_a_face_whose_class_is_not_sure_is_kept_without_a_prediction():
    assert LIVE_SETTINGS.min_face_px == PHOTO_SETTINGS.min_face_px == 0
    frame = np.zeros((100, 120, 3), np.uint8)
    found = detect_masks(frame, three_faces, DetectionSettings(min_confidence=0.8))
    assert found.data["predicted"].tolist() == [False, True, True]
    assert found.class_id.tolist() == [1, 0, 0], "the likeliest class stays known"
    assert found.confidence.tolist() == pytest.approx([0.6, 0.9, 0.99])
    assert detect_masks(frame, three_faces, DetectionSettings(min_confidence=0.6)).data["predicted"].all()


def test_the_cascade_looks_for_no_smaller_faces_than_its_own_limit():
    x1, _, x2, _ = SAMPLE_FACE_XYXY
    classic = build_pipeline("classic")

    def found(face_px, settings):
        side = round(512 * face_px / (x2 - x1))
        frame = np.full((480, 640, 3), 90, np.uint8)
        frame[100 : 100 + side, 100 : 100 + side] = resize(sample_photo(False), (side, side))
        return detect_masks(frame, classic, settings)

    assert len(found(60, LIVE_SETTINGS)) == len(found(40, DetectionSettings())) == 1
    small = found(40, LIVE_SETTINGS)
    assert not len(small) and not hidden_faces(small), "what was not looked for is not hidden"
    assert hidden_faces(found(60, replace(LIVE_SETTINGS, min_face_px=100))) == 1, "the person's limit holds too"


def test_an_unknown_pipeline_is_refused_by_name():
    with pytest.raises(ValueError, match=r"'best'.*classic"):
        build_pipeline("best")
    with pytest.raises(ValueError, match="no model card"):
        build_pipeline("classic", "nobody")


def test_the_cascades_boxes_over_the_edge_are_clipped(monkeypatch):
    classic = build_pipeline("classic")
    over = np.array([[-20, -30, 60, 70], [100, 10, 190, 130]], np.float32), np.array([0.9, 0.9], np.float32)
    monkeypatch.setattr(classic, "find_faces", lambda *args: over)
    found = detect_masks(np.zeros((120, 160, 3), np.uint8), classic)
    assert sorted(found.xyxy.tolist()) == [[0, 0, 60, 70], [100, 10, 160, 120]]


class Told:
    """A detector or a classifier that says what the test tells it of three faces."""

    def __init__(self, states=None, classes=None, probabilities=None):
        self.card = SimpleNamespace(
            classes=classes, face_scores={"photo": 0.3}, tiny_face_scores={}, input_size=32, margin=0.1
        )
        self.states, self.classes = states, vocabulary(classes) if classes else None
        self.table, self.batches = probabilities, []

    def find(self, frame_bgr, preset, min_score):
        assert (preset, min_score) == ("fast", 0.3)
        boxes = np.array([[10 * i, 5, 10 * i + 30, 45] for i in range(len(self.states))], np.float32).reshape(-1, 4)
        return boxes, np.full(len(boxes), 0.9, np.float32), np.array(self.states, np.float32).reshape(-1, 3)

    def predict(self, frame_bgr, xyxy):
        self.batches.append(len(xyxy))
        classified = np.zeros((len(xyxy), len(self.classes)), np.float32)
        classified[:, [self.classes.index(name) for name in self.card.classes]] = self.table
        return classified


STATES = [[0.9, 0.1, 0.0], [0.2, 0.2, 0.6], [0.1, 0.8, 0.1]]


@pytest.mark.parametrize(
    ("classes", "classified", "known", "names", "confidence"),
    [
        pytest.param(
            *(CLASS_NAMES[:2], [[0.2, 0.8], [0.9, 0.1], [1, 0]], CLASS_NAMES),
            *([1, 2, 0], [0.8, 0.6, 0.9]),
            id="two classes: the detector's third prediction stays, the classifier decides the others",
        ),
        pytest.param(
            *(CLASS_NAMES[1::-1], [[0.2, 0.8], [0.9, 0.1], [1, 0]], CLASS_NAMES),
            *([0, 2, 1], [0.8, 0.6, 0.9]),
            id="in whatever order it knows them",
        ),
        pytest.param(
            *(CLASS_NAMES, [[0.2, 0.8, 0], [0.9, 0.1, 0], [0, 0, 1]], CLASS_NAMES),
            *([1, 0, 2], [0.8, 0.9, 1.0]),
            id="three classes: the classifier alone",
        ),
        pytest.param(
            *(("helmet", "cap"), [[0.2, 0.8], [0.9, 0.1], [1, 0]], ("helmet", "cap")),
            *([1, 0, 0], [0.8, 0.9, 1.0]),
            id="others: the classifier alone",
        ),
    ],
)
def test_the_detector_finds_and_the_classifier_classifies(classes, classified, known, names, confidence):
    classifier = Told(classes=classes, probabilities=classified)
    combined = CombinedPipeline(Told(STATES), classifier)
    assert set(combined.classes) == set(known)
    frame = np.zeros((60, 90, 3), np.uint8)
    found = detect_masks(frame, combined, DetectionSettings(preset="fast"))
    assert found.class_id.tolist() == names and classifier.batches == [3], "all faces in one call"
    assert found.confidence == pytest.approx(confidence, abs=1e-6)
    assert found.data["class_name"].tolist() == [classes_of(found)[i] for i in names]
    assert found.data["probabilities"].shape == (3, len(known))
    assert found.data["probabilities"].sum(axis=1) == pytest.approx(1, abs=1e-6)
    assert found.data["probabilities"][np.arange(3), found.class_id].tolist() == found.confidence.tolist()


def test_no_face_is_nothing_to_classify():
    classifier = Told(classes=("helmet", "cap"), probabilities=[])
    found = detect_masks(
        np.zeros((60, 90, 3), np.uint8), CombinedPipeline(Told([]), classifier), DetectionSettings(preset="fast")
    )
    assert not len(found) and not classifier.batches and classes_of(found) == ("helmet", "cap")


def test_the_version_of_a_method_follows_all_its_models(tmp_path):
    for name in ("mine", "mask-detector"):
        (tmp_path / f"{name}.json").write_text(name)
    method = Method("combined", "mine")
    assert models_of(method) == ["mine", "mask-detector"] and models_of(Method("classic", "mine")) == ["mine"]
    versions = {method_version(method, tmp_path)}
    for name in ("mine", "mask-detector"):
        (tmp_path / f"{name}.json").write_text("other")
        versions.add(method_version(method, tmp_path))
    assert len(versions) == 3
    (tmp_path / "mine.json").unlink()
    assert method_version(method, tmp_path) == ""


SIZES_PX = (24, 40, 80, 160, 320, 448)


@pytest.mark.parametrize("masked", [False, True], ids=["bare", "masked"])
@pytest.mark.parametrize("face_px", SIZES_PX)
def test_the_network_finds_the_samples_face_at_every_size(face_px, masked):
    """From 24 px up to a face that fills the whole of a 640×480 frame."""
    x1, y1, x2, y2 = SAMPLE_FACE_XYXY
    zoom = face_px / (x2 - x1)
    photo = sample_photo(masked)
    photo = resize(photo, tuple(max(1, round(side * zoom)) for side in photo.shape[1::-1]))
    frame = np.full((480, 640, 3), 90, np.uint8)
    middle = np.array([(x1 + x2) / 2, (y1 + y2) / 2]) * zoom
    left, top = (np.array([320, 240]) - middle).astype(int)
    # The part of the enlarged photo that lies in the frame.
    source = photo[max(0, -top) : 480 - top, max(0, -left) : 640 - left]
    frame[max(0, top) : max(0, top) + source.shape[0], max(0, left) : max(0, left) + source.shape[1]] = source
    truth = (np.array(SAMPLE_FACE_XYXY) * zoom + [left, top, left, top]).clip(0, [640, 480, 640, 480])
    found = detect_masks(frame, build_pipeline("neural"), DetectionSettings(min_face_px=16))
    iou = overlaps(found.xyxy, truth[None]).ravel()
    assert len(iou) and iou.max() > 0.5, f"found {found.xyxy.round()}, the face is at {truth.round()}"
    assert found.class_id[iou.argmax()] == (WITH_MASK if masked else WITHOUT_MASK)


def test_the_live_page_finds_people_from_far_away_to_near():
    frame, faces = five_people()
    found = detect_masks(frame, build_pipeline("neural"), LIVE_SETTINGS)
    iou = overlaps(found.xyxy, faces)
    assert len(found) == len(faces) == 5 and (iou.max(axis=0) > 0.5).all(), found.xyxy.round()


def test_a_face_that_is_the_whole_picture_is_found():
    x1, y1, x2, y2 = SAMPLE_FACE_XYXY
    for masked, class_id in ((False, WITHOUT_MASK), (True, WITH_MASK)):
        found = detect_masks(np.ascontiguousarray(sample_photo(masked)[y1:y2, x1:x2]), build_pipeline("neural"))
        assert found.class_id[:1].tolist() == [class_id]
        assert overlaps(found.xyxy[:1], [[0, 0, x2 - x1, y2 - y1]])[0, 0] > 0.5
