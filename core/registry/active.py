"""Which method this server uses: photo and live pages start from it and follow it at once.

It stands in ``models_dir()/in_use.json`` with those that were in use before. Asking costs a few looks at the dates of
files, so pages may ask twice a second.
"""

import contextlib
import logging
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from core.access import for_operators
from core.config import models_dir
from core.io import DamagedFileError, disk_sentence, folder_lock, is_number, load_json, sweep, write_json
from core.language import current, mark, tr
from core.registry.store import list_models
from core.trash import GONE, bring_back, sweep_trash, throw_away
from core.vision.classifier import DEFAULT_CLASSIFIER
from core.vision.detector import DEFAULT_DETECTOR
from core.vision.model_card import ModelCard, ModelError, load_card
from core.vision.pipeline import (
    PIPELINES,
    Method,
    build_pipeline,
    method_version,
    method_with_its_own_model,
    models_of,
)

log = logging.getLogger(__name__)
FILE_NAME = "in_use.json"
SHIPPED = (DEFAULT_DETECTOR, DEFAULT_CLASSIFIER)
"""These came with the app and are never removed."""
WORDS_OF_SHIPPED = (
    mark(
        "Trained on faces of 24 px and more; smaller ones are guesses. It does not know mask_weared_incorrect and "
        "takes such a face for one of its own classes."
    ),
    mark(
        "Trained on faces of 8 px and more. Half hidden or strongly blurred faces are often left out, as in the photos "
        "it was trained on. Nose, mouth or chin uncovered counts as worn incorrectly."
    ),
    mark("A nose that is just uncovered is often taken for a mask worn well, a mask under the chin for none."),
    mark("Scarves, collars and hands before the mouth can pass for a mask, worn well or incorrectly."),
    mark(
        "Fists, hands, wheels, toys, animals' faces and round, face-coloured things are now and then taken for a face."
    ),
    mark("Faces in strong side or back light, turned far away or looking down are missed more often than others."),
)
"""What their cards say of their limits and failures, to be shown with ``tr``."""
MAX_HISTORY = 50
ORPHAN_S = 3600.0


@dataclass(frozen=True)
class InUse:
    """The method of this server."""

    method: Method
    stamp: str
    """Changes whenever a method is deployed, and whenever its model's files change."""
    problem: str = ""
    """Why it is not the method that was chosen, in one sentence; empty if it is."""


@dataclass
class _Kept:
    """What the file says."""

    method: Method
    since: float = 0.0
    """Seconds since the epoch; 0 if nobody has chosen yet."""
    before: list[Method] = field(default_factory=list)
    problem: str = ""


# Of the answers that this process keeps; changes are kept apart by a lock that other apps see too.
_lock = threading.Lock()
# By folder and language: the usual method, the state of every file that the answer depends on, and the answer.
_answers: dict[tuple[Path, str], tuple[Method, dict[Path, tuple], InUse]] = {}


def in_use(folder: Path | str | None = None) -> InUse:
    """The method in use. There always is one: where the chosen one cannot be used, it is the usual one."""
    folder, usual = Path(folder or models_dir()), method_with_its_own_model()
    place = folder, current()
    with _lock:
        known, files, answer = _answers.get(place, (None, {}, None))
        if answer is None or known != usual or any(_file_state(path) != state for path, state in files.items()):
            # States first, then contents: what changes in between is noticed the next time.
            files = {folder / FILE_NAME: _file_state(folder / FILE_NAME)}
            kept = _read(folder)
            for method in (kept.method, usual):
                files |= {path: _file_state(path) for path in _files_of(method, folder)}
            answer = _answer(kept, folder)
            _answers[place] = usual, files, answer
            if answer.problem:
                log.warning("%s", answer.problem)
        return answer


def active_method(pipeline: str | None = None, folder: Path | str | None = None) -> Method:
    """The method in use; with another pipeline, the active model where it fits that, else the pipeline's own.

    Args:
        pipeline: a key of ``PIPELINES``.
        folder: of the models.
    """
    now = in_use(folder).method
    if pipeline is None:
        return now
    spec = PIPELINES[pipeline]
    return Method(pipeline, now.model if PIPELINES[now.pipeline].model_kind == spec.model_kind else spec.default_model)


