"""The settings of a training run, in one place."""

import argparse
import dataclasses
import importlib.util
import json
import math
import sys
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, TypeVar

from core.datasets.extra import LABELS_DIR
from core.datasets.faces import DataError
from core.language import mark, number, tr
from train.augment import RECIPES
from train.detector.dataset import SceneSplit, load_scenes
from train.detector.sampling import WindowRecipe
from train.run_folder import read_settings

Value = TypeVar("Value", str, int, float)
Config = TypeVar("Config", "TrainConfig", "DetectorConfig")
DEFAULT_VIEWS = 3
RECIPE_PRESETS: dict[str, dict] = {
    "quick": {
        "title": mark("Quick"),
        "about": mark(
            "A few views of each face go through the frozen base once, and only the last layers are trained: about a "
            "minute for a thousand images. Start with this one, to see early whether the data are any good."
        ),
        "settings": {"features": "cached", "views": 2, "epochs": 15, "precision": "fp16"},
    },
    "report": {
        "title": mark("The student's report"),
        "about": mark(
            "Twenty epochs on faces that are turned, shifted and zoomed, as in the report this project grew from; the "
            "base stays as ImageNet made it. Good on images like those it is trained on."
        ),
        "settings": {},
    },
    "best": {
        "title": mark("Best known"),
        "about": mark(
            "How the shipped classifier was made: augmentations as varied as street photos, most of the network is "
            "trained, and near-duplicates stay on one side of the split. Takes longest and does best on the street."
        ),
        "settings": {
            "recipe": "street",
            "split": "grouped",
            "epochs": 2,
            "fine_tune_blocks": 13,
            "fine_tune_epochs": 14,
            "fine_tune_rate": 2e-4,
            "keep": "last",
        },
    },
}
"""Settings that differ from the defaults, by name of the recipe, with a title and a few sentences for people, in
English. Pages offer the first one first."""


def option(
    default: Value,
    help: str,
    choices: tuple[str, ...] | None = None,
    low: float | None = None,
    high: float | None = None,
) -> Value:
    """A setting with its default, a sentence for people, and its possible values: if they are few, or from and to."""
    return field(default=default, metadata={"help": help, "choices": choices, "low": low, "high": high})


MAX_EPOCHS, MAX_BATCH, MAX_SEED = 10_000, 4096, 2**32 - 1


@dataclass(frozen=True)
class TrainConfig:
    """Every setting of a run, with its default."""

    data: tuple[str, ...]
    out: str
    classes: tuple[str, ...] = ()
    """Which classes to tell apart; none named: all that the data have."""
    recipe: str = option(
        "report", mark("augmentations: those of the report, or street, which are robust"), tuple(RECIPES)
    )
    features: str = option(
        "plain",
        mark(
            "what trains the head: plain shows fresh views in every epoch; cached keeps what the frozen base makes of "
            "a few views per face and is many times faster"
        ),
        ("plain", "cached"),
    )
    views: int = option(
        DEFAULT_VIEWS, mark("varied views per face that are kept beside the plain one, if cached"), low=0, high=100
    )
    epochs: int = option(20, mark("passes that train the head on the frozen base"), low=1, high=MAX_EPOCHS)
    fine_tune_blocks: int = option(0, mark("last blocks of the base to train afterwards, 0..16"), low=0, high=16)
    fine_tune_epochs: int = option(10, mark("passes for these blocks, if any"), low=0, high=MAX_EPOCHS)
    batch_size: int = option(32, mark("faces per step"), low=1, high=MAX_BATCH)
    learning_rate: float = option(
        1e-3, mark("rate at the start of the head's training; falls to 0 along a cosine"), low=0, high=10
    )
    fine_tune_rate: float = option(1e-4, mark("the same for the last blocks"), low=0, high=10)
    dropout: float = option(0.5, mark("share of the head's 128 features dropped in a step"), low=0, high=0.99)
    label_smoothing: float = option(0.0, mark("share of certainty taken from the labels"), low=0, high=0.99)
    seed: int = option(42, mark("the same seed gives the same split and the same views"), low=0, high=MAX_SEED)
    split: str = option("random", mark("grouped keeps near-duplicates on one side"), ("random", "grouped"))
    test_share: float = option(0.2, mark("share of the faces for the test, 0..1"), low=0, high=1)
    val_share: float = option(0.1, mark("share of the faces for validation, 0..1"), low=0, high=1)
    margin: float = option(0.15, mark("share of a face's longer side added around an annotated box"), low=0, high=10)
    min_face: float = option(
        24.0, mark("annotated faces with a shorter side, in pixels, are left out"), low=0, high=100_000
    )
    keep: str = option("best", mark("weights that become the model: lowest validation loss, or last"), ("best", "last"))
    precision: str = option("int8", mark("of the exported model"), ("int8", "fp16", "float32"))
    imagenet_weights: str = option(
        "imagenet", mark("a path, imagenet to let Keras download them, or none for random ones")
    )

    def __post_init__(self) -> None:
        check_settings(self)
        if self.test_share + self.val_share >= 1:
            raise DataError(tr("The shares for test and validation leave nothing to train on; make them smaller."))

    @property
    def total_epochs(self) -> int:
        """Passes of both stages together."""
        return self.epochs + (self.fine_tune_epochs if self.fine_tune_blocks else 0)


