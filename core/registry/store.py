"""Which models there are: list, name and install."""

import contextlib
import dataclasses
import itertools
import re
import shutil
import unicodedata
from collections.abc import Sequence
from pathlib import Path

from core.access import for_operators
from core.config import models_dir
from core.io import write_atomic
from core.language import tr
from core.quota import check_disk
from core.vision.model_card import ModelCard, ModelError, file_sha256, load_card

# What a folder with an exported model holds: its card, and usually under this name the file that the card names.
CARD, MODEL = "card.json", "model.tflite"
RESERVED_NAMES = ("in_use",)
"""No model can have these: other files of ``models_dir()`` do."""


def list_models(folder: Path | str | None = None, kind: str | None = None) -> list[str]:
    """Names of the models in a folder, sorted: each has a ``NAME.json`` card; with ``kind`` only good ones of it."""

    def fits(path: Path) -> bool:
        try:
            return kind is None or load_card(path).kind == kind
        except ModelError:
            return False

    paths = [path for path in Path(folder or models_dir()).glob("*.json") if path.stem not in RESERVED_NAMES]
    return sorted(path.stem for path in paths if not path.name.startswith(".") and fits(path))


def file_name(title: str) -> str:
    """A name of people's as a model or file may have it: letters, digits, ``-`` and ``_``.

    >>> file_name("Quick, Café 2"), file_name("口罩")
    ('Quick-Cafe-2', 'model')
    """
    ascii_only = unicodedata.normalize("NFKD", title).encode("ascii", "ignore").decode()
    return re.sub(r"[^A-Za-z0-9_]+", "-", ascii_only).strip("-")[:60].strip("-") or "model"


def free_model_name(title: str, sha256: str, folder: Path | str | None = None) -> str:
    """A model's name from what people call it: the one that this very model has already, or one that is free.

    Args:
        title: such as a run's name.
        sha256: of the model's file.
        folder: of the models.
    """
    folder, base = Path(folder or models_dir()), file_name(title)
    for number in itertools.count(1):
        name = base if number == 1 else f"{base}-{number}"
        path = folder / f"{name}.json"
        if name in RESERVED_NAMES:
            continue
        if not path.exists():
            return name
        with contextlib.suppress(ModelError):
            if load_card(path).sha256 == sha256:
                return name
    raise AssertionError


@for_operators
def install_model(
    run_dir: Path | str, name: str, folder: Path | str | None = None, failures: Sequence[str] = ()
) -> ModelCard:
    """Put the exported model of a training run into ``models/`` under a name of its own.

    The model file goes first and carries its digest in its name, so that at every moment the card in place describes a
    file that is there, also while another process is loading it.

    Args:
        run_dir: folder of a finished run.
        name: what the app calls the model.
        folder: the app's models.
        failures: sentences for the card, what the model gets wrong.

    Raises:
        ModelError: the run has no finished model.
        ValueError: the name would not be a plain file name.
    """
    run_dir, folder = Path(run_dir), Path(folder or models_dir())
    if not name or not name.replace("-", "").replace("_", "").isalnum():
        raise ValueError(tr("A model's name is made of letters, digits, '-' and '_', not {name!r}.").format(name=name))
    if name in RESERVED_NAMES:
        sentence = tr("{name!r} cannot be a model's name, a file of the app has it; choose another one.")
        raise ValueError(sentence.format(name=name))
    card = load_card(run_dir / CARD)
    source = run_dir / card.file
    if not source.is_file() or file_sha256(source) != card.sha256:
        sentence = tr("{file} is missing or is not the file its card describes; finish the training first.")
        raise ModelError(sentence.format(file=source))
    check_disk("models_gb", source.stat().st_size)
    card = dataclasses.replace(card, name=name, file=f"{name}-{card.sha256[:8]}.tflite")
    if failures:
        card = dataclasses.replace(card, failures=list(failures))
    write_atomic(folder / card.file, lambda path: shutil.copyfile(source, path))
    card.save(folder / f"{name}.json")
    for old in folder.glob(f"{name}-????????.tflite"):
        if old.name != card.file:
            old.unlink()
    return card
