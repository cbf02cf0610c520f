"""The last steps: the centre-point detector's own maps, and where cascade and detector give up."""

import numpy as np
import streamlit as st
from scipy.special import expit

from core.language import mark, number, tr, trc, trn
from core.vision.annotate import annotate
from core.vision.detector import PRESETS
from core.vision.detector_decode import MAX_OVERLAP, STRIDE, boxes_at, peaks, suppress
from core.vision.explain import overlay_centers
from core.vision.pipeline import PHOTO_SETTINGS, detect_masks
from core.vision.steps import FOUND_BGR, darkened, farther, outlined, turned, unmatched, with_arms
from pages.components.resources import photo_turns
from pages.views.how_it_works.parts import explain, picture_and_words, show_picture
from pages.views.how_it_works.subject import Subject, classic, neural

LONG_SIDE = PRESETS[PHOTO_SETTINGS.preset].long_side
HEAT, SIZES, BOXES = MAPS = mark("Heat map"), mark("Width and height"), mark("Boxes")
MOST_ROWS = 5


def show_detector(subject: Subject) -> None:
    """The maps of the detector and the boxes that come of them."""
    picture, words = picture_and_words()
    view = words.segmented_control(tr("Show"), MAPS, format_func=tr, default=HEAT, required=True, key="how_maps")
    least = words.slider(tr("Least score of a centre"), 5, 95, 30, 5, format=tr("%d%%"), key="how_center") / 100
    maps = neural().detector.maps(subject.frame_bgr, LONG_SIDE)
    rows, columns = peaks(maps.center, least)
    xyxy = boxes_at(maps.log_edges, rows, columns)
    kept = suppress(xyxy, MAX_OVERLAP)
    rows, columns, xyxy = rows[kept], columns[kept], xyxy[kept] / maps.zoom
    scores = expit(maps.center[rows, columns])
    centers = np.stack([columns + 0.5, rows + 0.5], axis=1) * STRIDE / maps.zoom
    if view == HEAT:
        show_picture(
            picture,
            overlay_centers(subject.frame_bgr, expit(maps.center)),
            tr("The brighter, the likelier the centre of a face"),
        )
    elif view == SIZES:
        caption = tr("From each centre to the face's four edges")
        show_picture(picture, with_arms(subject.frame_bgr, centers, xyxy), caption)
    else:
        show_picture(picture, outlined(subject.frame_bgr, xyxy, FOUND_BGR), tr("A box around each centre"))
    explain(
        words,
        tr(
            "The newer way: one network looks at the whole photo once and says for every spot how likely it is the "
            "*centre* of a face. Where a spot is brighter than all around it, the network's other maps say how far it "
            "is to the left, upper, right and lower edge."
        ),
        {
            tr("Detector"): tr("A network that finds things in a picture; this one also says how the mask is worn."),
            tr("Heat map"): tr("One number for every {side} × {side} pixels of what the network sees.").format(
                side=STRIDE
            ),
        },
    )
    words.markdown(
        trn(
            "**{count} centre** of {spots} spots has a score of {least} or more and is brighter than all around.",
            "**{count} centres** of {spots} spots have a score of {least} or more and are brighter than all around.",
            len(xyxy),
        ).format(count=number(len(xyxy), ","), spots=number(maps.center.size, ","), least=number(least, ".0%"))
    )
    if len(xyxy):
        words.table(
            [
                {
                    tr("Centre"): f"{x:.0f}, {y:.0f}",
                    tr("Score"): number(score, ".0%"),
                    tr("Width × height"): f"{w:.0f} × {h:.0f} px",
                }
                for (x, y), (w, h), score in zip(
                    centers[:MOST_ROWS], (xyxy[:, 2:] - xyxy[:, :2])[:MOST_ROWS], scores, strict=False
                )
            ]
        )
    words.caption(
        tr("Here the network looks once. For the result the app looks in several sizes and corrects the score.")
    )


def show_failures(subject: Subject) -> None:
    """What both find in this photo, and in the same photo made harder."""
    settings, pictures, said = st.columns(3), st.columns(2), st.columns(2)
    degrees = settings[0].slider(trc("slider", "Turn"), 0, 180, 0, 5, format="%d°", key="how_turn")
    size = settings[1].slider(tr("Size"), 5, 100, 100, 5, format=tr("%d%%"), key="how_size") / 100
    light = settings[2].slider(tr("Light"), 5, 100, 100, 5, format=tr("%d%%"), key="how_dark") / 100
    frame = darkened(farther(turned(subject.frame_bgr, degrees), size), light)
    pipelines = classic(), neural()
    with photo_turns().turn():
        old, new = (detect_masks(frame, pipeline, PHOTO_SETTINGS) for pipeline in pipelines)
    by_cascade = trn("Cascade and classifier: {count} face", "Cascade and classifier: {count} faces", len(old))
    by_detector = trn("Detector: {count} face", "Detector: {count} faces", len(new))
    show_picture(pictures[0], annotate(frame, old), by_cascade.format(count=len(old)))
    show_picture(pictures[1], annotate(frame, new), by_detector.format(count=len(new)))
    explain(
        said[0],
        tr("Neither finds every face. Turn the photo, make it smaller or darker, and find out when each gives up."),
    )
    found = len(unmatched(new.xyxy, old.xyxy)), len(unmatched(old.xyxy, new.xyxy))
    said[0].markdown(differ(*found) or both_agree(len(new)))
    explain(
        said[1],
        tr(
            "The cascade learned upright faces that look at the camera, mostly bare: it loses turned heads, masks and "
            "faces under about 24 pixels. The detector learned street photos: it loses faces that lie on their side or "
            "are tiny, and takes a fist for a face at times."
        ),
        {
            tr("Cascade"): tr("The face finder of the first steps, as the app's *Classic* method uses it."),
            tr("Detector"): tr("The network of the step before, as the app uses it for photos, in several sizes."),
        },
    )


def differ(by_detector: int, by_cascade: int) -> str:
    """A line for how many faces each of them finds alone; none if there are none."""
    detector = trn(
        "- The detector alone finds **{count} face**: the cascade misses it, or it is no face. Look which.",
        "- The detector alone finds **{count} faces**: the cascade misses them, or some are no faces. Look which.",
        by_detector,
    )
    cascade = trn(
        "- The cascade alone finds **{count} face**: the detector misses it, or it is no face. Look which.",
        "- The cascade alone finds **{count} faces**: the detector misses them, or some are no faces. Look which.",
        by_cascade,
    )
    lines = (detector, by_detector), (cascade, by_cascade)
    return "\n".join(words.format(count=count) for words, count in lines if count)


def both_agree(count: int) -> str:
    """The sentence where both find the same."""
    if not count:
        return tr("Both find **no face**. If you see one, both have failed.")
    return trn(
        "Both find the same **{count} face**. What else do you see that both miss?",
        "Both find the same **{count} faces**. What else do you see that both miss?",
        count,
    ).format(count=count)
