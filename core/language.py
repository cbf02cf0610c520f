"""The language in which people read what the app says.

Texts are written in English where they are used and looked up by ``tr`` and ``trn`` (GNU gettext); ``locale/`` holds a
catalog for each other language, ``fr/LC_MESSAGES/mask.po``. Babel reads it when somebody first asks for that language,
so that nothing is compiled beforehand and a further language is one file.
"""

import functools
import gettext
import io
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import date, datetime
from functools import cache
from pathlib import Path
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
R = TypeVar("R")

ENGLISH = "en"
FOLDER = Path(__file__).resolve().parent.parent / "locale"
DOMAIN = "mask"
OF_PROCESS = "MASK_CHILD_LANGUAGE"
"""Environment variable in which ``core.registry.sandbox`` hands the language to a process that it starts."""
_chosen: ContextVar[str | None] = ContextVar("language", default=None)
_of_process = os.environ.get(OF_PROCESS)
_of_visitor: Callable[[], str | None] = lambda: None  # noqa: E731 - replaced as a whole


def current() -> str:
    """The language of now, as an ISO 639 code: by ``using``, of the visitor or of the process; else English."""
    return _chosen.get() or _of_visitor() or _of_process or ENGLISH


@contextmanager
def using(language: str) -> Iterator[None]:
    """Say all texts in a language, in this thread: for work that goes on where no visitor is known."""
    before = _chosen.set(language)
    try:
        yield
    finally:
        _chosen.reset(before)


def in_this_language(work: Callable[P, R]) -> Callable[P, R]:
    """Wrap work for another thread so that it speaks the language of now."""
    mine = current()

    @functools.wraps(work)
    def speaking(*arguments: P.args, **named: P.kwargs) -> R:
        with using(mine):
            return work(*arguments, **named)

    return speaking


def ask_visitor(whose: Callable[[], str | None]) -> None:
    """Have the language asked from this function; it gives ``None`` where there is no visitor."""
    global _of_visitor
    _of_visitor = whose


@cache
def languages() -> dict[str, str]:
    """Every language that there is, by its code, with its own name for itself; English is first."""
    from babel import Locale

    codes = [ENGLISH, *sorted(path.parent.parent.name for path in FOLDER.glob(f"*/LC_MESSAGES/{DOMAIN}.po"))]
    return {code: (Locale.parse(code).get_display_name() or code).capitalize() for code in codes}


def best_language(wanted: str | None) -> str:
    """The language for somebody whose browser asks for this one, as "fr-CA"; English if it is none of ours."""
    code = (wanted or "").replace("_", "-").partition("-")[0].lower()
    return code if code in languages() else ENGLISH


def tr(text: str) -> str:
    """A text in the language of now. Fields in braces are filled in afterwards, with ``format``."""
    language = current()
    return text if language == ENGLISH or not text else _catalog(language).gettext(text)


def trn(one: str, several: str, count: float) -> str:
    """As ``tr``, for a text that depends on a number: "{count} face" or "{count} faces"."""
    language = current()
    if language == ENGLISH:
        return one if count == 1 else several
    return _catalog(language).ngettext(one, several, count)  # type: ignore[arg-type]  # any number, as plural forms


def trc(where: str, text: str) -> str:
    """As ``tr``, for a word that means different things in different places: ``trc("button", "Start")``."""
    language = current()
    return text if language == ENGLISH else _catalog(language).pgettext(where, text)


def mark(text: str) -> str:
    """The text itself: marks one that is looked up later, such as a constant, so that translators see it."""
    return text


def number(value: float, form: str = "") -> str:
    """A number as people write it: ``form`` is one of Python's, such as ",", ".2f" or ".1%".

    >>> number(1234.5, ",.1f")
    '1,234.5'
    >>> with using("fr"):
    ...     number(1234.5, ",.1f"), number(0.973, ".1%")
    ('1\u202f234,5', '97,3\u202f%')
    """
    text = format(value, form)
    language = current()
    if language == ENGLISH:
        return text
    group, point, percent = _signs(language)
    return "".join({",": group, ".": point, "%": percent}.get(letter, letter) for letter in text)


def day(at: date, form: str = "d MMM y") -> str:
    """A date, or a date and time, in words; ``form`` is one of Unicode's (CLDR), such as "EEE d MMM" or "HH:mm"."""
    from babel.dates import format_date, format_datetime

    locale = "en_GB" if current() == ENGLISH else current()
    return (format_datetime if isinstance(at, datetime) else format_date)(at, form, locale=locale)


@cache
def _catalog(language: str) -> gettext.NullTranslations:
    from babel.messages.mofile import write_mo
    from babel.messages.pofile import read_po

    compiled = io.BytesIO()
    with (FOLDER / language / "LC_MESSAGES" / f"{DOMAIN}.po").open("rb") as file:
        write_mo(compiled, read_po(file, locale=language))
    compiled.seek(0)
    return gettext.GNUTranslations(compiled)


@cache
def _signs(language: str) -> tuple[str, str, str]:
    """What separates thousands, what decimals, and a per cent sign with the space before it, if any."""
    from babel.numbers import format_percent, get_decimal_symbol, get_group_symbol

    percent = format_percent(0, locale=language)[1:].replace("\xa0", "\u202f")  # as narrow as between thousands
    return get_group_symbol(language), get_decimal_symbol(language), percent
