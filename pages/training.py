"""Train a classifier: choose data and recipe, watch it learn, see whether it is better, put it to work."""

import streamlit as st

from pages.components.compat import part_of_the_app

part_of_the_app()
st.title("Training")

# Only now, with the title on the screen, is anything heavier imported.
from importlib.util import find_spec  # noqa: E402
from pathlib import Path  # noqa: E402

from core.config import runs_dir  # noqa: E402
from pages.views.training import form, progress, runs, upload  # noqa: E402
from pages.views.training.form import view_switch  # noqa: E402
from train.runs import QUEUED, RUNNING, RunManager  # noqa: E402

NEW, PROGRESS, RUNS, UPLOAD = VIEWS = ("New training", "Progress", "Runs", "Bring a model")


@st.cache_resource(show_spinner=False)
def run_manager(folder: Path) -> RunManager:
    """The trainings of this server, whoever started them."""
    return RunManager(folder).watch()


if not all(find_spec(name) for name in ("tensorflow", "keras")):
    st.warning(
        "Training and importing Keras files need TensorFlow, which this server lacks; its operator installs it with "
        "`pip install -r requirements.txt`."
    )
manager = run_manager(runs_dir())
busy = any(run.state in (RUNNING, QUEUED) for run in manager.runs())
view = view_switch(VIEWS, PROGRESS if busy else NEW)
if view == NEW:
    form.show(manager, PROGRESS)
elif view == PROGRESS:
    progress.show(manager)
elif view == RUNS:
    runs.show(manager)
else:
    upload.show()
