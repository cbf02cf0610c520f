"""What can be chosen before a training: data, recipe, every setting, and what it would work with."""

import dataclasses
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import streamlit as st

from core.datasets.faces import DataError
from core.datasets.parts import PARTS
from core.datasets.store import LAYOUTS, edits_path, list_datasets
from core.vision.classes import styles_of
from pages.components.messages import plain, told_apart, why
from pages.components.state import FOLLOWED_RUN, PROGRESS, TRAINING_VIEW, choose_next
from pages.views.training.words import minutes_words
from train import runs as run_states
from train.config import RECIPE_PRESETS, TrainConfig
from train.estimate import SplitEstimate, count_faces, estimate_split
from train.runs import RunManager, imagenet_choices
from train.split import default_split


@st.cache_data(show_spinner="Counting the faces …", ttl=600, max_entries=64)
def counted(folder: Path, min_face_px: float, stamp: tuple) -> Counter:
    """Faces per class of a data set, as it was at this moment."""
    return count_faces(folder, min_face_px)


def stamp_of(folder: Path) -> tuple:
    """Changes with the set's edits and with its folder; what changes deeper down is seen after a while."""
    paths = [folder, *(path for path in folder.iterdir() if path.is_dir()), edits_path(folder)]
    return tuple(path.stat().st_mtime_ns if path.exists() else 0 for path in paths)


def show(manager: RunManager) -> None:
    """Everything before the start; afterwards the progress is shown."""
    sets = {dataset.name: dataset for dataset in list_datasets()}
    if not sets:
        st.info("There are no data sets on this server yet. Get one on the page *Data sets*.")
        return
    titles = told_apart(
        {name: f"{each.card.get('title') or name} ({LAYOUTS[each.layout]})" for name, each in sets.items()}
    )
    chosen = st.multiselect(
        "Data sets",
        list(sets),
        default=list(sets)[:1] if len(sets) == 1 else [],
        format_func=titles.__getitem__,
        key="training_data",
        placeholder="Choose one or more",
    )
    recipe = recipe_choice(RECIPE_PRESETS)
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
            bounds = field.metadata.get("low"), field.metadata.get("high")
            fields.append(Setting(field.name, field.metadata["help"], default, words, *bounds))
    with st.expander("Advanced: every setting"):
        settings = settings_form(fields, recipe)
        place_for_classes = st.container()
    if not chosen:
        st.caption("Choose a data set to see how many faces there are and how long the training would take.")
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
                    help="The classes to tell apart; faces of other classes are left out.",
                )
            )
        settings["data"] = tuple(str(folder) for folder in folders)
        plan = estimate_split(counts, TrainConfig(out="", **settings))
    except (DataError, OSError) as error:
        st.error(why(error))
        return
    show_estimate(plan)
    busy = [run for run in manager.runs() if run.state in (run_states.QUEUED, run_states.RUNNING)]
    if st.button("Queue the training" if busy else "Start the training", type="primary", icon=":material/play_arrow:"):
        try:
            run = manager.add(name, **settings)
        except (ValueError, OSError) as error:
            st.error(why(error))
            return
        st.session_state[FOLLOWED_RUN] = run.id
        choose_next(TRAINING_VIEW, PROGRESS)
        st.rerun()
    if busy:
        st.caption(f"One training runs at a time; this one follows {plain(busy[-1].name)}.")


LABELS = {"val_share": "Validation share", "min_face": "Smallest face"}
"""Of settings whose name is no word."""


@dataclass(frozen=True)
class Setting:
    """One setting as a form shows it."""

    name: str
    help: str
    default: str | int | float
    choices: Mapping[str, str] | None = None
    """Values and what they are called, if they are few."""
    low: float | None = None
    high: float | None = None


def recipe_choice(recipes: Mapping[str, Mapping]) -> str:
    """One of the recipes, each with a few sentences."""
    return st.radio(
        "Recipe",
        list(recipes),
        format_func=lambda name: recipes[name]["title"],
        captions=[recipes[name].get("about", "") for name in recipes],
        key="training_recipe",
    )


def settings_form(settings: Sequence[Setting], recipe: str) -> dict:
    """Every setting with its sentence, three in a row; another recipe brings its own values.

    Returns:
        Name to value.
    """
    values = {}
    for start in range(0, len(settings), 3):
        for column, setting in zip(st.columns(3), settings[start : start + 3], strict=False):
            with column:
                values[setting.name] = _field(setting, f"training_{recipe}_{setting.name}_{setting.default}")
                st.caption(plain(setting.help[:1].upper() + setting.help[1:].rstrip(".") + "."))
    return values


def _field(setting: Setting, key: str) -> str | int | float:
    label = LABELS.get(setting.name) or plain(setting.name.replace("_", " ").capitalize())
    default = setting.default
    if words := setting.choices:
        options = list(words)
        place = options.index(default) if default in options else 0
        return st.selectbox(label, options, place, format_func=lambda value: words[value], key=key)
    if isinstance(default, bool):
        return st.toggle(label, default, key=key)
    if isinstance(default, int | float):
        whole = isinstance(default, int)
        kind = int if whole else float
        low, high = (None if bound is None else kind(bound) for bound in (setting.low, setting.high))
        step = 1 if whole else 10.0 ** -(4 if abs(default) < 0.01 else 2 if abs(default) < 10 else 0)
        form = "%d" if whole else "%.5f" if abs(default) < 0.01 else "%.2f"
        return st.number_input(label, low, high, default, step=step, format=form, key=key)
    return st.text_input(label, str(default), key=key)


def show_estimate(plan: SplitEstimate) -> None:
    """What a training would work with."""
    numbers = {
        "Faces": f"{plan.faces:,}",
        "Epochs": str(plan.epochs),
        "Steps per epoch": f"{plan.steps:,}",
        "Estimated time": minutes_words(60 * plan.minutes),
    }
    for column, (label, value) in zip(st.columns(len(numbers)), numbers.items(), strict=True):
        column.metric(label, value)
    classes = tuple(plan.counts)
    used = [part for part in PARTS if any(parts.get(part) for parts in plan.counts.values())]
    st.dataframe(
        [
            {"Class": f"{style.sign} {style.words}"} | {PARTS[part]: plan.counts[name][part] for part in used}
            for name, style in zip(classes, styles_of(classes), strict=True)
        ],
        hide_index=True,
    )
    for sentence in plan.cautions:
        st.warning(plain(sentence))
    if not plan.exact:
        st.caption("Estimates: near-duplicates stay in one part, so the parts come out a little larger or smaller.")
