"""Many viewers of live video at once, without browsers, and what they cost the server.

Every viewer opens the Live page over Streamlit's websocket, as a browser does, and joins over real WebRTC. The film
was encoded once beforehand and is sent as it is; what comes back is counted before decoding, so that the viewers cost
little of the machine that they share with the app::

    python -m tests.load --viewers 3 --seconds 30 [--size 1280x720] [--json FILE]
    python -m tests.load --connects 100 [--json FILE]

The delay from camera to screen is measured by the picture itself: the number of each frame is drawn into its lower left
corner. Twice a second a viewer asks for a frame that can be decoded alone (a keyframe, as a browser does after a loss),
reads that number, and compares the time of arrival with the time at which this frame was sent.
"""

import argparse
import asyncio
import contextlib
import json
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import NamedTuple

import av
import numpy as np
import psutil
from aiortc import RTCConfiguration, RTCPeerConnection, RTCSessionDescription, VideoStreamTrack
from aiortc.codecs.vpx import VpxPayloadDescriptor
from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
from websockets.asyncio.client import connect

from core.synthetic.sample_film import write_sample_film
from tests.helpers import app_server, server_process

FPS = 30
FILM_S = 4
SIZE_WH = 640, 480
# So long a keyframe heals what was lost.
KEYFRAME_EVERY = FPS
BITS, BLOCK_PX = 7, 24
ASK_S = 0.5
# The picture of all must flow before anything is counted.
SETTLE_S = 5.0
ARRIVAL_S = 0.5
PATIENCE_S = 60.0
# So long after the last viewer the server's figures are read: a session is kept for two minutes.
REST_S = 150.0


class Film(NamedTuple):
    """What every viewer's camera sends."""

    frames: list[bytes]
    """In VP8, each with its number drawn in."""
    size_wh: tuple[int, int]


def make_film(folder: Path, size_wh: tuple[int, int] = SIZE_WH, seconds: float = FILM_S) -> Film:
    """People who walk past; at 640×480 with 1.5 Mbit a second, larger ones with as many bits a pixel."""
    path = folder / "film.mp4"
    write_sample_film(path, people=2, seconds=seconds, size_wh=size_wh, fps=FPS)
    bits = round(1_500_000 * size_wh[0] * size_wh[1] / (SIZE_WH[0] * SIZE_WH[1]))
    encoder = av.CodecContext.create("libvpx", "w")
    encoder.width, encoder.height = size_wh
    encoder.pix_fmt, encoder.bit_rate, encoder.gop_size = "yuv420p", bits, KEYFRAME_EVERY
    encoder.time_base = Fraction(1, FPS)
    encoder.options = {"cpu-used": "8", "deadline": "realtime", "lag-in-frames": "0"}
    frames: list[bytes] = []
    with av.open(str(path)) as file:
        for i, decoded in enumerate(file.decode(video=0)):
            picture = decoded.to_ndarray(format="bgr24")
            draw_number(picture, i)
            frame = av.VideoFrame.from_ndarray(picture, format="bgr24").reformat(format="yuv420p")
            frame.pts, frame.time_base = i, encoder.time_base
            frames += [bytes(packet) for packet in encoder.encode(frame)]
    return Film(frames, size_wh)


def draw_number(picture: np.ndarray, number: int) -> None:
    """White and black blocks in the lower left corner, the last one for parity."""
    bits = [number >> k & 1 for k in range(BITS)]
    for k, bit in enumerate([*bits, sum(bits) % 2]):
        picture[-BLOCK_PX:, k * BLOCK_PX : (k + 1) * BLOCK_PX] = 255 * bit


def read_number(grey: np.ndarray, sent_height: int = SIZE_WH[1]) -> int | None:
    """The number in a picture of any size, sent with such a height; ``None`` if it cannot be read."""
    block = BLOCK_PX * grey.shape[0] / sent_height
    row = round(grey.shape[0] - block / 2)
    bits = [int(grey[row - 2 : row + 3, round((k + 0.5) * block)].mean() > 127) for k in range(BITS + 1)]
    if sum(bits[:-1]) % 2 != bits[-1]:
        return None
    return sum(bit << k for k, bit in enumerate(bits[:-1]))


