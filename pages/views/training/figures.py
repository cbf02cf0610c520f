"""What a finished training run is shown as: is it better, where is it wrong, and what can be done with it."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import streamlit as st

from core.datasets.parts import PARTS
from core.language import mark, number, tr
from core.vision.classes import styles_of
from core.vision.metrics import reliability
from pages.components.figure import show_figure
from pages.components.gallery import Tile, show_tiles
from pages.components.messages import plain, why
from pages.components.terms import METRICS, metric_columns
from train.compare import PartComparison
from train.run_folder import KERAS_MODEL, MODEL, ONNX_MODEL
from train.statistics import certainty_in_words

SHOWN_AS = {"better": st.success, "probably better": st.success, "worse": st.warning, "probably worse": st.warning}
SMALL_TEST = 50
CURVES_FROM = 100
"""Faces in the test from which on curves over them mean something."""
INTERVAL = mark("The true accuracy lies between the two limits with 95% certainty.")
WORSE = {
    "worse": mark(
        "This model is **worse** than the active one. Photo and live pages of all visitors would make more mistakes."
    ),
    "probably worse": mark(
        "This model is **probably worse** than the active one. Photo and live pages of all visitors would make more "
        "mistakes."
    ),
}
"""What is said before a worse model is deployed, by the outcome of the comparison."""


def show_outcome(comparison: PartComparison, cautions: Sequence[str], key: str) -> None:
    """Whether the model is better than the active one: a sentence and a picture, then what speaks against them."""
    found = comparison.difference
    show = SHOWN_AS.get(found.outcome, st.info) if found else st.info
    show(plain(comparison.sentence))
    if found:
        from pages.components.charts import better_or_worse

        figure = better_or_worse(found.difference, found.low, found.high)
        show_figure(figure, key=f"{key}_outcome", alt=tr("Chart. {sentence}").format(sentence=comparison.sentence))
    for caution in (*comparison.cautions, *cautions):
        st.markdown(f":material/warning: {plain(caution)}")


def show_statistics(comparisons: Sequence[PartComparison]) -> None:
    """The figures behind the sentence, for each part of the test."""
    for each in comparisons:
        if each.difference:
            part = tr(PARTS[each.part]) if each.part else tr("All test faces")
            st.markdown(f"**{part}.** {plain(certainty_in_words(each.difference))}")


def show_figures(scores: Mapping, part: str) -> None:
    """The four numbers that say how good a model is on a part of the data; ``scores`` as in ``report.json``."""
    faces = scores.get("images") or 0
    if not faces:
        st.info(tr("No face was kept for testing, so nobody can say how good this model is."))
        return
    st.markdown(f"**{part}**")
    per_class = scores.get("per_class") or {}
    missing = [name for name, row in per_class.items() if not row.get("support")]
    shown = {
        mark("Accuracy"): _percent(scores.get("accuracy")),
        mark("Balanced accuracy"): _percent(None if missing else scores.get("balanced_accuracy")),
        mark("Calibration error"): _percent(scores.get("expected_calibration_error")),
        mark("Faces"): number(faces, ","),
    }
    for column, (label, value) in zip(st.columns(len(shown)), shown.items(), strict=True):
        column.metric(tr(label), value, help=tr(METRICS.get(label, "")) or None)
    if missing:
        words = dict(zip(per_class, styles_of(tuple(per_class)), strict=True))
        names = tr(" and ").join(words[name].words for name in missing)
        st.warning(
            tr(
                "No face here is labelled {classes}, so nobody can say how well the model knows that; add images and "
                "train again."
            ).format(classes=plain(names))
        )
    if faces < SMALL_TEST:
        words_few = tr(":material/warning: {faces} faces are few: one more mistake changes a lot.")
        st.caption(words_few.format(faces=number(faces)))


def _percent(share: float | None) -> str:
    return number(share, ".1%") if isinstance(share, int | float) else "–"


def show_report(scores: Mapping, classes: tuple[str, ...], key: str) -> None:
    """Confusion matrix and a row per class."""
    from pages.components.charts import confusion

    left, right = st.columns(2)
    show_figure(confusion(scores["confusion_matrix"], classes), key=f"{key}_confusion", place=left)
    per_class = scores["per_class"]
    right.markdown(tr("**By class**"))
    right.dataframe(
        [
            {
                "Class": f"{style.sign} {style.words}",
                "Precision": per_class[name]["precision"],
                "Recall": per_class[name]["recall"],
                "F1": per_class[name]["f1"],
                "Faces": per_class[name]["support"],
            }
            for name, style in zip(classes, styles_of(classes), strict=True)
            if name in per_class
        ],
        hide_index=True,
        column_config={
            "Class": tr("Class"),
            **metric_columns(("Precision", "Recall", "F1")),
            "Faces": tr("Faces"),
        },
    )


def show_prediction_curves(labels: np.ndarray, probabilities: np.ndarray, classes: tuple[str, ...], key: str) -> None:
    """Calibration and precision-recall: (n,) int into ``classes`` and (n, k) in 0..1; with few faces, why not."""
    if len(labels) < CURVES_FROM:
        words = tr("Calibration and precision-recall curves need {least} test faces; there are {faces}.")
        st.caption(words.format(least=number(CURVES_FROM), faces=number(len(labels))))
        return
    from pages.components.charts import calibration, precision_recall

    left, right = st.columns(2)
    correct = probabilities.argmax(axis=1) == labels
    bins = reliability(probabilities.max(axis=1), correct, bins=10)
    show_figure(calibration(bins), key=f"{key}_calibration", place=left)
    show_figure(precision_recall(labels, probabilities, classes), key=f"{key}_recall", place=right)


def wrong_tile(
    place: int, name: str, jpeg: bytes, label: str, prediction: str, confidence: float, classes: Sequence[str]
) -> Tile:
    """One wrong prediction: the crop, the predicted class with its confidence, and the label."""
    styles = dict(zip(classes, styles_of(tuple(classes)), strict=True))
    note = tr("labelled {name}").format(name=styles[label].words)
    return Tile(
        str(place),
        name,
        jpeg,
        (1, 1),
        ((styles[prediction], f" {number(confidence, '.0%')}"),),
        (note, name.rpartition("/")[2]),
    )


def show_most_wrong(tiles: Sequence[Tile], wrong: int, faces: int, key: str) -> None:
    """The wrong predictions of the highest confidence."""
    st.markdown(tr("**Most confident mistakes**"))
    if not wrong:
        st.caption(tr("None: all {faces} faces are classified correctly.").format(faces=number(faces, ",")))
        return
    words = tr("{wrong} of {faces} faces are classified wrongly; those of the highest confidence come first.")
    st.caption(words.format(wrong=number(wrong, ","), faces=number(faces, ",")))
    show_tiles(f"{key}_wrong", [("", tiles)])


def show_set_scores(rows: Sequence[Mapping]) -> None:
    """How the model does on every data set: ``name``, ``faces``, ``right``, ``low``, ``high`` and more a row."""
    st.dataframe(
        [
            {
                mark("Data set"): row["name"],
                "Accuracy": row["right"] / row["faces"],
                "From": row["low"],
                "To": row["high"],
                mark("Balanced accuracy"): row["balanced"],
                "Faces": row["faces"],
                mark("Which faces"): tr("its test part") if row["learnt_from"] else tr("all, none trained on"),
                mark("Left out"): row["left_out"],
            }
            for row in rows
            if row.get("faces")
        ],
        hide_index=True,
        column_config={
            **{name: tr(name) for name in (mark("Data set"), "Faces", mark("Which faces"))},
            **metric_columns(("Accuracy", mark("Balanced accuracy"))),
            "From": st.column_config.NumberColumn(tr("Lower limit"), format="percent", help=tr(INTERVAL)),
            "To": st.column_config.NumberColumn(tr("Upper limit"), format="percent", help=tr(INTERVAL)),
            mark("Left out"): st.column_config.NumberColumn(
                tr("Left out"), help=tr("Faces of classes that the model does not know.")
            ),
        },
    )


def model_buttons(
    active: bool,
    outcome: str,
    deploy: Callable[[], object],
    roll_back: Callable[[], object] | None,
    key: str,
) -> None:
    """Deploy this model, or roll back to the one before; all pages follow at once.

    Args:
        active: whether it is the active one.
        outcome: of the comparison with that (``train.statistics.Difference``), ``comparing`` as long as there is none,
            or empty if they cannot be compared. A worse model is deployed only after asking.
        deploy: does it.
        roll_back: does that, if there is another model to go back to.
        key: of the widgets.
    """
    with st.container(horizontal=True, vertical_alignment="center"):
        if active:
            st.badge(tr("Active"), icon=":material/check:", color="green")
        elif outcome in WORSE:
            with st.popover(tr("Deploy anyway"), icon=":material/warning:"):
                st.markdown(tr(WORSE[outcome]))
                if st.button(tr("Deploy the worse model"), key=f"{key}_deploy"):
                    _change(deploy)
        elif st.button(
            tr("Deploy"),
            type="primary" if outcome.endswith("better") else "secondary",
            icon=":material/rocket_launch:",
            key=f"{key}_deploy",
            disabled=outcome == "comparing",
            help=tr("Photo and live pages of all visitors use this model from then on; it can be undone."),
        ):
            _change(deploy)
        if roll_back and st.button(tr("Roll back"), icon=":material/undo:", key=f"{key}_back",
                                   help=tr("Makes the method active again that was active before.")):  # fmt: skip
            _change(roll_back)


def _change(change: Callable[[], object]) -> None:
    try:
        with st.spinner(tr("One moment …")):
            change()
    except (ValueError, OSError) as error:
        st.error(why(error))
    else:
        st.toast(tr("Photo and live pages follow at once."), icon=":material/swap_horiz:")
        st.rerun()


def download_buttons(folder: Path, name: str, key: str, onnx: Callable[[], None] | None) -> None:
    """The model as files. ``onnx()`` begins to make that one; ``None`` if its packages are not there."""
    files = {"LiteRT": MODEL, "Keras": KERAS_MODEL, "ONNX": ONNX_MODEL}
    with st.container(horizontal=True):
        for kind, file in files.items():
            path = folder / file
            if path.is_file():
                st.download_button(
                    kind,
                    path.read_bytes,
                    f"{name}{path.suffix}",
                    "application/octet-stream",
                    icon=":material/download:",
                    on_click="ignore",
                    key=f"{key}_{kind}",
                )
            elif kind == "ONNX" and onnx:
                st.button(tr("Make ONNX"), icon=":material/transform:", on_click=onnx, key=f"{key}_make_onnx")
    if not onnx and not (folder / files["ONNX"]).is_file():
        st.caption(tr("For ONNX the server needs two more packages: `pip install tf2onnx onnx`."))
