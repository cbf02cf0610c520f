"""What the operator sets, from the environment and ``.streamlit/secrets.toml``, read when asked.

``MASK_DATA_DIR``, ``MASK_RUNS_DIR``, ``MASK_MODELS_DIR``: folders, by default beside the app. ``MASK_VIDEOS_DIR``: by
default in the system's folder for temporary files. ``MASK_ALLOWED_DIRS``: folders below which visitors may use images
where they lie, separated as in ``PATH``; by default none. ``ICE_SERVERS``: STUN and TURN servers for live video.
``MASK_ACCESS``, ``MASK_OPERATORS``, ``MASK_RECORD``, ``MASK_COLLECT``, ``MASK_ALERT_URLS``, ``MASK_API_TOKEN``,
``MASK_CAMERAS``, ``MASK_PUBLIC_CAMERAS`` and a variable per limit: see ``Settings``. ``MASK_SECOND_DETECTOR``: a
file, see ``second_detector``.
"""

import dataclasses
import json
import os
import re
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from core.language import mark, number, tr

OPEN, PUBLIC = "open", "public"
"""Who may do what: everybody everything (your own computer), or visitors look and operators log in."""
ON, OFF = "on", "off"
SECRETS = ".streamlit/secrets.toml"
MIN_TOKEN = 16
"""A shorter token could be guessed."""
MAX_CAMERA = 40
"""Letters in the name of a camera."""
CAMERA_SCHEMES = ("rtsp", "rtsps", "http", "https")
CAMERA_DEVICE = re.compile(r"/dev/(video\d+|v4l/by-(id|path)/\w[\w.:+-]*)")


def _limit(usual: float, bounds: tuple[float, float], unit: str, about: str, reached: str) -> Any:
    return field(default=usual, metadata={"bounds": bounds, "unit": unit, "about": about, "reached": reached})


GB, MINUTES, DAYS, COUNT = "GB", "minutes", "days", ""


