"""Why the models say what they say: which parts of a face spoke for a mask, and where the detector saw a face's centre.

Grad-CAM (Selvaraju et al. 2017, https://arxiv.org/abs/1610.02391) without TensorFlow: LiteRT computes the classifier's
last map of features, and since only a mean and two dense layers follow it, the gradient is a few lines of NumPy.
"""

import os
import threading
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np
from scipy.special import softmax

from core.language import tr
from core.vision.classes import CLASS_NAMES, WITH_MASK
from core.vision.classifier import DEFAULT_CLASSIFIER, MaskClassifier
from core.vision.crops import crop_faces
from core.vision.litert import MAX_THREADS, checked_model
from core.vision.model_card import ModelCard, ModelError

if TYPE_CHECKING:
    from ai_edge_litert.interpreter import Interpreter

# Our dense layers, in floating point, may differ by this much from the model's own in 8 bits (logits; most seen: 0.11).
MAX_HEAD_ERROR = 0.5
# Spread of the blur, in cells, that hides the cells' corners once their map is enlarged.
CELL_BLUR = 0.3
# Okabe and Ito's blue and a deeper shade of their orange: told apart with every kind of colour vision. RGB, 0..255.
FOR_MASK_RGB = (0, 114, 178)
AGAINST_MASK_RGB = (230, 120, 0)
# Relevance up to the first number gets no colour, from the second on as much as there is.
COLORED_FROM, COLORED_FULLY = 0.06, 0.9
MAX_COLOR = 0.8
"""Share of colour where relevance is strongest; the rest is the crop."""
# A face's centre is shown at least this large, as a share of the frame's longer side.
LEAST_PEAK = 0.016
# How bright the frame is under the map of centres.
DIMMED = 0.6


@dataclass(frozen=True, eq=False)
class Explanation:
    """What the classifier saw of a face, and what of it spoke for a mask."""

    crop_bgr: np.ndarray
    """(size, size, 3) uint8: the classifier's input; the size is the card's, 224."""
    relevance: np.ndarray
    """(size, size) float32 in -1..1: above 0 speaks for a mask, below 0 against; the strongest place is 1 or -1, so
    maps of two faces cannot be compared in strength. All 0 if no place matters."""
    probabilities: dict[str, float]
    """Class name to probability, 0..1, in the card's order."""


@dataclass(frozen=True, eq=False)
class DenseHead:
    """What follows the mean over the last map of features: dense, ReLU, dense. All float32."""

    hidden_weights: np.ndarray
    """(m, c)"""
    hidden_bias: np.ndarray
    """(m,)"""
    logit_weights: np.ndarray
    """(k, m), a row for each class."""
    logit_bias: np.ndarray
    """(k,)"""

    def logits(self, features: np.ndarray) -> np.ndarray:
        """(h, w, c) features in, (k,) logits out."""
        hidden = self.hidden_weights @ features.mean(axis=(0, 1)) + self.hidden_bias
        return self.logit_weights @ np.maximum(hidden, 0) + self.logit_bias

    def agrees(self, features: np.ndarray, logits: np.ndarray) -> bool:
        """Whether these really are the layers between a network's features (h, w, c) and its logits (k,)."""
        fits = features.ndim == 3 and self.hidden_weights.shape[1:] == features.shape[2:]
        fits = fits and self.logit_weights.shape == (len(logits), len(self.hidden_weights))
        return fits and bool(np.abs(self.logits(features) - logits).max() <= MAX_HEAD_ERROR)


def grad_cam(features: np.ndarray, head: DenseHead, direction: np.ndarray) -> np.ndarray:
    """How much each place of a map of features adds to a score.

    Each feature is weighted with the mean gradient of the score over all places. Unlike in the paper, what speaks
    against the score is kept. Behind a mean over all places, as here, the places' sum is the score but for a constant
    that does not depend on what is in the picture as long as the same hidden features are active.

    Args:
        features: (h, w, c).
        head: the layers behind it.
        direction: (k,), the score as a weighted sum of the logits.

    Returns:
        (h, w) float32, in logits.
    """
    height, width = features.shape[:2]
    active = head.hidden_weights @ features.mean(axis=(0, 1)) + head.hidden_bias > 0  # (m,)
    # Of the score by the features, the same at every place.
    gradient = (direction @ head.logit_weights * active) @ head.hidden_weights / (height * width)  # (c,)
    return (features @ gradient).astype(np.float32)


