"""Export the shipped detector anew: ``python -m train.detector.reexport --start WEIGHTS --out DIR --data DIR …``.

For a better export or better labels, without training. All other settings are those of ``train.detector``, as in the
run that made the weights. Calibration, scores and figures are those of the validation photos of now; what the card says
of training and data stays. ``train.publish`` then takes the folder as it takes a run.
"""

import argparse
import dataclasses
import os
from datetime import date
from pathlib import Path

from core.config import models_dir
from core.datasets.faces import DataError
from core.vision.detector import DEFAULT_DETECTOR
from core.vision.model_card import file_sha256, load_card
from train.config import DetectorConfig, add_settings, parse_config, versions
from train.detector.finish import export, settled
from train.run_folder import CARD, MODEL, WEIGHTS, ending_with_a_sentence


def reexport(config: DetectorConfig) -> None:
    """Write file, weights and card of the shipped detector into the folder of the configuration.

    Raises:
        DataError: the data or the weights cannot be used.
        ModelError: the shipped detector's card is missing.
    """
    if not Path(config.start).is_file():
        raise DataError(f"There are no weights {config.start!r}; name them with --start.")
    card = load_card(models_dir() / f"{DEFAULT_DETECTOR}.json")
    scenes, out = config.load_scenes(), Path(config.out)
    from train.detector.trainer import load_weights, write_weights

    try:
        model = load_weights(config.start)
    except (OSError, ValueError, KeyError) as error:
        raise DataError(f"The weights {config.start!r} cannot be read: {error}") from None
    out.mkdir(parents=True, exist_ok=True)
    write_weights(model, out / WEIGHTS)
    export(model, scenes, config, out / MODEL)
    card = dataclasses.replace(
        card,
        file=MODEL,
        sha256=file_sha256(out / MODEL),
        precision=config.precision,
        date=date.today().isoformat(),
        versions=versions("keras", "tensorflow", "numpy", "opencv-python-headless"),
    )
    settled(card, out / MODEL, scenes, config).save(out / CARD)


def main(arguments: list[str] | None = None) -> None:
    """Command line."""
    parser = argparse.ArgumentParser(
        prog="python -m train.detector.reexport", description="Export a detector anew.", allow_abbrev=False
    )
    parser.add_argument("--data", action="append", required=True, metavar="DIR", help="as for its training")
    parser.add_argument("--out", required=True, metavar="DIR", help="folder to write")
    add_settings(parser, DetectorConfig)
    config = parse_config(parser, DetectorConfig, arguments)
    # The export needs TensorFlow; Keras asks when it is imported.
    os.environ["KERAS_BACKEND"] = "tensorflow"
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    reexport(config)


if __name__ == "__main__":
    with ending_with_a_sentence("train.detector.reexport"):
        main()
