"""Who the visitor is: the login, the role, and what an operator must know of the settings."""

import importlib.util
import logging
from collections.abc import Mapping
from functools import cache
from typing import Any

import streamlit as st
from streamlit.errors import StreamlitAuthError, StreamlitSecretNotFoundError
from streamlit.runtime.scriptrunner import get_script_run_ctx

from core.access import Role, ask, role, role_of
from core.config import OPEN, PUBLIC, SECRETS, settings, use_secrets
from core.language import tr
from pages.components.messages import plain

log = logging.getLogger(__name__)


def start() -> None:
    """Let the core ask the app for the operator's secrets and the role of a visitor; before anything else."""
    use_secrets(secrets)
    ask(visitors_role)
    log_problems(settings().problems)


@cache
def log_problems(problems: tuple[str, ...]) -> None:
    """Tell the log what is wrong with the settings, once."""
    for problem in problems:
        log.warning("%s", problem)


def secrets() -> Mapping[str, Any]:
    """The operator's secrets; empty if there is no file of them. Raises: ``ValueError``, if it cannot be read."""
    try:
        return st.secrets.to_dict()
    except StreamlitSecretNotFoundError as error:
        if getattr(error, "error_id", "") == "no-secrets-found":
            return {}
        raise ValueError(
            tr("The file {file} cannot be read; until it can, visitors may only look.").format(file=SECRETS)
        ) from None


def person() -> Mapping[str, Any]:
    """What the login says of the visitor; empty for work outside a page."""
    return st.user.to_dict() if get_script_run_ctx(suppress_warning=True) else {}


def visitors_role() -> Role:
    """The role of the visitor whose page this thread runs."""
    now = settings()
    return Role.OPERATOR if now.access == OPEN else role_of(person(), now)


def is_operator() -> bool:
    """Whether this visitor may change data sets, trainings and models."""
    return role() >= Role.OPERATOR


def operators_only() -> None:
    """Stop the page here for users who are not operators."""
    if not is_operator():
        st.error(tr("This page is for operators of this server; log in as one."))
        st.stop()


def providers() -> list[str]:
    """The names under which somebody can log in; the one without a name of its own is ``default``."""
    try:
        auth = secrets().get("auth")
    except ValueError:
        return []
    if not isinstance(auth, Mapping) or importlib.util.find_spec("authlib") is None:
        return []
    named = [name for name, value in auth.items() if isinstance(value, Mapping) and "client_id" in value]
    return (["default"] if "client_id" in auth else []) + named


def show_login() -> None:
    """In public mode: who is logged in, and the button to log in or out; for operators, what is wrong with settings."""
    now = settings()
    if is_operator():
        for problem in now.problems:
            st.warning(plain(problem))
    if now.access != PUBLIC:
        return
    with st.sidebar:
        if person().get("is_logged_in"):
            words = (
                tr("Logged in as {name}, as an operator.")
                if is_operator()
                else tr("Logged in as {name}, but this address is none of an operator.")
            )
            st.caption(plain(words.format(name=person().get("email") or tr("somebody"))))
            st.button(tr("Log out"), icon=":material/logout:", key="access_logout", on_click=st.logout)
            return
        for name in providers():
            words = tr("Log in") if name == "default" else tr("Log in with {provider}").format(provider=plain(name))
            if st.button(words, icon=":material/login:", key=f"access_login_{name}"):
                log_in(name)


def log_in(provider: str) -> None:
    """Send the visitor to a provider's login."""
    try:
        st.login(None if provider == "default" else provider)
    except StreamlitAuthError:
        log.exception("The login is not set up")
        st.error(tr("The login is not set up completely; ask who runs this server."))
