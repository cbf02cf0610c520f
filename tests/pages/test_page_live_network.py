"""Network cameras on the live page, and the way of their pictures to the browser."""

import asyncio
import time

import httpx
import pytest
from starlette.applications import Starlette
from streamlit.testing.v1 import AppTest

from core.access import Role
from core.language import using
from core.video import cameras as module
from core.video.cameras import OFFLINE, Choices, read_choices
from core.video.zones import Place
from pages.components import resources, start, streams
from pages.components.language import LANGUAGE
from tests.helpers import ROOT, labelled, numbers, texts, wait_until
from tests.video.mjpeg import PASSWORD, mjpeg_camera

routes = Starlette(routes=streams.ROUTES)


@pytest.fixture
def served(tmp_path, monkeypatch):
    with mjpeg_camera() as camera:
        monkeypatch.setenv("MASK_DATA_DIR", str(tmp_path))
        monkeypatch.setenv("MASK_CAMERAS", f"Entrance={camera.address};Yard=rtsp://u:{PASSWORD}@127.0.0.1:9/")
        monkeypatch.setattr(module, "TICK_S", 0.05)
        monkeypatch.setattr(module, "FIRST_PAUSE_S", 0.1)
        yield camera
        resources.network_cameras().close()
        streams._tickets.clear()


def opened(name="Entrance", language="en") -> AppTest:
    app = AppTest.from_file(str(ROOT / "streamlit_app.py"), default_timeout=60)
    app.session_state[LANGUAGE] = language
    app.run().switch_page("pages/live.py").run()
    labelled(app.selectbox, "Camera" if language == "en" else "Caméra").select(name).run()
    assert not app.exception
    return app


def ask(ticket, at_once=1, after=""):
    async def all_of_them():
        async with httpx.AsyncClient(transport=httpx.ASGITransport(routes), base_url="http://test") as client:
            one = (client.get(f"/cameras/{ticket}", params={"after": after}) for _ in range(at_once))
            return await asyncio.gather(*one)

    return asyncio.run(all_of_them())


def shared(name="Entrance"):
    return resources.network_cameras().running(name)


def test_a_camera_is_shown_with_its_numbers_and_nothing_of_its_address(served):
    app = opened()
    wait_until(lambda: shared().processor.moment().counts.people.counts == (1, 1, 0))
    app.run()
    assert app.title[0].value == "Live" and numbers(app)["Mask"] == numbers(app)["No mask"] == "1"
    assert "| Session | 2 | 50% | 0 |" in texts(app) and "No record is kept." in texts(app)
    (answer,) = ask(app.session_state["live_ticket"])
    assert answer.status_code == 200 and answer.content.startswith(b"\xff\xd8")
    assert answer.headers["content-type"] == "image/jpeg" and answer.headers["cache-control"] == "no-store"
    (newer,) = ask(app.session_state["live_ticket"], after=answer.headers["Picture"])
    assert int(newer.headers["Picture"]) > int(answer.headers["Picture"])
    assert PASSWORD not in str(app.main) and "127.0.0.1" not in texts(app)


def test_an_offline_camera_says_so_and_shows_no_number_of_now(served, monkeypatch):
    monkeypatch.setattr(streams, "WAIT_S", 0.05)
    app = opened("Yard")
    wait_until(lambda: shared("Yard").state.kind == OFFLINE)
    app.run()
    assert "Yard: It has been offline since" in texts(app) and "nothing answers at its address" in texts(app)
    assert "Mask" not in numbers(app) and PASSWORD not in texts(app)
    assert ask(app.session_state["live_ticket"])[0].status_code == 204


def test_a_ticket_is_worth_nothing_without_its_page_and_for_few_at_once(served, monkeypatch):
    assert ask("guessed")[0].status_code == 404 and ask(streams.new_ticket())[0].status_code == 404
    app = opened()
    ticket = app.session_state["live_ticket"]
    wait_until(lambda: shared().shows)
    codes = [answer.status_code for answer in ask(ticket, streams.MAX_AT_ONCE + 2)]
    assert sorted(codes) == [200] * streams.MAX_AT_ONCE + [429] * 2
    labelled(app.selectbox, "Camera").select("Your webcam").run()
    assert ask(ticket)[0].status_code == 404, "left"
    labelled(app.selectbox, "Camera").select("Entrance").run()
    assert ask(ticket)[0].status_code == 200
    monkeypatch.setattr(streams, "TICKET_S", 0.0)
    assert ask(ticket)[0].status_code == 404, "the page is gone"
    streams.renew("other", "Yard", False)
    assert list(streams._tickets) == ["other"]