@dataclass(frozen=True)
class Limits:
    """How much of this server there is for its visitors; the usual values suit two cores and a disk of 50 GB.

    ``MASK_`` and a field's name in capitals is its environment variable; in the secrets they form the table ``limits``.
    """

    data_gb: float = _limit(
        20, (0.001, 100_000), GB, "Disk for the data sets, with what is kept to show them",
        mark(
            "The room for data sets on this server is used up ({limit} GB); delete some, or ask who runs it for more."
        ),
    )  # fmt: skip
    runs_gb: float = _limit(
        10, (0.001, 100_000), GB, "Disk for the training runs",
        mark(
            "The room for training runs on this server is used up ({limit} GB); delete some, or ask who runs it "
            "for more."
        ),
    )  # fmt: skip
    models_gb: float = _limit(
        2, (0.001, 100_000), GB, "Disk for the models",
        mark(
            "The room for models on this server is used up ({limit} GB); delete some, or ask who runs it for more."
        ),
    )  # fmt: skip
    upload_mb: float = _limit(
        600, (1, 100_000), "MB", "Uploads that one visitor has in the server's memory",
        mark(
            "Your uploads together are larger than the {limit} MB that this server keeps for a visitor; "
            "remove some first."
        ),
    )  # fmt: skip
    upload_files: int = _limit(
        500, (1, 10_000), COUNT, "Files that one visitor has in the server's memory",
        mark("You have uploaded the {limit} files that this server keeps for a visitor; remove some first."),
    )  # fmt: skip
    all_uploads_mb: float = _limit(
        2000, (1, 1_000_000), "MB", "Uploads of all visitors together in the server's memory",
        mark("The server's memory for uploads ({limit} MB) is full at the moment; try again in a few minutes."),
    )  # fmt: skip
    idle_minutes: float = _limit(
        30, (0.01, 10_000), MINUTES, "Idle time after which a visitor's uploads are dropped",
        mark("Your uploads were removed from the server after {limit} minutes without use; upload them again."),
    )  # fmt: skip
    queued_trainings: int = _limit(
        10, (1, 1000), COUNT, "Trainings that wait in the queue",
        mark("{limit} trainings are waiting already; try again when one of them has started."),
    )  # fmt: skip
    training_minutes: float = _limit(
        720, (1, 100_000), MINUTES, "Time of one training, all attempts together",
        mark("It was stopped after {limit} minutes, which is as long as a training may take on this server."),
    )  # fmt: skip
    live_viewers: int = _limit(
        6, (0, 1000), COUNT, "Live videos at the same time",
        mark("All places for live video ({limit}) are taken; this page starts as soon as one is free."),
    )  # fmt: skip
    photos_at_once: int = _limit(
        2, (1, 64), COUNT, "Photos in which faces are looked for at the same time",
        mark("Other visitors' photos come first; yours are looked at in a moment."),
    )  # fmt: skip
    record_days: int = _limit(
        90, (1, 3650), DAYS, "Time for which the counts of live video are kept, where a record is kept",
        mark("Counts are deleted after {limit} days."),
    )  # fmt: skip
    api_mb: float = _limit(
        20, (0.001, 1000), "MB", "Size of a photo that a program sends",
        mark("A photo may have {limit} MB at most; make it smaller."),
    )  # fmt: skip
    api_at_once: int = _limit(
        8, (1, 64), COUNT, "Photos of programs that are received, wait or are looked at, together",
        mark("This server is busy with {limit} photos of programs; send it again in a moment."),
    )  # fmt: skip
    api_per_minute: int = _limit(
        600, (1, 100_000), COUNT, "Photos of programs in a minute",
        mark("Programs may send {limit} photos a minute; send it again in a moment."),
    )  # fmt: skip
    video_mb: float = _limit(
        500, (1, 100_000), "MB", "Size of one video that is uploaded",
        mark("A video may have {limit} MB on this server; cut it or save it in a lower quality."),
    )  # fmt: skip
    video_minutes: float = _limit(
        60, (0.1, 10_000), MINUTES, "Length to which a video is analysed",
        mark("Only the first {limit} minutes were analysed, which is as long as a video may be on this server."),
    )  # fmt: skip
    videos_at_once: int = _limit(
        1, (1, 64), COUNT, "Videos that are analysed at the same time",
        mark("Other videos come first; yours starts as soon as one of them is done."),
    )  # fmt: skip
    visitor_videos: int = _limit(
        10, (1, 1000), COUNT, "Videos that one visitor has on the server, with those that wait",
        mark("This server keeps no more videos of yours ({limit}); delete one first."),
    )  # fmt: skip
    videos_gb: float = _limit(
        10, (0.001, 100_000), GB, "Disk for the videos of all visitors and their results",
        mark("The room for videos on this server is used up ({limit} GB); try again later, with a shorter one."),
    )  # fmt: skip

    def reached(self, name: str) -> str:
        """The sentence for a person who meets the limit of this name."""
        return tr(LIMITS[name].metadata["reached"]).format(limit=number(getattr(self, name), "g"))


LIMITS = {each.name: each for each in dataclasses.fields(Limits)}


@dataclass(frozen=True)
class Camera:
    """A network camera, or one at the server itself."""

    name: str
    address: str = field(repr=False)
    """With its password, if it has one: never shown, logged or kept."""
    public: bool = False
    """Visitors who are not operators may see it too, with blurred faces."""


@dataclass(frozen=True)
class Settings:
    """What the operator decided for all visitors."""

    access: str = OPEN
    """``MASK_ACCESS`` or ``access``: ``OPEN`` or ``PUBLIC``."""
    operators: tuple[str, ...] = ()
    """``MASK_OPERATORS`` (with commas) or ``operators``: addresses, or ``*@example.org`` for all of a domain."""
    limits: Limits = Limits()
    problems: tuple[str, ...] = ()
    """A sentence for each setting that cannot be used; its usual value, or the stricter one, holds instead."""
    record: str = ""
    """``MASK_RECORD`` or ``record``: live video is always (``ON``) or never (``OFF``) recorded; empty: by choice."""
    collect: bool = True
    """``MASK_COLLECT`` or ``collect``: whether operators may collect faces of their webcam for training (``ON``)."""
    alert_urls: tuple[str, ...] = ()
    """``MASK_ALERT_URLS`` (with spaces) or ``alert_urls``: where alerts go, as apprise writes targets."""
    api_token: str = field(default="", repr=False)
    """``MASK_API_TOKEN`` or ``api_token``: what programs must send; empty keeps the door for programs closed."""
    cameras: tuple[Camera, ...] = ()
    """``MASK_CAMERAS`` (``Name=address``, each on a line or separated by semicolons) or the table ``cameras``; who
    may see them: ``MASK_PUBLIC_CAMERAS`` (names, separated in the same way) or the list ``public_cameras``."""


