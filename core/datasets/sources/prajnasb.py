"""The data set of the student's report, fetched from GitHub file by file, each compared with its known checksum.

``prajnasb.tsv`` holds path, size in bytes and SHA-256 of its 1,376 pictures as they are in commit cdcf450 of
prajnasb/observations, below ``experiements/data``. What counts is the checksum, wherever the bytes come from.
"""

import hashlib
import http.client
import re
import threading
import urllib.error
import urllib.parse
import urllib.request
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from dataclasses import dataclass
from operator import methodcaller
from pathlib import Path

from core.datasets.formats import DataError
from core.io import write_atomic
from core.jobs import Report
from core.language import in_this_language, mark, number, tr

REPORT_NAME = "prajnasb"
REPORT_CARD = {
    "title": mark("The report's set"),
    "about": mark(
        "1,376 images of single faces from GitHub prajnasb/observations, commit cdcf450. Most masks are drawn onto "
        "the face, and about half of the files are edited copies of another one."
    ),
    "drawn": True,
}
MANIFEST = Path(__file__).resolve().parent / "prajnasb.tsv"
COMMIT = "cdcf450"
REPOSITORY = "prajnasb/observations"
FOLDER = "experiements/data"  # spelt as there
AT_ONCE = 8
TRIES = 3
TIMEOUT_S = 30
WAIT_S = 1.0
HEADERS = {"User-Agent": "face-mask-dashboard"}
NO_CONNECTION = mark(
    "There is no connection to GitHub; check the network of this server and try again. What has arrived is kept."
)
_one_at_a_time = threading.Lock()


@dataclass(frozen=True)
class ListedFile:
    """One line of the manifest."""

    path: str
    size: int
    sha256: str

    def is_in(self, data: bytes) -> bool:
        """Whether these are the file's bytes."""
        return len(data) == self.size and hashlib.sha256(data).hexdigest() == self.sha256


def read_manifest(path: Path = MANIFEST) -> list[ListedFile]:
    """The files of the set."""
    rows = (line.split("\t") for line in path.read_text(encoding="utf-8").splitlines() if line)
    return [ListedFile(name, int(size), checksum) for name, size, checksum in rows]


def fetch_files(folder: Path, report: Report, base_url: str | None = None, manifest: Path | None = None) -> int:
    """Bring a folder up to the whole set; files that are right already are not fetched again. Returns their number.

    Raises:
        DataError: no connection, or a file is missing or not what it was.
        Cancelled: as ``report`` has it; what has arrived stays.
    """
    if not _one_at_a_time.acquire(blocking=False):
        raise DataError(tr("This set is being fetched already."))
    try:
        files = read_manifest(manifest or MANIFEST)
        report(0, len(files), tr("Checking what is here already"))
        missing = [file for file in files if not _is_there(folder / file.path, file)]
        if missing:
            base_url = base_url or _github_url()
            _fetch_all(missing, folder, base_url, report, len(files))
        return len(files)
    finally:
        _one_at_a_time.release()


def _fetch_all(missing: list[ListedFile], folder: Path, base_url: str, report: Report, total: int) -> None:
    stop = threading.Event()
    done, fetch = total - len(missing), in_this_language(_fetch)
    with ThreadPoolExecutor(AT_ONCE) as pool:
        pending = {pool.submit(fetch, file, folder, base_url, stop) for file in missing}
        try:
            while pending:
                ended, pending = wait(pending, timeout=0.5, return_when=FIRST_COMPLETED)
                for each in ended:
                    each.result()
                done += len(ended)
                words = tr("{done} of {total} images").format(done=number(done, ","), total=number(total, ","))
                report(done, total, words)
        except BaseException:
            stop.set()
            pool.shutdown(cancel_futures=True)
            raise


def _fetch(file: ListedFile, folder: Path, base_url: str, stop: threading.Event) -> None:
    url = f"{base_url.rstrip('/')}/{urllib.parse.quote(file.path)}"
    problem = tr(NO_CONNECTION)
    for attempt in range(TRIES):
        if stop.is_set() or (attempt and stop.wait(WAIT_S * attempt)):
            return
        try:
            data = _get(url, file.size + 1)
        except urllib.error.HTTPError as error:
            words = tr("GitHub answered {code} for {file}; try again later. What has arrived is kept.")
            problem = words.format(code=error.code, file=file.path)
            if error.code in (403, 404, 410):
                break
            continue
        except (OSError, http.client.HTTPException):
            problem = tr(NO_CONNECTION)
            continue
        if file.is_in(data):
            (folder / file.path).parent.mkdir(parents=True, exist_ok=True)
            write_atomic(folder / file.path, methodcaller("write_bytes", data))
            return
        words = tr("{file} did not arrive as it was published; try again later. What has arrived is kept.")
        problem = words.format(file=file.path)
    stop.set()
    raise DataError(problem)


def _get(url: str, limit: int, accept: str = "*/*") -> bytes:
    request = urllib.request.Request(url, headers={**HEADERS, "Accept": accept})
    with urllib.request.urlopen(request, timeout=TIMEOUT_S) as answer:
        return answer.read(limit)


def _github_url() -> str:
    """Where the raw files of the commit are. They are served under the full hash, which GitHub tells; if it does not
    (it limits such questions per hour), the branch does as well, since every file is checked."""
    ref = "master"
    try:
        url = f"https://api.github.com/repos/{REPOSITORY}/commits/{COMMIT}"
        answer = _get(url, 100, accept="application/vnd.github.sha").decode("ascii", "replace").strip()
        if re.fullmatch(rf"{COMMIT}[0-9a-f]{{33}}", answer):
            ref = answer
    except (OSError, http.client.HTTPException):
        pass  # the first file says whether there is a connection
    return f"https://raw.githubusercontent.com/{REPOSITORY}/{ref}/{FOLDER}"


def _is_there(path: Path, file: ListedFile) -> bool:
    try:
        return path.stat().st_size == file.size and file.is_in(path.read_bytes())
    except OSError:
        return False
