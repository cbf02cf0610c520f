"""What people changed in a data set: labels, boxes, what is kept out of training. The pictures stay as they are.

An item is a picture's key in class folders, and ``KEY#2`` for the third face of an annotated picture; a bare key
means a whole annotated picture. Faces that a person added are numbered from ``FIRST_ADDED`` on. Changes are kept in one
small file beside the set, saved at once.
"""

import contextlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from math import isfinite
from pathlib import Path
from typing import NamedTuple

from core.access import for_operators
from core.datasets.formats import DataError, clean_label
from core.io import folder_lock, load_json, read_json, write_json
from core.language import ENGLISH, mark, number, tr, trn, using

MAX_STEPS = 500
# What a step did, of the items' name and a label.
NOW, ADDED = mark("{name} is now {label}"), mark("{name} added as {label}")
RIGHT, ALL_RIGHT = mark("{name}: the label is right"), mark("{name}: the labels are right")
EXCLUDED, CHOICE = mark("{name} excluded"), mark("{name}: choice of the copy to keep")
NO_FACE, NO_FACES, NOT_SURE = mark("{name} is no face"), mark("{name} are no faces"), mark("{name} not sure")
MOVED, REMOVED, REVERTED = mark("{name} moved"), mark("{name} removed"), mark("{name} as it was")
FORMS = (NOW, ADDED, RIGHT, ALL_RIGHT, EXCLUDED, CHOICE, NO_FACE, NO_FACES, NOT_SURE, MOVED, REMOVED, REVERTED)
FORMER = {
    "{name} excluded or kept": CHOICE,
    "{name}: which of these copies is kept": CHOICE,
    "{name} set aside": EXCLUDED,
}
"""What earlier versions wrote, and what is said today."""
FIRST_ADDED = 1_000_000
"""Number of the first face that a person added to a picture: no annotation file holds so many."""

Box = tuple[float, float, float, float]


class Change(NamedTuple):
    """What people changed of one item."""

    label: str | None = None
    excluded: bool = False
    """Kept out of training and evaluation; the place of a face counts neither as hit nor as miss."""
    box: Box | None = None
    """Where the face is, in pixels of the picture, if it was added or moved."""
    removed: bool = False
    """There is no face: an annotation that a person removed, or a suggestion that was rejected."""
    confirmed: str | None = None
    """The labels (``joined``) of a picture whose near-duplicates have others, if a person said that all are right."""


def joined(labels: Iterable[str]) -> str:
    """The labels of a picture as one text, whatever their order."""
    return "|".join(sorted(labels))


class NewFace(NamedTuple):
    """A face that the annotations lack, or a suggestion that is none."""

    picture: str
    """The picture's key."""
    box: Box
    """Pixels of the picture, inside it."""
    label: str
    excluded: bool = False
    removed: bool = False


