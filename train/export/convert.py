"""Keras files for the app, and models for other programs: ``python -m train.export.convert litert|onnx SOURCE TARGET``.

A ``.keras`` or ``.h5`` file is somebody's description of a network, and descriptions can ask for code. So it is read
with care: every part it names must be one of the plain layers below, Keras loads it in safe mode without its training
state, and all of that happens in a process of its own with limits on time and memory.
"""

import argparse
import importlib.util
import json
import os
import shutil
import sys
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from core.access import for_operators
from core.language import number, tr
from core.process import limit_this_process
from core.registry.sandbox import run_apart
from core.registry.upload import HDF5_ID, MAX_BYTES
from core.vision.brought import MAX_OUTPUTS, SIDES

if TYPE_CHECKING:
    import keras

LIMIT_S = 600.0
ADDRESS_BYTES = 16_000_000_000
MAX_CONFIG_BYTES, MAX_UNPACKED_BYTES = 5_000_000, 400_000_000
MEMBERS = {"metadata.json", "config.json", "model.weights.h5"}
ONNX_PACKAGES = ("tf2onnx", "onnx")
MODULES = ("keras.layers", "keras.initializers", "keras.regularizers", "keras.constraints", "keras")
MODELS = {("keras.src.models.functional", "Functional"), ("keras", "Functional"), ("keras", "Model"),
          ("keras.src.models.sequential", "Sequential"), ("keras", "Sequential"),
          ("keras.models", "Functional"), ("keras.models", "Sequential"), ("keras.models", "Model")}  # fmt: skip
LAYERS = """
    InputLayer Dense Conv2D DepthwiseConv2D SeparableConv2D Conv2DTranspose BatchNormalization LayerNormalization
    GroupNormalization UnitNormalization ReLU LeakyReLU PReLU ELU Softmax Activation Add Subtract Multiply Average
    Maximum Minimum Concatenate MaxPooling2D AveragePooling2D GlobalMaxPooling2D GlobalAveragePooling2D ZeroPadding2D
    Cropping2D UpSampling2D Flatten Reshape Permute Dropout SpatialDropout2D AlphaDropout GaussianDropout GaussianNoise
    Rescaling Normalization Resizing Identity RandomFlip RandomRotation RandomZoom RandomTranslation RandomContrast
    RandomBrightness ActivityRegularization
"""
OPERATIONS = {
    "keras.src.ops.numpy": """
        Abs Absolute Add Clip Concatenate Divide ExpandDims Flip GetItem Max Maximum Mean Minimum Multiply Negative
        Power Reshape Sqrt Square Squeeze Stack Subtract Sum Transpose TrueDivide
    """,
    "keras.src.ops.core": "Cast",
    "keras.src.ops.nn": "Elu Gelu HardSigmoid HardSilu LeakyRelu Relu Relu6 Sigmoid Silu Softmax Tanh",
}
"""Plain arithmetic between layers, such as what ``preprocess_input`` does inside a network."""
VALUES = "__keras_tensor__ __tuple__ __tensor__ __ellipsis__ __slice__"
OTHERS = """
    DTypePolicy Policy GlorotUniform GlorotNormal HeUniform HeNormal LecunUniform LecunNormal Zeros Ones Constant
    RandomNormal RandomUniform TruncatedNormal VarianceScaling Orthogonal Identity L1 L2 L1L2 MaxNorm NonNeg UnitNorm
    MinMaxNorm
"""
ACTIVATIONS = """
    relu relu6 leaky_relu elu selu celu gelu silu swish mish sigmoid hard_sigmoid hard_silu hard_swish tanh softmax
    log_softmax softplus softsign exponential linear
"""


class ConvertError(ValueError):
    """A file cannot be converted; the message is one sentence for the person who brought it."""


@for_operators
def convert_keras(source: Path, target: Path, limit_s: float = LIMIT_S, report: Callable = lambda *_: None) -> None:
    """A ``.keras`` or ``.h5`` file as a LiteRT file that takes the pixels that it takes; read in a process of its own.

    Args:
        source: the file, from whomever.
        target: where the ``.tflite`` file goes.
        limit_s: it may take so long.
        report: called with (0, 0, words) twice a second; what it raises ends the conversion.

    Raises:
        ConvertError: the file is broken, hostile, or not a classifier of pictures.
    """
    _apart("litert", source, target, limit_s=limit_s, report=report)


@for_operators
def convert_onnx(source: Path, target: Path, limit_s: float = LIMIT_S, report: Callable = lambda *_: None) -> None:
    """A ``.keras`` file as ONNX, in a process of its own.

    Raises:
        ConvertError: the packages are missing, or it does not work.
    """
    if not onnx_is_there():
        words = tr("ONNX needs two more packages on the server: {command}.")
        raise ConvertError(words.format(command=f"pip install {' '.join(ONNX_PACKAGES)}"))
    _apart("onnx", source, target, limit_s=limit_s, report=report)


def onnx_is_there() -> bool:
    """Whether the packages that write ONNX are installed."""
    return all(importlib.util.find_spec(name) for name in ONNX_PACKAGES)


