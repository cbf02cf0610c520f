"""The centre-point detector: its network and its loss, in Keras operations that run on every backend.

One pass gives, for every fourth pixel of the picture, how much it looks like the centre of a face (Zhou et al. 2019,
Objects as Points), how far it is to the four edges of that face's box (Tian et al. 2019, FCOS), and how the mask is
worn. Features come from MobileNetV2 (Sandler et al. 2018) at strides 32, 16, 8 and 4 and are brought together from
coarse to fine (Lin et al. 2017, Feature Pyramid Networks), twice: in a wide neck of depthwise convolutions, and in a
narrow one of the shape of CenterFace (Xu et al. 2020), whose weights ``train.detector.centerface`` puts there.
"""

from pathlib import Path
from typing import Any

import keras
import numpy as np
from keras import layers, ops

from core.vision.classes import CLASS_NAMES

# Outputs of MobileNetV2 at strides 32, 16, 8 and 4, and the neck's channels there.
TAPS = (("block_16_project_BN", 128), ("block_12_add", 96), ("block_5_add", 80), ("block_2_add", 64))
NARROW = 24
"""Channels of the narrow neck."""
STRIDES = (32, 16, 8, 4)
HEADS = {"center": 1, "edges": 4, "state": len(CLASS_NAMES)}
# Starting point of the outputs: faces are rare (1 cell in 100), and of medium size.
CENTER_BIAS, EDGE_BIAS = -4.6, 1.6
MAX_LOG_EDGE = 6.0


@keras.saving.register_keras_serializable("mask")
class BatchNorm(layers.BatchNormalization):
    """Batch normalisation that uses PyTorch's own on that backend.

    Keras composes it there from a dozen small operations, which takes four times as long as all convolutions.
    """

    def call(
        self, inputs: keras.KerasTensor, training: bool | None = None, mask: keras.KerasTensor | None = None
    ) -> keras.KerasTensor:
        """As in Keras."""
        if keras.backend.backend() != "torch":
            return super().call(inputs, training=training, mask=mask)
        import torch

        outputs = torch.nn.functional.batch_norm(
            inputs.permute(0, 3, 1, 2),
            self.moving_mean.value,
            self.moving_variance.value,
            self.gamma.value,
            self.beta.value,
            training=bool(training) and self.trainable,
            momentum=1 - self.momentum,
            eps=self.epsilon,
        )
        return outputs.permute(0, 2, 3, 1)


