"""Importing a module changes no environment variable: the importer may have chosen otherwise."""

import ast
import subprocess
import sys

from tests.helpers import ROOT

CHANGES = {"setdefault", "update", "pop", "popitem", "clear", "__setitem__"}


def on_import(body):
    """Statements that run when a module is imported: those of functions do not, those of classes do."""
    for node in body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            continue
        yield node
        yield from on_import(ast.iter_child_nodes(node))


def test_no_module_changes_the_environment_when_it_is_imported():
    seen = 0
    for path in [path for room in ("core", "train", "pages") for path in (ROOT / room).rglob("*.py")]:
        seen += 1
        for node in on_import(ast.parse(path.read_text()).body):
            place = f"{path.relative_to(ROOT)}:{getattr(node, 'lineno', 0)}"
            if isinstance(node, ast.Attribute) and node.attr in CHANGES | {"putenv"}:
                assert "environ" not in ast.unparse(node) and "putenv" not in ast.unparse(node), place
            if isinstance(node, ast.Subscript) and not isinstance(node.ctx, ast.Load):
                assert "environ" not in ast.unparse(node), place
    assert seen > 100


def test_commands_choose_a_backend_only_when_they_run():
    """What one of them chooses on import would hold for all that the same process does."""
    modules = "train.classifier.__main__ train.classifier.original train.detector.__main__ train.detector.finish "
    modules += "train.detector.ablation train.export.convert train.runs"
    code = (
        "import importlib, os, sys\n"
        "import cv2  # changes one of its own\n"
        "before = dict(os.environ)\n"
        f"for name in {modules.split()}: importlib.import_module(name)\n"
        "assert {k: v for k, v in os.environ.items() if before.get(k) != v} == {}, 'changed'\n"
        "assert not {'keras', 'tensorflow', 'torch'} & set(sys.modules), 'too early'\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
