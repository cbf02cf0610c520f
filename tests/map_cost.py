"""What the map of a data set costs: ``python -m tests.map_cost DATA/prajnasb``.

The set is copied, so that nothing of it is known before; seconds, and processor seconds of all threads.
"""

import argparse
import os
import shutil
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from core.datasets.features import face_map, find_features, open_features
from core.datasets.index import build_index
from core.datasets.store import find_dataset
from core.vision.explain import load_explainer

T = TypeVar("T")


def timed(what: str, work: Callable[[], T]) -> T:
    """What ``work`` gives; prints how long it takes."""
    started, used = time.monotonic(), time.process_time()
    result = work()
    taken, used = time.monotonic() - started, time.process_time() - used
    print(f"{what:40}{taken:8.1f} s, {used:8.1f} s of processor time", flush=True)
    return result


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m tests.map_cost", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("folder", type=Path, help="of the data set")
    folder = parser.parse_args().folder
    network = load_explainer()
    with tempfile.TemporaryDirectory() as data:
        os.environ["MASK_DATA_DIR"] = data
        shutil.copytree(folder, Path(data) / "set")
        index = timed("the index, without which there is no page", lambda: build_index(find_dataset("set")))
        timed("the shipped classifier looks at the faces", lambda: find_features(index, network))
        timed("once more, nothing is new", lambda: find_features(index, network))
        found = timed("what is kept is read", lambda: open_features(index, network.card.sha256))
        drawn = timed("the two axes", lambda: face_map(index, found))
        print(f"{len(index.faces.items)} faces, {len(drawn.faces)} points, {drawn.share:.0%} of the differences")


if __name__ == "__main__":
    main()