@for_operators
def use(method: Method, folder: Path | str | None = None) -> InUse:
    """Put a method to work, for all visitors, at once.

    Raises:
        ModelError: it cannot be used, or the choice cannot be written; then nothing changes.
    """
    folder, method = Path(folder or models_dir()), Method(*method)
    if problem := _problem(method, folder):
        raise ModelError(problem)
    if folder == models_dir():
        build_pipeline(*method)  # whether it runs is seen before anybody's camera depends on it
    with _alone(folder):
        kept = _read(folder)
        if kept.method != method:
            kept.before.append(kept.method)
        return _write(_Kept(method, time.time(), kept.before[-MAX_HISTORY:]), folder)


def previous(folder: Path | str | None = None) -> Method | None:
    """The method to which ``go_back`` goes, or ``None``."""
    folder = Path(folder or models_dir())
    kept = _read(folder)
    return next((old for old in reversed(kept.before) if old != kept.method and not _problem(old, folder)), None)


def can_go_back(folder: Path | str | None = None) -> bool:
    """Whether another method was in use before that can still be used."""
    return previous(folder) is not None


@for_operators
def go_back(folder: Path | str | None = None) -> InUse:
    """Put the method to work that was in use before; once more goes further back.

    Raises:
        ModelError: there is none.
    """
    folder = Path(folder or models_dir())
    with _alone(folder):
        old = previous(folder)
        if old is None:
            raise ModelError(tr("No other method was active before; choose one from the list of models."))
        before = _read(folder).before
        last = len(before) - 1 - before[::-1].index(old)
        return _write(_Kept(old, time.time(), before[:last]), folder)


def withdraw(method: Method, why: str, folder: Path | str | None = None) -> None:
    """Make the method before it active again, should a method that failed at work be the active one.

    Args:
        method: the one that failed.
        why: one sentence, which visitors see until another method is deployed.

    Raises:
        ModelError: the choice cannot be written; then nothing changes.
    """
    folder = Path(folder or models_dir())
    with _alone(folder):
        kept = _read(folder)
        if kept.method != Method(*method):
            return
        old = previous(folder) or method_with_its_own_model()
        log.warning("%s", why)
        before = [each for each in kept.before if each != method]
        sentence = tr("{why} The method before it is active again: {title}, {model}.")
        words = sentence.format(why=why, title=tr(PIPELINES[old.pipeline].title), model=old.model)
        _write(_Kept(old, time.time(), before, words), folder)


def why_not_removable(name: str, folder: Path | str | None = None) -> str:
    """Why a model cannot be removed, in one sentence; empty if it can."""
    if name not in list_models(folder):
        return tr("There is no model {name}; load the list again.").format(name=name)
    if name in SHIPPED:
        return tr("The model {name} came with the app and stays.").format(name=name)
    if in_use(folder).method.model == name:
        return tr("The model {name} is active; deploy another one first.").format(name=name)
    return ""


@for_operators
def remove_model(name: str, folder: Path | str | None = None, by: str = "") -> None:
    """Delete a model of ``models/``, card and file.

    Args:
        name: of the model.
        folder: of the models.
        by: who deletes it, and may bring it back for ``core.trash.KEEP_S``; without a name it is gone for good.

    Raises:
        ModelError: there is no such model, it came with the app, or it is in use.
    """
    folder = Path(folder or models_dir())
    with _alone(folder):
        if problem := why_not_removable(name, folder):
            raise ModelError(problem)
        cards = {other: _card(other, folder) for other in list_models(folder)}
        mine = cards.pop(name)
        alone = mine is not None and mine.file not in {card.file for card in cards.values() if card}
        parts = [folder / f"{name}.json", *([folder / mine.file] if mine and alone else [])]
        if by and throw_away(folder, name, name, by, parts):
            return
        try:
            for part in parts:
                part.unlink(missing_ok=True)
        except OSError as error:
            raise ModelError(disk_sentence(error)) from None


@for_operators
def restore_model(key: str, by: str, folder: Path | str | None = None) -> str:
    """Bring a deleted model back; its name. Raises: as ``core.trash.bring_back``."""
    return bring_back(Path(folder or models_dir()), key, by)


