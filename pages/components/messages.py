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


# What becomes a link (in GitHub's Markdown), an icon or an arrow (in Streamlit's) after signs are unescaped: a sign
# without width keeps its parts apart.
LATE_MARKUP = re.compile(
    r"https?:(?=//)|www(?=\.)|@(?=[-\w])|:(?=material/|streamlit:)|(?<!\S)[<>~-](?=[-=>]{1,2}(?!\S))", re.IGNORECASE
)
WORD_JOINER = "\u2060"


def plain(text: str) -> str:
    """Text from outside, such as a file name, without any meaning in Markdown; no address in it is a link."""
    text = LATE_MARKUP.sub(lambda found: found[0] + WORD_JOINER, text)
    return re.sub(r"([\\`*_{}\[\]()#+\-.!|~<>$:&])", r"\\\1", text)
