"""Photos through a Ray cluster; its nodes are processes of this computer."""

import os
import threading
from collections import Counter
from contextlib import closing
from types import SimpleNamespace

import pytest

from core.batch import cluster
from core.batch.cluster import LOCAL, NOT_HERE, RESULTS, ClusterError, Place, Scorer, list_photos, score_on_cluster
from core.batch.formats import write_formats
from core.batch.inputs import InputError, items
from core.batch.results import FolderError, Results
from core.batch.score import Work, score
from core.config import models_dir
from core.vision.pipeline import PHOTO_SETTINGS, method_with_its_own_model
from tests.batch.test_score import write_photos

ray = pytest.importorskip("ray", reason="needs the packages of requirements-cluster.txt")


def rows(out) -> list[dict]:
    place = Place(str(out))
    return [row for name in place.names(RESULTS) for row in place.table(f"{RESULTS}/{name}").to_pylist()]


@pytest.fixture
def photos(tmp_path):
    folder = write_photos(tmp_path / "photos", 6)
    (folder / "broken.jpg").write_bytes(b"no picture")
    (folder / "film.mp4").write_bytes(b"no film")
    return folder


@pytest.fixture
def work(tmp_path):
    return Work(method_with_its_own_model(), PHOTO_SETTINGS, tmp_path)


def test_the_list_of_photos_is_made_once(photos, tmp_path):
    place = Place(str(tmp_path / "out"))
    assert list_photos([str(photos)], place, {"a": 1}, shard_photos=3) == 3
    listed = [row for name in place.names("photos") for row in place.table(f"photos/{name}").to_pylist()]
    assert len(listed) == len({row["source"] for row in listed}) == 8
    assert [row["problem"] for row in listed if row["source"].endswith("mp4")] == [NOT_HERE]
    (photos / "later.jpg").write_bytes(b"")
    assert list_photos([str(photos)], place, {"a": 1}, shard_photos=1) == 3, "a shard keeps its photos"
    with pytest.raises(FolderError, match="other settings"):
        list_photos([str(photos)], place, {"a": 2})


def test_inputs_by_address_and_what_is_not_there(photos, tmp_path):
    place = Place(str(tmp_path / "out"))
    assert list_photos([f"file://{photos}"], place, {}, shard_photos=100) == 1
    assert {row["source"] for row in place.table("photos/000000.parquet").to_pylist()} == {
        f"file://{photos}/{name}" for name in (*(f"{i}.jpg" for i in range(6)), "broken.jpg")
    }
    with pytest.raises(InputError):
        list_photos([f"file://{photos}/none"], Place(str(tmp_path / "other")), {})
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "letter.txt").write_text("x")
    with pytest.raises(FolderError, match="other files"):
        list_photos([str(photos)], Place(str(tmp_path / "full")), {})


@pytest.mark.long
def test_a_lost_computer_costs_nothing_and_nothing_is_done_twice(photos, work, tmp_path):
    from ray.cluster_utils import Cluster

    alone, out = tmp_path / "alone", tmp_path / "out"
    with Results(alone, work.as_settings()) as results:
        score((item for item in items([str(photos)], alone) if not item.is_film), results, work, 1)
        expected = write_formats(results, ("csv",))
        faces = {record["source"]: record.get("faces") for _, record in results.lines()}

    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
    try:
        second = cluster.add_node(num_cpus=1)
        shards, killed = 8, threading.Event()

        def lose(done: int, _: int) -> None:
            if done == 2 and not killed.is_set():
                killed.set()
                cluster.remove_node(second, allow_graceful=False)

        summary = score_on_cluster([str(photos)], str(out), work, cluster.address, 2, lose, shard_photos=1)
    finally:
        ray.shutdown()
        cluster.shutdown()
    assert killed.is_set()
    found = rows(out)
    assert Counter(row["source"] for row in found) == Counter(dict.fromkeys([*faces, str(photos / "film.mp4")], 1))
    assert len(found) == shards
    for row in found:
        if row["problem"]:
            assert faces.get(row["source"]) is None
        else:
            values = [{k: v for k, v in face.items() if k != "photo"} for face in faces[row["source"]]]
            assert [{k: v for k, v in face.items() if k != "photo"} for face in row["faces"]] == values
    assert (summary.photos, summary.stats) == (expected.photos, expected.stats)


def test_a_shard_is_done_by_one_process_and_what_is_done_needs_no_cluster(photos, work, tmp_path, monkeypatch):
    out = tmp_path / "out"
    monkeypatch.setattr(ray, "init", lambda **_: pytest.fail("all is done"))
    place = Place(str(out))
    assert list_photos([str(photos)], place, work.as_settings(), shard_photos=4) == 2
    models = {path.name: path.read_bytes() for path in models_dir().iterdir() if path.is_file()}
    with monkeypatch.context() as own:
        own.setenv("MASK_MODELS_DIR", str(models_dir()))  # to be put back: it names its own copies there
        with closing(Scorer(work, models, place)) as scorer:
            done = scorer({"shard": [0, 1]})
    assert done == {"shard": [0, 1], "photos": [4, 4]}
    summary = score_on_cluster([str(photos)], str(out), work, LOCAL, shard_photos=4)
    assert (summary.photos, len(summary.unreadable), summary.stats.faces) == (6, 2, 6)


def test_a_folder_of_somebody_else_is_not_used_for_models(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    (tmp_path / "theirs").mkdir()
    cluster._folder_of_copies().rmdir()
    (tmp_path / f"mask-models-{os.getuid()}").symlink_to(tmp_path / "theirs")
    with pytest.raises(ClusterError, match="belongs to somebody else"):
        cluster._folder_of_copies()


def test_copies_of_models_go_with_their_process_and_those_of_a_killed_one_with_the_next(work, tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    models = {path.name: path.read_bytes() for path in models_dir().iterdir() if path.is_file()}
    monkeypatch.setenv("MASK_MODELS_DIR", str(models_dir()))
    monkeypatch.setattr(cluster, "Pool", lambda *_: SimpleNamespace(close=list))
    copies = cluster._folder_of_copies()
    left = copies / f"{cluster.COPY}left"
    left.mkdir()
    (left / "owner").touch()  # whose lock nobody holds
    one, other = (Scorer(work, models, Place(str(tmp_path))) for _ in range(2))
    assert len(list(copies.glob(f"{cluster.COPY}*"))) == 2 and not left.exists(), "not that of a living one"
    one.close()
    other.close()
    assert not list(copies.glob(f"{cluster.COPY}*"))


def test_a_cluster_that_starts_late_is_tried_once_more_then_refused(monkeypatch, tmp_path, photos, work):
    tries = []

    def late(**_) -> None:
        tries.append(1)
        raise Exception("The current node timed out during startup.")

    monkeypatch.setattr(ray, "init", late)
    with pytest.raises(ClusterError, match="less busy"):
        score_on_cluster([str(photos)], str(tmp_path / "out"), work, LOCAL)
    assert len(tries) == 2


@pytest.mark.long
def test_what_is_done_is_not_done_again(photos, work, tmp_path):
    out = tmp_path / "out"
    first = score_on_cluster([str(photos)], str(out), work, LOCAL, 1, shard_photos=4)
    assert (first.photos, len(first.unreadable)) == (6, 2)
    kept, again = sorted((out / RESULTS).iterdir())
    before = kept.stat().st_mtime_ns
    again.unlink()
    seen = []
    second = score_on_cluster([str(photos)], str(out), work, LOCAL, 1, lambda *at: seen.append(at), shard_photos=4)
    assert second == first and seen == [(1, 2), (2, 2)] and kept.stat().st_mtime_ns == before
