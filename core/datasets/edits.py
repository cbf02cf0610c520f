"""What people changed in a data set: labels, and what is kept out of training. The pictures stay as they are.

An item is a picture's key in class folders, and ``KEY#2`` for the third face of an annotated picture; a bare key sets
a whole annotated picture aside. Changes are kept in one small file beside the set, saved at once.
"""

import json
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path

from core.access import for_operators
from core.datasets.formats import DataError, clean_label
from core.io import file_lock, write_json

MAX_STEPS = 500
# Beside the files of changes; one for all sets of a folder, so that none is left behind with each.
LOCK = ".edits.lock"


@dataclass
class Repairs:
    """The changes to one data set. Safe with several visitors and apps: each change starts from what the file says."""

    path: Path
    labels: dict[str, str] = field(default_factory=dict)
    """Item to its new label."""
    aside: set[str] = field(default_factory=set)
    """Items kept out of training."""
    history: list[dict] = field(default_factory=list)
    """Steps that can be undone, oldest first: ``what`` in words, ``before``: item to its [label or None, aside]."""

    @classmethod
    def load(cls, folder: Path | str) -> "Repairs":
        """The repairs of the data set in this folder; none yet is fine.

        Raises:
            DataError: the file is damaged.
        """
        from core.datasets.store import repairs_path  # the library applies repairs, and knows where they are kept

        repairs = cls(repairs_path(folder))
        repairs.reload()
        return repairs

    def reload(self) -> None:
        """Read again what the file says."""
        try:
            data = json.loads(self.path.read_text(encoding="utf-8"))
            labels = {str(item): clean_label(label) for item, label in data["labels"].items()}
            aside, history = {str(item) for item in data["aside"]}, list(data["history"])
        except FileNotFoundError:
            labels, aside, history = {}, set(), []
        except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
            raise DataError(f"{self.path.name}, which holds the repairs of this set, is damaged; delete it.") from None
        self.labels, self.aside, self.history = labels, aside, history

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
    def set_aside(self, items: str | Iterable[str]) -> None:
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
            self.reload()
            if not self.history:
                return None
            step = self.history.pop()
            for item, (label, aside) in step["before"].items():
                self._put(item, label, aside)
            self._save()
            return step["what"]

    def _step(self, what: Callable[[str], str], items: str | Iterable[str], change: Callable[[tuple], tuple]) -> None:
        """``change`` turns an item's (label or None, aside) into the new one."""
        items = [items] if isinstance(items, str) else list(dict.fromkeys(items))
        with self._alone():
            self.reload()
            before = {item: (self.labels.get(item), item in self.aside) for item in items}
            before = {item: old for item, old in before.items() if change(old) != old}
            if not before:
                return
            for item, old in before.items():
                self._put(item, *change(old))
            name = next(iter(before)) if len(before) == 1 else f"{len(before)} images"
            self.history.append({"what": what(name), "before": {k: list(v) for k, v in before.items()}})
            self._save()

    def _alone(self) -> AbstractContextManager[None]:
        return file_lock(self.path.parent / LOCK)

    def _put(self, item: str, label: str | None, aside: bool) -> None:
        if label is None:
            self.labels.pop(item, None)
        else:
            self.labels[item] = label
        (self.aside.add if aside else self.aside.discard)(item)

    def _save(self) -> None:
        del self.history[:-MAX_STEPS]
        write_json(self.path, {"labels": self.labels, "aside": sorted(self.aside), "history": self.history})
