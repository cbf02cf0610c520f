"""Texts from outside, and changes that may fail, as sentences on the page."""

import os
import re
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, ParamSpec

import streamlit as st

from core.config import HOME, allowed_dirs, data_dir, models_dir, runs_dir

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


def plain(text: str, hide_paths: bool = True) -> str:
    """Text from outside, such as a file name, without any meaning in Markdown, and without the server's own paths."""
    if hide_paths:
        for folder in _server_folders():
            text = text.replace(f"{folder}{os.sep}", "").replace(str(folder), folder.name)
    return re.sub(r"([\\`*_{}\[\]()#+\-.!|~<>$:&])", r"\\\1", text)


def _server_folders() -> list[Path]:
    """Where a message of the core may say that something lies, the longest first."""
    folders = {data_dir(), runs_dir(), models_dir(), *allowed_dirs(), Path(tempfile.gettempdir()), HOME}
    return sorted(folders - {Path("/")}, key=lambda folder: -len(str(folder)))
