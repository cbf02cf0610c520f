from functools import cache

import cv2
import numpy as np
import pytest

import core.synthetic.eyes
from core.synthetic.eyes import find_pose
from core.synthetic.fabric import CUTS, PATTERNS
from core.synthetic.lighting import blurred, shade
from core.synthetic.preview import COLOR_TITLES, draw_variants, make_portrait
from core.synthetic.render import MASK_KINDS, WEARING, put_on
from core.synthetic.sample import sample_photo
from core.vision.classes import CLASS_NAMES
from core.vision.crops import resize
from core.vision.detector import load_detector

# As the detector sees the sample's face; its eyes and more, read off the picture.
FACE = np.array([182.0, 65.1, 269.5, 175.6])
LEFT_EYE, RIGHT_EYE, NOSE, MOUTH, FOREHEAD = (202, 101), (247, 104), (223, 132), (223, 152), (225, 75)
TILT_DEG = 3.7


@cache
def sample_pose():
    return find_pose(sample_photo(False), FACE)


def masked(kind="surgical_blue", wearing="well", seed=0, color=None):
    return put_on(sample_photo(False), sample_pose(), kind, wearing, np.random.default_rng(seed), color)


def is_covered(frame, place, reach=2):
    x, y = place
    area = np.s_[y - reach : y + reach + 1, x - reach : x + reach + 1]
    return bool((frame[area].astype(int) - sample_photo(False)[area]).any(axis=2).all())


# The pose


@pytest.mark.parametrize("face_px", [36, 60, 88, 320], ids=lambda px: f"{px} px")
@pytest.mark.parametrize("turn_deg", [0, -20, 32], ids=lambda deg: f"turned by {deg}")
def test_eyes_are_found_at_every_size_and_tilt(face_px, turn_deg):
    scale = face_px / 87.5
    # (rows, columns) cut so that the picture is not square
    photo = resize(sample_photo(False)[:400], (round(512 * scale), round(400 * scale)))
    center = (FACE[:2] + FACE[2:]) / 2 * scale
    turn = cv2.getRotationMatrix2D(center.tolist(), -turn_deg, 1)  # clockwise
    photo = cv2.warpAffine(photo, turn, photo.shape[1::-1], borderMode=cv2.BORDER_REPLICATE)
    half = (FACE[2:] - FACE[:2]) / 2 * scale
    reach = np.sqrt(turn[:, :2] ** 2 @ half**2)  # of an ellipse that leans
    pose = find_pose(photo, [*(center - reach), *(center + reach)])
    assert pose.source == "eyes"
    assert pose.size_wh == pytest.approx(2 * half, rel=0.12)
    assert pose.tilt_deg == pytest.approx(TILT_DEG + turn_deg, abs=4)
    for eye, expected in ((pose.left_eye, LEFT_EYE), (pose.right_eye, RIGHT_EYE)):
        assert eye == pytest.approx(turn @ [*np.multiply(expected, scale), 1], abs=0.05 * face_px)


def test_a_mirrored_face_leans_the_other_way():
    mirrored = sample_photo(False)[:, ::-1].copy()
    pose = find_pose(mirrored, [512 - FACE[2], FACE[1], 512 - FACE[0], FACE[3]])
    assert pose.tilt_deg == pytest.approx(-TILT_DEG, abs=2)


@pytest.mark.parametrize(
    ("photo", "box"),
    [
        pytest.param(np.full((200, 300, 3), 128, np.uint8), (100, 40, 180, 150), id="nothing to see"),
        pytest.param(np.zeros((50, 300, 3), np.uint8), (-40, -90, 60, 40), id="mostly outside"),
        pytest.param(np.zeros((50, 300, 3), np.uint8), (400, 400, 500, 520), id="wholly outside"),
        pytest.param(sample_photo(False), (200, 90, 220, 115), id="too small"),
    ],
)
def test_without_eyes_the_box_tells_where_they_are(photo, box):
    pose = find_pose(photo, box)
    x1, y1, x2, y2 = box
    assert (pose.source, pose.tilt_deg) == ("box", 0)
    assert pose.center == ((x1 + x2) / 2, (y1 + y2) / 2) and pose.size_wh == (x2 - x1, y2 - y1)
    assert x1 < pose.left_eye[0] < pose.center[0] < pose.right_eye[0] < x2
    assert y1 < pose.left_eye[1] < pose.center[1]


