"""Where data sets and runs live on this server; the operator says so in the environment.

``MASK_DATA_DIR``, ``MASK_RUNS_DIR``: folders, by default ``data`` and ``runs`` beside the app. ``MASK_ALLOWED_DIRS``:
folders below which visitors may use pictures where they lie, separated as in ``PATH``; by default none.
"""

import os
from pathlib import Path

HOME = Path(__file__).resolve().parent.parent


def data_dir() -> Path:
    """The folder of data sets; it may not exist yet."""
    return Path(os.environ.get("MASK_DATA_DIR") or HOME / "data").absolute()


def cache_dir(name: str) -> Path:
    """What the app keeps of a data set to be fast; may be deleted at any time."""
    return data_dir() / ".cache" / name


def runs_dir() -> Path:
    """The folder of training runs; it may not exist yet."""
    return Path(os.environ.get("MASK_RUNS_DIR") or HOME / "runs").absolute()


def allowed_dirs() -> list[Path]:
    """Folders below which visitors may use pictures where they lie."""
    parts = os.environ.get("MASK_ALLOWED_DIRS", "").split(os.pathsep)
    return [Path(part).resolve() for part in parts if part.strip()]
