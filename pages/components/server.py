"""What stands between the network and Streamlit: headers for browsers, closed doors, and the limit of uploads."""

import base64
import hashlib
import re
import secrets
from pathlib import Path

import streamlit as st
from starlette.datastructures import MutableHeaders
from starlette.middleware import Middleware
from starlette.requests import Request, cookie_parser
from starlette.responses import FileResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from core.config import PUBLIC, limits, settings
from pages.components.compat import session_id
from pages.components.uploads import reserved, tell_refused

# Figures of the server, and Streamlit's way to drive the app by programs: no visitor needs them.
CLOSED = re.compile(r"/_stcore/(metrics|agent)(/|$)")
UPLOAD = re.compile(r"/_stcore/upload_file/([^/]+)/[^/]+$")
# Streamlit's own page has one script in it; with its digest no other one is let in.
INDEX = Path(st.__file__).parent / "static" / "index.html"


def content_policy() -> str:
    """What a browser may load for these pages, and from where: this server alone."""
    scripts = re.findall(r"<script>(.*?)</script>", INDEX.read_text(encoding="utf-8"), re.DOTALL)
    allowed = ["'self'"] + [
        f"'sha256-{base64.b64encode(hashlib.sha256(each.encode()).digest()).decode()}'" for each in scripts
    ]
    return "; ".join(
        [
            "default-src 'self'",
            f"script-src {' '.join(allowed)} blob:",  # the scripts of the gallery and the camera come as blobs
            "style-src 'self' 'unsafe-inline'",  # Streamlit and plotly write their styles from scripts
            "img-src 'self' data: blob:",
            "media-src 'self' blob:",
            "font-src 'self' data:",
            "connect-src 'self' data:",  # Streamlit's camera widget reads its own photo in this way
            "worker-src 'self' blob:",
            "object-src 'none'",
            "base-uri 'self'",
            "form-action 'self'",
            "frame-ancestors 'self'",
        ]
    )


HEADERS = {
    "Content-Security-Policy": content_policy(),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Permissions-Policy": "camera=(self), microphone=(), geolocation=(), payment=(), usb=()",
}

VISITOR = "mask_visitor"
"""The cookie by which a visitor's videos are found again after a reload; it says nothing and ends with the browser."""


class Guard:
    """Adds the headers to every answer, and refuses what visitors must not have."""

    def __init__(self, app: ASGIApp):
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers.update(HEADERS)
                if headers.get("content-type", "").startswith("text/html"):
                    headers["cache-control"] = (
                        "private, no-store"  # or a cache would hand one visitor's cookie to others
                    )
                    if not visitor_of(scope):
                        name = secrets.token_urlsafe(24)
                        headers.append("set-cookie", f"{VISITOR}={name}; Path=/; HttpOnly; SameSite=Lax")
            await send(message)

        if CLOSED.search(scope["path"]) and settings().access == PUBLIC:
            await PlainTextResponse("Not found", 404)(scope, receive, send_with_headers)
        elif scope["method"] == "PUT" and (upload := UPLOAD.search(scope["path"])):
            length = dict(scope["headers"]).get(b"content-length", b"")
            if not length.isdigit():
                await PlainTextResponse("Length required", 411)(scope, receive, send_with_headers)
                return
            with reserved(upload[1], int(length)) as refusal:
                answer = PlainTextResponse(limits().reached(refusal), 413) if refusal else self.app
                if refusal:
                    tell_refused(upload[1], await name_of_upload(receive), refusal)
                await answer(scope, receive, send_with_headers)
        else:
            await self.app(scope, receive, send_with_headers)


async def name_of_upload(receive: Receive) -> str:
    """How the visitor calls a file whose upload begins; empty if that is not said at once."""
    start = (await receive()).get("body", b"")[:2000]
    found = re.search(rb'filename="([^"\r\n]{1,255})"', start)
    return found[1].decode(errors="replace") if found else ""


def visitor_of(scope: Scope) -> str:
    """The name in the visitor's cookie; empty if there is none."""
    cookies = dict(scope["headers"]).get(b"cookie", b"").decode("latin-1")
    return cookie_parser(cookies).get(VISITOR, "")


def own_cookie() -> str:
    """The same for the visitor of the page that runs."""
    name = st.context.cookies.get(VISITOR)
    return name if isinstance(name, str) else ""  # no text where a page is tested without a browser


def visitor() -> str:
    """Who the visitor of the page that runs is: the browser with the cookie; this visit where cookies are refused."""
    return own_cookie() or session_id()


def who() -> str:
    """The same as a name that may be kept on the disk: nobody can make the cookie of it. Empty outside of a page."""
    return hashlib.sha256(name.encode()).hexdigest()[:32] if (name := visitor()) else ""


def address(page: str, path: str) -> str:
    """Where the browser of this page's visitor finds one of ``ROUTES``.

    Args:
        page: the last part of this page's own address.
        path: of the route.
    """
    return f"{(st.context.url or '').removesuffix('/').removesuffix(f'/{page}')}/{path}"


def video(request: Request) -> Response:
    """A visitor's own annotated video, part by part as players ask for it; with ``?download`` as a file to keep."""
    from pages.components.resources import video_shelf

    visitor = visitor_of(request.scope)
    found = video_shelf().find(visitor, request.path_params["key"]) if visitor else None
    if found is None or not found.annotated.is_file():
        return PlainTextResponse("Not found", 404)
    name = found.annotated.name if "download" in request.query_params else None
    return FileResponse(found.annotated, 200, {"Cache-Control": "private"}, "video/mp4", filename=name)


def photos(request: Request) -> Response:
    """A zip of a visitor's own annotated photos, made while it is sent."""
    from pages.components.resources import photo_sets

    found = photo_sets.get((visitor_of(request.scope), request.path_params["key"]))
    if found is None:
        return PlainTextResponse("Not found", 404)
    headers = {"Cache-Control": "private, no-store", "Content-Disposition": 'attachment; filename="faces.zip"'}
    return StreamingResponse(found.zip_file(), 200, headers, "application/zip")


def data_set(request: Request) -> Response:
    """The zip of a data set that this operator had made."""
    from pages.components.resources import set_zips

    found = set_zips.get((visitor_of(request.scope), request.path_params["key"]))
    if found is None or not found.is_file():
        return PlainTextResponse("Not found", 404)
    return FileResponse(found, 200, {"Cache-Control": "private, no-store"}, "application/zip", filename=found.name)


ROUTES = [Route("/videos/{key}", video), Route("/photos/{key}", photos), Route("/sets/{key}", data_set)]
MIDDLEWARE = [Middleware(Guard)]
