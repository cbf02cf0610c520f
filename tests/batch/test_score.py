import json
import os
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path

import cv2
import psutil
import pytest

from core.batch.inputs import Item, items
from core.batch.results import LINES, PICTURES, Results
from core.batch.score import CRASHED, Task, Work, record_of, score
from core.synthetic.sample import sample_photo
from core.vision.images import decode_image, encode_image
from core.vision.photos import PhotoSet, detector_of, looks_at_all_pixels
from core.vision.pipeline import PHOTO_SETTINGS, build_pipeline, method_with_its_own_model
from core.vision.tables import detection_rows
from core.vision.upright import quarters_to_upright
from tests.helpers import ROOT, wait_until

NEURAL = method_with_its_own_model()
DETECT = [sys.executable, "-m", "core", "detect"]


@pytest.fixture(scope="module")
def pipeline():
    return build_pipeline(*NEURAL)


@pytest.fixture
def photos(tmp_path) -> Path:
    """Ten photos, bare and masked, upright and turned, large enough to take a moment; one file is none."""
    folder = tmp_path / "photos"
    folder.mkdir()
    for i in range(10):
        photo = cv2.resize(sample_photo(masked=i % 2 == 0), (1400 + 8 * i, 1400))
        (folder / f"{i}.jpg").write_bytes(encode_image(cv2.rotate(photo, cv2.ROTATE_180) if i == 3 else photo))
    (folder / "bad.jpg").write_bytes(b"no")
    return folder


@pytest.mark.parametrize("name", ["neural", "combined"])
def test_results_are_those_of_the_photo_page(photos, name, tmp_path):
    method = method_with_its_own_model(name)
    pipeline = build_pipeline(*method)
    work = Work(method, PHOTO_SETTINGS, tmp_path)
    paths = [photos / "2.jpg", photos / "3.jpg"]
    page = PhotoSet()
    shown = page.show((str(path), path.name, path.read_bytes) for path in paths)
    page.judge(
        detector_of(pipeline, PHOTO_SETTINGS),
        method,
        whole=looks_at_all_pixels(method),
        other_turn=lambda image, found: quarters_to_upright(pipeline, image, found),
    )
    for path, photo in zip(paths, shown, strict=True):
        record = record_of(Task(str(path), path.name, str(path)), work, pipeline)
        assert record["faces"] == detection_rows(path.name, photo.detections) and len(record["faces"]) == 1
        assert record["turned"] == photo.turned == (2 if path.name == "3.jpg" else 0)


@pytest.mark.parametrize(("annotate", "blur"), [(True, False), (False, True), (True, True)])
def test_pictures_are_written_as_asked(photos, pipeline, tmp_path, annotate, blur):
    work = Work(NEURAL, PHOTO_SETTINGS, tmp_path, annotate, blur)
    path = photos / "3.jpg"
    record = record_of(Task(str(path), "in/3.heic", str(path)), work, pipeline)
    written = decode_image((tmp_path / PICTURES / "in" / "3.heic.jpg").read_bytes())
    assert written.shape == (1400, 1424, 3)
    (face,) = record["faces"]
    x1, y1, x2, y2 = (round(face[key]) for key in ("x1", "y1", "x2", "y2"))
    sharp = decode_image(path.read_bytes())[::-1, ::-1][y1:y2, x1:x2]
    assert blur == (abs(written[y1 + 30 : y2 - 30, x1 + 30 : x2 - 30].astype(int) - sharp[30:-30, 30:-30]).mean() > 5)
    edge, beside = (written[y1 + 40 : y2 - 40, x].astype(int).mean(axis=0) for x in (x1 + 1, x1 + 12))
    assert annotate == (abs(edge - beside).max() > 40)


def test_a_photo_that_ends_the_process_costs_no_other_its_result(photos, tmp_path):
    class Deadly(bytes):
        """Ends the process that unpacks it."""

        def __reduce__(self):
            return os._exit, (9,)

    deadly = Item("/deadly.jpg", ("deadly.jpg",), lambda: Deadly(b"x"))
    good = list(items([str(photos / "0.jpg"), str(photos / "1.jpg")], tmp_path / "out"))
    work = Work(NEURAL, PHOTO_SETTINGS, tmp_path / "out")
    with Results(work.folder, work.as_settings()) as results:
        score([good[0], deadly, good[1]], results, work, 1)
        found = {record["photo"]: record for _, record in results.lines()}
    assert found["deadly.jpg"]["problem"] == CRASHED and len(found) == 3
    assert [len(found[name]["faces"]) for name in ("0.jpg", "1.jpg")] == [1, 1]


def lines(folder: Path) -> list[dict]:
    path = folder / LINES
    return [json.loads(line) for line in path.read_bytes().split(b"\n")[:-1]] if path.exists() else []


def start(photos: Path, out: Path, workers: int) -> subprocess.Popen:
    command = [*DETECT, str(photos), "--out", str(out), "--workers", str(workers)]
    return subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def test_a_killed_run_resumes_and_any_number_of_workers_gives_the_same(photos, pipeline, tmp_path):
    out = tmp_path / "out"
    first = start(photos, out, 2)
    wait_until(lambda: len(lines(out)) >= 2, 60)
    workers = psutil.Process(first.pid).children(recursive=True)
    os.kill(first.pid, signal.SIGKILL)
    first.communicate()
    wait_until(lambda: not any(each.is_running() and each.status() != "zombie" for each in workers), 20)
    kept = lines(out)
    assert 2 <= len(kept) < 11 and len(workers) >= 2
    with (out / LINES).open("ab") as file:
        file.write(b'{"source": "cut')

    second = start(photos, out, 1)
    wait_until(lambda: len(lines(out)) > len(kept) or second.poll() is not None, 60)
    second.send_signal(signal.SIGINT)
    _, words = second.communicate(timeout=60)
    assert second.returncode == 130 and "The same command resumes" in words and "Traceback" not in words
    assert lines(out)[: len(kept)] == kept and len(lines(out)) < 11

    third = start(photos, out, 1)
    told, words = third.communicate(timeout=60)
    assert third.returncode == 0 and "10 photos. 10 faces: 5 with a mask, 5 without a mask." in told
    assert "1 could not be read" in words and "bad.jpg" in words
    assert Counter(record["source"] for record in lines(out)) == Counter(str(path) for path in photos.iterdir())
    work = Work(NEURAL, PHOTO_SETTINGS, out)
    for record in lines(out):
        task = Task(record["source"], record["photo"], record["source"])
        assert record_of(task, work, pipeline) == record
    assert (out / "faces.csv").exists() and (out / "unreadable.csv").exists()