def sweep_models(folder: Path | str | None = None) -> None:
    """Remove what killed installations and removals left: half-written files, and model files that no card names."""
    folder = Path(folder or models_dir())
    sweep_trash(folder)
    sweep(folder, GONE)
    with contextlib.suppress(ModelError, OSError), _alone(folder):
        names = list_models(folder)
        cards = [_card(name, folder) for name in names]
        if None in cards:  # it may name any of them
            return
        named = {card.file for card in cards if card}
        for path in folder.glob("*-????????.tflite"):
            # An installation writes the file first; what is older than an hour waits for no card any more.
            if path.name not in named and time.time() - path.stat().st_mtime > ORPHAN_S:
                path.unlink()


@contextlib.contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """One change at a time, of all apps on this folder. Raises: ModelError, if nothing can be changed in it."""
    with contextlib.ExitStack() as stack:
        try:
            stack.enter_context(folder_lock(folder))
        except OSError as error:
            raise ModelError(disk_sentence(error)) from None
        yield


def _read(folder: Path) -> _Kept:
    """What the file says; the usual method where it says nothing that can be understood."""
    path = folder / FILE_NAME
    usual = method_with_its_own_model()
    try:
        raw = load_json(path)
        since = raw["since"] if is_number(raw["since"]) else 0.0
        before = [_method(old) for old in raw["before"]]
        return _Kept(_method(raw["method"]), since, before, str(raw.get("problem", "")))
    except FileNotFoundError:
        return _Kept(usual)
    except (OSError, DamagedFileError, KeyError, TypeError):
        problem = tr("{file} cannot be read, so the default method is active; deploy one on the model page.")
        return _Kept(usual, problem=problem.format(file=path.name))


def _method(raw: dict) -> Method:
    """Raises ``TypeError`` if it is none, also where a name is not plain text."""
    method = Method(**raw)
    if not all(isinstance(name, str) for name in method):
        raise TypeError
    return method


def _write(kept: _Kept, folder: Path) -> InUse:
    value = {
        "method": kept.method._asdict(),
        "since": kept.since,
        "before": [old._asdict() for old in kept.before],
        "problem": kept.problem,
    }
    try:
        write_json(folder / FILE_NAME, value)
    except OSError as error:
        raise ModelError(disk_sentence(error)) from None
    return in_use(folder)


def _answer(kept: _Kept, folder: Path) -> InUse:
    method, problem, usual = kept.method, kept.problem, method_with_its_own_model()
    if method != usual and (why := _problem(method, folder)):
        method, problem = usual, tr("{why} The default method is active instead.").format(why=why)
    return InUse(method, f"{kept.since} {'/'.join(method)} {method_version(method, folder)}", problem)


def _problem(method: Method, folder: Path) -> str:
    """Why a method cannot be used, in one sentence; empty if nothing speaks against it."""
    if method.pipeline not in PIPELINES:
        sentence = tr("There is no method {name!r}; possible are {possible}.")
        return sentence.format(name=method.pipeline, possible=", ".join(PIPELINES))
    # A name that is a path is none of these; only what is in the folder is opened.
    if method.model not in list_models(folder):
        return tr("There is no model {name!r}; choose one from the list of models.").format(name=method.model)
    try:
        card = load_card(folder / f"{method.model}.json")
    except ModelError as error:
        return str(error)
    spec = PIPELINES[method.pipeline]
    if card.kind != spec.model_kind:
        sentence = tr("The model {name} is a {kind}, but {method} needs a {wanted}; choose another.")
        return sentence.format(name=method.model, kind=tr(card.kind), method=tr(spec.title), wanted=tr(spec.model_kind))
    if not (folder / card.file).is_file():
        sentence = tr("The file {file} of the model {name} is missing; restore it or choose another model.")
        return sentence.format(file=card.file, name=method.model)
    return ""


def _card(name: str, folder: Path) -> ModelCard | None:
    try:
        return load_card(folder / f"{name}.json")
    except ModelError:
        return None


def _files_of(method: Method, folder: Path) -> list[Path]:
    """The files whose change may make a method another one, or no good."""
    paths = []
    for model in models_of(method):
        if Path(model).name == model:  # the name may come from a file that anybody wrote
            card = _card(model, folder)
            paths += [folder / f"{model}.json", *([folder / card.file] if card else [])]
    return paths


def _file_state(path: Path) -> tuple:
    """Differs where a file was written, replaced or removed."""
    try:
        status = path.stat()
    except OSError:
        return ()
    return status.st_mtime_ns, status.st_size, status.st_ino
