"""The door for programs: a photo in, its faces as JSON out; a video in, a job that analyses it.

Closed unless the operator sets ``MASK_API_TOKEN``. A video lies on the visitors' shelf, as one of a visitor whom nobody
can guess: it waits its turn among theirs, and goes when nobody has asked for it in a while.
"""

import asyncio
import hmac
import json
import logging
import math
import secrets
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from functools import partial, wraps
from pathlib import Path
from typing import TYPE_CHECKING

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector
from prometheus_client.exposition import generate_latest
from starlette.requests import ClientDisconnect, Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import Route

from core.config import Limits, settings
from core.io import disk_sentence
from core.jobs import UNEXPECTED

if TYPE_CHECKING:
    from core.video.shelf import Video

log = logging.getLogger(__name__)
OPENAPI = Path(__file__).with_name("openapi.json")
BODY_S = 30.0
"""A photo must have come within this time, and of a video some part in every such time."""
BUSY_S = 1
"""After so many seconds a program that was sent away may ask again."""
FULL_S = 60
"""The same where there is no room for another video."""
MB = 1_000_000

FIGURES = CollectorRegistry()
ProcessCollector(registry=FIGURES)
ANSWERS = Counter("mask_api_answers", "Answers, by path and status.", ["path", "status"], registry=FIGURES)
SECONDS = Histogram("mask_api_photo_seconds", "Seconds from a whole photo to its faces.", registry=FIGURES)
FACES = Counter("mask_api_faces", "Faces, by result.", ["result"], registry=FIGURES)
IN_WORK = Gauge("mask_api_photos_in_work", "Photos that are received, wait or are looked at.", registry=FIGURES)


class Refusal(Exception):
    """A request is not served; the message is one sentence for the author of the program."""

    def __init__(self, status: int, sentence: str, retry_after_s: int | None = None):
        super().__init__(sentence)
        self.status, self.retry_after_s = status, retry_after_s


class Rate:
    """How many photos come in a minute. For one thread, that of the server."""

    def __init__(self) -> None:
        self._left, self._at = math.inf, 0.0

    def take(self, per_minute: int) -> int:
        """Count one photo; 0, or if that is too many the seconds after which there is room for one."""
        now = time.monotonic()
        self._left = min(per_minute, self._left + (now - self._at) * per_minute / 60)
        self._at = now
        if self._left < 1:
            return math.ceil((1 - self._left) * 60 / per_minute)
        self._left -= 1
        return 0


rate = Rate()
in_work = 0
receiving = 0
"""Videos that are on their way."""
videos: set[str] = set()
"""The names of programs' videos; on the shelf each is the only video of a visitor who is called so."""
# Threads for as many as may be at work or wait for their turn; they are made when they are needed.
threads = ThreadPoolExecutor(64, "api")

Answer = Callable[[Request], Awaitable[Response]]


def _door(for_all: bool = False) -> Callable[[Answer], Answer]:
    """Let programs with the operator's token in, or all while there is one; answer refusals, count answers."""

    def decorate(answer: Answer) -> Answer:
        @wraps(answer)
        async def guarded(request: Request) -> Response:
            token = settings().api_token
            if not token:
                return JSONResponse({"error": "This server has no door for programs."}, 404)
            try:
                if not (for_all or _knows(request, token)):
                    raise Refusal(401, "The header Authorization must be Bearer and the token of this server.")
                response = await answer(request)
            except Refusal as refusal:
                response = JSONResponse({"error": str(refusal)}, refusal.status)
                if refusal.retry_after_s is not None:
                    response.headers["Retry-After"] = str(refusal.retry_after_s)
                if refusal.status == 401:
                    response.headers["WWW-Authenticate"] = "Bearer"
            path = request.url.path
            for name, value in request.path_params.items():  # figures are by kind of path, and name no video
                path = path.replace(str(value), f"{{{name}}}")
            ANSWERS.labels(path, response.status_code).inc()
            return response

        return guarded

    return decorate


def _knows(request: Request, token: str) -> bool:
    scheme, _, given = request.headers.get("authorization", "").partition(" ")
    return scheme.casefold() == "bearer" and hmac.compare_digest(given.strip().encode(), token.encode())