def test_without_opencvs_eye_cascades_the_box_is_used(monkeypatch):
    monkeypatch.setattr(core.synthetic.eyes, "_eye_cascades", list)
    assert find_pose(sample_photo(False), FACE).source == "box"


@pytest.mark.parametrize("box", [(10, 10, 10, 40), (10, 40, 30, 20), (1, 2, 3)], ids=str)
def test_a_box_without_area_is_refused(box):
    with pytest.raises(ValueError, match="box x1, y1, x2, y2"):
        find_pose(sample_photo(False), box)


# The mask


def test_every_kind_names_what_exists():
    assert {spec.cut for spec in MASK_KINDS.values()} == set(CUTS)
    assert {spec.pattern for spec in MASK_KINDS.values()} == {"", *PATTERNS}
    assert {wearing.label for wearing in WEARING.values()} == {CLASS_NAMES[0], CLASS_NAMES[2]}
    assert WEARING["well"].label == CLASS_NAMES[0]
    assert {color for kind in MASK_KINDS.values() for color in kind.colors} == COLOR_TITLES.keys()


@pytest.mark.parametrize(
    ("wearing", "covered", "free"),
    [
        pytest.param("well", (NOSE, MOUTH), (LEFT_EYE, RIGHT_EYE, FOREHEAD), id="well"),
        pytest.param("under_nose", (MOUTH,), (NOSE, LEFT_EYE, RIGHT_EYE), id="under the nose"),
        pytest.param("on_chin", ((226, 172),), (NOSE, MOUTH), id="on the chin"),
    ],
)
@pytest.mark.parametrize("kind", MASK_KINDS)
def test_what_is_covered_follows_how_it_is_worn(kind, wearing, covered, free):
    frame = masked(kind, wearing)
    assert (frame.shape, frame.dtype) == ((512, 512, 3), np.uint8)
    assert all(is_covered(frame, place) for place in covered)
    assert not any(is_covered(frame, place) for place in free)
    changed = (frame != sample_photo(False)).any(axis=2)
    assert not changed[:, :150].any() and not changed[:, 300:].any() and not changed[260:].any()


def test_the_same_seed_draws_the_same_and_the_photo_stays():
    photo = sample_photo(False)
    before = photo.copy()
    draw = lambda seed: put_on(photo, sample_pose(), "cloth_dots", "well", np.random.default_rng(seed))  # noqa: E731
    assert np.array_equal(draw(1), draw(1))
    assert not np.array_equal(draw(1), draw(2))
    assert np.array_equal(photo, before)


@pytest.mark.parametrize(
    ("kind", "color", "channel"),
    [
        pytest.param("cloth_plain", "red", 2, id="red"),
        pytest.param("cloth_plain", "green", 1, id="green"),
        pytest.param("surgical_dark", "dark blue", 0, id="blue"),
    ],
)
def test_colours_are_not_swapped(kind, color, channel):
    cloth = masked(kind, color=color)[140:160, 210:240].mean(axis=(0, 1))
    assert cloth.argmax() == channel


def test_white_is_brighter_than_black_and_takes_over_the_light():
    area = np.s_[130:165, 205:245]
    white, black = (masked(kind)[area].mean() for kind in ("surgical_white", "black"))
    assert white > 180 and black < 60
    dim = (sample_photo(False) * 0.4).astype(np.uint8)
    assert put_on(dim, sample_pose(), "surgical_white")[area].mean() < 0.6 * white


def test_a_face_lit_from_one_side_lights_the_mask_from_there():
    light = np.clip(np.linspace(-1.5, 3.5, 512), 0.25, 1)  # dark on the left
    frame = put_on((sample_photo(False) * light[None, :, None]).astype(np.uint8), sample_pose(), "surgical_white")
    assert frame[130:165, 195:210].mean() < 0.8 * frame[130:165, 240:255].mean()