@dataclass
class Edits:
    """The changes to one data set. Safe with several visitors and apps: each change starts from what the file says.

    They belong to the set's id: one that is deleted takes them with it, a new one of its name starts without any.
    """

    path: Path
    identity: Path | None = None
    """The file that holds the set's id; ``None`` for folders that the app does not keep."""
    set_id: str = ""
    """The id when the changes were loaded."""
    labels: dict[str, str] = field(default_factory=dict)
    """Item to its new label."""
    excluded: set[str] = field(default_factory=set)
    """Items kept out of training."""
    boxes: dict[str, Box] = field(default_factory=dict)
    """Item to its box, of faces that were added or moved."""
    removed: set[str] = field(default_factory=set)
    """Items that are no face."""
    confirmed: dict[str, str] = field(default_factory=dict)
    """A picture's key to its labels when a person said that they are right, although near-duplicates have others."""
    history: list[dict] = field(default_factory=list)
    """Steps that can be undone, oldest first: ``what`` in English, ``told``: the parts of ``step_words``, and
    ``before``: item to the fields of its ``Change``."""

    @classmethod
    def load(cls, folder: Path | str) -> "Edits":
        """The edits of the data set in this folder; none yet is fine.

        Raises:
            DataError: the file is damaged.
        """
        from core.datasets.store import edits_path, identity_path  # the store applies edits, and knows both places

        edits = cls(edits_path(folder), identity_path(folder))
        edits.set_id = edits._id()
        if edits.identity and not edits.set_id:
            try:
                edits._give_id()
            except OSError:  # a folder that is only read: its edits go by its name
                edits.identity = None
        edits.reload()
        return edits

    def _id(self) -> str:
        return str(read_json(self.identity).get("id") or "") if self.identity else ""

    def _give_id(self) -> None:
        """Give a set of an earlier version an id; it keeps its edits."""
        from core.datasets.store import IDENTITY, new_id

        with folder_lock(self.path.parent):
            self.set_id = self._id()
            if self.set_id or not self.identity:
                return
            if not (self.identity.parent if self.identity.name == IDENTITY else self.identity).exists():
                return  # deleted at this moment
            edits = read_json(self.path)
            made = str(edits.get("set") or new_id())
            if edits and "set" not in edits:  # first, so that they are its own at every moment
                write_json(self.path, {"set": made} | edits)
            write_json(self.identity, read_json(self.identity) | {"id": made})
            self.set_id = made

    def reload(self) -> None:
        """Read again what the file says."""
        try:
            data = load_json(self.path)
            if self.set_id and data.get("set") != self.set_id:
                raise FileNotFoundError  # left behind by another set of this name
            labels = {str(item): clean_label(label) for item, label in data["labels"].items()}
            excluded, history = {str(item) for item in data["aside"]}, _steps(data["history"])
            # Earlier versions changed neither boxes nor faces.
            boxes = {str(item): _box(box) for item, box in data.get("boxes", {}).items()}
            removed = {str(item) for item in data.get("removed", ())}
            confirmed = {str(item): str(labels) for item, labels in data.get("confirmed", {}).items()}
            if any(_number(item) >= FIRST_ADDED and item not in labels for item in boxes):
                raise ValueError("a face without a label")
        except FileNotFoundError:
            labels, excluded, boxes, removed, confirmed, history = {}, set(), {}, set(), {}, []
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            words = tr("{file}, which holds the edits of this set, is damaged; delete it.")
            raise DataError(words.format(file=self.path.name)) from None
        self.labels, self.excluded, self.history = labels, excluded, history
        self.boxes, self.removed, self.confirmed = boxes, removed, confirmed

    def of(self, item: str) -> Change:
        """What was changed of this item."""
        sets = item in self.excluded, self.boxes.get(item), item in self.removed
        return Change(self.labels.get(item), *sets, self.confirmed.get(item))

    def changed(self) -> set[str]:
        """All items of which something was changed."""
        return {*self.labels, *self.excluded, *self.boxes, *self.removed, *self.confirmed}

    def added(self) -> dict[str, list[str]]:
        """The faces that people added, by the key of their picture, in the order of their numbers."""
        found: dict[str, list[str]] = {}
        for item in sorted(self.boxes, key=_number):
            if _number(item) >= FIRST_ADDED:
                found.setdefault(item.rpartition("#")[0], []).append(item)
        return found

    @for_operators
    def change_label(self, items: str | Iterable[str], label: str) -> None:
        """Give one or several items another label, as one step.

        Raises:
            DataError: the label is empty.
        """
        label = _typed(label)
        self._step(NOW, items, lambda old: old._replace(label=label), label=label)

    @for_operators
    def accept(self, items: str | Iterable[str], label: str) -> None:
        """The same, and nothing excludes them any more: somebody is sure now.

        Raises:
            DataError: the label is empty.
        """
        label = _typed(label)
        self._step(NOW, items, lambda old: old._replace(label=label, excluded=False, removed=False), label=label)

    @for_operators
    def confirm(self, labels: dict[str, str]) -> None:
        """These items' labels are right, as one step: nobody needs to doubt them again."""
        with self._alone():
            self._change(RIGHT, list(labels), lambda item, old: old._replace(label=labels[item]))

    @for_operators
    def confirm_copies(self, labels: Mapping[str, Iterable[str]]) -> None:
        """The labels of these pictures, by their keys, are right, although they are near-duplicates; as one step."""
        with self._alone():
            self._change(ALL_RIGHT, list(labels), lambda key, old: old._replace(confirmed=joined(labels[key])))

    @for_operators
    def exclude(self, items: str | Iterable[str]) -> None:
        """Keep one or several items out of training, as one step."""
        self._step(EXCLUDED, items, lambda old: old._replace(excluded=True))

    @for_operators
    def keep_alone(self, kept: Sequence[str], others: Sequence[str]) -> None:
        """Of near-duplicates, keep ``others`` out of training and ``kept`` in it, as one step."""
        with self._alone():
            change = lambda item, old: old._replace(excluded=item not in kept)  # noqa: E731
            # With the other word if one of them was excluded before.
            words = CHOICE if self.excluded.intersection(kept) else EXCLUDED
            self._change(words, [*others, *kept], change)

    @for_operators
    def add_faces(self, faces: Sequence[NewFace]) -> list[str]:
        """Faces that annotations lack, or suggestions that are none, as one step.

        Returns:
            Their items.

        Raises:
            DataError: a label is empty, or a box has no area.
        """
        try:
            changes = [Change(_typed(face.label), face.excluded, _box(face.box), face.removed) for face in faces]
        except (TypeError, ValueError) as error:
            raise error if isinstance(error, DataError) else DataError(tr("Draw a larger box.")) from None
        with self._alone():
            numbers = {key: _number(items[-1]) + 1 for key, items in self.added().items()}
            items = []
            for face in faces:
                number = numbers.get(face.picture, FIRST_ADDED)
                numbers[face.picture] = number + 1
                items.append(f"{face.picture}#{number}")
            labels = sorted({change.label for change in changes if change.label})
            words = ADDED
            if all(face.removed for face in faces):
                words = NO_FACE if len(faces) == 1 else NO_FACES
            elif all(face.excluded for face in faces):
                words = NOT_SURE
            new = dict(zip(items, changes, strict=True))
            self._change(words, items, lambda item, old: new[item], label=" or ".join(labels))
            return items

    @for_operators
    def move(self, item: str, box: Box) -> None:
        """Another box for a face, in pixels of its picture.

        Raises:
            DataError: it has no area.
        """
        try:
            box = _box(box)
        except ValueError:
            raise DataError(tr("Draw a larger box.")) from None
        self._step(MOVED, item, lambda old: old._replace(box=box))

    @for_operators
    def remove(self, items: str | Iterable[str]) -> None:
        """One or several items are no faces, as one step."""
        self._step(REMOVED, items, lambda old: old._replace(removed=True))

    @for_operators
    def revert(self, items: str | Iterable[str]) -> None:
        """One or several items as they were in the files, as one step; faces that were added are gone."""
        self._step(REVERTED, items, lambda old: Change())

    @for_operators
    def undo(self) -> str | None:
        """Take the latest step back; says which it was, or ``None`` if there is none."""
        with self._alone():
            if not self.history:
                return None
            step = self.history.pop()
            for item, before in step["before"].items():
                self._put(item, Change(*before))
            self._save()
            return step_words(step)

    def _step(
        self, words: str, items: str | Iterable[str], change: Callable[[Change], Change], label: str = ""
    ) -> None:
        items = [items] if isinstance(items, str) else list(dict.fromkeys(items))
        with self._alone():
            self._change(words, items, lambda item, old: change(old), label)

    def _change(self, words: str, items: list[str], change: Callable[[str, Change], Change], label: str = "") -> None:
        """``words`` say of the items' name, and the label, what was done; ``change`` turns an item's change so far into
        the new one."""
        before = {item: old for item in items if change(item, old := self.of(item)) != old}
        if not before:
            return
        for item, old in before.items():
            self._put(item, change(item, old))
        step = {"told": [words, label], "before": {item: list(old) for item, old in before.items()}}
        with using(ENGLISH):
            self.history.append({"what": step_words(step)} | step)
        self._save()

    @contextlib.contextmanager
    def _alone(self) -> Iterator[None]:
        """No other change meanwhile, and the newest state. Raises: DataError, if the set is another one or gone."""
        with folder_lock(self.path.parent):
            if self.identity and (not self.set_id or self._id() != self.set_id):
                raise DataError(tr("This data set is no longer there; load the page again."))
            self.reload()
            try:
                yield
            except OSError:
                self.reload()  # what could not be written has not happened
                raise

    def _put(self, item: str, change: Change) -> None:
        for kept, value in (
            (self.labels, change.label),
            (self.boxes, change.box),
            (self.confirmed, change.confirmed),
        ):
            if value is None:
                kept.pop(item, None)
            else:
                kept[item] = value  # type: ignore[assignment]  # each has its own kind
        for some, is_in in ((self.excluded, change.excluded), (self.removed, change.removed)):
            (some.add if is_in else some.discard)(item)

    def _save(self) -> None:
        del self.history[:-MAX_STEPS]
        edits = {"labels": self.labels, "aside": sorted(self.excluded), "history": self.history}
        edits |= {"boxes": self.boxes, "removed": sorted(self.removed), "confirmed": self.confirmed}
        write_json(self.path, {"set": self.set_id} | edits if self.set_id else edits)


