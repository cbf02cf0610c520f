"""Work on what a visitor brought, in a process of its own with limits on time and memory."""

import contextlib
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial

from core.config import HOME
from core.language import OF_PROCESS, current, tr
from core.process import end_process


def run_apart(
    module: str, *arguments: str, limit_s: float, report: Callable = lambda *_: None, words: str = ""
) -> tuple[int | None, str, str]:
    """Run a module of this project in a process of its own, in the language of now.

    Args:
        module: its name.
        arguments: its command line.
        limit_s: it may take so long.
        report: called with (0, 0, words) twice a second; what it raises ends the process.
        words: what is done, for people.

    Returns:
        Its exit code, ``None`` if it had to be ended for taking too long, what it printed, and its last complaint.
    """
    file = partial(tempfile.TemporaryFile, "w+", encoding="utf-8", errors="replace")
    with file() as out, file() as errors:
        child = subprocess.Popen(
            [sys.executable, "-m", module, *arguments],
            cwd=HOME,
            env=os.environ | {OF_PROCESS: current(), "PYTHONUTF8": "1"},
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=errors,
            start_new_session=True,
        )
        try:
            end = time.monotonic() + limit_s
            while child.poll() is None and time.monotonic() < end:
                report(0, 0, words or tr("Trying the model"))
                with contextlib.suppress(subprocess.TimeoutExpired):
                    child.wait(0.5)
            code = child.poll()
        finally:
            end_process(child)
        out.seek(0)
        errors.seek(0)
        complaint = [line.strip() for line in errors.read()[-20_000:].splitlines() if line.strip()]
        return code, out.read()[-20_000:], complaint[-1] if complaint else ""
