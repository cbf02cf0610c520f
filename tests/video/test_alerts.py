"""Alerts of made sequences."""

import http.server
import io
import json
import threading
import wave

import pytest

from core.access import AccessError, Role
from core.config import read_settings
from core.language import using
from core.video import alerts
from core.video.alerts import CAMERA_LOST, LOW_SHARE, NO_MASK, AlertWatch, Rules, alert_sound, outside
from core.vision.stats import FrameStats
from tests.helpers import free_port, wait_until

BARE, MASK = "without_mask", "with_mask"


def watch(rules, sequence, inside=frozenset({1, 2, 3}), step_s=1.0):
    """``sequence``: for each frame, number to class."""
    watching = AlertWatch()
    watching.rules = rules
    for tick, people in enumerate(sequence):
        watching.update(people.items(), set(inside), 1000 + tick * step_s)
    return watching


def kinds(watching):
    return [alert.kind for alert in reversed(watching.log())]


def test_who_has_no_mask_for_longer_is_told_once():
    assert kinds(watch(Rules(no_mask_s=5), [{1: BARE}] * 6)) == []
    watching = watch(Rules(no_mask_s=5), [{1: BARE}] * 500)
    (alert,) = watching.log()
    assert alert.at_s == 1006 and alert.kind == NO_MASK and "more than 5 seconds" in alert.text
    assert kinds(watch(Rules(), [{1: BARE}] * 500)) == [], "only where somebody asked for it"


@pytest.mark.parametrize("other", [{1: MASK}, {1: None}, {}], ids=["a mask", "not sure", "gone"])
def test_the_time_counts_anew_after_an_interruption(other):
    assert kinds(watch(Rules(no_mask_s=5), [{1: BARE}] * 5 + [other] + [{1: BARE}] * 5)) == []


def test_outside_the_zone_nobody_is_told_of():
    assert kinds(watch(Rules(no_mask_s=2), [{9: BARE}] * 100)) == []


def test_there_is_a_pause_between_two_people_and_the_second_is_not_forgotten():
    watching = watch(Rules(no_mask_s=5), [{1: BARE, 2: BARE}] * 200)
    assert [alert.at_s for alert in reversed(watching.log())] == [1006, 1066]
    watching.new_video()
    watching.update([(1, BARE)], {1}, 5000)
    watching.update([(1, BARE)], {1}, 5006)
    assert len(watching.log()) == 3, "in another video the number is somebody else's"


def test_a_low_share_is_told_with_enough_people_and_not_again_and_again():
    watching = AlertWatch()
    watching.rules = Rules(share_below=0.8, share_minutes=10)
    watching.check_share(FrameStats((1, 3, 0)), 0)
    watching.check_share(FrameStats((8, 2, 0)), 1)
    assert not watching.log(), "four people are too few, and 80% is not below 80%"
    for at_s in range(2, 700, 5):
        watching.check_share(FrameStats((3, 2, 0), unknown=4), at_s)
    assert kinds(watching) == [LOW_SHARE] * 2
    assert watching.log()[0].text == ("Of the 5 people of the last 10 minutes, 60% wear a mask well: less than 80%.")


def test_the_log_is_in_the_readers_language_and_what_goes_outside_in_english():
    watching, sent = AlertWatch(), []
    watching.rules, watching.send = Rules(camera_lost=True), sent.append
    with using("fr"):
        watching.lost(0)
        assert watching.log()[0].text == "La caméra ne répond plus\N{NO-BREAK SPACE}: plus aucune image n’arrive."
    assert sent == ["The camera is gone: no more pictures come."] == [watching.log()[0].text]


def test_a_lost_camera_is_told_and_the_log_ends_somewhere():
    watching, sent = AlertWatch(), []
    watching.lost(0)
    watching.rules, watching.send = Rules(camera_lost=True), sent.append
    for at_s in range(0, 60 * 200, 60):
        watching.lost(at_s)
    assert len(watching.log()) == alerts.MAX_LOG and watching.log()[0].number == 200 == len(sent)
    assert watching.log()[0].kind == CAMERA_LOST


def test_the_sound_is_a_wav_and_another_for_each_alert():
    first, second = alert_sound(1), alert_sound(2)
    assert first != second
    with wave.open(io.BytesIO(first)) as file:
        assert 0.3 < file.getnframes() / file.getframerate() < 0.5


@pytest.fixture
def server():
    got = []

    class Target(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            got.append(json.loads(self.rfile.read(int(self.headers["content-length"]))))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *arguments):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Target) as serving:
        threading.Thread(target=serving.serve_forever, daemon=True).start()
        yield f"json://127.0.0.1:{serving.server_port}", got
        serving.shutdown()


def test_alerts_reach_the_operators_targets_and_failures_are_told(server, monkeypatch):
    url, got = server
    monkeypatch.setenv("MASK_ALERT_URLS", f"json://127.0.0.1:{free_port()} nonsense {url}")
    failed = []
    outside(failed.append)("The camera is gone.")
    wait_until(lambda: got, 20)
    assert got[0]["message"] == "The camera is gone." and got[0]["title"] == "Face masks"
    assert len(failed) == 2 and "target 1" in failed[0] and "Target 2" in failed[1] and "127.0.0.1" not in str(failed)


def test_only_operators_send_and_only_to_configured_targets(monkeypatch):
    assert read_settings({"alert_urls": ["json://a"]}, {"MASK_ALERT_URLS": "json://b"}).alert_urls == ("json://a",)
    assert read_settings({"alert_urls": "json://a"}, {}).problems and not read_settings({}, {}).alert_urls
    monkeypatch.setattr("core.access._ask", lambda: Role.VISITOR)
    with pytest.raises(AccessError):
        outside(print)
