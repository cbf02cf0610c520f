import io
import zipfile

import pytest

from core.language import using
from core.synthetic.sample import SAMPLE_FACE_XYXY
from core.turns import Turns
from core.vision.images import ImageError
from core.vision.photos import PhotoSet, jpeg_name
from core.vision.pipeline import DetectionSettings, detect_masks
from tests.helpers import StubPipeline, peak_megabytes, picture_bytes


def file(name, data=None, reads=None):
    def read():
        if reads is not None:
            reads.append(name)
        return picture_bytes(size_wh=(300, 300)) if data is None else data

    return name, f"{name}.png", read


def test_photos_are_classified_once_per_setting_and_forgotten_when_removed():
    photos, detect = PhotoSet(), StubPipeline()
    reads = []
    first, second = photos.show([file("a", reads=reads), file("b", reads=reads)])
    done = []
    photos.classify(detect, "settings", lambda *step: done.append(step[:2]))
    assert detect.calls == 2 and done == [(1, 2), (2, 2)]
    assert len(first.detections) == len(second.detections) == 1
    photos.classify(detect, "settings")
    assert detect.calls == 2
    photos.classify(detect, "other settings")
    assert detect.calls == 4 and reads == ["a", "b"], "decoded once"
    (again,) = photos.show([file("b", reads=reads)])
    assert again is second
    (new,) = photos.show([file("a", reads=reads)])
    assert new is not first and new.detections is None
    photos.classify(detect, "other settings")
    assert reads == ["a", "b", "a"], "the pixels of a removed photo were not kept"


def test_a_failure_costs_one_photo_alone(caplog):
    def detect(image):
        if image.frame_bgr.shape[0] == 77:
            raise RuntimeError("out of luck")
        return StubPipeline()(image)

    photos = PhotoSet()
    shown = photos.show(
        [file("broken", b"no"), file("bad", picture_bytes(size_wh=(300, 77))), file("good"), file("empty", b"")]
    )
    photos.classify(detect, 1)
    assert "not an image" in shown[0].problem and "could not be classified" in shown[1].problem
    assert not shown[2].problem and len(shown[2].detections) == 1
    assert "empty" in shown[3].problem
    assert "out of luck" in caplog.text and "luck" not in shown[1].problem
    photos.classify(detect, 1)  # what is broken is not tried again and again
    assert caplog.text.count("could not be classified") == 1
    with pytest.raises(ImageError):
        photos.image(shown[0])


def test_a_large_photo_is_reduced_and_its_boxes_are_those_of_the_whole():
    photos, seen = PhotoSet(), []
    (photo,) = photos.show([file("large", picture_bytes("L", (4000, 3000), "JPEG"))])

    def detect(image):
        seen.append(image.frame_bgr.shape[1::-1])
        return detect_masks(image.frame_bgr, StubPipeline(), DetectionSettings(min_face_px=100), image.size_wh)

    photos.classify(detect, 1)
    (box,) = photo.detections.xyxy.tolist()
    assert seen == [(2000, 1500)] and box == [2 * side for side in SAMPLE_FACE_XYXY]
    photos.classify(detect, 2, whole=True)
    assert seen[1:] == [(4000, 3000)]
    assert photo.whole().shape == (3000, 4000, 3)


def test_a_photo_is_turned_by_a_person_or_where_its_faces_are_upright():
    photos, asked = PhotoSet(), []
    (photo,) = photos.show([file("a", picture_bytes(size_wh=(400, 300)))])
    shapes = []

    def detect(image):
        shapes.append((image.frame_bgr.shape[1::-1], image.size_wh))
        return StubPipeline()(image)

    def other_turn(image, found):
        asked.append(len(found))
        return 3

    photos.classify(detect, 1, other_turn=other_turn)
    assert asked == [1] and photo.turned == 3 and photo.found_turned
    assert shapes == [((400, 300), (400, 300)), ((300, 400), (300, 400))]
    photos.classify(detect, 2, other_turn=other_turn)
    assert asked == [1], "once"
    photo.turn()
    photos.classify(detect, 2, other_turn=other_turn)
    assert photo.turned == 0 and not photo.found_turned and asked == [1]
    assert shapes[3:] == [((400, 300), (400, 300))]
    photo.turn()
    assert photo.whole().shape == (400, 300, 3)


def test_a_waiting_visitor_is_told_their_place():
    turns, places = Turns(1), []
    photos = PhotoSet(turns)
    (photo,) = photos.show([file("a")])

    class LeftError(BaseException):
        pass

    def leave(before):
        places.append(before)
        raise LeftError

    with turns.turn(), pytest.raises(LeftError):
        photos.classify(StubPipeline(), 1, waiting=leave)
    assert places == [1] and photo.classified_with is None
    photos.classify(StubPipeline(), 1, waiting=leave)
    assert photo.classified_with == 1


