import asyncio
import time

import httpx
import pytest
from starlette.applications import Starlette

from core.config import MIN_TOKEN, read_settings
from core.synthetic.sample import SAMPLE_PATH, sample_photo
from core.video.film import COLUMNS as FILM_COLUMNS
from core.video.film import PEOPLE_COLUMNS, FilmResult, summary
from core.vision.images import encode_image, turn_frame
from core.vision.tables import COLUMNS
from pages.components import api, resources
from tests.helpers import StubPipeline, wait_until
from tests.video.films import film
from tests.video.test_film import find_squares, walkers

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
        answer = ask(min(route.methods - {"HEAD"}), route.path.replace("{id}", "x"))
        assert answer.status_code == 404, route.path
    assert bool(read_settings({}, {"MASK_API_TOKEN": token}).problems) == bool(token)
    assert read_settings({"api_token": "x" * MIN_TOKEN}, {}).api_token and TOKEN not in repr(read_settings({}))


@pytest.mark.parametrize("sent", [None, "", "Bearer", "Bearer wrong", f"Basic {TOKEN}", f"Bearer {TOKEN}x", "Bearer ä"])
def test_only_the_token_opens_it(sent):
    headers = {} if sent is None else {"Authorization": sent.encode()}
    closed = [("GET", "/api/v1/model"), ("GET", "/metrics"), ("POST", "/api/v1/detect"), ("DELETE", "/api/v1/video/x")]
    for method, path in closed:
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


def test_the_description_names_every_way_in_and_every_field(shelf):
    told = ask("GET", "/api/v1/openapi.json", {}).json()
    routes = {(route.path, method.lower()) for route in api.ROUTES for method in route.methods - {"HEAD"}}
    assert routes == {(path, method) for path, entry in told["paths"].items() for method in entry}
    assert tuple(told["components"]["schemas"]["Face"]["properties"]) == COLUMNS
    told_schemas = told["components"]["schemas"]
    assert told_schemas["Video"]["properties"].keys() == send_video(film(walkers())).json().keys()
    result = summary(FilmResult((1, 1)))
    assert told_schemas["VideoResult"]["properties"].keys() == result.keys()
    assert told_schemas["VideoResult"]["properties"]["video"]["properties"].keys() == result["video"].keys()
    people = told_schemas["VideoResult"]["properties"]["people"]["items"]["properties"]
    assert tuple(people) == PEOPLE_COLUMNS and tuple(told_schemas["VideoFace"]["properties"]) == FILM_COLUMNS
    assert told_schemas["Model"]["properties"].keys() == ask("GET", "/api/v1/model").json().keys()


# Videos


class Squares(StubPipeline):
    def __call__(self, frame_bgr, settings=None):
        return find_squares(frame_bgr)


@pytest.fixture
def shelf(tmp_path, monkeypatch):
    monkeypatch.setenv("MASK_VIDEOS_DIR", str(tmp_path))
    monkeypatch.setattr(resources, "load_pipeline", lambda method, version: Squares())
    monkeypatch.setattr(api, "videos", set())
    resources.video_shelf.cache_clear()
    yield resources.video_shelf()
    resources.video_shelf.cache_clear()


def send_video(content, **options):
    return ask("POST", "/api/v1/video", content=content, **options)


def finished(address):
    """The state of a video at the end."""
    wait_until(lambda: ask("GET", address).json()["state"] != "running")
    return ask("GET", address).json()


def folders(path):
    return [each for each in path.iterdir() if each.is_dir()]