def run_settings(config: "TrainConfig | DetectorConfig") -> dict[str, Any]:
    """The settings that make a run what it is, as JSON holds them; where it is written does not belong to them."""
    return {key: value for key, value in json.loads(json.dumps(dataclasses.asdict(config))).items() if key != "out"}


def default_settings(config_class: "type[TrainConfig | DetectorConfig]") -> dict[str, Any]:
    """Settings that need not be given, as JSON holds them."""
    fields = [each for each in dataclasses.fields(config_class) if each.default is not dataclasses.MISSING]
    return json.loads(json.dumps({each.name: each.default for each in fields}))


def read_config(config_class: type[Config], folder: Path | str) -> Config:
    """The configuration of a run folder; settings that a run of an earlier version lacks get their defaults.

    Raises:
        DataError: the folder has no settings, or they cannot be used.
    """
    settings = read_settings(Path(folder))
    if not settings:
        words = tr("{folder} holds no settings of a run; name another folder.")
        raise DataError(words.format(folder=Path(folder).name))
    try:
        return make_config(config_class, settings | {"out": str(folder)})
    except DataError as error:
        raise DataError(tr("The settings of this run cannot be used: {why}").format(why=error)) from None


def make_config(config_class: type[Config], settings: Mapping[str, Any]) -> Config:
    """A configuration from settings as JSON holds them, wherever they come from.

    Raises:
        DataError: one is unknown, missing, of another type or out of bounds.
    """
    known = {setting.name for setting in dataclasses.fields(config_class)}
    if unknown := sorted(set(settings) - known):
        raise DataError(tr("There is no setting {name}; remove it.").format(name=_shown(unknown[0])))
    if missing := sorted({"data", "out"} - set(settings)):
        raise DataError(tr("The setting {name} is missing; add it.").format(name=missing[0]))
    given: dict[str, Any] = dict(settings)
    for name in ("data", "classes"):
        if isinstance(given.get(name), list):
            given[name] = tuple(given[name])
    return config_class(**given)


def check_settings(config: "TrainConfig | DetectorConfig") -> None:
    """Refuse a value of another type, out of bounds, or not among the choices of its setting.

    Raises:
        DataError: as said.
    """
    for setting in dataclasses.fields(config):
        value, bounds = getattr(config, setting.name), setting.metadata
        fields = {"setting": tr(_title(setting)), "value": _shown(value)}
        if not bounds:
            texts = (value,) if setting.name == "out" else value
            if not isinstance(texts, tuple) or not all(isinstance(text, str) for text in texts):
                raise DataError(tr("{setting} is {value}; it must be text.").format(**fields))
            continue
        kind: Any = type(setting.default)
        if isinstance(value, bool) or not isinstance(value, (int, float) if kind is float else kind):
            raise DataError(tr(WRONG_TYPE[kind]).format(**fields))
        if bounds["choices"] and value not in bounds["choices"]:
            words = tr("{setting} is {value}; possible are {choices}.")
            raise DataError(words.format(choices=", ".join(bounds["choices"]), **fields))
        low, high = bounds["low"], bounds["high"]
        if low is not None and value < low:
            raise DataError(tr("{setting} is {value}; it must be at least {low}.").format(low=number(low), **fields))
        if high is not None and value > high:
            words = tr("{setting} is {value}; it must lie in {low}..{high}.")
            raise DataError(words.format(low=number(low), high=number(high), **fields))
        if kind is float and not math.isfinite(value):
            raise DataError(tr("{setting} is {value}; it must be a finite number.").format(**fields))


