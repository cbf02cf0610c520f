"""Train a classifier: choose data and recipe, watch it learn, see whether it is better, put it to work."""

import streamlit as st

from core.app_start import part_of_the_app

part_of_the_app()
st.title("Training")

# Only now, with the title on the screen, is anything heavier imported.
import dataclasses  # noqa: E402
import tempfile  # noqa: E402
from datetime import datetime  # noqa: E402
from pathlib import Path  # noqa: E402

from core import app_results as results  # noqa: E402
from core import app_training as parts  # noqa: E402
from core.app import plain, server_jobs, try_to  # noqa: E402
from core.app_data import show_end_of_job, show_job  # noqa: E402
from core.card import MODELS_DIR, ModelError, install_model, load_card  # noqa: E402
from core.images import encode_image  # noqa: E402
from core.in_use import can_go_back, go_back, in_use, use  # noqa: E402
from core.pipeline import method_for_model  # noqa: E402
from core.uploaded_model import MAX_BYTES, check_litert, install_uploaded  # noqa: E402
from train import runs as run_states  # noqa: E402
from train.catalogue import default_split  # noqa: E402
from train.comparison import differing_settings, most_wrong, read_predictions  # noqa: E402
from train.config import RECIPE_PRESETS, TrainConfig  # noqa: E402
from train.convert import PIXELS, convert_keras, convert_onnx, onnx_is_there  # noqa: E402
from train.data import DataError  # noqa: E402
from train.judging import SET_SCORES, compare_with_method, find_faces, read_crops, score_run  # noqa: E402
from train.library import LAYOUTS, list_datasets, repairs_path  # noqa: E402
from train.outlook import count_faces, outlook, recipe_title  # noqa: E402
from train.places import runs_dir  # noqa: E402
from train.run_files import read_json, read_log, read_metrics, read_steps  # noqa: E402
from train.runs import Run, RunManager, imagenet_choices  # noqa: E402

NEW, PROGRESS, RUNS, UPLOAD = VIEWS = ("New training", "Progress", "Runs", "Bring a model")
RECENT_S = 7 * 24 * 3600
CROP_SIDE = 160
jobs = server_jobs()


@st.cache_resource(show_spinner=False)
def run_manager(folder: Path) -> RunManager:
    """The trainings of this server, whoever started them."""
    return RunManager(folder).watch()


@st.cache_data(show_spinner="Counting the pictures …", ttl=600, max_entries=64)
def counted(folder: Path, min_face_px: float, stamp: tuple):
    """Faces per class of a data set, as it was at this moment."""
    return count_faces(folder, min_face_px)


def stamp_of(folder: Path) -> tuple:
    """Changes with the set's repairs and with its folder; what changes deeper down is seen after a while."""
    paths = [folder, *(path for path in folder.iterdir() if path.is_dir()), repairs_path(folder)]
    return tuple(path.stat().st_mtime_ns if path.exists() else 0 for path in paths)


def new_training() -> None:
    """Everything before the start."""
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
        parts.show_view(PROGRESS)
        st.rerun()
    if busy:
        st.caption(f"One training runs at a time; before this one comes {plain(busy[-1].name)}.")


def progress() -> None:
    """What trains, what waits, what stopped, and the result of what was followed."""
    states = {run.id: run.state for run in manager.runs()}
    # Places of their own: what is gone must not fade away in the place of what comes next.
    now_running, have_stopped = st.container(), st.container()
    if {run_states.RUNNING, run_states.QUEUED} & set(states.values()):
        with now_running:
            running_now(states)
    runs = manager.runs()
    now = datetime.now().timestamp()
    stopped = [run for run in runs if run.can_resume and now - run.ended < RECENT_S]
    # What nobody wanted to happen comes first.
    stopped.sort(key=lambda run: (run.state == run_states.CANCELLED, -run.ended))
    for run in stopped[:4]:
        with have_stopped.container(border=True):
            icon, words = parts.STATES[run.state]
            st.markdown(f"{icon} **{plain(run.name)}** ({words}). {plain(run.sentence)}")
            if st.button("Resume", icon=":material/resume:", key=f"training_resume_{run.id}",
                         help="Goes on after its last finished epoch, with the same settings."):  # fmt: skip
                st.session_state["training_followed"] = run.id
                try_to(manager.resume, run.id)
    done = [run for run in runs if run.state == run_states.DONE]
    followed = st.session_state.get("training_followed")
    last = next((run for run in done if run.id == followed), max(done, key=lambda run: run.ended, default=None))
    if last and not {run_states.RUNNING} & set(states.values()):
        st.subheader(f"{plain(last.name)} is done")
        show_result(last)
    elif not runs:
        st.info("Nothing has been trained here yet; start with *New training*.")


