"""The app as a user starts it, for the tests that need a server."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.helpers import ROOT

START_S = 60


@contextmanager
def running_app(home: Path, **environment: str) -> Iterator[tuple[str, int]]:
    """Its address and process number, on a free port, without data sets and runs; ended afterwards.

    Args:
        home: an empty folder, for data sets and runs.
        environment: variables that it gets beside those of this process.
    """
    folders = {"MASK_DATA_DIR": str(home / "data"), "MASK_RUNS_DIR": str(home / "runs")}
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    server = subprocess.Popen(
        [
            *(sys.executable, "-m", "streamlit", "run", "streamlit_app.py", "--server.headless", "true"),
            *("--server.port", str(port), "--server.address", "127.0.0.1"),
        ],
        cwd=ROOT,
        env=os.environ | folders | environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        end = time.monotonic() + START_S
        while True:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            assert server.poll() is None and time.monotonic() < end, "the app does not start"
            time.sleep(0.1)
        yield f"http://127.0.0.1:{port}", server.pid
    finally:
        server.terminate()
        server.wait(20)
