"""Model files that people bring: looked at from outside, tried in a process of their own, and only then installed.

A hostile file may make the interpreter crash or never end; that costs the process it was tried in, nothing else.
``python -m core.registry.upload FILE`` is that process.
"""

import contextlib
import dataclasses
import io
import json
import re
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable, Mapping
from datetime import date
from pathlib import Path, PurePosixPath

import numpy as np
import scipy.special

from core.access import for_operators
from core.config import models_dir
from core.io import write_atomic
from core.language import mark, number, tr
from core.process import MODEL_BYTES, limit_this_process
from core.registry.sandbox import run_apart
from core.registry.store import CARD, MODEL, install_model
from core.vision.brought import FACE_S, AnyClassifier, per_class
from core.vision.classes import is_class_name
from core.vision.model_card import PIXELS, ModelCard, ModelError, file_sha256

MAX_BYTES = 50_000_000
FLATBUFFER_ID, HDF5_ID, ZIP_ID = b"TFL3", b"\x89HDF\r\n\x1a\n", b"PK\3\4"
UPLOAD_TYPES = ("tflite", "keras", "h5", "hdf5", "zip")
TRIAL_LIMIT_S = 60.0
MARGIN = 0.15
WHOLE = "0..255"
MAX_MEMBERS, MAX_LABELS_BYTES = 1000, 100_000
OTHER_KINDS = {
    "saved_model.pb": mark("a TensorFlow SavedModel"),
    "model.json": mark("a TensorFlow.js model"),
    ".onnx": mark("an ONNX model"),
    ".pt": mark("a PyTorch model"),
    ".pth": mark("a PyTorch model"),
    ".pkl": mark("a pickled model"),
    ".mlmodel": mark("a Core ML model"),
}
"""Endings of files that are known and cannot be read."""
EXPORT = "export the model as TensorFlow Lite (.tflite)"


@dataclasses.dataclass(frozen=True)
class ModelFile:
    """What was found in an upload."""

    kind: str
    """``tflite``, ``keras`` or ``h5``."""
    data: bytes
    labels: tuple[str, ...] = ()
    """Names of its classes, where the upload has them."""
    pixels: str = ""
    """The scale of its pixels, a key of ``PIXELS``, if the file's name tells."""


@dataclasses.dataclass(frozen=True)
class ModelFacts:
    """What a trial tells of a LiteRT file."""

    input_size: int
    """Side of its square input in pixels."""
    classes: int
    """Number of classes that its outputs tell apart; one output stands for two."""
    output: str
    """``probabilities`` if its outputs lie in 0..1, else ``logits``."""
    ms_per_face: float
    answers: dict[str, list[list[float]]] = dataclasses.field(default_factory=dict)
    """By each scale of pixels (a key of ``PIXELS``) with which it works: the probability of each class for the sample
    face, bare and with a mask. One scale alone where the file says which."""


def open_uploads(files: Mapping[str, bytes]) -> ModelFile:
    """The model in files that were brought together: it, or a zip with it, and perhaps a list of its class names.

    Args:
        files: names and contents; those that end in ``.txt`` name classes.

    Raises:
        ModelError: as ``open_upload``; or there is more than one model or list.
    """
    lists = {name for name in files if PurePosixPath(name).suffix.lower() == ".txt"}
    models = [data for name, data in files.items() if name not in lists]
    if not models:
        raise ModelError(tr("This is a list of class names; choose the model's file together with it."))
    if len(models) > 1 or len(lists) > 1:
        raise ModelError(
            tr("These are several models or lists of class names; choose one model, and its list, if any.")
        )
    found = open_upload(models[0])
    if not found.pixels:
        found = dataclasses.replace(found, pixels=_pixels_of(next(name for name in files if name not in lists)))
    for name in lists:
        if len(files[name]) > MAX_LABELS_BYTES:
            raise ModelError(tr("This list of class names is far too long; choose the right one."))
        found = dataclasses.replace(found, labels=read_labels(files[name].decode("utf-8-sig", "replace")))
    return found


def open_upload(data: bytes) -> ModelFile:
    """The model in an upload: the file itself, or the only one in a zip, with the class names beside it.

    Raises:
        ModelError: there is none, or more than one.
    """
    if len(data) > MAX_BYTES:
        raise _too_large(len(data))
    kind = _kind(data)
    try:
        if kind == "tflite":  # one with metadata has a zip at its end
            return ModelFile(kind, data, _members(data)[1] if zipfile.is_zipfile(io.BytesIO(data)) else ())
        if kind:
            return ModelFile(kind, data)
        if not data.startswith(ZIP_ID):
            raise ModelError(
                tr(
                    "This file is no LiteRT or Keras model; "
                    "export the model as TensorFlow Lite (.tflite) and try again."
                )
            )
        models, labels, names = _members(data)
    except ModelError:
        raise
    except Exception:  # a damaged archive shows in many ways
        if kind == "tflite":
            return ModelFile(kind, data)
        raise ModelError(tr("This archive is damaged or locked; pack it again.")) from None
    if len(models) == 1:
        ((name, model),) = models
        return ModelFile(_kind(model), model, labels, _pixels_of(name))
    if models:
        sentence = tr("This archive holds {count} models; pack the one that is meant.")
        raise ModelError(sentence.format(count=number(len(models))))
    for ending, words in OTHER_KINDS.items():
        if any(name.endswith(ending) for name in names):
            sentence = tr(
                "This archive holds {kind}, which cannot be imported; "
                "export the model as TensorFlow Lite (.tflite) instead."
            )
            raise ModelError(sentence.format(kind=tr(words)))
    raise ModelError(
        tr("This archive holds no LiteRT or Keras model; export the model as TensorFlow Lite (.tflite) and try again.")
    )