class Camera(VideoStreamTrack):
    """Plays the film again and again, at its pace."""

    def __init__(self, film: Film):
        super().__init__()
        self.film, self.sent = film, 0
        self.sent_at: dict[int, float] = {}
        self._started = 0.0

    async def recv(self) -> av.Packet:
        """The next frame, encoded, when its time has come."""
        self._started = self._started or time.monotonic()
        await asyncio.sleep(max(0.0, self._started + self.sent / FPS - time.monotonic()))
        packet = av.Packet(self.film.frames[self.sent % len(self.film.frames)])
        packet.pts, packet.time_base = self.sent, Fraction(1, FPS)
        self.sent_at[self.sent % len(self.film.frames)] = time.monotonic()
        self.sent += 1
        return packet


@dataclass
class Screen:
    """Counts the frames that come back, and reads the number of some."""

    camera: Camera
    shown: int = 0
    size_wh: tuple[int, int] = (0, 0)
    delays_s: list[float] = field(default_factory=list)
    _parts: list[bytes] = field(default_factory=list)
    _next: int = -1
    _whole: bool = False

    def take(self, packet) -> None:
        """One RTP packet."""
        descriptor, data = VpxPayloadDescriptor.parse(packet.payload)
        if descriptor.partition_start and not self._parts:
            self._whole, self._parts = True, [data]
        elif packet.sequence_number == self._next:
            self._parts.append(data)
        else:
            self._whole = False
        self._next = packet.sequence_number + 1 & 0xFFFF
        if packet.marker:
            self.shown += 1
            frame, self._parts = b"".join(self._parts), []
            if self._whole and frame and not frame[0] & 1:  # a keyframe
                self.measure(frame, time.monotonic())

    def measure(self, keyframe: bytes, at_s: float) -> None:
        """How long ago the frame in this keyframe was sent."""
        (frame,) = av.CodecContext.create("libvpx", "r").decode(av.Packet(keyframe)) or [None]
        if frame is None:
            return
        self.size_wh = frame.width, frame.height
        # The page shows a front camera as a mirror does.
        number = read_number(frame.to_ndarray()[: frame.height, frame.width - 1 :: -1], self.camera.film.size_wh[1])
        if number is not None and number in self.camera.sent_at:
            self.delays_s.append(at_s - self.camera.sent_at[number])


