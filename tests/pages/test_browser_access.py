"""Public mode in a real browser: what visitors get, and the login with a provider that the test serves."""

import urllib.error
import urllib.request

import pytest

from tests.helpers import app_server, free_port
from tests.pages import oidc

pytestmark = pytest.mark.browser

PEOPLE = {
    "Olga": {"email": "olga@example.org", "email_verified": True},
    "Vera": {"email": "vera@example.com", "email_verified": True},
    "Mallory": {"email": "olga@example.org", "email_verified": False},
}
OPERATORS_PAGES = ("Data sets", "Synthetic masks", "Training")


@pytest.fixture(scope="module")
def server_url(tmp_path_factory):
    """The app in public mode, with one operator and small limits."""
    home, port = tmp_path_factory.mktemp("public"), free_port()
    with oidc.serve(PEOPLE) as provider:
        limits = "[limits]\nupload_mb = 1\nidle_minutes = 10\n"
        head = 'access = "public"\noperators = ["olga@example.org"]\n'
        file = home / "secrets.toml"
        file.write_text(head + limits + oidc.secrets_toml(provider, f"http://127.0.0.1:{port}"))
        folders = {"MASK_DATA_DIR": str(home / "data"), "MASK_RUNS_DIR": str(home / "runs")}
        with app_server(folders, "--secrets.files", str(file), port=port) as url:
            yield url


def log_in(page, name: str) -> None:
    page.get_by_role("button", name="Log in").click()
    page.get_by_role("link", name=name).click()
    page.get_by_text("Logged in as").wait_for()


def pages_shown(page) -> set[str]:
    page.get_by_role("link", name="Photo", exact=True).wait_for()
    return {name for name in OPERATORS_PAGES if page.get_by_role("link", name=name, exact=True).count()}


def test_a_visitor_gets_photo_live_and_model_alone(open_page):
    page = open_page("model")
    page.get_by_role("heading", name="Models on this server").wait_for()
    page.get_by_text("The whole model card").wait_for()
    assert not page.get_by_role("button", name="Deploy").count()
    assert pages_shown(page) == set()
    page = open_page("datasets")  # by its address
    page.get_by_role("heading", name="Who wears a face mask?").wait_for()
    assert not page.get_by_text("There is no data set on this server yet").count()


def test_an_operator_logs_in_and_out(open_page):
    page = open_page("")
    assert pages_shown(page) == set()
    log_in(page, "Olga")
    page.get_by_role("link", name="Training", exact=True).wait_for()
    assert pages_shown(page) == set(OPERATORS_PAGES)
    # The start page has a link of that name, too, once all of it is there.
    page.get_by_test_id("stSidebarNav").get_by_role("link", name="Data sets", exact=True).click()
    page.get_by_role("button", name="Make the demonstration set").click()
    page.get_by_text("is here:").wait_for()  # the work beside the page may do it too
    page.get_by_role("button", name="Log out").click()
    page.get_by_role("button", name="Log in").wait_for()
    assert pages_shown(page) == set()


@pytest.mark.parametrize("name", ["Vera", "Mallory"])
def test_who_is_no_operator_stays_a_visitor(open_page, name):
    page = open_page("")
    log_in(page, name)
    page.get_by_text("none of an operator").wait_for()
    assert pages_shown(page) == set()


def test_uploads_beyond_the_limit_are_refused_with_a_sentence(open_page):
    page = open_page("photo")
    field = page.locator("input[type=file]")
    field.wait_for(state="attached")
    field.set_input_files([{"name": "large.jpg", "mimeType": "image/jpeg", "buffer": bytes(1_200_000)}])
    page.get_by_text("larger than the 1 MB that this server keeps").wait_for()


def test_headers_and_closed_doors(server_url):
    with urllib.request.urlopen(server_url, timeout=20) as answer:
        assert "frame-ancestors 'self'" in answer.headers["Content-Security-Policy"]
        assert "unsafe-eval" not in answer.headers["Content-Security-Policy"]
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert answer.headers["Referrer-Policy"] == "same-origin"
        assert "camera=(self)" in answer.headers["Permissions-Policy"]
    for path in ("metrics", "metrics/", "agent/openapi.json"):
        with pytest.raises(urllib.error.HTTPError, match="404") as refused:
            urllib.request.urlopen(f"{server_url}/_stcore/{path}", timeout=20)
        assert refused.value.headers["X-Content-Type-Options"] == "nosniff"
    with urllib.request.urlopen(f"{server_url}/_stcore/health", timeout=20) as answer:
        assert answer.read() == b"ok"
