"""What metrics and counts mean, in a sentence or two, for the tooltip wherever one is shown."""

from collections.abc import Iterable

import streamlit as st

from core.language import ENGLISH, current, mark, tr

BLUR_HELP = mark(
    "Every face that is found becomes a mosaic, small and unclear ones too. While nothing is known of where faces are, "
    "the whole picture does."
)
PEOPLE_HELP = mark(
    "Everybody is counted once, as they were last seen. Who is out of the picture for more than two seconds counts as "
    "another person when they return."
)
METRICS = {
    mark("Accuracy"): mark(
        "Share of the faces that are classified correctly; where faces must be found first, a missed one counts "
        "as wrong."
    ),
    mark("Balanced accuracy"): mark(
        "Mean of the recall of every class, so that a rare class counts as much as a common one."
    ),
    mark("Binary accuracy"): mark(
        "Accuracy for mask or no mask alone; faces with a mask worn incorrectly are ignored."
    ),
    mark("Calibration error"): mark(
        "How far the confidence is from the share that is correct, on average; 0% is perfect."
    ),
    mark("Precision"): mark("Of the faces that were given this class, the share that truly has it."),
    mark("Recall"): mark("Of the faces that truly have this class, the share that was given it."),
    mark("Recall, mask"): mark("Of the faces with a mask, the share that is found and classified so."),
    mark("Recall, no mask"): mark("Of the faces without a mask, the share that is found and classified so."),
    mark("F1"): mark("Harmonic mean of precision and recall; 1 is perfect."),
    mark("Face recall"): mark("Share of the annotated faces that are found, whatever their class."),
    mark("Face recall, 12 to 24 px"): mark("Share of the annotated faces of 12 to 24 pixels that are found."),
    mark("False alarms per image"): mark("Boxes of 16 pixels and more where no face is, per image."),
    mark("mAP50, two classes"): mark("Mean average precision at an overlap of 0.5 for mask and no mask; 1 is perfect."),
    mark("mAP50, three classes"): mark(
        "Mean average precision at an overlap of 0.5 over all three classes; 1 is perfect."
    ),
}
"""Metrics by their names, which are ids too; ``metric_words`` says both in the visitor's language."""
TRAINING = {
    mark("Epochs"): mark(
        "An epoch is one pass over all faces kept for training. With more of them the network learns more, until "
        "it only learns these faces by heart."
    ),
    mark("Batch size"): mark(
        "How many faces the network sees before its weights change. Larger batches make steadier steps, and "
        "fewer of them."
    ),
    mark("Learning rate"): mark(
        "How far the weights move at each step. Too small, and learning takes long; too large, and it never settles."
    ),
    mark("Expected time"): mark(
        "What it should take on this server, from earlier trainings here; longer while other work runs."
    ),
}
"""Words of training, by what a form or a figure is called."""
NUMBERS = ("F1", mark("False alarms per image"), mark("mAP50, two classes"), mark("mAP50, three classes"))
"""These are no shares."""


def metric_words(name: str) -> tuple[str, str | None]:
    """What a metric is called in the visitor's language, and the sentence that explains it, if there is one."""
    return tr(name), tr(METRICS[name]) if name in METRICS else None


def metric_columns(names: Iterable[str]) -> dict:
    """How a table shows these metrics: as per cent where they are shares, each with its sentence."""
    # Always three digits, which Streamlit writes with a point; elsewhere as the browser writes numbers.
    plain_number = "%.3f" if current() == ENGLISH else "localized"
    return {
        name: st.column_config.NumberColumn(
            tr(name), format=plain_number if name in NUMBERS else "percent", help=tr(METRICS[name])
        )
        for name in names
        if name in METRICS
    }
