"""The catalogs of ``locale/`` against the texts in the code: ``python -m tests.languages`` brings them up to date.

Texts that are new are added without a translation, those that are gone are taken out; ``--new CODE`` begins a language.
"""

import argparse
import ast
import io
import re
from collections.abc import Iterator
from pathlib import Path

from babel.messages.catalog import Catalog
from babel.messages.extract import extract_from_dir
from babel.messages.pofile import read_po, write_po

from core.io import write_atomic
from core.language import DOMAIN, FOLDER

ROOT = FOLDER.parent
PLACES = ("core", "pages", "train")
KEYWORDS = {"tr": None, "trn": (1, 2), "trc": ((1, "c"), 2), "mark": None}


def texts() -> Catalog:
    """Every text of the code that is shown to people, with the files that have it."""
    catalog = Catalog(project="Face masks", charset="utf-8", fuzzy=False)
    places = [(ROOT / place, f"{place}/") for place in PLACES] + [(ROOT, "")]
    for folder, prefix in places:
        only = None if prefix else (lambda path: Path(path) == ROOT)  # streamlit_app.py alone
        found = extract_from_dir(
            folder,
            [("*.py" if not prefix else "**.py", "python")],
            keywords=KEYWORDS,
            comment_tags=("Translators:",),
            directory_filter=only,
        )
        for name, line, text, comments, context in found:
            catalog.add(text, locations=[(prefix + name, line)], auto_comments=comments, context=context)
    return catalog


def catalog_of(code: str) -> Catalog:
    """The translations of a language, as its file has them."""
    with path_of(code).open("rb") as file:
        return read_po(file, locale=code)


def path_of(code: str) -> Path:
    """The file of a language."""
    return FOLDER / code / "LC_MESSAGES" / f"{DOMAIN}.po"


def _as_bytes(catalog: Catalog) -> bytes:
    for message in catalog:  # lines would change the order with every edit
        message.locations = sorted({(name, 1) for name, _ in message.locations})
    file = io.BytesIO()
    write_po(file, catalog, width=120, sort_by_file=True, include_lineno=False, ignore_obsolete=True)
    # Without what would change with every run, and what is nobody's.
    lines = file.getvalue().decode().splitlines(keepends=True)
    return "".join(line for line in lines if not line.startswith(UNUSED)).encode()


def update(code: str) -> int:
    """Bring a language's file up to date. Returns: how many texts have no translation."""
    catalog = catalog_of(code) if path_of(code).exists() else Catalog(locale=code, project="Face masks", fuzzy=False)
    catalog.update(texts(), no_fuzzy_matching=True, update_creation_date=False)
    catalog.obsolete.clear()
    path_of(code).parent.mkdir(parents=True, exist_ok=True)
    write_atomic(path_of(code), lambda path: path.write_bytes(_as_bytes(catalog)))
    return sum(
        not all(message.string if isinstance(message.string, tuple) else [message.string])
        for message in catalog
        if message.id
    )


UNUSED = tuple(
    f'"{name}:'
    for name in ("Report-Msgid-Bugs-To", "POT-Creation-Date", "PO-Revision-Date", "Last-Translator", "Language-Team")
)
LOOKUPS = ("tr", "trn", "trc", "mark")
NOT_SHOWN = ("key", "icon", "type", "width", "height", "format", "spec")
"""Arguments that are no text for people."""
TWO_WORDS = re.compile(r"[^\W\d_]{2,},? [^\W\d_]{2,}")


def unwrapped(path: Path) -> Iterator[tuple[int, str]]:
    """Texts of a file that look as if people read them, but are not looked up, or where Babel misses it; with
    their lines.

    In ``pages/`` every text of two words and more, elsewhere what an error says.
    """
    tree = ast.parse(path.read_text(encoding="utf-8"))
    everything = path.relative_to(ROOT).parts[0] == "pages"
    yield from _unwrapped(tree, everything)


def _unwrapped(node: ast.AST, wanted: bool) -> Iterator[tuple[int, str]]:
    if isinstance(node, ast.Constant):
        if wanted and isinstance(node.value, str) and TWO_WORDS.search(node.value):
            yield node.lineno, node.value
        return
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
        return  # a docstring
    if isinstance(node, ast.JoinedStr):  # before Python 3.12, Babel sees no lookup inside one
        yield from ((call.lineno, ast.unparse(call)) for call in ast.walk(node) if _looks_up(call))
    if isinstance(node, ast.Call):
        called = node.func.id if isinstance(node.func, ast.Name) else getattr(node.func, "attr", "")
        owner = getattr(getattr(node.func, "value", None), "id", "")
        if called in (*LOOKUPS, "html") or owner in ("log", "re"):
            return
        wanted = wanted or called.endswith("Error")
    for field, child in ast.iter_fields(node):
        for each in child if isinstance(child, list) else [child]:
            hidden = field == "func" or (isinstance(each, ast.keyword) and each.arg in NOT_SHOWN)
            if isinstance(each, ast.AST) and not hidden:
                yield from _unwrapped(each, wanted)


def _looks_up(node: ast.AST) -> bool:
    """Whether this is a lookup of a text that is written there."""
    named = isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in LOOKUPS
    return named and any(isinstance(each, ast.Constant) for each in node.args)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--new", metavar="CODE", help="begin this language, an ISO 639 code as es")
    parser.add_argument("--unwrapped", metavar="FILE", nargs="+", type=Path, help="show the texts that nobody looks up")
    arguments = parser.parse_args()
    for path in arguments.unwrapped or ():
        for line, text in unwrapped(path.resolve()):
            print(f"{path}:{line}: {text!r}")
    if arguments.unwrapped:
        return
    new = arguments.new
    for code in [new] if new else [path.parent.parent.name for path in FOLDER.glob(f"*/LC_MESSAGES/{DOMAIN}.po")]:
        print(f"{code}: {update(code)} texts without a translation")


if __name__ == "__main__":
    main()
