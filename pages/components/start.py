"""What happens once when the server starts, and beside the first page."""

import functools
import logging
import threading
import time
from collections.abc import Callable

import streamlit as st

from core.config import ON, data_dir, models_dir, runs_dir, settings
from core.trash import sweep_trash

log = logging.getLogger(__name__)
# The first page comes first: what follows imports a good deal.
AFTER_S = 5.0
TRASH_S = 20.0


def start_cameras() -> None:
    """Start the network cameras that always keep a record, also while no visitor is there."""
    if settings().cameras and settings().record == ON:
        _later("cameras", _start_cameras)


def _start_cameras() -> None:
    from pages.components.resources import network_cameras

    network_cameras().start_always()


@st.cache_resource(show_spinner=False)
def sweep_once() -> None:
    """Remove what killed processes left (data sets, models and runs, half made or half gone), and too old counts."""
    _later("sweep", _sweep)


@functools.cache
def empty_trash_in_time() -> None:
    """Let what was deleted go when it can no longer be brought back, from now on."""
    threading.Thread(target=_empty_trash, name="trash", daemon=True).start()


def _empty_trash() -> None:
    while True:
        for folder in (data_dir(), runs_dir(), models_dir()):
            try:
                sweep_trash(folder)
            except Exception:
                log.exception("What was deleted could not be removed")
        time.sleep(TRASH_S)


def _later(name: str, work: Callable[[], None]) -> None:
    timer = threading.Timer(AFTER_S, work)
    timer.name, timer.daemon = name, True
    timer.start()


def _sweep() -> None:
    from core.datasets.store import sweep_data
    from core.registry.active import sweep_models
    from core.video.record import delete_old
    from train.runs import RunManager

    for sweep in (sweep_data, sweep_models, RunManager().sweep, delete_old):
        try:
            sweep()
        except Exception:
            log.exception("What killed processes left could not be removed")
