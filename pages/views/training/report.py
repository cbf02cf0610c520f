"""A training as one HTML file: what came of it, how it was tested, and how it went; without pictures of people."""

from collections.abc import Mapping, Sequence
from datetime import tzinfo
from pathlib import Path

from core.datasets.parts import PARTS
from core.language import mark, number, tr
from core.vision.classes import styles_of
from pages.components.html_report import HtmlReport
from pages.views.training.words import setting_words
from train.compare import PartComparison
from train.run_folder import epochs_of, read_metrics, read_steps
from train.runs import Run
from train.statistics import certainty_in_words

PART_SCORES = (mark("Accuracy"), mark("Balanced accuracy"), mark("Calibration error"))
DAMAGED = mark("The figures of this run are damaged; make them anew.")


def run_report(
    run: Run,
    comparisons: Sequence[PartComparison],
    cautions: Sequence[str],
    scores: Mapping[str, Mapping],
    classes: tuple[str, ...],
    zone: tzinfo,
) -> bytes:
    """A run that is done, as an HTML file.

    Args:
        run: read from its folder.
        comparisons: with the active model, the one of all test faces first; empty where there is none.
        cautions: what flatters one of the two, in sentences.
        scores: ``report.json``'s figures, by the part of the data.
        classes: of the model.
        zone: of the visitor.
    """
    from pages.components.charts import better_or_worse, confusion, learning_curve

    report = HtmlReport(run.name, zone)
    if run.note:
        report.text(run.note)
    if comparisons:
        report.text(comparisons[0].sentence)
        if found := comparisons[0].difference:
            report.chart(better_or_worse(found.difference, found.low, found.high))
        for caution in (*comparisons[0].cautions, *cautions):
            report.text(caution)
    for part, figures in scores.items():
        report.heading(tr(PARTS[part]))
        try:
            numbers, rows = part_figures(figures), class_rows(figures["per_class"], classes)
            chart = confusion(figures["confusion_matrix"], classes)
        except (AttributeError, IndexError, KeyError, TypeError, ValueError):
            report.text(tr(DAMAGED))
            continue
        report.figures(numbers)
        report.chart(chart)
        report.table(rows)
    for each in comparisons:
        if each.difference:
            report.text(certainty_in_words(each.difference))
    report.heading(tr("How the training went"))
    epochs, head = epochs_of(run.settings)
    steps, metrics = read_steps(run.folder), read_metrics(run.folder)
    for quantity in ("loss", "accuracy"):
        report.chart(learning_curve(quantity, steps, metrics, epochs, head))
    report.heading(tr("Settings"))
    report.table(
        [
            {tr("Setting"): setting_words(name), tr("Value"): _words(value)}
            for name, value in public_settings(run).items()
        ]
    )
    return report.file()


def public_settings(run: Run) -> dict:
    """The settings of a run with names only: where files lie on the server is nobody's business."""
    weights = run.settings.get("imagenet_weights")
    return run.settings | {"data": run.data_names, "imagenet_weights": Path(str(weights)).name if weights else None}


def part_figures(figures: Mapping) -> dict[str, str]:
    """The few numbers that say how good a model is on a part of the data."""
    names = dict(zip(PART_SCORES, ("accuracy", "balanced_accuracy", "expected_calibration_error"), strict=True))
    shown = {tr(name): number(figures[key], ".1%") for name, key in names.items() if figures.get(key) is not None}
    return shown | {tr("Faces"): number(figures["images"], ",")}


def class_rows(per_class: Mapping[str, Mapping], classes: tuple[str, ...]) -> list[dict[str, str]]:
    """A row for each class."""
    return [
        {tr("Class"): f"{style.sign} {style.words}"}
        | {tr(name): number(per_class[key][name.lower()], ".1%") for name in (mark("Precision"), mark("Recall"))}
        | {"F1": number(per_class[key]["f1"], ".2f"), tr("Faces"): number(per_class[key]["support"], ",")}
        for key, style in zip(classes, styles_of(classes), strict=True)
        if key in per_class
    ]


def _words(value: object) -> str:
    return "–" if value is None else ", ".join(map(str, value)) if isinstance(value, list) else str(value)