class Viewer:
    """A visitor of the Live page: what Streamlit's and streamlit-webrtc's scripts do in a browser, as far as needed."""

    def __init__(self, film: Film):
        self.camera = Camera(film)
        self.screen = Screen(self.camera)
        self.texts: set[str] = set()
        """All messages that the page has shown."""
        self.lost = 0
        """How often the connection was lost."""
        self._component, self._fragment, self._page = "", "", ""
        self._value: dict[str, object] = {"playing": False, "sdpOffer": "", "iceCandidates": {}}
        self._args: dict[str, object] = {}
        self._changed = asyncio.Event()
        self._timers: dict[str, asyncio.Task[None]] = {}
        self._tasks: list[asyncio.Task[None]] = []

    async def join(self, url: str) -> None:
        """Open the page, press Start, and wait for the first picture."""
        self._socket = await connect(
            f"{url.replace('http', 'ws')}/_stcore/stream", subprotocols=["streamlit"], max_size=None, proxy=None
        )
        self._tasks.append(asyncio.create_task(self._read()))
        await self._rerun()
        await self._until(lambda: self._component)
        await self._tell()
        self.pc = RTCPeerConnection(RTCConfiguration(iceServers=[]))
        self.pc.addTrack(self.camera)
        connected = asyncio.Event()

        @self.pc.on("connectionstatechange")
        def changed() -> None:
            if self.pc.connectionState == "connected":
                connected.set()
            elif connected.is_set() and self.pc.connectionState in ("failed", "closed"):
                self.lost += 1

        await self.pc.setLocalDescription(await self.pc.createOffer())
        offer = {"sdp": self.pc.localDescription.sdp, "type": "offer"}
        await self._tell(sdpOffer=offer)
        await self._until(lambda: self._args.get("sdp_answer_json"))
        await self.pc.setRemoteDescription(RTCSessionDescription(**json.loads(str(self._args["sdp_answer_json"]))))
        (self._receiver,) = (each.receiver for each in self.pc.getTransceivers())

        async def take(packet, arrival_time_ms: int) -> None:
            self._ssrc = packet.ssrc
            self.screen.take(packet)

        self._receiver._handle_rtp_packet = take  # before decoding
        await asyncio.wait_for(connected.wait(), PATIENCE_S)
        await self._tell(playing=True)
        await self._until(lambda: self.screen.shown)
        self._tasks.append(asyncio.create_task(self._ask()))

    async def leave(self, goodbye: bool = True) -> None:
        """Go; without goodbye as when the power fails."""
        for task in (*self._tasks, *self._timers.values()):
            task.cancel()
        self.lost = 0
        if goodbye:
            await self._tell(playing=False)
            await self.pc.close()
            await self._socket.close()
        else:
            self._socket.transport.abort()
            ice = self._receiver.transport.transport._connection
            await ice.close()  # its sockets fall silent; the other end is told nothing
            with contextlib.suppress(ConnectionError):
                await self.pc.close()

    async def _read(self) -> None:
        async for data in self._socket:
            message = ForwardMsg.FromString(data)
            kind = message.WhichOneof("type")
            if kind == "navigation":
                self._page = message.navigation.page_script_hash
            elif kind == "auto_rerun":
                rerun = message.auto_rerun
                if rerun.fragment_id not in self._timers:
                    again = self._again(rerun.interval, rerun.fragment_id)
                    self._timers[rerun.fragment_id] = asyncio.create_task(again)
            elif kind == "stop_auto_rerun":
                for each in message.stop_auto_rerun.fragment_ids:
                    if each in self._timers:
                        self._timers.pop(each).cancel()
            elif kind == "delta":
                element = message.delta.new_element
                if element.WhichOneof("type") == "component_instance" and "webrtc" in element.component_instance.url + (
                    element.component_instance.component_name
                ):
                    self._component, self._fragment = element.component_instance.id, message.delta.fragment_id
                    self._args = json.loads(element.component_instance.json_args)
                elif element.WhichOneof("type") in ("alert", "markdown"):
                    self.texts.add((element.alert if element.HasField("alert") else element.markdown).body)
            self._changed.set()

    async def _until(self, condition: Callable[[], object]) -> None:
        async with asyncio.timeout(PATIENCE_S):
            while not condition():
                self._changed.clear()
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._changed.wait(), 0.1)

    async def _tell(self, **value: object) -> None:
        """What the component's script tells the page."""
        self._value = {"playing": False, "sdpOffer": "", "iceCandidates": {}} | value
        await self._rerun(self._fragment)

    async def _again(self, interval_s: float, fragment: str) -> None:
        while True:
            await asyncio.sleep(interval_s)
            await self._rerun(fragment, auto=True)

    async def _rerun(self, fragment: str = "", auto: bool = False) -> None:
        message = BackMsg()
        state = message.rerun_script
        state.page_script_hash, state.fragment_id, state.is_auto_rerun = self._page, fragment, auto
        if not self._page:
            state.page_name = "live"
        if self._component:
            state.widget_states.widgets.add(id=self._component, json_value=json.dumps(self._value))
        await self._socket.send(message.SerializeToString())

    async def _ask(self) -> None:
        while True:
            await asyncio.sleep(ASK_S)
            await self._receiver._send_rtcp_pli(self._ssrc)


@dataclass(frozen=True)
class Server:
    """What the app's process holds; for its name, see ``figures``."""

    rss_mb: float
    threads: int
    files: int


def look(server: psutil.Process) -> Server:
    """Now."""
    return Server(round(server.memory_info().rss / 1e6, 1), server.num_threads(), server.num_fds())


def busy_s(server: psutil.Process) -> float:
    """Processor time so far."""
    return sum(server.cpu_times()[:2])


def figures(start: Server, end: Server) -> dict[str, float]:
    """Both as the report names them."""
    return {
        f"{name}_{when}{unit}": getattr(seen, name + unit)
        for name, unit in (("rss", "_mb"), ("threads", ""), ("files", ""))
        for when, seen in (("start", start), ("end", end))
    }