def _depth_to_space(x: keras.KerasTensor) -> keras.KerasTensor:
    """(n, h, w, 4c) to (n, 2h, 2w, c): c channels each for upper left, upper right, lower left, lower right."""
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        # One operation that knows no sizes, so that the exported model can be resized.
        return tf.nn.depth_to_space(x, 2)
    n, h, w, c = ops.shape(x)
    parts = ops.transpose(ops.reshape(x, (n, h, w, 2, 2, c // 4)), (0, 1, 3, 2, 4, 5))
    return ops.reshape(parts, (n, 2 * h, 2 * w, c // 4))


@keras.saving.register_keras_serializable("mask")
class DepthToSpace(layers.Layer):
    """Twice the height and width from a quarter of the channels; works for any size, after export too."""

    def call(self, x: keras.KerasTensor) -> keras.KerasTensor:
        """(n, h, w, 4c) to (n, 2h, 2w, c)."""
        return _depth_to_space(x)

    def compute_output_shape(self, shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """As ``call`` says."""
        n, h, w, c = shape
        return n, h and 2 * h, w and 2 * w, c and c // 4


@keras.saving.register_keras_serializable("mask")
class Double(layers.Layer):
    """Twice the height and width, each cell repeated; works for any size, after export too."""

    def call(self, x: keras.KerasTensor) -> keras.KerasTensor:
        """(n, h, w, c) to (n, 2h, 2w, c)."""
        return _depth_to_space(ops.concatenate([x] * 4, axis=-1))

    def compute_output_shape(self, shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """As ``call`` says."""
        n, h, w, c = shape
        return n, h and 2 * h, w and 2 * w, c


@keras.saving.register_keras_serializable("mask")
class FromUpperLeft(keras.initializers.Initializer):
    """A depthwise 3×3 kernel that takes over the upper left neighbour."""

    def __call__(self, shape: tuple[int, ...], dtype: str | None = None) -> keras.KerasTensor:
        """(3, 3, c, 1)."""
        kernel = np.zeros(shape, np.float32)
        kernel[0, 0] = 1
        return ops.convert_to_tensor(kernel, dtype)


def _norm(x: keras.KerasTensor, name: str) -> keras.KerasTensor:
    return BatchNorm(momentum=0.98, name=f"{name}_BN")(x)


def _linear(x: keras.KerasTensor, channels: int, name: str) -> keras.KerasTensor:
    return _norm(layers.Conv2D(channels, 1, use_bias=False, name=name)(x), name)


def _separable(x: keras.KerasTensor, channels: int, name: str, kernel: int = 3) -> keras.KerasTensor:
    x = layers.DepthwiseConv2D(kernel, padding="same", use_bias=False, name=f"{name}_depthwise")(x)
    x = _norm(x, f"{name}_depthwise")
    return layers.ReLU(6.0, name=f"{name}_relu")(_linear(x, channels, name))


def _wide_neck(features: list[keras.KerasTensor]) -> keras.KerasTensor:
    """Features of strides 32, 16, 8 and 4 to one map (n, h/4, w/4, 64)."""
    neck = None
    for feature, (_, channels), stride in zip(features, TAPS, STRIDES, strict=True):
        merged = _linear(feature, channels, f"lateral{stride}")
        if neck is not None:
            finer = Double(name=f"double{stride}")(_linear(neck, channels, f"reduce{stride}"))
            merged = layers.Add(name=f"add{stride}")([merged, finer])
        merged = layers.ReLU(6.0, name=f"lateral{stride}_relu")(merged)
        neck = _separable(merged, channels, f"neck{stride}", kernel=5 if stride == 32 else 3)
        if stride == 32:
            neck = _separable(neck, channels, f"context{stride}", kernel=5)
    return _separable(neck, 64, "head")


def _narrow_neck(features: list[keras.KerasTensor]) -> keras.KerasTensor:
    """Features of strides 32, 16, 8 and 4 to one map (n, h/4, w/4, 24), as CenterFace brings them together.

    Its weights were trained in PyTorch, whose convolutions of stride 2 begin one pixel further up and to the left than
    Keras' do. At each stride that adds up to one cell less one pixel, so each feature is taken from its upper left
    neighbour, and the whole is one pixel off.
    """
    neck = None
    for feature, stride in zip(features, STRIDES, strict=True):
        lateral = layers.ReLU(6.0, name=f"narrow{stride}_relu")(_linear(feature, NARROW, f"narrow{stride}"))
        merged = layers.DepthwiseConv2D(
            3, padding="same", use_bias=False, depthwise_initializer=FromUpperLeft(), name=f"narrow{stride}_shift"
        )(lateral)
        if neck is not None:
            finer = DepthToSpace(name=f"narrow{stride}_finer")(_linear(neck, 4 * NARROW, f"narrow{stride}_up"))
            finer = layers.ReLU(6.0, name=f"narrow{stride}_up_relu")(finer)
            merged = layers.Add(name=f"narrow{stride}_add")([merged, finer])
        neck = merged
    last = layers.Conv2D(NARROW, 3, padding="same", use_bias=False, name="narrow_last")(neck)
    return layers.ReLU(6.0, name="narrow_last_relu")(_norm(last, "narrow_last"))


def build_detector(imagenet_weights: str | Path | None = "imagenet", narrow: bool = True) -> keras.Model:
    """The network for pictures of any size whose sides are multiples of 32.

    Args:
        imagenet_weights: ``imagenet`` downloads them, a path reads them, ``None`` starts from random numbers.
        narrow: with the narrow neck, which the shipped network and its forerunners lack.

    Returns:
        A model from (n, h, w, 3) RGB 0..255 to (n, h/4, w/4, 8) float32: logit of a face's centre, logarithm of the
        distances to the left, upper, right and lower edge in cells of 4 pixels, logits of ``CLASS_NAMES``.
    """
    weights = str(imagenet_weights) if imagenet_weights else None
    plain = keras.applications.MobileNetV2(input_shape=(None, None, 3), include_top=False, weights=weights)

    def faster(layer: layers.Layer) -> layers.Layer:
        if not isinstance(layer, layers.BatchNormalization):
            return layer.__class__.from_config(layer.get_config())
        return BatchNorm.from_config(layer.get_config() | {"momentum": 0.98})

    base = keras.models.clone_model(plain, clone_function=faster)
    base.set_weights(plain.get_weights())
    taps = keras.Model(base.input, [base.get_layer(name).output for name, _ in TAPS], name="base")
    pixels = keras.Input((None, None, 3), name="pixels")
    x = layers.Rescaling(1 / 127.5, offset=-1, name="scaling")(pixels)
    features = taps(x)
    neck = _wide_neck(features)
    if narrow:
        neck = layers.Concatenate(name="necks")([_narrow_neck(features), neck])
    biases = {"center": CENTER_BIAS, "edges": EDGE_BIAS, "state": 0.0}
    outputs = [
        layers.Conv2D(
            n,
            1,
            name=name,
            kernel_initializer=keras.initializers.RandomNormal(stddev=0.01),
            bias_initializer=keras.initializers.Constant(biases[name]),
        )(neck)
        for name, n in HEADS.items()
    ]
    return keras.Model(pixels, layers.Concatenate(name="outputs")(outputs), name="mask_detector")


def freeze_base(model: keras.Model, blocks: int) -> None:
    """Let the base's first convolution and its blocks 0 to ``blocks`` keep their weights; -1 freezes nothing.

    These see edges and colours, which ImageNet has taught well enough, on the largest maps, which cost the most.
    """
    base = model.get_layer("base")
    reached = blocks < 0
    for layer in base.layers:
        reached = reached or layer.name.startswith(f"block_{blocks + 1}_")
        layer.trainable = reached


@keras.saving.register_keras_serializable("mask")
class TwoRateAdamW(keras.optimizers.AdamW):
    """AdamW with a lower rate for the pretrained base than for the new layers."""

    def __init__(self, base_share: float = 0.3, base_count: int = 0, **kwargs: Any) -> None:
        """Args: the base's share of the rate, and how many trainable variables, counted from the first, are its own."""
        super().__init__(**kwargs)
        self.base_share, self.base_count = base_share, base_count

    def _backend_update_step(
        self, grads: list, trainable_variables: list[keras.Variable], learning_rate: keras.KerasTensor
    ) -> None:
        n = self.base_count
        super()._backend_update_step(grads[:n], trainable_variables[:n], learning_rate * self.base_share)
        super()._backend_update_step(grads[n:], trainable_variables[n:], learning_rate)

    def get_config(self) -> dict[str, Any]:
        """As in Keras."""
        return super().get_config() | {"base_share": self.base_share, "base_count": self.base_count}