def _typed(label: str) -> str:
    try:
        return clean_label(label)
    except ValueError:
        raise DataError(tr("Type a class name.")) from None


def _number(item: str) -> int:
    """The number of a face in its picture; -1 for whole pictures."""
    number = item.rpartition("#")[2]
    return int(number) if number.isascii() and number.isdigit() else -1


def _box(raw: Sequence[float]) -> Box:
    """Raises ``ValueError`` or ``TypeError`` if it is no box with an area."""
    try:
        x1, y1, x2, y2 = (round(float(value), 2) for value in raw)
    except OverflowError:
        raise ValueError(f"{raw} is no box") from None
    if not all(map(isfinite, (x1, y1, x2, y2))) or x2 <= x1 or y2 <= y1:
        raise ValueError(f"{raw} is no box")
    return x1, y1, x2, y2


def _change_of(raw: list) -> list:
    label, excluded, *rest = raw
    box, removed, *more = rest or (None, False)
    (confirmed,) = more or (None,)
    return [
        None if label is None else clean_label(label),
        bool(excluded),
        None if box is None else _box(box),
        bool(removed),
        None if confirmed is None else str(confirmed),
    ]


def step_words(step: Mapping) -> str:
    """What a step of the history was, in the language of now; as an earlier version wrote it, if nobody knows that."""
    names = list(step["before"])
    form, label = step.get("told") or _parts_of(str(step["what"]), names)
    form = FORMER.get(form, form)
    if form not in FORMS or not names:
        return str(step["what"])
    name = names[0]
    if len(names) > 1:
        count = trn("{count} image", "{count} images", len(names))
        if all("#" in item for item in names):
            count = trn("{count} face", "{count} faces", len(names))
        name = count.format(count=number(len(names)))
    return tr(form).format(name=name, label=label)


def _parts_of(what: str, items: Sequence[str]) -> tuple[str, str]:
    """The form and the label of a step of which an earlier version kept only the words; empty if nobody knows them."""
    kind = "faces" if all("#" in item for item in items) else "images"
    name = items[0] if len(items) == 1 else f"{len(items)} {kind}"
    rest = what.removeprefix(name)
    for form in (*FORMS, *FORMER):
        words, takes_label, _ = form.removeprefix("{name}").partition("{label}")
        if rest == words or (takes_label and rest.startswith(words)):
            return form, rest[len(words) :]
    return "", ""


def _steps(raw: list) -> list[dict]:
    """Raises ``TypeError``, ``ValueError`` or ``KeyError`` if they cannot be undone."""
    return [
        {
            "what": str(step["what"]),
            **({"told": [str(part) for part in step["told"][:2]]} if len(step.get("told", ())) == 2 else {}),
            "before": {str(item): _change_of(change) for item, change in step["before"].items()},
        }
        for step in raw
    ]
