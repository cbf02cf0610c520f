"""What people changed in a data set: labels, and what is kept out of training. The pictures stay as they are.

An item is a picture's key in class folders, and ``KEY#2`` for the third face of an annotated picture; a bare key
means a whole annotated picture. Changes are kept in one small file beside the set, saved at once.
"""

import contextlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from core.access import for_operators
from core.datasets.formats import DataError, clean_label
from core.io import folder_lock, load_json, read_json, write_json

MAX_STEPS = 500


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
    history: list[dict] = field(default_factory=list)
    """Steps that can be undone, oldest first: ``what`` in words, ``before``: item to its [label or None, excluded]."""

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
        except FileNotFoundError:
            labels, excluded, history = {}, set(), []
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            raise DataError(f"{self.path.name}, which holds the edits of this set, is damaged; delete it.") from None
        self.labels, self.excluded, self.history = labels, excluded, history

    @for_operators
    def change_label(self, items: str | Iterable[str], label: str) -> None:
        """Give one or several items another label, as one step.

        Raises:
            DataError: the label is empty.
        """
        try:
            label = clean_label(label)
        except ValueError:
            raise DataError("Type a class name.") from None
        self._step(lambda name: f"{name} is now {label}", items, lambda old: (label, old[1]))

    @for_operators
    def exclude(self, items: str | Iterable[str]) -> None:
        """Keep one or several items out of training, as one step."""
        self._step(lambda name: f"{name} excluded", items, lambda old: (old[0], True))

    @for_operators
    def revert(self, items: str | Iterable[str]) -> None:
        """One or several items as they were in the files, as one step."""
        self._step(lambda name: f"{name} as it was", items, lambda old: (None, False))

    @for_operators
    def undo(self) -> str | None:
        """Take the latest step back; says which it was, or ``None`` if there is none."""
        with self._alone():
            if not self.history:
                return None
            step = self.history.pop()
            for item, (label, excluded) in step["before"].items():
                self._put(item, label, excluded)
            self._save()
            return step["what"]

    def _step(self, what: Callable[[str], str], items: str | Iterable[str], change: Callable[[tuple], tuple]) -> None:
        """``change`` turns an item's (label or None, excluded) into the new one."""
        items = [items] if isinstance(items, str) else list(dict.fromkeys(items))
        with self._alone():
            before = {item: (self.labels.get(item), item in self.excluded) for item in items}
            before = {item: old for item, old in before.items() if change(old) != old}
            if not before:
                return
            for item, old in before.items():
                self._put(item, *change(old))
            name = next(iter(before)) if len(before) == 1 else f"{len(before)} images"
            self.history.append({"what": what(name), "before": {k: list(v) for k, v in before.items()}})
            self._save()

    @contextlib.contextmanager
    def _alone(self) -> Iterator[None]:
        """No other change meanwhile, and the newest state. Raises: DataError, if the set is another one or gone."""
        with folder_lock(self.path.parent):
            if self.identity and (not self.set_id or self._id() != self.set_id):
                raise DataError("This data set is no longer there; load the page again.")
            self.reload()
            try:
                yield
            except OSError:
                self.reload()  # what could not be written has not happened
                raise

    def _put(self, item: str, label: str | None, excluded: bool) -> None:
        if label is None:
            self.labels.pop(item, None)
        else:
            self.labels[item] = label
        (self.excluded.add if excluded else self.excluded.discard)(item)

    def _save(self) -> None:
        del self.history[:-MAX_STEPS]
        edits = {"labels": self.labels, "aside": sorted(self.excluded), "history": self.history}
        write_json(self.path, {"set": self.set_id} | edits if self.set_id else edits)


def _steps(raw: list) -> list[dict]:
    """Raises ``TypeError`` or ``KeyError`` if they cannot be undone."""
    return [
        {
            "what": str(step["what"]),
            "before": {
                str(item): [None if label is None else clean_label(label), bool(excluded)]
                for item, (label, excluded) in step["before"].items()
            },
        }
        for step in raw
    ]
