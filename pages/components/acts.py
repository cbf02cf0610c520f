"""Keys and buttons within components, and what they ask for, each once and in its order."""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any

import streamlit as st


@dataclass(frozen=True)
class Action:
    """What a key and a button do to what is chosen."""

    id: str
    """``label:CLASS`` gives a class."""
    key: str
    """One letter or digit, lower case."""
    words: str
    sign: str = ""
    color: str = ""
    """Of the sign's field, as CSS writes it."""
    always: bool = False
    """Whether it needs nothing to be chosen."""

    def for_browser(self) -> dict[str, Any]:
        """As JSON."""
        return asdict(self)


@cache
def parts(file: str) -> tuple[str, str]:
    """Style and script of a component beside this Python file, with what all of them share."""
    own, shared = Path(file), Path(__file__)
    css, js = ("\n".join(p.with_suffix(s).read_text(encoding="utf-8") for p in (shared, own)) for s in (".css", ".js"))
    return css, js


def acts_done(key: str) -> int:
    """The number of the latest act of this component that was handled."""
    return st.session_state.get(f"{key}_done", 0)


def handler(key: str, handle: Callable[[dict[str, Any]], object]) -> Callable[[], None]:
    """For a component's ``on_acted_change``: ``handle`` gets every new act, before the page runs again.

    Args:
        key: of the component.
        handle: what came from the browser is only known to be a dictionary.
    """

    def acted() -> None:
        acts = (st.session_state.get(key) or {}).get("acted")
        for act in acts if isinstance(acts, list) else []:
            number = act.get("seq") if isinstance(act, dict) else None
            if isinstance(number, int) and number > acts_done(key):
                st.session_state[f"{key}_done"] = number
                handle(act)

    return acted
