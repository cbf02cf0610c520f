"""Texts from outside, and changes that may fail, as sentences on the page."""

import os
import re
import tempfile
import unicodedata
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, ParamSpec

import streamlit as st
from streamlit.elements.lib.mutable_popover_container import PopoverContainer

from core.config import HOME, allowed_dirs, data_dir, models_dir, runs_dir
from core.io import disk_sentence
from core.language import tr
from pages.components.state import POPOVERS_CLOSED, PROBLEM

P = ParamSpec("P")


def try_to(change: Callable[P, Any], *arguments: P.args, **named: P.kwargs) -> None:
    """Change something on the server and show the page anew, or say in one sentence why it could not be done."""
    try:
        with st.spinner(tr("One moment …")):
            change(*arguments, **named)
    except (ValueError, OSError) as error:
        st.error(why(error))
    else:
        close_popovers()
        st.rerun()


def popover(label: str, key: str, **options: Any) -> PopoverContainer:
    """A popover that closes once its work is done: ``close_popovers`` says so.

    Args:
        label: of its button.
        key: of the widget.
        options: of ``st.popover``.
    """
    # Another widget, which is closed; one that is open would stay so whatever the server says.
    return st.popover(label, key=f"{key}_{st.session_state.get(POPOVERS_CLOSED, 0)}", on_change="rerun", **options)


def close_popovers() -> None:
    """Let the popovers that are open close when the page runs next."""
    st.session_state[POPOVERS_CLOSED] = st.session_state.get(POPOVERS_CLOSED, 0) + 1


def tried(change: Callable[P, Any]) -> Callable[P, None]:
    """The same for callbacks of widgets, which run before the page does: ``show_problem`` says what went wrong."""

    def changed(*arguments: P.args, **named: P.kwargs) -> None:
        try:
            change(*arguments, **named)
        except (ValueError, OSError) as error:
            st.session_state[PROBLEM] = why(error)

    return changed


def show_problem() -> None:
    """Why the change that was just asked for could not be made, if so."""
    if words := st.session_state.pop(PROBLEM, None):
        st.error(words)


def why(error: ValueError | OSError) -> str:
    """What went wrong, in one sentence for Markdown."""
    return plain(disk_sentence(error) if isinstance(error, OSError) else str(error))


def told_apart(titles: Mapping[str, str], by_key: bool = True) -> dict[str, str]:
    """Titles for a select box, which takes options that look the same for one.

    Args:
        titles: of what can be chosen, by their keys.
        by_key: show the keys of those that look the same; else number them.

    >>> told_apart({"a": "Masks", "b": "masks ", "c": "Hats"})
    {'a': 'Masks (a)', 'b': 'masks (b)', 'c': 'Hats'}
    >>> told_apart({"a": "1.jpg", "b": "1.jpg"}, by_key=False)
    {'a': '1.jpg (1)', 'b': '1.jpg (2)'}
    """
    titles = {key: " ".join(title.split()) for key, title in titles.items()}
    seen = Counter(_looks(title) for title in titles.values())
    equal = [key for key, title in titles.items() if seen[_looks(title)] > 1]
    return {
        key: f"{title} ({key if by_key else equal.index(key) + 1})" if key in equal else title
        for key, title in titles.items()
    }


def _looks(title: str) -> str:
    return unicodedata.normalize("NFKC", title).casefold()


# What becomes a link (in GitHub's Markdown), an icon or an arrow (in Streamlit's) after signs are unescaped: a sign
# without width keeps its parts apart.
LATE_MARKUP = re.compile(
    r"https?:(?=//)|www(?=\.)|@(?=[-\w])|:(?=material/|streamlit:)|(?<!\S)[<>~-](?=[-=>]{1,2}(?!\S))", re.IGNORECASE
)
WORD_JOINER = "\u2060"


def plain(text: str, hide_paths: bool = True) -> str:
    """Text from outside, such as a file name, without any meaning in Markdown; no address in it is a link.

    Args:
        text: as it is.
        hide_paths: leave the server's own folders out too.
    """
    if hide_paths:
        for folder in _server_folders():
            text = text.replace(f"{folder}{os.sep}", "").replace(str(folder), folder.name)
    text = LATE_MARKUP.sub(lambda found: found[0] + WORD_JOINER, text)
    return re.sub(r"([\\`*_{}\[\]()#+\-.!|~<>$:&])", r"\\\1", text)


def _server_folders() -> list[Path]:
    """Where a message of the core may say that something lies, the longest first."""
    folders = {data_dir(), runs_dir(), models_dir(), *allowed_dirs(), Path(tempfile.gettempdir()), HOME}
    return sorted(folders - {Path("/")}, key=lambda folder: -len(str(folder)))
