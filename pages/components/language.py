"""The language of a visitor: their browser's at first, then what they chose; the address keeps it."""

import streamlit as st
from streamlit.runtime.scriptrunner import get_script_run_ctx

from core.language import ask_visitor, best_language, languages
from pages.components.state import kept_in_address, remember

LANGUAGE = "lang"
"""Key of the switch, and its name in the address."""


def _visitors() -> str | None:
    """The language of the visitor whose page runs in this thread; ``None`` outside a page."""
    if get_script_run_ctx(suppress_warning=True) is None:
        return None
    return st.session_state.get(LANGUAGE)


def choose_language() -> None:
    """The switch in the sidebar; what comes after it on the page is in the language chosen."""
    names = languages()
    with st.sidebar:
        chosen = st.segmented_control(
            "Language · Langue",
            list(names),
            format_func=names.__getitem__,
            required=True,
            label_visibility="collapsed",
            **kept_in_address(LANGUAGE, list(names), best_language(st.context.locale)),
        )
    remember(LANGUAGE, chosen)


ask_visitor(_visitors)