def test_visitors_see_public_cameras_alone_always_blurred_and_choose_nothing(served, monkeypatch):
    operator = opened()
    monkeypatch.setenv("MASK_ACCESS", "public")
    monkeypatch.setattr("core.access._ask", lambda: Role.VISITOR)
    operator.run()
    assert not [box for box in operator.selectbox if box.label == "Camera"], "no longer an operator"
    assert ask(operator.session_state["live_ticket"])[0].status_code == 404
    monkeypatch.setenv("MASK_PUBLIC_CAMERAS", "Entrance")
    app = opened()
    assert labelled(app.selectbox, "Camera").options == ["Your webcam", "Entrance"]
    assert streams._tickets[app.session_state["live_ticket"]].blurred
    assert labelled(app.toggle, "Blur faces").disabled and "with blurred faces" in texts(app)
    assert {toggle.label for toggle in app.toggle} == {"Blur faces"}
    assert not {"Zone and line", "Alerts"} & {each.label for each in app.expander}


def test_what_operators_choose_is_the_same_for_all(served, monkeypatch):
    monkeypatch.setenv("MASK_ALERT_URLS", "json://127.0.0.1:9")
    first, second = opened(), opened()
    labelled(first.toggle, "Blur faces").set_value(True).run()
    tickets = [streams._tickets[app.session_state["live_ticket"]] for app in (first, second)]
    assert [ticket.blurred for ticket in tickets] == [True, False], "what is shown is everybody's own"
    assert labelled(first.checkbox, "The camera is lost").value and not module.choices_path().exists()
    labelled(first.checkbox, "Somebody without a mask in the zone").check().run()
    labelled(first.slider, "For more than so many seconds").set_value(7).run()
    labelled(first.toggle, "Send alerts outside").set_value(True).run()
    assert read_choices("Entrance").rules.no_mask_s == 7 and read_choices("Entrance").outside
    assert read_choices("Yard") == Choices()
    second.run()
    assert labelled(second.slider, "For more than so many seconds").value == 7
    labelled(second.checkbox, "The camera is lost").uncheck().run()
    first.run()
    assert not labelled(first.checkbox, "The camera is lost").value and shared().processor.alerts.rules.no_mask_s == 7

    place = Place(((0.1, 0.1), (0.9, 0.1), (0.9, 0.9)), ((0.0, 0.5), (1.0, 0.5)))
    shared().choose(Choices(place, shared().choices.rules))
    wait_until(lambda: shared().shows)
    labelled(first.button, "Draw").click().run()
    labelled(first.button, "Exchange in and out").click().run()
    assert read_choices("Entrance").place == place.turned() == shared().processor.place
    labelled(second.selectbox, "Camera").select("Yard").run()
    assert shared("Yard").processor.place == Place() and not first.exception and not second.exception

    labelled(first.toggle, "Keep a record").set_value(True).run()
    assert shared().records and "Counts are on the record" in texts(first)
    labelled(second.selectbox, "Camera").select("Entrance").run()
    assert labelled(second.toggle, "Keep a record").value
    labelled(second.toggle, "Keep a record").set_value(False).run()
    assert not shared().records


def test_with_the_record_always_on_cameras_start_with_the_app(served, monkeypatch):
    monkeypatch.setattr(start, "AFTER_S", 0.0)
    start.start_cameras()
    time.sleep(0.1)
    assert shared() is None, "nobody asked for a record"
    monkeypatch.setenv("MASK_RECORD", "on")
    start.start_cameras()
    wait_until(lambda: shared() and shared().records and shared("Yard").records)
    app = opened()
    toggle = labelled(app.toggle, "Keep a record")
    assert toggle.value and toggle.disabled and "Counts are on the record" in texts(app)


def test_a_still_of_one_camera_is_not_shown_with_another(served):
    app = opened()
    wait_until(lambda: shared().shows)
    labelled(app.button, "Draw").click().run()
    assert "Drag a rectangle" in texts(app)
    labelled(app.selectbox, "Camera").select("Yard").run()
    assert "Drag a rectangle" not in texts(app)


def test_without_cameras_the_page_is_that_of_the_webcam(monkeypatch):
    monkeypatch.delenv("MASK_CAMERAS", raising=False)
    app = AppTest.from_file(str(ROOT / "streamlit_app.py"), default_timeout=60).run()
    app.switch_page("pages/live.py").run()
    assert app.title[0].value == "Live webcam" and "Camera" not in [box.label for box in app.selectbox]


def test_a_camera_in_french(served):
    with using("fr"):  # also for what the test tool itself asks of options
        app = opened(language="fr")
        wait_until(lambda: shared().processor.moment().counts.people.counts == (1, 1, 0))
        app.run()
        assert app.title[0].value == "En direct" and not app.exception
        assert labelled(app.selectbox, "Caméra").options[0] == "Votre webcam"
        assert {each.label for each in app.expander} >= {"Zone et ligne", "Alertes"}
        for words in ("la méthode en service sur ce serveur", "images analysées par seconde", "| Session | 2 | 50"):
            assert words in texts(app)
