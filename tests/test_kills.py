"""Whatever is killed, whenever: what people see is the old state or the new one, and the next start sweeps the rest."""

import json
import subprocess
import sys

import pytest

from tests.helpers import ROOT

pytestmark = pytest.mark.slow
OPERATIONS = (
    *("Import", "Deletion", "Relabelling", "FirstEdit", "Sample", "SecondSample", "LastSample", "Activation"),
    *("Removal", "Installation", "Record", "RunDeletion", "Note", "Checkpoint"),
    *("ThrownAway", "BroughtBack", "ModelThrownAway", "ModelBroughtBack", "RunThrownAway", "RunBroughtBack"),
)


@pytest.fixture(scope="module")
def results() -> dict:
    done = subprocess.run([sys.executable, "-m", "tests.kills"], cwd=ROOT, capture_output=True, text=True, timeout=280)
    assert done.returncode == 0, done.stderr[-3000:]
    return {each["operation"]: each for each in map(json.loads, done.stdout.splitlines())}


def test_no_operation_is_left_out(results):
    assert tuple(results) == OPERATIONS


@pytest.mark.parametrize("operation", OPERATIONS)
def test_a_kill_leaves_the_old_or_the_new_and_nothing_else(results, operation):
    assert results[operation]["wrong"] == []
    assert results[operation]["moments"] == min(20, results[operation]["changes"])
