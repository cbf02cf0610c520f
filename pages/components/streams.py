"""The pictures of network cameras, for the browsers of those who may see them.

A page gives its visitor a ticket, an address that nobody can guess, and renews it for as long as it is shown and the
visitor may see the camera. The browser asks for one picture after another: each is the newest, however slow the way.
"""

import asyncio
import secrets
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import streamlit as st
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from core.language import current, tr

TICKET_S = 10.0
"""Without its page a ticket is worth nothing after so long."""
WAIT_S = 2.0
"""So long a request waits for a newer picture."""
LOOK_S = 0.01
MAX_AT_ONCE = 3
"""Requests with the same ticket."""


@dataclass
class Ticket:
    """Who sees what."""

    camera: str
    blurred: bool
    language: str
    renewed_s: float
    at_once: int = 0


_tickets: dict[str, Ticket] = {}
_lock = threading.Lock()
# They encode; a core or two are enough for that.
_threads = ThreadPoolExecutor(2, "camera-picture")


def new_ticket() -> str:
    """A ticket that is worth nothing yet."""
    return secrets.token_urlsafe(24)


def renew(token: str, camera: str, blurred: bool) -> None:
    """For the next seconds, who has this ticket sees this camera; the caller knows that they may."""
    now = time.monotonic()
    with _lock:
        for old in [each for each, ticket in _tickets.items() if now - ticket.renewed_s > TICKET_S]:
            del _tickets[old]
        ticket = _tickets.setdefault(token, Ticket(camera, blurred, current(), now))
        ticket.camera, ticket.blurred, ticket.language, ticket.renewed_s = camera, blurred, current(), now


def withdraw(token: str) -> None:
    """The ticket is worth nothing from now on."""
    with _lock:
        _tickets.pop(token, None)


def _valid(token: str) -> Ticket | None:
    ticket = _tickets.get(token)
    return ticket if ticket and time.monotonic() - ticket.renewed_s <= TICKET_S else None


async def picture(request: Request) -> Response:
    """The newest picture of a camera, once there is another one than ``?after=``; 204 if none comes."""
    from pages.components.resources import network_cameras

    token = request.path_params["ticket"]
    ticket = _valid(token)
    if ticket is None:
        return PlainTextResponse("Not found", 404)
    if ticket.at_once >= MAX_AT_ONCE:
        return PlainTextResponse("Too many requests", 429)
    ticket.at_once += 1
    try:
        after, end = request.query_params.get("after", ""), time.monotonic() + WAIT_S
        while time.monotonic() < end:
            camera = network_cameras().running(ticket.camera)
            if camera and camera.shows and str(camera.number) != after:
                loop = asyncio.get_running_loop()
                found = await loop.run_in_executor(_threads, camera.picture, ticket.blurred, ticket.language)
                if found and _valid(token):
                    headers = {"Cache-Control": "no-store", "Picture": str(found[0])}
                    return Response(found[1], headers=headers, media_type="image/jpeg")
            await asyncio.sleep(LOOK_S)
        return Response(status_code=204, headers={"Cache-Control": "no-store"})
    finally:
        ticket.at_once -= 1


ROUTES = [Route("/cameras/{ticket}", picture)]


@cache
def _part(suffix: str) -> str:
    return Path(__file__).with_suffix(suffix).read_text(encoding="utf-8")


def show_stream(ticket: str, alt: str) -> None:
    """The moving picture that a ticket is for.

    Args:
        ticket: as ``renew`` keeps it.
        alt: what is to be seen, for those who do not see it.
    """
    html = "<figure><img hidden><p role='status'></p><button type='button' hidden></button></figure>"
    show = st.components.v2.component("camera_stream", html=html, css=_part(".css"), js=_part(".js"))
    show(
        key="camera_stream",
        data={"ticket": ticket, "alt": alt, "full": tr("Full screen"), "none": tr("No picture at the moment.")},
    )
