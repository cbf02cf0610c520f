"""The card beside every model: what one must know to run it, and what it was trained on and scored."""

import dataclasses
import hashlib
from dataclasses import dataclass, field
from pathlib import Path

from core.io import DamagedFileError, load_json, write_json
from core.language import mark, tr
from core.vision.classes import CLASS_NAMES, is_class_name

"""Where models and what is known of them live; the variable is for servers whose copy of the app cannot be written."""
MAX_CLASSES = 500
OUTPUTS = {mark("classifier"): ("logits", "probabilities"), mark("detector"): ("centers",)}
"""What a model can give, by its kind."""
USES = ("photo", "live")
PIXELS = {"0..255": (1.0, 0.0), "0..1": (1 / 255, 0.0), "-1..1": (1 / 127.5, -1.0)}
"""How a model wants its pixels: what 0..255 is multiplied by, and what is added."""


class ModelError(ValueError):
    """A model or its card cannot be used; the message says which file and what to do, in one sentence."""


@dataclass(frozen=True)
class ModelCard:
    """What training writes and the app reads. Every field that can go wrong between the two is here."""

    name: str
    file: str
    """Name of the LiteRT file in the card's folder."""
    sha256: str
    classes: tuple[str, ...]
    """Names in the order of the model's outputs. Detector: exactly ``CLASS_NAMES``; classifier: any."""
    input_size: int
    """Side of the square input in pixels."""
    margin: float
    """Share of a face's longer side that the crop adds on every side."""
    output: str
    """Classifier: ``logits`` (softmax still to be taken) or ``probabilities``. Detector: ``centers``, three maps."""
    kind: str = "classifier"
    """``classifier`` classifies one face, ``detector`` finds and classifies all faces of a picture."""
    face_scores: dict = field(default_factory=dict)
    """Detector: how likely a face must be to be shown, 0..1, by use (``photo``, ``live``): one number, or, since who
    looks more often finds more, one by preset. ``shown_from`` reads both."""
    tiny_face_scores: dict = field(default_factory=dict)
    """Detector: the same for boxes under 16 px, of which far more show no face; empty: no other than for all."""
    calibration: dict = field(default_factory=dict)
    """Detector: ``center_scale`` and ``center_offset`` make its centre logits probabilities, ``temperature`` divides
    its state logits, ``state_offsets`` are added to them. ``centers`` may hold scale and offset for a preset by its
    name: who looks more often finds more, real faces and others."""
    color_order: str = "RGB"
    pixels: str = "0..255"
    """A key of ``PIXELS``; other than that only for models from elsewhere, our own scale inside."""
    scaling: str = "inside the model; pixels go in as 0..255"
    precision: str = "int8"
    data: list = field(default_factory=list)
    """One entry per data set: name, counts per class and split."""
    training: dict = field(default_factory=dict)
    """The settings of the training run."""
    scores: dict = field(default_factory=dict)
    date: str = ""
    versions: dict = field(default_factory=dict)
    limits: str = ""
    failures: list = field(default_factory=list)
    """What it gets wrong, in words, one sentence each."""

    @property
    def trained_here(self) -> bool:
        """Whether one of this project's trainings made it; other models run in a process of their own."""
        return bool(self.training)

    def save(self, path: Path | str) -> None:
        """Write the card as JSON."""
        write_json(path, dataclasses.asdict(self))


def faces_by_part(card: ModelCard) -> list[dict]:
    """What a model was trained and tested on: a row per data set and part: ``data``, ``part`` and the counts."""
    return [
        {"data": entry["name"], "part": part, **counts}
        for entry in card.data
        for part, counts in (entry.get("faces") or {}).items()
        if any(counts.values())
    ]


def score_rows(card: ModelCard) -> list[dict]:
    """What the training measured, for people: a row per part of the data, shares in 0..1 or ``None``.

    A classifier's figures are those of the exported file, which is the one that runs. Headings are in English, to be
    shown with ``tr``; what is in the rows is in the language of now.
    """
    of_its_own = tr("Test: part of its own data")
    if card.scores.get("split") == "grouped":
        of_its_own = tr("Test: part of its own data, near-duplicates kept together")
    parts = {"test": of_its_own, "held_out": tr("Test: the data set's own test part")}
    columns = {"images": mark("Faces"), "accuracy": mark("Accuracy"), "balanced_accuracy": mark("Balanced accuracy")}
    columns["expected_calibration_error"] = mark("Calibration error")
    rows = []
    for part, title in parts.items():
        figures = next((found for key in (f"{part}_exported", part) if (found := _figures(card.scores, key))), None)
        if figures:
            rows.append({mark("Tested on"): title} | {name: figures.get(key) for key, name in columns.items()})
    columns = {"faces": "Faces", "found": mark("Face recall"), "found_and_right": "Accuracy"}
    columns["false_alarms_per_photo"] = mark("False alarms per image")
    uses = {"photo": tr("Validation: settings for photo"), "live": tr("Validation: settings for live")}
    for use in USES:
        by_preset = _figures(_figures(card.scores, "validation"), use)
        # Cards of old trainings have the figures of one preset only.
        for preset, figures in (by_preset if "faces" not in by_preset else {"": by_preset}).items():
            title = uses[use] + (f", {tr(preset.capitalize()).lower()}" if preset else "")  # as ``PRESETS`` calls it
            rows.append({"Tested on": title} | {name: figures.get(key) for key, name in columns.items()})
    return rows