@_door()
async def detect(request: Request) -> Response:
    """A photo's faces, as in the JSON that the Photo page gives."""
    global in_work
    limits = settings().limits
    if in_work >= limits.api_at_once:
        raise Refusal(503, limits.reached("api_at_once"), BUSY_S)
    if seconds := rate.take(limits.api_per_minute):
        raise Refusal(429, limits.reached("api_per_minute"), seconds)
    in_work += 1
    IN_WORK.inc()
    try:
        data = await asyncio.wait_for(_body(request, limits), BODY_S)
        name = request.query_params.get("name", "photo")[:200]
        started = time.perf_counter()
        text, turned = await asyncio.get_running_loop().run_in_executor(threads, _faces, data, name)
        SECONDS.observe(time.perf_counter() - started)
    except asyncio.TimeoutError:
        raise Refusal(408, f"The photo did not come within {BODY_S:g} seconds; send it again.") from None
    except ClientDisconnect:
        raise Refusal(400, "The connection was closed before the whole photo had come.") from None
    finally:
        in_work -= 1
        IN_WORK.dec()
    return Response(text, headers={"Quarters-Turned": str(turned)}, media_type="application/json")


async def _body(request: Request, limits: Limits) -> bytes:
    most = limits.api_mb * MB
    length = request.headers.get("content-length", "0")
    data = bytearray()
    if not length.isdigit() or int(length) > most:
        raise Refusal(413, limits.reached("api_mb"))
    async for chunk in request.stream():
        data += chunk
        if len(data) > most:
            raise Refusal(413, limits.reached("api_mb"))
    return bytes(data)


def _faces(data: bytes, name: str) -> tuple[str, int]:
    """What the Photo page says of this photo, in turn with the visitors' photos. Raises: ``Refusal``."""
    # Not when the server starts: these load what decodes and classifies.
    from core.registry.active import in_use
    from core.vision.images import ImageError
    from core.vision.model_card import ModelError
    from core.vision.photos import FAILED, classify_photo
    from core.vision.pipeline import PHOTO_SETTINGS, method_version
    from core.vision.tables import detection_rows, rows_to_json
    from pages.components.resources import load_pipeline, photo_turns

    try:
        method = in_use().method
        pipeline = load_pipeline(method, method_version(method))
        with photo_turns().turn():
            photo = classify_photo(data, method, pipeline, PHOTO_SETTINGS)
    except ImageError as error:
        raise Refusal(422, str(error)) from None
    except ModelError as error:
        raise Refusal(503, str(error), BUSY_S) from None
    except Exception:
        log.exception("A photo could not be classified")
        raise Refusal(422, FAILED) from None
    rows = detection_rows(name, photo.detections)
    for row in rows:
        FACES.labels(row["result"]).inc()
    return rows_to_json(rows), photo.turned


@_door()
async def send_video(request: Request) -> Response:
    """Take a video in; it is analysed when its turn has come."""
    global receiving
    from pages.components.resources import video_shelf

    limits, run = settings().limits, partial(asyncio.get_running_loop().run_in_executor, threads)
    length = request.headers.get("content-length", "0")
    if not length.isdigit() or int(length) > _most_bytes(limits):
        raise Refusal(413, limits.reached("video_mb"))
    videos.intersection_update((await run(video_shelf)).visitors())
    if receiving + len(videos) >= limits.visitor_videos:
        raise Refusal(429, limits.reached("visitor_videos"), FULL_S)
    receiving += 1
    stack = ExitStack()
    try:
        path = await run(stack.enter_context, video_shelf().receive(int(length)))
        await _to_file(request, path, limits)
        name = request.query_params.get("name", "video")[:200]
        blur, annotated = (request.query_params.get(key) == "true" for key in ("blur", "annotate"))
        key = await run(_take_in, path, name, blur, annotated)
    except asyncio.TimeoutError:
        raise Refusal(408, f"Nothing of the video came for {BODY_S:g} seconds; send it again.") from None
    except ClientDisconnect:
        raise Refusal(400, "The connection was closed before the whole video had come.") from None
    except (ValueError, OSError) as error:  # there is no room
        sentence = disk_sentence(error) if isinstance(error, OSError) else str(error)
        raise Refusal(503, sentence, FULL_S) from None
    finally:
        receiving -= 1
        await run(stack.close)
    address = f"/api/v1/video/{key}"
    return JSONResponse(_state(key), 202, {"Location": address})


def _most_bytes(limits: Limits) -> float:
    return limits.video_mb * 1024 * 1024


async def _to_file(request: Request, path: Path, limits: Limits) -> None:
    loop, size, parts = asyncio.get_running_loop(), 0, request.stream().__aiter__()
    with path.open("wb") as file:
        while True:
            try:
                chunk = await asyncio.wait_for(parts.__anext__(), BODY_S)
            except StopAsyncIteration:
                return
            size += len(chunk)
            if size > _most_bytes(limits):
                raise Refusal(413, limits.reached("video_mb"))
            await loop.run_in_executor(threads, file.write, chunk)


