"""Whether trainings take as long as was told before: ``python -m tests.training_time --weights FILE DATA/prajnasb …``.

Each set is trained on as the training page does it, with the quick recipe and with two epochs of the report's, all in
one folder of runs that is empty at first. Prints for each what was expected before, how long it took, and how long
after the beginning of the first stage with steps its curve had a point.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.helpers import ROOT
from train.config import RECIPE_PRESETS, TrainConfig
from train.estimate import count_faces, estimate_split
from train.run_folder import STEPS, read_progress

RECIPES: dict[str, dict] = {"quick": RECIPE_PRESETS["quick"]["settings"], "the report's, 2 epochs": {"epochs": 2}}


def train(config: TrainConfig, settings: dict) -> tuple[float, float | None]:
    """Seconds of the whole run, and from its first stage with steps to the first point of the curve."""
    options = [part for name, value in settings.items() for part in (f"--{name.replace('_', '-')}", str(value))]
    command = [
        *(sys.executable, "-m", "train.classifier", "--data", config.data[0], "--out", config.out),
        *("--imagenet-weights", config.imagenet_weights, *options),
    ]
    started = time.monotonic()
    stepping = point = None
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while process.poll() is None:
        now, folder = time.monotonic(), Path(config.out)
        if stepping is None and read_progress(folder).get("stage") == "head":
            stepping = now
        if point is None and (folder / STEPS).is_file() and (folder / STEPS).stat().st_size:
            point = now
        time.sleep(0.1)
    if process.returncode:
        raise SystemExit(f"The training of {config.data[0]} failed.")
    return time.monotonic() - started, None if stepping is None or point is None else max(0.0, point - stepping)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m tests.training_time", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--weights", required=True, help="ImageNet weights of MobileNetV2")
    parser.add_argument("data", nargs="+", type=Path, help="folders of data sets")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as runs:
        os.environ["MASK_RUNS_DIR"] = runs
        for recipe, settings in RECIPES.items():
            for number, folder in enumerate(given.data):
                out = Path(runs) / f"{recipe[:3]}{number}"
                config = TrainConfig((str(folder),), str(out), imagenet_weights=given.weights, **settings)
                plan = estimate_split([count_faces(folder, config.min_face)], config)
                took, point = train(config, settings)
                curve = "no curve seen" if point is None else f"a point of the curve after {point:.1f} s"
                print(
                    f"{recipe}, {folder.name}, {plan.faces} faces: {60 * plan.minutes:.0f} s expected, {took:.0f} s "
                    f"taken, {curve}",
                    flush=True,
                )


if __name__ == "__main__":
    main()
