import threading

import pytest

from core.io import PARTIAL
from core.video.shelf import FOLDER, Shelf
from core.vision.detections import no_detections
from tests.helpers import wait_until
from tests.video.films import film, frames
from tests.video.test_film import find_squares, walkers


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("MASK_VIDEOS_DIR", str(tmp_path / "videos"))
    return tmp_path / "videos"


@pytest.fixture(scope="module")
def walk() -> bytes:
    return film(walkers())


def ended(shelf, video) -> str:
    wait_until(lambda: shelf.jobs.status(video.key).state != "running", 20)
    return shelf.jobs.status(video.key).state


def folders(home) -> list[str]:
    return [path.name for path in home.iterdir() if path.is_dir()]


class Stuck:
    """Analyses nothing until it may."""

    def __init__(self):
        self.may, self.at_work = threading.Event(), threading.Event()

    def __call__(self, frame_bgr):
        self.at_work.set()
        self.may.wait(20)
        return no_detections()


def test_from_upload_to_result(home, walk):
    shelf = Shelf()
    video = shelf.add("me", "walk.mp4", lambda path: path.write_bytes(walk), find_squares)
    assert ended(shelf, video) == "done"
    assert video.result.stats.faces == 3 and video.annotated.stat().st_size > 1000
    assert sorted(path.name for path in video.folder.iterdir()) == ["annotated.mp4", "detections.csv", "results.json"]
    assert not video.preview, "kept no longer than it is shown"
    assert "walk" not in str(video.folder), "a name from outside never becomes a path"
    assert video.folder.parent.stat().st_mode & 0o077 == 0, "nobody else on the machine looks in"


def test_nobody_finds_or_deletes_another_visitors_video(home, walk):
    shelf = Shelf()
    video = shelf.add("me", "walk.mp4", lambda path: path.write_bytes(walk), find_squares)
    assert shelf.find("me", video.key) is video
    assert shelf.videos("you") == [] and shelf.find("you", video.key) is None
    shelf.delete("you", video.key)
    assert ended(shelf, video) == "done" and video.annotated.exists()


def test_deleting_stops_and_leaves_nothing(home, walk):
    shelf, stuck = Shelf(), Stuck()
    video = shelf.add("me", "walk.mp4", lambda path: path.write_bytes(walk), stuck)
    stuck.at_work.wait(10)
    shelf.delete("me", video.key)
    assert shelf.videos("me") == [] and folders(home) == []
    stuck.may.set()
    wait_until(lambda: not any(job.state == "running" for job in shelf.jobs.all()))
    assert folders(home) == [] and not list(home.rglob(f"*{PARTIAL}*"))


def test_who_has_left_takes_their_videos_along(home, walk):
    now = [0.0]
    shelf = Shelf(lambda: now[0])
    mine, yours = (
        shelf.add(who, "walk.mp4", lambda path: path.write_bytes(walk), find_squares) for who in ("me", "you")
    )
    assert ended(shelf, mine) == ended(shelf, yours) == "done"
    now[0] = 29 * 60
    shelf.videos("me")
    now[0] = 31 * 60
    shelf.drop_left()
    assert shelf.videos("me") == [mine] and shelf.videos("you") == []
    assert mine.folder.exists() and not yours.folder.exists()


def test_what_a_killed_process_left_goes_at_the_next_start(home):
    (home / f"{FOLDER}.left" / "content").mkdir(parents=True)
    (home / f"{FOLDER}.left" / "content" / "annotated.mp4").write_bytes(b"somebody")
    alive = Shelf()
    video = alive.add("me", "text.mp4", lambda path: path.write_bytes(b"text"), find_squares)
    Shelf().watch()
    assert folders(home) == [video.folder.parent.name], "what a living process holds stays"


def test_one_after_the_other(home, walk):
    shelf, stuck = Shelf(), Stuck()
    first = shelf.add("me", "1.mp4", lambda path: path.write_bytes(walk), stuck)
    stuck.at_work.wait(10)
    second = shelf.add("you", "2.mp4", lambda path: path.write_bytes(walk), find_squares)
    wait_until(lambda: shelf.jobs.status(second.key).text == "1 video comes first")
    shelf.jobs.cancel(first.key)
    stuck.may.set()
    assert ended(shelf, first) == "cancelled" and ended(shelf, second) == "done"


@pytest.mark.parametrize(
    ("data", "words"),
    [
        pytest.param(b"no film at all", "not a video that can be read", id="text"),
        pytest.param(b"", "empty", id="empty"),
        pytest.param(film(frames(1)), "single picture", id="one frame"),
    ],
)
def test_what_cannot_be_used_says_why(home, data, words):
    shelf = Shelf()
    video = shelf.add("me", "x.mp4", lambda path: path.write_bytes(data), find_squares)
    assert ended(shelf, video) == "failed"
    assert words in video.problem and video.result is None and str(home) not in video.problem


@pytest.mark.parametrize(
    ("variable", "value", "words"),
    [
        ("MASK_VISITOR_VIDEOS", "1", "keeps no more videos of yours"),
        ("MASK_VIDEO_MB", "1", "A video may have 1 MB"),
        ("MASK_VIDEOS_GB", "0.001", "room for videos on this server is used up"),
    ],
)
def test_the_operators_limits_hold(home, walk, monkeypatch, variable, value, words):
    shelf = Shelf()
    shelf.add("me", "walk.mp4", lambda path: path.write_bytes(walk), find_squares)
    monkeypatch.setenv(variable, value)
    with pytest.raises(ValueError, match=words):
        shelf.add("me", "walk.mp4", lambda path: path.write_bytes(walk), find_squares, size_bytes=2_000_000)
    assert len(shelf.videos("me")) == len(folders(home)) == 1


def test_a_result_that_grows_beyond_the_disks_limit_is_stopped(home, walk, monkeypatch):
    monkeypatch.setattr("core.video.shelf.CHECK_S", -1.0)
    shelf, stuck = Shelf(), Stuck()
    video = shelf.add("me", "walk.mp4", lambda path: path.write_bytes(walk), stuck)
    stuck.at_work.wait(10)
    (home / "much").write_bytes(bytes(2_000_000))
    monkeypatch.setenv("MASK_VIDEOS_GB", "0.001")
    stuck.may.set()
    assert ended(shelf, video) == "failed" and "room for videos" in video.problem
    assert [path.name for path in video.folder.iterdir()] == ["source"]
