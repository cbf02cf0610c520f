"""What a minute of video costs the server: ``python -m tests.film_cost [--seconds 60] [--people 10]``.

A film of 1280 × 720 pixels and 30 frames a second is made, in which people walk past, and analysed in a process of its
own: seconds, the most memory of that process, and who was counted.
"""

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from core.synthetic.sample_film import write_sample_film
from tests.helpers import ROOT

ANALYSE = """
import resource, sys, time
from functools import partial
from pathlib import Path
from core.video.film import analyse_film
from core.vision.pipeline import LIVE_SETTINGS, build_pipeline, detect_masks
from core.vision.stats import describe_film

detect = partial(detect_masks, pipeline=build_pipeline(), settings=LIVE_SETTINGS)
before, started, used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.monotonic(), time.process_time()
result = analyse_film(sys.argv[1], Path(sys.argv[2]), detect)
taken, used = time.monotonic() - started, time.process_time() - used
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print(f"{taken:.1f} s, {used:.1f} s of processor time; {peak / 1024:.0f} MB at most, {before / 1024:.0f} MB before")
print(f"{result.looks} of {result.frames} frames analysed. {describe_film(result.stats)}")
"""


def main() -> None:
    """Make the film, measure and print."""
    parser = argparse.ArgumentParser(prog="python -m tests.film_cost", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--seconds", type=float, default=60, help="length of the film, default 60")
    parser.add_argument("--people", type=int, default=10, help="how many walk past, default 10")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / "made.mp4"
        write_sample_film(path, given.people, given.seconds, (1280, 720), fps=30, face_share=0.1)
        print(f"{given.seconds:g} s, {given.people} people, {path.stat().st_size / 1e6:.1f} MB; {os.cpu_count()} cores")
        subprocess.run([sys.executable, "-c", ANALYSE, str(path), name], cwd=ROOT, check=True)
        print(f"{(Path(name) / 'annotated.mp4').stat().st_size / 1e6:.1f} MB annotated")


if __name__ == "__main__":
    main()