def _too_large(size: int) -> ModelError:
    sentence = tr("This file has {size} MB; models may have {limit} MB at most.")
    return ModelError(sentence.format(size=number(size / 1e6, ".0f"), limit=number(MAX_BYTES / 1e6, ".0f")))


def _kind(data: bytes) -> str:
    if data[4:8] == FLATBUFFER_ID:
        return "tflite"
    if data.startswith(HDF5_ID):
        return "h5"
    if data.startswith(ZIP_ID):
        with contextlib.suppress(Exception), zipfile.ZipFile(io.BytesIO(data)) as file:
            return "keras" if "model.weights.h5" in file.namelist() else ""
    return ""


def _pixels_of(name: str) -> str:
    """Teachable Machine gives its exports these names, and trains on pixels of one scale."""
    return "-1..1" if PurePosixPath(name).name.lower() in ("keras_model.h5", "model_unquant.tflite") else ""


def _members(data: bytes) -> tuple[list[tuple[str, bytes]], tuple[str, ...], list[str]]:
    """The models in an archive with their names, the class names, and the names of all files."""
    models: list[tuple[str, bytes]] = []
    labels: tuple[str, ...] = ()
    names: list[str] = []
    with zipfile.ZipFile(io.BytesIO(data)) as file:
        for entry in file.infolist()[:MAX_MEMBERS]:
            path = PurePosixPath(entry.filename)
            if "__MACOSX" in path.parts or path.name.startswith("."):
                continue
            names.append(path.name.lower())
            limit = MAX_LABELS_BYTES if path.suffix.lower() == ".txt" else MAX_BYTES
            if path.suffix.lower().lstrip(".") not in (*UPLOAD_TYPES, "txt") or entry.file_size > limit:
                continue
            with file.open(entry) as member:
                found = member.read(limit + 1)
            if limit == MAX_BYTES and _kind(found) and len(found) <= limit:
                models.append((path.name, found))
            elif limit == MAX_LABELS_BYTES and (not labels or "label" in path.name.lower()):
                labels = read_labels(found.decode("utf-8-sig", "replace"))
    return models, labels, names


def read_labels(text: str) -> tuple[str, ...]:
    """Class names, one a line; numbers before them, as Teachable Machine writes, give their order and are cut off.

    >>> read_labels("1 Without Mask\\n0 With Mask\\n")
    ('With Mask', 'Without Mask')
    >>> read_labels("0\\n1")
    ('0', '1')
    """
    lines = [" ".join(line.split()) for line in text.splitlines() if line.strip()]
    numbered = [match for line in lines if (match := re.fullmatch(r"(\d{1,3})[ :,;.)=-]+(.*\S)", line))]
    order = sorted(numbered, key=lambda match: int(match[1]))
    numbers = [int(match[1]) for match in order]
    if lines and len(numbered) == len(lines) and numbers in (list(range(len(lines))), list(range(1, len(lines) + 1))):
        lines = [match[2] for match in order]
    return tuple(lines)


@for_operators
def check_litert(path: Path | str, limit_s: float = TRIAL_LIMIT_S, report: Callable = lambda *_: None) -> ModelFacts:
    """Whether a LiteRT file can classify faces: size and kind, then a trial in a process of its own.

    Args:
        path: the file.
        limit_s: the trial may take so long.
        report: called with (0, 0, words) twice a second; what it raises ends the trial.

    Raises:
        ModelError: it cannot; one sentence says why.
    """
    path = Path(path)
    size = path.stat().st_size
    if size > MAX_BYTES:
        raise _too_large(size)
    with path.open("rb") as file:
        head = file.read(8)
    if head[4:8] != FLATBUFFER_ID:
        raise ModelError(tr("This file is no LiteRT model (.tflite); export the model again."))
    code, printed, complaint = run_apart("core.registry.upload", str(path), limit_s=limit_s, report=report)
    if code is None:
        sentence = tr("This model did not answer within {limit} seconds; it cannot be used here.")
        raise ModelError(sentence.format(limit=number(limit_s, ".0f")))
    if code < 0:
        raise ModelError(tr("This file makes the model runner crash; it is damaged or not meant to work."))
    if code:
        raise ModelError(complaint.removeprefix("core.registry.upload: ") or tr("This model cannot be tried here."))
    try:
        return ModelFacts(**json.loads(printed))
    except (ValueError, TypeError):
        raise ModelError(tr("This model cannot be tried here; export it again.")) from None