def _shown(value: object) -> str:
    """A value in a sentence; some have no end."""
    with suppress(ValueError):  # numbers of thousands of digits
        text = repr(value)
        return text if len(text) <= 60 else f"{text[:60]}…"
    return tr("far too long")


WRONG_TYPE = {
    int: mark("{setting} is {value}; it must be a whole number."),
    float: mark("{setting} is {value}; it must be a number."),
    str: mark("{setting} is {value}; it must be text."),
}


def _title(setting: dataclasses.Field) -> str:
    return setting.name.replace("_", " ").capitalize()


def add_settings(parser: argparse.ArgumentParser, config_class: "type[TrainConfig | DetectorConfig]") -> None:
    """One command-line option for every field made with ``option``; its help names the default."""
    for setting in dataclasses.fields(config_class):
        if setting.metadata:
            default = "none" if setting.default == "" else setting.default
            parser.add_argument(
                "--" + setting.name.replace("_", "-"),
                type=type(setting.default),
                choices=setting.metadata["choices"],
                help=f"{setting.metadata['help']} (default: {default})",
            )


def recipes_help() -> str:
    """What the recipes of the training page are on the command line."""
    lines = ["The recipes of the training page set other values where none is given:"]
    for preset in RECIPE_PRESETS.values():
        options = (f"--{name.replace('_', '-')} {value}" for name, value in preset["settings"].items())
        lines.append(f"{preset['title']}: {' '.join(options) or 'the defaults'}.")
    return " ".join(lines)


def parse_config(
    parser: argparse.ArgumentParser, config_class: type[Config], arguments: list[str] | None = None
) -> Config:
    """The configuration from command-line arguments; unknown or malformed ones are refused by argparse."""
    given = {key: value for key, value in vars(parser.parse_args(arguments)).items() if value is not None}
    given["data"] = tuple(given["data"])
    try:
        return config_class(**given)
    except DataError as error:
        parser.error(str(error))


def versions(*packages: str) -> dict[str, str]:
    """Versions of Python and of those packages that are there."""
    found = {"python": sys.version.split()[0]}
    for name in packages:
        with suppress(PackageNotFoundError):
            found[name] = version(name)
    return found


