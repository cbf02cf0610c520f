"""Is this still the process that was started? A number alone does not tell: systems use it again."""

import contextlib
import os
import signal
import subprocess
from pathlib import Path


def process_stamp(pid: int) -> str | None:
    """What tells a living process from every other that had or will have its number; ``None`` if it is gone.

    One that has ended and only waits for its parent to notice counts as gone. On Windows the answer is ``None``
    always, so that a training is not recognised there once the app that started it has been restarted.
    """
    if Path("/proc/self/stat").is_file():
        try:
            # The name in brackets may hold spaces and brackets itself.
            fields = Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()
            state, ticks_since_boot = fields[0], fields[19]
        except (OSError, IndexError):
            return None
        boot = ""
        with contextlib.suppress(OSError):
            boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return None if state in "ZX" else f"{boot} {ticks_since_boot}"
    try:
        done = subprocess.run(
            ["ps", "-o", "stat=,lstart=", "-p", str(pid)],
            capture_output=True,
            text=True,
            timeout=5,
            env=os.environ | {"LC_ALL": "C"},
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    state, _, started = done.stdout.strip().partition(" ")
    return None if not state or state.startswith("Z") else started.strip()


def send_signal(pid: int, stamp: str, number: int) -> None:
    """Signal a process if it is still the one with that stamp; SIGKILL goes to its whole group, if it leads one."""
    if process_stamp(pid) != stamp:
        return
    with contextlib.suppress(ProcessLookupError, PermissionError):
        if number == getattr(signal, "SIGKILL", None) and os.getpgid(pid) == pid:
            os.killpg(pid, number)
        else:
            os.kill(pid, number)
