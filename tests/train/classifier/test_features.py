"""Features of views: computed once, whatever happens meanwhile, and the same as Keras would give."""

import json
import os
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

from core.datasets.faces import Sample
from core.synthetic.sample import sample_photo
from tests.helpers import ROOT
from train.classifier import features
from train.classifier.data import Faces
from train.classifier.features import FrozenBase, keep_features, make_view
from train.config import TrainConfig
from train.run_folder import Interrupted
from train.split import Split

CONFIG = TrainConfig(data=("d",), out="o", views=2)
SIZE = 32


def some_faces(count: int = 23) -> Faces:
    """Non-square pieces of the sample photo, two classes, three faces for validation, two for the test."""
    photo = sample_photo(False)[..., ::-1]
    rng = np.random.default_rng(0)
    samples = []
    for i in range(count):
        y, x = rng.integers(0, 200, 2)
        patch = np.ascontiguousarray(photo[y : y + 60, x : x + 44])
        box = np.array([2, 3, 42, 55], np.float32)
        samples.append(Sample("d", Path(f"{i}.jpg"), "ab"[i % 2], patch, box, 40.0))
    places = np.arange(count)
    split = Split(train=places[5:], val=places[:3], test=places[3:5], held_out=places[:0], facts={})
    return Faces(samples, ("a", "b"), places % 2, split)


class StubBase:
    """Mean colour and its square of each view: cheap, and different for every view."""

    def __init__(self, digest: str = "one"):
        self.seen, self.lock = 0, threading.Lock()
        self.frozen = FrozenBase(digest, SIZE, 6, lambda: lambda: self)

    def __call__(self, views_rgb):
        assert views_rgb.dtype == np.uint8 and views_rgb.shape[1:] == (SIZE, SIZE, 3)
        with self.lock:
            self.seen += len(views_rgb)
        means = views_rgb.mean(axis=(1, 2)) / 255
        return np.hstack([means, means**2]).astype(np.float32)


def no_report(done, total):
    pass


def expected(faces, place, view):
    return StubBase()(make_view(faces, CONFIG, place, view, SIZE)[None])[0]


def test_every_view_is_at_its_place(tmp_path):
    faces, stub = some_faces(), StubBase()
    told = []
    kept = keep_features(stub.frozen, faces, CONFIG, tmp_path, lambda done, total: told.append((done, total)))
    assert kept.train.shape == (3, 18, 6) and kept.val.shape == (3, 6)
    assert kept.train.dtype == np.float16 and kept.val.dtype == np.float32
    for view in range(3):
        for row, place in enumerate(faces.split.train):
            assert np.allclose(kept.train[view, row], expected(faces, place, view), atol=0.001)
    for row, place in enumerate(faces.split.val):
        assert np.allclose(kept.val[row], expected(faces, place, 0), atol=0.001)
    assert (kept.train[0] != kept.train[1]).any(axis=1).all(), "views vary"
    assert (kept.labels == faces.split.train % 2).all()
    assert told[0] == (0, 57) and told[-1] == (57, 57) and told == sorted(told)


def test_a_run_that_was_stopped_goes_on_where_it_was(tmp_path):
    faces, whole, stub = some_faces(), StubBase(), StubBase()
    sound = keep_features(whole.frozen, faces, CONFIG, tmp_path / "whole", no_report)

    def stop(done, total):
        if done >= 20:
            raise Interrupted

    with pytest.raises(Interrupted):
        keep_features(stub.frozen, faces, CONFIG, tmp_path, stop)
    again, told = StubBase(), []
    kept = keep_features(again.frozen, faces, CONFIG, tmp_path, lambda done, total: told.append(done))
    assert told[0] >= 20 and again.seen == 57 - told[0]
    assert (kept.train == sound.train).all() and (kept.val == sound.val).all()
    keep_features(again.frozen, faces, CONFIG, tmp_path, no_report)
    assert again.seen == 57 - told[0], "nothing is computed twice"


def test_a_kill_loses_only_what_was_not_saved_yet(tmp_path, monkeypatch):
    monkeypatch.setattr(features, "SAVE_EVERY_S", 0.0)
    rows = []

    def look(done, total):
        if (tmp_path / "features.npz").is_file():
            with np.load(tmp_path / "features.npz") as saved:
                rows.append((done, len(saved["features"])))

    keep_features(StubBase().frozen, some_faces(), CONFIG, tmp_path, look)
    assert rows and all(0 < done - saved <= features.BLOCK for done, saved in rows)
    assert {path.name for path in tmp_path.iterdir()} == {"features.npz"}


@pytest.mark.parametrize(
    ("change", "digest"),
    [
        pytest.param({"views": 1}, "one", id="fewer views"),
        pytest.param({"recipe": "street"}, "one", id="another recipe"),
        pytest.param({"seed": 7}, "one", id="another seed"),
        pytest.param({}, "two", id="other weights"),
    ],
)
def test_features_of_something_else_count_for_nothing(tmp_path, change, digest):
    faces = some_faces()
    keep_features(StubBase().frozen, faces, CONFIG, tmp_path, no_report)
    other = StubBase(digest)
    config = TrainConfig(**{"data": ("d",), "out": "o", "views": 2, **change})
    kept = keep_features(other.frozen, faces, config, tmp_path, no_report)
    assert other.seen == 3 + 18 * (config.views + 1) and len(kept.train) == config.views + 1


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 half a file", b"\x93NUMPY"], ids=["empty", "cut off", "no zip"])
def test_a_damaged_file_is_made_anew(tmp_path, content):
    (tmp_path / "features.npz").write_bytes(content)
    stub = StubBase()
    keep_features(stub.frozen, some_faces(), CONFIG, tmp_path, no_report)
    assert stub.seen == 57


