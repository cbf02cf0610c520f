import pytest
from typer.testing import CliRunner

from core.__main__ import app


def run(*arguments):
    return CliRunner().invoke(app, ["detect", *map(str, arguments)])


@pytest.fixture
def missing(tmp_path):
    """A list that names a photo that is not there."""
    (tmp_path / "list.txt").write_text("gone.jpg\n")
    return tmp_path / "list.txt"


def test_what_cannot_be_read_ends_well_unless_that_is_to_be_strict(missing, tmp_path):
    done = run(missing, "--out", tmp_path / "out")
    assert done.exit_code == 0 and "0 photos. No face found." in done.stdout
    assert "1 could not be read" in done.stderr and "gone.jpg: There is no such file." in done.stderr
    assert run(missing, "--out", tmp_path / "out", "--strict").exit_code == 1
    assert "gone.jpg" in (tmp_path / "out" / "unreadable.csv").read_text()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--format", "csv,xlsx"], "possible are csv, jsonl, coco, voc, yolo"),
        (["--pipeline", "best"], "possible are neural, classic, combined"),
        (["--preset", "slow"], "possible are fast, balanced, thorough"),
        (["nothing.jpg"], "nothing.jpg: there is no such file or folder"),
    ],
)
def test_what_cannot_be_done_is_one_sentence(missing, tmp_path, arguments, words):
    done = run(missing, "--out", tmp_path / "out", *arguments)
    assert done.exit_code == 2 and words in done.stderr and len(done.stderr.strip().splitlines()) <= 2


def test_results_of_other_settings_are_not_mixed(missing, tmp_path):
    assert run(missing, "--out", tmp_path / "out", "--preset", "fast").exit_code == 0
    done = run(missing, "--out", tmp_path / "out")
    assert done.exit_code == 2 and "holds results of other settings (preset: fast, now thorough)" in done.stderr


def test_ctrl_c_says_how_to_go_on(missing, tmp_path, monkeypatch):
    def stopped(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("core.batch.score.score", stopped)
    done = run(missing, "--out", tmp_path / "out")
    assert done.exit_code == 130 and "0 photos are done. The same command resumes" in done.stderr
