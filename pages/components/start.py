"""What happens once when the server starts, beside the first page."""

import logging
import threading

import streamlit as st

log = logging.getLogger(__name__)
# The first page comes first: what follows imports a good deal.
AFTER_S = 5.0


@st.cache_resource(show_spinner=False)
def sweep_once() -> None:
    """Remove what killed processes left (data sets, models and runs, half made or half gone), and too old counts."""
    timer = threading.Timer(AFTER_S, _sweep)
    timer.name, timer.daemon = "sweep", True
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
