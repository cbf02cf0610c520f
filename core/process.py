"""Child processes that work on what strangers brought: limits on what they may take, and a sure end."""

import contextlib
import os
import signal
import subprocess

# Address space of a process with a model: far more than one needs, far less than would hurt the server.
MODEL_BYTES = 6_000_000_000


def end_process(child: subprocess.Popen) -> None:
    """Kill a process with all that it started; it must have been started in a session of its own."""
    if child.poll() is None:
        if os.name == "posix":
            with contextlib.suppress(ProcessLookupError):
                os.killpg(child.pid, signal.SIGKILL)
        else:
            child.kill()
    child.wait()


def limit_this_process(address_bytes: int, seconds: int | None, file_bytes: int = 200_000_000) -> None:
    """Let this process take so much memory and computing time (``None``: any) and no more, where the system can."""
    try:
        import resource
    except ImportError:  # Windows
        return
    limits = [(resource.RLIMIT_AS, address_bytes), (resource.RLIMIT_CORE, 0), (resource.RLIMIT_FSIZE, file_bytes)]
    if seconds is not None:
        limits.append((resource.RLIMIT_CPU, seconds))
    for kind, value in limits:
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(kind, (value, value))
