"""Model files that people bring: looked at from outside, tried in a process of their own, and only then installed.

A hostile file may make the interpreter crash or never end; that costs the process it was tried in, nothing else.
``python -m core.registry.upload FILE`` is that process.
"""

import dataclasses
import json
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import date
from pathlib import Path

import numpy as np

from core.access import for_operators
from core.config import models_dir
from core.io import write_atomic
from core.process import MODEL_BYTES, limit_this_process
from core.registry.sandbox import run_apart
from core.registry.store import CARD, MODEL, install_model
from core.vision.classes import is_class_name
from core.vision.model_card import ModelCard, ModelError, file_sha256

MAX_BYTES = 50_000_000
FLATBUFFER_ID = b"TFL3"
SIDES = (96, 512)
"""Least and largest input in pixels."""
MAX_OUTPUTS = 100
TRIAL_LIMIT_S = 60.0
MAX_MS_PER_FACE = 1000.0


@dataclasses.dataclass(frozen=True)
class ModelFacts:
    """What a trial tells of a LiteRT file."""

    input_size: int
    """Side of its square input in pixels."""
    classes: int
    """Number of its outputs."""
    output: str
    """``probabilities`` if its outputs look like shares of 1, else ``logits``."""
    ms_per_face: float


@for_operators
def check_litert(path: Path | str, limit_s: float = TRIAL_LIMIT_S, report: Callable = lambda *_: None) -> ModelFacts:
    """Whether a LiteRT file can judge faces: size and kind, then a trial in a process of its own.

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
        raise ModelError(f"This file has {size / 1e6:.0f} MB; models may have {MAX_BYTES / 1e6:.0f} MB at most.")
    with path.open("rb") as file:
        head = file.read(8)
    if head[4:8] != FLATBUFFER_ID:
        raise ModelError("This file is no LiteRT model (.tflite); export the model again.")
    code, printed, complaint = run_apart("core.registry.upload", str(path), limit_s=limit_s, report=report)
    if code is None:
        raise ModelError(f"This model did not answer within {limit_s:.0f} seconds; it cannot be used here.")
    if code < 0:
        raise ModelError("This file makes the model runner crash; it is damaged or not meant to work.")
    if code:
        raise ModelError(complaint.removeprefix("core.registry.upload: ") or "This model cannot be tried here.")
    try:
        return ModelFacts(**json.loads(printed))
    except (ValueError, TypeError):
        raise ModelError("This model cannot be tried here; export it again.") from None


@for_operators
def install_uploaded(
    path: Path | str,
    facts: ModelFacts,
    name: str,
    classes: tuple[str, ...],
    margin: float = 0.15,
    folder: Path | str | None = None,
) -> ModelCard:
    """Put a checked LiteRT file among the app's models, with a card that says where it is from.

    Args:
        path: the file.
        facts: of ``check_litert``.
        name: letters, digits, - and _; no model may have it yet.
        classes: what its outputs mean, in their order.
        margin: share of a face's longer side that is added around it.

    Raises:
        ModelError: names do not fit.
    """
    name, classes = name.strip(), tuple(each.strip() for each in classes)
    if len(classes) != facts.classes:
        raise ModelError(f"The model has {facts.classes} outputs and {len(classes)} class names; give one for each.")
    if len(set(classes)) < len(classes) or not all(map(is_class_name, classes)):
        raise ModelError("The class names must be short and all different; change them.")
    if not name.isascii() or not name.replace("-", "").replace("_", "").isalnum() or len(name) > 60:
        raise ModelError("The model's name may have letters, digits, - and _; change it.")
    if (Path(folder or models_dir()) / f"{name}.json").exists():
        raise ModelError(f"There is a model {name!r} already; choose another name.")
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
            precision="as uploaded",
            date=date.today().isoformat(),
            limits="Uploaded: what it was trained on and how well it does is not known here.",
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
    from ai_edge_litert.interpreter import Interpreter

    from core.vision.litert import Network

    broken = "This model cannot be run here; it is damaged, or uses operations that LiteRT does not know."
    try:
        interpreter = Interpreter(str(path), num_threads=1)
        inputs, outputs = interpreter.get_input_details(), interpreter.get_output_details()
    except (ValueError, RuntimeError, TypeError):
        raise ModelError(broken) from None
    if len(inputs) != 1 or len(outputs) != 1:
        raise ModelError(f"This model has {len(inputs)} inputs and {len(outputs)} outputs; needed is one of each.")
    shape, out = tuple(map(int, inputs[0]["shape"])), tuple(map(int, outputs[0]["shape"]))
    side = shape[1] if len(shape) == 4 else 0
    if shape != (1, side, side, 3) or not SIDES[0] <= side <= SIDES[1]:
        raise ModelError(
            f"This model takes {_times(shape)}; needed is one square colour image of {SIDES[0]} to {SIDES[1]} pixels."
        )
    if len(out) != 2 or out[0] != 1 or not 2 <= out[1] <= MAX_OUTPUTS:
        raise ModelError(
            f"This model gives {_times(out)}; needed is one number for each of 2 to {MAX_OUTPUTS} classes."
        )
    if inputs[0]["dtype"] not in (np.uint8, np.float32) or outputs[0]["dtype"] != np.float32:
        raise ModelError("This model works with other numbers than uint8 or float32 in and float32 out; export it so.")
    ramp = np.linspace(0, 255, side * side * 3).reshape(side, side, 3)
    noise = np.random.default_rng(0).integers(0, 256, (side, side, 3))
    pictures = np.stack([np.zeros_like(ramp), np.full_like(ramp, 255), ramp, noise]).astype(np.uint8)
    try:
        network = Network(path, num_threads=1)
        one = [network(picture[None])[0] for picture in pictures]
        started = time.perf_counter()
        network(pictures[:1])
        ms = (time.perf_counter() - started) * 1000
    except (ValueError, RuntimeError, TypeError, ModelError, MemoryError):
        raise ModelError(broken) from None
    try:
        together = network(pictures[1:])[0]
    except (ValueError, RuntimeError):
        together = np.empty(0)
    if together.shape != (3, out[1]):
        raise ModelError("This model takes one image at a time only; export it with a free batch size.")
    rows = np.concatenate([*one, together])
    if not np.isfinite(rows).all():
        raise ModelError("This model gives no numbers for plain images; it is damaged.")
    if ms > MAX_MS_PER_FACE:
        raise ModelError(f"This model takes {ms / 1000:.1f} seconds for one face; that is too slow for this app.")
    shares = (rows >= -1e-3).all() and np.abs(rows.sum(axis=1) - 1).max() < 0.02
    return ModelFacts(side, out[1], "probabilities" if shares else "logits", round(ms, 2))


def _times(shape: tuple[int, ...]) -> str:
    return " × ".join(map(str, shape)) or "one number"


if __name__ == "__main__":
    limit_this_process(MODEL_BYTES, int(TRIAL_LIMIT_S))
    try:
        print(json.dumps(dataclasses.asdict(try_litert(Path(sys.argv[1])))))
    except ModelError as error:
        sys.exit(f"core.registry.upload: {error}")
    except Exception:
        sys.exit("core.registry.upload: This model cannot be tried here; it is damaged.")
