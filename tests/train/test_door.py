import importlib.util
import subprocess
import sys

import pytest
from typer.testing import CliRunner

from tests.helpers import ROOT
from train.__main__ import COMMANDS, app


def test_help_has_a_line_for_every_command():
    told = CliRunner().invoke(app, ["--help"], env={"COLUMNS": "200"})
    assert told.exit_code == 0
    for name, (module, words) in COMMANDS.items():
        assert any(name in line and words in line for line in told.output.splitlines()), name
        assert importlib.util.find_spec(module), module


@pytest.mark.parametrize(
    ("arguments", "words"), [(["--help"], "usage: python -m train.publish"), (["--run", "nowhere", "--name", "x"], "")]
)
def test_a_command_is_the_module_of_its_name(arguments, words):
    results = [
        subprocess.run([sys.executable, "-m", *command, *arguments], cwd=ROOT, capture_output=True, text=True)
        for command in (["train", "publish"], ["train.publish"])
    ]
    one, other = ((done.returncode, done.stdout, done.stderr) for done in results)
    assert one == other and words in one[1]
