"""A camera that speaks RTSP, as small as can be: one client, MPEG-TS in RTP over the same connection."""

import base64
import contextlib
import functools
import io
import re
import socketserver
import struct
import threading
import time
from collections.abc import Iterator

import av
import numpy as np

from tests.video.mjpeg import PASSWORD

SDP = "v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=test\r\nt=0 0\r\nm=video 0 RTP/AVP 33\r\na=control:track0\r\n"
TS = 188


@functools.cache
def transport_stream(frames: int = 60) -> bytes:
    """H.264 in an MPEG transport stream; each frame is lighter than the last."""
    file = io.BytesIO()
    with av.open(file, "w", format="mpegts") as container:
        stream = container.add_stream("libx264", rate=25, options={"g": "10"})
        stream.width, stream.height, stream.pix_fmt = 320, 240, "yuv420p"
        for number in range(frames):
            picture = np.full((240, 320, 3), 40 + 3 * number, np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="bgr24")))
        container.mux(stream.encode())
    return file.getvalue()


class Handler(socketserver.StreamRequestHandler):
    def handle(self) -> None:
        expected = "Basic " + base64.b64encode(f"door:{PASSWORD}".encode()).decode()
        with contextlib.suppress(OSError):
            while request := b"".join(iter(self.rfile.readline, b"\r\n")).decode():
                method, number = request.split()[0], re.search(r"CSeq: *(\d+)", request)[1]
                self.server.asked.append(request)
                if method != "OPTIONS" and f"Authorization: {expected}" not in request:
                    self.answer("401 Unauthorized", number, 'WWW-Authenticate: Basic realm="camera"\r\n')
                elif method == "DESCRIBE":
                    head = f"Content-Type: application/sdp\r\nContent-Length: {len(SDP)}\r\n"
                    self.answer("200 OK", number, head, SDP)
                elif method == "SETUP":
                    self.answer("200 OK", number, "Session: 1\r\nTransport: RTP/AVP/TCP;unicast;interleaved=0-1\r\n")
                else:
                    self.answer("200 OK", number, "Session: 1\r\nPublic: OPTIONS, DESCRIBE, SETUP, PLAY, TEARDOWN\r\n")
                if method == "PLAY":
                    self.play()
                    return

    def answer(self, status: str, number: str, head: str, body: str = "") -> None:
        self.wfile.write(f"RTSP/1.0 {status}\r\nCSeq: {number}\r\n{head}\r\n{body}".encode())

    def play(self) -> None:
        data = transport_stream()
        for sequence, at in enumerate(range(0, len(data), 7 * TS)):
            part = data[at : at + 7 * TS]
            packet = struct.pack(">BBHII", 0x80, 33, sequence, sequence * 900, 1) + part
            self.wfile.write(b"$\0" + struct.pack(">H", len(packet)) + packet)
            time.sleep(0.005)


@contextlib.contextmanager
def rtsp_camera() -> Iterator[tuple[str, list[str]]]:
    """Its address, and what it was asked."""
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads, server.asked = True, []
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        try:
            yield f"rtsp://door:{PASSWORD}@127.0.0.1:{server.server_address[1]}/entrance", server.asked
        finally:
            server.shutdown()
