"""Network cameras that the tests serve: lost and found again, watched by several, on the record once."""

import http.server
import socket
import threading
import time
from datetime import timezone

import numpy as np
import pytest

from core.access import AccessError, Role
from core.config import ON, Camera, settings
from core.language import current
from core.video import cameras as module
from core.video import stream
from core.video.alerts import CAMERA_LOST, Rules
from core.video.cameras import LIVE, OFFLINE, Cameras, Choices, SharedCamera, State, read_choices
from core.video.record import Recorder, RecordError, minutes_csv, people_csv
from core.video.stream import CameraStream, StreamError
from core.video.zones import Place
from core.vision.detections import make_detections
from tests.helpers import wait_until
from tests.video.mjpeg import PASSWORD, mjpeg_camera
from tests.video.rtsp import rtsp_camera, transport_stream

BOXES = [[80, 150, 280, 380], [360, 150, 560, 380]]
CLASSES = ("with_mask", "without_mask", "worn_incorrectly")


class Seen:
    """Finds the two people, and counts how often it looked."""

    def __init__(self):
        self.calls = 0

    def __call__(self, frame):
        self.calls += 1
        return make_detections(BOXES, [1, 0], [0.99, 0.99], [0.9, 0.9])


@pytest.fixture
def served(tmp_path, monkeypatch):
    """A camera that is on and listed, quick retries, and a folder for what is kept."""
    with mjpeg_camera() as camera:
        monkeypatch.setenv("MASK_DATA_DIR", str(tmp_path))
        monkeypatch.setenv("MASK_CAMERAS", f"Entrance={camera.address}")
        monkeypatch.setattr(module, "FIRST_PAUSE_S", 0.05)
        monkeypatch.setattr(module, "MAX_PAUSE_S", 0.1)
        monkeypatch.setattr(module, "TICK_S", 0.05)
        monkeypatch.setattr("core.video.live.IDLE_S", 0.3)
        yield camera


@pytest.fixture
def watched(served):
    """The cameras of a server, and what looks at them."""
    seen = Seen()
    cameras = Cameras(Recorder(), lambda: (seen, "method", CLASSES))
    yield cameras, seen
    cameras.close()


def people(camera):
    return camera.processor.moment().counts.people.counts


def test_a_picture_has_its_labels_in_the_language_asked_for(served, monkeypatch):
    drawn_in = []
    camera = SharedCamera(settings().cameras[0], Recorder())
    monkeypatch.setattr(camera.processor, "draw", lambda frame, blur: drawn_in.append(current()) or frame)
    camera._frame = np.zeros((48, 64, 3), np.uint8)
    for language in ("fr", "fr", "en"):
        assert camera.picture(False, language)
    assert drawn_in == ["fr", "en"], "each is made once"


def test_a_stream_gives_the_newest_frame_and_a_slow_reader_is_not_held_up(served):
    with CameraStream(served.address) as opened:
        frames = opened.frames()
        assert next(frames).shape == (480, 640, 3)
        wait_until(lambda: len(opened._waiting) > 5)
        came = {id(packet) for packet in opened._waiting}
        next(frames)
        assert not any(id(packet) in came for packet in opened._waiting), "what came meanwhile is passed over"
        served.off()
        with pytest.raises(StreamError, match="sends no more pictures"):
            for _ in frames:
                pass
    with pytest.raises(StreamError, match="nothing answers at its address"):
        CameraStream(served.address)


def test_rtsp_goes_over_one_connection_with_a_password():
    with rtsp_camera() as (address, asked):
        light = []
        with CameraStream(address) as opened, pytest.raises(StreamError, match="sends no more pictures"):
            for frame in opened.frames():
                assert frame.shape == (240, 320, 3)
                light.append(frame.mean())
        assert len(light) > 3 and light == sorted(light) and light[-1] > 200, "in their order, to the newest"
        (setup,) = (request for request in asked if request.startswith("SETUP"))
        assert "RTP/AVP/TCP" in setup
        with pytest.raises(StreamError, match="does not take the name and password"):
            CameraStream(address.replace(PASSWORD, "wrong"))


def test_a_camera_that_says_nothing_is_given_up(monkeypatch):
    monkeypatch.setattr(stream, "OPEN_S", 0.1)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        for scheme in ("rtsp", "http"):
            with pytest.raises(StreamError, match="it does not answer"):
                CameraStream(f"{scheme}://127.0.0.1:{silent.getsockname()[1]}/")


