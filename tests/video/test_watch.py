"""``python -m core watch``: cameras without a browser."""

import signal
import sqlite3
import subprocess
import sys
import threading
from contextlib import closing

import pytest
from typer.testing import CliRunner

from core import config
from core.__main__ import app
from core.video import cameras as cameras_module
from core.video import watch as module
from core.video.cameras import Cameras
from core.video.record import Recorder
from core.video.watch import watch
from core.vision.detections import make_detections
from tests.helpers import ROOT, wait_until
from tests.video.mjpeg import PASSWORD, mjpeg_camera

CLASSES = ("with_mask", "without_mask", "worn_incorrectly")


def rows(folder, table):
    with closing(sqlite3.connect(folder / "record.sqlite")) as connection:
        return connection.execute(f"SELECT * FROM {table}").fetchall()


@pytest.fixture
def served(tmp_path, monkeypatch):
    with mjpeg_camera() as camera:
        monkeypatch.setenv("MASK_DATA_DIR", str(tmp_path))
        monkeypatch.setenv("MASK_CAMERAS", f"Entrance={camera.address};Yard=rtsp://u:{PASSWORD}@127.0.0.1:9/")
        yield camera


def test_the_command_records_until_it_is_terminated_and_its_record_is_whole(served, tmp_path):
    process = subprocess.Popen(
        [sys.executable, "-m", "core", "watch"], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    lines = []
    for line in process.stdout:
        lines.append(line)
        if "Entrance: It is live." in line:
            break
    # The model is there before the first frame: now both people are looked at three times.
    done = threading.Event()
    threading.Thread(target=lambda: (lines.extend(process.stdout), done.set()), daemon=True).start()
    done.wait(3)
    process.send_signal(signal.SIGTERM)
    assert process.wait(20) == 0
    done.wait(5)
    told = "".join(lines)
    assert "Yard: It has been offline since" in told and "nothing answers at its address" in told
    assert lines[-1] == "Stopped; what was counted is on the record.\n" and PASSWORD not in told
    assert sorted(name for *_, name in rows(tmp_path, "people")) == ["with_mask", "without_mask"]
    minutes = rows(tmp_path, "minutes")
    assert {camera for camera, *_ in minutes} == {"Entrance"}, "nothing of the one that was never seen"
    assert 1 < sum(watched_s for _, _, watched_s, *_ in minutes) < 30
    assert PASSWORD.encode() not in (tmp_path / "record.sqlite").read_bytes()


def test_lines_of_a_minute_alerts_and_cameras_that_come_and_go(served, tmp_path, monkeypatch):
    for name, value in {"FIRST_PAUSE_S": 0.05, "MAX_PAUSE_S": 0.1, "TICK_S": 0.05}.items():
        monkeypatch.setattr(cameras_module, name, value)
    monkeypatch.setattr(module, "LOOK_S", 0.05)
    monkeypatch.setattr("core.video.live.IDLE_S", 0.3)

    def found(frame):
        return make_detections([[80, 150, 280, 380]], [0], [0.99], [0.9])

    cameras = Cameras(Recorder(), lambda: (found, "method", CLASSES), always=lambda: True)
    lines, stop = [], threading.Event()
    thread = threading.Thread(target=watch, args=(cameras, ["Entrance"], True, lines.append, stop))
    thread.start()

    def told(words, times=1):
        wait_until(lambda: sum(words in line for line in lines) == times)

    try:
        told("Entrance: It is live.")
        camera = cameras.running("Entrance")
        wait_until(lambda: camera.processor.moment().counts.people.faces == 1)
        now = module.this_minute()
        monkeypatch.setattr(module, "this_minute", lambda: now + 1)
        told("Entrance: came: 1, of them with a mask worn well: 100%, now in the picture: 1.")
        served.off()
        told("Entrance: The camera is gone: no more pictures come.")
        told("Entrance: It has been offline since")
        served.on()
        told("Entrance: It is live.", 2)
        # A second program leaves the camera alone.
        others = Cameras(Recorder(), lambda: (found, "method", CLASSES), always=lambda: True)
        second = []
        with pytest.raises(ValueError, match="None of these cameras is left"):
            watch(others, ["Entrance"], True, second.append, threading.Event())
        assert second == ["Entrance: Another program on this server keeps the record of this camera already."]
    finally:
        stop.set()
        thread.join(20)
    assert not thread.is_alive() and cameras.running("Entrance") is None
    assert {name for *_, name in rows(tmp_path, "people")} == {"with_mask"}


@pytest.mark.parametrize(
    ("cameras", "arguments", "words"),
    [
        ("", [], "no camera is in the settings"),
        ("A=rtsp://h/", ["--camera", "B"], "there is no camera 'B'; possible are A."),
        ("A=ftp://h/", [], "The camera 'A' is left out"),
        ("A=rtsp://127.0.0.1:9/", ["--record"], "unless its settings say otherwise"),
    ],
)
def test_what_cannot_be_done_is_one_sentence(monkeypatch, tmp_path, cameras, arguments, words):
    monkeypatch.setattr(config, "_secrets", dict)
    monkeypatch.setenv("MASK_DATA_DIR", str(tmp_path))
    monkeypatch.setenv("MASK_CAMERAS", cameras)
    monkeypatch.setenv("MASK_RECORD", "off")
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        done = CliRunner().invoke(app, ["watch", *arguments])
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    assert done.exit_code == 2 and words in done.stderr
    assert not list(tmp_path.iterdir())
