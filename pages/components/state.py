"""The one way to keep what a visitor chose while pages change."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import streamlit as st


def kept(name: str, default: Any, options: Collection | None = None) -> dict[str, Any]:
    """Arguments that make a widget remember its value when another page is shown.

    Streamlit forgets a widget's value once another page has run, even if that has a widget of the same key; a copy
    under another key survives.

    Args:
        name: of the setting.
        default: its value as long as nobody has changed it, or if what was chosen is no longer among the options.
        options: what can be chosen, where that may change.
    """
    key, copy = f"settings_{name}", f"kept_{name}"
    value = st.session_state.get(copy, default)
    st.session_state[key] = value if options is None or value in options else default

    def keep() -> None:
        st.session_state[copy] = st.session_state[key]

    return {"key": key, "on_change": keep}


def set_kept(name: str, value: Any) -> None:
    """Give a widget of ``kept`` another value, from a button's callback or before a rerun."""
    st.session_state[f"kept_{name}"] = value


# Choosing, adding, deleting a data set


def kept_choice(label: str, name: str, options: Sequence[str], titles: Mapping[str, str]) -> str:
    """A select box whose choice survives a change of page and a reload, by the page's address."""
    key, copy = f"data_{name}", f"data_kept_{name}"
    if st.session_state.get(key) not in options:
        wanted = st.session_state.get(copy) or st.query_params.get(name)
        st.session_state[key] = wanted if wanted in options else options[0]
    choice = st.selectbox(label, options, format_func=lambda option: titles[option], key=key)
    if st.session_state.get(copy) != choice:
        _forget_what_was_shown()
    st.session_state[copy] = st.query_params[name] = choice
    return choice


def choose_set(name: str) -> None:
    """Show this data set when the page runs next."""
    st.session_state.pop("data_set", None)
    st.session_state["data_kept_set"] = name
    _forget_what_was_shown()


def _forget_what_was_shown() -> None:
    for key in ("data_filter", "data_picture", "data_around", "data_seen"):
        st.session_state.pop(key, None)
    for key in ("data_gallery_page", "data_groups_page", "data_suspicious_page"):
        st.session_state[key] = 0


def kept_view(name: str, views: Sequence[str]) -> str:
    """A row of buttons for the parts of a page; the one shown survives like ``kept_choice``."""
    key, copy = f"data_{name}", f"data_kept_{name}"
    if st.session_state.get(key) not in views:
        wanted = st.session_state.get(copy) or st.query_params.get(name)
        st.session_state[key] = wanted if wanted in views else views[0]
    view = st.segmented_control("Show", views, required=True, label_visibility="collapsed", key=key)
    view = view or views[0]  # never empty: one is always chosen
    st.session_state[copy] = st.query_params[name] = view
    return view
