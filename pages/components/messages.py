"""Texts from outside, and changes that may fail, as sentences on the page."""

import re
from collections.abc import Callable
from typing import Any, ParamSpec

import streamlit as st

P = ParamSpec("P")


def try_to(change: Callable[P, Any], *arguments: P.args, **named: P.kwargs) -> None:
    """Change something on the server and show the page anew, or say in one sentence why it could not be done."""
    try:
        with st.spinner("One moment …"):
            change(*arguments, **named)
    except (ValueError, OSError) as error:
        st.error(plain(str(error)))
    else:
        st.rerun()


def plain(text: str) -> str:
    """Text from outside, such as a file name, without any meaning in Markdown."""
    return re.sub(r"([\\`*_{}\[\]()#+\-.!|~<>$:&])", r"\\\1", text)
