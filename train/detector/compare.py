"""Weights side by side, before any is exported: ``python -m train.detector.compare --data DIR … --weights FILE …``.

Prints what each finds on completed validation photos at so many false alarms a photo, as ``operating_points`` counts
them, with 32-bit numbers and the calibration of a model that is there. ``--mix-with`` adds the mean of each with other
weights, as ``train.detector`` makes it at the end of a run.
"""

import argparse
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from core.datasets.extra import LABELS_DIR
from core.vision.detector import DEFAULT_DETECTOR, DEFAULT_PRESET, PRESETS, MaskDetector
from core.vision.litert import checked_model
from train.detector.__main__ import choose_backend
from train.detector.operating_points import (
    CANDIDATES,
    CURVE_AT,
    AnnotatedFrame,
    at_limits,
    figures,
    look_at,
    read_validation,
)

if TYPE_CHECKING:
    import keras

COLUMNS = {"recall": "found", "right of two": "found_and_right_two_state", "12 to 24 px": "small_found"}


class UnexportedDetector(MaskDetector):
    """The detector with a network that no LiteRT file holds yet."""

    def __init__(self, name: str, maps: Callable[[np.ndarray], np.ndarray]):
        """Args: a model of ``models/``, whose card counts; and (h, w, 3) uint8 RGB to (h/4, w/4, 8) float32."""
        self._maps = maps
        super().__init__(*checked_model(name, "detector", None))

    def _run(self, canvas_rgb: np.ndarray, scale_index: int) -> list[np.ndarray]:
        center, edges, states = np.split(self._maps(canvas_rgb), [1, 5], axis=-1)
        return [center, edges, states]


def read_network(path: Path) -> "keras.Model":
    """The Keras model of a run's ``last.keras``, averaged, or of weights as ``train.detector`` writes them.

    Raises:
        ValueError: the file is missing, broken, or of another network.
    """
    from train.detector.trainer import load_averaged, load_weights

    try:
        return load_averaged(path) if path.suffix == ".keras" else load_weights(path)
    except (OSError, KeyError) as error:
        raise ValueError(f"The weights {path} cannot be read: {error}") from None


def maps_of(model: "keras.Model") -> Callable[[np.ndarray], np.ndarray]:
    """What gives the maps of a Keras model, by PyTorch where that is the backend: in a third of the time."""
    import keras

    from train.detector.trainer import predict_maps

    if keras.backend.backend() != "torch":
        return lambda canvas_rgb: predict_maps(model, canvas_rgb)
    import torch

    from train.detector.folded import FoldedNetwork

    network = FoldedNetwork(model)

    def maps(canvas_rgb: np.ndarray) -> np.ndarray:
        with torch.no_grad():
            return np.asarray(network(torch.from_numpy(canvas_rgb[None].astype(np.float32)))[0])

    return maps


def main(arguments: list[str] | None = None) -> None:
    """Command line."""
    parser = argparse.ArgumentParser(
        prog="python -m train.detector.compare",
        description="Show what weights find on validation photos, before they are exported.",
        allow_abbrev=False,
    )
    parser.add_argument("--data", action="append", required=True, type=Path, metavar="DIR", help="several times")
    parser.add_argument("--labels", default=LABELS_DIR, metavar="DIR", help=f"default {LABELS_DIR}")
    parser.add_argument("--weights", action="append", required=True, type=Path, metavar="FILE", help="several times")
    parser.add_argument("--mix-with", type=Path, metavar="FILE", help="weights to average each with")
    parser.add_argument("--preset", default=DEFAULT_PRESET, choices=PRESETS, help=f"default {DEFAULT_PRESET}")
    parser.add_argument("--model", default=DEFAULT_DETECTOR, metavar="NAME", help="the detector whose card counts")
    given = parser.parse_args(arguments)
    photos = read_validation(given.data, given.labels)
    choose_backend()
    from train.detector.trainer import keep_layout, mix_weights

    keep_layout()
    print(
        f"{len(photos)} validation photos, {given.preset}, at false alarms a photo of {', '.join(map(str, CURVE_AT))}"
    )
    print(f"\n| weights | {' | '.join(COLUMNS)} |\n|---|{'---|' * len(COLUMNS)}")
    for path in given.weights:
        model = read_network(path)
        _print_row(str(path), photos, UnexportedDetector(given.model, maps_of(model)), given.preset)
        if given.mix_with:
            mix_weights(model, given.mix_with, 0.5)
            _print_row("their mean", photos, UnexportedDetector(given.model, maps_of(model)), given.preset)


def _print_row(name: str, photos: list[AnnotatedFrame], detector: MaskDetector, preset: str) -> None:
    seen = look_at(photos, detector, preset)
    rows = [figures(seen, score) for score in CANDIDATES]
    alarms = np.array([row["false_alarms_per_photo"] for row in rows])
    cells = [at_limits(alarms, np.array([row[key] for row in rows])) for key in COLUMNS.values()]
    print(f"| {name} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    try:
        main()
    except ValueError as error:
        sys.exit(f"train.detector.compare: {error}")
