"""What a finished training run is shown as: is it better, where is it wrong, and what can be done with it.

Needs Streamlit; shows what it is given.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import streamlit as st

from core.vision.classes import styles_of
from core.vision.model_card import ModelError
from pages.components.gallery import Tile, show_tiles
from pages.components.messages import plain
from pages.views.training.curves import CHART
from train.compare import PartComparison

VERDICTS = {"better": st.success, "worse": st.warning, "unclear": st.info}


SMALL_TEST = 50


def show_headline(comparisons: Sequence[PartComparison]) -> None:
    """Whether the model is better than the one in use."""
    for each in comparisons:
        show = VERDICTS[each.difference.verdict] if each.difference else st.info
        show(plain(each.sentence))
        for caution in each.cautions:
            st.caption(f":material/warning: {plain(caution)}")
        if each.difference:
            d = each.difference
            st.caption(
                f"{d.only_new} of them only this model judges right, {d.only_old} only the model in use. The interval "
                f"is a bootstrap over pictures; McNemar's test gives p = {d.p_value:.2g}."
            )


def show_figures(scores: Mapping, part: str) -> None:
    """The four numbers that say how good a model is; ``scores`` as in ``report.json``."""
    faces = scores.get("images") or 0
    if not faces:
        st.info("No face was kept for a test, so nobody can say how good this model is.")
        return
    shown = {
        "Judged right": _percent(scores.get("accuracy")),
        "Mean of the classes": _percent(scores.get("balanced_accuracy")),
        "Probability off by": _percent(scores.get("expected_calibration_error")),
        f"Faces ({part})": f"{faces:,}",
    }
    for column, (label, value) in zip(st.columns(len(shown)), shown.items(), strict=True):
        column.metric(label, value)
    if faces < SMALL_TEST:
        st.caption(f":material/warning: {faces} faces are few: one more mistake changes a lot.")


def _percent(share: float | None) -> str:
    return f"{share:.1%}" if isinstance(share, int | float) else "–"


def show_report(scores: Mapping, classes: tuple[str, ...], key: str) -> None:
    """Confusion matrix and a row per class."""
    from pages.components.charts import confusion

    left, right = st.columns(2)
    left.plotly_chart(confusion(scores["confusion_matrix"], classes), key=f"{key}_confusion", config=CHART)
    per_class = scores["per_class"]
    right.markdown("**Class by class**")
    right.dataframe(
        [
            {
                "Class": f"{style.sign} {style.words}",
                "Found": per_class[name]["recall"],
                "Verdicts right": per_class[name]["precision"],
                "F1": per_class[name]["f1"],
                "Faces": per_class[name]["support"],
            }
            for name, style in zip(classes, styles_of(classes), strict=True)
            if name in per_class
        ],
        hide_index=True,
        column_config={
            "Found": st.column_config.NumberColumn(format="percent", help="Recall: of its faces, judged so"),
            "Verdicts right": st.column_config.NumberColumn(format="percent", help="Precision: of such verdicts, true"),
            "F1": st.column_config.NumberColumn(format="%.3f", help="Harmonic mean of the two"),
        },
    )


def show_probabilities(labels: np.ndarray, probabilities: np.ndarray, classes: tuple[str, ...], key: str) -> None:
    """Calibration and precision-recall: (n,) int into ``classes`` and (n, k) in 0..1."""
    from pages.components.charts import calibration, precision_recall

    left, right = st.columns(2)
    judged_right = probabilities.argmax(axis=1) == labels
    left.plotly_chart(calibration(probabilities.max(axis=1), judged_right), key=f"{key}_calibration", config=CHART)
    right.plotly_chart(precision_recall(labels, probabilities, classes), key=f"{key}_recall", config=CHART)


def wrong_tile(
    place: int, name: str, jpeg: bytes, label: str, verdict: str, sure: float, classes: Sequence[str]
) -> Tile:
    """One wrong verdict: the crop, what it was taken for with how much certainty, and what it is labelled."""
    styles = dict(zip(classes, styles_of(tuple(classes)), strict=True))
    note = f"labelled {styles[label].words}"
    return Tile(str(place), name, jpeg, (1, 1), ((styles[verdict], f" {sure:.0%}"),), (note, name.rpartition("/")[2]))


def show_most_wrong(tiles: Sequence[Tile], wrong: int, faces: int, key: str) -> None:
    """The wrong verdicts that the model was surest of."""
    st.markdown("**What it got most wrong**")
    if not wrong:
        st.caption(f"Nothing: all {faces:,} faces are judged right.")
        return
    st.caption(f"{wrong:,} of {faces:,} faces are judged wrong; the surest of the wrong verdicts first.")
    show_tiles(f"{key}_wrong", [("", tiles)])


def show_set_scores_table(rows: Sequence[Mapping]) -> None:
    """How the model does on every data set: ``name``, ``faces``, ``right``, ``low``, ``high`` and more a row."""
    st.dataframe(
        [
            {
                "Data set": row["name"],
                "Judged right": row["right"] / row["faces"],
                "From": row["low"],
                "To": row["high"],
                "Mean of the classes": row["balanced"],
                "Faces": row["faces"],
                "Which faces": "kept for its test" if row["learnt_from"] else "never seen",
                "Left out": row["left_out"],
            }
            for row in rows
            if row.get("faces")
        ],
        hide_index=True,
        column_config={
            "Judged right": st.column_config.NumberColumn(format="percent"),
            "Mean of the classes": st.column_config.NumberColumn(format="percent"),
            "From": st.column_config.NumberColumn(format="percent", help="The true share lies between From and To"),
            "To": st.column_config.NumberColumn(format="percent", help="with 95% certainty"),
            "Left out": st.column_config.NumberColumn(help="Faces of classes that the model does not know"),
        },
    )


def model_buttons(in_use_now: bool, use: Callable[[], object], go_back: Callable[[], object] | None, key: str) -> None:
    """Put this model to work, or go back to the one before; all pages follow at once."""
    with st.container(horizontal=True, vertical_alignment="center"):
        if in_use_now:
            st.badge("In use", icon=":material/check:", color="green")
        elif st.button("Use this model", type="primary", icon=":material/play_arrow:", key=f"{key}_use"):
            _change(use)
        if go_back and st.button("Go back", icon=":material/undo:", key=f"{key}_back",
                                 help="Puts the method to work again that was in use before."):  # fmt: skip
            _change(go_back)


def _change(change: Callable[[], object]) -> None:
    try:
        with st.spinner("One moment …"):
            change()
    except (ModelError, ValueError, OSError) as error:
        st.error(plain(str(error)))
    else:
        st.toast("Photo and live pages follow at once.", icon=":material/swap_horiz:")
        st.rerun()


def download_buttons(folder: Path, name: str, key: str, onnx: Callable[[], None] | None) -> None:
    """The model as files. ``onnx()`` begins to make that one; ``None`` if its packages are not there."""
    files = {"LiteRT": "model.tflite", "Keras": "model.keras", "ONNX": "model.onnx"}
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
                st.button("Make ONNX", icon=":material/transform:", on_click=onnx, key=f"{key}_make_onnx")
    if not onnx and not (folder / files["ONNX"]).is_file():
        st.caption("For ONNX the server needs two more packages: `pip install tf2onnx onnx`.")
