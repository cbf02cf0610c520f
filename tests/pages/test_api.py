import asyncio
import time

import httpx
import pytest
from starlette.applications import Starlette

from core.config import MIN_TOKEN, read_settings
from core.synthetic.sample import SAMPLE_PATH, sample_photo
from core.vision.images import encode_image, turn_frame
from core.vision.tables import COLUMNS
from pages.components import api

TOKEN = "a-token-of-the-tests"
WITH_TOKEN = {"Authorization": f"Bearer {TOKEN}"}
PHOTO = SAMPLE_PATH.read_bytes()
app = Starlette(routes=api.ROUTES)


@pytest.fixture(autouse=True)
def open_door(monkeypatch):
    monkeypatch.setenv("MASK_API_TOKEN", TOKEN)
    monkeypatch.setattr(api, "rate", api.Rate())


def ask(method, path, headers=WITH_TOKEN, **options):
    """The answer to one request."""

    async def one():
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test") as client:
            return await client.request(method, path, headers=headers, **options)

    return asyncio.run(one())


def send(content, **options):
    return ask("POST", "/api/v1/detect", content=content, **options)


def test_a_photo_gives_the_json_of_the_photo_page():
    answer = send(encode_image(sample_photo(masked=True)), params={"name": "me.jpg"})
    assert answer.status_code == 200 and answer.headers["content-type"] == "application/json"
    (face,) = answer.json()
    assert tuple(face) == COLUMNS and (face["photo"], face["result"]) == ("me.jpg", "with_mask")
    assert answer.headers["Quarters-Turned"] == "0"
    assert send(encode_image(turn_frame(sample_photo(masked=True), 2))).headers["Quarters-Turned"] == "2"


@pytest.mark.parametrize("token", ["", "short"])
def test_without_a_good_token_on_the_server_there_is_no_door(monkeypatch, token):
    monkeypatch.setenv("MASK_API_TOKEN", token)
    for route in api.ROUTES:
        answer = ask(min(route.methods - {"HEAD"}), route.path)
        assert answer.status_code == 404, route.path
    assert bool(read_settings({}, {"MASK_API_TOKEN": token}).problems) == bool(token)
    assert read_settings({"api_token": "x" * MIN_TOKEN}, {}).api_token and TOKEN not in repr(read_settings({}))


@pytest.mark.parametrize("sent", [None, "", "Bearer", "Bearer wrong", f"Basic {TOKEN}", f"Bearer {TOKEN}x", "Bearer ä"])
def test_only_the_token_opens_it(sent):
    headers = {} if sent is None else {"Authorization": sent.encode()}
    for method, path in (("GET", "/api/v1/model"), ("GET", "/metrics"), ("POST", "/api/v1/detect")):
        answer = ask(method, path, headers)
        assert answer.status_code == 401 and answer.headers["WWW-Authenticate"] == "Bearer"
    assert ask("GET", "/health", headers).json() == {"status": "ok"}


def test_what_is_no_photo_or_too_large_is_refused_in_a_sentence(monkeypatch):
    answer = send(b"no photo")
    assert answer.status_code == 422 and "not an image" in answer.json()["error"]
    monkeypatch.setenv("MASK_API_MB", "0.01")

    async def parts():
        for i in range(0, len(PHOTO), 5000):
            yield PHOTO[i : i + 5000]

    for content in (PHOTO, parts()):  # with its length, and without
        answer = send(content)
        assert answer.status_code == 413 and "0.01 MB at most" in answer.json()["error"]
    assert api.in_work == 0


def test_more_photos_than_a_minute_may_bring_wait(monkeypatch):
    monkeypatch.setenv("MASK_API_PER_MINUTE", "2")
    codes = [send(b"no").status_code for _ in range(3)]
    assert codes == [422, 422, 429]
    answer = send(b"no")
    assert 25 <= int(answer.headers["Retry-After"]) <= 30
    now = time.monotonic()
    monkeypatch.setattr(api.time, "monotonic", lambda: now + 31)
    assert send(b"no").status_code == 422


def test_fifty_at_once_are_served_or_told_to_wait(monkeypatch):
    monkeypatch.setenv("MASK_API_AT_ONCE", "4")

    async def crowd():
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test") as client:
            asked = (client.post("/api/v1/detect", content=PHOTO, headers=WITH_TOKEN) for _ in range(50))
            return await asyncio.gather(*asked)

    answers = asyncio.run(crowd())
    codes = [answer.status_code for answer in answers]
    assert codes.count(200) == 4 and codes.count(503) == 46 and api.in_work == 0
    assert all(answer.headers.get("Retry-After") == "1" for answer in answers if answer.status_code == 503)


def test_a_photo_that_does_not_come_gives_its_place_back(monkeypatch):
    monkeypatch.setattr(api, "BODY_S", 0.05)

    async def slow():
        yield PHOTO[:100]
        await asyncio.sleep(5)

    assert send(slow()).status_code == 408 and api.in_work == 0


def test_model_and_figures():
    told = ask("GET", "/api/v1/model").json()
    assert told["pipeline"] == "neural" and told["preset"] == "thorough" and "with_mask" in told["classes"]
    send(PHOTO)
    text = ask("GET", "/metrics").text
    for line in (
        'mask_api_answers_total{path="/api/v1/detect",status="200"}',
        'mask_api_faces_total{result="without_mask"}',
    ):
        assert line in text
    assert "process_resident_memory_bytes" in text and "mask_api_photo_seconds_count" in text


def test_the_description_names_every_way_in_and_every_field():
    told = ask("GET", "/api/v1/openapi.json", {}).json()
    routes = {(route.path, method.lower()) for route in api.ROUTES for method in route.methods - {"HEAD"}}
    assert routes == {(path, method) for path, entry in told["paths"].items() for method in entry}
    assert tuple(told["components"]["schemas"]["Face"]["properties"]) == COLUMNS
    assert told["components"]["schemas"]["Model"]["properties"].keys() == ask("GET", "/api/v1/model").json().keys()
