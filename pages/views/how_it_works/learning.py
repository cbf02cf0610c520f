"""How a network learns: gradient descent, and what goes wrong when it learns by heart. On made faces, in a moment."""

import cv2
import numpy as np
import streamlit as st

from core.vision.steps import in_rows, weights_picture
from pages.components.figure import show_figure
from pages.views.how_it_works.parts import explain, picture_and_words, show_picture
from pages.views.how_it_works.subject import Subject
from train.lesson import HARD, SIDE, Descent, Faces, TwoSplits, descend, made_faces, two_splits

RATES = (0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0, 300.0)
TOO_SMALL, RIGHT, TOO_LARGE = 0.03, 3.0, 100.0
STEPS, TRAINED = 100, 80
COPIES, VIEWS = 4, 40


@st.cache_data(show_spinner="Making faces …", max_entries=1)
def lesson() -> tuple[Faces, np.ndarray]:
    """The made faces of the lesson, and their pixels; the first ``TRAINED`` are trained on."""
    faces = made_faces(2 * TRAINED, seed=1)
    return faces, faces.pixels


@st.cache_data(show_spinner="Training …", max_entries=1)
def splits() -> tuple[TwoSplits, Faces]:
    """Training on made faces with near-duplicates, tested both ways."""
    faces = made_faces(VIEWS, COPIES, HARD)
    return two_splits(faces), faces


def as_row(pictures: np.ndarray, columns: int) -> np.ndarray:
    """Pictures (n, h, w, 3) RGB in rows, BGR."""
    return in_rows([cv2.cvtColor(each, cv2.COLOR_RGB2BGR) for each in pictures], columns)


def show_descent(subject: Subject) -> None:
    """The loss, step by step, at the visitor's learning rate."""
    from pages.components import charts

    faces, pixels = lesson()
    picture, words = picture_and_words()
    rate = words.select_slider("Learning rate", RATES, RIGHT, format_func=lambda value: f"{value:g}", key="how_rate")
    curves = {}
    learned: Descent = descend(pixels[:TRAINED], faces.masked[:TRAINED], rate, STEPS)
    losses = learned.losses(pixels[:TRAINED], faces.masked[:TRAINED])
    curves[f"Yours: {rate:g}"] = losses.tolist()
    for name, other in (("too small", TOO_SMALL), ("right", RIGHT), ("too large", TOO_LARGE)):
        if other != rate:
            descent = descend(pixels[:TRAINED], faces.masked[:TRAINED], other, STEPS)
            curves[f"{other:g}: {name}"] = descent.losses(pixels[:TRAINED], faces.masked[:TRAINED]).tolist()
    show_figure(
        charts.lines("Loss by step", curves, "Step", "Loss", log=True),
        place=picture,
        alt=f"The loss over {STEPS} steps at a learning rate of {rate:g}, beside three others",
    )
    show_picture(picture, as_row(faces.pictures[:12], 6), "Some of the faces it learns from; the masks are drawn")
    explain(
        words,
        f"Learning means changing weights so that the *loss* gets smaller. At each step all {SIDE * SIDE} weights move "
        "a little downhill; the *learning rate* says how far. Too short a step takes for ever, too long a step jumps "
        "over the valley, and the loss goes up.",
        {
            "Loss": "How wrong the answers are: 0 would be perfect, 0.69 is what a coin gets.",
            "Gradient descent": "Find out which way is downhill for every weight, take a step, begin again.",
            "Learning rate": "The length of the step.",
        },
    )
    words.markdown(outcome(losses))
    right = learned.accuracies(pixels[TRAINED:], faces.masked[TRAINED:])[-1]
    words.markdown(f"After {STEPS} steps it is right on {right:.0%} of {TRAINED} faces that it has not seen.")
    show_picture(
        words,
        weights_picture(learned.weights[-1]),
        "What it learned, a weight for each pixel: blue where bright speaks for a mask, orange where dark does",
        exact=True,
        width=240,
    )


def outcome(losses: np.ndarray) -> str:
    """What a curve of losses shows, in a sentence."""
    if losses.max() > 1.05 * losses[0]:
        return "**Too large.** The loss jumps above where it began: each step lands on the other side of the valley."
    if losses[-1] > 0.9 * losses[0]:
        return f"**Too small.** After {STEPS} steps it has hardly begun: from {losses[0]:.2f} to {losses[-1]:.2f}."
    return f"**About right.** The loss falls all the way, from {losses[0]:.2f} to {losses[-1]:.2f}."


def show_overfitting(subject: Subject) -> None:
    """The same training, tested honestly and flattered."""
    from pages.components import charts

    result, faces = splits()
    picture, words = picture_and_words()
    show_figure(
        charts.lines(
            "Accuracy by step",
            {
                "Training faces": (100 * result.training).tolist(),
                "Test with near-duplicates": (100 * result.flattered).tolist(),
                "Honest test": (100 * result.honest).tolist(),
            },
            "Step",
            "Faces classified correctly in %",
            percent=True,
        ),
        place=picture,
        alt="Accuracy on training faces and in two tests; the honest test stays far below",
    )
    show_picture(
        picture,
        as_row(faces.pictures[: 3 * COPIES], COPIES),
        "Each row is one face, stored four times with hardly a change: near-duplicates",
    )
    explain(
        words,
        "With few faces a network can learn each by heart instead of what a mask is: it is right on all that it knows "
        "and not on new ones. If copies of known faces are in the test, it does not even show.",
        {
            "Over-fitting": "Being much better on what was trained on than on anything new.",
            "Near-duplicates": "Pictures that are nearly the same: frames of one film, or one photo stored again.",
        },
    )
    flattered, honest = words.columns(2)
    flattered.metric(
        "Random test",
        f"{result.flattered[-1]:.0%}",
        help=f"Of {result.leaked:.0%} of these faces, a near-duplicate was trained on.",
    )
    honest.metric("Honest test", f"{result.honest[-1]:.0%}", help="All copies of a face are on one side.")
    words.markdown(
        "Same faces, same training: only the way of testing differs. This app finds near-duplicates in data sets and "
        "keeps them on one side."
    )
