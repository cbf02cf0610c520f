"""Why no picture comes, though the camera was started."""

import time
from collections.abc import Iterable
from dataclasses import dataclass

from core.language import mark

CONNECT_S = 10.0
"""A way for the video is found within this time, or there is none."""
SILENT_S = 5.0
"""Without a frame for so long, a camera gives none."""
BLOCKED, NO_RELAY, SILENT = "blocked", "no_relay", "silent"
REASONS = {
    BLOCKED: mark(
        "No way for the video was found between your browser and this server, probably because of a firewall: who runs "
        "the server can set up a TURN server, which is made for that."
    ),
    NO_RELAY: mark(
        "No way for the video was found between your browser and this server: its TURN server did not answer; tell who "
        "runs the server."
    ),
}
"""Sentences; for ``SILENT`` the camera has one."""


@dataclass
class Connection:
    """How far the video has come since Start was pressed; told of every change."""

    offered_s: float | None = None
    """Since when the browser has been looking for a way, by the monotonic clock; ``None`` if it is not."""
    playing_s: float | None = None
    """Since when there has been one."""
    relayed: bool = False
    """Whether a TURN server gave the browser an address."""
    failed: bool = False
    """No way was found."""

    def update(self, playing: bool, signalling: bool, candidates: Iterable[str] = (), now: float | None = None) -> None:
        """Take in how it is.

        Args:
            playing: whether a way for the video is open.
            signalling: whether one is looked for.
            candidates: the browser's addresses, as ICE writes them.
            now: by the monotonic clock.
        """
        now = time.monotonic() if now is None else now
        if playing:
            self.playing_s = now if self.playing_s is None else self.playing_s
            self.offered_s, self.failed = None, False
            return
        self.playing_s = None
        if signalling and self.offered_s is None:
            self.offered_s, self.relayed, self.failed = now, False, False
        self.relayed |= any(" typ relay" in each for each in candidates)
        if self.offered_s is not None:
            # Who presses Stop does so sooner than a browser gives up.
            self.failed |= now - self.offered_s > CONNECT_S
            self.offered_s = self.offered_s if signalling else None

    def reason(self, frame_s: float | None, turn: bool, now: float | None = None) -> str:
        """Why there is no picture: ``BLOCKED``, ``NO_RELAY``, ``SILENT``, or nothing.

        Args:
            frame_s: when the newest frame came.
            turn: whether there is a TURN server in the operator's settings.
            now: by the monotonic clock.
        """
        now = time.monotonic() if now is None else now
        if self.failed:
            return NO_RELAY if turn and not self.relayed else BLOCKED
        if self.playing_s is not None and now - max(self.playing_s, frame_s or 0.0) > SILENT_S:
            return SILENT
        return ""