@st.fragment(run_every=1.0)
def running_now(before: dict[str, str]) -> None:
    """The training that runs and the queue, looked at every second; the whole page runs again when a state changes."""
    runs = manager.runs()
    if {run.id: run.state for run in runs} != before:
        st.rerun()
    for run in runs:
        if run.state == run_states.RUNNING:
            told, config = read_json(run.folder / "progress.json"), run.settings
            parts.show_progress(run.name, told, run.stopping)
            if not run.from_command_line and st.button(
                "Cancel", icon=":material/stop_circle:", disabled=run.stopping, key=f"training_cancel_{run.id}"
            ):
                try_to(manager.cancel, run.id)
            epochs, head = epochs_of(config)
            parts.show_curves(f"training_now_{run.id}", read_steps(run.folder), read_metrics(run.folder), epochs, head)
            parts.show_log(read_log(run.folder))
    queue = sorted((run for run in runs if run.state == run_states.QUEUED), key=lambda run: run.queued)
    if queue:
        st.markdown("**Next in the queue**")
    for place, run in enumerate(queue, start=1):
        with st.container(horizontal=True, vertical_alignment="center"):
            st.markdown(f"{place}. {plain(run.name)}", width="content")
            if st.button("Take out", icon=":material/close:", key=f"training_take_out_{run.id}"):
                try_to(manager.cancel, run.id)


def epochs_of(settings: dict) -> tuple[int, int]:
    """All epochs, and after which of them the last blocks learn too (0: never)."""
    head = int(settings.get("epochs") or 0)
    if not settings.get("fine_tune_blocks"):
        return head, 0
    return head + int(settings.get("fine_tune_epochs") or 0), head


def show_result(run: Run) -> None:
    """Is it better, where is it wrong, on which pictures, and what can be done with it."""
    key, now = f"training_{run.id}", in_use()
    try:
        card = load_card(run.folder / "card.json")
        current = load_card(MODELS_DIR / f"{now.method.model}.json")
    except ModelError as error:
        st.error(plain(str(error)))
        return
    compare = f"training:compare:{run.id}:{now.stamp}"
    others = [each.folder for each in manager.runs() if each.state == run_states.DONE and each.id != run.id]
    if jobs.status(compare) is None:
        jobs.start(compare, "Comparing with the model in use",
                   lambda report: compare_with_method(run.folder, now.method, runs=others, report=report))  # fmt: skip
    status = show_job(jobs, compare)
    show_end_of_job(status)
    if status and status.state == "done":
        results.show_headline(status.result)
    results.model_buttons(card.sha256 == current.sha256, lambda: put_to_work(run), go_back if can_go_back() else None,
                          key)  # fmt: skip

    report = read_json(run.folder / "report.json")
    for part in ("test", "held_out"):
        scores = report.get(f"{part}_exported") or {}
        if scores.get("images") or part == "test":
            results.show_figures(scores, parts.PARTS[part].lower())
        if scores.get("images"):
            results.show_report(scores, card.classes, f"{key}_{part}")
    try:
        predictions = read_predictions(run.folder)
    except DataError as error:
        st.caption(plain(str(error)))
    else:
        if len(predictions):
            results.show_probabilities(predictions.labels, predictions.probabilities, predictions.classes, key)
            wrong = int((predictions.judged != predictions.labels).sum())
            results.show_most_wrong(worst_tiles(run.id, run.folder), wrong, len(predictions), key)
    st.markdown("**On every data set of this server**")
    show_set_scores(run)
    st.markdown("**The model as a file**")
    onnx = f"training:onnx:{run.id}"
    source, target = run.folder / "model.keras", run.folder / "model.onnx"

    def make_onnx() -> None:
        jobs.start(onnx, "Making the ONNX file", lambda report: convert_onnx(source, target, report=report))

    show_end_of_job(show_job(jobs, onnx))
    results.download_buttons(run.folder, run.id, key, make_onnx if onnx_is_there() else None)
    with st.expander("How it learnt"):
        epochs, head = epochs_of(run.settings)
        parts.show_curves(key, read_steps(run.folder), read_metrics(run.folder), epochs, head)
        st.json({name: value for name, value in run.settings.items() if name not in ("data", "imagenet_weights")},
                expanded=False)  # fmt: skip
    parts.show_log(read_log(run.folder))


def put_to_work(run: Run) -> None:
    """Copy the run's model among the app's models and use it everywhere."""
    card = install_model(run.folder, run.id)
    use(method_for_model(card.name, card.kind))


@st.cache_data(show_spinner="Cutting out faces …", max_entries=16)
def worst_tiles(run_id: str, _folder: Path) -> list:
    """The faces that a run judged most wrong, cut out."""
    predictions = read_predictions(_folder)
    worst = predictions.at(most_wrong(predictions))
    crops = read_crops(find_faces(worst), CROP_SIDE, 0.15)
    return [
        results.wrong_tile(
            i,
            worst.keys[i],
            b"" if crop is None else encode_image(crop[..., ::-1]),
            worst.classes[worst.labels[i]],
            worst.classes[worst.judged[i]],
            float(worst.probabilities[i].max()),
            worst.classes,
        )
        for i, crop in enumerate(crops)
    ]


