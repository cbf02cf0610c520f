"""Words for the states and stages of a training, and for times."""

STATES = {
    "queued": (":material/hourglass_empty:", "in the queue"),
    "running": (":material/play_circle:", "running"),
    "done": (":material/check_circle:", "done"),
    "cancelled": (":material/cancel:", "cancelled"),
    "interrupted": (":material/bolt:", "interrupted"),
    "failed": (":material/error:", "failed"),
}
STAGES = {
    "reading": "Reading the images",
    "features": "Computing the features of every image",
    "head": "Training the last layers",
    "fine-tune": "Training the last blocks too",
    "finishing": "Exporting and testing the model",
}


def minutes_words(seconds: float) -> str:
    """A time as people say it: ``40 seconds``, ``3 minutes``, ``2 hours 10 minutes``."""
    if seconds < 55:
        return f"{max(5, round(seconds / 5) * 5)} seconds"
    minutes = max(1, round(seconds / 60))
    if minutes < 100:
        return f"{minutes} minute" + "s" * (minutes != 1)
    return f"{minutes // 60} hours" + (f" {minutes % 60 // 5 * 5} minutes" if minutes % 60 >= 5 else "")