@contextlib.contextmanager
def app(viewers: int) -> Iterator[tuple[str, psutil.Process]]:
    """An app of its own, where so many may watch."""
    with tempfile.TemporaryDirectory() as home:
        own = {"MASK_DATA_DIR": f"{home}/data", "MASK_RUNS_DIR": f"{home}/runs", "MASK_LIVE_VIEWERS": str(viewers)}
        with app_server(own) as url:
            yield url, server_process()


async def watch(url: str, server: psutil.Process, film: Film, viewers: int, seconds: float) -> dict:
    """So many viewers at once, for so long."""
    everybody = [Viewer(film) for _ in range(viewers)]
    for viewer in everybody:
        await viewer.join(url)
        await asyncio.sleep(ARRIVAL_S)
    await asyncio.sleep(SETTLE_S)
    for viewer in everybody:
        viewer.screen.delays_s.clear()
    counted = [(viewer.camera.sent, viewer.screen.shown) for viewer in everybody]
    start, busy, own, since = look(server), busy_s(server), busy_s(psutil.Process()), time.monotonic()
    await asyncio.sleep(seconds)
    took_s = time.monotonic() - since
    report = [
        {
            "fps_sent": round((viewer.camera.sent - sent) / took_s, 1),
            "fps_shown": round((viewer.screen.shown - shown) / took_s, 1),
            **{
                f"delay_{name}_ms": round(1000 * float(np.percentile(viewer.screen.delays_s or [np.nan], share)))
                for name, share in (("median", 50), ("p95", 95))
                if viewer.screen.delays_s
            },
            "size": "x".join(map(str, viewer.screen.size_wh)),
            "lost": viewer.lost,
        }
        for viewer, (sent, shown) in zip(everybody, counted, strict=True)
    ]
    cores = {
        "server_cores": round((busy_s(server) - busy) / took_s, 2),
        "viewers_cores": round((busy_s(psutil.Process()) - own) / took_s, 2),
    }
    seen = figures(start, look(server))
    await asyncio.gather(*(viewer.leave() for viewer in everybody))
    return {"viewers": report, **seen, **cores}


async def come_and_go(url: str, film: Film, times: int) -> None:
    """One after another, every second one without goodbye."""
    for k in range(times):
        viewer = Viewer(film)
        await viewer.join(url)
        await asyncio.sleep(ARRIVAL_S)
        await viewer.leave(goodbye=k % 2 == 0)


def connects(url: str, server: psutil.Process, film: Film, times: int) -> dict:
    """What so many connections leave behind."""
    asyncio.run(come_and_go(url, film, 4))  # models are loaded once and stay
    time.sleep(REST_S)
    start = look(server)
    asyncio.run(come_and_go(url, film, times))
    time.sleep(REST_S)
    return {"connects": times, **figures(start, look(server))}


def _size_wh(text: str) -> tuple[int, int]:
    width, height = map(int, text.split("x"))
    return width, height


def main(arguments: list[str] | None = None) -> None:
    """Command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.load", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--viewers", type=int, default=1, help="at once")
    parser.add_argument("--seconds", type=float, default=30, help="for which they are measured")
    parser.add_argument("--connects", type=int, default=0, help="come and go so many times instead")
    parser.add_argument("--size", type=_size_wh, default=SIZE_WH, metavar="WxH", help="of the film, default 640x480")
    parser.add_argument("--json", type=Path, help="write the figures here too")
    given = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder:
        film = make_film(Path(folder), given.size)
    with app(max(given.viewers, given.connects)) as (url, server):
        if given.connects:
            report = connects(url, server, film, given.connects)
        else:
            report = asyncio.run(watch(url, server, film, given.viewers, given.seconds))
    for number, viewer in enumerate(report.get("viewers", ()), 1):
        print(f"viewer {number}: " + ", ".join(f"{key} {value}" for key, value in viewer.items()))
    print(", ".join(f"{key} {value}" for key, value in report.items() if key != "viewers"))
    if given.json:
        given.json.write_text(json.dumps(report, indent=2), encoding="utf-8")


if __name__ == "__main__":
    main()
