"""Annotation files as text, XML, JSON, YAML and CSV, with limits: what is wrong with one is said in words for people.

Whatever a file holds, reading it takes seconds and some hundred megabytes at most. That is checked before the work
begins, by its bytes and by how many values they can hold, both of which are known at once.
"""

import codecs
import csv
import io
import json
import mmap
import os
import re
from functools import lru_cache
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import Element

from core.language import number, tr

MAX_NOTE_BYTES = 64 * 1024**2
# Of a list of class names, of one picture's labels as lines, and of a list of pictures.
MAX_NAMES_BYTES, MAX_LINES_BYTES, MAX_LIST_BYTES = 64 * 1024, 4 * 1024**2, 8 * 1024**2
# About what the values of a file take in memory once they are read.
MAX_PARSED_BYTES = 700_000_000
MAX_BRACKETS = 1_000
MAX_CELL = 1_000_000
BYTE_ORDER_MARKS = {codecs.BOM_UTF8: "utf-8-sig", codecs.BOM_UTF16_LE: "utf-16", codecs.BOM_UTF16_BE: "utf-16"}


class NoteError(ValueError):
    """An annotation file, or one entry of it, cannot be used; the message says why in words for people."""


def in_words(error: BaseException) -> str:
    """What went wrong, never in Python's words."""
    if isinstance(error, NoteError):
        return str(error)
    if isinstance(error, KeyError) and error.args:
        return tr("{name!r} is missing.").format(name=str(error.args[0])[:80])
    if isinstance(error, OSError):
        return tr("the file cannot be read: {why}.").format(why=error.strerror or tr("unknown reason"))
    if isinstance(error, RecursionError):
        return tr("it is nested too deeply.")
    if isinstance(error, MemoryError):
        return tr("it is too large.")
    return tr("it holds something other than what belongs there.")


def read_note(path: Path, limit: int = MAX_NOTE_BYTES) -> bytes:
    """The bytes of an annotation file.

    Raises:
        NoteError: it is larger than ``limit`` bytes.
        OSError: it cannot be read.
    """
    with path.open("rb") as file:
        if os.fstat(file.fileno()).st_size > limit:
            words = tr("the file is larger than {size} kB.")
            if limit >= 1024**2:
                words, limit = tr("the file is larger than {size} MB."), limit // 1024
            raise NoteError(words.format(size=number(limit / 1024, "g")))
        return file.read()


def read_text(path: Path, limit: int = MAX_NOTE_BYTES) -> str:
    """The text of a file in UTF-8, or in UTF-16 if it begins with that mark, as Windows' Notepad saves it."""
    data = read_note(path, limit)
    encoding = next((name for mark, name in BYTE_ORDER_MARKS.items() if data.startswith(mark)), "utf-8")
    try:
        return data.decode(encoding)
    except UnicodeError:
        raise NoteError(tr("its text is not UTF-8; open it in an editor and save it as UTF-8.")) from None


def read_xml(path: Path) -> Element:
    """The root of an XML file in any encoding that it names; tags and attributes in lower case."""
    from defusedxml import DefusedXmlException
    from defusedxml.ElementTree import fromstring

    data = read_note(path)
    if data.count(b"<") * 250 + data.count(b"=") * 150 > MAX_PARSED_BYTES:
        raise NoteError(tr("it holds too many entries; split it."))
    try:
        root = fromstring(_xml_text(path, data))
    except DefusedXmlException:
        raise NoteError(tr("it defines XML entities, which are not accepted.")) from None
    except SyntaxError as error:
        line = getattr(error, "position", (0, 0))[0]
        raise NoteError(tr("it is no complete XML (line {line}).").format(line=line)) from None
    for element in root.iter():
        element.tag = str(element.tag).lower()
        if element.attrib:
            element.attrib = {name.lower(): value for name, value in element.attrib.items()}
    return root


