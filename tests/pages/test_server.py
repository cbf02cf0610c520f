"""What stands between the network and Streamlit."""

import asyncio
import gc
import io
import re
import zipfile

import httpx
import pytest
from starlette.applications import Starlette

from core.vision.photos import PhotoSet
from pages.components.resources import photo_sets
from pages.components.server import ROUTES, VISITOR, Guard, visitor_of
from tests.helpers import StubPipeline, picture_bytes


def headers_of(content_type: str, cookie: str = "") -> list[str]:
    """The cookies that an answer of this type sets."""

    async def app(scope, receive, send):
        await send(
            {"type": "http.response.start", "status": 200, "headers": [(b"content-type", content_type.encode())]}
        )

    sent = []

    async def send(message):
        sent.append(message)

    scope = {"type": "http", "path": "/video", "method": "GET", "headers": [(b"cookie", cookie.encode())]}
    asyncio.run(Guard(app)(scope, None, send))
    found = [value.decode() for name, value in sent[0]["headers"] if name == b"set-cookie"]
    assert not found or (b"cache-control", b"private, no-store") in sent[0]["headers"], "no cache shares it"
    return found


def test_a_visitor_gets_one_name_which_no_script_can_read_and_nobody_guess():
    first, second = (headers_of("text/html; charset=utf-8") for _ in range(2))
    assert len(first) == 1 and first != second
    assert re.fullmatch(rf"{VISITOR}=[\w-]{{32}}; Path=/; HttpOnly; SameSite=Lax", first[0])
    assert headers_of("text/html", f"theme=dark; {VISITOR}=abc") == []
    assert headers_of("application/json") == []


@pytest.mark.parametrize(
    ("cookie", "name"),
    [("", ""), ("theme=dark", ""), (f"{VISITOR}=abc", "abc"), (f"a=1; {VISITOR}=abc; b=2", "abc"), (";;=;\xff", "")],
)
def test_the_visitor_is_read_from_the_cookie(cookie, name):
    assert visitor_of({"headers": [(b"cookie", cookie.encode("latin-1"))]}) == name
    assert visitor_of({"headers": []}) == ""


def test_a_zip_of_photos_is_its_visitors_alone_and_goes_with_their_page():
    photos = PhotoSet()
    photos.show([("a", "a.png", lambda: picture_bytes(size_wh=(300, 300)))])
    photos.classify(StubPipeline(), 1)
    photos.chosen, key = ("a",), photos.key
    photo_sets["me", key] = photos

    def ask(cookie):
        async def one():
            async with httpx.AsyncClient(transport=httpx.ASGITransport(Starlette(routes=ROUTES))) as client:
                headers = {"Cookie": f"{VISITOR}={cookie}"} if cookie else {}
                return await client.get(f"http://test/photos/{key}", headers=headers)

        return asyncio.run(one())

    assert [ask(cookie).status_code for cookie in ("you", "")] == [404, 404]
    answer = ask("me")
    assert answer.headers["content-disposition"] == 'attachment; filename="faces.zip"'
    assert "no-store" in answer.headers["cache-control"]
    assert zipfile.ZipFile(io.BytesIO(answer.content)).namelist() == ["a.png.jpg"]
    del photos, answer
    gc.collect()
    assert ask("me").status_code == 404
