"""The parts of a split, and what each is called everywhere."""

PARTS = {
    "train": "Training",
    "val": "Validation",
    "test": "Test",
    "held_out": "Test (the set's own)",
    "": "No split",
}
"""By key, in the order in which people expect them: ``held_out`` is what a data set itself names its test part, ``""``
what a data set puts into no part."""
