"""The first page that anybody opens makes the server tidy up once."""

import os
import time
from pathlib import Path

import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest

from pages.components import start
from tests.helpers import ROOT, wait_until


@pytest.fixture
def folders(tmp_path, monkeypatch):
    monkeypatch.setenv("MASK_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("MASK_RUNS_DIR", str(tmp_path / "runs"))
    monkeypatch.setattr(start, "AFTER_S", 0.0)
    st.cache_resource.clear()
    yield tmp_path
    st.cache_resource.clear()


def test_what_killed_processes_left_is_gone_after_a_start(folders):
    models = Path(os.environ["MASK_MODELS_DIR"])
    left = [folders / "data" / ".incoming-1", folders / "data" / ".deleted-1", folders / "runs" / ".new-1"]
    for folder in left:
        (folder / "content").mkdir(parents=True)
    left += [models / "gone-01234567.tflite", models / ".in_use-x.partial.json"]
    for file in left[3:]:
        file.touch()
        os.utime(file, (time.time() - 7200,) * 2)
    app = AppTest.from_file(str(ROOT / "streamlit_app.py"), default_timeout=60).run()
    assert not app.exception
    wait_until(lambda: not any(path.exists() for path in left), 30)
    assert list(models.glob("mask-classifier-*.tflite"))
    (folders / "data" / ".incoming-2").mkdir()
    assert not app.run().exception
    time.sleep(0.3)
    assert (folders / "data" / ".incoming-2").exists(), "once; imports and deletions sweep too"
