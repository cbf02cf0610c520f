"""A training that is done: is it better, where is it wrong, and what can be done with its model."""

import contextlib
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path

import streamlit as st

from core.config import models_dir
from core.datasets.faces import DataError
from core.datasets.parts import PARTS
from core.datasets.store import list_datasets
from core.io import is_number, read_json
from core.language import current, in_this_language, number, tr
from core.registry.active import can_go_back, go_back, in_use, use
from core.registry.store import file_name, free_model_name, install_model
from core.vision.images import encode_image
from core.vision.model_card import ModelError, load_card
from core.vision.pipeline import method_for_model
from pages.components.clock import visitors_zone
from pages.components.html_report import MIME
from pages.components.jobs import show_end_of_job, show_job
from pages.components.messages import plain
from pages.components.resources import server_jobs
from pages.views.training.curves import show_log, show_run_curves
from pages.views.training.figures import (
    download_buttons,
    model_buttons,
    show_figures,
    show_most_wrong,
    show_outcome,
    show_prediction_curves,
    show_report,
    show_set_scores,
    show_statistics,
    wrong_tile,
)
from pages.views.training.report import DAMAGED, run_report
from train import runs as run_states
from train.compare import PartComparison, compare_with_method, find_faces, read_crops, score_run
from train.export.convert import convert_onnx, onnx_is_there
from train.run_folder import CARD, KERAS_MODEL, ONNX_MODEL, SET_SCORES, read_log, read_report
from train.runs import Run, RunManager
from train.statistics import most_wrong, read_predictions

CROP_SIDE = 160


def show_result(manager: RunManager, run: Run) -> None:
    """Is it better, where is it wrong, and what can be done with it; the figures are folded away."""
    key, now = f"training_{run.id}", in_use()
    try:
        card = load_card(run.folder / CARD)
        active = load_card(models_dir() / f"{now.method.model}.json")
    except ModelError as error:
        st.error(plain(str(error)))
        return
    report = read_report(run.folder)
    comparisons = compared(manager, run)
    outcome = "comparing" if comparisons is None else ""
    if comparisons:
        show_outcome(comparisons[0], near_copies(report), key)
        outcome = comparisons[0].difference.outcome if comparisons[0].difference else ""
    model_buttons(card.sha256 == active.sha256, outcome, lambda: deploy(run), go_back if can_go_back() else None, key)
    predictions = None
    try:
        predictions = read_predictions(run.folder)
    except DataError as error:
        st.caption(plain(str(error)))
    if predictions is not None and len(predictions):
        wrong = int((predictions.predicted != predictions.labels).sum())
        with st.spinner(tr("Cutting out faces …")):
            tiles = worst_tiles(run.id, run.folder, current())
        show_most_wrong(tiles, wrong, len(predictions), key)
    with st.expander(tr("Details: figures, other data sets"), icon=":material/query_stats:"):
        show_statistics(comparisons or [])
        with damaged(tr(DAMAGED)):
            for part in ("test", "held_out"):
                scores = report.get(f"{part}_exported") or {}
                if scores.get("images") or part == "test":
                    show_figures(scores, tr(PARTS[part]))
                if scores.get("images"):
                    show_report(scores, card.classes, f"{key}_{part}")
        if predictions is not None and len(predictions):
            show_prediction_curves(predictions.labels, predictions.probabilities, predictions.classes, key)
        st.markdown(tr("**All data sets of this server**"))
        evaluate_on_all_sets(run)
    with st.expander(tr("Training curves and settings"), icon=":material/show_chart:"):
        show_run_curves(key, run)
        st.json({name: value for name, value in run.settings.items() if name not in ("data", "imagenet_weights")},
                expanded=False)  # fmt: skip
    st.markdown(tr("**Download the model**"))
    onnx = f"training:onnx:{run.id}"
    source, target = run.folder / KERAS_MODEL, run.folder / ONNX_MODEL

    def make_onnx() -> None:
        server_jobs().start(onnx, tr("Converting to ONNX"), lambda report: convert_onnx(source, target, report=report))

    show_end_of_job(show_job(server_jobs(), onnx), server_jobs())
    download_buttons(run.folder, file_name(run.name), key, make_onnx if onnx_is_there() else None)
    scores = {part: found for part in ("test", "held_out") if (found := tested(report, part))}
    make = partial(run_report, run, comparisons or [], near_copies(report), scores, card.classes, visitors_zone())
    st.download_button(
        *(tr("Report (HTML)"), in_this_language(make), f"{file_name(run.name)}.html", MIME),
        icon=":material/description:",
        on_click="ignore",
        key=f"{key}_report",
        help=tr("What came of it, its figures, curves and settings as one file, to send on or to print."),
    )
    show_log(read_log(run.folder))


