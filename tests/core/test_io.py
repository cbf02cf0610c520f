import json

import pytest

from core.io import write_atomic, write_json


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
