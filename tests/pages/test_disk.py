"""Pages on a disk that is full, and on one that is only read: real ones, where this computer may mount them.

Whatever can be pressed is pressed; each answer is the page or one sentence, and nothing is half written.
"""

import shutil
import subprocess
import time

import numpy as np
import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest

from core.config import models_dir
from core.datasets.edits import Edits
from core.datasets.index import build_index
from core.datasets.sources.webcam import add_sample, count_samples
from core.datasets.store import find_dataset, list_datasets
from core.registry.active import in_use
from core.synthetic.sample import sample_photo
from pages.components.resources import server_jobs
from pages.components.state import DATA_SET, OPEN_IMAGE
from tests.helpers import ROOT, labelled, write_class_folders
from train import runs

pytestmark = pytest.mark.slow
FULL = r"The server's disk is full; make room and try again\."
READ_ONLY = r"The server's disk cannot be written to; ask who runs this server\."


class Disk:
    def __init__(self, folder):
        self.folder = folder

    def fill(self):
        with (self.folder / "filler").open("wb", buffering=0) as file:
            try:
                for size in (1 << 20, 1 << 12, 1):
                    while file.write(bytes(size)):
                        pass
            except OSError:
                pass
        blocks = [0]
        while blocks[-1] is not None:  # a page that a shorter write left
            try:
                (self.folder / f"filler-{len(blocks)}").write_bytes(bytes(4096))
                blocks.append(1)
            except OSError:
                blocks.append(None)
        return FULL

    def read_only(self):
        subprocess.run(["mount", "-o", "remount,ro", self.folder], check=True)
        return READ_ONLY


@pytest.fixture
def disk(tmp_path, monkeypatch):
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=48m", "tmpfs", folder], capture_output=True)
    if mounted.returncode:
        pytest.skip("this computer may not mount a disk for the test")
    shutil.copytree(models_dir(), folder / "models")
    for name in ("data", "runs", "models"):
        monkeypatch.setenv(f"MASK_{name.upper()}_DIR", str(folder / name))
    write_class_folders(folder / "data" / "faces", 4)
    build_index(find_dataset("faces"))
    Edits.load(folder / "data" / "faces").exclude("with_mask/001.jpg")
    add_sample("webcam-samples", sample_photo(False), np.float32([178, 60, 272, 190]), "cap")
    monkeypatch.setattr(runs, "training_command", lambda run: ["/nowhere"])
    stopped = runs.RunManager(folder / "runs").add("stopped", data=(str(folder / "data" / "faces"),))
    assert stopped.state == "failed"
    st.cache_resource.clear()
    st.cache_data.clear()
    yield Disk(folder)
    st.cache_resource.clear()
    subprocess.run(["umount", "-l", folder], check=True)  # the queue of the page may be looking at it just now


def opened(page: str, **state) -> AppTest:
    app = AppTest.from_file(str(ROOT / "pages" / f"{page}.py"), default_timeout=120)
    for key, value in state.items():
        app.session_state[key] = value
    return checked(app.run())


def checked(app: AppTest) -> AppTest:
    assert not app.exception, app.exception[0].stack_trace
    for element in (*app.error, *app.warning):
        assert "/" not in element.value, "no path of the server"
    return app


def press(app: AppTest, label: str) -> list[str]:
    """What the page says of it."""
    return [error.value for error in checked(labelled(app.button, label).click().run()).error]


def everything(folder):
    return {
        path.relative_to(folder): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
        and ".cache" not in path.parts
        and not path.name.startswith("filler")
        and path.name != "log.txt"
    }


def open_first_run(app):
    app.session_state[app.dataframe[0].key] = {"selection": {"rows": [0], "columns": [], "cells": []}}
    checked(app.run())


@pytest.mark.parametrize("kind", ["fill", "read_only"])
def test_every_change_is_refused_in_one_sentence_and_leaves_nothing(disk, kind):
    before = everything(disk.folder)
    image = {DATA_SET: "faces", "kept_set": "faces", OPEN_IMAGE: ("with_mask/000.jpg", 0)}
    sentence = getattr(disk, kind)()

    app = opened("datasets", **{DATA_SET: "faces"})
    labelled(app.button, "Make the demonstration set").click().run()
    end = time.monotonic() + 60
    while server_jobs().status("data:import").state == "running":
        assert time.monotonic() < end
        time.sleep(0.02)
    assert sentence in checked(app.run()).error[0].value
    press(app, "Close")

    app = opened("datasets", **image)
    labelled(app.selectbox, "Label").set_value("without_mask").run()
    assert [error.value for error in checked(app).error] == [sentence]
    assert press(app, "Exclude") == [sentence] and press(app, "Undo") == [sentence]

    assert press(opened("model"), "Deploy") == [sentence]

    app = opened("training")
    labelled(app.multiselect, "Data sets").set_value(["faces"]).run()
    assert sentence in press(app, "Start the training")
    checked(labelled(app.segmented_control, "View").set_value("Runs").run())
    open_first_run(app)
    labelled([each for each in app.text_input if "training_name" in each.key], "Name").set_value("Other")
    assert sentence in press(app, "Save the name")
    assert sentence in press(app, "Resume")

    app = opened("synthetic")
    assert press(app, "Yes, delete them all") == ([sentence] if kind == "read_only" else [])
    assert (
        everything(disk.folder).items()
        >= {path: data for path, data in before.items() if kind == "read_only" or "webcam" not in str(path)}.items()
    )
    assert not [path for path in disk.folder.rglob(".*") if path.name not in (".lock", ".cache", ".identity.json")]


def test_on_a_full_disk_room_can_be_made(disk):
    disk.fill()
    app = opened("datasets", **{DATA_SET: "faces"})
    assert press(app, "Delete faces") == []
    assert count_samples("webcam-samples") == {"cap": 1}
    app = opened("training")
    labelled(app.segmented_control, "View").set_value("Runs").run()
    open_first_run(app)
    assert press(app, "Delete this run") == []
    assert press(opened("synthetic"), "Delete the last sample") == []
    assert list_datasets() == [] and not list((disk.folder / "runs").glob("[!.]*"))
    assert not in_use().problem
