"""Words for the states, stages and settings of a training, and for times.

Constants are English; ``tr`` says them in the visitor's language where they are shown.
"""

from core.language import mark, number, tr, trn

STATES = {
    "queued": (":material/hourglass_empty:", mark("in the queue")),
    "running": (":material/play_circle:", mark("running")),
    "done": (":material/check_circle:", mark("done")),
    "cancelled": (":material/cancel:", mark("cancelled")),
    "interrupted": (":material/bolt:", mark("interrupted")),
    "failed": (":material/error:", mark("failed")),
}
STAGES = {
    "reading": mark("Reading the images"),
    "features": mark("Computing the features of every image"),
    "head": mark("Training the last layers"),
    "fine-tune": mark("Training the last blocks too"),
    "finishing": mark("Exporting and testing the model"),
}
SETTINGS = {
    "recipe": mark("Recipe"),
    "features": mark("Features"),
    "views": mark("Views"),
    "epochs": mark("Epochs"),
    "fine_tune_blocks": mark("Fine tune blocks"),
    "fine_tune_epochs": mark("Fine tune epochs"),
    "batch_size": mark("Batch size"),
    "learning_rate": mark("Learning rate"),
    "fine_tune_rate": mark("Fine tune rate"),
    "dropout": mark("Dropout"),
    "label_smoothing": mark("Label smoothing"),
    "seed": mark("Seed"),
    "split": mark("Split"),
    "test_share": mark("Test share"),
    "val_share": mark("Validation share"),
    "margin": mark("Margin"),
    "min_face": mark("Smallest face"),
    "keep": mark("Keep"),
    "precision": mark("Precision"),
    "imagenet_weights": mark("ImageNet weights"),
    "data": mark("Data"),
    "classes": mark("Classes"),
}


def setting_in_english(name: str) -> str:
    """What a setting is called, in English: ``batch_size`` is *Batch size*."""
    return SETTINGS.get(name) or name.replace("_", " ").capitalize()


def setting_words(name: str) -> str:
    """The same in the visitor's language."""
    return tr(setting_in_english(name))


def minutes_words(seconds: float) -> str:
    """A time as people say it: ``40 seconds``, ``3 minutes``, ``2 hours 10 minutes``."""
    if seconds < 55:
        return tr("{count} seconds").format(count=max(5, round(seconds / 5) * 5))
    minutes = max(1, round(seconds / 60))
    if minutes < 100:
        return trn("{count} minute", "{count} minutes", minutes).format(count=minutes)
    hours, rest = minutes // 60, minutes % 60 // 5 * 5
    if rest:
        words = trn("{hours} hour {minutes} minutes", "{hours} hours {minutes} minutes", hours)
    else:
        words = trn("{hours} hour", "{hours} hours", hours)
    return words.format(hours=number(hours, ","), minutes=rest)
