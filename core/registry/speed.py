"""How long a pipeline takes for a frame on this computer."""

import time
from collections.abc import Callable, Iterator
from functools import partial

import numpy as np

from core.synthetic.sample import SAMPLE_FACE_XYXY, sample_photo
from core.vision.crops import resize
from core.vision.pipeline import (
    DetectionSettings,
    Pipeline,
    detect_masks,
)

FRAME_WH = (640, 480)
FACES = (1, 5, 20)


def frame_with_faces(faces: int) -> np.ndarray:
    """A 640×480 frame with that many copies of the sample's head, bare and masked in turn, on a grey ground."""
    columns, rows = {1: (1, 1), 5: (3, 2), 20: (5, 4)}[faces]
    x1, y1, x2, y2 = SAMPLE_FACE_XYXY
    cell_w, cell_h = FRAME_WH[0] // columns, FRAME_WH[1] // rows
    side = min(cell_w, cell_h, 240)
    middle_x, middle_y, half = (x1 + x2) // 2, (y1 + y2) // 2, round((y2 - y1) * 0.75)
    frame = np.full((FRAME_WH[1], FRAME_WH[0], 3), 170, np.uint8)
    for i in range(faces):
        # The cut reaches above the photo's edge for a little; the missing rows are left out.
        head = sample_photo(masked=i % 2 == 1)[
            max(0, middle_y - half) : middle_y + half, middle_x - half : middle_x + half
        ]
        head = resize(head, (side, side))
        left = (i % columns) * cell_w + (cell_w - side) // 2
        top = (i // columns) * cell_h + (cell_h - side) // 2
        frame[top : top + side, left : left + side] = head
    return frame


def times_ms(call: Callable[[], object], repeats: int) -> list[float]:
    """Times of repeated calls in milliseconds, after three that do not count."""
    for _ in range(3):
        call()
    times = []
    for _ in range(repeats):
        started = time.perf_counter()
        call()
        times.append((time.perf_counter() - started) * 1000)
    return times


def frame_times_ms(pipeline: Pipeline, settings: DetectionSettings, repeats: int = 15) -> Iterator[tuple[int, float]]:
    """Faces in the frame and median milliseconds, frame by frame; for the page that measures this computer."""
    for faces in FACES:
        detect = partial(detect_masks, frame_with_faces(faces), pipeline, settings)
        yield faces, float(np.median(times_ms(detect, repeats)))


def median_and_p95(times: list[float]) -> dict[str, float]:
    """``median`` and ``p95`` of times in milliseconds."""
    return {"median": round(float(np.median(times)), 3), "p95": round(float(np.percentile(times, 95)), 3)}