@dataclass(frozen=True)
class DetectorConfig:
    """Every setting of a run, with its default."""

    data: tuple[str, ...]
    out: str
    boxes: str = option("", "what train.detector.pseudo_boxes wrote; needed for class folders")
    redraw: str = option("", "names of data sets, separated by commas, whose boxes are replaced by found ones")
    epochs: int = option(30, "epochs in all; a resumed run may have more or fewer", low=1, high=MAX_EPOCHS)
    windows: int = option(4000, "windows per epoch", low=1, high=10_000_000)
    batch_size: int = option(16, "windows per step", low=1, high=MAX_BATCH)
    side: int = option(256, "side of a window in pixels, a multiple of 32", low=64, high=2048)
    large_share: float = option(
        0.2, "share of steps with larger windows, half as large again or twice, and fewer of them", low=0, high=1
    )
    cutout_share: float = option(0.25, "share of windows drawn from class folders, if there are any", low=0, high=1)
    often: str = option("", "how often photos of a data set are drawn, as name=factor, separated by commas; else 1")
    wrongly_often: float = option(
        1.0, "how often photos with a mask worn incorrectly are drawn, as a factor", low=0, high=1000
    )
    face_min: float = option(10.0, "smallest size in pixels that a face is scaled to", low=1, high=2048)
    face_max: float = option(250.0, "largest size", low=1, high=2048)
    mosaic_share: float = option(0.3, "share of windows made of four photos", low=0, high=1)
    natural_share: float = option(
        0.0, "share of whole photos shown as the app sees them, nothing pasted", low=0, high=1
    )
    draw_share: float = option(0.12, "share of bare faces that get a mask drawn on", low=0, high=1)
    cage_share: float = option(0.0, "share of bare faces behind drawn bars, as of a helmet or a fence", low=0, high=1)
    hard_share: float = option(
        0.0,
        "share of a photo's views that show a face which was missed, or what is none, if it has such",
        low=0,
        high=1,
    )
    hard_often: float = option(1.0, "how often photos with such places are drawn, as a factor", low=0, high=1000)
    learning_rate: float = option(1e-3, "highest rate of the new layers; falls to 0 along a cosine", low=0, high=10)
    base_share: float = option(0.3, "rate of the pretrained base, as a share of that", low=0, high=100)
    frozen_blocks: int = option(
        2, "the base's first blocks up to this one keep their weights; -1: none does", low=-1, high=16
    )
    norms: str = option(
        "trained",
        "normalisation: trained, or folded into the convolutions (PyTorch, from --start): fast on CPUs without AVX-512",
        ("trained", "folded"),
    )
    warmup: int = option(300, "steps in which the rate rises", low=0, high=10_000_000)
    weight_decay: float = option(1e-4, "of AdamW", low=0, high=10)
    average: float = option(0.998, "share of the old average kept at each step in the averaged weights", low=0, high=1)
    seed: int = option(42, "the same seed gives the same split and the same windows", low=0, high=MAX_SEED)
    val_share: float = option(0.04, "share of the Pascal VOC photos for validation", low=0, high=1)
    keep: str = option(
        "last", "weights that become the model: best on the validation photos, or last", ("best", "last")
    )
    precision: str = option("int8", "of the exported model", ("int8", "fp16", "float32"))
    start: str = option("", "weights.npz of an earlier run to start from, in place of the ImageNet weights")
    unannotated: float = option(
        0.25, "how much the place of a found but unannotated face counts as background, 0..1", low=0, high=1
    )
    labels: str = option(
        LABELS_DIR, "folder with faces that the annotations lack and lists of validation photos, if any"
    )
    mix_with: str = option("", "weights.npz of an earlier run, averaged with those of this run before the export")
    mix_share: float = option(0.5, "its share in that average, 0..1", low=0, high=1)
    workers: int = option(0, "processes that make the windows, with PyTorch; 0: two threads", low=0, high=256)
    imagenet_weights: str = option("imagenet", "a path, imagenet to let Keras download them, or none for random ones")

    def __post_init__(self) -> None:
        check_settings(self)
        if self.side % 32:
            raise DataError(f"Side is {self.side}; it must be a multiple of 32.")
        if self.face_min > self.face_max:
            raise DataError(f"Face min is {self.face_min}; it must be at most face max, {self.face_max}.")
        if self.workers and not importlib.util.find_spec("torch"):
            raise DataError("Processes that make the windows need PyTorch; install it, or leave --workers out.")
        if self.norms == "folded" and not (self.start and importlib.util.find_spec("torch")):
            raise DataError("Folded normalisation needs PyTorch and the weights of an earlier run (--start).")
        if min(self.wrongly_often, self.hard_often) <= 0 or any(factor <= 0 for factor in self.factors.values()):
            raise DataError("How often photos are drawn must be above 0.")

    @property
    def factors(self) -> dict[str, float]:
        """How often photos of a data set are drawn, by its folder's name. Raises: DataError."""
        try:
            return {name: float(factor) for name, factor in (part.split("=") for part in self.often.split(",") if part)}
        except ValueError:
            raise DataError(f"Cannot read --often {self.often!r}; write it as name=0.5,name=2.") from None

    @property
    def recipe(self) -> WindowRecipe:
        """How windows are drawn."""
        return WindowRecipe(
            face_px=(self.face_min, self.face_max),
            mosaic_share=self.mosaic_share,
            natural_share=self.natural_share,
            draw_share=self.draw_share,
            cage_share=self.cage_share,
            hard_share=self.hard_share,
        )

    def load_scenes(self) -> SceneSplit:
        """Read the data. Raises: DataError, if they cannot be used."""
        redraw = tuple(name for name in self.redraw.split(",") if name)
        return load_scenes(
            list(self.data),
            self.boxes or None,
            redraw,
            self.val_share,
            self.seed,
            self.unannotated,
            self.labels or None,
        )