def show_set_scores(run: Run) -> None:
    """How the run's model does on every data set, judged on request and kept in its folder."""
    key = f"training:sets:{run.id}"
    rows = read_json(run.folder / SET_SCORES).get("sets") or []
    if rows:
        results.show_set_scores(rows)
    status = show_job(jobs, key)
    show_end_of_job(status)
    if (status is None or status.state != "running") and st.button(
        "Judge again" if rows else "Judge every data set", icon=":material/fact_check:", key=key
    ):
        min_face, learnt = float(run.settings.get("min_face") or 0), [str(each) for each in run.settings["data"]]
        jobs.start(key, "Judging every data set",
                   lambda report: score_run(run.folder, list_datasets(), learnt, min_face, report))  # fmt: skip
        st.rerun()


def all_runs() -> None:
    """The table of runs, several over each other, one in full."""
    runs = manager.runs()
    if not runs:
        st.info("Nothing has been trained here yet; start with *New training*.")
        return
    rows = {run.id: row_of(run) for run in runs}
    search, choose = st.columns([2, 3])
    text = search.text_input("Search", key="training_search", placeholder="Name, data, recipe, note")
    words = [words for _, words in parts.STATES.values()]
    states = choose.multiselect("State", words, key="training_states", placeholder="All")
    kept = parts.filter_rows(list(rows.values()), text, states)
    parts.show_runs(kept)
    ids = [run_id for run_id, row in rows.items() if row in kept]
    by_id = {run.id: run for run in runs}
    if st.session_state.get("training_chosen"):
        st.session_state["training_chosen"] = [each for each in st.session_state["training_chosen"] if each in ids]
    chosen = st.multiselect(
        "Look at",
        ids,
        format_func=lambda run_id: f"{by_id[run_id].name} ({rows[run_id]['Begun']:%Y-%m-%d %H:%M})",
        key="training_chosen",
        placeholder="One run, or several to compare",
    )
    if len(chosen) == 1:
        run = by_id[chosen[0]]
        st.subheader(plain(run.name))
        parts.run_forms(run, manager.rename, manager.set_note, manager.delete)
        if run.state == run_states.DONE:
            show_result(run)
        else:
            st.markdown(
                f"{parts.STATES[run.state][0]} {parts.STATES[run.state][1].capitalize()}. {plain(run.sentence)}"
            )
            if run.can_resume and st.button("Resume", icon=":material/resume:", key=f"training_resume_{run.id}"):
                try_to(manager.resume, run.id)
            epochs, head = epochs_of(run.settings)
            parts.show_curves(f"training_{run.id}", read_steps(run.folder), read_metrics(run.folder), epochs, head)
            parts.show_log(read_log(run.folder))
    elif chosen:
        several = [by_id[run_id] for run_id in chosen]
        # Names only: where files lie on the server is nobody's business.
        settings = [
            run.settings
            | {"data": run.data_names, "imagenet_weights": Path(str(run.settings.get("imagenet_weights"))).name}
            for run in several
        ]
        parts.compare_runs([(run.name, read_metrics(run.folder)) for run in several], differing_settings(settings))


def row_of(run: Run) -> dict:
    """A run as the table shows it."""
    scores = (read_json(run.folder / "report.json").get("test_exported") or {}) if run.state == run_states.DONE else {}
    return {
        "Run": run.name,
        "State": parts.STATES[run.state][1],
        "Data": ", ".join(run.data_names),
        "Recipe": recipe_title(run.settings),
        "Test": scores.get("accuracy"),
        "Test faces": scores.get("images"),
        "Begun": datetime.fromtimestamp(run.created),
        "Minutes": run.spent_s / 60 if run.spent_s else None,
        "Note": run.note,
    }


def bring_a_model() -> None:
    """A model file from elsewhere, tried and kept."""
    key = "training:upload"
    status = show_job(jobs, key)
    show_end_of_job(status)
    if status and status.state == "done":
        card = status.result
        st.success(
            f"**{plain(card.name)}** is among the models: {plain(', '.join(card.classes))}, "
            f"{card.input_size} × {card.input_size} pixels."
        )
        if in_use().method.model != card.name and st.button("Use this model", icon=":material/play_arrow:"):
            try_to(use, method_for_model(card.name, card.kind))
    given = parts.upload_form(list(PIXELS), MAX_BYTES // 1_000_000)
    if not given:
        return
    suffix, data, name, classes, pixels = given

    def keep(report):
        with tempfile.TemporaryDirectory() as made:
            file = Path(made) / f"brought{suffix}"
            file.write_bytes(data)
            if suffix == ".keras":
                target = Path(made) / "converted.tflite"
                convert_keras(file, target, pixels, report=report)
                file = target
            return install_uploaded(file, check_litert(file, report=report), name, classes)

    if not jobs.start(key, f"Trying {name}", keep):
        st.warning("Another model is being tried; wait until it is done.")
    else:
        st.rerun()


manager = run_manager(runs_dir())
busy = any(run.state in (run_states.QUEUED, run_states.RUNNING) for run in manager.runs())
view = parts.view_switch(VIEWS, PROGRESS if busy else NEW)
{NEW: new_training, PROGRESS: progress, RUNS: all_runs, UPLOAD: bring_a_model}[view]()