def test_what_a_camera_sends_leads_to_no_file_of_the_server(tmp_path):
    class Playlist(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.send_header("Content-Type", "application/vnd.apple.mpegurl")
            self.end_headers()
            self.wfile.write(f"#EXTM3U\n#EXTINF:1,\nfile://{film}\n".encode())

        def log_message(self, *arguments):
            pass

    film = tmp_path / "film.ts"
    film.write_bytes(transport_stream())
    with http.server.HTTPServer(("127.0.0.1", 0), Playlist) as server:
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        with pytest.raises(StreamError, match="no video that can be read"):
            CameraStream(f"http://127.0.0.1:{server.server_port}/video.m3u8")
        server.shutdown()


def test_where_decoding_falls_behind_it_goes_on_at_the_newest_whole_picture():
    class Packet:
        def __init__(self, number, is_keyframe):
            self.number, self.is_keyframe = number, is_keyframe

    opened = CameraStream.__new__(CameraStream)
    opened._condition, opened._ended = threading.Condition(), None
    for many, first in ((stream.MOST_WAITING, 0), (100, 80)):
        opened._waiting = [Packet(each, each % 20 == 0) for each in range(many)]
        taken = opened._take()
        assert (taken[0].number, taken[-1].number) == (first, many - 1)


@pytest.mark.parametrize(
    ("address", "why"),
    [
        ("http://door:wrong-one@127.0.0.1:{port}/video", "does not take the name and password"),
        ("/dev/video97", "not connected"),
        ("http://127.0.0.1:1/{port}", "nothing answers"),
    ],
)
def test_why_a_camera_cannot_be_opened_is_said_without_its_address(served, address, why):
    with pytest.raises(StreamError, match=why) as raised:
        CameraStream(address.format(port=served.port))
    assert raised.value.__cause__ is None and raised.value.__suppress_context__
    assert "127" not in str(raised.value) and "wrong-one" not in str(raised.value)


def test_a_camera_is_lost_and_comes_back_with_the_same_numbers(served, watched, caplog):
    cameras, _ = watched
    camera = cameras.watch("Entrance")
    camera.record()
    wait_until(lambda: people(camera) == (1, 1, 0))
    assert camera.state.kind == LIVE and camera.picture(False)[1].startswith(b"\xff\xd8")
    served.off()
    wait_until(lambda: camera.state.kind == OFFLINE and camera.processor.alerts.log())
    assert camera.picture(False) is None and camera.snapshot(True) is None, "no frozen picture"
    assert [alert.kind for alert in camera.processor.alerts.log()] == [CAMERA_LOST]
    assert "It is tried again by itself." in camera.state.in_words(timezone.utc)
    # The minute is on the record while the camera is away, and both people have left.
    camera._recorder.flush()
    assert len(minutes_csv(timezone.utc).splitlines()) >= 2 and len(people_csv(timezone.utc).splitlines()) == 3
    served.on()
    wait_until(lambda: camera.state.kind == LIVE and people(camera) == (2, 2, 0))
    cameras.close()
    camera._recorder.flush()
    assert people_csv(timezone.utc).count("Entrance") == 4
    told = caplog.text + people_csv(timezone.utc) + minutes_csv(timezone.utc) + repr(settings()) + repr(vars(camera))
    assert PASSWORD not in told and "Entrance is offline" in caplog.text


def test_one_that_was_never_there_is_told_of_too(served, watched):
    served.off()
    camera = watched[0].watch("Entrance")
    wait_until(lambda: camera.processor.alerts.log())
    assert camera.state.why == "nothing answers at its address"
    since_s = camera.state.since_s
    time.sleep(0.3)
    assert camera.state.since_s == since_s, "since when, not when it was last tried"


def test_all_who_watch_share_one_analysis_and_the_last_one_stops_it(served, watched, monkeypatch):
    cameras, seen = watched
    first, second = cameras.watch("Entrance"), cameras.watch("Entrance")
    assert first is second and cameras.watch("Somewhere") is None
    wait_until(lambda: people(first) == (1, 1, 0))
    assert (served.opened, served.running) == (1, 1)
    drawn = []
    draw = first.processor.draw
    monkeypatch.setattr(first.processor, "draw", lambda frame, blur: (drawn.append(blur), draw(frame, blur))[1])
    monkeypatch.setattr(first, "_take", lambda frame, stop: not stop.is_set())  # hold the newest frame
    time.sleep(0.1)
    clear = {first.picture(False) for _ in range(5)}
    blurred = {first.picture(True) for _ in range(5)}
    assert len(clear) == len(blurred) == 1 and drawn == [False, True], "each is made once for all"
    assert clear.pop()[1] != blurred.pop()[1]
    monkeypatch.setattr(module, "LINGER_S", 0.0)
    wait_until(lambda: cameras.running("Entrance") is None and served.running == 0)
    calls = seen.calls
    time.sleep(0.2)
    assert seen.calls == calls
    wait_until(lambda: not any(thread.name in ("mask-cameras", "mask-camera") for thread in threading.enumerate()))


def test_one_that_records_goes_on_unwatched_and_no_second_records_it(served, watched, monkeypatch):
    cameras, _ = watched
    monkeypatch.setattr(module, "LINGER_S", 0.0)
    monkeypatch.setattr(module, "RECORD_AGAIN_S", 0.05)
    monkeypatch.setenv("MASK_RECORD", ON)
    monkeypatch.setattr("core.access._ask", lambda: Role.VISITOR)  # nobody is there
    cameras.start_always()
    wait_until(lambda: cameras.running("Entrance") is not None and cameras.running("Entrance").records)
    others = Cameras(Recorder(), lambda: (Seen(), "method", CLASSES))
    second = others.watch("Entrance")
    with pytest.raises(RecordError, match="Another program on this server keeps the record"):
        second.record()
    wait_until(lambda: "Another program" in second.record_problem)
    cameras.close()
    wait_until(lambda: second.records and not second.record_problem)  # takes over
    others.close()


def test_visitors_neither_choose_nor_record(served, watched, monkeypatch):
    camera = watched[0].watch("Entrance")
    monkeypatch.setattr("core.access._ask", lambda: Role.VISITOR)
    with pytest.raises(AccessError):
        camera.choose(Choices())
    with pytest.raises(AccessError):
        camera.record()
    assert not camera.records


def test_what_is_chosen_holds_for_all_processes_and_for_later(served, watched, monkeypatch):
    place = Place(((0.1, 0.1), (0.9, 0.1), (0.9, 0.9)), ((0.0, 0.5), (1.0, 0.5)))
    chosen = Choices(place, Rules(no_mask_s=5, share_below=0.5, share_minutes=20, camera_lost=False), outside=True)
    assert read_choices("Entrance") == Choices()
    others = Cameras(Recorder(), lambda: (Seen(), "method", CLASSES))
    try:
        second = others.watch("Entrance")
        watched[0].watch("Entrance").choose(chosen)
        assert read_choices("Entrance") == chosen and read_choices("Exit") == Choices()
        wait_until(lambda: second.choices == chosen and second.processor.place == place)
        assert second.processor.alerts.rules == chosen.rules and second.processor.alerts.send
    finally:
        others.close()
    for damaged in ("[]", '{"Entrance": 3}', '{"Entrance": {"zone": [[1]], "line": null}}', "{"):
        module.choices_path().write_text(damaged)
        assert read_choices("Entrance") == Choices()


def test_alerts_go_outside_with_the_cameras_name_and_from_one_program(served, monkeypatch):
    sent = []
    monkeypatch.setenv("MASK_ALERT_URLS", "json://127.0.0.1:9")
    monkeypatch.setattr("core.video.alerts._send", lambda urls, text, failed: sent.append(text))
    one, other = (SharedCamera(settings().cameras[0], Recorder()) for _ in range(2))
    one.choose(Choices(outside=True))
    other.refresh_choices()
    one.record()
    for camera in (one, other):
        camera.processor.alerts.lost(time.time())
    wait_until(lambda: sent)
    time.sleep(0.05)
    assert sent == ["Entrance: The camera is gone: no more pictures come."]
    one.stop()
    assert SharedCamera(settings().cameras[0], Recorder(), outside=True).processor.alerts.send
    one.choose(Choices())
    assert one.processor.alerts.send is None


def test_what_finds_people_may_fail(served):
    def fails():
        raise ValueError("There is no model.")

    cameras = Cameras(Recorder(), fails)
    camera = cameras.watch("Entrance")
    wait_until(lambda: cameras.problem == "There is no model." and camera.state.kind == LIVE)
    assert camera.picture(False) is not None
    cameras.close()


def test_a_camera_that_is_listed_no_longer_stops(served, watched, monkeypatch):
    watched[0].watch("Entrance")
    monkeypatch.setenv("MASK_CAMERAS", "")
    wait_until(lambda: watched[0].running("Entrance") is None)


def test_an_unexpected_error_is_logged_without_its_words(served, watched, monkeypatch, caplog):
    def breaks(address):
        raise RuntimeError(address)

    monkeypatch.setattr(module, "CameraStream", breaks)
    camera = watched[0].watch("Entrance")
    wait_until(lambda: camera.state.kind == OFFLINE)
    assert "RuntimeError" in caplog.text and PASSWORD not in caplog.text


def test_times_of_another_day_say_so():
    words = State(OFFLINE, 0.0, "it does not answer").in_words(timezone.utc)
    assert words == "It has been offline since 1970-01-01 00:00: it does not answer. It is tried again by itself."
    assert "secret" not in repr(Camera("Door", "rtsp://a:secret@b/"))
