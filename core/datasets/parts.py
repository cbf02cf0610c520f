"""The parts of a split, and what each is called everywhere."""

from core.language import mark

PARTS = {
    "train": mark("Training"),
    "val": mark("Validation"),
    "test": mark("Test"),
    "held_out": mark("Test (the set's own)"),
    "": mark("No split"),
}
"""By key, in English, in the order in which people expect them: ``held_out`` is what a data set itself names its test
part, ``""`` what a data set puts into no part."""
