"""What was deleted can be brought back: by who deleted it, for a while, by any app on the folder."""

import json

import pytest

from core import trash
from core.quota import QuotaError, check_disk, folder_bytes
from core.trash import TrashError, bring_back, deleted_by, erase, sweep_trash, throw_away
from tests.helpers import run_together


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "set" / "a").mkdir(parents=True)
    (tmp_path / "set" / "a" / "1.jpg").write_bytes(bytes(1000))
    (tmp_path / "set.card.json").write_text("card")
    return tmp_path


def throw(folder):
    parts = [folder / "set", folder / "set.card.json", folder / "set.none.json"]
    return throw_away(folder, "set", "The set", "me", parts)


def seen(folder):
    return sorted(path.name for path in folder.iterdir() if path.name != ".lock")


def test_it_comes_back_whole_for_who_deleted_it(folder):
    before = seen(folder)
    assert throw(folder)
    (entry,) = seen(folder)
    assert entry.startswith(".trash-") and deleted_by(folder, "you") == []
    (mine,) = deleted_by(folder, "me")
    assert (mine.key, mine.name, mine.title) == (entry, "set", "The set")
    for someone, key in (("you", mine.key), ("me", "../set"), ("me", "")):
        with pytest.raises(TrashError):
            bring_back(folder, key, someone)
    assert bring_back(folder, mine.key, "me") == "set"
    assert seen(folder) == before and (folder / "set.card.json").read_text() == "card"
    assert deleted_by(folder, "me") == []


def test_a_name_that_is_taken_again_is_not_overwritten(folder):
    throw(folder)
    (mine,) = deleted_by(folder, "me")
    (folder / "set").mkdir()
    with pytest.raises(TrashError, match="something else"):
        bring_back(folder, mine.key, "me")
    (folder / "set").rmdir()

    def refuse(name):
        raise ValueError(f"no {name}")

    with pytest.raises(ValueError, match="no set"):
        bring_back(folder, mine.key, "me", refuse)
    assert bring_back(folder, mine.key, "me") == "set"


def test_it_goes_when_its_time_is_over_and_not_before(folder, monkeypatch):
    throw(folder)
    names = []
    assert not sweep_trash(folder, left=names.append) and names == ["set"]
    (mine,) = deleted_by(folder, "me")
    monkeypatch.setattr(trash, "KEEP_S", 0.0)
    assert deleted_by(folder, "me") == []
    with pytest.raises(TrashError):
        bring_back(folder, mine.key, "me")
    assert sweep_trash(folder) and seen(folder) == []


def test_it_goes_at_once_if_that_is_asked(folder):
    throw(folder)
    (mine,) = deleted_by(folder, "me")
    with pytest.raises(TrashError):
        erase(folder, mine.key, "you")
    erase(folder, mine.key, "me")
    assert seen(folder) == []


def test_it_counts_for_the_limit_of_the_disk_and_makes_room_at_it(folder, monkeypatch):
    monkeypatch.setenv("MASK_DATA_DIR", str(folder))
    monkeypatch.setenv("MASK_DATA_GB", "0.001")
    (folder / "set" / "large").write_bytes(bytes(600_000))
    throw(folder)
    assert folder_bytes(folder) > 600_000
    check_disk("data_gb", 300_000)
    assert deleted_by(folder, "me"), "there is room"
    check_disk("data_gb", 500_000)
    assert seen(folder) == []
    with pytest.raises(QuotaError):
        check_disk("data_gb", 1_000_000)


def test_without_room_for_a_note_nothing_changes(folder, monkeypatch):
    def full(*arguments):
        raise OSError

    monkeypatch.setattr(trash, "write_json", full)
    before = seen(folder)
    assert not throw(folder) and seen(folder) == before


@pytest.mark.parametrize("note", ["", "{}", '{"at": 0, "parts": []}', '{"parts": ["../out"]}'])
def test_an_entry_that_says_nothing_is_swept(folder, note):
    throw(folder)
    (mine,) = deleted_by(folder, "me")
    file = folder / mine.key / "note.json"
    at = json.loads(file.read_text())["at"]
    file.write_text(note.replace('{"parts', f'{{"at": {at}, "by": "me", "parts'))
    assert deleted_by(folder, "me") == []
    assert sweep_trash(folder) and seen(folder) == []


def test_two_apps_bring_it_back_once(folder):
    throw(folder)
    run_together(
        """
from core.trash import TrashError, bring_back, deleted_by
(mine,) = deleted_by(folder, "me")
# together
try:
    bring_back(folder, mine.key, "me")
    (folder / f"back-{me}").touch()
except TrashError:
    pass
""",
        folder,
    )
    assert (folder / "set" / "a" / "1.jpg").is_file()
    assert len(list(folder.glob("back-*"))) == 1 and not list(folder.glob(".trash-*"))
