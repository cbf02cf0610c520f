"""What can be chosen before a training: data, recipe, every setting, and what it would work with."""

import dataclasses
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import streamlit as st

from core.datasets.faces import DataError
from core.datasets.importers import make_demo_set
from core.datasets.parts import PARTS
from core.datasets.store import LAYOUTS, DataSet, edits_path, list_datasets
from core.language import mark, number, tr, trn
from core.vision.classes import styles_of
from pages.components.jobs import show_end_of_job, show_job
from pages.components.messages import plain, told_apart, why
from pages.components.resources import server_jobs
from pages.components.state import FOLLOWED_RUN, PROGRESS, TRAINING_VIEW, choose_next
from pages.components.terms import TRAINING
from pages.views.training.words import minutes_words, setting_in_english, setting_words
from train import runs as run_states
from train.config import RECIPE_PRESETS, TrainConfig
from train.estimate import SplitEstimate, count_faces, estimate_split
from train.runs import MAX_NAME, RunManager, imagenet_choices
from train.split import default_split


@st.cache_data(show_spinner=False, ttl=600, max_entries=64)
def counted(folder: Path, min_face_px: float, stamp: tuple) -> Counter:
    """Faces per class of a data set, as it was at this moment."""
    return count_faces(folder, min_face_px)


def stamp_of(folder: Path) -> tuple:
    """Changes with the set's edits and with its folder; what changes deeper down is seen after a while."""
    paths = [folder, *(path for path in folder.iterdir() if path.is_dir()), edits_path(folder)]
    return tuple(path.stat().st_mtime_ns if path.exists() else 0 for path in paths)


def show(manager: RunManager) -> None:
    """Three steps before the start; afterwards the progress is shown."""
    st.header(tr("1. Data"))
    sets = {dataset.name: dataset for dataset in list_datasets()}
    if not sets:
        first_data()
        return
    chosen = choose_data(sets)
    st.header(tr("2. Recipe"))
    recipe = recipe_choice(RECIPE_PRESETS)
    with st.expander(tr("Advanced: every setting"), icon=":material/tune:"):
        settings = settings_form(setting_fields(recipe), recipe)
        place_for_classes = st.container()
    st.header(tr("3. Start"))
    if not chosen:
        st.caption(tr("Choose a data set above to see how many faces there are and how long the training would take."))
        return
    folders = [sets[each].folder for each in chosen]
    try:
        with st.spinner(tr("Counting the faces …")):
            counts = [counted(folder, settings["min_face"], stamp_of(folder)) for folder in folders]
        labels = sorted({label for each in counts for label, _ in each})
        with place_for_classes:
            settings["classes"] = tuple(
                st.multiselect(
                    tr("Classes"),
                    labels,
                    key="training_classes",
                    placeholder=tr("All"),
                    help=tr("The classes to tell apart; faces of other classes are left out."),
                )
            )
        settings["data"] = tuple(str(folder) for folder in folders)
        config = TrainConfig(out="", **settings)
        plan = estimate_split(counts, config)
    except (DataError, OSError) as error:
        st.error(why(error))
        return
    show_estimate(plan, config)
    start_form(manager, settings, f"{tr(RECIPE_PRESETS[recipe]['title'])}, {data_words(sets, chosen)}")


def first_data() -> None:
    """Where data come from, if there are none: example data at one click, or those that people bring."""
    job = "training:example"
    status = show_job(server_jobs(), job)
    show_end_of_job(status, server_jobs())
    if status and status.state == "running":
        return
    st.markdown(
        tr(
            "There are no data sets on this server yet. To see how training works, take the example: a few dozen views "
            "of one portrait, half of them with a drawn mask."
        )
    )
    with st.container(horizontal=True, vertical_alignment="center"):
        if st.button(tr("Use example data"), type="primary", icon=":material/auto_awesome:"):
            server_jobs().start(job, tr("Making the example data"), make_demo_set)
            st.rerun()
        st.page_link("pages/datasets.py", label=tr("Add images of your own"), icon=":material/photo_library:")


def choose_data(sets: Mapping[str, DataSet]) -> list[str]:
    """Names of the data sets to train on."""
    titles = told_apart({name: f"{title_of(each)} ({tr(LAYOUTS[each.layout])})" for name, each in sets.items()})
    return st.multiselect(
        tr("Data sets"),
        list(sets),
        default=list(sets) if len(sets) == 1 else [],
        format_func=titles.__getitem__,
        key="training_data",
        placeholder=tr("Choose one or more"),
    )


def title_of(dataset: DataSet) -> str:
    """What a data set is called."""
    return dataset.card.get("title") or dataset.name