def read_settings(secrets: Mapping, environment: Mapping = os.environ) -> Settings:
    """The operator's settings; what the secrets name comes before the environment.

    Nothing here raises for a wrong value: visitors must get a page, and the operator a sentence.
    """
    problems = []
    access = str(secrets.get("access", environment.get("MASK_ACCESS") or OPEN)).strip().casefold()
    if access not in (OPEN, PUBLIC):
        sentence = tr("MASK_ACCESS must be open or public, not {given!r}; until then it is public.")
        problems.append(sentence.format(given=access))
        access = PUBLIC  # of two guesses the one that lets nobody in
    operators = secrets.get("operators", (environment.get("MASK_OPERATORS") or "").split(","))
    if isinstance(operators, str) or not isinstance(operators, Sequence):
        sentence = tr("The operators in {file} must be a list of e-mail addresses; until then there are none.")
        problems.append(sentence.format(file=SECRETS))
        operators = ()
    addresses = tuple(address for each in operators if (address := str(each).strip().casefold()))
    wrong = [address for address in addresses if not _is_address(address)]
    if wrong:
        sentence = tr("An operator is an address or *@ and a domain, not {given!r}; that entry is left out.")
        problems.append(sentence.format(given=wrong[0]))
    record = str(secrets.get("record", environment.get("MASK_RECORD") or "")).strip().casefold()
    if record not in ("", ON, OFF):
        sentence = tr("MASK_RECORD must be on or off, not {given!r}; until then nothing is recorded.")
        problems.append(sentence.format(given=record[:40]))
        record = OFF
    collect = str(secrets.get("collect", environment.get("MASK_COLLECT") or ON)).strip().casefold()
    if collect not in (ON, OFF):
        sentence = tr("MASK_COLLECT must be on or off, not {given!r}; until then no faces are collected.")
        problems.append(sentence.format(given=collect[:40]))
    urls = secrets.get("alert_urls", (environment.get("MASK_ALERT_URLS") or "").split())
    if isinstance(urls, str) or not isinstance(urls, Sequence):
        sentence = tr("The alert_urls in {file} must be a list of targets; until then alerts stay on the page.")
        problems.append(sentence.format(file=SECRETS))
        urls = ()
    table = secrets.get("limits", {})
    if not isinstance(table, Mapping):
        sentence = tr("The limits in {file} must be a table; until then the usual ones hold.")
        problems.append(sentence.format(file=SECRETS))
        table = {}
    no_limit = tr("There is no limit {name!r}; docs/deployment.md lists them.")
    problems += [no_limit.format(name=name) for name in table if name not in LIMITS]
    values = {}
    for name, limit in LIMITS.items():
        variable = f"MASK_{name.upper()}"
        given = table.get(name, environment.get(variable))
        if given in (None, ""):
            continue
        low, high = limit.metadata["bounds"]
        value = _number(given, whole=limit.type is int)
        if value is None or not low <= value <= high:
            sentence = tr("{variable} must be a number from {low} to {high}, not {given!r}; until then it is {usual}.")
            if limit.type is int:
                sentence = tr(
                    "{variable} must be a whole number from {low} to {high}, not {given!r}; until then it is {usual}."
                )
            named = {"low": number(low, "g"), "high": number(high, ",g"), "usual": number(getattr(Limits(), name), "g")}
            problems.append(sentence.format(variable=variable, given=str(given)[:40], **named))
        else:
            values[name] = value
    kept = tuple(address for address in addresses if address not in wrong)
    token = str(secrets.get("api_token", environment.get("MASK_API_TOKEN") or "")).strip()
    if 0 < len(token) < MIN_TOKEN or not token.isascii():
        sentence = tr(
            "MASK_API_TOKEN must have {least} plain letters and digits or more; until then no program is let in."
        )
        problems.append(sentence.format(least=MIN_TOKEN))
        token = ""
    targets = tuple(map(str, urls))
    cameras, wrong_cameras = _cameras(secrets, environment)
    problems += wrong_cameras
    return Settings(access, kept, Limits(**values), tuple(problems), record, collect == ON, targets, token, cameras)


