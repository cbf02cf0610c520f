"""What can be chosen before a training: data, recipe, every setting, and what it would work with."""

import dataclasses
from pathlib import Path

import streamlit as st

from core import app_training as parts
from core.app import plain
from train import runs as run_states
from train.catalogue import default_split
from train.config import RECIPE_PRESETS, TrainConfig
from train.data import DataError
from train.library import LAYOUTS, list_datasets, repairs_path
from train.outlook import count_faces, outlook
from train.runs import RunManager, imagenet_choices


@st.cache_data(show_spinner="Counting the pictures …", ttl=600, max_entries=64)
def counted(folder: Path, min_face_px: float, stamp: tuple):
    """Faces per class of a data set, as it was at this moment."""
    return count_faces(folder, min_face_px)


def stamp_of(folder: Path) -> tuple:
    """Changes with the set's repairs and with its folder; what changes deeper down is seen after a while."""
    paths = [folder, *(path for path in folder.iterdir() if path.is_dir()), repairs_path(folder)]
    return tuple(path.stat().st_mtime_ns if path.exists() else 0 for path in paths)


def show(manager: RunManager, progress_view: str) -> None:
    """Everything before the start; afterwards ``progress_view`` is shown."""
    sets = {dataset.name: dataset for dataset in list_datasets()}
    if not sets:
        st.info("There are no data sets on this server yet. The page *Data sets* makes, fetches or uploads one.")
        return
    chosen = st.multiselect(
        "Data sets",
        list(sets),
        default=list(sets)[:1] if len(sets) == 1 else [],
        format_func=lambda name: f"{sets[name].card.get('title') or name} ({LAYOUTS[sets[name].layout]})",
        key="training_data",
        placeholder="Choose one or more",
    )
    recipe = parts.recipe_choice(RECIPE_PRESETS)
    preset = {"split": default_split()} | RECIPE_PRESETS[recipe]["settings"]
    name = st.text_input("Name", RECIPE_PRESETS[recipe]["title"], max_chars=80, key=f"training_run_name_{recipe}")
    fields = []
    for field in dataclasses.fields(TrainConfig):
        if field.metadata:
            choices = field.metadata.get("choices")
            words = {choice: str(choice) for choice in choices} if choices else None
            default = preset.get(field.name, field.default)
            if field.name == "imagenet_weights":
                words = imagenet_choices()
                default = next(iter(words))
            fields.append(parts.Setting(field.name, field.metadata["help"], default, words))
    with st.expander("Advanced: every setting"):
        settings = parts.settings_form(fields, recipe)
        place_for_classes = st.container()
    if not chosen:
        st.caption("Choose a data set to see what the training would work with.")
        return
    folders = [sets[each].folder for each in chosen]
    try:
        counts = [counted(folder, settings["min_face"], stamp_of(folder)) for folder in folders]
        labels = sorted({label for each in counts for label, _ in each})
        with place_for_classes:
            settings["classes"] = tuple(
                st.multiselect(
                    "Classes",
                    labels,
                    key="training_classes",
                    placeholder="All",
                    help="Which classes to tell apart; faces of others are left out.",
                )
            )
        settings["data"] = tuple(str(folder) for folder in folders)
        plan = outlook(counts, TrainConfig(out="", **settings))
    except (DataError, OSError) as error:
        st.error(plain(str(error)))
        return
    parts.show_outlook(plan)
    busy = [run for run in manager.runs() if run.state in (run_states.QUEUED, run_states.RUNNING)]
    if st.button("Queue the training" if busy else "Start the training", type="primary", icon=":material/play_arrow:"):
        try:
            run = manager.add(name, **settings)
        except (DataError, OSError) as error:
            st.error(plain(str(error)))
            return
        st.session_state["training_followed"] = run.id
        parts.show_view(progress_view)
        st.rerun()
    if busy:
        st.caption(f"One training runs at a time; before this one comes {plain(busy[-1].name)}.")