def test_a_video_is_taken_analysed_handed_out_and_deleted(shelf, tmp_path):
    answer = send_video(film(walkers()), params={"name": "walk.mp4", "annotate": "true"})
    address, told = answer.headers["Location"], answer.json()
    assert answer.status_code == 202 and told["name"] == "walk.mp4" and address.endswith(f"/{told['id']}")
    assert len(told["id"]) >= 32 and "result" in told and told["error"] == ""
    done = finished(address)
    assert done["state"] == "done" and done["progress"] == 1.0
    assert [person["result"] for person in done["result"]["people"]].count("with_mask") == 1
    assert len(done["result"]["people"]) == 3 and done["result"]["video"]["frames"] > 10
    whole = ask("GET", f"{address}/result").json()
    assert whole["detections"] and {key: whole[key] for key in done["result"]} == done["result"]
    video = ask("GET", f"{address}/film")
    assert video.headers["content-type"] == "video/mp4" and video.content[4:8] == b"ftyp"
    assert ask("DELETE", address).status_code == 204 and not folders(tmp_path)
    assert [ask(method, address).status_code for method in ("GET", "DELETE")] == [404, 404]
    figures = ask("GET", "/metrics").text
    assert 'path="/api/v1/video/{id}",status="200"' in figures and told["id"] not in figures


def test_without_the_wish_there_is_no_video_with_boxes(shelf):
    address = send_video(film(walkers())).headers["Location"]
    assert finished(address)["state"] == "done"
    answer = ask("GET", f"{address}/film")
    assert answer.status_code == 404 and "annotate=true" in answer.json()["error"]


def test_the_faces_of_a_video_are_blurred_on_request(shelf):
    send_video(film(walkers()), params={"blur": "true"})
    (key,) = api.videos
    assert shelf.videos(key)[0].blur


def test_what_is_no_video_fails_in_a_sentence(shelf):
    told = finished(send_video(b"no video" * 100).headers["Location"])
    assert told["state"] == "failed" and "not a video that can be read" in told["error"] and told["result"] is None


def test_a_video_that_is_too_large_is_refused_and_leaves_nothing(shelf, tmp_path, monkeypatch):
    monkeypatch.setenv("MASK_VIDEO_MB", "1")

    async def parts():
        for _ in range(3):
            yield bytes(500_000)

    for content in (bytes(1_500_000), parts()):
        answer = send_video(content)
        assert answer.status_code == 413 and "1 MB on this server" in answer.json()["error"]
    assert not folders(tmp_path) and api.receiving == 0 and not api.videos


def test_programs_have_as_many_videos_as_a_visitor(shelf, monkeypatch):
    monkeypatch.setenv("MASK_VISITOR_VIDEOS", "1")
    address = send_video(film(walkers())).headers["Location"]
    answer = send_video(film(walkers()))
    assert answer.status_code == 429 and "delete one first" in answer.json()["error"]
    assert answer.headers["Retry-After"] == "60"
    ask("DELETE", address)
    assert send_video(film(walkers())).status_code == 202


def test_a_video_that_does_not_come_leaves_nothing(shelf, tmp_path, monkeypatch):
    monkeypatch.setattr(api, "BODY_S", 0.05)

    async def slow():
        yield b"some"
        await asyncio.sleep(5)

    assert send_video(slow()).status_code == 408 and not folders(tmp_path) and api.receiving == 0


def test_where_the_disk_is_full_a_video_is_refused(shelf, tmp_path, monkeypatch):
    monkeypatch.setenv("MASK_VIDEOS_GB", "0.001")
    (tmp_path / "full").write_bytes(bytes(1_100_000))
    answer = send_video(film(walkers()))
    assert answer.status_code == 503 and "is used up" in answer.json()["error"] and not folders(tmp_path)


def test_a_video_goes_when_nobody_asks_for_it_and_no_visitor_sees_it(shelf, monkeypatch):
    address = send_video(film(walkers())).headers["Location"]
    finished(address)
    assert not shelf.videos("a visitor")
    now = time.monotonic()
    shelf._clock = lambda: now + 31 * 60
    shelf.drop_left()
    assert ask("GET", address).status_code == 404 and send_video(film(walkers())).status_code == 202
    assert len(api.videos) == 1, "only those that are there count"


def test_a_visitors_own_video_is_nothing_to_programs(shelf):
    shelf.add("visitor", "own.mp4", lambda path: path.write_bytes(film(walkers())), find_squares)
    assert ask("GET", "/api/v1/video/visitor").status_code == 404
