"""Boxes and labels on a copy of the frame: green for a mask, red for none, amber for worn incorrectly, grey for unsure.

Never colour alone: every label has a sign (tick, cross, exclamation mark; a letter or a number for other classes),
words and a percentage, in dark or light text on a filled field, so that it can be read on any picture. A face without a
prediction has a question mark alone. Where faces are numbered, the number is in every label. Sizes follow the frame and
the face.
"""

import sys
import unicodedata
from collections.abc import Sequence
from types import ModuleType

import cv2
import numpy as np
import supervision as sv

from core.language import number
from core.vision.boxes import shorter_sides
from core.vision.classes import CLASS_STYLES, NO_PREDICTION, WITH_MASK, WITHOUT_MASK, ClassStyle
from core.vision.detections import face_styles

Box = tuple[int, int, int, int]
FONT = cv2.FONT_HERSHEY_DUPLEX
# Height of FONT's capitals in pixels at scale 1.
FONT_HEIGHT = 22
# Text height as a share of the frame's longer side: readable when the frame fills a page, modest on a crowd.
TEXT_SHARE = (0.014, 0.034)
MIN_TEXT_PX = 10
TEXT_OF_FACE = 0.17
# OpenCV's fonts have no letters with accents, so these are drawn by hand: lines from the middle of the letter's top (of
# its foot, for the cedilla), in heights of the text.
ACCENTS = {
    "\u0300": (((0.12, 0.12), (-0.1, 0.34)),),
    "\u0301": (((-0.12, 0.12), (0.1, 0.34)),),
    "\u0302": (((-0.18, 0.12), (0, 0.32), (0.18, 0.12)),),
    "\u0308": (((-0.17, 0.2), (-0.15, 0.2)), ((0.15, 0.2), (0.17, 0.2))),
    "\u0327": (((0, -0.02), (0.08, -0.14), (-0.06, -0.24)),),
}
CEDILLA = "\u0327"
SMALL_LETTER = 2 / 3
"""Height of small letters without what rises above them, in heights of capitals."""
# Longer words are cut: class names may be sentences.
MAX_WORDS = 24


def annotate(frame_bgr: np.ndarray, detections: sv.Detections, numbered: bool = False) -> np.ndarray:
    """Draw every face's box and label.

    Args:
        frame_bgr: (h, w, 3) uint8; it is not changed.
        detections: as in ``core.vision.detections``; earlier ones get the better place for their label.
        numbered: begin each label with the face's place among them, from 1.

    Returns:
        A new frame of the same shape.

    >>> from core.vision.detections import make_detections
    >>> grey = np.full((120, 160, 3), 127, np.uint8)
    >>> drawn = annotate(grey, make_detections([[40, 50, 80, 100]], [0]))
    >>> drawn.shape, drawn[75, 40].tolist()  # the box's left edge, green (BGR)
    ((120, 160, 3), [82, 122, 0])
    """
    canvas = frame_bgr.copy()
    height, width = canvas.shape[:2]
    line = max(2, round(max(height, width) / 300))
    boxes = [(round(x1), round(y1), round(x2), round(y2)) for x1, y1, x2, y2 in detections.xyxy.tolist()]
    styles = face_styles(detections)
    for (x1, y1, x2, y2), style in zip(boxes, styles, strict=True):
        # A dark line around the coloured one keeps it visible on ground of its own colour.
        cv2.rectangle(canvas, (x1, y1), (x2 - 1, y2 - 1), (20, 20, 20), line + 2)
        cv2.rectangle(canvas, (x1, y1), (x2 - 1, y2 - 1), style.color_rgb[::-1], line)
    labels: list[Box] = []
    for i in np.argsort(-shorter_sides(detections.xyxy), kind="stable"):  # room for labels of large faces first
        box, style, confidence = boxes[i], styles[i], detections.confidence[i]
        text_px = _text_height(box, (width, height))
        percent = unicodedata.normalize("NFKC", percentage(confidence))  # OpenCV writes ASCII alone: no narrow space
        texts: tuple[str, ...] = (f"{_short(_drawable(style.words))} {percent}".lstrip(), percent, "")
        if style is NO_PREDICTION:
            texts = ("",)
        if numbered:
            texts = tuple(f"{i + 1}. {text}".rstrip(". ") for text in texts)
        others = [other for other in boxes if other is not box]
        # A whole label beside all faces is best, then a shorter one; only where all is full, one over another face.
        tries = [*((text, labels + others) for text in texts), *((text, labels) for text in texts), (texts[-1], [])]
        for text, taken in tries:
            size = _label_size(text, text_px)
            place = _free_place(box, size, (width, height), taken, last_try=text == texts[-1] and not taken)
            if place is not None:
                labels.append((*place, place[0] + size[0], place[1] + size[1]))
                _draw_label(canvas, place, size, text, text_px, style)
                break
    return canvas


