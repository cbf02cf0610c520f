import json

import pytest

from core.batch.results import LINES, FolderError, Results

SETTINGS = {"preset": "fast", "sizes": (1, 2)}


def line(source, name):
    return {"source": source, "photo": name, "problem": "none"}


def test_a_cut_line_is_done_again_and_whole_ones_are_not(tmp_path):
    with Results(tmp_path / "out", SETTINGS) as results:
        for i in range(3):
            results.add(line(f"/{i}.jpg", results.name_for((f"{i}.jpg",))))
    path = tmp_path / "out" / LINES
    whole = path.read_bytes()
    path.write_bytes(whole + b'{"source": "/3.jpg", "pho')
    with Results(tmp_path / "out", SETTINGS) as results:
        assert results.done == {"/0.jpg", "/1.jpg", "/2.jpg"} and path.read_bytes() == whole
        results.add(line("/3.jpg", results.name_for(("3.jpg",))))
        assert [json.loads(text)["source"] for text in path.read_text().splitlines()] == [f"/{i}.jpg" for i in range(4)]


@pytest.mark.parametrize("size", [0, 1, 70_000, 200_000])
def test_a_line_cut_at_any_length_goes(tmp_path, size):
    for whole in (b"", b'{"source": "a", "photo": "a.jpg"}\n'):
        Results(tmp_path / "out", SETTINGS).close()
        (tmp_path / "out" / LINES).write_bytes(whole + b"x" * size)
        Results(tmp_path / "out", SETTINGS).close()
        assert (tmp_path / "out" / LINES).read_bytes() == whole


def test_a_damaged_line_costs_no_other(tmp_path):
    Results(tmp_path / "out", SETTINGS).close()
    (tmp_path / "out" / LINES).write_bytes(
        b'{"source": "a", "photo": "a.jpg"}\nxx}\n{"source": "b", "photo": "b.jpg"}\n'
    )
    with Results(tmp_path / "out", SETTINGS) as results:
        assert results.done == {"a", "b"}


def test_other_settings_other_files_and_a_second_process_are_refused(tmp_path):
    with Results(tmp_path / "out", SETTINGS), pytest.raises(FolderError, match="Another process"):
        Results(tmp_path / "out", SETTINGS)
    with pytest.raises(FolderError, match=r"other settings \(preset: fast, now thorough\)"):
        Results(tmp_path / "out", SETTINGS | {"preset": "thorough"})
    with pytest.raises(FolderError, match="other settings"):
        Results(tmp_path / "out", {"preset": "fast"})
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "faces.csv").write_text("mine")
    with pytest.raises(FolderError, match="holds other files"):
        Results(tmp_path / "mine", SETTINGS)
    with pytest.raises(FolderError, match="is a file"):
        Results(tmp_path / "mine" / "faces.csv", SETTINGS)


def test_names_are_safe_paths_and_none_is_like_another_but_for_its_ending(tmp_path):
    with Results(tmp_path / "out", SETTINGS) as results:
        parts = [("in", "a.jpg"), ("in", "A.png"), ("in", "a.jpg"), ("in", "a-2.jpg"), ("..", "con.jpg")]
        names = [results.name_for(each) for each in parts]
        assert names == ["in/a.jpg", "in/A-2.png", "in/a-3.jpg", "in/a-2-2.jpg", "_/_con.jpg"]
        for name in names:
            results.add(line(name, name))
    with Results(tmp_path / "out", SETTINGS) as results:  # known after a new start, too
        assert results.name_for(("in", "a.jpg")) == "in/a-4.jpg"