@pytest.mark.parametrize(
    ("size_wh", "box"),
    [
        pytest.param((60, 40), (20, -30, 50, 8), id="over the upper edge"),
        pytest.param((60, 40), (50, 10, 90, 60), id="over the lower right corner"),
        pytest.param((60, 40), (-400, -400, -300, -280), id="outside"),
        pytest.param((1, 1), (0, 0, 1, 1), id="one pixel"),
        pytest.param((900, 30), (100, -400, 700, 420), id="much larger than the picture"),
    ],
)
@pytest.mark.parametrize("wearing", WEARING)
def test_faces_at_the_edge_and_beyond(size_wh, box, wearing):
    photo = np.full((size_wh[1], size_wh[0], 3), 90, np.uint8)
    frame = put_on(photo, find_pose(photo, box), "cloth_checks", wearing)
    assert frame.shape == photo.shape


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        pytest.param(("scarf",), "no kind of mask 'scarf'; possible are surgical_blue", id="kind"),
        pytest.param(("ffp2", "on_ear"), "way of wearing it 'on_ear'; possible are well", id="wearing"),
        pytest.param(("ffp2", "well", None, "plaid"), "FFP2 has no colour 'plaid'; possible are white", id="colour"),
    ],
)
def test_what_does_not_exist_is_refused(arguments, words):
    with pytest.raises(ValueError, match=words):
        put_on(sample_photo(False), sample_pose(), *arguments)


@pytest.mark.parametrize("sigma", [1.0, 20.0])
def test_a_reduced_blur_is_a_blur(sigma):
    image = np.random.default_rng(0).uniform(0, 255, (150, 230)).astype(np.float32)
    assert np.abs(blurred(image, sigma) - cv2.GaussianBlur(image, (0, 0), sigma)).max() < 5


def test_relief_is_bright_where_it_faces_the_light():
    y, x = np.indices((80, 120)) / 100
    assert np.allclose(shade(np.zeros((80, 120), np.float32), 100, 0.3), 1)
    upwards = shade((0.5 * y).astype(np.float32), 100, 0)[40, 60]  # rises towards the bottom: faces up
    right = shade((-0.5 * x).astype(np.float32), 100, 0.5)[40, 60]
    left = shade((-0.5 * x).astype(np.float32), 100, -0.5)[40, 60]
    assert upwards > 1 > left and right > left


# With the shipped detector


def test_the_detector_takes_drawn_masks_for_masks():
    detector = load_detector()
    seen = {}
    for wearing in ("well", "under_nose"):
        for kind in MASK_KINDS:
            xyxy, _, probabilities = detector.find(masked(kind, wearing), min_score=0.6)
            assert len(xyxy) == 1, f"{kind}, {wearing}"
            seen[wearing, kind] = CLASS_NAMES[int(probabilities[0].argmax())]
    # Measured: all nine of each.
    for wearing in ("well", "under_nose"):
        right = sum(seen[wearing, kind] == WEARING[wearing].label for kind in MASK_KINDS)
        assert right >= 7, seen


def test_a_portrait_of_the_largest_face():
    both = np.hstack([resize(sample_photo(False), (300, 300)), sample_photo(False)[:400, 60:400][:300]])
    portrait = make_portrait(both, load_detector())
    assert (portrait.faces, portrait.bare, portrait.pose.source) == (2, True, "eyes")
    assert portrait.face_xyxy[0] > 300, "the right one is larger"
    x, y = portrait.pose.center
    height, width = portrait.view_bgr.shape[:2]
    assert 0.3 * width < x < 0.7 * width and 0.3 * height < y < 0.7 * height
    assert make_portrait(np.full((90, 120, 3), 90, np.uint8), load_detector()) is None
    assert not make_portrait(sample_photo(True), load_detector()).bare


def test_variants_are_all_kinds_or_all_colours_of_one():
    portrait = make_portrait(sample_photo(False), load_detector())
    every = draw_variants(portrait, "well")
    assert [title for title, _ in every] == [spec.title for spec in MASK_KINDS.values()]
    assert all(picture.shape == portrait.view_bgr.shape for _, picture in every)
    colors = draw_variants(portrait, "on_chin", "cloth_plain")
    assert [title.lower() for title, _ in colors] == list(MASK_KINDS["cloth_plain"].colors)
    assert not np.array_equal(every[4][1], draw_variants(portrait, "well", seed=1)[4][1])
