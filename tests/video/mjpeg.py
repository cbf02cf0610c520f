"""A network camera that a test serves: JPEG pictures over HTTP, one after another, which can be lost and come back."""

import base64
import contextlib
import functools
import http.server
import threading
import time
from collections.abc import Iterator

import numpy as np

from core.synthetic.sample import sample_photo
from core.vision.crops import resize
from core.vision.images import encode_image
from tests.helpers import free_port

PASSWORD = "hunter2secret"
FPS = 15


@functools.cache
def two_people() -> bytes:
    """A bare and a masked face, as JPEG."""
    both = np.hstack([sample_photo(masked)[:400, 60:400] for masked in (False, True)])
    frame = np.full((480, 640, 3), 90, np.uint8)
    frame[100:430, 40:600] = resize(both, (560, 330))
    return encode_image(frame)


class MjpegCamera:
    """Serves the same picture to all who know the password, 15 times a second, while it is on."""

    def __init__(self) -> None:
        self.port, self.opened, self.running = free_port(), 0, 0
        self._server: http.server.ThreadingHTTPServer | None = None
        self._off = threading.Event()

    @property
    def address(self) -> str:
        return f"http://door:{PASSWORD}@127.0.0.1:{self.port}/video"

    def on(self) -> "MjpegCamera":
        camera = self
        self._off.clear()

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                expected = "Basic " + base64.b64encode(f"door:{PASSWORD}".encode()).decode()
                if self.headers.get("Authorization") != expected:
                    self.send_response(401)
                    self.send_header("WWW-Authenticate", 'Basic realm="camera"')
                    self.end_headers()
                    return
                camera.opened += 1
                camera.running += 1
                self.send_response(200)
                self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=frame")
                self.end_headers()
                with contextlib.suppress(OSError):
                    while not camera._off.wait(1 / FPS):
                        head = b"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: %d\r\n\r\n" % len(two_people())
                        self.wfile.write(head + two_people() + b"\r\n")
                camera.running -= 1

            def log_message(self, *arguments: object) -> None:
                pass

        two_people()
        http.server.ThreadingHTTPServer.allow_reuse_address = True
        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", self.port), Handler)
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def off(self) -> None:
        self._off.set()
        if self._server:
            self._server.shutdown()
            self._server.server_close()
            self._server = None


@contextlib.contextmanager
def mjpeg_camera() -> Iterator[MjpegCamera]:
    camera = MjpegCamera().on()
    try:
        yield camera
    finally:
        camera.off()
        time.sleep(0.05)
