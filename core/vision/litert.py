"""LiteRT files: opened, checked and run at whatever size the input has."""

import os
from pathlib import Path

import numpy as np

from core.config import models_dir
from core.language import tr
from core.vision.model_card import ModelCard, ModelError, file_sha256, load_card

# More threads than this gain nothing on networks this small and starve the video threads.
MAX_THREADS = 4
_threads = min(MAX_THREADS, os.cpu_count() or 1)


def use_threads(number: int) -> None:
    """Let every network that is loaded from now on have so many threads, if its owner does not say how many."""
    global _threads
    _threads = number


class Network:
    """One LiteRT file. Not safe to share between threads: the owner has a lock."""

    def __init__(self, path: Path | str, num_threads: int | None = None):
        """Load a file.

        Raises:
            ModelError: the file is missing or broken.
        """
        from ai_edge_litert.interpreter import Interpreter

        path = Path(path)
        if not path.is_file():
            sentence = tr("The model file {file} is missing; restore it or train the model again.")
            raise ModelError(sentence.format(file=path.name))
        try:
            self._interpreter = Interpreter(str(path), num_threads=num_threads or _threads)
            (self._input,) = self._interpreter.get_input_details()
            self._outputs = self._interpreter.get_output_details()
        except (ValueError, RuntimeError, TypeError) as error:
            sentence = tr("{file} is not a usable LiteRT model ({reason}).")
            raise ModelError(sentence.format(file=path.name, reason=error)) from None
        self.input_shape = tuple(int(n) for n in self._input["shape"])
        self.output_shapes = [tuple(int(n) for n in output["shape"]) for output in self._outputs]
        self._shape: tuple[int, ...] = ()

    def __call__(self, pixels_rgb: np.ndarray) -> list[np.ndarray]:
        """(n, h, w, 3) uint8 in; the outputs as float32, each (n, …)."""
        if pixels_rgb.shape != self._shape:
            self._shape = ()  # should the next lines fail, the next call starts over
            self._interpreter.resize_tensor_input(self._input["index"], pixels_rgb.shape)
            self._interpreter.allocate_tensors()
            self._shape = pixels_rgb.shape
        self._interpreter.set_tensor(self._input["index"], pixels_rgb.astype(self._input["dtype"], copy=False))
        self._interpreter.invoke()
        return [self._interpreter.get_tensor(output["index"]) for output in self._outputs]


def checked_model(name: str, kind: str, folder: Path | str | None = None) -> tuple[ModelCard, Path]:
    """The card of a model of ``models/`` and its file.

    Raises:
        ModelError: there is no such model, it is of another kind, or its file is not the one its card describes.
    """
    folder = Path(folder or models_dir())
    card = load_card(folder / f"{name}.json")
    if card.kind != kind:
        sentence = tr("The model {name} is a {kind}, not a {wanted}; choose another one.")
        raise ModelError(sentence.format(name=name, kind=tr(card.kind), wanted=tr(kind)))
    path = folder / card.file
    if path.is_file() and file_sha256(path) != card.sha256:
        sentence = tr("{file} is not the file that its card describes; restore both or train the model again.")
        raise ModelError(sentence.format(file=path.name))
    return card, path
