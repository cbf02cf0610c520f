"""What the operator sets: folders and servers, from the environment, read when asked.

``MASK_DATA_DIR``, ``MASK_RUNS_DIR``, ``MASK_MODELS_DIR``: folders, by default beside the app. ``MASK_ALLOWED_DIRS``:
folders below which visitors may use images where they lie, separated as in ``PATH``; by default none. ``ICE_SERVERS``:
STUN and TURN servers for live video.
"""

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path


def ice_servers(secrets: Mapping, environment: Mapping = os.environ) -> tuple[list[dict], list[str]]:
    """STUN and TURN servers from the operator's settings.

    ``.streamlit/secrets.toml`` may hold a list ``ice_servers`` of tables with ``urls`` and, for TURN, ``username`` and
    ``credential``. Without it the environment variable ``ICE_SERVERS`` may hold the same list as JSON. With neither,
    video works on localhost and within one network, without asking any other machine.

    Returns:
        The servers as WebRTC takes them, and a sentence for each entry that cannot be used.
    """
    try:
        entries = secrets.get("ice_servers")
    except FileNotFoundError:  # Streamlit's answer where there is no secrets file
        entries = None
    source = ".streamlit/secrets.toml"
    if entries is None:
        source = "ICE_SERVERS"
        try:
            entries = json.loads(environment.get("ICE_SERVERS") or "[]")
        except json.JSONDecodeError as error:
            return [], [f"ICE_SERVERS is not valid JSON ({error}); live video uses no ICE server."]
    if isinstance(entries, str | Mapping) or not hasattr(entries, "__iter__"):
        return [], [f"The ICE servers in {source} must be a list of tables; live video uses none of them."]
    servers, warnings = [], []
    for number, entry in enumerate(entries, start=1):
        server, problem = _ice_server(entry)
        if server:
            servers.append(server)
        else:
            warnings.append(f"ICE server {number} in {source} is left out: {problem}.")
    return servers, warnings


def _ice_server(entry: object) -> tuple[dict | None, str]:
    if not isinstance(entry, Mapping) or "urls" not in entry:
        return None, "it has no `urls`"
    urls = [entry["urls"]] if isinstance(entry["urls"], str) else entry["urls"]
    urls = list(urls) if isinstance(urls, Sequence) else []
    if not urls or not all(
        isinstance(url, str) and url.startswith(("stun:", "stuns:", "turn:", "turns:")) for url in urls
    ):
        return None, "each of its `urls` must start with stun: or turn:"
    server: dict[str, str | list[str]] = {"urls": urls}
    if any(url.startswith("turn") for url in urls):
        if not (entry.get("username") and entry.get("credential")):
            return None, "a TURN server needs `username` and `credential`"
        server |= {"username": str(entry["username"]), "credential": str(entry["credential"])}
    return server, ""


HOME = Path(__file__).resolve().parent.parent


def data_dir() -> Path:
    """The folder of data sets; it may not exist yet."""
    return Path(os.environ.get("MASK_DATA_DIR") or HOME / "data").absolute()


def cache_dir(name: str) -> Path:
    """What the app keeps of a data set to be fast; may be deleted at any time."""
    return data_dir() / ".cache" / name


def models_dir() -> Path:
    """The folder of models; the ones that came with the app must be in it."""
    return Path(os.environ.get("MASK_MODELS_DIR") or HOME / "models").absolute()


def runs_dir() -> Path:
    """The folder of training runs; it may not exist yet."""
    return Path(os.environ.get("MASK_RUNS_DIR") or HOME / "runs").absolute()


def allowed_dirs() -> list[Path]:
    """Folders below which visitors may use pictures where they lie."""
    parts = os.environ.get("MASK_ALLOWED_DIRS", "").split(os.pathsep)
    return [Path(part).resolve() for part in parts if part.strip()]