def _cameras(secrets: Mapping, environment: Mapping) -> tuple[tuple[Camera, ...], list[str]]:
    """The cameras that can be used, and a sentence for each mistake; none has an address in it."""
    problems: list[str] = []
    two_of_them = tr("There are two cameras {name!r}; the second is left out.")
    table = secrets.get("cameras")
    if table is None:
        table, entries = {}, _entries(environment.get("MASK_CAMERAS"))
        for place, entry in enumerate(entries, start=1):
            name, equals, address = (part.strip() for part in entry.partition("="))
            if not equals or re.search(r"[:/@]", name):  # no name at all, but an address with = in it
                sentence = tr("Camera {place} of MASK_CAMERAS is left out: write its name, = and its address.")
                problems.append(sentence.format(place=place))
            elif name in table:
                problems.append(two_of_them.format(name=name[:MAX_CAMERA]))
            else:
                table[name] = address
    elif not isinstance(table, Mapping):
        sentence = tr("The cameras in {file} must be a table of names and addresses; until then there are none.")
        return (), [sentence.format(file=SECRETS)]
    public = secrets.get("public_cameras", _entries(environment.get("MASK_PUBLIC_CAMERAS")))
    if isinstance(public, str) or not isinstance(public, Sequence):
        sentence = tr("The public_cameras in {file} must be a list of names; until then none is public.")
        problems.append(sentence.format(file=SECRETS))
        public = ()
    cameras: dict[str, Camera] = {}
    for name, address in table.items():
        shown = name[:MAX_CAMERA]
        if not name or len(name) > MAX_CAMERA or not name.isprintable() or name != " ".join(name.split()):
            sentence = tr("A camera's name has 1 to {most} plain letters; the camera {name!r} is left out.")
            problems.append(sentence.format(most=MAX_CAMERA, name=shown))
        elif name.casefold() in cameras:
            problems.append(two_of_them.format(name=shown))
        elif not _is_camera_address(address):
            sentence = tr(
                "The camera {name!r} is left out: its address must begin with {schemes} or {last}://, "
                "or be a device such as /dev/video0."
            )
            schemes = ", ".join(CAMERA_SCHEMES[:-1])
            problems.append(sentence.format(name=shown, schemes=schemes, last=CAMERA_SCHEMES[-1]))
        else:
            cameras[name.casefold()] = Camera(name, address, name in public)
    names = {camera.name for camera in cameras.values()}
    none_of_it = tr("There is no camera {name!r} to be public.")
    problems += [none_of_it.format(name=str(name)[:MAX_CAMERA]) for name in public if name not in names]
    return tuple(cameras.values()), problems


def _entries(text: str | None) -> list[str]:
    return [entry.strip() for entry in re.split(r"[;\n]", text or "") if entry.strip()]


def _is_camera_address(address: object) -> bool:
    if not isinstance(address, str) or not address.isprintable():
        return False
    try:
        parts = urlsplit(address)
        return bool(CAMERA_DEVICE.fullmatch(address)) or (
            parts.scheme in CAMERA_SCHEMES and bool(parts.hostname) and (parts.port or 1) > 0
        )
    except ValueError:  # a port that is no number
        return False


def _is_address(text: str) -> bool:
    name, at, domain = text.rpartition("@")
    return bool(name and at and domain) and "*" not in domain and (name == "*" or "*" not in name)


def _number(given: object, whole: bool) -> Any:
    """The number that somebody wrote, ``None`` if it is none."""
    if isinstance(given, bool) or not isinstance(given, str | int | float):
        return None
    try:
        value = float(given)
    except (ValueError, OverflowError):
        return None
    if whole:
        return int(value) if value.is_integer() else None
    return value


# Command lines have no secrets; the app says where its own are.
_secrets: Callable[[], Mapping] = dict


def use_secrets(source: Callable[[], Mapping]) -> None:
    """From now on ``settings`` asks this for the secrets.

    Args:
        source: gives them as a dictionary; raises ``ValueError`` with a sentence where they cannot be read.
    """
    global _secrets
    _secrets = source


