"""What a Haar cascade does inside, step by step: integral image, features, stages; to be shown and checked.

Faces are found by ``core.vision.haar``, with OpenCV's own, much faster code; this reads the same files and comes to the
same windows (tests compare them), and can say in between how many are left.
"""

import xml.etree.ElementTree as ElementTree
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from core.language import tr
from core.vision.crops import fit_within
from core.vision.haar import CASCADE_FILES, HaarSettings
from core.vision.model_card import ModelError

# OpenCV lowers every stage's threshold by this, against errors of rounding.
STAGE_SLACK = 1e-5
LEAST_CONTRAST = 0.1
# From this scale on, OpenCV looks at every place, under it at every second one.
EVERY_PLACE_FROM = 2.0
# A photo of 240 px has some 60,000 windows, which takes a quarter of a second.
SHOWN_SIDE, SHOWN_STEP = 240, 1.15


@dataclass(frozen=True)
class HaarFeature:
    """Rectangles whose sums of brightness are weighted and added."""

    rects: tuple[tuple[int, int, int, int, float], ...]
    """x, y, width and height in pixels of the window, and the weight."""

    def weights(self, side: int) -> np.ndarray:
        """What each pixel of a window (side, side) counts: above 0 for bright, below 0 for dark, 0 outside."""
        net = np.zeros((side, side), np.float32)
        for x, y, width, height, weight in self.rects:
            net[y : y + height, x : x + width] += weight
        return net


@dataclass(frozen=True)
class Node:
    """One question: is the feature's value under the threshold?"""

    feature: HaarFeature
    threshold: float
    under: int
    """What follows if so: above 0 another node of the tree, else minus the place of a leaf."""
    over: int
    """The same if not."""


@dataclass(frozen=True)
class Tree:
    """A few questions, asked from the first on, and the points that their answers give."""

    nodes: tuple[Node, ...]
    leaves: tuple[float, ...]


@dataclass(frozen=True)
class Stage:
    """Trees whose points are added; a window with fewer than the threshold is no face."""

    trees: tuple[Tree, ...]
    threshold: float


@dataclass(frozen=True)
class Cascade:
    """All stages, in their order."""

    side: int
    """Of the window that it looks at, in pixels."""
    stages: tuple[Stage, ...]


@dataclass(frozen=True, eq=False)
class Windows:
    """Every window of a picture at every size, and how far each gets."""

    xyxy: np.ndarray
    """(n, 4) float32, in pixels of the grey picture."""
    passed: np.ndarray
    """(n,) int: how many stages it passes before one refuses it."""
    asked: np.ndarray
    """(n,) bool: OpenCV leaves out what lies beside a window that the first stage refuses."""

    def left(self, stages: int) -> np.ndarray:
        """Places of the windows that pass so many stages."""
        return np.flatnonzero(self.passed >= stages)


def read_cascade(name: str = HaarSettings.cascade) -> Cascade:
    """Read one of OpenCV's files.

    Args:
        name: a key of ``core.vision.haar.CASCADE_FILES``.

    Raises:
        ModelError: OpenCV comes without it.
    """
    try:
        path = Path(cv2.data.haarcascades) / CASCADE_FILES[name]  # type: ignore[attr-defined]  # missing in the stubs
        root = ElementTree.parse(path).getroot()[0]  # OpenCV's own file
    except (AttributeError, OSError) as error:
        sentence = tr("OpenCV {version} has no Haar cascades; install opencv-python-headless>=4.12,<5.")
        raise ModelError(sentence.format(version=cv2.__version__)) from error
    features = [
        HaarFeature(tuple(_rect(each.text or "") for each in element.find("rects") or ()))
        for element in root.find("features") or ()
    ]
    stages = []
    for element in root.find("stages") or ():
        trees = [_tree(each, features) for each in element.find("weakClassifiers") or ()]
        stages.append(Stage(tuple(trees), float(element.findtext("stageThreshold", "")) - STAGE_SLACK))
    return Cascade(int(root.findtext("width", "")), tuple(stages))


def _rect(text: str) -> tuple[int, int, int, int, float]:
    x, y, width, height, weight = text.split()
    return int(x), int(y), int(width), int(height), float(weight)


