"""Work on what a visitor brought, in a process of its own with limits on time and memory."""

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable

from core.config import HOME

# Address space of a trial: far more than a model of that size needs, far less than would hurt the server.
TRIAL_BYTES = 6_000_000_000


def run_apart(
    module: str, *arguments: str, limit_s: float, report: Callable = lambda *_: None, words: str = "Trying the model"
) -> tuple[int | None, str, str]:
    """Run a module of this project in a process of its own.

    Returns:
        Its exit code, ``None`` if it had to be ended for taking too long, what it printed, and its last complaint.
    """
    with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as errors:
        child = subprocess.Popen(
            [sys.executable, "-m", module, *arguments],
            cwd=HOME,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=errors,
            start_new_session=True,
        )
        try:
            end = time.monotonic() + limit_s
            while child.poll() is None and time.monotonic() < end:
                report(0, 0, words)
                with contextlib.suppress(subprocess.TimeoutExpired):
                    child.wait(0.5)
            code = child.poll()
        finally:
            _end(child)
        out.seek(0)
        errors.seek(0)
        complaint = [line.strip() for line in errors.read()[-20_000:].splitlines() if line.strip()]
        return code, out.read()[-20_000:], complaint[-1] if complaint else ""


def _end(child: subprocess.Popen) -> None:
    """Kill a process with all that it started."""
    if child.poll() is None:
        if os.name == "posix":
            with contextlib.suppress(ProcessLookupError):
                os.killpg(child.pid, signal.SIGKILL)
        else:
            child.kill()
    child.wait()


def limit_this_process(address_bytes: int, seconds: int, file_bytes: int = 200_000_000) -> None:
    """Let this process take so much memory and computing time and no more, where the system can."""
    try:
        import resource
    except ImportError:  # Windows
        return
    limits = ((resource.RLIMIT_AS, address_bytes), (resource.RLIMIT_CPU, seconds), (resource.RLIMIT_CORE, 0))
    for kind, value in (*limits, (resource.RLIMIT_FSIZE, file_bytes)):
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(kind, (value, value))
