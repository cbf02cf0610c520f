import zipfile
from pathlib import Path

import pytest

from core.batch.inputs import NO_FILE, InputError, items
from tests.helpers import picture_bytes


@pytest.fixture
def photos(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("photos/b.jpg", "photos/a/a.PNG", "photos/.hidden.jpg", "photos/.trash/c.jpg", "photos/notes.txt"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(picture_bytes())
    return tmp_path


def names(*inputs, out="results"):
    return ["/".join(item.parts) for item in items(inputs, Path(out))]


def test_folders_are_searched_to_any_depth_without_what_is_hidden(photos):
    assert names("photos") == ["photos/b.jpg", "photos/a/a.PNG"]
    assert names(str(photos / "photos" / "a")) == ["a/a.PNG"]


def test_a_photo_named_twice_is_looked_at_once_and_results_never(photos):
    assert names("photos", "photos/*.jpg", "photos/b.jpg") == ["photos/b.jpg", "photos/a/a.PNG"]
    assert names("photos", out="photos/a") == ["photos/b.jpg"]


def test_patterns_files_and_lists(photos):
    (photos / "list.txt").write_text("photos/a/a.PNG\n\nphotos/b.jpg\nphotos/gone.jpg\n")
    assert names("photos/**/*.PNG", "photos/b.jpg") == ["photos/a/a.PNG", "photos/b.jpg"]
    found = list(items(["list.txt"], photos / "results"))
    assert ["/".join(item.parts) for item in found] == ["photos/a/a.PNG", "photos/b.jpg", "photos/gone.jpg"]
    assert [item.problem for item in found] == ["", "", NO_FILE]
    with pytest.raises(InputError, match=r"nothing/\*\.jpg: there is no such"):
        names("nothing/*.jpg")


def test_films_are_told_by_their_endings(photos):
    (photos / "photos" / "film.MP4").touch()
    assert {item.parts[-1]: item.is_film for item in items(["photos"], photos / "results")} == {
        **{"b.jpg": False, "film.MP4": True, "a.PNG": False}
    }


def test_archives_are_read_and_lead_nowhere(photos):
    with zipfile.ZipFile("many.zip", "w") as archive:
        archive.writestr("in/a.jpg", b"first")
        archive.writestr("../out.jpg", b"no")
        archive.writestr("readme.md", b"no")
        archive.writestr("in/b.jpg", b"second")
    found = items(["many.zip"], photos / "results")
    held = [(item.parts, item.problem or item.read()) for item in found]
    assert held[:2] == [(("many", "in", "a.jpg"), b"first"), (("many", "in", "b.jpg"), b"second")]
    assert len(held) == 3 and held[2][0] == ("many", "out.jpg") and "leads out" in held[2][1]
    (photos / "text.zip").write_text("no zip")
    (broken,) = items(["text.zip"], photos / "results")
    assert "not a zip archive" in broken.problem
