"""Who may change something on this server, asked where it is changed, whatever page or thread that comes from.

A command line may do everything. The app says whom its question is about with ``ask``; work that a page starts beside
itself keeps the role of the user who started it (``as_now``).
"""

import enum
import functools
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from typing import Any, ParamSpec, TypeVar

from core.config import OPEN, Settings
from core.language import tr

P = ParamSpec("P")
R = TypeVar("R")


class Role(enum.IntEnum):
    """What somebody may do; each may do what the ones before it may."""

    VISITOR = 0
    """Look at photos, video and models."""
    OPERATOR = 1
    """Add, change and delete data sets, trainings and models."""


class AccessError(ValueError):
    """Somebody may not do this; the message is one sentence for that person."""


_ask: Callable[[], Role] = lambda: Role.OPERATOR  # noqa: E731
_kept: ContextVar[Role | None] = ContextVar("role", default=None)


def ask(who: Callable[[], Role]) -> None:
    """Set the function that gives ``role`` the current user's role."""
    global _ask
    _ask = who


def role() -> Role:
    """The current user's role, in this thread."""
    kept = _kept.get()
    return _ask() if kept is None else kept


def as_now(work: Callable[P, R]) -> Callable[P, R]:
    """Wrap work for another thread so that it runs with the current user's role."""
    mine = role()

    @functools.wraps(work)
    def with_role(*arguments: P.args, **named: P.kwargs) -> R:
        before = _kept.set(mine)
        try:
            return work(*arguments, **named)
        finally:
            _kept.reset(before)

    return with_role


def for_operators(function: Callable[P, R]) -> Callable[P, R]:
    """Let only operators call this function; it raises ``AccessError`` for others, before anything is done."""

    @functools.wraps(function)
    def guarded(*arguments: P.args, **named: P.kwargs) -> R:
        if role() < Role.OPERATOR:
            raise AccessError(tr("Only operators of this server may do this; log in as one."))
        return function(*arguments, **named)

    guarded.for_operators = True  # type: ignore[attr-defined]
    return guarded


def role_of(person: Mapping[str, Any], settings: Settings) -> Role:
    """The role of a person whom the login describes.

    Args:
        person: the claims of OpenID Connect with Streamlit's ``is_logged_in``; empty for somebody not logged in.
        settings: of the operator.
    """
    if settings.access == OPEN:
        return Role.OPERATOR
    email = str(person.get("email") or "").strip().casefold()
    # Some providers do not say whether the address is verified; those who say no let anybody claim any address.
    verified = str(person.get("email_verified", True)).casefold() == "true"
    if person.get("is_logged_in") is not True or not email or not verified:
        return Role.VISITOR
    of_domain = f"*@{email.rpartition('@')[2]}"
    return Role.OPERATOR if email in settings.operators or of_domain in settings.operators else Role.VISITOR
