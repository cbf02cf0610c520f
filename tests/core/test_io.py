import json
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from core.io import file_lock, write_atomic, write_json
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
