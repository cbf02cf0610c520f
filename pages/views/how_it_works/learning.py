"""How a network learns: gradient descent, and what goes wrong when it learns by heart. On made faces, in a moment."""

import cv2
import numpy as np
import streamlit as st

from core.language import mark, number, tr
from core.vision.steps import in_rows, weights_picture
from pages.components.figure import show_figure
from pages.views.how_it_works.parts import explain, picture_and_words, show_picture
from pages.views.how_it_works.subject import Subject
from train.lesson import HARD, SIDE, Descent, Faces, TwoSplits, descend, made_faces, two_splits

RATES = (0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0, 300.0)
RIGHT = 3.0
COMPARED = {0.03: mark("{rate}: too small"), RIGHT: mark("{rate}: right"), 100.0: mark("{rate}: too large")}
"""Other rates that are shown too, with what each is called."""
STEPS, TRAINED = 100, 80
COPIES, VIEWS = 4, 40


@st.cache_data(show_spinner=False, max_entries=1)
def lesson() -> tuple[Faces, np.ndarray]:
    """The made faces of the lesson, and their pixels; the first ``TRAINED`` are trained on."""
    faces = made_faces(2 * TRAINED, seed=1)
    return faces, faces.pixels


@st.cache_data(show_spinner=False, max_entries=1)
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

    with st.spinner(tr("Making faces …")):
        faces, pixels = lesson()
    picture, words = picture_and_words()
    rate = words.select_slider(
        tr("Learning rate"), RATES, RIGHT, format_func=lambda value: number(value, "g"), key="how_rate"
    )
    curves = {}
    learned: Descent = descend(pixels[:TRAINED], faces.masked[:TRAINED], rate, STEPS)
    losses = learned.losses(pixels[:TRAINED], faces.masked[:TRAINED])
    curves[tr("Yours: {rate}").format(rate=number(rate, "g"))] = losses.tolist()
    for other, name in COMPARED.items():
        if other != rate:
            descent = descend(pixels[:TRAINED], faces.masked[:TRAINED], other, STEPS)
            other_losses = descent.losses(pixels[:TRAINED], faces.masked[:TRAINED])
            curves[tr(name).format(rate=number(other, "g"))] = other_losses.tolist()
    show_figure(
        charts.lines(tr("Loss by step"), curves, tr("Step"), tr("Loss"), log=True),
        place=picture,
        alt=tr("The loss over {steps} steps at a learning rate of {rate}, beside others").format(
            steps=STEPS, rate=number(rate, "g")
        ),
    )
    caption = tr("Some of the faces it learns from; the masks are drawn")
    show_picture(picture, as_row(faces.pictures[:12], 6), caption)
    explain(
        words,
        tr(
            "Learning means changing weights so that the *loss* gets smaller. At each step all {weights} weights move "
            "a little downhill; the *learning rate* says how far. Too short a step takes for ever, too long a step "
            "jumps over the valley, and the loss goes up."
        ).format(weights=SIDE * SIDE),
        {
            tr("Loss"): tr("How wrong the answers are: 0 would be perfect, {coin} is what a coin gets.").format(
                coin=number(np.log(2), ".2f")
            ),
            tr("Gradient descent"): tr("Find out which way is downhill for every weight, take a step, begin again."),
            tr("Learning rate"): tr("The length of the step."),
        },
    )
    words.markdown(outcome(losses))
    right = learned.accuracies(pixels[TRAINED:], faces.masked[TRAINED:])[-1]
    words.markdown(
        tr("After {steps} steps it is right on {share} of {faces} faces that it has not seen.").format(
            steps=STEPS, share=number(right, ".0%"), faces=TRAINED
        )
    )
    show_picture(
        words,
        weights_picture(learned.weights[-1]),
        tr("What it learned, a weight for each pixel: blue where bright speaks for a mask, orange where dark does"),
        exact=True,
        width=240,
    )


def outcome(losses: np.ndarray) -> str:
    """What a curve of losses shows, in a sentence."""
    if losses.max() > 1.05 * losses[0]:
        return tr(
            "**Too large.** The loss jumps above where it began: each step lands on the other side of the valley."
        )
    first, last = number(losses[0], ".2f"), number(losses[-1], ".2f")
    if losses[-1] > 0.9 * losses[0]:
        words = tr("**Too small.** After {steps} steps it has hardly begun: from {first} to {last}.")
        return words.format(steps=STEPS, first=first, last=last)
    return tr("**About right.** The loss falls all the way, from {first} to {last}.").format(first=first, last=last)


def show_overfitting(subject: Subject) -> None:
    """The same training, tested honestly and flattered."""
    from pages.components import charts

    with st.spinner(tr("Training …")):
        result, faces = splits()
    picture, words = picture_and_words()
    show_figure(
        charts.lines(
            tr("Accuracy by step"),
            {
                tr("Training faces"): (100 * result.training).tolist(),
                tr("Test with near-duplicates"): (100 * result.flattered).tolist(),
                tr("Honest test"): (100 * result.honest).tolist(),
            },
            tr("Step"),
            tr("Faces classified correctly in %"),
            percent=True,
        ),
        place=picture,
        alt=tr("Accuracy on training faces and in two tests; the honest test stays far below"),
    )
    show_picture(
        picture,
        as_row(faces.pictures[: 3 * COPIES], COPIES),
        tr("Each row is one face, stored four times with hardly a change: near-duplicates"),
    )
    explain(
        words,
        tr(
            "With few faces a network can learn each by heart instead of what a mask is: it is right on all that it "
            "knows and not on new ones. If copies of known faces are in the test, it does not even show."
        ),
        {
            tr("Over-fitting"): tr("Being much better on what was trained on than on anything new."),
            tr("Near-duplicates"): tr(
                "Pictures that are nearly the same: frames of one film, or one photo stored again."
            ),
        },
    )
    flattered, honest = words.columns(2)
    flattered.metric(
        tr("Random test"),
        number(result.flattered[-1], ".0%"),
        help=tr("Of {share} of these faces, a near-duplicate was trained on.").format(
            share=number(result.leaked, ".0%")
        ),
    )
    honest.metric(tr("Honest test"), number(result.honest[-1], ".0%"), help=tr("All copies of a face are on one side."))
    words.markdown(
        tr(
            "Same faces, same training: only the way of testing differs. This app finds near-duplicates in data sets "
            "and keeps them on one side."
        )
    )