def _apart(kind: str, source: Path, target: Path, limit_s: float, report: Callable) -> None:
    if not _is_hdf5(source):
        check_archive(source)
    code, _, complaint = run_apart(
        "train.export.convert", kind, str(source), str(target), limit_s=limit_s, report=report, words=tr("Converting")
    )
    if code == 0 and target.is_file():
        return
    target.unlink(missing_ok=True)
    if code is None:
        words = tr("The conversion took more than {seconds} seconds and was ended.")
        raise ConvertError(words.format(seconds=number(limit_s, ".0f")))
    if complaint.startswith("train.export.convert: "):
        raise ConvertError(tr(complaint.removeprefix("train.export.convert: ")))
    raise ConvertError(tr("This model cannot be converted; it is damaged or uses something unusual."))


def _is_hdf5(path: Path) -> bool:
    """Whether it is a file of Keras 1 or 2 (``.h5``), by its content. Raises: ConvertError, if it is too large."""
    if path.stat().st_size > MAX_BYTES:
        words = tr("This file is larger than {size} MB; save the model without its optimizer.")
        raise ConvertError(words.format(size=number(MAX_BYTES / 1e6, ".0f")))
    with path.open("rb") as file:
        return file.read(len(HDF5_ID)) == HDF5_ID


def check_archive(path: Path) -> dict:
    """The description in a ``.keras`` file, if it is harmless; nothing of it is loaded.

    Raises:
        ConvertError: it is no Keras file, too large, or names anything but plain layers.
    """
    try:
        with zipfile.ZipFile(path) as file:
            entries = {entry.filename: entry for entry in file.infolist()}
            # Our own checkpoints hold one more small file; all others are refused.
            if not MEMBERS <= set(entries) <= MEMBERS | {"mask_training_state.json"}:
                raise ConvertError(tr("This is no Keras 3 model file (.keras); save the model with model.save()."))
            if len(entries) != len(file.infolist()) or sum(e.file_size for e in entries.values()) > MAX_UNPACKED_BYTES:
                raise ConvertError(tr("This file unpacks to far more than a model needs; it is not used."))
            if entries["config.json"].file_size > MAX_CONFIG_BYTES:
                raise ConvertError(tr("This model's description is far too long; it is not used."))
            with file.open("config.json") as member:
                config = json.loads(member.read(MAX_CONFIG_BYTES + 1))
            with file.open("model.weights.h5") as member:
                if member.read(8) != HDF5_ID:
                    raise ConvertError(tr("The weights in this file are damaged; save the model again."))
    except ConvertError:
        raise
    except Exception:  # a damaged archive shows in many ways
        raise ConvertError(
            tr("This is no Keras 3 model file (.keras), or it is damaged; save the model again.")
        ) from None
    if not isinstance(config, dict):
        raise ConvertError(tr("This is no Keras 3 model file (.keras); save the model with model.save()."))
    # How it was trained is not read at all.
    for part in _parts({key: value for key, value in config.items() if key != "compile_config"}):
        _check_part(part)
    return config


def _parts(root: object) -> Iterator[dict]:
    """Every table of a description, at any depth."""
    stack = [root]
    while stack:
        value = stack.pop()
        if isinstance(value, dict):
            yield value
            stack.extend(value.values())
        elif isinstance(value, list):
            stack.extend(value)


def _check_part(part: dict) -> None:
    if "class_name" not in part:
        return
    name, module, registered = (part.get(key) for key in ("class_name", "module", "registered_name"))
    if not isinstance(name, str) or not all(text is None or isinstance(text, str) for text in (module, registered)):
        raise _unknown(name)
    if name in VALUES.split() and module is None:
        return
    if name == "function" and module in ("builtins", "keras.activations") and part.get("config") in ACTIVATIONS.split():
        return
    if (module, name) in MODELS:
        # Lower down, a training state would be read.
        if part.get("compile_config"):
            raise ConvertError(tr("A part of this model carries training state; save it without."))
        return
    if module in OPERATIONS:
        known = OPERATIONS[module].split()
    else:
        known = (LAYERS if module == "keras.layers" else OTHERS).split() if module in MODULES else []
    if name not in known or registered not in (None, name):
        raise _unknown(name)


def _unknown(name: object) -> ConvertError:
    shown = name if isinstance(name, str) and name.isidentifier() and len(name) < 40 else tr("something unknown")
    return ConvertError(
        tr(
            "This model contains {name}, which is not accepted; only plain layers of Keras are. Else export the model "
            "as TensorFlow Lite (.tflite) instead."
        ).format(name=shown)
    )


