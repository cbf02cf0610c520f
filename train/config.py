"""The settings of a training run, in one place."""

import argparse
import dataclasses
import json
import signal
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from types import SimpleNamespace

from train.augment import RECIPES
from train.data import DataError

DEFAULT_VIEWS = 3
RECIPE_PRESETS: dict[str, dict] = {
    "report": {
        "title": "The student's report",
        "about": "Twenty passes on faces that are turned, shifted and zoomed, as in the report this project grew from; "
        "the base stays as ImageNet made it. Good on pictures like those it learnt from.",
        "settings": {},
    },
    "best": {
        "title": "Best known",
        "about": "How the shipped classifier was made: faces are varied as street photos differ, most of the network "
        "learns, and near copies stay on one side of the split. Takes longest and does best on the street.",
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
    "quick": {
        "title": "Quick",
        "about": "About a minute for a thousand pictures: a few views of each face go through the frozen base once, "
        "and only the last layers learn. To see early whether the data are any good.",
        "settings": {"features": "cached", "views": 2, "epochs": 15, "precision": "fp16"},
    },
}
"""Settings that differ from the defaults, by name of the recipe, with a title and a few sentences for people."""


class Interrupted(Exception):
    """Somebody asked the run to stop; everything up to the last finished epoch is kept."""


def option(default, help: str, choices: tuple[str, ...] | None = None):
    """A setting with its default, a sentence for people, and its possible values if they are few."""
    return field(default=default, metadata={"help": help, "choices": choices})


@dataclass(frozen=True)
class TrainConfig:
    """Every setting of a run, with its default."""

    data: tuple[str, ...]
    out: str
    classes: tuple[str, ...] = ()
    """Which classes to tell apart; none named: all that the data have."""
    recipe: str = option("report", "how faces are varied: the report's way, or street, which is robust", tuple(RECIPES))
    features: str = option(
        "plain",
        "what trains the head: plain shows fresh views in every pass; cached keeps what the frozen base makes of a few "
        "views per face and is many times faster",
        ("plain", "cached"),
    )
    views: int = option(DEFAULT_VIEWS, "varied views per face that are kept beside the plain one, if cached")
    epochs: int = option(20, "passes that train the head on the frozen base")
    fine_tune_blocks: int = option(0, "last blocks of the base to train afterwards, 0..16")
    fine_tune_epochs: int = option(10, "passes for these blocks, if any")
    batch_size: int = option(32, "faces per step")
    learning_rate: float = option(1e-3, "rate at the start of the head's training; falls to 0 along a cosine")
    fine_tune_rate: float = option(1e-4, "the same for the last blocks")
    dropout: float = option(0.5, "share of the head's 128 features dropped in a step")
    label_smoothing: float = option(0.0, "share of certainty taken from the labels")
    seed: int = option(42, "the same seed gives the same split and the same views")
    split: str = option("random", "grouped keeps near copies on one side", ("random", "grouped"))
    test_share: float = option(0.2, "share of the faces for the test, 0..1")
    val_share: float = option(0.1, "share of the faces for validation, 0..1")
    margin: float = option(0.15, "share of a face's longer side added around an annotated box")
    min_face: float = option(24.0, "annotated faces with a shorter side, in pixels, are left out")
    keep: str = option("best", "weights that become the model: lowest validation loss, or last", ("best", "last"))
    precision: str = option("int8", "of the exported model", ("int8", "fp16", "float32"))
    imagenet_weights: str = option("imagenet", "a path, imagenet to let Keras download them, or none for random ones")

    def __post_init__(self):
        check_choices(self)
        if self.epochs < 1 or self.fine_tune_epochs < 0 or self.batch_size < 1:
            raise DataError("Epochs and batch size must be at least 1.")
        if not 0 <= self.fine_tune_blocks <= 16 or not 0 <= self.dropout < 1:
            raise DataError("Fine-tune blocks must lie in 0..16, dropout in 0..1.")
        if self.views < 0:
            raise DataError("Views must be 0 or more.")

    @property
    def total_epochs(self) -> int:
        """Passes of both stages together."""
        return self.epochs + (self.fine_tune_epochs if self.fine_tune_blocks else 0)


def estimate_minutes(settings, faces: int) -> float:
    """How long a run should take on this machine.

    Args:
        settings: a ``TrainConfig``, or a mapping with those settings that differ from the defaults.
        faces: how many the chosen data sets hold together.
    """
    from train.speeds import stage_seconds

    if isinstance(settings, Mapping):
        known = {setting.name: setting.default for setting in dataclasses.fields(TrainConfig) if setting.metadata}
        settings = SimpleNamespace(**known | dict(settings))
    test, val = round(faces * settings.test_share), round(faces * settings.val_share)
    return sum(stage_seconds(settings, max(0, faces - test - val), val, test).values()) / 60


def run_settings(config) -> dict:
    """The settings that make a run what it is, as JSON holds them; where it is written does not belong to them."""
    return {key: value for key, value in json.loads(json.dumps(dataclasses.asdict(config))).items() if key != "out"}


def check_choices(config) -> None:
    """Refuse a value that is not among the choices of its setting.

    Raises:
        DataError: as said.
    """
    for setting in dataclasses.fields(config):
        choices, value = setting.metadata.get("choices"), getattr(config, setting.name)
        if choices and value not in choices:
            raise DataError(f"{setting.name} is {value!r}; possible are {', '.join(choices)}.")


def add_settings(parser: argparse.ArgumentParser, config_class) -> None:
    """One command-line option for every field made with ``option``."""
    for setting in dataclasses.fields(config_class):
        if setting.metadata:
            parser.add_argument(
                "--" + setting.name.replace("_", "-"),
                type=type(setting.default),
                choices=setting.metadata["choices"],
                help=f"{setting.metadata['help']}; default {setting.default or 'none'}",
            )


def parse_config(parser: argparse.ArgumentParser, config_class, arguments: list[str] | None = None):
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


def check_run_folder(out: Path, settings: dict, may_change: tuple[str, ...] = ()) -> None:
    """Refuse a folder that holds a run with other settings, apart from those that may change.

    Raises:
        DataError: as said.
    """
    path = out / "config.json"
    if not path.is_file():
        return
    begun_with = json.loads(path.read_text()) | {name: settings[name] for name in may_change}
    if begun_with != settings:
        raise DataError(f"{out} holds a run with other settings; choose another --out or remove it.")


@contextmanager
def stopping_on_signals(trainer) -> Iterator[None]:
    """Set ``trainer.stopping`` on SIGTERM and SIGINT."""

    def stop(signum, frame):
        trainer.stopping = True

    before = {number: signal.signal(number, stop) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