def _figures(scores: dict, key: str) -> dict:
    """Figures of at least one face; cards of old or foreign trainings may have none."""
    figures = scores.get(key)
    return figures if isinstance(figures, dict) and (figures.get("images", 1) or 0) > 0 else {}


def shown_from(face_scores: dict, use: str, preset: str) -> float:
    """How likely a face must be to be shown, 0..1, from a card's ``face_scores``; 0 for a use that is not there.

    For a preset that a table does not name, its highest number holds.
    """
    score = face_scores.get(use, 0.0)
    return float(score.get(preset, max(score.values())) if isinstance(score, dict) else score)


def load_card(path: Path | str) -> ModelCard:
    """Read and check a card.

    Raises:
        ModelError: the file is missing, is no card, or asks for something this app cannot do.
    """
    path = Path(path)
    file = path.name  # people see no folder of the server
    try:
        raw = load_json(path)
        known = {f.name for f in dataclasses.fields(ModelCard)}
        card = ModelCard(**{key: value for key, value in raw.items() if key in known})
    except FileNotFoundError:
        sentence = tr(
            "There is no model card {file}; train one with `python -m train.classifier` or restore `models/`."
        )
        raise ModelError(sentence.format(file=file)) from None
    except (OSError, DamagedFileError, TypeError) as error:
        reason = getattr(error, "strerror", None) or error
        sentence = tr("{file} is not a model card ({reason}); restore it or train the model again.")
        raise ModelError(sentence.format(file=file, reason=reason)) from None
    texts = (card.name, card.file, card.sha256, card.output, card.color_order, card.kind, card.pixels)
    if not all(isinstance(text, str) for text in texts):
        raise _refusal(
            tr("{file} is not a model card (a name, file or kind is no text); restore it or train again."), file=file
        )
    good = isinstance(card.classes, list) and all(is_class_name(name) for name in card.classes)
    if not good or not 0 < len(set(card.classes)) == len(card.classes) <= MAX_CLASSES:
        sentence = tr("{file} names the classes {classes}; needed is a list of short, different names.")
        raise _refusal(sentence, file=file, classes=str(card.classes)[:200])
    if Path(card.file).name != card.file:
        sentence = tr("{file} names the file {named!r}; it must lie in the card's own folder.")
        raise _refusal(sentence, file=file, named=card.file)
    if card.kind not in OUTPUTS:
        sentence = tr("{file} describes a {kind!r}; this app knows classifier and detector.")
        raise _refusal(sentence, file=file, kind=card.kind)
    if card.output not in OUTPUTS[card.kind] or card.color_order != "RGB":
        sentence = tr("{file} says output {output!r}, colour order {order!r}; possible are {outputs}, and RGB.")
        possible = " / ".join(OUTPUTS[card.kind])
        raise _refusal(sentence, file=file, output=card.output, order=card.color_order, outputs=possible)
    if card.pixels not in PIXELS:
        sentence = tr("{file} says pixels {pixels!r}; possible are {possible}.")
        raise _refusal(sentence, file=file, pixels=card.pixels, possible=", ".join(PIXELS))
    numbers = isinstance(card.input_size, int) and isinstance(card.margin, int | float)
    if not (numbers and 32 <= card.input_size <= 1024 and 0 <= card.margin <= 1):
        sentence = tr("{file} says input size {side}, margin {margin}; 32..1024 and 0..1 work.")
        raise _refusal(sentence, file=file, side=card.input_size, margin=card.margin)
    if card.kind == "detector":
        wanted = {("face_scores", use) for use in USES}
        wanted |= {("tiny_face_scores", use) for use in USES if card.tiny_face_scores}
        wanted |= {("calibration", name) for name in ("center_scale", "center_offset", "temperature")}
        for table, name in sorted(wanted):
            value = getattr(card, table)
            number = value.get(name) if isinstance(value, dict) else None
            by_preset = (
                list(number.values()) if table.endswith("face_scores") and isinstance(number, dict) else [number]
            )
            if not by_preset or not all(isinstance(n, int | float) for n in by_preset):
                sentence = tr("{file} has no number {name!r} in {table!r}; restore it or train the model again.")
                raise _refusal(sentence, file=file, name=name, table=table)
        centers = card.calibration.get("centers", {})
        pairs = list(centers.values()) if isinstance(centers, dict) else [None]
        if not all(isinstance(p, list) and len(p) == 2 and all(isinstance(n, int | float) for n in p) for p in pairs):
            sentence = tr("{file} needs two numbers by preset in 'centers'; restore it or train the model again.")
            raise _refusal(sentence, file=file)
        if tuple(card.classes) != CLASS_NAMES or card.calibration["temperature"] <= 0:
            sentence = tr("{file} is no detector's card: all three classes and a temperature above 0 are needed.")
            raise _refusal(sentence, file=file)
    return dataclasses.replace(card, classes=tuple(card.classes))


def _refusal(sentence: str, **fields: object) -> ModelError:
    return ModelError(sentence.format(**fields))


def file_sha256(path: Path | str) -> str:
    """SHA-256 of a file as 64 hexadecimal digits."""
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()
