"""The app on a machine where Streamlit never ran, started with the README's command."""

import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from tests.helpers import ROOT

QUESTIONS = ("email", "statistics", "privacy")


@pytest.mark.skipif(os.name == "nt", reason="starts the command in a session of its own")
def test_the_first_start_asks_nothing_and_the_page_answers(tmp_path):
    command = re.search(r"\S*streamlit run streamlit_app\.py", (ROOT / "README.md").read_text(encoding="utf-8")).group()
    program, *arguments = command.split()
    assert program.endswith("/streamlit")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    # A free port is all that differs from the README. With a screen, as people have: without one Streamlit asks nobody.
    own = {name: value for name, value in os.environ.items() if not name.startswith("STREAMLIT_")}
    home = {"HOME": str(tmp_path), "DISPLAY": ":99", "BROWSER": "true", "STREAMLIT_SERVER_PORT": str(port)}
    output = tmp_path / "output.txt"
    with output.open("wb") as file:
        server = subprocess.Popen(
            [str(Path(sys.executable).parent / "streamlit"), *arguments],
            cwd=ROOT,
            env=own | home,
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        wait_for_page(f"http://127.0.0.1:{port}", server, output)
    finally:
        os.killpg(server.pid, signal.SIGTERM)
        server.wait(20)
    said = output.read_text(errors="replace").lower()
    assert str(port) in said, "what a person needs to know"
    assert not [word for word in QUESTIONS if word in said], said
    assert not (tmp_path / ".streamlit").exists(), "nothing is remembered of the person who started it"


def wait_for_page(url: str, server: subprocess.Popen, output: Path) -> None:
    end = time.monotonic() + 60
    while True:
        try:
            with urllib.request.urlopen(url, timeout=5) as answer:
                assert answer.status == 200 and b"<title>" in answer.read()
                return
        except (urllib.error.URLError, OSError):
            assert server.poll() is None and time.monotonic() < end, output.read_text(errors="replace")
            time.sleep(0.2)
