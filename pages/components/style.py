"""Style of a page's own parts, from CSS files of ``pages/styles``."""

from collections.abc import Mapping
from functools import cache
from pathlib import Path

import streamlit as st

FOLDER = Path(__file__).parents[1] / "styles"


def use_style(name: str, values: Mapping[str, str] | None = None) -> None:
    """Put the rules of ``NAME.css`` on the page, without taking any room there.

    Streamlit puts a style that comes alone where its short messages are, and each of these would take its place: an
    empty element comes with it.

    Args:
        name: of the file.
        values: of the file's variables: that of ``ratio`` is ``var(--ratio)`` there. They must be the app's own.
    """
    variables = "".join(f"--{key}: {value};" for key, value in (values or {}).items())
    st.html(f'<span class="page_style"></span><style>:root {{ {variables} }}{_rules(name)}</style>')


@cache
def _rules(name: str) -> str:
    return "".join((FOLDER / f"{each}.css").read_text(encoding="utf-8") for each in ("style", name))
