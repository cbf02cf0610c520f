"""Whether memory grows with the number of photos: ``python -m tests.batch_memory [--photos 10000]``.

Small photos are made and scored with ``python -m core detect`` at the fastest preset, by two processes; printed is the
memory of the program with its processes, in ten parts of the work.
"""

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import cv2
import psutil

from core.batch.results import LINES
from core.synthetic.sample import sample_photo
from core.vision.images import encode_image
from tests.helpers import ROOT

SIDE = 256


def megabytes(program: psutil.Process) -> float:
    """Of a program and all that it started."""
    return sum(each.memory_info().rss for each in [program, *program.children(recursive=True)]) / 1e6


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.batch_memory")
    parser.add_argument("--photos", type=int, default=10_000, metavar="N")
    number = parser.parse_args().photos
    with tempfile.TemporaryDirectory() as name:
        photos, out = Path(name) / "photos", Path(name) / "out"
        photos.mkdir()
        data = [encode_image(cv2.resize(sample_photo(masked), (SIDE, SIDE))) for masked in (False, True)]
        for i in range(number):
            (photos / f"{i:06}.jpg").write_bytes(data[i % 2])
        command = [sys.executable, "-m", "core", "detect", str(photos), "--out", str(out), "--preset", "fast"]
        started, tenth, most = time.monotonic(), 1, 0.0
        with subprocess.Popen([*command, "--workers", "2"], cwd=ROOT, stderr=subprocess.DEVNULL) as process:
            program = psutil.Process(process.pid)
            while process.poll() is None:
                try:
                    most = max(most, megabytes(program))
                except psutil.Error:  # it has just ended
                    continue
                if (out / LINES).exists() and (out / LINES).read_bytes().count(b"\n") >= tenth * number / 10:
                    print(f"{tenth * number // 10:,} photos: at most {most:.0f} MB since the last line", flush=True)
                    tenth, most = tenth + 1, 0.0
                time.sleep(0.2)
        print(f"{number:,} photos in {time.monotonic() - started:.0f} s")


if __name__ == "__main__":
    main()
