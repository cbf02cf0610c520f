"""A trained Keras model as a LiteRT file."""

import tempfile
from pathlib import Path

import keras
import numpy as np

from core.files import write_atomic

PRECISIONS = ("int8", "fp16", "float32")


def export_litert(model: keras.Model, path: Path | str, precision: str, calibration_rgb: np.ndarray) -> None:
    """Convert and write a model whose input is RGB pixels 0..255.

    Args:
        model: (n, size, size, 3) in; any batch size stays possible.
        path: where the ``.tflite`` file goes.
        precision: ``int8`` takes uint8 pixels and computes in 8 bits (Jacob et al. 2018), ``fp16`` stores half
            precision, ``float32`` changes nothing. Outputs are float32 always.
        calibration_rgb: (n, size, size, 3) uint8, typical inputs from which ``int8`` learns the range of each tensor.
    """
    import tensorflow as tf

    if precision not in PRECISIONS:
        raise ValueError(f"precision is {precision!r}; possible are {', '.join(PRECISIONS)}.")
    with tempfile.TemporaryDirectory() as folder:
        # The way through a SavedModel is the one that works with Keras 3: a direct conversion fails at run time.
        model.export(folder, format="tf_saved_model", verbose=False)
        converter = tf.lite.TFLiteConverter.from_saved_model(folder)
        if precision != "float32":
            converter.optimizations = [tf.lite.Optimize.DEFAULT]
        if precision == "fp16":
            converter.target_spec.supported_types = [tf.float16]
        if precision == "int8":
            converter.representative_dataset = lambda: _with_full_range(calibration_rgb)
            converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
            converter.inference_input_type = tf.uint8
            converter.inference_output_type = tf.float32
        data = converter.convert()
    write_atomic(path, lambda temporary: temporary.write_bytes(data))


def _with_full_range(images_rgb: np.ndarray):
    """The images one by one; one of them holds 0 and 255, so that the input's scale is exactly one per grey level."""
    for i, image in enumerate(images_rgb):
        batch = image[None].astype(np.float32)
        if i == 0:
            batch[0, 0, 0], batch[0, 0, 1] = 0, 255
        yield [batch]