def _xml_text(path: Path, data: bytes) -> str:
    named = re.match(rb"""\s*<\?xml[^>]{0,200}?encoding\s*=\s*["']([\w.:-]{1,40})["']""", data)
    if named and named[1].lower() not in (b"utf-8", b"utf8", b"utf-16"):
        try:
            text = data.decode(named[1].decode())
        except (LookupError, UnicodeError):
            words = tr("its text is not {encoding}, as it says; save it as UTF-8.")
            raise NoteError(words.format(encoding=named[1].decode())) from None
    else:
        text = read_text(path)
    return re.sub(r"\s*<\?xml.*?\?>", "", text, count=1, flags=re.DOTALL)


def read_json(path: Path) -> Any:
    """What a JSON file holds."""
    data = read_note(path)
    # One object, one list, one value and one name, as large as Python's are at most.
    parsed = data.count(b"{") * 250 + data.count(b"[") * 100 + data.count(b",") * 64 + data.count(b":") * 130
    if parsed > MAX_PARSED_BYTES:
        raise NoteError(tr("it holds too many entries; split it."))
    try:
        return json.loads(read_text(path))
    except json.JSONDecodeError as error:
        words = tr("it is no complete JSON (line {line}, column {column}).")
        raise NoteError(words.format(line=error.lineno, column=error.colno)) from None


def read_yaml(path: Path) -> Any:
    """What a YAML file holds. Paths of Windows in quotes, which YAML would take for something else, are understood."""
    import yaml

    text = read_text(path, MAX_NAMES_BYTES)
    if text.count("[") + text.count("{") > MAX_BRACKETS:  # the time that it takes grows with the square of these
        raise NoteError(tr("it is nested too deeply."))

    def parse(text: str) -> Any:
        # References make a small file unfold into gigabytes; no list of names needs them.
        if any(isinstance(event, yaml.AliasEvent) for event in yaml.parse(text, Loader=yaml.SafeLoader)):
            raise NoteError(tr("it uses references (*name), which are not accepted."))
        return yaml.safe_load(text)

    try:
        return parse(text)
    except yaml.YAMLError as error:
        try:
            return parse(re.sub(r'"[^"\n]*"', lambda quoted: quoted[0].replace("\\", "\\\\"), text))
        except yaml.YAMLError:
            place = getattr(error, "problem_mark", None)
            if place is None:
                raise NoteError(tr("it is no YAML that can be read.")) from None
            words = tr("it is no YAML that can be read (line {line}, column {column}).")
            raise NoteError(words.format(line=place.line + 1, column=place.column + 1)) from None


def read_csv(path: Path) -> list[dict[str, str]]:
    """The rows of a table with a heading, by the heading's words in lower case; commas, semicolons or tabs between."""
    text = read_text(path)
    first = text.partition("\n")[0]
    if (text.count("\n") + 1) * 300 + sum(map(text.count, ",;\t")) * 100 > MAX_PARSED_BYTES:
        raise NoteError(tr("it holds too many rows; split it."))
    csv.field_size_limit(MAX_CELL)
    try:
        rows = csv.reader(io.StringIO(text), delimiter=max(",;\t", key=first.count))
        heading = [name.strip().lower() for name in next(rows, [])]
        return [dict(zip(heading, row, strict=False)) for row in rows if any(row)]
    except csv.Error:
        raise NoteError(tr("it is no table that can be read.")) from None


def mentions(path: Path, words: tuple[bytes, ...]) -> bool:
    """Whether a file holds all of these words; it is searched, not read. Not if it is too large to be read."""
    try:
        stat = path.stat()
        return 0 < stat.st_size <= MAX_NOTE_BYTES and _mentions(path, words, stat.st_size, stat.st_mtime_ns)
    except (OSError, ValueError):
        return False


# Pages read a set at every click; an unchanged file mentions the same each time.
@lru_cache(maxsize=2**15)
def _mentions(path: Path, words: tuple[bytes, ...], size: int, changed_ns: int) -> bool:
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as text:
        return all(text.find(word) >= 0 for word in words)