def test_another_way_of_classifying_is_kept_beside_the_predictions():
    photo_set = PhotoSet()
    (photo,) = photo_set.show([("a", "a.png", picture_bytes)])
    photo_set.classify(StubPipeline(0), "own")
    other = StubPipeline(1)
    found, elapsed_ms = photo_set.compare(photo, other, "other")
    assert found.class_id.tolist() == [1] and elapsed_ms >= 0
    photo_set.compare(photo, other, "other")
    assert other.calls == 1, "classified once"
    assert photo.detections.class_id.tolist() == [0], "its own predictions stay"
    photo_set.compare(photo, other, "other settings")
    assert other.calls == 2


def test_the_photo_that_is_looked_at_comes_first_and_a_slice_ends():
    photos, seen = PhotoSet(), []
    a, b, c = photos.show(file(name) for name in "abc")
    steps = []
    photos.classify(StubPipeline(), 1, lambda *step: steps.append(step), first="b", seconds=0)
    assert [photo.classified_with for photo in (a, b, c)] == [None, 1, None]
    assert [photo.key for photo in photos.todo(1)] == ["a", "c"]
    (step,) = steps
    assert step[:2] == (1, 3) and step[2] > 0, "seconds for the two that are left"
    photos.classify(StubPipeline(), 1, lambda *step: seen.append(step[:2]))
    assert seen == [(2, 3), (3, 3)]


@pytest.mark.parametrize("name", ["../../etc/passwd", "..", "/abs", "C:\\x.png", "a\0b", "äöü 😷.jpg", ""])
def test_no_name_leads_out_of_the_zip(name):
    made = jpeg_name(name)
    assert made.lower().endswith(".jpg") and not {"/", "\\", "\0"} & set(made)


def test_the_zip_is_of_the_moment_when_it_was_asked_for():
    photos = PhotoSet()
    _, second = photos.show([file("a"), file("b")])
    photos.classify(StubPipeline(), 1)
    photos.chosen, photos.blur = ("a", "b", "gone"), True
    parts = photos.zip_file()
    data = next(parts)
    photos.blur, photos.chosen = False, ()
    second.turn()
    photos.show([])
    data += b"".join(parts)
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        assert archive.namelist() == ["a.png.jpg", "b.png.jpg"]
        both = [archive.read(name) for name in archive.namelist()]
    assert both[0] == both[1], "the second is blurred as well"


def test_a_photo_that_cannot_be_annotated_any_more_costs_no_other(caplog):
    photos, files = PhotoSet(), {"a": picture_bytes(size_wh=(300, 300)), "b": picture_bytes(size_wh=(300, 300))}
    photos.show((key, f"{key}.png", lambda key=key: files[key]) for key in files)
    photos.classify(StubPipeline(), 1)
    photos.chosen, files["a"] = ("a", "b"), b""
    with zipfile.ZipFile(io.BytesIO(b"".join(photos.zip_file()))) as archive:
        assert archive.namelist() == ["b.png.jpg"]
    assert "could not be annotated" in caplog.text


def test_the_zip_speaks_the_language_of_its_page_and_files_are_judged_anew_in_another():
    photos, shown = PhotoSet(), [file("a"), file("b", b"rubbish")]
    with using("fr"):
        photo, broken = photos.show(shown)
        photos.classify(StubPipeline(), 1)
        french = photos.annotated(photo)
        assert broken.problem.startswith("Ce fichier n’est pas une image")
    assert photos.annotated(photo) != french, "its label is another"
    photos.chosen = ("a",)
    with zipfile.ZipFile(io.BytesIO(b"".join(photos.zip_file()))) as archive:  # the server's route knows no visitor
        assert archive.read("a.png.jpg") == french
    photos.show(shown)
    photos.classify(StubPipeline(), 1)
    assert broken.problem.startswith("This file is not an image")
    assert photos.todo(1) == []


def test_five_hundred_photos_take_little_memory_beyond_their_files():
    prepare = """
import cv2
from core.synthetic.sample import sample_photo
from core.vision.images import DecodedImages, encode_image
from core.vision.photos import PhotoSet
from tests.helpers import StubPipeline
files = [encode_image(cv2.resize(sample_photo(False), (200, 100 + k))) for k in range(20)]
photos = PhotoSet()
photos._decoded = DecodedImages(0.1)  # megapixels
"""
    code = """
photos.show((str(k), f"{k}.jpg", lambda k=k: files[k % 20]) for k in range(500))
photos.classify(StubPipeline(), 1)
photos.chosen, photos.blur = tuple(map(str, range(500))), True
assert sum(len(part) for part in photos.zip_file()) > 2_000_000
"""
    assert peak_megabytes(prepare, code) < 9  # 65 kB of pixels each would be 33, annotated files 4 more
