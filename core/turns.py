"""Turns: some may work at once, the others wait in the order in which they came, and know their place."""

import contextlib
import threading
from collections.abc import Callable, Iterator

# Waiting visitors are told their place this often, even if it has not changed: a visitor who left is noticed then.
TELL_S = 0.3


class Turns:
    """Shares work fairly. Who asks for one turn at a time, and for the next after it, takes turns with all others."""

    def __init__(self, at_once: int = 1):
        """Args: how many may work at the same time."""
        self._at_once = at_once
        self._line: list[object] = []  # in the order of arrival; the first ``at_once`` work
        self._changed = threading.Condition()

    @contextlib.contextmanager
    def turn(self, waiting: Callable[[int], object] = lambda before: None) -> Iterator[None]:
        """Wait for a turn, and hold it for the time of a ``with``.

        Args:
            waiting: called while there is no turn yet, with how many are before this one, those at work included. If it
                raises, the place is given up.
        """
        place = object()
        with self._changed:
            self._line.append(place)
        try:
            while (before := self._before(place)) >= self._at_once:
                waiting(before)
                with self._changed:
                    self._changed.wait_for(lambda: self._line.index(place) < self._at_once, TELL_S)
            yield
        finally:
            with self._changed:
                self._line.remove(place)
                self._changed.notify_all()

    def _before(self, place: object) -> int:
        with self._changed:
            return self._line.index(place)
