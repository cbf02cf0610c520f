"""Classifiers that somebody brought: each runs in a process of its own, answers in time, and its answers are checked.

A file may pass its trial and still loop for ever on some face. That costs its process, which is replaced at the next
call. ``python -m core.vision.brought FILE SIZE CLASSES PIXELS OUTPUT THREADS`` is that process: it reads a number of
faces and their pixels, and writes so many rows of float32; nothing is unpickled on either side.
"""

import contextlib
import math
import os
import signal
import subprocess
import sys
import threading
import weakref
from collections.abc import Callable
from pathlib import Path

import numpy as np

from core.config import HOME
from core.language import number, tr
from core.process import MODEL_BYTES, end_process, limit_this_process
from core.vision.model_card import PIXELS, ModelCard, ModelError

SIDES = (32, 512)
"""Least and largest input in pixels."""
MAX_OUTPUTS = 100
START_S, CALL_S, FACE_S = 30.0, 5.0, 1.0
"""Time for starting the process, for a call, and for each of its faces; models are imported up to ``FACE_S`` a face."""


class ModelFailure(ModelError):
    """A model that was in use broke down, or did not answer in time."""


class AnyClassifier:
    """A LiteRT classifier as other tools write them: one picture in, one number for each class out.

    Takes float32, uint8 or int8 pixels, channels last or first. One of one output counts as the second of two classes.
    Not safe to share between threads.
    """

    def __init__(self, path: Path | str, num_threads: int | None = None):
        """Load a file; only ever in a process of its own.

        Raises:
            ModelError: it is no such classifier; one sentence says why.
        """
        from ai_edge_litert.interpreter import Interpreter

        try:
            self._interpreter = Interpreter(str(path), num_threads=num_threads)
            inputs, outputs = self._interpreter.get_input_details(), self._interpreter.get_output_details()
        except (ValueError, RuntimeError, TypeError):
            raise ModelError(
                tr("This model cannot be run here; it is damaged, or uses operations that LiteRT does not know.")
            ) from None
        if len(inputs) != 1 or len(outputs) != 1:
            sentence = tr("This model has {inputs} inputs and {outputs} outputs; needed is one of each.")
            raise ModelError(sentence.format(inputs=len(inputs), outputs=len(outputs)))
        (self._input,), (self._output,) = inputs, outputs
        shape, out = tuple(map(int, self._input["shape"])), tuple(map(int, self._output["shape"]))
        self.side = shape[2] if len(shape) == 4 else 0
        self._channels_first = shape[1:] == (3, self.side, self.side)
        square = self._channels_first or shape[1:] == (self.side, self.side, 3)
        if not square or not SIDES[0] <= self.side <= SIDES[1]:
            sentence = tr("This model takes {shape}; needed is one square colour image of {least} to {most} pixels.")
            raise ModelError(sentence.format(shape=_times(shape), least=SIDES[0], most=SIDES[1]))
        self.outputs = math.prod(out) // max(1, shape[0])
        if self.outputs != max(out[1:], default=1) or not 1 <= self.outputs <= MAX_OUTPUTS:
            sentence = tr("This model gives {shape}; needed is one number for each of up to {most} classes.")
            raise ModelError(sentence.format(shape=_times(out), most=MAX_OUTPUTS))
        types = {kind: details["dtype"] for kind, details in (("in", self._input), ("out", self._output))}
        if not set(types.values()) <= {np.float32, np.uint8, np.int8}:
            raise ModelError(tr("This model works with other numbers than float32, uint8 or int8; export it so."))
        self.takes_float = types["in"] is np.float32
        """Whether the scale of its pixels can be chosen; whole numbers are 0..255 (or that less 128)."""
        if shape[0] != 1:
            self._interpreter.resize_tensor_input(self._input["index"], (1, *shape[1:]))
        self._interpreter.allocate_tensors()

    def __call__(self, crop_rgb: np.ndarray, pixels: str) -> np.ndarray:
        """(size, size, 3) uint8 in, scaled as ``PIXELS`` says; its outputs (m,) float32 as they come."""
        if self.takes_float:
            factor, offset = PIXELS[pixels]
            values = crop_rgb * np.float32(factor) + np.float32(offset)
        else:
            values = crop_rgb if self._input["dtype"] is np.uint8 else (crop_rgb ^ 128).view(np.int8)
        if self._channels_first:
            values = np.ascontiguousarray(values.transpose(2, 0, 1))
        self._interpreter.set_tensor(self._input["index"], values[None])
        self._interpreter.invoke()
        given = self._interpreter.get_tensor(self._output["index"]).reshape(-1).astype(np.float32)
        scale, zero = self._output["quantization"]
        return (given - zero) * np.float32(scale) if scale else given


