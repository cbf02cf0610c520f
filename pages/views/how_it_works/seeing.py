"""The first steps: what the cascade gets, what it asks, which windows are left, and how they vote."""

import numpy as np
import streamlit as st

from core.language import mark, number, tr, trn
from core.vision.cascade import answers, prepare
from core.vision.haar import FACE_IN_SQUARE, HaarSettings
from core.vision.steps import (
    FOUND_BGR,
    OTHER_BGR,
    darkened,
    feature_on_window,
    in_rows,
    numbered,
    outlined,
    windows_left,
)
from pages.components.figure import show_figure
from pages.views.how_it_works.parts import explain, picture_and_words, show_picture
from pages.views.how_it_works.subject import Subject, cascade

THE_FACE, ELSEWHERE = mark("The likeliest face"), mark("A place without a face")
NEIGHBOURS = HaarSettings.min_neighbors


def show_light(subject: Subject) -> None:
    """Grey, and with its brightness equalised."""
    picture, words = picture_and_words()
    light = words.slider(tr("Light in the room"), 10, 100, 40, format=tr("%d%%"), key="how_light") / 100
    grey, even = prepare(darkened(subject.frame_bgr, light))
    left, right = picture.columns(2)
    show_picture(left, grey, tr("The photo in grey"))
    show_picture(right, even, tr("Its brightness equalised: this is what the cascade gets"))
    explain(
        words,
        tr(
            "The first face finder knows no colours: it looks at brightness alone. Before it looks, the brightness is "
            "equalised, so that dark and bright photos look nearly the same to it: move the slider and watch the right "
            "picture."
        ),
        {
            tr("Equalise"): tr("Grey values are spread so that all, from black to white, occur about equally often."),
            tr("Cascade"): tr("A series of simple questions to each part of a picture; the next steps show them."),
        },
    )
    words.markdown(
        tr(
            "From the darkest to the brightest pixel: {grey_low} to {grey_high} on the left, {even_low} to {even_high} "
            "on the right."
        ).format(grey_low=grey.min(), grey_high=grey.max(), even_low=even.min(), even_high=even.max())
    )


def best_window(subject: Subject) -> int | None:
    """The window that is likeliest a face: one in the middle of those that get farthest, near the detector's face."""
    windows = subject.windows
    if not len(windows.passed):
        return None
    if not len(subject.found):
        places = windows.left(int(windows.passed.max()))
    else:
        x1, y1, x2, _ = subject.found.xyxy[0] / subject.zoom
        # The square that the cascade would draw around this face.
        left, top, right, _ = FACE_IN_SQUARE[HaarSettings.cascade]
        side = (x2 - x1) / (right - left)
        square = np.array([x1 - left * side, y1 - top * side, x1 + (1 - left) * side, y1 + (1 - top) * side])
        near = np.abs(windows.xyxy - square).max(axis=1)
        places = np.flatnonzero(near <= max(float(near.min()), 0.25 * side))
        places = places[windows.passed[places] == windows.passed[places].max()]
    middle = np.median(windows.xyxy[places], axis=0)
    return int(places[np.abs(windows.xyxy[places] - middle).sum(axis=1).argmin()])