def _tree(element: ElementTree.Element, features: Sequence[HaarFeature]) -> Tree:
    numbers = element.findtext("internalNodes", "").split()
    nodes = [
        Node(features[int(feature)], float(threshold), int(under), int(over))
        for under, over, feature, threshold in zip(*(numbers[i::4] for i in range(4)), strict=True)
    ]
    return Tree(tuple(nodes), tuple(float(leaf) for leaf in element.findtext("leafValues", "").split()))


def prepare(frame_bgr: np.ndarray, max_side: int = SHOWN_SIDE) -> tuple[np.ndarray, np.ndarray]:
    """What a cascade gets of a frame: reduced and grey, (h, w) uint8, as it is and with its brightness equalised."""
    grey = cv2.cvtColor(fit_within(frame_bgr, max_side)[0], cv2.COLOR_BGR2GRAY)
    return grey, cv2.equalizeHist(grey)


def integral_image(grey: np.ndarray) -> np.ndarray:
    """(h + 1, w + 1) int64 from (h, w): each value is the sum of all pixels above it and to its left."""
    total = np.zeros((grey.shape[0] + 1, grey.shape[1] + 1), np.int64)
    total[1:, 1:] = grey.astype(np.int64).cumsum(axis=0).cumsum(axis=1)
    return total


def rect_sums(integral: np.ndarray, corners: np.ndarray, width: int, height: int) -> np.ndarray:
    """Sums of the pixels in rectangles of one size: four look-ups each, however large they are.

    Args:
        integral: from ``integral_image``.
        corners: (n,) places of the rectangles' upper left pixels in the flattened ``integral``.
        width: in pixels.
        height: in pixels.

    Returns:
        (n,) of the integral's type.
    """
    flat, down = integral.reshape(-1), height * integral.shape[1]
    sums = flat.take(corners + (down + width))
    sums -= flat.take(corners + width)
    sums -= flat.take(corners + down)
    sums += flat.take(corners)
    return sums


class _Levels:
    """A picture at some scales, ready for features: one below the other, so that all windows are asked at once."""

    def __init__(self, grey: np.ndarray, cascade: Cascade, scales: Sequence[float]) -> None:
        sizes = [(round(grey.shape[1] / scale), round(grey.shape[0] / scale)) for scale in scales]
        tops = np.cumsum([0, *(height for _, height in sizes)])
        self.pixels = np.zeros((tops[-1], max(width for width, _ in sizes)), np.uint8)
        side, self.shapes, places = cascade.side, [], []
        for (width, height), top, scale in zip(sizes, tops, scales, strict=False):
            small = cv2.resize(grey, (width, height), interpolation=cv2.INTER_LINEAR_EXACT)
            self.pixels[top : top + height, :width] = small
            step = 1 if scale >= EVERY_PLACE_FROM else 2
            down, across = np.mgrid[0 : height - side + 1 : step, 0 : width - side + 1 : step]
            self.shapes.append(down.shape)
            places.append(np.stack([across.ravel(), down.ravel(), top + down.ravel()]))
        self.x, y, self.row_of = np.hstack(places)
        self.scale = np.repeat(scales, [rows * columns for rows, columns in self.shapes])
        corner = np.stack([self.x, y], axis=1) * self.scale[:, None]
        self.xyxy = np.hstack([corner, corner + side * self.scale[:, None]]).astype(np.float32)
        self.integral = integral_image(self.pixels).astype(np.int32)
        self.row = self.integral.shape[1]
        self.corners = self.row_of * self.row + self.x
        # As OpenCV does it: within a rim of one pixel.
        inner, inside = side - 2, self.corners + self.row + 1
        total = rect_sums(self.integral, inside, inner, inner).astype(np.int64)
        squares = rect_sums(integral_image(self.pixels.astype(np.int64) ** 2), inside, inner, inner)
        spread = (inner * inner * squares - total * total).astype(np.float64)
        # Times the area: what a feature's sum is divided by, so that light and contrast make no difference.
        self.norm = np.sqrt(np.maximum(spread, 0))
        # OpenCV takes windows with hardly any contrast for no faces before it asks.
        self.plain = inner * inner >= LEAST_CONTRAST * self.norm

    def values(self, feature: HaarFeature, places: np.ndarray) -> np.ndarray:
        """A feature's value in each of some windows, (m,) float64."""
        corners, total = self.corners[places], np.zeros(len(places))
        for left, top, width, height, weight in feature.rects:
            total += weight * rect_sums(self.integral, corners + (top * self.row + left), width, height)
        return total / self.norm[places]

    def points(self, tree: Tree, places: np.ndarray) -> np.ndarray:
        """What a tree gives to each of some windows, (m,) float64."""
        points, leaves = np.empty(len(places)), np.array(tree.leaves)
        waiting = [(0, np.arange(len(places)))]
        while waiting:
            number, which = waiting.pop()
            node = tree.nodes[number]
            under = self.values(node.feature, places[which]) < node.threshold
            for following, part in ((node.under, which[under]), (node.over, which[~under])):
                if following > 0:
                    waiting.append((following, part))
                else:
                    points[part] = leaves[-following]
        return points

    def passed(self, cascade: Cascade) -> np.ndarray:
        """How many stages each window passes, (n,) int."""
        passed = np.zeros(len(self.x), int)
        left = np.flatnonzero(~self.plain)
        for stage in cascade.stages:
            left = left[sum(self.points(tree, left) for tree in stage.trees) >= stage.threshold]
            passed[left] += 1
            if not len(left):
                break
        return passed

    def asked(self, passed: np.ndarray) -> np.ndarray:
        """Which windows OpenCV looks at: in each row, it leaves out the one after a refusal by the first stage."""
        refused, start, parts = (passed == 0) & ~self.plain, 0, []
        for shape in self.shapes:
            stop = start + shape[0] * shape[1]
            here, asked = refused[start:stop].reshape(shape), np.ones(shape, bool)
            for column in range(1, shape[1]):
                asked[:, column] = ~(asked[:, column - 1] & here[:, column - 1])
            parts.append(asked.ravel())
            start = stop
        return np.concatenate(parts)