@for_operators
def install_uploaded(
    path: Path | str,
    facts: ModelFacts,
    name: str,
    classes: tuple[str, ...],
    margin: float = MARGIN,
    folder: Path | str | None = None,
    pixels: str = WHOLE,
) -> ModelCard:
    """Put a checked LiteRT file among the app's models, with a card that says where it is from.

    Args:
        path: the file.
        facts: of ``check_litert``.
        name: letters, digits, - and _; no model may have it yet.
        classes: what its outputs mean, in their order.
        margin: share of a face's longer side that is added around it.
        folder: the app's models.
        pixels: a key of ``PIXELS``, the scale that it was trained on.

    Raises:
        ModelError: names do not fit.
    """
    name, classes = name.strip(), tuple(each.strip() for each in classes)
    if len(classes) != facts.classes:
        sentence = tr("The model has {classes} classes, {names} names are given; give one for each.")
        raise ModelError(sentence.format(classes=number(facts.classes), names=number(len(classes))))
    if len(set(classes)) < len(classes) or not all(map(is_class_name, classes)):
        raise ModelError(tr("The class names must be short and all different; change them."))
    if not name.isascii() or not name.replace("-", "").replace("_", "").isalnum() or len(name) > 60:
        raise ModelError(tr("The model's name may have letters, digits, - and _; change it."))
    if (Path(folder or models_dir()) / f"{name}.json").exists():
        raise ModelError(tr("There is a model {name!r} already; choose another name.").format(name=name))
    with tempfile.TemporaryDirectory() as made:
        run = Path(made)
        data = Path(path).read_bytes()
        write_atomic(run / MODEL, lambda temporary: temporary.write_bytes(data))
        ModelCard(
            name=name,
            file=MODEL,
            sha256=file_sha256(run / MODEL),
            classes=classes,
            input_size=facts.input_size,
            margin=margin,
            output=facts.output,
            pixels=pixels,
            precision=mark("as uploaded"),
            date=date.today().isoformat(),
            limits=mark("Uploaded: what it was trained on and how well it does is not known here."),
        ).save(run / CARD)
        try:
            return install_model(run, name, folder)
        except ValueError as error:
            raise ModelError(str(error)) from None


def try_litert(path: Path) -> ModelFacts:
    """Load and run a file as the app would; only ever called in a process of its own.

    Raises:
        ModelError: it is not what the app needs.
    """
    from core.synthetic.sample import SAMPLE_FACE_XYXY, sample_photo
    from core.vision.crops import crop_faces

    network = AnyClassifier(path, num_threads=1)
    box = np.array([SAMPLE_FACE_XYXY], np.float32)
    faces = [crop_faces(sample_photo(masked), box, network.side, MARGIN)[0] for masked in (False, True)]
    ramp = np.linspace(0, 255, faces[0].size).reshape(faces[0].shape)
    noise = np.random.default_rng(0).integers(0, 256, ramp.shape)
    plain = [each.astype(np.uint8) for each in (np.zeros_like(ramp), np.full_like(ramp, 255), ramp, noise)]
    given: dict[str, np.ndarray] = {}
    try:
        for pixels in PIXELS if network.takes_float else [WHOLE]:
            rows = np.stack([network(picture, pixels) for picture in (*faces, *plain)])
            if np.isfinite(rows).all():
                given[pixels] = rows
        started = time.perf_counter()
        network(faces[0], WHOLE)
        ms = (time.perf_counter() - started) * 1000
    except (ValueError, RuntimeError, TypeError, MemoryError):
        raise ModelError(tr("This model cannot be run here; it is damaged, or uses unusual operations.")) from None
    if not given:
        raise ModelError(tr("This model gives no numbers for plain images; it is damaged."))
    if ms > 1000 * FACE_S:
        sentence = tr("This model takes {seconds} seconds for one face; that is too slow for this app.")
        raise ModelError(sentence.format(seconds=number(ms / 1000, ".1f")))
    every = np.concatenate(list(given.values()))
    output = "probabilities" if every.min() >= -1e-3 and every.max() <= 1 + 1e-3 else "logits"
    answers = {}
    for pixels, rows in given.items():
        shares = per_class(rows[:2], output)
        answers[pixels] = (scipy.special.softmax(shares, axis=1) if output == "logits" else shares).tolist()
    return ModelFacts(network.side, max(2, network.outputs), output, round(ms, 2), answers)


if __name__ == "__main__":
    limit_this_process(MODEL_BYTES, int(TRIAL_LIMIT_S))
    try:
        print(json.dumps(dataclasses.asdict(try_litert(Path(sys.argv[1])))))
    except ModelError as error:
        sys.exit(f"core.registry.upload: {error}")
    except Exception:
        sentence = tr("This model cannot be tried here; it is damaged.")
        sys.exit(f"core.registry.upload: {sentence}")