def other_window(subject: Subject, best: int) -> int | None:
    """A window of about the same size, far from the face, that the first stage refuses."""
    xyxy = subject.windows.xyxy
    side = xyxy[:, 2] - xyxy[:, 0]
    far = np.abs(xyxy - xyxy[best]).max(axis=1) > side[best]
    places = np.flatnonzero((subject.windows.passed == 0) & far & (np.abs(side / side[best] - 1) < 0.2))
    return int(places[len(places) // 3]) if len(places) else None


def show_features(subject: Subject) -> None:
    """What the first stage asks of one window."""
    best = best_window(subject)
    if best is None:
        st.info(tr("This photo is too small for the cascade; take another one."))
        return
    picture, words = picture_and_words()
    other = other_window(subject, best)
    choices = (THE_FACE, ELSEWHERE) if other is not None else (THE_FACE,)
    where = words.segmented_control(
        tr("Window"), choices, format_func=tr, default=THE_FACE, required=True, key="how_window"
    )
    place = other if where == ELSEWHERE and other is not None else best
    xyxy, stage = subject.windows.xyxy[place], cascade().stages[0]
    window, said = answers(subject.grey[1], cascade(), xyxy)
    explain(
        words,
        tr(
            "A *feature* compares brightness: the sum under white minus the sum under black, times their weights. Eyes "
            "are darker than cheeks, and the bridge of the nose is brighter than the eyes beside it: three small trees "
            "of such questions are the first stage."
        ),
        {
            tr("Integral image"): tr(
                "A table of sums, made once; with it any rectangle's sum takes four look-ups, however large it is."
            ),
            tr("Threshold"): tr("The limit that training found to separate faces from other things best."),
            tr("Stage"): tr("A group of questions whose points are added; too few points, and the window is no face."),
        },
    )
    points = sum(each.points for each in said)
    passes = points >= stage.threshold
    words.table(
        [
            {
                tr("Question"): f"{tree + 1}{'ab'[i]}",
                tr("Value"): number(value, ".4f"),
                tr("Threshold"): number(node.threshold, ".4f"),
                tr("Points"): number(each.points, ".2f") if i == len(each.nodes) - 1 else tr("asks on"),
            }
            for tree, each in enumerate(said)
            for i, (node, value) in enumerate(each.nodes)
        ]
    )
    goes_on = tr("**{points} points**, {needed} are needed: this window goes on to the next stage.")
    refused = tr(
        "**{points} points**, {needed} are needed: this window is refused at once, and nothing more is computed for it."
    )
    outcome = goes_on if passes else refused
    words.markdown(outcome.format(points=number(points, ".2f"), needed=number(stage.threshold, ".2f")))
    tiles = [
        numbered(feature_on_window(window, node.feature), f"{tree + 1}{'ab'[i]}")
        for tree, each in enumerate(said)
        for i, (node, _) in enumerate(each.nodes)
    ]
    caption = tr("The questions on this window, which the cascade sees with {side} × {side} pixels")
    caption = caption.format(side=cascade().side)
    show_picture(picture, in_rows(tiles, 3), caption, exact=True)
    show_picture(
        picture,
        outlined(subject.frame_bgr, subject.windows.xyxy[[place]] * subject.zoom, FOUND_BGR if passes else OTHER_BGR),
        tr("The window in the photo"),
    )


def show_cascade(subject: Subject) -> None:
    """How many windows each stage leaves."""
    from pages.components import charts

    windows, stages = subject.windows, len(cascade().stages)
    picture, words = picture_and_words()
    stage = words.slider(tr("Stages passed"), 0, stages, 8, key="how_stage")
    left = [len(windows.left(passed)) for passed in range(stages + 1)]
    explain(
        words,
        trn(
            "The window slides over the whole photo, in many sizes: {count} window here. Each stage asks more than the "
            "one before, but only of the windows that are left: so almost all of the work is spent on what looks like "
            "a face.",
            "The window slides over the whole photo, in many sizes: {count} windows here. Each stage asks more than "
            "the one before, but only of the windows that are left: so almost all of the work is spent on what looks "
            "like a face.",
            left[0],
        ).format(count=number(left[0], ",")),
        {tr("Cascade"): tr("Like water over steps: what a step holds back never reaches the next one.")},
    )
    are_left = trn(
        "After stage {stage}, **{count} window** of {all} is left.",
        "After stage {stage}, **{count} windows** of {all} are left.",
        left[stage],
    ).format(stage=stage, count=number(left[stage], ","), all=number(left[0], ","))
    trees = len(cascade().stages[min(stage, stages - 1)].trees)
    asks = trn("Stage {stage} has {count} tree of questions.", "Stage {stage} has {count} trees of questions.", trees)
    words.markdown(f"{are_left} {asks.format(stage=min(stage + 1, stages), count=number(trees, ','))}")
    show_picture(
        picture,
        windows_left(subject.frame_bgr, windows, stage, subject.zoom),
        trn(
            "The brighter, the more windows are left here after {count} stage",
            "The brighter, the more windows are left here after {count} stages",
            stage,
        ).format(count=stage),
    )
    show_figure(
        charts.lines(tr("Windows left"), {tr("Windows"): left}, tr("Stage"), tr("Windows"), log=True, marked=stage),
        place=words,
        alt=tr("Windows left after each stage, falling steeply"),
    )


def show_neighbours(subject: Subject) -> None:
    """All windows that pass, and the boxes that they vote for."""
    picture, words = picture_and_words()
    needed = words.slider(tr("Neighbours needed"), 1, 40, NEIGHBOURS, key="how_neighbours")
    raw, boxes = subject.squares(0), subject.squares(needed)
    explain(
        words,
        tr(
            "Around a real face many windows pass, a little shifted or larger; a mistake often passes alone. So "
            "windows that overlap are counted as votes: only where enough of them agree, their mean becomes a box."
        ),
        {
            tr("Neighbours"): tr(
                "OpenCV's minNeighbors: windows that lie over each other in about the same size. The app asks for "
                "{neighbours}."
            ).format(neighbours=NEIGHBOURS)
        },
    )
    passed = trn(
        "**{count} window** passed all stages (orange).", "**{count} windows** passed all stages (orange).", len(raw)
    )
    are_left = trn(
        "With {neighbours} needed, **{count} box** is left (green).",
        "With {neighbours} needed, **{count} boxes** are left (green).",
        len(boxes),
    ).format(neighbours=trn("{count} neighbour", "{count} neighbours", needed).format(count=needed), count=len(boxes))
    words.markdown(f"{passed.format(count=number(len(raw), ','))} {are_left}")
    if len(raw) and not len(boxes):
        words.markdown(tr("So many do not agree anywhere: the face is lost."))
    if not len(raw):
        words.markdown(
            tr("No window passes all stages: this cascade sees no face here, however few neighbours it needs.")
        )
    drawn = outlined(outlined(subject.frame_bgr, raw, OTHER_BGR, line=2), boxes, FOUND_BGR, line=6)
    show_picture(picture, drawn, tr("Orange: windows that passed all stages. Green: what they voted for"))