class FaceExplainer:
    """Shows what in a face spoke for a mask. Safe to share between threads: one call at a time.

    Its probabilities are those of ``MaskClassifier``, from the same kernels (tests allow 1e-6), only that a model whose
    own output is probabilities in 8 bits rounds them to 1/256.
    """

    def __init__(self, card: ModelCard, model_path: Path | str):
        """Load and check a LiteRT file.

        Raises:
            ModelError: the file is missing, broken, does not fit its card, or is no network that can be explained.
        """
        if not card.trained_here:
            sentence = tr("The model {name} was not trained here, so its results cannot be explained.")
            raise ModelError(sentence.format(name=card.name))
        MaskClassifier(card, model_path, 1)  # checks all that we need too
        if CLASS_NAMES[WITH_MASK] not in card.classes or len(card.classes) < 2:
            sentence = tr(
                "{file} tells {classes} apart; only a model that knows {mask} and another class can be explained."
            )
            raise ModelError(
                sentence.format(
                    file=Path(model_path).name, classes=", ".join(card.classes), mask=CLASS_NAMES[WITH_MASK]
                )
            )
        self.card = card
        self._lock = threading.Lock()
        side = card.input_size
        self._interpreter = _open(model_path, (1, side, side, 3))
        (self._input,) = self._interpreter.get_input_details()
        self._tensors = {tensor["index"]: tensor for tensor in self._interpreter.get_tensor_details()}
        self.operations = read_operations(model_path)
        """The network's steps, as ``read_operations`` gives them."""
        end = find_end(self.operations, self._interpreter.get_output_details())
        if end is not None:
            self._features_place, self.logits_place = end.features, end.logits
            self.head = DenseHead(*self._dense(end.hidden), *self._dense(end.last))
            # Noise makes many features active, a plain picture hardly any.
            features, logits = self._run(np.random.default_rng(0).integers(0, 256, (side, side, 3), np.uint8))
        if end is None or not self.head.agrees(features, logits):
            sentence = tr(
                "{file} does not end in average pooling, a dense layer with ReLU and a dense layer, "
                "so its results cannot be explained; choose another model."
            )
            raise ModelError(sentence.format(file=Path(model_path).name))

    def explain(self, frame_bgr: np.ndarray, face_xyxy: np.ndarray) -> Explanation:
        """What in a face spoke for a mask rather than for the likeliest other class.

        Args:
            frame_bgr: (h, w, 3) uint8.
            face_xyxy: (4,) the face's box in pixels; it is cut out as ``MaskClassifier`` does.
        """
        crop_rgb = self.crop(frame_bgr, face_xyxy)
        features, logits = self._run(crop_rgb)
        cam = grad_cam(features, self.head, mask_direction(self.card.classes, logits))
        return Explanation(
            crop_bgr=cv2.cvtColor(crop_rgb, cv2.COLOR_RGB2BGR),
            relevance=enlarge_relevance(cam, self.card.input_size),
            probabilities=dict(zip(self.card.classes, softmax(logits).tolist(), strict=True)),
        )

    def crop(self, frame_bgr: np.ndarray, face_xyxy: np.ndarray) -> np.ndarray:
        """What the classifier gets of a face: (size, size, 3) uint8 RGB; arguments as of ``explain``."""
        box = np.asarray(face_xyxy, np.float32).reshape(1, 4)
        return crop_faces(frame_bgr, box, self.card.input_size, self.card.margin)[0]

    def features(self, crop_rgb: np.ndarray) -> np.ndarray:
        """What the network has made of a crop before it decides: the mean of each of its last maps, (c,) float32.

        Args:
            crop_rgb: (size, size, 3) uint8, the size is the card's.
        """
        return self._run(crop_rgb)[0].mean(axis=(0, 1))

    def values(self, crop_rgb: np.ndarray, places: Sequence[int]) -> list[np.ndarray]:
        """Classify a crop (size, size, 3) uint8 and read tensors of the network, constants too.

        Args:
            crop_rgb: from ``crop``.
            places: as in ``operations``.

        Returns:
            A float32 array for each, as the network has it: maps are (1, h, w, c).
        """
        with self._lock:
            self._interpreter.set_tensor(self._input["index"], crop_rgb[None].astype(self._input["dtype"], copy=False))
            self._interpreter.invoke()
            return [self._value(place) for place in places]

    def shape(self, place: int) -> tuple[int, ...]:
        """Of a tensor."""
        return tuple(int(n) for n in self._tensors[place]["shape"])

    def _run(self, crop_rgb: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(size, size, 3) uint8 in; last map of features (h, w, c) and logits (k,) out, float32."""
        features, logits = self.values(crop_rgb, (self._features_place, self.logits_place))
        return features[0], logits[0]

    def _dense(self, places: list[int]) -> tuple[np.ndarray, np.ndarray]:
        """Weights (out, in) and bias (out,) of a dense layer."""
        weights, *bias = (self._value(place) for place in places)
        return weights, bias[0] if bias else np.zeros(len(weights), np.float32)

    def _value(self, place: int) -> np.ndarray:
        """A tensor as float32, whatever it is stored as."""
        values = self._interpreter.get_tensor(place).astype(np.float32)
        how = self._tensors[place]["quantization_parameters"]
        if not len(how["scales"]):
            return values
        shape = [1] * values.ndim
        if len(how["scales"]) > 1:  # one for each channel
            shape[how["quantized_dimension"]] = -1
        return (values - how["zero_points"].reshape(shape)) * how["scales"].reshape(shape)


def _open(model_path: Path | str, input_shape: tuple[int, ...]) -> "Interpreter":
    """An interpreter whose intermediate tensors can be read."""
    from ai_edge_litert.interpreter import Interpreter

    with warnings.catch_warnings():
        # It warns of the memory for intermediate tensors, some 10 MB here. The kernels that it recommends instead take
        # five times as long and round otherwise: probabilities differ by up to 0.18 from the classifier's.
        warnings.simplefilter("ignore", UserWarning)
        interpreter = Interpreter(
            str(model_path),
            num_threads=min(MAX_THREADS, os.cpu_count() or 1),
            experimental_preserve_all_tensors=True,
        )
    interpreter.resize_tensor_input(interpreter.get_input_details()[0]["index"], input_shape)
    interpreter.allocate_tensors()
    return interpreter


@dataclass(frozen=True)
class NetworkEnd:
    """Where the last layers' tensors are in a LiteRT file."""

    features: int
    hidden: list[int]
    """Weights and, if there is one, bias of the first dense layer."""
    last: list[int]
    """The same of the second one."""
    logits: int


def read_operations(model_path: Path | str) -> list[dict]:
    """The steps of a LiteRT file in their order: ``op_name``, and the places of ``inputs`` and ``outputs``."""
    from ai_edge_litert import schema_py_generated as schema

    model = schema.Model.GetRootAsModel(Path(model_path).read_bytes(), 0)
    names = {number: name for name, number in vars(schema.BuiltinOperator).items() if isinstance(number, int)}
    graph, ops = model.Subgraphs(0), []
    for i in range(graph.OperatorsLength()):
        op = graph.Operators(i)
        code = model.OperatorCodes(op.OpcodeIndex())
        # Files of old versions have their code in the other field; the larger one is it.
        name = names.get(max(code.BuiltinCode(), code.DeprecatedBuiltinCode()), "")
        ops.append({"op_name": name, "inputs": op.InputsAsNumpy(), "outputs": op.OutputsAsNumpy()})
    return ops


def find_end(ops: list[dict], outputs: list[dict]) -> NetworkEnd | None:
    """Follow a network's only output back through two dense layers and average pooling.

    Args:
        ops: the network's steps, as ``read_operations`` gives them.
        outputs: the interpreter's output details.

    Returns:
        ``None`` if the network does not end as ``train.classifier.network`` builds it.
    """
    maker = {int(place): op for op in ops for place in op["outputs"]}

    def made_by(place: int, wanted: tuple[str, ...], between: tuple[str, ...] = ()) -> dict | None:
        op = maker.get(int(place))
        while op and op["op_name"] in (*between, "QUANTIZE", "DEQUANTIZE"):
            op = maker.get(int(op["inputs"][0]))
        return op if op and op["op_name"] in wanted else None

    def constants(dense: dict) -> list[int]:
        """Weights and bias as they are stored: half precision is made float32 by a step that may never run."""
        places = [int(place) for place in dense["inputs"][1:] if place >= 0]  # -1: there is no bias
        return [int(maker[place]["inputs"][0]) if place in maker else place for place in places]

    last = made_by(outputs[0]["index"], ("FULLY_CONNECTED",), ("SOFTMAX",)) if len(outputs) == 1 else None
    hidden = last and made_by(last["inputs"][0], ("FULLY_CONNECTED",), ("RELU",))
    pool = hidden and made_by(hidden["inputs"][0], ("AVERAGE_POOL_2D", "MEAN"), ("RESHAPE", "SQUEEZE"))
    if not (last and hidden and pool):
        return None
    return NetworkEnd(int(pool["inputs"][0]), constants(hidden), constants(last), int(last["outputs"][0]))


def mask_direction(classes: tuple[str, ...], logits: np.ndarray) -> np.ndarray:
    """Mask against the likeliest other class: (k,) float32 with a 1, a -1, and 0 elsewhere."""
    mask = classes.index(CLASS_NAMES[WITH_MASK])
    others = np.array(logits, np.float32)
    others[mask] = -np.inf
    direction = np.zeros(len(classes), np.float32)
    direction[mask], direction[others.argmax()] = 1, -1
    return direction


def enlarge_relevance(cam: np.ndarray, side: int) -> np.ndarray:
    """A map of places (h, w), each where it is in the crop, as (side, side) float32 in -1..1, soft and without seams.

    Averages only, so that no place shows a sign that no cell around it has. That cells see the part of the crop that
    they cover is true within 4 of 224 pixels from side to side (measured with mirrored crops).
    """
    large = cv2.resize(np.asarray(cam, np.float32), (side, side), interpolation=cv2.INTER_LINEAR)
    spread = CELL_BLUR * side / max(cam.shape)
    large = cv2.GaussianBlur(large, (0, 0), spread, borderType=cv2.BORDER_REPLICATE)
    return large / max(float(np.abs(large).max()), 1e-9)


def load_explainer(name: str = DEFAULT_CLASSIFIER, folder: Path | str | None = None) -> FaceExplainer:
    """Load a classifier of ``models/`` by name, to explain its predictions.

    Raises:
        ModelError: there is no such model, its file is not the one its card describes, or it cannot be explained.
    """
    return FaceExplainer(*checked_model(name, "classifier", folder))


def overlay_relevance(explanation: Explanation) -> np.ndarray:
    """The crop in grey; blue lies over what spoke for a mask, orange over what spoke against, nothing over the rest.

    Returns:
        (size, size, 3) uint8, BGR; a new array.
    """
    relevance = explanation.relevance[..., None]
    grey = _grey(explanation.crop_bgr)
    strength = np.clip((np.abs(relevance) - COLORED_FROM) / (COLORED_FULLY - COLORED_FROM), 0, 1)
    color = np.where(relevance > 0, FOR_MASK_RGB[::-1], AGAINST_MASK_RGB[::-1])
    # Colour as bright as the crop under it: the face shows through.
    shaded = color * (0.6 + 0.7 * grey / 255)
    mixed = grey + MAX_COLOR * strength * (shaded - grey)
    return np.clip(np.rint(mixed), 0, 255).astype(np.uint8)


def overlay_centers(frame_bgr: np.ndarray, center_map: np.ndarray) -> np.ndarray:
    """The frame, dark and grey, with the detector's centres of faces glowing in it: the likelier, the brighter.

    Colours are Matplotlib's inferno: perceptually even, and good for every kind of colour vision. Work grows with the
    frame's pixels; a page passes a frame no larger than it shows.

    Args:
        frame_bgr: (h, w, 3) uint8.
        center_map: (h', w') in 0..1 from ``MaskDetector.center_map`` of this frame at any size.

    Returns:
        (h, w, 3) uint8, BGR; a new array.

    Raises:
        ValueError: the map has another shape of picture than the frame.
    """
    height, width = frame_bgr.shape[:2]
    if center_map.ndim != 2 or 0 in center_map.shape:
        raise ValueError(f"Expected a map of shape (h', w'), got {center_map.shape}.")
    # Cells are square; only the longer side holds a whole number of them.
    cell_px = max(height, width) / max(center_map.shape)
    if max(abs(height / cell_px - center_map.shape[0]), abs(width / cell_px - center_map.shape[1])) > 1:
        raise ValueError(f"A map of shape {center_map.shape} does not belong to a frame of shape {frame_bgr.shape}.")
    values: np.ndarray = np.clip(np.asarray(center_map, np.float32), 0, 1)
    if cell_px < 1:  # no peak may fall between two pixels
        side = 2 * int(np.ceil(0.5 / cell_px)) + 1
        values = cv2.dilate(values, np.ones((side, side), np.uint8))
    # Pixel x, whose middle is at x + 0.5, looks at the map there: cell c has its middle at c + 0.5.
    shift = 0.5 / cell_px - 0.5
    back = np.array([[1 / cell_px, 0, shift], [0, 1 / cell_px, shift]])
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    values = cv2.warpAffine(values, back, (width, height), flags=flags, borderMode=cv2.BORDER_REPLICATE)
    grow = round((LEAST_PEAK * max(height, width) - cell_px) / 2)
    if grow > 0:  # cells are too small to be seen
        values = cv2.dilate(values, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * grow + 1, 2 * grow + 1)))
    # Inferno begins at black: its darkest part would hide the frame and say nothing.
    glow = cv2.applyColorMap(np.rint(64 + 191 * values).astype(np.uint8), cv2.COLORMAP_INFERNO)
    dark = DIMMED * _grey(frame_bgr)
    weight = np.minimum(1, 2 * values)[..., None]
    return np.rint(dark + weight * (glow - dark)).astype(np.uint8)


def _grey(frame_bgr: np.ndarray) -> np.ndarray:
    """Lightness of a frame, (h, w, 1) float32 in 0..255."""
    return cv2.cvtColor(frame_bgr, cv2.COLOR_BGR2GRAY).astype(np.float32)[..., None]