def percentage(probability: float) -> str:
    """A probability as people read it: "97%", never more than "99%", since no model is ever certain."""
    return number(min(99, round(100 * float(probability))) / 100, ".0%")


def _drawable(words: str) -> str:
    """The words in ASCII with ``ACCENTS`` behind their letters, which is all that can be drawn; perhaps empty."""
    return " ".join("".join(c for c in unicodedata.normalize("NFKD", words) if c.isascii() or c in ACCENTS).split())


def _without_accents(text: str) -> str:
    return "".join(letter for letter in text if letter.isascii())


def _short(words: str) -> str:
    return words if len(words) <= MAX_WORDS else f"{words[: MAX_WORDS - 2].rstrip()}.."


def _text_height(box: Box, size_wh: tuple[int, int]) -> int:
    least, most = (max(MIN_TEXT_PX, share * max(size_wh)) for share in TEXT_SHARE)
    return round(float(np.clip((box[2] - box[0]) * TEXT_OF_FACE, least, most)))


def _label_size(text: str, text_px: int) -> tuple[int, int]:
    """Width and height of a label's field: sign, text and a rim of half a text height."""
    pad = text_px // 2
    width = text_px + 2 * pad
    if text:
        width += pad + _text_width(_without_accents(text), text_px)
    return width, text_px + 2 * pad


def _text_width(plain: str, text_px: int) -> int:
    return cv2.getTextSize(plain, FONT, text_px / FONT_HEIGHT, _stroke(text_px))[0][0]


def _stroke(text_px: int) -> int:
    return max(1, round(text_px / 14))


def _free_place(
    box: Box, size: tuple[int, int], frame_wh: tuple[int, int], taken: list[Box], last_try: bool
) -> tuple[int, int] | None:
    """Upper left corner of a label near its box, inside the frame and clear of other labels; else ``None``."""
    x1, y1, x2, y2 = box
    label_w, label_h = size
    frame_w, frame_h = frame_wh
    if label_w > frame_w and not last_try:
        return None
    x, to_the_left = (int(np.clip(start, 0, max(0, frame_w - label_w))) for start in (x1, x2 - label_w))
    # Above the box, below it, or, where the frame ends, inside it.
    places = [(px, py) for py in (y1 - label_h, y2, y1, y2 - label_h) for px in (x, to_the_left)]
    inside = [(px, py) for px, py in places if py >= 0 and py + label_h <= frame_h]
    for px, py in inside:
        if all(px + label_w <= a or c <= px or py + label_h <= b or d <= py for a, b, c, d in taken):
            return px, py
    if last_try:
        return inside[0] if inside else (x, int(np.clip(y1 - label_h, 0, max(0, frame_h - label_h))))
    return None


