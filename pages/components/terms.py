"""What metrics and counts mean, in a sentence or two, for the tooltip wherever one is shown."""

from collections.abc import Iterable

import streamlit as st

BLUR_HELP = (
    "Every face that is found becomes a mosaic, small and unclear ones too. While nothing is known of where faces are, "
    "the whole picture does."
)
PEOPLE_HELP = (
    "Everybody is counted once, as they were last seen. Who is out of the picture for more than two seconds counts as "
    "another person when they return."
)
METRICS = {
    "Accuracy": "Share of the faces that are classified correctly; where faces must be found first, a missed one "
    "counts as wrong.",
    "Balanced accuracy": "Mean of the recall of every class, so that a rare class counts as much as a common one.",
    "Binary accuracy": "Accuracy for mask or no mask alone; faces with a mask worn incorrectly are ignored.",
    "Calibration error": "How far the confidence is from the share that is correct, on average; 0% is perfect.",
    "Precision": "Of the faces that were given this class, the share that truly has it.",
    "Recall": "Of the faces that truly have this class, the share that was given it.",
    "Recall, mask": "Of the faces with a mask, the share that is found and classified so.",
    "Recall, no mask": "Of the faces without a mask, the share that is found and classified so.",
    "F1": "Harmonic mean of precision and recall; 1 is perfect.",
    "Face recall": "Share of the annotated faces that are found, whatever their class.",
    "Face recall, 12 to 24 px": "Share of the annotated faces of 12 to 24 pixels that are found.",
    "False alarms per image": "Boxes of 16 pixels and more where no face is, per image.",
    "mAP50, two classes": "Mean average precision at an overlap of 0.5 for mask and no mask; 1 is perfect.",
    "mAP50, three classes": "Mean average precision at an overlap of 0.5 over all three classes; 1 is perfect.",
}
TRAINING = {
    "Epochs": "An epoch is one pass over all faces kept for training. With more of them the network learns more, until "
    "it only learns these faces by heart.",
    "Batch size": "How many faces the network sees before its weights change. Larger batches make steadier steps, and "
    "fewer of them.",
    "Learning rate": "How far the weights move at each step. Too small, and learning takes long; too large, and it "
    "never settles.",
    "Expected time": "What it should take on this server, from earlier trainings here; longer while other work runs.",
}
"""Words of training, by what a form or a figure is called."""
NUMBERS = ("F1", "False alarms per image", "mAP50, two classes", "mAP50, three classes")
"""These are no shares."""


def metric_columns(names: Iterable[str]) -> dict:
    """How a table shows these metrics: as per cent where they are shares, each with its sentence."""
    return {
        name: st.column_config.NumberColumn(format="%.3f" if name in NUMBERS else "percent", help=METRICS[name])
        for name in names
        if name in METRICS
    }