def compared(manager: RunManager, run: Run) -> list[PartComparison] | None:
    """The run's model against the active one, ``None`` until that is known; it is found out beside the page."""
    now = in_use()
    key = f"training:compare:{run.id}:{now.stamp}"
    others = [each.folder for each in manager.runs() if each.state == run_states.DONE and each.id != run.id]
    if server_jobs().status(key) is None:
        server_jobs().start(key, tr("Comparing with the active model"),
                   lambda report: compare_with_method(run.folder, now.method, runs=others, report=report))  # fmt: skip
    status = show_job(server_jobs(), key)
    show_end_of_job(status, for_all=True)  # it began by itself
    if status is None or status.state == "running":
        return None
    return status.result if status.state == "done" else []


def near_copies(report: Mapping) -> list[str]:
    """A caution if this model was trained on pictures much like those of its test."""
    split = report.get("split")
    count = split.get("test_with_near_copy_in_training") if isinstance(split, Mapping) else 0
    if not is_number(count) or count < 1:
        return []
    return [
        tr(
            "For {count} of the test faces this model was trained on a near-duplicate, which flatters it. The setting "
            "Split: grouped, under Advanced, keeps near-duplicates apart."
        ).format(count=number(count, ",.0f"))
    ]


def tested(report: Mapping, part: str) -> Mapping:
    """The figures on a part of the data; empty where it has no face, or the file says something else."""
    scores = report.get(f"{part}_exported")
    return scores if isinstance(scores, Mapping) and scores.get("images") else {}


@contextlib.contextmanager
def damaged(sentence: str) -> Iterator[None]:
    """Show what a file says, or this sentence if it says something else than the app wrote."""
    try:
        yield
    except (ArithmeticError, AttributeError, IndexError, KeyError, TypeError, ValueError):
        st.caption(sentence)


def deploy(run: Run) -> None:
    """Install the run's model among the app's models, under the run's name, and make it the active one."""
    card = install_model(run.folder, free_model_name(run.name, load_card(run.folder / CARD).sha256))
    use(method_for_model(card.name, card.kind))


@st.cache_data(show_spinner=False, max_entries=16)
def worst_tiles(run_id: str, _folder: Path, language: str) -> list:
    """The faces that a run got most wrong, cut out; their notes are in this language, that of now."""
    predictions = read_predictions(_folder)
    worst = predictions.at(most_wrong(predictions))
    crops = read_crops(find_faces(worst), CROP_SIDE, 0.15)
    return [
        wrong_tile(
            i,
            worst.keys[i],
            b"" if crop is None else encode_image(crop[..., ::-1]),
            worst.classes[worst.labels[i]],
            worst.classes[worst.predicted[i]],
            float(worst.probabilities[i].max()),
            worst.classes,
        )
        for i, crop in enumerate(crops)
    ]


def evaluate_on_all_sets(run: Run) -> None:
    """How the run's model does on every data set, evaluated on request and kept in its folder."""
    key = f"training:sets:{run.id}"
    rows = read_json(run.folder / SET_SCORES).get("sets") or []
    with damaged(tr("The figures on every data set are damaged; make them anew.")):
        if rows:
            show_set_scores(rows)
    status = show_job(server_jobs(), key)
    show_end_of_job(status, server_jobs())
    if (status is None or status.state != "running") and st.button(
        tr("Evaluate again") if rows else tr("Evaluate on every data set"), icon=":material/fact_check:", key=key
    ):
        min_face = float(run.settings.get("min_face") or 0)
        trained_on = [str(each) for each in run.settings.get("data", [])]
        server_jobs().start(key, tr("Evaluating on every data set"),
                   lambda report: score_run(run.folder, list_datasets(), trained_on, min_face, report))  # fmt: skip
        st.rerun()
