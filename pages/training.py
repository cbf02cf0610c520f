"""Train a classifier: choose data and recipe, watch the progress, see whether it is better, deploy it."""

import streamlit as st

from core.language import tr
from pages.components.access import operators_only
from pages.components.compat import part_of_the_app

part_of_the_app()
operators_only()
st.title(tr("Training"))

# Only now, with the title on the screen, is anything heavier imported.
from importlib.util import find_spec  # noqa: E402
from pathlib import Path  # noqa: E402

from core.config import runs_dir  # noqa: E402
from pages.components.state import (  # noqa: E402
    NEW_TRAINING,
    PROGRESS,
    RUNS,
    TRAINING_VIEW,
    TRAINING_VIEWS,
    view_switch,
)
from pages.views.training import form, progress, runs, upload  # noqa: E402
from train.runs import QUEUED, RUNNING, RunManager  # noqa: E402


@st.cache_resource(show_spinner=False)
def run_manager(folder: Path) -> RunManager:
    """The trainings of this server, started by any visitor."""
    return RunManager(folder).watch()


if not all(find_spec(name) for name in ("tensorflow", "keras")):
    st.warning(
        tr(
            "Training and importing Keras files need TensorFlow, which this server lacks; its operator installs it "
            "with `pip install -r requirements.txt`."
        )
    )
manager = run_manager(runs_dir())
busy = any(run.state in (RUNNING, QUEUED) for run in manager.runs())
view = view_switch(TRAINING_VIEW, TRAINING_VIEWS, PROGRESS if busy else NEW_TRAINING)
if view == NEW_TRAINING:
    form.show(manager)
elif view == PROGRESS:
    progress.show(manager)
elif view == RUNS:
    runs.show(manager)
else:
    upload.show()
