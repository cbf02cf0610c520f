"""Where people are: inside a zone, and over which side of a line they went. Only people with a number count.

A place is drawn in shares of the picture, 0..1 from its upper left corner, so that it fits every size of it. Somebody
is where the middle of their face is.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import supervision as sv

from core.video.tracker import MAX_GONE_S, NO_NUMBER

Point = tuple[float, float]
ON_LINE = 0.25
"""Nearer to the line than this, in sizes of the face, somebody is on neither side: nobody is counted for trembling."""
COLOR_BGR, EDGE_BGR = (255, 255, 255), (20, 20, 20)


@dataclass(frozen=True)
class Place:
    """What is drawn on a camera's picture."""

    zone: tuple[Point, ...] = ()
    """Corners of a polygon; without any, the whole picture is the zone."""
    line: tuple[Point, Point] | None = None
    """The ends of a line. Who crosses it from the left of the way from the first to the second end comes in."""

    def mirrored(self) -> "Place":
        """The same place on a mirrored picture; in stays in."""
        line = None
        if self.line:
            (x1, y1), (x2, y2) = self.line
            line = (1 - x2, y2), (1 - x1, y1)
        return Place(tuple((1 - x, y) for x, y in self.zone), line)

    def turned(self) -> "Place":
        """The same, with in and out exchanged."""
        return Place(self.zone, self.line and (self.line[1], self.line[0]))


@dataclass(frozen=True)
class PlaceCounts:
    """What happened at a place so far."""

    inside: int = 0
    """People in the zone now."""
    went_in: int = 0
    """Crossings of the line."""
    went_out: int = 0
    dwell_s: float | None = None
    """How long people stayed in the zone on average; of those who are in it, until now."""
    longest_s: float | None = None
    """The longest that one of those in the zone has been there."""


class PlaceCounter:
    """Follows numbered people at one place. Not thread-safe."""

    def __init__(self, place: Place) -> None:
        """Args: where."""
        self.place = place
        self._crossed = Counter[bool]()
        # Of everybody with a number: middle of the face on a side of the line, and which side; seconds in the zone.
        self._sides: dict[int, tuple[Point, bool]] = {}
        self._seen_s: dict[int, float] = {}
        self._since_s: dict[int, float] = {}
        self._stays, self._stayed_s = 0, 0.0

    def update(self, detections: sv.Detections, at_s: float, size_wh: tuple[int, int]) -> set[int]:
        """The next frame.

        Args:
            detections: with the numbers of people, from ``PersonTracker.update``.
            at_s: when it was taken, in seconds of a clock that never goes back.
            size_wh: of the frame, in pixels.

        Returns:
            The numbers of those in the zone, also where one look missed them.
        """
        numbers = detections.tracker_id if detections.tracker_id is not None else np.full(len(detections), NO_NUMBER)
        for number, (x1, y1, x2, y2) in zip(numbers.tolist(), detections.xyxy.tolist(), strict=True):
            if number == NO_NUMBER:
                continue
            middle = (x1 + x2) / 2, (y1 + y2) / 2
            self._seen_s[number] = at_s
            if self._is_inside(middle, size_wh):
                self._since_s.setdefault(number, at_s)
            elif number in self._since_s:
                self._end_stay(number, at_s)
            if self.place.line:
                self._follow(number, middle, (x2 - x1 + y2 - y1) / 2, size_wh)
        for number in [number for number, seen_s in self._seen_s.items() if at_s - seen_s > MAX_GONE_S]:
            if number in self._since_s:
                self._end_stay(number, self._seen_s[number])
            del self._seen_s[number]
            self._sides.pop(number, None)
        return set(self._since_s)

    def counts(self, at_s: float) -> PlaceCounts:
        """What happened until this time."""
        stays = [max(at_s - since_s, 0.0) for since_s in self._since_s.values()]
        n = self._stays + len(stays)
        return PlaceCounts(
            len(stays),
            self._crossed[True],
            self._crossed[False],
            (self._stayed_s + sum(stays)) / n if n else None,
            max(stays, default=None),
        )

    def _is_inside(self, middle: Point, size_wh: tuple[int, int]) -> bool:
        if len(self.place.zone) < 3:
            return True
        corners = (np.array(self.place.zone) * size_wh).astype(np.float32)
        return cv2.pointPolygonTest(corners, middle, False) >= 0

    def _end_stay(self, number: int, at_s: float) -> None:
        self._stays += 1
        self._stayed_s += at_s - self._since_s.pop(number)

    def _follow(self, number: int, middle: Point, face_px: float, size_wh: tuple[int, int]) -> None:
        """Count a crossing: from one side to the other, between the ends of the line."""
        assert self.place.line
        start, end = (np.array(point) * size_wh for point in self.place.line)
        along = end - start
        length = float(np.hypot(*along))
        if not length:
            return
        distance = _cross(along, np.array(middle) - start) / length
        if abs(distance) < ON_LINE * face_px:
            return
        side = bool(distance > 0)
        before, self._sides[number] = self._sides.get(number), (middle, side)
        if before is None or before[1] == side:
            return
        # Where the way cuts the line, as a share of the line's length.
        way = np.array(middle) - before[0]
        if 0 <= _cross(np.array(before[0]) - start, way) / _cross(along, way) <= 1:
            self._crossed[side] += 1


def _cross(a: np.ndarray, b: np.ndarray) -> float:
    return float(a[0] * b[1] - a[1] * b[0])


def draw_place(frame_bgr: np.ndarray, place: Place) -> np.ndarray:
    """The zone and the line, with an arrow that points in, on a copy of the frame (h, w, 3) uint8."""
    canvas, size_wh = frame_bgr.copy(), frame_bgr.shape[1::-1]
    for thickness, color in ((4, EDGE_BGR), (2, COLOR_BGR)):
        if len(place.zone) >= 3:
            cv2.polylines(canvas, [_pixels(place.zone, size_wh)], True, color, thickness, cv2.LINE_AA)
        if place.line:
            start, end = _pixels(place.line, size_wh)
            cv2.line(canvas, start.tolist(), end.tolist(), color, thickness, cv2.LINE_AA)
            along = end - start
            middle = (start + end) // 2
            # To the right of the line's way, as pictures have their y downwards.
            inwards = np.array([-along[1], along[0]]) / max(float(np.hypot(*along)), 1.0) * 0.08 * max(size_wh)
            tip = (middle + inwards).astype(int).tolist()
            cv2.arrowedLine(canvas, middle.tolist(), tip, color, thickness, cv2.LINE_AA, tipLength=0.4)
    return canvas


def _pixels(points: Sequence[Point], size_wh: Sequence[int]) -> np.ndarray:
    return np.rint(np.array(points) * size_wh).astype(np.int32)
