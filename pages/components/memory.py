"""Memory that visitors used goes back to the machine once they are gone."""

import ctypes
import functools
import gc
import logging
import threading
import time

import psutil

from pages.components.compat import end_old_sessions

SWEEP_S = 20.0
# A sweep stops everything for a tenth of a second: only when somebody left, or if so much more is used than after one.
GROWN_BYTES = 50 * 2**20
# Blocks of this size, decoded photos, go back as soon as they are freed; video frames are smaller, and stay at hand.
RETURNED_FROM_BYTES = 4 * 2**20
M_MMAP_THRESHOLD, M_ARENA_MAX, ARENAS = -3, -8, 2
log = logging.getLogger(__name__)


@functools.cache
def return_memory() -> None:
    """Begin to give memory back, once for the server."""
    libc = _glibc()
    if libc:  # otherwise every thread keeps what it once needed
        libc.mallopt(M_MMAP_THRESHOLD, RETURNED_FROM_BYTES)
        libc.mallopt(M_ARENA_MAX, ARENAS)
    threading.Thread(target=_sweep_on, name="memory", daemon=True).start()


def _sweep_on() -> None:
    floor = 0
    while True:
        time.sleep(SWEEP_S)
        try:
            floor = sweep(floor)
        except Exception:  # whatever breaks, the next sweep may do
            log.exception("Memory could not be given back")


def sweep(floor_bytes: int) -> int:
    """End the sessions of visitors who left, and give free memory back if there were any, or if much more is used.

    Args:
        floor_bytes: what was used after the last sweep.

    Returns:
        What is used now at least.
    """
    ended = end_old_sessions()
    process = psutil.Process()
    used = process.memory_info().rss
    if not ended and used < floor_bytes + GROWN_BYTES:
        return min(used, floor_bytes)
    gc.collect()
    if libc := _glibc():
        libc.malloc_trim(0)
    return process.memory_info().rss


def _glibc() -> ctypes.CDLL | None:
    """The C library, if it has what is needed here; that of Windows, macOS and Alpine has not."""
    try:
        libc = ctypes.CDLL(None)
        return libc if hasattr(libc, "mallopt") and hasattr(libc, "malloc_trim") else None
    except (OSError, TypeError):
        return None
