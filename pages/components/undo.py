"""What the visitor has just deleted: how to bring it back, or to be rid of it at once."""

from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import streamlit as st

from core.language import day, mark, tr
from core.trash import KEEP_S, deleted_by, erase
from pages.components.clock import visitors_zone
from pages.components.messages import plain, why
from pages.components.server import who

PROBLEM = "undo_problem"
KEEP_HELP = mark("It can be brought back for 10 minutes; then it is gone for good.")
"""As ``core.trash.KEEP_S`` has it."""


def show_deleted(folder: Path, restore: Callable[[str, str], Any]) -> None:
    """A line for everything that this visitor deleted from a folder and can bring back; it goes by itself in time.

    Args:
        folder: of data sets, runs or models.
        restore: brings one back; it gets a key and who asks.
    """
    if words := st.session_state.pop(PROBLEM, None):
        st.error(words)
    for deleted in deleted_by(folder, who()):
        gone = day(datetime.fromtimestamp(deleted.at + KEEP_S, visitors_zone()), "HH:mm")
        with st.container(border=True, horizontal=True, vertical_alignment="center"):
            words = tr("**{title}** was deleted. At {time} it is gone for good.")
            st.markdown(words.format(title=plain(deleted.title), time=gone), width="stretch")
            st.button(
                tr("Undo"),
                icon=":material/undo:",
                key=f"undo_{deleted.key}",
                on_click=_change,
                args=(restore, deleted.key, who()),
            )
            st.button(
                tr("Delete at once"),
                icon=":material/delete_forever:",
                type="tertiary",
                key=f"erase_{deleted.key}",
                on_click=_change,
                args=(erase, folder, deleted.key, who()),
            )


def _change(change: Callable[..., Any], *arguments: Any) -> None:
    try:
        change(*arguments)
    except (ValueError, OSError) as error:
        st.session_state[PROBLEM] = why(error)