def test_an_error_of_a_worker_comes_out(tmp_path):
    def broken(views_rgb):
        raise RuntimeError("no memory")

    base = FrozenBase("x", SIZE, 6, lambda: lambda: broken)
    with pytest.raises(RuntimeError, match="no memory"):
        keep_features(base, some_faces(), CONFIG, tmp_path, no_report)


@pytest.mark.parametrize("batch_size", [4, 18, 64], ids=["smaller than the data", "all at once", "larger"])
def test_passes_show_every_face_once_and_every_view_in_turn(tmp_path, batch_size):
    faces = some_faces()
    kept = keep_features(StubBase().frozen, faces, CONFIG, tmp_path, no_report)
    where = {kept.train[v, i].tobytes(): (v, i) for v in range(3) for i in range(18)}
    seen = []
    for epoch in (1, 2, 3):
        shown = list(kept.batches(batch_size, 42, epoch))
        assert all(inputs.shape == (batch_size, 6) and inputs.dtype == np.float32 for inputs, _ in shown)
        places = [where[row.astype(np.float16).tobytes()] for inputs, _ in shown for row in inputs]
        labels = np.concatenate([labels for _, labels in shown])
        assert {i for _, i in places[:18]} == set(range(18))
        assert (labels == kept.labels[[i for _, i in places]]).all()
        seen += places[:18]
    assert len(set(seen)) == 3 * 18, "three passes show each of three views of each face"
    same = zip(kept.batches(4, 42, 1), kept.batches(4, 42, 1), strict=True)
    assert all((a[0] == b[0]).all() for a, b in same)


AGREEMENT = """
import json, os, sys
import keras, numpy as np
from core.synthetic.sample import sample_photo
from train.export.litert import Float32Network, litert_bytes
from train.classifier.network import build_classifier, choose_weights, feature_model, frozen_base, head_model
from train.classifier.trainer import predict
keras.utils.set_random_seed(3)
model = build_classifier(3, imagenet_weights=json.loads(sys.argv[1]))
photo = sample_photo(False)[..., ::-1]
rng = np.random.default_rng(0)
places = rng.integers(0, 250, (6, 2))
views = np.stack([photo[y : y + 224, x : x + 224] for y, x in places])
exact = feature_model(model).predict(views, verbose=0)
base = frozen_base(model)
run = base.prepare()()
fast = np.concatenate([run(views[:4]), run(views[4:])])
head = head_model(model)
os.environ.pop("MASK_IMAGENET_WEIGHTS", None)
chosen = [choose_weights(setting) for setting in ("none", "imagenet", "w.h5")]
os.environ["MASK_IMAGENET_WEIGHTS"] = "here.h5"
chosen += [choose_weights(setting) for setting in ("none", "imagenet", "w.h5")]
before = [w.copy() for w in model.get_layer("features").get_weights()]
head.compile("adam", "categorical_crossentropy")
head.train_on_batch(exact, np.eye(3)[[0, 1, 2, 0, 1, 2]])
many = np.repeat(views, 11, axis=0).astype(np.uint8)
print(json.dumps({
    "batches": float(np.abs(predict(model, many) - model.predict(many, batch_size=32, verbose=0)).max()),
    "shapes": [predict(model, many[:n]).shape for n in (0, 1, 65, 66)],
    "chosen": chosen,
    "width": base.width, "size": base.size, "shape": fast.shape,
    "error": float(np.abs(exact - fast).max()), "largest": float(np.abs(exact).max()),
    "kept": float(np.abs(exact - fast.astype(np.float16).astype(np.float32)).max()),
    "head": float(np.abs(head.predict(exact, verbose=0) - model.predict(views, verbose=0)).max()),
    "learnt": float(np.abs(before[0] - model.get_layer("features").get_weights()[0]).max()),
    "spread": float(np.abs(exact[0] - exact[1]).max()),
}))
"""


@pytest.mark.long
def test_the_fast_base_agrees_with_keras_and_the_head_shares_its_weights(request):
    # In a process of its own: on Python 3.13 the video library, which other tests import, crashes after TensorFlow.
    try:
        weights = str(request.getfixturevalue("imagenet_weights"))
    except pytest.skip.Exception:
        weights = None
    done = subprocess.run(
        [sys.executable, "-c", AGREEMENT, json.dumps(weights)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        env=os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3"},
    )
    assert done.returncode == 0, done.stderr[-3000:]
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["chosen"] == [None, "imagenet", "w.h5", None, "here.h5", "w.h5"]
    assert (found["width"], found["size"], found["shape"]) == (1280, 224, [6, 1280])
    assert found["error"] < 0.0005 and found["kept"] < 0.0025
    assert found["head"] < 1e-4 and found["learnt"] > 1e-4
    assert found["batches"] < 1e-4 and found["shapes"] == [[0, 3], [1, 3], [65, 3], [66, 3]]
    if weights:
        assert found["spread"] > 0.1