def data_words(sets: Mapping[str, DataSet], chosen: Sequence[str]) -> str:
    """The data of a training in a few words: one name, or how many sets there are."""
    if len(chosen) == 1:
        return title_of(sets[chosen[0]])
    return tr("{count} data sets").format(count=number(len(chosen), ","))


def start_form(manager: RunManager, settings: Mapping[str, object], title: str) -> None:
    """The run's name and the button that starts it; ``title`` is offered as name, with a number if it is taken."""
    runs = manager.runs()
    name = st.text_input(tr("Name of this run"), free := free_name(title, {run.name for run in runs}),
                         max_chars=MAX_NAME, key=f"training_run_name_{free}")  # fmt: skip
    busy = [run for run in runs if run.state in (run_states.QUEUED, run_states.RUNNING)]
    words = tr("Queue the training") if busy else tr("Start the training")
    if st.button(words, type="primary", icon=":material/play_arrow:"):
        try:
            run = manager.add(name, **settings)
        except (ValueError, OSError) as error:
            st.error(why(error))
            return
        st.session_state[FOLLOWED_RUN] = run.id
        choose_next(TRAINING_VIEW, PROGRESS)
        st.rerun()
    if busy:
        st.caption(tr("One training runs at a time; this one follows {name}.").format(name=plain(busy[-1].name)))


def free_name(title: str, taken: Collection[str]) -> str:
    """A name that no other has, with a number if need be.

    >>> free_name("Quick", {"Quick", "Quick 2"})
    'Quick 3'
    """
    title = title[: MAX_NAME - 5]
    return next(name for name in (title, *(f"{title} {i}" for i in range(2, len(taken) + 3))) if name not in taken)


def setting_fields(recipe: str) -> list["Setting"]:
    """Every setting with the recipe's value; those that most recipes tell of come first."""
    preset = {"split": default_split()} | RECIPE_PRESETS[recipe]["settings"]
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
    first = ("epochs", "batch_size", "learning_rate")
    return sorted(fields, key=lambda field: first.index(field.name) if field.name in first else len(first))


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
        tr("Recipe"),
        list(recipes),
        format_func=lambda name: tr(recipes[name]["title"]),
        captions=[tr(recipes[name].get("about", "")) for name in recipes],
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
                words = tr(setting.help)
                st.caption(plain(words[:1].upper() + words[1:].rstrip(".") + "."))
    return values


def _field(setting: Setting, key: str) -> str | int | float:
    label = plain(setting_words(setting.name))
    default, help = setting.default, tr(TRAINING.get(setting_in_english(setting.name), "")) or None
    if words := setting.choices:
        options = list(words)
        place = options.index(default) if default in options else 0
        return st.selectbox(label, options, place, format_func=lambda value: words[value], key=key, help=help)
    if isinstance(default, bool):
        return st.toggle(label, default, key=key)
    if isinstance(default, int | float):
        whole = isinstance(default, int)
        kind = int if whole else float
        low, high = (None if bound is None else kind(bound) for bound in (setting.low, setting.high))
        step = 1 if whole else 10.0 ** -(4 if abs(default) < 0.01 else 2 if abs(default) < 10 else 0)
        form = "%d" if whole else "%.5f" if abs(default) < 0.01 else "%.2f"
        return st.number_input(label, low, high, default, step=step, format=form, key=key, help=help)
    return st.text_input(label, str(default), key=key)


def show_estimate(plan: SplitEstimate, config: TrainConfig) -> None:
    """What a training would work with."""
    numbers = {
        mark("Faces"): number(plan.faces, ","),
        mark("Epochs"): number(plan.epochs),
        mark("Batch size"): number(config.batch_size, ","),
        mark("Learning rate"): number(config.learning_rate, "g"),
        mark("Expected time"): minutes_words(60 * plan.minutes),
    }
    with st.container(horizontal=True, horizontal_alignment="distribute"):
        for label, value in numbers.items():
            st.metric(tr(label), value, help=tr(TRAINING.get(label, "")) or None, width="content")
    for sentence in plan.cautions:
        st.warning(plain(sentence))
    with st.expander(tr("Faces for training and test"), icon=":material/table_rows:"):
        classes = tuple(plan.counts)
        used = [part for part in PARTS if any(parts.get(part) for parts in plan.counts.values())]
        st.dataframe(
            [
                {tr("Class"): f"{style.sign} {style.words}"}
                | {tr(PARTS[part]): plan.counts[name][part] for part in used}
                for name, style in zip(classes, styles_of(classes), strict=True)
            ],
            hide_index=True,
        )
        steps = trn("{count} step per epoch.", "{count} steps per epoch.", plan.steps)
        rough = tr("Near-duplicates stay in one part, so they come out a little larger or smaller.")
        st.caption(" ".join([steps.format(count=number(plan.steps, ",")), *([] if plan.exact else [rough])]))
