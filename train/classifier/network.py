"""The report's network: MobileNetV2 (Sandler et al. 2018) and a small head, built with Keras."""

import hashlib
import os
from collections.abc import Callable
from functools import partial
from pathlib import Path

import keras
import numpy as np

from train.classifier.features import FrozenBase
from train.export.litert import Float32Network, litert_bytes

INPUT_SIZE = 224
BLOCKS = 16
"""Inverted residual blocks that can be unfrozen, counted from the end; the final convolution always goes with them."""
HEAD_LAYERS = ("features", "dropout", "probabilities")
WEIGHTS_VARIABLE = "MASK_IMAGENET_WEIGHTS"


def build_classifier(
    classes: int, dropout: float = 0.5, imagenet_weights: str | Path | None = "imagenet"
) -> keras.Model:
    """MobileNetV2 1.0 without its top, average pooling 7×7, flatten, dense 128 ReLU, dropout, dense softmax.

    Args:
        classes: number of outputs.
        dropout: share of the 128 features dropped while training.
        imagenet_weights: ``imagenet`` downloads them, a path reads them, ``None`` starts from random numbers.

    Returns:
        A ``keras.Model``: (n, 224, 224, 3) RGB 0..255 in, (n, classes) probabilities out; pixels are scaled to -1..1
        inside. The base is the layer ``base``, frozen, its batch normalisation in inference mode for good.
    """
    weights = str(imagenet_weights) if imagenet_weights else None
    base = keras.applications.MobileNetV2(
        input_shape=(INPUT_SIZE, INPUT_SIZE, 3), include_top=False, weights=weights, name="base"
    )
    base.trainable = False
    pixels = keras.Input((INPUT_SIZE, INPUT_SIZE, 3), name="pixels")
    x = keras.layers.Rescaling(1 / 127.5, offset=-1, name="scaling")(pixels)
    x = base(x, training=False)
    x = keras.layers.AveragePooling2D((7, 7), name="pool")(x)
    x = keras.layers.Flatten(name="flatten")(x)
    x = keras.layers.Dense(128, activation="relu", name="features")(x)
    x = keras.layers.Dropout(dropout, name="dropout")(x)
    probabilities = keras.layers.Dense(classes, activation="softmax", name="probabilities")(x)
    return keras.Model(pixels, probabilities, name="mask_classifier")


def choose_weights(setting: str) -> str | None:
    """The ImageNet weights that a setting means: none, a path, or what Keras downloads under the name ``imagenet``.

    Where there is no network, ``MASK_IMAGENET_WEIGHTS`` names a file that takes the download's place.
    """
    if setting == "imagenet":
        return os.environ.get(WEIGHTS_VARIABLE) or setting
    return None if setting == "none" else setting


def feature_model(model: keras.Model) -> keras.Model:
    """The part up to the head: (n, 224, 224, 3) RGB 0..255 in, (n, 1280) out; layers shared."""
    return keras.Model(model.input, model.get_layer("flatten").output)


def frozen_base(model: keras.Model) -> FrozenBase:
    """The base of a network, to be run on LiteRT in 32 bits: three times as fast as ``predict``."""
    part = feature_model(model)
    digest = hashlib.sha256()
    for weights in part.get_weights():
        digest.update(np.ascontiguousarray(weights).tobytes())

    def prepare() -> Callable[[], Float32Network]:
        return partial(Float32Network, litert_bytes(part))

    return FrozenBase(digest.hexdigest(), INPUT_SIZE, part.output_shape[-1], prepare)


def head_model(model: keras.Model) -> keras.Model:
    """The head alone: (n, 1280) in, (n, classes) probabilities out; layers shared, so what it learns is the model's."""
    x = features = keras.Input(model.get_layer("flatten").output.shape[1:], name="kept_features")
    for name in HEAD_LAYERS:
        x = model.get_layer(name)(x)
    return keras.Model(features, x, name="head")


def unfreeze(model: keras.Model, blocks: int) -> None:
    """Make the last ``blocks`` (0..16) of the base trainable, everything before them frozen."""
    if not 0 <= blocks <= BLOCKS:
        raise ValueError(f"fine-tune blocks is {blocks}; it must lie in 0..{BLOCKS}.")
    base = model.get_layer("base")
    base.trainable = blocks > 0
    first = f"block_{BLOCKS + 1 - blocks}_"
    reached = False
    for layer in base.layers:
        reached = reached or layer.name.startswith(first)
        layer.trainable = reached


def logits_model(model: keras.Model) -> keras.Model:
    """The same network without its softmax, weights shared by value."""
    last = model.get_layer("probabilities")
    linear = keras.layers.Dense(last.units, name="logits")
    result = keras.Model(model.input, linear(last.input))
    linear.set_weights(last.get_weights())
    return result


def divide_logits(model: keras.Model, temperature: float) -> None:
    """Build a calibration temperature into the last layer, so that every export of the model carries it."""
    last = model.get_layer("probabilities")
    last.set_weights([weights / temperature for weights in last.get_weights()])