def _draw_label(
    canvas: np.ndarray, place: tuple[int, int], size: tuple[int, int], text: str, text_px: int, style: ClassStyle
) -> None:
    x, y = place
    pad = text_px // 2
    color, text_color = style.color_rgb[::-1], style.text_rgb[::-1]
    cv2.rectangle(canvas, (x, y), (x + size[0] - 1, y + size[1] - 1), color, cv2.FILLED)
    _draw_sign(canvas, x + pad, y + pad, text_px, style, text_color)
    if text:
        _draw_text(canvas, x + 2 * pad + text_px, y + pad + text_px, text_px, text, text_color)


def _draw_text(canvas: np.ndarray, x: int, foot: int, text_px: int, text: str, color: Sequence[float]) -> None:
    plain, stroke = _without_accents(text), _stroke(text_px)
    cv2.putText(canvas, plain, (x, foot), FONT, text_px / FONT_HEIGHT, color, stroke, cv2.LINE_AA)
    for place, accent in enumerate(text):
        if accent in ACCENTS and (before := _without_accents(text[:place])):
            middle = x + (_text_width(before[:-1], text_px) + _text_width(before, text_px)) / 2
            height = 0 if accent == CEDILLA else SMALL_LETTER if before[-1].islower() else 1
            for line in ACCENTS[accent]:
                points = [(middle + dx * text_px, foot - (height + dy) * text_px) for dx, dy in line]
                cv2.polylines(canvas, [np.rint(points).astype(np.int32)], False, color, stroke, cv2.LINE_AA)


def _draw_sign(canvas: np.ndarray, x: int, y: int, side: int, style: ClassStyle, color: Sequence[float]) -> None:
    """The sign in a square of ``side`` pixels; ours are drawn by hand: OpenCV's fonts have no tick and no bold ones."""
    if style not in (*CLASS_STYLES, NO_PREDICTION):
        _draw_letters(canvas, x, y, side, style.sign, color)
        return
    if style is CLASS_STYLES[WITH_MASK]:
        strokes = [[(0.05, 0.55), (0.38, 0.9), (0.95, 0.12)]]
    elif style is CLASS_STYLES[WITHOUT_MASK]:
        strokes = [[(0.12, 0.1), (0.88, 0.9)], [(0.88, 0.1), (0.12, 0.9)]]
    elif style is NO_PREDICTION:
        bow = [(0.2, 0.25), (0.3, 0.07), (0.5, 0.0), (0.7, 0.07), (0.8, 0.25), (0.72, 0.42), (0.5, 0.54), (0.5, 0.67)]
        strokes = [bow, [(0.5, 0.95), (0.5, 0.97)]]
    else:
        strokes = [[(0.5, 0.02), (0.5, 0.65)], [(0.5, 0.93), (0.5, 0.97)]]
    for stroke in strokes:
        points = np.rint(np.array(stroke) * side + [x, y]).astype(np.int32)
        cv2.polylines(canvas, [points], False, color, max(1, round(side / 5.5)), cv2.LINE_AA)


def _draw_letters(canvas: np.ndarray, x: int, y: int, side: int, text: str, color: Sequence[float]) -> None:
    """A letter or a number, as large as a square of ``side`` pixels allows, in its middle."""
    stroke = max(1, round(side / 9))
    (width, height), _ = cv2.getTextSize(text, FONT, 1, stroke)
    scale = min(side / FONT_HEIGHT, side / width)
    (width, height), _ = cv2.getTextSize(text, FONT, scale, stroke)
    origin = (x + (side - width) // 2, y + (side + height) // 2)
    cv2.putText(canvas, text, origin, FONT, scale, color, stroke, cv2.LINE_AA)


class _CallableModule(ModuleType):
    """``from core.vision import annotate`` gives this module, not its function, once the module has been imported."""

    def __call__(self, frame_bgr: np.ndarray, detections: sv.Detections, numbered: bool = False) -> np.ndarray:
        return annotate(frame_bgr, detections, numbered)


sys.modules[__name__].__class__ = _CallableModule
