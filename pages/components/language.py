"""The language of a visitor: their browser's at first, then what they chose; the address keeps it."""

from functools import cache
from pathlib import Path

import streamlit as st
from streamlit.runtime.scriptrunner import get_script_run_ctx

from core.language import ask_visitor, best_language, languages
from pages.components.state import is_other_choice, kept_in_address, remember, show_choices_anew

LANGUAGE = "lang"
"""Key of the switch, and its name in the address."""


def _visitors() -> str | None:
    """The language of the visitor whose page runs in this thread; ``None`` outside a page."""
    if get_script_run_ctx(suppress_warning=True) is None:
        return None
    return st.session_state.get(LANGUAGE)


def choose_language() -> None:
    """The switch in the sidebar; what comes after it on the page is in the language chosen."""
    names, usual = languages(), best_language(st.context.locale)
    switch = kept_in_address(LANGUAGE, list(names), usual)
    # Said again, or the first change of page finds nothing chosen: the browser sends no choice that nobody made there.
    st.session_state[LANGUAGE] = st.session_state[LANGUAGE]
    if is_other_choice(LANGUAGE, st.session_state[LANGUAGE]):
        show_choices_anew()
    with st.sidebar:
        chosen = st.segmented_control(
            "Language · Langue",
            list(names),
            format_func=names.__getitem__,
            required=True,
            label_visibility="collapsed",
            **switch,
        )
        tell = st.components.v2.component("page_language", js=_script())
        tell(key="page_language", data={"language": chosen})
    # A link that says nothing is read in the language of the one who opens it.
    remember(LANGUAGE, chosen, in_address=chosen != usual or LANGUAGE in st.query_params)


@cache
def _script() -> str:
    return Path(__file__).with_suffix(".js").read_text(encoding="utf-8")


ask_visitor(_visitors)
