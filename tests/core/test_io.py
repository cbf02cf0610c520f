import errno
import json
import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from core.io import (
    MAX_JSON_BYTES,
    DamagedFileError,
    disk_sentence,
    file_lock,
    folder_lock,
    load_json,
    put_out_of_sight,
    read_json,
    read_lines,
    scratch_folder,
    sweep,
    write_atomic,
    write_json,
)
from tests.helpers import ROOT, run_together


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "card.json"
    write_json(path, {"a": 1})

    def half(temporary):
        temporary.write_text("half")
        raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space"):
        write_atomic(path, half)
    assert json.loads(path.read_text()) == {"a": 1}
    assert [p.name for p in tmp_path.iterdir()] == ["card.json"]


def test_the_extension_is_kept_while_writing(tmp_path):
    seen = []
    write_atomic(tmp_path / "new" / "model.keras", lambda path: (seen.append(path.name), path.write_bytes(b"x")))
    assert seen[0].endswith(".partial.keras")
    assert (tmp_path / "new" / "model.keras").read_bytes() == b"x"


def test_others_may_read_what_was_written(tmp_path):
    write_json(tmp_path / "a.json", [])
    (tmp_path / "b.json").write_text("")
    assert (tmp_path / "a.json").stat().st_mode == (tmp_path / "b.json").stat().st_mode


def test_a_lock_lets_one_process_in_at_a_time(tmp_path):
    (tmp_path / "count").write_text("0")
    run_together(
        """
from core.io import file_lock
# together
for _ in range(100):
    with file_lock(folder / "lock"):
        count = int((folder / "count").read_text())
        time.sleep(0.0005)
        (folder / "count").write_text(str(count + 1))
""",
        tmp_path,
    )
    assert (tmp_path / "count").read_text() == "200"


def test_a_lock_lets_one_thread_in_at_a_time_and_a_killed_process_gives_it_back(tmp_path):
    code = f"import os; from core.io import file_lock\nwith file_lock({str(tmp_path / 'lock')!r}): os._exit(9)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT).returncode == 9
    inside, most = [], []

    def work(_):
        with file_lock(tmp_path / "lock"):
            inside.append(1)
            most.append(len(inside))
            time.sleep(0.001)
            inside.pop()

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(work, range(40)))
    assert len(most) == 40 and max(most) == 1