def _take_in(path: Path, name: str, blur: bool, annotated: bool) -> str:
    """Put a video that has come on the shelf; returns its name there. Raises: ``Refusal``, ``ValueError``, OSError."""
    from core.registry.active import in_use
    from core.vision.model_card import ModelError
    from core.vision.pipeline import LIVE_SETTINGS, detect_masks, method_version
    from pages.components.resources import load_pipeline, video_shelf

    try:
        method = in_use().method
        pipeline = load_pipeline(method, method_version(method))
    except ModelError as error:
        raise Refusal(503, str(error), BUSY_S) from None
    detect, key = partial(detect_masks, pipeline=pipeline, settings=LIVE_SETTINGS), secrets.token_urlsafe(24)
    video_shelf().add(key, name, path.replace, detect, blur, annotated=annotated)
    videos.add(key)
    return key


def _video(key: str) -> "Video":
    """The video of this name, which is now kept for another while. Raises: ``Refusal``."""
    from pages.components.resources import video_shelf

    found = video_shelf().videos(key) if key in videos else []
    if not found:
        raise Refusal(404, "There is no such video; it was deleted, or nobody had asked for it in a long time.")
    return found[0]


def _state(key: str) -> dict[str, object]:
    from core.video.film import summary
    from pages.components.resources import video_shelf

    video = _video(key)
    job, error, result = video_shelf().jobs.status(video.key), "", None
    state, progress = "running", job.share if job else None
    if video.result:
        state, progress, result = "done", 1.0, summary(video.result)
    elif job is None or job.state != "running":
        state, error = "failed", video.problem or (job.error if job else "") or UNEXPECTED
    return {"id": key, "name": video.name, "state": state, "progress": progress, "error": error, "result": result}


@_door()
async def video_state(request: Request) -> Response:
    """How far a video is and, at the end, who is in it."""
    return JSONResponse(_state(request.path_params["id"]))


@_door()
async def video_result(request: Request) -> Response:
    """Everything that was found in a video: the JSON that the Video page gives."""
    from core.video.film import JSON

    return _file(_video(request.path_params["id"]), JSON, "application/json")


@_door()
async def video_film(request: Request) -> Response:
    """The video with boxes."""
    from core.video.film import ANNOTATED

    return _file(_video(request.path_params["id"]), ANNOTATED, "video/mp4")


def _file(video: "Video", name: str, media_type: str) -> Response:
    if not video.result or not (video.folder / name).is_file():
        raise Refusal(404, "There is no such file: the video is not done, or ?annotate=true was not asked for.")
    return FileResponse(video.folder / name, media_type=media_type, filename=name)


@_door()
async def delete_video(request: Request) -> Response:
    """Stop a video and remove all of it."""
    from pages.components.resources import video_shelf

    key = request.path_params["id"]
    delete = partial(video_shelf().delete, key, _video(key).key)
    videos.discard(key)
    await asyncio.get_running_loop().run_in_executor(threads, delete)
    return Response(status_code=204)


@_door()
async def model(request: Request) -> Response:
    """Which method answers."""

    def active() -> dict[str, object]:
        from core.registry.active import in_use
        from core.vision.pipeline import PHOTO_SETTINGS, method_version
        from pages.components.resources import load_pipeline

        method = in_use().method
        version = method_version(method)
        classes = load_pipeline(method, version).classes
        return {**method._asdict(), "version": version, "preset": PHOTO_SETTINGS.preset, "classes": classes}

    from core.vision.model_card import ModelError

    try:
        return JSONResponse(await asyncio.get_running_loop().run_in_executor(threads, active))
    except ModelError as error:
        raise Refusal(503, str(error), BUSY_S) from None


@_door(for_all=True)
async def health(request: Request) -> Response:
    """Whether the server answers."""
    return JSONResponse({"status": "ok"})


@_door()
async def metrics(request: Request) -> Response:
    """Figures in the text format of Prometheus."""
    return Response(generate_latest(FIGURES), headers={"Content-Type": CONTENT_TYPE_LATEST})


@_door(for_all=True)
async def openapi(request: Request) -> Response:
    """What this door is, for programs that make clients."""
    return JSONResponse(json.loads(OPENAPI.read_text(encoding="utf-8")))


ROUTES = [
    Route("/api/v1/detect", detect, methods=["POST"]),
    Route("/api/v1/video", send_video, methods=["POST"]),
    Route("/api/v1/video/{id}", video_state, methods=["GET"]),
    Route("/api/v1/video/{id}", delete_video, methods=["DELETE"]),
    Route("/api/v1/video/{id}/result", video_result, methods=["GET"]),
    Route("/api/v1/video/{id}/film", video_film, methods=["GET"]),
    Route("/api/v1/model", model, methods=["GET"]),
    Route("/api/v1/openapi.json", openapi, methods=["GET"]),
    Route("/health", health, methods=["GET"]),
    Route("/metrics", metrics, methods=["GET"]),
]