def per_class(outputs: np.ndarray, kind: str) -> np.ndarray:
    """One number for each class, of whatever head: softmax, logits, one sigmoid, a sigmoid for each class.

    Args:
        outputs: (n, m) float32; where m is 1, it is that of the second of two classes.
        kind: ``probabilities``, which are made to sum to 1, or ``logits``.
    """
    if outputs.shape[1] == 1:
        first = 1 - outputs if kind == "probabilities" else np.zeros_like(outputs)
        outputs = np.concatenate([first, outputs], axis=1)
    if kind == "probabilities":
        outputs = np.clip(outputs, 1e-9, None)
        outputs = outputs / outputs.sum(axis=1, keepdims=True)
    return outputs


class BroughtNetwork:
    """A classifier in a process of its own. Safe to share between threads: one call at a time."""

    def __init__(self, card: ModelCard, path: Path | str, num_threads: int | None = None):
        """Args: ``path``, the card's file; ``num_threads``, all cores up to four if left out."""
        self._card, self._path, self._threads = card, Path(path), num_threads or min(4, os.cpu_count() or 1)
        self._lock = threading.Lock()
        self._child: subprocess.Popen | None = None
        self._end: Callable[[], object] = lambda: None
        self._failures, self._why = 0, ""

    def __call__(self, crops_rgb: np.ndarray) -> list[np.ndarray]:
        """(n, size, size, 3) uint8 in, n > 0; (n, classes) float32 out, as the card's ``output`` says.

        Raises:
            ModelFailure: it gave no answer in time, or none that means anything; a new process takes the next call.
        """
        failures = self._failures
        with self._lock:
            if failures != self._failures:  # it failed while this call waited; another wait would be no use
                raise ModelFailure(self._why)
            try:
                return [self._ask(crops_rgb)]
            except ModelFailure as error:
                self._failures, self._why = self._failures + 1, str(error)
                self._end()
                self._child = None
                raise

    def _ask(self, crops_rgb: np.ndarray) -> np.ndarray:
        limit_s = call_limit_s(len(crops_rgb)) + (0 if self._child else START_S)
        child = self._child or self._start()
        assert child.stdin and child.stdout
        late = threading.Event()

        def end() -> None:
            late.set()
            end_process(child)

        timer = threading.Timer(limit_s, end)
        timer.daemon = True
        timer.start()
        size = 4 * len(crops_rgb) * len(self._card.classes)
        answer = b""
        try:
            child.stdin.write(len(crops_rgb).to_bytes(4, "little") + crops_rgb.tobytes())
            child.stdin.flush()
            answer = child.stdout.read(size)
        except OSError:  # its end is told below
            pass
        finally:
            timer.cancel()
        name = self._card.name
        if late.is_set():
            sentence = tr("The model {name} did not answer within {limit} seconds and was stopped.")
            raise ModelFailure(sentence.format(name=name, limit=number(limit_s, ".0f")))
        if len(answer) != size:
            sentence = tr("The model {name} broke down; import it again or choose another one.")
            raise ModelFailure(sentence.format(name=name))
        rows = np.frombuffer(answer, np.float32).reshape(len(crops_rgb), -1)
        if not np.isfinite(rows).all():
            sentence = tr("The model {name} gives no usable numbers for some faces.")
            raise ModelFailure(sentence.format(name=name))
        return rows

    def _start(self) -> subprocess.Popen:
        card = self._card
        given = self._path, card.input_size, len(card.classes), card.pixels, card.output, self._threads
        child = self._child = subprocess.Popen(
            [sys.executable, "-m", "core.vision.brought", *map(str, given)],
            cwd=HOME,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        self._end = weakref.finalize(self, _end, child)  # also where a pipeline is forgotten, and when the app ends
        return child


def _end(child: subprocess.Popen) -> None:
    end_process(child)
    for pipe in (child.stdin, child.stdout):
        with contextlib.suppress(OSError):
            if pipe:
                pipe.close()


def call_limit_s(faces: int) -> float:
    """How long a call with so many faces may take."""
    return CALL_S + FACE_S * faces


def serve(path: str, size: str, classes: str, pixels: str, output: str, threads: str) -> None:
    """Answer requests on the standard streams until there are no more; the arguments are those of the module."""
    limit_this_process(MODEL_BYTES, None)
    # Should the app be gone while a model loops, nobody else would end this process.
    alarm = getattr(signal, "alarm", lambda seconds: None)  # Windows has none
    alarm(math.ceil(START_S))
    requests, answers = sys.stdin.buffer, os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what the runner prints does not get between the answers
    network = AnyClassifier(path, int(threads))
    shape = (network.side, network.side, 3)
    if (network.side, max(2, network.outputs)) != (int(size), int(classes)):
        sys.exit("The file does not fit its card.")
    alarm(0)
    while len(head := requests.read(4)) == 4:
        count = int.from_bytes(head, "little")
        alarm(math.ceil(call_limit_s(count)) + 1)
        crops = [np.frombuffer(requests.read(math.prod(shape)), np.uint8).reshape(shape) for _ in range(count)]
        rows = np.stack([network(crop, pixels) for crop in crops])
        answers.write(per_class(rows, output).tobytes())
        answers.flush()
        alarm(0)


def _times(shape: tuple[int, ...]) -> str:
    return " × ".join(map(str, shape)) or tr("one number")


if __name__ == "__main__":
    serve(*sys.argv[1:])