def test_a_folder_that_cannot_be_written_is_an_error_of_the_system(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(OSError), file_lock(tmp_path / "file" / "lock"):
        raise AssertionError("nobody may be let in")


DAMAGED = {
    "empty": b"",
    "cut off": b'{"a": [1, 2',
    "binary": bytes(range(256)),
    "deep": b"[" * 100_000,
    "deep objects": b'{"a":' * 100_000,
    "deep and whole": b'{"a": ' + b"[" * 60 + b"]" * 60 + b"}",
    "another kind": b"[1, 2]",
    "half a character": b'{"a": "\\ud83d"}',
    "half a character, written out": b'{"a": "\xed\xa0\xbd"}',
    "a number without end": b'{"a": ' + b"9" * 10_000 + b"}",
    "too large": b'{"a": "' + b"x" * 2000 + b'"}',
}


@pytest.mark.parametrize("data", DAMAGED.values(), ids=DAMAGED)
def test_whatever_a_file_holds_reading_it_gives_one_sentence(tmp_path, data):
    path = tmp_path / "run.json"
    path.write_bytes(data)
    with pytest.raises(DamagedFileError, match=r"^run\.json is (damaged|far too large to be right)\.$"):
        load_json(path, max_bytes=1000 if len(data) < 3000 else MAX_JSON_BYTES)
    if len(data) != 2009:
        assert read_json(path) == {}
    (tmp_path / "lines").write_bytes(data.replace(b"\n", b" ") + b'\n{"epoch": 1}\n{"epoch": "x"}\n{"epoch": NaN}\n')
    assert read_lines(tmp_path / "lines") == [{"epoch": 1}]


def test_what_is_no_file_or_of_another_kind_is_told_apart(tmp_path):
    (tmp_path / "list.json").write_text("[1]")
    assert load_json(tmp_path / "list.json", list) == [1]
    with pytest.raises(FileNotFoundError):
        load_json(tmp_path / "none.json")
    with pytest.raises(OSError):
        load_json(tmp_path)
    assert read_json(tmp_path / "none.json") == read_json(tmp_path) == {} and read_lines(tmp_path) == []


def test_a_thread_may_take_its_own_lock_again(tmp_path):
    with folder_lock(tmp_path), folder_lock(tmp_path):
        assert (tmp_path / ".lock").exists()


def test_a_sweep_removes_what_nobody_owns_and_nothing_else(tmp_path):
    """Three processes die at their work, one of them with the folder in which another process is still at work."""
    code = f"""
import os, sys
from pathlib import Path
from core.io import scratch_folder, write_atomic
folder = Path({str(tmp_path)!r})
def die(path):
    path.write_text("half")
    os._exit(9)
if sys.argv[1] == "write":
    write_atomic(folder / "state.json", die)
with scratch_folder(folder, sys.argv[1], "for-" + sys.argv[1]) as made:
    die(made / "file")
"""
    for prefix in (".new-", ".old-", "write"):
        assert subprocess.run([sys.executable, "-c", code, prefix], cwd=ROOT).returncode == 9
    assert len(list(tmp_path.glob(".*-*"))) == 3
    (tmp_path / ".new-no-owner-at-all").mkdir()
    (tmp_path / ".other-kind").mkdir()
    purposes = []

    def meanwhile(path):
        with scratch_folder(tmp_path, ".new-") as mine:
            sweep(tmp_path, ".new-", ".old-", left=purposes.append)
            assert mine.is_dir() and path.exists()
        path.write_text("{}")

    write_atomic(tmp_path / "state.json", meanwhile)
    assert sorted(path.name for path in tmp_path.iterdir()) == [".lock", ".other-kind", "state.json"]
    assert sorted(purposes) == ["", "for-.new-", "for-.old-"]


def test_a_scratch_folder_on_a_full_disk_leaves_nothing(tmp_path, monkeypatch):
    mkdir = os.mkdir

    def full(path, *more, **named):
        if Path(path).name == "content":
            raise OSError(errno.ENOSPC, "No space left on device")
        mkdir(path, *more, **named)

    monkeypatch.setattr("os.mkdir", full)
    with pytest.raises(OSError, match="No space"), scratch_folder(tmp_path, ".new-"):
        raise AssertionError("not made")
    assert [path.name for path in tmp_path.iterdir()] == [".lock"]


@pytest.mark.parametrize("name", ["plain", "with.dots", "x" * 230])
def test_what_was_put_out_of_sight_is_swept_with_what_it_was(tmp_path, name):
    (tmp_path / name / "inner").mkdir(parents=True)
    (tmp_path / "link").symlink_to(tmp_path / "inner")
    for path in (tmp_path / name, tmp_path / "link"):
        assert put_out_of_sight(path, ".old-", name).parent == tmp_path and not path.exists()
    purposes = []
    sweep(tmp_path, ".old-", left=purposes.append)
    assert [path.name for path in tmp_path.iterdir()] == [".lock"]
    assert purposes == [name if len(name) < 200 else ""] * 2


@pytest.mark.parametrize(
    ("number", "words"),
    [(errno.ENOSPC, "is full"), (errno.EDQUOT, "is full"), (errno.EROFS, "cannot be written"), (errno.EIO, "Input")],
)
def test_a_failed_write_is_one_sentence_without_a_path(number, words):
    sentence = disk_sentence(OSError(number, os.strerror(number), "/srv/secret/file"))
    assert words in sentence and "secret" not in sentence and sentence.endswith(".")
