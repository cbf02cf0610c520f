"""Pictures of what happens inside: features on a window, where windows are left, feature maps, peaks of a heat map.

Every picture is of a model's own numbers; nothing is sketched.
"""

from collections.abc import Sequence

import cv2
import numpy as np

from core.vision.boxes import overlaps
from core.vision.cascade import HaarFeature, Windows
from core.vision.crops import resize

BRIGHT_BGR, DARK_BGR = (255, 255, 255), (20, 20, 20)
FOUND_BGR, OTHER_BGR = (82, 122, 0), (0, 94, 213)
FEW_WINDOWS = 60
"""So many windows can still be told apart when all of them are drawn."""
# How bright a picture is where no window is left.
DIMMED = 0.15
GAP = 6


def enlarged(image: np.ndarray, side: int) -> np.ndarray:
    """A small picture whose pixels can be seen as squares; its longer side is about ``side``."""
    factor = max(1, side // max(image.shape[:2]))
    return np.repeat(np.repeat(image, factor, axis=0), factor, axis=1)


def feature_on_window(window: np.ndarray, feature: HaarFeature, side: int = 300) -> np.ndarray:
    """A feature's rectangles over a window: white counts for bright, black for dark.

    Args:
        window: (s, s) uint8 grey.
        feature: of the cascade.
        side: of the result, about.

    Returns:
        (side, side, 3) uint8, BGR.
    """
    weights = enlarged(feature.weights(len(window)), side)
    picture = cv2.cvtColor(enlarged(window, side), cv2.COLOR_GRAY2BGR)
    for where, color, share in ((weights > 0, BRIGHT_BGR, 0.6), (weights < 0, DARK_BGR, 0.7)):
        picture[where] = (picture[where] * (1 - share) + np.array(color) * share).astype(np.uint8)
        edges = [each.astype(np.int32) for each in _outlines(where)]
        cv2.polylines(picture, edges, True, OTHER_BGR, 2)
    return picture


def _outlines(where: np.ndarray) -> Sequence[np.ndarray]:
    return cv2.findContours(where.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)[0]


def windows_left(frame_bgr: np.ndarray, windows: Windows, stages: int, zoom: float) -> np.ndarray:
    """The photo, the brighter the more windows are left after so many stages; few windows are drawn, each by itself.

    Args:
        frame_bgr: (h, w, 3) uint8; it is not changed.
        windows: of its grey copy.
        stages: how many.
        zoom: pixels of the photo per pixel of the grey copy.

    Returns:
        (h, w, 3) uint8, BGR.
    """
    height, width = frame_bgr.shape[:2]
    boxes = np.rint(windows.xyxy[windows.left(stages)] * zoom).astype(int)
    x1, y1, x2, y2 = np.clip(boxes, 0, [width, height, width, height]).T
    count = np.zeros((height + 1, width + 1), np.int32)  # corners, whose sums are how many windows cover each pixel
    for x, y, sign in ((x1, y1, 1), (x2, y2, 1), (x1, y2, -1), (x2, y1, -1)):
        np.add.at(count, (y, x), sign)
    covering = count.cumsum(axis=0).cumsum(axis=1)[:height, :width, None]
    light = DIMMED + (1 - DIMMED) * covering / max(1, int(covering.max()))
    picture = (light * frame_bgr).astype(np.uint8)
    return outlined(picture, boxes, line=1) if len(boxes) <= FEW_WINDOWS else picture


def outlined(
    frame_bgr: np.ndarray, xyxy: np.ndarray, color_bgr: tuple[int, int, int] = FOUND_BGR, line: int = 0
) -> np.ndarray:
    """A copy of a frame with boxes (n, 4) drawn, as thick as fits the frame or as ``line`` says."""
    picture = frame_bgr.copy()
    line = line or max(2, round(max(frame_bgr.shape) / 250))
    for x1, y1, x2, y2 in np.rint(xyxy).astype(int).tolist():
        if line > 1:  # a light rim keeps it visible on ground of its own colour
            cv2.rectangle(picture, (x1, y1), (x2, y2), BRIGHT_BGR, line + 2)
        cv2.rectangle(picture, (x1, y1), (x2, y2), color_bgr if line > 1 else (80, 220, 120), line)
    return picture


def with_arms(frame_bgr: np.ndarray, centers: np.ndarray, xyxy: np.ndarray) -> np.ndarray:
    """A copy of a frame with arms from each centre (n, 2) to the edges of its box (n, 4)."""
    picture, line = frame_bgr.copy(), max(2, round(max(frame_bgr.shape) / 250))
    for (x, y), (x1, y1, x2, y2) in zip(
        np.rint(centers).astype(int).tolist(), np.rint(xyxy).astype(int).tolist(), strict=True
    ):
        for color, width in ((BRIGHT_BGR, line + 2), (FOUND_BGR, line)):
            cv2.line(picture, (x1, y), (x2, y), color, width)
            cv2.line(picture, (x, y1), (x, y2), color, width)
        cv2.circle(picture, (x, y), 2 * line, OTHER_BGR, cv2.FILLED)
    return picture


def darkened(frame_bgr: np.ndarray, light: float) -> np.ndarray:
    """The frame with so much of its light, 0..1."""
    return cv2.convertScaleAbs(frame_bgr, alpha=light)


def turned(frame_bgr: np.ndarray, degrees: float) -> np.ndarray:
    """The frame turned clockwise about its middle, in a frame of the same size; what is beyond its edge is grey."""
    height, width = frame_bgr.shape[:2]
    matrix = cv2.getRotationMatrix2D((width / 2, height / 2), -degrees, 1)
    return cv2.warpAffine(frame_bgr, matrix, (width, height), borderValue=(127, 127, 127))


def farther(frame_bgr: np.ndarray, share: float) -> np.ndarray:
    """The frame as if seen from farther away: smaller, in the middle of a grey one of the same size."""
    height, width = frame_bgr.shape[:2]
    small = resize(frame_bgr, (max(1, round(width * share)), max(1, round(height * share))))
    picture = np.full_like(frame_bgr, 127)
    top, left = (height - small.shape[0]) // 2, (width - small.shape[1]) // 2
    picture[top : top + small.shape[0], left : left + small.shape[1]] = small
    return picture


def map_tiles(maps: np.ndarray, places: np.ndarray, side: int = 150, columns: int = 4) -> np.ndarray:
    """Feature maps side by side, each from its least value (dark) to its largest (bright).

    Args:
        maps: (h, w, c).
        places: which of the c.
        side: of each tile in pixels, about.
        columns: in a row.

    Returns:
        (h', w', 3) uint8, BGR, in Matplotlib's viridis.
    """
    tiles = []
    for place in places:
        values = maps[..., place] - maps[..., place].min()
        scaled = (255 * values / max(float(values.max()), 1e-9)).astype(np.uint8)
        tiles.append(cv2.applyColorMap(enlarged(scaled, side), cv2.COLORMAP_VIRIDIS))
    return in_rows(tiles, columns)


def filter_tiles(filters: np.ndarray, places: np.ndarray, side: int = 150, columns: int = 4) -> np.ndarray:
    """Weights of filters (c, h, w, 3) RGB as colours: grey is 0, brighter is more; otherwise as ``map_tiles``."""
    tiles = []
    for place in places:
        weights = filters[place]
        scaled = 127 + 127 * weights / max(float(np.abs(weights).max()), 1e-9)
        tiles.append(enlarged(scaled.astype(np.uint8)[..., ::-1], side))
    return in_rows(tiles, columns)


def values_as_tiles(values: np.ndarray, columns: int, side: int = 24) -> np.ndarray:
    """Numbers (n,) of 0 and more as squares in rows: dark is 0, bright the largest; (h, w, 3) uint8, BGR."""
    rows = -(-len(values) // columns)
    grid = np.zeros(rows * columns, np.float32)
    grid[: len(values)] = values / max(float(values.max()), 1e-9)
    small = cv2.applyColorMap((255 * grid).astype(np.uint8).reshape(rows, columns), cv2.COLORMAP_VIRIDIS)
    return enlarged(small, side * max(rows, columns))


def numbered(tile: np.ndarray, text: str) -> np.ndarray:
    """A copy of a tile (h, w, 3) with a short text in its corner."""
    tile, side = tile.copy(), max(14, tile.shape[0] // 6)
    scale = 0.7 * side / 22
    (width, _), _ = cv2.getTextSize(text, cv2.FONT_HERSHEY_DUPLEX, scale, 1)
    cv2.rectangle(tile, (0, 0), (max(side, width + side // 3), side), DARK_BGR, cv2.FILLED)
    origin = (side // 5, side - side // 6)
    cv2.putText(tile, text, origin, cv2.FONT_HERSHEY_DUPLEX, scale, BRIGHT_BGR, 1, cv2.LINE_AA)
    return tile


def in_rows(tiles: Sequence[np.ndarray], columns: int) -> np.ndarray:
    """Pictures of one size (h, w, 3) in rows, with white between them."""
    height, width = tiles[0].shape[:2]
    rows = -(-len(tiles) // columns)
    picture = np.full((rows * (height + GAP) - GAP, columns * (width + GAP) - GAP, 3), 255, np.uint8)
    for i, tile in enumerate(tiles):
        top, left = i // columns * (height + GAP), i % columns * (width + GAP)
        picture[top : top + height, left : left + width] = tile
    return picture


def weights_picture(weights: np.ndarray, side: int = 240) -> np.ndarray:
    """Weights (s²,) of pixels as a picture: blue speaks for the first class, orange against, white for neither."""
    size = round(len(weights) ** 0.5)
    share = (weights / max(float(np.abs(weights).max()), 1e-9)).reshape(size, size, 1)
    color = np.where(share > 0, (178, 114, 0), (0, 120, 230))
    return enlarged(np.rint(255 + np.abs(share) * (color - 255)).astype(np.uint8), side)


def unmatched(xyxy: np.ndarray, others_xyxy: np.ndarray, min_iou: float = 0.3) -> np.ndarray:
    """Places of the boxes (n, 4) that none of the others (m, 4) overlaps."""
    return np.flatnonzero(overlaps(xyxy, others_xyxy).max(axis=1, initial=0) < min_iou)
