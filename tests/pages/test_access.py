"""Public mode, run as Streamlit runs it: what a visitor gets on every page, what an operator gets, what nobody sees."""

import json
import os
import tempfile
from itertools import count
from pathlib import Path
from types import SimpleNamespace

import pytest
import streamlit as st
import streamlit_webrtc
from streamlit.errors import StreamlitSecretNotFoundError
from streamlit.runtime.uploaded_file_manager import UploadedFile, UploadedFileRec
from streamlit.testing.v1 import AppTest

from core.access import Role, role
from core.config import OPEN, PUBLIC, settings
from core.config import limits as limits_of_now
from pages.components import access, uploads
from pages.components.messages import plain
from pages.components.resources import live_places
from pages.components.state import WEBCAM_SHOT
from tests.helpers import ROOT, texts, unescaped, write_class_folders

OLGA = {"is_logged_in": True, "email": "olga@example.org"}
VERA = {"is_logged_in": True, "email": "vera@example.org"}
MODELS = Path(os.environ["MASK_MODELS_DIR"])
CHANGES = ("Deploy", "Remove", "Roll back", "Delete", "Measure")


@pytest.fixture
def as_person(tmp_path, monkeypatch):
    """Opens a page in public mode as the user whom the login names."""
    monkeypatch.setenv("MASK_ACCESS", "public")
    monkeypatch.setenv("MASK_OPERATORS", "olga@example.org")
    monkeypatch.setenv("MASK_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("MASK_RUNS_DIR", str(tmp_path / "runs"))
    write_class_folders(tmp_path / "data" / "private", per_class=2)

    def go(person: dict, page: str | None = None) -> AppTest:
        monkeypatch.setattr(access, "person", lambda: person)
        app = AppTest.from_file(str(ROOT / "streamlit_app.py"), default_timeout=60).run()
        if page:
            app.switch_page(f"pages/{page}.py").run()
        assert not app.exception
        return app

    yield go
    monkeypatch.undo()
    access.start()
    assert role() == Role.OPERATOR


def rerun(app: AppTest) -> AppTest:
    """Run the whole app again; AppTest itself takes a page for the older kind that runs alone."""
    if "part_of_the_app" in app.session_state:
        del app.session_state["part_of_the_app"]
    return app.run()


def test_how_it_works_is_for_everybody(as_person):
    app = as_person({}, "how_it_works")
    assert app.title[0].value == "How it works" and app.image and not app.error


@pytest.mark.parametrize("person", [{}, VERA], ids=["nobody", "not in the list"])
@pytest.mark.parametrize("page", ["datasets", "synthetic", "training"])
def test_an_operators_page_is_not_there_for_a_visitor_and_shows_nothing_by_itself(as_person, person, page):
    app = as_person(person, "model")
    with pytest.raises(ValueError, match="Could not find a navigation page"):
        app.switch_page(f"pages/{page}.py")
    alone = AppTest.from_file(str(ROOT / "pages" / f"{page}.py"), default_timeout=60)
    alone.session_state["part_of_the_app"] = True
    alone.run()
    assert [error.value for error in alone.error] == ["This page is for operators of this server; log in as one."]
    assert len(alone.main) == 1


def test_the_first_page_leads_a_visitor_to_what_there_is(as_person):
    app = as_person({})
    assert [link.proto.page for link in app.get("page_link")] == [*("live", "photo", "video", "how_it_works")]
    assert "data set" not in texts(app)
    assert len(as_person(OLGA).get("page_link")) == 7


def test_the_model_page_is_read_only_for_visitors(as_person):
    def changes(app: AppTest) -> set[str]:
        return {word for word in CHANGES for button in app.button if word in button.label}

    app = as_person({}, "model")
    assert "Active" in texts(app) and app.dataframe
    assert changes(app) == set()
    assert "Measure" in changes(as_person(OLGA, "model"))


def test_an_operator_has_every_page_and_is_told_of_wrong_settings(as_person, monkeypatch):
    monkeypatch.setenv("MASK_DATA_GB", "plenty")
    app = as_person(OLGA, "datasets")
    assert "must be a number from 0.001" in texts(app)
    assert "Delete private" in [unescaped(button.label) for button in app.button]
    assert "must be a number" not in texts(as_person({})), "visitors need not know"


def test_who_is_logged_in_is_said(as_person):
    words = {person["email"]: unescaped(as_person(person).sidebar.caption[0].value) for person in (OLGA, VERA)}
    assert "as an operator" in words["olga@example.org"] and "none of an operator" in words["vera@example.org"]


def test_without_a_configured_login_there_is_no_button(as_person, monkeypatch):
    assert not as_person({}).button
    monkeypatch.setattr(access, "secrets", lambda: {"auth": {"client_id": "a", "entra": {"client_id": "b"}, "x": "y"}})
    assert [button.label for button in as_person({}).button] == ["Log in", "Log in with entra"]


def test_a_login_that_is_set_up_halfway_gets_a_sentence():
    def page():
        from pages.components.access import log_in

        log_in("default")

    app = AppTest.from_function(page)
    app.secrets["auth"] = {"client_id": "a", "redirect_uri": "http://localhost/oauth2callback"}
    assert [error.value for error in app.run().error] == [
        "The login is not set up completely; ask who runs this server."
    ]


def test_secrets_that_are_broken_let_nobody_in(as_person, monkeypatch):
    class Broken:
        def to_dict(self):
            raise StreamlitSecretNotFoundError("{path}", path="/srv/masks/secrets.toml", error_id="failed-parsing")

    monkeypatch.delenv("MASK_ACCESS")
    access.start()
    assert settings().access == OPEN
    monkeypatch.setattr(st, "secrets", Broken())
    assert settings().access == PUBLIC
    assert "/srv" not in "".join(settings().problems)
    assert access.providers() == [] and access.visitors_role() == Role.VISITOR


def test_live_video_has_so_many_places(as_person, monkeypatch):
    made = []

    def streamer(**arguments):
        made.append(arguments)
        return SimpleNamespace(state=SimpleNamespace(playing=False))

    monkeypatch.setattr(streamlit_webrtc, "webrtc_streamer", streamer)
    monkeypatch.setenv("MASK_LIVE_VIEWERS", "1")
    assert live_places().take("somebody else")
    try:
        app = as_person({}, "live")
        assert not made and "All places for live video (1) are taken" in texts(app)
        live_places().leave("somebody else")
        app.run()
        assert made and "Press **Start**" in texts(app)
    finally:
        live_places().leave("somebody else")


def test_uploads_are_dropped_when_idle(as_person, monkeypatch):
    held, clock = [3], count(0, 7200)
    monkeypatch.setattr(uploads, "held_uploads", lambda session="": held)
    monkeypatch.setattr(uploads, "forget_uploads", lambda session: held.clear())
    app = as_person({}, "photo")
    assert held and "without use" not in texts(app), "not while somebody is here"
    file = UploadedFile(UploadedFileRec("1", "a.jpg", "image/jpeg", b"photo"), None)
    app.session_state["one"], app.session_state["several"], app.session_state["other"] = file, [file], "stays"
    app.session_state[WEBCAM_SHOT] = "a portrait"
    monkeypatch.setattr(uploads, "time", SimpleNamespace(monotonic=lambda: next(clock)))
    rerun(app)
    assert [key for key in ("one", "several", WEBCAM_SHOT, "other") if key in app.session_state] == ["other"]
    assert not held and "removed from the server after 30 minutes" in texts(app)
    rerun(app)
    assert "removed from the server" not in texts(app), "said once"


class TestUploads:
    """What one visitor may have in memory, uploads on their way included."""

    @pytest.fixture(autouse=True)
    def limits(self, monkeypatch):
        monkeypatch.setenv("MASK_UPLOAD_MB", "2")
        monkeypatch.setenv("MASK_UPLOAD_FILES", "3")
        self.held, self.others, self.told = [], [], []
        monkeypatch.setattr(uploads, "held_uploads", lambda session="": self.held + self.others * (not session))
        monkeypatch.setattr(uploads, "rerun_session", self.told.append)
        yield
        uploads._refused.clear()
        assert not uploads._on_the_way

    def test_bytes(self):
        with uploads.reserved("a", 1_500_000) as refusal:
            assert not refusal
            with uploads.reserved("a", 1_500_000) as second:
                assert second == "upload_mb" and "larger than the 2 MB" in limits_of_now().reached(second)
            with uploads.reserved("b", 1_500_000) as other:
                assert not other, "each has their own"
        self.held = [1_500_000]
        with uploads.reserved("a", 1_500_000) as refusal:
            assert refusal == "upload_mb"
        uploads.tell_refused("a", "my *photo*.jpg", refusal)
        assert self.told == ["a"] and uploads._refused["a"] == [("my *photo*.jpg", "upload_mb")]

    def test_the_page_says_so(self, monkeypatch):
        def page():
            from pages.components.uploads import watch_uploads

            watch_uploads()

        monkeypatch.setattr(uploads, "session_id", lambda: "a")
        uploads.tell_refused("a", "my *photo*.jpg", "upload_mb")
        (note,) = AppTest.from_function(page).run().warning
        assert "2 MB" in note.value and r"**my \*photo\*\.jpg**" in note.value

    def test_files(self):
        self.held = [1, 1, 1]
        with uploads.reserved("a", 1) as refusal:
            assert "uploaded the 3 files" in limits_of_now().reached(refusal)

    def test_all_visitors_together(self, monkeypatch):
        monkeypatch.setenv("MASK_ALL_UPLOADS_MB", "4")
        self.others = [2_000_000]
        with uploads.reserved("a", 1_500_000) as refusal:
            assert not refusal
            with uploads.reserved("b", 1_500_000) as other:
                assert "memory for uploads (4 MB) is full" in limits_of_now().reached(other)

    def test_a_file_of_exactly_the_limit(self):
        with uploads.reserved("a", 2 * uploads.MB + 300) as refusal:
            assert not refusal


# No path of the server


def everything(app: AppTest) -> str:
    return json.dumps(repr(app.main) + repr(app.sidebar))


@pytest.mark.parametrize("page", [None, "photo", "live", "model"])
@pytest.mark.parametrize("damage", ["card", "no card", "network", "in_use", "scores"])
def test_no_path_of_the_server_is_shown_whatever_is_damaged(as_person, page, damage, monkeypatch):
    file = MODELS / {
        "card": "mask-detector.json",
        "no card": "mask-detector.json",
        "network": json.loads((MODELS / "mask-detector.json").read_text())["file"],
        "in_use": "in_use.json",
        "scores": "scores/ilc2021-test-completed.json",
    }.get(damage)
    before = file.read_bytes() if file.is_file() else None
    try:
        file.unlink(missing_ok=True)
        if damage != "no card":
            file.write_bytes(b"\x00no such thing")
        st.cache_resource.clear()
        st.cache_data.clear()
        monkeypatch.setattr(access, "person", dict)
        app = AppTest.from_file(str(ROOT / "streamlit_app.py"), default_timeout=60).run()
        if page:
            app.switch_page(f"pages/{page}.py").run()
        shown = everything(app)
    finally:
        file.write_bytes(before) if before else file.unlink(missing_ok=True)
        st.cache_resource.clear()
        st.cache_data.clear()
    for path in (MODELS, ROOT, tempfile.gettempdir()):
        assert str(path) not in shown


def test_a_message_loses_the_servers_folders(monkeypatch, tmp_path):
    monkeypatch.setenv("MASK_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("MASK_ALLOWED_DIRS", "/srv/pictures")
    for text, expected in {
        f"{tmp_path}/data/set/a.xml is broken": "set/a.xml is broken",
        f"Permission denied: '{ROOT}/models/a.json'": "Permission denied: 'models/a.json'",
        "below /srv/pictures": "below pictures",
        f"{tempfile.gettempdir()}/abc/model": "abc/model",
        "and/or: 3 / 4": "and/or: 3 / 4",
    }.items():
        assert unescaped(plain(text)) == expected
    assert unescaped(plain("below /srv/pictures", hide_paths=False)) == "below /srv/pictures"
