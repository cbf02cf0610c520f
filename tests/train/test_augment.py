from pathlib import Path

import numpy as np
import pytest

from core.datasets.faces import Sample, plain_view
from train.augment import RECIPES, REPORT, STREET, Augmentation, crop_matrix, random_affine, varied_view

NOTHING = Augmentation(rotation_deg=0, zoom=(1, 1), shift=0, shear_deg=0, flip=False)


def sample_of(patch, crop=None):
    crop = [0, 0, patch.shape[1], patch.shape[0]] if crop is None else crop
    return Sample("set", Path("a"), "with_mask", patch, np.array(crop, np.float32), 60)


def gradient(width=90, height=60):
    patch = np.zeros((height, width, 3), np.uint8)
    patch[..., 0] = np.linspace(0, 255, width)[None]
    patch[..., 1] = np.linspace(0, 255, height)[:, None]
    return patch


@pytest.mark.parametrize("crop", [None, [20, 10, 70, 50], [-10, -10, 100, 70]], ids=str)
def test_without_variation_the_view_is_the_plain_crop(crop):
    sample = sample_of(gradient(), crop)
    view = varied_view(sample, 64, NOTHING, np.random.default_rng(0))
    assert np.abs(view.astype(int) - plain_view(sample, 64)).mean() < 2.5


@pytest.mark.parametrize("name", RECIPES)
def test_views_vary_repeat_with_the_seed_and_keep_their_form(name):
    sample = sample_of(gradient(500, 400), [50, 40, 450, 360])
    views = [varied_view(sample, 48, RECIPES[name], np.random.default_rng(seed)) for seed in range(40)]
    again = [varied_view(sample, 48, RECIPES[name], np.random.default_rng(seed)) for seed in range(40)]
    assert all(view.shape == (48, 48, 3) and view.dtype == np.uint8 for view in views)
    assert all((a == b).all() for a, b in zip(views, again, strict=True))
    assert len({view.tobytes() for view in views}) == 40


def test_the_sample_itself_is_never_changed():
    patch = gradient()
    before = patch.copy()
    for seed in range(50):
        varied_view(sample_of(patch), 40, STREET, np.random.default_rng(seed))
    assert (patch == before).all()


def test_red_stays_red_in_every_geometry():
    patch = np.zeros((50, 50, 3), np.uint8)
    patch[..., 0] = 255
    for seed in range(10):
        assert (varied_view(sample_of(patch), 32, REPORT, np.random.default_rng(seed)) == [255, 0, 0]).all()


def test_flip_happens_half_the_time():
    only_flip = Augmentation(rotation_deg=0, zoom=(1, 1), shift=0, shear_deg=0, flip=True)
    views = [varied_view(sample_of(gradient()), 32, only_flip, np.random.default_rng(seed)) for seed in range(200)]
    flipped = sum(view[:, 0, 0].mean() > view[:, -1, 0].mean() for view in views)
    assert 70 < flipped < 130


@pytest.mark.parametrize(
    ("part", "entry", "low", "high"),
    [
        pytest.param({"shift": 0.2}, (0, 2), -0.2 * 100, 0.2 * 100, id="shift, share of the width"),
        pytest.param({"zoom": (0.85, 1.15)}, (0, 0), 0.85, 1.15, id="zoom"),
        pytest.param({"rotation_deg": 20.0}, (0, 1), -np.sin(np.deg2rad(20)), np.sin(np.deg2rad(20)), id="rotation"),
    ],
)
def test_ranges_are_used_to_their_ends_and_no_further(part, entry, low, high):
    how = Augmentation(**({"rotation_deg": 0, "zoom": (1, 1), "shift": 0, "shear_deg": 0, "flip": False} | part))
    middle = np.array([[1, 0, 49.5], [0, 1, 49.5], [0, 0, 1]])
    values = []
    for seed in range(500):
        around_middle = np.linalg.inv(middle) @ random_affine(100, how, np.random.default_rng(seed)) @ middle
        values.append(around_middle[entry])
    assert low - 1e-9 <= min(values) < low + 0.05 * (high - low)
    assert high - 0.05 * (high - low) < max(values) <= high + 1e-9


@pytest.mark.slow
def test_the_warp_is_the_one_of_keras():
    """Same rotation, shift, shear and zoom as ``ImageDataGenerator``, whose recipe the report used."""
    pytest.importorskip("tensorflow")
    from keras.src.legacy.preprocessing.image import apply_affine_transform

    class Fixed:
        """Hands out chosen numbers in the order in which ``random_affine`` draws them."""

        def __init__(self):
            self.single = iter([15.0, 8.0])
            self.pairs = iter([np.array([0.1, -0.15]), np.array([0.9, 1.12])])

        def uniform(self, low, high, size=None):
            return next(self.single) if size is None else next(self.pairs)

        def random(self):
            return 0.9

    matrix = crop_matrix(np.array([0, 0, 64, 64]), 64) @ random_affine(64, REPORT, Fixed())
    rows, columns = np.mgrid[0:64, 0:64]
    x, y = np.einsum("ij,jhw->ihw", matrix[:2], np.stack([columns, rows, np.ones_like(rows)]))
    expected_x, expected_y = (
        apply_affine_transform(
            grid[..., None].astype(np.float64), theta=15.0, tx=0.1 * 64, ty=-0.15 * 64, shear=8.0, zx=0.9, zy=1.12,
            row_axis=0, col_axis=1, channel_axis=2, fill_mode="nearest", order=1,
        )[..., 0]
        for grid in (columns, rows)
    )  # fmt: skip
    inside = (x > 1) & (x < 62) & (y > 1) & (y < 62)
    assert inside.mean() > 0.3
    assert np.abs(x - expected_x)[inside].max() < 1e-3
    assert np.abs(y - expected_y)[inside].max() < 1e-3