def file_secrets() -> Mapping:
    """The secrets as a command line finds them: in the files that the app reads.

    Raises:
        ValueError: a file cannot be read; the message is one sentence.
    """
    try:
        import tomllib
    except ModuleNotFoundError:
        raise ValueError(f"Python 3.11 is needed to read {SECRETS} here; use environment variables.") from None
    named = os.environ.get("STREAMLIT_SECRETS_FILES")
    files = named.split() if named else [Path.home() / SECRETS, Path.cwd() / SECRETS]
    found: dict = {}
    for path in map(Path, files):
        try:
            found |= tomllib.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            continue
        except (OSError, ValueError):  # the error would quote what is in the file
            raise ValueError(f"The file {path.name} of secrets cannot be read.") from None
    return found


def settings() -> Settings:
    """The operator's settings as they are now."""
    try:
        return read_settings(_secrets())
    except ValueError as error:
        # They may have said that visitors must not change anything.
        return dataclasses.replace(read_settings({}), access=PUBLIC, problems=(str(error),))


def limits() -> Limits:
    """The operator's limits as they are now."""
    return settings().limits


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
            sentence = tr("ICE_SERVERS is not valid JSON ({reason}); live video uses no ICE server.")
            return [], [sentence.format(reason=error)]
    if isinstance(entries, str | Mapping) or not hasattr(entries, "__iter__"):
        sentence = tr("The ICE servers in {source} must be a list of tables; live video uses none of them.")
        return [], [sentence.format(source=source)]
    servers, warnings = [], []
    for place, entry in enumerate(entries, start=1):
        server, problem = _ice_server(entry)
        if server:
            servers.append(server)
        else:
            sentence = tr("ICE server {place} in {source} is left out: {problem}.")
            warnings.append(sentence.format(place=place, source=source, problem=problem))
    return servers, warnings


def _ice_server(entry: object) -> tuple[dict | None, str]:
    if not isinstance(entry, Mapping) or "urls" not in entry:
        return None, tr("it has no `urls`")
    urls = [entry["urls"]] if isinstance(entry["urls"], str) else entry["urls"]
    urls = list(urls) if isinstance(urls, Sequence) else []
    if not urls or not all(
        isinstance(url, str) and url.startswith(("stun:", "stuns:", "turn:", "turns:")) for url in urls
    ):
        return None, tr("each of its `urls` must start with stun: or turn:")
    server: dict[str, str | list[str]] = {"urls": urls}
    if any(url.startswith("turn") for url in urls):
        if not (entry.get("username") and entry.get("credential")):
            return None, tr("a TURN server needs `username` and `credential`")
        server |= {"username": str(entry["username"]), "credential": str(entry["credential"])}
    return server, ""


HOME = Path(__file__).resolve().parent.parent


def data_dir() -> Path:
    """The folder of data sets; it may not exist yet."""
    return Path(os.environ.get("MASK_DATA_DIR") or HOME / "data").absolute()


def record_path() -> Path:
    """The file in which the counts of live video are kept; it may not exist yet."""
    return data_dir() / "record.sqlite"


def cache_dir(name: str) -> Path:
    """What the app keeps of a data set to be fast; may be deleted at any time."""
    return data_dir() / ".cache" / name


def models_dir() -> Path:
    """The folder of models; the ones that came with the app must be in it."""
    return Path(os.environ.get("MASK_MODELS_DIR") or HOME / "models").absolute()


def runs_dir() -> Path:
    """The folder of training runs; it may not exist yet."""
    return Path(os.environ.get("MASK_RUNS_DIR") or HOME / "runs").absolute()


def videos_dir() -> Path:
    """Where visitors' videos lie while they are here; nothing in it outlives them."""
    return Path(os.environ.get("MASK_VIDEOS_DIR") or Path(tempfile.gettempdir()) / "mask-videos").absolute()


def second_detector() -> Path | None:
    """The file of a second face detector (YuNet, as ONNX) that helps to find missing faces, if the operator has one."""
    named = os.environ.get("MASK_SECOND_DETECTOR", "").strip()
    return Path(named).absolute() if named else None


def allowed_dirs() -> list[Path]:
    """Folders below which visitors may use pictures where they lie."""
    parts = os.environ.get("MASK_ALLOWED_DIRS", "").split(os.pathsep)
    return [Path(part).resolve() for part in parts if part.strip()]
