"""The operator's limits where something is used."""

import io
import zipfile

import pytest

from core.datasets.importers import import_zip, make_demo_set
from core.datasets.sources.webcam import add_sample
from core.datasets.store import list_datasets
from core.quota import Places, QuotaError, check_count, check_disk, folder_bytes
from core.registry.upload import ModelFacts, install_uploaded
from tests.helpers import noise_picture, picture_bytes
from train.runs import QUEUED, RunManager


@pytest.fixture(autouse=True)
def folders(tmp_path, monkeypatch):
    for name in ("DATA", "RUNS", "MODELS"):
        monkeypatch.setenv(f"MASK_{name}_DIR", str(tmp_path / name.lower()))
    return tmp_path


def fill(folder, size):
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "some").write_bytes(bytes(size))


def test_what_a_folder_holds(tmp_path):
    fill(tmp_path / "a" / "b", 1000)
    fill(tmp_path / "a", 500)
    (tmp_path / "a" / "link").symlink_to("/")
    assert 1500 <= folder_bytes(tmp_path / "a") < 1600
    assert folder_bytes(tmp_path / "none") == 0


@pytest.mark.parametrize("name", ["data_gb", "runs_gb", "models_gb"])
def test_a_full_disk_is_one_sentence(folders, monkeypatch, name):
    monkeypatch.setenv(f"MASK_{name.upper()}", "0.001")
    check_disk(name)
    check_disk(name, 900_000)
    fill(folders / name.partition("_")[0], 500_000)
    with pytest.raises(QuotaError, match=r"\(0\.001 GB\)"):
        check_disk(name, 500_000)


def test_an_import_is_refused_before_it_begins(folders, monkeypatch):
    monkeypatch.setenv("MASK_DATA_GB", "0.001")
    fill(folders / "data" / "other", 1_000_000)
    for make in (make_demo_set, lambda: import_zip(io.BytesIO(b"not even looked at"), "new")):
        with pytest.raises(QuotaError, match="data sets"):
            make()
    with pytest.raises(QuotaError, match="data sets"):
        add_sample("mine", noise_picture(1), [0, 0, 40, 40], "with_mask")


def test_an_import_that_grows_too_large_leaves_nothing_behind(folders, monkeypatch):
    monkeypatch.setenv("MASK_DATA_GB", "0.001")
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as archive:
        for i in range(20):
            for name in ("with_mask", "without_mask"):
                archive.writestr(f"{name}/{i}.bmp", picture_bytes(size_wh=(160 + i, 120), format="BMP"))
    with pytest.raises(QuotaError, match="data sets"):
        import_zip(data, "new")
    assert not list_datasets() and folder_bytes(folders / "data") == 0


def test_a_model_needs_room(folders, monkeypatch):
    monkeypatch.setenv("MASK_MODELS_GB", "0.001")
    fill(folders / "models", 900_000)
    file = folders / "large.tflite"
    file.write_bytes(bytes(200_000))
    with pytest.raises(ValueError, match="models"):
        install_uploaded(file, ModelFacts(96, 2, "logits", 1.0), "large", ("a", "b"), folder=folders / "models")
    assert [path.name for path in (folders / "models").iterdir()] == ["some"]


def test_a_queue_takes_only_so_many(folders, monkeypatch):
    monkeypatch.setenv("MASK_QUEUED_TRAININGS", "2")
    manager = RunManager(folders / "runs", lambda folder: ["true"])
    monkeypatch.setattr(manager, "poll", lambda: None)  # nothing starts
    for _ in range(2):
        manager.add("one", data=("here",))
    with pytest.raises(QuotaError, match="2 trainings are waiting"):
        manager.add("one more", data=("here",))
    assert [run.state for run in manager.runs()] == [QUEUED, QUEUED]
    first = manager.runs()[0]
    manager.cancel(first.id)
    manager.add("now", data=("here",))
    with pytest.raises(QuotaError, match="waiting"):
        manager.resume(first.id)


def test_a_training_needs_room(folders, monkeypatch):
    monkeypatch.setenv("MASK_RUNS_GB", "0.001")
    fill(folders / "runs" / "old", 1_000_000)
    with pytest.raises(QuotaError, match="training runs"):
        RunManager(folders / "runs").add("new", data=("here",))


def test_counting(monkeypatch):
    monkeypatch.setenv("MASK_QUEUED_TRAININGS", "3")
    check_count("queued_trainings", 2)
    with pytest.raises(QuotaError):
        check_count("queued_trainings", 3)


def test_places_are_kept_given_back_and_lost_by_silence(monkeypatch):
    now = [100.0]
    monkeypatch.setattr("core.quota.time.monotonic", lambda: now[0])
    monkeypatch.setenv("MASK_LIVE_VIEWERS", "2")
    places = Places("live_viewers", silent_s=10)
    assert places.take("a", only_ask=True) and places.take("a") and places.take("b")
    assert not places.take("c") and not places.take("c", only_ask=True) and places.held() == 2
    assert places.take("a") and places.take("b", only_ask=True), "who has one keeps it"
    places.leave("a")
    places.leave("a")
    assert places.take("c", only_ask=True) and places.take("d"), "to ask takes none"
    now[0] += 11
    assert places.held() == 0
    assert places.take("e") and places.take("f") and not places.take("b")
