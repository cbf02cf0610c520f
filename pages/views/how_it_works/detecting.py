"""The last steps: the centre-point detector's own maps, and where cascade and detector give up."""

import numpy as np
import streamlit as st
from scipy.special import expit

from core.vision.annotate import annotate
from core.vision.detector import PRESETS
from core.vision.detector_decode import MAX_OVERLAP, STRIDE, boxes_at, peaks, suppress
from core.vision.explain import overlay_centers
from core.vision.pipeline import PHOTO_SETTINGS, detect_masks
from core.vision.steps import FOUND_BGR, darkened, farther, outlined, turned, unmatched, with_arms
from pages.components.resources import photo_turns
from pages.views.how_it_works.parts import count_of, explain, picture_and_words, show_picture
from pages.views.how_it_works.subject import Subject, classic, neural

LONG_SIDE = PRESETS[PHOTO_SETTINGS.preset].long_side
HEAT, SIZES, BOXES = "Heat map", "Width and height", "Boxes"
MOST_ROWS = 5


def show_detector(subject: Subject) -> None:
    """The maps of the detector and the boxes that come of them."""
    picture, words = picture_and_words()
    view = words.segmented_control("Show", (HEAT, SIZES, BOXES), default=HEAT, required=True, key="how_maps")
    least = words.slider("Least score of a centre", 5, 95, 30, 5, format="%d%%", key="how_center") / 100
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
            "The brighter, the likelier the centre of a face",
        )
    elif view == SIZES:
        show_picture(picture, with_arms(subject.frame_bgr, centers, xyxy), "From each centre to the face's four edges")
    else:
        show_picture(picture, outlined(subject.frame_bgr, xyxy, FOUND_BGR), "A box around each centre")
    explain(
        words,
        "The newer way: one network looks at the whole photo once and says for every spot how likely it is the "
        "*centre* of a face. Where a spot is brighter than all around it, the network's other maps say how far it is "
        "to the left, upper, right and lower edge.",
        {
            "Detector": "A network that finds things in a picture; this one also says how the mask is worn.",
            "Heat map": f"One number for every {STRIDE} × {STRIDE} pixels of what the network sees.",
        },
    )
    words.markdown(
        f"**{count_of(len(xyxy), 'centre')}** of {maps.center.size:,} spots "
        f"{'has' if len(xyxy) == 1 else 'have'} a score of {least:.0%} or more and "
        f"{'is' if len(xyxy) == 1 else 'are'} brighter than all around."
    )
    if len(xyxy):
        words.table(
            [
                {"Centre": f"{x:.0f}, {y:.0f}", "Score": f"{score:.0%}", "Width × height": f"{w:.0f} × {h:.0f} px"}
                for (x, y), (w, h), score in zip(
                    centers[:MOST_ROWS], (xyxy[:, 2:] - xyxy[:, :2])[:MOST_ROWS], scores, strict=False
                )
            ]
        )
    words.caption("Here the network looks once. For the result the app looks in several sizes and corrects the score.")


def show_failures(subject: Subject) -> None:
    """What both find in this photo, and in the same photo made harder."""
    settings, pictures, said = st.columns(3), st.columns(2), st.columns(2)
    degrees = settings[0].slider("Turn", 0, 180, 0, 5, format="%d°", key="how_turn")
    size = settings[1].slider("Size", 5, 100, 100, 5, format="%d%%", key="how_size") / 100
    light = settings[2].slider("Light", 5, 100, 100, 5, format="%d%%", key="how_dark") / 100
    frame = darkened(farther(turned(subject.frame_bgr, degrees), size), light)
    pipelines = classic(), neural()
    with photo_turns().turn():
        old, new = (detect_masks(frame, pipeline, PHOTO_SETTINGS) for pipeline in pipelines)
    show_picture(pictures[0], annotate(frame, old), f"Cascade and classifier: {count_of(len(old), 'face')}")
    show_picture(pictures[1], annotate(frame, new), f"Detector: {count_of(len(new), 'face')}")
    explain(
        said[0],
        "Neither finds every face. Turn the photo, make it smaller or darker, and find out when each gives up.",
    )
    lines = [
        *in_words(len(unmatched(new.xyxy, old.xyxy)), "The detector alone finds", "the cascade misses"),
        *in_words(len(unmatched(old.xyxy, new.xyxy)), "The cascade alone finds", "the detector misses"),
    ]
    said[0].markdown("\n".join(lines) or both_agree(len(new)))
    explain(
        said[1],
        "The cascade learned upright faces that look at the camera, mostly bare: it loses turned heads, masks and "
        "faces under about 24 pixels. The detector learned street photos: it loses faces that lie on their side or "
        "are tiny, and takes a fist for a face at times.",
        {
            "Cascade": "The face finder of the first steps, as the app's *Classic* method uses it.",
            "Detector": "The network of the step before, as the app uses it for photos, in several sizes.",
        },
    )


def in_words(count: int, who: str, misses: str) -> list[str]:
    """What one of them finds and the other does not, as a line of a list; none if there is nothing."""
    if not count:
        return []
    doubt = "it, or it is no face" if count == 1 else "them, or some are no faces"
    return [f"- {who} **{count_of(count, 'face')}**: {misses} {doubt}. Look which."]


def both_agree(count: int) -> str:
    """The sentence where both find the same."""
    if not count:
        return "Both find **no face**. If you see one, both have failed."
    return f"Both find the same **{count_of(count, 'face')}**. What else do you see that both miss?"
