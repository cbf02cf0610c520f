"""A trained Keras model as a LiteRT file."""

import contextlib
import logging
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import keras
import numpy as np

from core.io import write_atomic

PRECISIONS = ("int8", "fp16", "float32")
# Pictures per call in 32 bits: with more of them the maps between the layers no longer fit into a core's cache.
AT_ONCE = 2


def export_litert(
    model: keras.Model, path: Path | str, precision: str, calibration_rgb: np.ndarray, exact: Sequence[str] = ()
) -> None:
    """Convert and write a model whose input is RGB pixels 0..255.

    Args:
        model: (n, size, size, 3) in; any batch size stays possible.
        path: where the ``.tflite`` file goes.
        precision: ``int8`` takes uint8 pixels and computes in 8 bits (Jacob et al. 2018), ``fp16`` stores half
            precision, ``float32`` changes nothing. Outputs are float32 always.
        calibration_rgb: (n, size, size, 3) uint8, typical inputs from which ``int8`` learns the range of each tensor.
        exact: with ``int8``, layers that compute in 32 bits all the same, by parts of their names; pixels are then
            float32, 0..255.
    """
    if precision not in PRECISIONS:
        raise ValueError(f"precision is {precision!r}; possible are {', '.join(PRECISIONS)}.")

    def settle(tf: ModuleType, converter: Any) -> None:
        if precision != "float32":
            converter.optimizations = [tf.lite.Optimize.DEFAULT]
        if precision == "fp16":
            converter.target_spec.supported_types = [tf.float16]
        if precision == "int8":
            converter.representative_dataset = lambda: _with_full_range(calibration_rgb)
            converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
            converter.inference_input_type = tf.uint8
            converter.inference_output_type = tf.float32

    partly = precision == "int8" and exact
    data = _partly_quantized(model, settle, exact) if partly else litert_bytes(model, settle)
    write_atomic(path, lambda temporary: temporary.write_bytes(data))


def litert_bytes(model: keras.Model, settle: Callable[[ModuleType, Any], None] | None = None) -> bytes:
    """The model as a LiteRT file in memory, in 32 bits unless ``settle(tensorflow, converter)`` says otherwise."""
    with _quiet():
        return _converter(model, settle).convert()


def _partly_quantized(model: keras.Model, settle: Callable[[ModuleType, Any], None], exact: Sequence[str]) -> bytes:
    """As ``litert_bytes``, where layers with such names stay in 32 bits."""
    import tensorflow as tf
    from ai_edge_litert.interpreter import Interpreter

    tensors = Interpreter(model_content=litert_bytes(model)).get_tensor_details()
    left = sorted({tensor["name"] for tensor in tensors if any(part in tensor["name"] for part in exact)})
    with _quiet():
        quantizer = tf.lite.experimental.QuantizationDebugger(
            converter=_converter(model, settle),
            debug_dataset=lambda: iter(()),
            debug_options=tf.lite.experimental.QuantizationDebugOptions(denylisted_nodes=left),
        )
        return quantizer.get_nondebug_quantized_model()


def _converter(model: keras.Model, settle: Callable[[ModuleType, Any], None] | None) -> Any:
    import tensorflow as tf
    from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

    pixels = tf.TensorSpec(model.inputs[0].shape, tf.float32)
    function = tf.function(lambda x: model(x, training=False)).get_concrete_function(pixels)
    # Converted as it is, the function fails at run time; with its weights as constants it works, and is made five
    # times as fast as by way of a SavedModel.
    frozen = convert_variables_to_constants_v2(function)
    converter = tf.lite.TFLiteConverter.from_concrete_functions([frozen])
    if settle:
        settle(tf, converter)
    return converter


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Without the advice of the converter to go the way that fails."""
    absl = logging.getLogger("absl")
    level = absl.level
    absl.setLevel(logging.ERROR)
    try:
        yield
    finally:
        absl.setLevel(level)


def _with_full_range(images_rgb: np.ndarray) -> Iterator[list[np.ndarray]]:
    """The images one by one; one of them holds 0 and 255, so that the input's scale is exactly one per grey level."""
    for i, image in enumerate(images_rgb):
        batch = image[None].astype(np.float32)
        if i == 0:
            batch[0, 0, 0], batch[0, 0, 1] = 0, 255
        yield [batch]


class Float32Network:
    """A LiteRT file in memory with one input and one output, on one thread. Not safe to share between threads."""

    def __init__(self, network: bytes):
        """Args: ``network``, from ``litert_bytes``."""
        from ai_edge_litert.interpreter import Interpreter

        self._interpreter = Interpreter(model_content=network, num_threads=1)
        self._input = self._interpreter.get_input_details()[0]["index"]
        self._output = self._interpreter.get_output_details()[0]["index"]
        self._count = 0

    def __call__(self, views_rgb: np.ndarray) -> np.ndarray:
        """(n, size, size, 3) uint8 in, (n, width) float32 out; n is 1 or more."""
        return np.concatenate([self._run(views_rgb[i : i + AT_ONCE]) for i in range(0, len(views_rgb), AT_ONCE)])

    def _run(self, views_rgb: np.ndarray) -> np.ndarray:
        if len(views_rgb) != self._count:
            self._count = 0  # should the next lines fail, the next call starts over
            self._interpreter.resize_tensor_input(self._input, views_rgb.shape)
            self._interpreter.allocate_tensors()
            self._count = len(views_rgb)
        self._interpreter.set_tensor(self._input, views_rgb.astype(np.float32))
        self._interpreter.invoke()
        return self._interpreter.get_tensor(self._output)
