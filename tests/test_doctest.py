"""The examples in docstrings do what they say."""

import doctest
import importlib
import subprocess
import sys

import pytest

from tests.helpers import ROOT

MODULES = [
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
    for folder in ("core", "train", "pages")
    for path in sorted((ROOT / folder).rglob("*.py"))
    if ">>> " in path.read_text(encoding="utf-8")
]


@pytest.mark.parametrize("name", MODULES)
def test_examples(name, monkeypatch):
    monkeypatch.chdir(ROOT)
    done = doctest.testmod(importlib.import_module(name))
    assert done.attempted and not done.failed


def test_the_package_is_cheap_and_its_names_are_functions_whatever_came_first():
    code = """
import sys, core.vision
assert "numpy" not in sys.modules
from core.vision import annotate as first
import core.vision.annotate
from core.vision import annotate as second, detect_masks, load
import numpy as np
frame, found = np.zeros((90, 90, 3), np.uint8), detect_masks(np.zeros((90, 90, 3), np.uint8), load())
assert (first(frame, found) == second(frame, found)).all()
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
