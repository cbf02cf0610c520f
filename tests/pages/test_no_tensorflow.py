"""TensorFlow never comes into the app's process: it takes seconds and half a gigabyte."""

import ast
import subprocess
import sys

from tests.helpers import ROOT

HEAVY = {"jax", "keras", "tensorflow", "torch"}


def imported_by_pages() -> set[str]:
    """Every module of ours that a page or anything in ``core`` imports, within functions too."""
    found = set()
    for folder in ("pages", "core"):
        for path in (ROOT / folder).rglob("*.py"):
            if path.parent != ROOT / "pages":  # the pages themselves are scripts
                found.add(".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"))
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.ImportFrom) and node.module:
                    found |= {node.module} | {f"{node.module}.{name.name}" for name in node.names}
                elif isinstance(node, ast.Import):
                    found |= {name.name for name in node.names}
    ours = {name for name in found if name.partition(".")[0] in ("core", "pages", "train")}
    return {
        name for name in ours if any((ROOT / name.replace(".", "/")).with_suffix(end).exists() for end in (".py", ""))
    }


def test_nothing_that_pages_import_brings_tensorflow():
    names = imported_by_pages()
    assert {"core.vision.pipeline", "core.datasets.index", "pages.views.training.result", "train.runs"} <= names
    code = (
        "import importlib, sys\n"
        f"for name in {sorted(names)!r}: importlib.import_module(name)\n"
        f"print(sorted({HEAVY!r} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.splitlines()[-1] == "[]"