def search(grey: np.ndarray, cascade: Cascade, step: float = SHOWN_STEP) -> Windows:
    """Let every window of a picture go through the stages.

    Args:
        grey: (h, w) uint8, equalised.
        cascade: from ``read_cascade``.
        step: from one size of the window to the next, above 1. Work grows with the picture: ``prepare`` keeps it small.
    """
    if not (sizes := scales(grey.shape[1::-1], cascade.side, step)):
        return Windows(np.empty((0, 4), np.float32), np.empty(0, int), np.empty(0, bool))
    levels = _Levels(grey, cascade, sizes)
    passed = levels.passed(cascade)
    return Windows(levels.xyxy, passed, levels.asked(passed))


def scales(size_wh: tuple[int, int], side: int, step: float = SHOWN_STEP) -> list[float]:
    """By what a picture is divided, from small to large, for windows of one size to fit faces of every size."""
    found, scale = [], 1.0
    while round(side * scale) <= min(size_wh):
        found.append(scale)
        scale *= step
    return found


@dataclass(frozen=True, eq=False)
class Answer:
    """What one tree of a stage says of a window."""

    nodes: list[tuple[Node, float]]
    """The questions that were asked, and the feature's value at each."""
    points: float


def answers(grey: np.ndarray, cascade: Cascade, xyxy: np.ndarray, stage: int = 0) -> tuple[np.ndarray, list[Answer]]:
    """What the trees of a stage say of one window.

    Args:
        grey: (h, w) uint8, equalised.
        cascade: from ``read_cascade``.
        xyxy: (4,) a square in pixels of ``grey``, as ``Windows`` has it.
        stage: which one, from 0.

    Returns:
        The window in the cascade's size, (side, side) uint8, and an answer for each tree.
    """
    levels = _Levels(grey, cascade, [float(xyxy[2] - xyxy[0]) / cascade.side])
    # The window nearest to the square; that of ``Windows`` itself, if it is one.
    place = int(np.abs(levels.xyxy - xyxy).sum(axis=1).argmin())
    here, said = np.array([place]), []
    for tree in cascade.stages[stage].trees:
        number, asked = 0, []
        while True:
            node = tree.nodes[number]
            value = float(levels.values(node.feature, here)[0])
            asked.append((node, value))
            number = node.under if value < node.threshold else node.over
            if number <= 0:
                break
        said.append(Answer(asked, tree.leaves[-number]))
    x, y = int(levels.x[place]), int(levels.row_of[place])
    return levels.pixels[y : y + cascade.side, x : x + cascade.side], said