def _check_weights(path: Path) -> None:
    """Refuse an HDF5 file that points to other files or claims to be larger than it is."""
    import h5py

    total = 0
    with h5py.File(path, "r") as data:
        stack = [data]
        while stack:
            group = stack.pop()
            for name in group:
                if not isinstance(group.get(name, getlink=True), h5py.HardLink):
                    raise ConvertError(tr("The weights in this file point elsewhere; they are not used."))
                item = group[name]
                if isinstance(item, h5py.Group):
                    stack.append(item)
                    continue
                total += item.size * item.dtype.itemsize
                if item.external or item.is_virtual or total > MAX_UNPACKED_BYTES:
                    raise ConvertError(
                        tr("The weights in this file point elsewhere or are too large; they are not used.")
                    )


def _modernize(source: Path, target: Path) -> None:
    """Copy an HDF5 file of Keras 1 or 2, its description checked and put as Keras 3 understands it."""
    import h5py

    shutil.copyfile(source, target)
    with h5py.File(target, "r+") as data:
        config = data.attrs.get("model_config")
        if config is None:
            raise ConvertError(tr("This file holds weights alone, without the network; save the whole model."))
        root = json.loads(config)
        for part in _parts(root):
            _modernize_part(part)
        data.attrs["model_config"] = json.dumps(root)


def _modernize_part(part: dict) -> None:
    name, config = part.get("class_name"), part.get("config")
    if name is None:
        return
    if name not in f"{LAYERS} {OTHERS} {VALUES} Functional Model Sequential".split():
        raise _unknown(name)
    # Keras 2 wrote some parts one way and some the other; without these, all are read the old way.
    for key in ("module", "registered_name", "build_config", "compile_config"):
        part.pop(key, None)
    if isinstance(config, dict):
        if isinstance(config.get("dtype"), dict):
            config["dtype"] = "float32"
        if name != "InputLayer":
            config.pop("batch_input_shape", None)
        for key in ("input_layers", "output_layers"):  # else a network inside another gives a list of one
            if isinstance(ends := config.get(key), list) and len(ends) == 1:
                config[key] = ends[0]
        if name == "DepthwiseConv2D":  # the only value was 1; Keras 3 does not know it
            config.pop("groups", None)


def load_checked(path: Path) -> "keras.Model":
    """The ``keras.Model`` of a file, if all is well with it. Only ever called in a process of its own."""
    old = _is_hdf5(path)
    if not old:
        check_archive(path)
    with tempfile.TemporaryDirectory() as folder:
        weights = Path(folder) / "model.h5"
        try:
            if old:
                _check_weights(path)
                _modernize(path, weights)
            else:
                with zipfile.ZipFile(path) as file, file.open("model.weights.h5") as member, weights.open("wb") as copy:
                    shutil.copyfileobj(member, copy)
                _check_weights(weights)
        except ConvertError:
            raise
        except Exception as error:
            print(error, file=sys.stderr)
            raise ConvertError(tr("The weights in this file are damaged; save the model again.")) from None
        import keras

        try:
            model = keras.models.load_model(weights if old else path, safe_mode=True, compile=False)
        except Exception as error:
            print(error, file=sys.stderr)
            raise ConvertError(
                tr(
                    "Keras 3 cannot load this model; save it again with Keras 3, or export the model as TensorFlow "
                    "Lite (.tflite)."
                )
            ) from None
    shape, out = getattr(model, "input_shape", None), getattr(model, "output_shape", None)
    side = shape[1] if isinstance(shape, tuple) and len(shape) == 4 else None
    if shape != (None, side, side, 3) or not isinstance(side, int) or not SIDES[0] <= side <= SIDES[1]:
        words = tr("This model takes {shape}; needed is one square colour image of {low} to {high} pixels.")
        raise ConvertError(words.format(shape=shape, low=SIDES[0], high=SIDES[1]))
    if not isinstance(out, tuple) or len(out) != 2 or not isinstance(out[1], int) or not 1 <= out[1] <= MAX_OUTPUTS:
        words = tr("This model gives {shape}; needed is one number for each of up to {count} classes.")
        raise ConvertError(words.format(shape=out, count=MAX_OUTPUTS))
    return model


def _to_litert(source: Path, target: Path) -> None:
    model = load_checked(source)
    import numpy as np

    from train.export.litert import export_litert

    export_litert(model, target, "fp16", np.empty((0, *model.input_shape[1:])))


def _to_onnx(source: Path, target: Path) -> None:
    model = load_checked(source)
    import numpy as np

    from core.io import write_atomic

    model(np.zeros((1, *model.input_shape[1:]), np.float32))  # Keras exports only what has been called
    write_atomic(target, lambda path: model.export(str(path), format="onnx", verbose=False))


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(prog="python -m train.export.convert", allow_abbrev=False)
    parser.add_argument("kind", choices=("litert", "onnx"))
    parser.add_argument("source", type=Path)
    parser.add_argument("target", type=Path)
    given = parser.parse_args()
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    limit_this_process(ADDRESS_BYTES, int(LIMIT_S) * 2, 4 * MAX_UNPACKED_BYTES)
    if given.kind == "litert":
        _to_litert(given.source, given.target)
    else:
        _to_onnx(given.source, given.target)


if __name__ == "__main__":
    try:
        main()
    except (ConvertError, OSError) as error:
        sys.exit(f"train.export.convert: {error}")
