import contextlib
import json
import multiprocessing
import os
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path

import cv2
import psutil
import pytest

from core.batch.formats import write_formats
from core.batch.inputs import Item, items
from core.batch.results import FILMS, LINES, PICTURES, Results
from core.batch.score import CRASHED, Task, Work, record_of, score
from core.synthetic.sample import sample_photo
from core.synthetic.sample_film import write_sample_film
from core.vision.annotate import annotate as draw
from core.vision.blur import blur_faces
from core.vision.images import decode_image, encode_image
from core.vision.photos import PhotoSet, classify_photo, detector_of, looks_at_all_pixels
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
    """Four photos, bare and masked; one is upside down."""
    return write_photos(tmp_path / "photos", 4)


def write_photos(folder: Path, number: int) -> Path:
    folder.mkdir()
    for i in range(number):
        photo = cv2.resize(sample_photo(masked=i % 2 == 0), (600 + 8 * i, 600))
        (folder / f"{i}.jpg").write_bytes(encode_image(cv2.rotate(photo, cv2.ROTATE_180) if i == 3 else photo))
    return folder


@pytest.mark.parametrize("name", ["neural", "combined"])
def test_results_are_those_of_the_photo_page(photos, name, tmp_path):
    method = method_with_its_own_model(name)
    pipeline = build_pipeline(*method)
    work = Work(method, PHOTO_SETTINGS, tmp_path)
    paths = [photos / "2.jpg", photos / "3.jpg"]
    page = PhotoSet()
    shown = page.show((str(path), path.name, path.read_bytes) for path in paths)
    page.classify(
        detector_of(pipeline, PHOTO_SETTINGS),
        method,
        whole=looks_at_all_pixels(method),
        other_turn=lambda image, found: quarters_to_upright(pipeline, image, found),
    )
    for path, photo in zip(paths, shown, strict=True):
        record = record_of(Task(str(path), path.name, str(path)), work, pipeline)
        assert record["faces"] == detection_rows(path.name, photo.detections) and len(record["faces"]) == 1
        assert record["turned"] == photo.turned == (2 if path.name == "3.jpg" else 0)


def test_films_give_their_people(pipeline, tmp_path):
    path = tmp_path / "walk.mp4"
    path.touch()
    work = Work(NEURAL, PHOTO_SETTINGS, tmp_path / "out")
    (item,) = items([str(path)], work.folder)
    task = Task(item.source, "in/walk.mp4", item.path, is_film=True)
    assert "problem" in record_of(task, work, pipeline) and not (work.folder / FILMS / "in" / "walk.mp4").exists()
    write_sample_film(path, people=2, seconds=2, fps=10)
    record = record_of(task, work, pipeline)
    assert sorted(person["result"] for person in record["people"]) == ["with_mask", "without_mask"]
    assert (work.folder / FILMS / "in" / "walk.mp4" / "annotated.mp4").stat().st_size
    with Results(tmp_path / "lines", {}) as results:
        results.add(record)
        assert write_formats(results, ("csv", "coco")).films == 1
    assert (tmp_path / "lines" / "people.csv").read_text().splitlines()[1].startswith("in/walk.mp4,1,")


@pytest.mark.parametrize(("annotate", "blur"), [(True, False), (False, True), (True, True)])
def test_pictures_are_written_as_asked(photos, pipeline, tmp_path, annotate, blur):
    work = Work(NEURAL, PHOTO_SETTINGS, tmp_path, annotate=annotate, blur=blur)
    path = photos / "3.jpg"
    record_of(Task(str(path), "in/3.heic", str(path)), work, pipeline)
    frame = decode_image(path.read_bytes())[::-1, ::-1].copy()  # upright
    found = classify_photo(path.read_bytes(), NEURAL, pipeline, PHOTO_SETTINGS).detections
    frame = blur_faces(frame, found.xyxy) if blur else frame
    expected = encode_image(draw(frame, found) if annotate else frame)
    assert (tmp_path / PICTURES / "in" / "3.heic.jpg").read_bytes() == expected


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


def test_a_killed_run_resumes_and_any_number_of_workers_gives_the_same(pipeline, tmp_path):
    photos, out = write_photos(tmp_path / "photos", 12), tmp_path / "out"
    (photos / "bad.jpg").write_bytes(b"no")
    first = start(photos, out, 2)
    wait_until(lambda: len(lines(out)) >= 2, 150)
    workers = psutil.Process(first.pid).children(recursive=True)
    os.kill(first.pid, signal.SIGKILL)
    first.communicate()
    wait_until(lambda: not any(each.is_running() and each.status() != "zombie" for each in workers), 60)
    kept = lines(out)
    assert 2 <= len(kept) < 13 and len(workers) >= 2
    with (out / LINES).open("ab") as file:
        file.write(b'{"source": "cut')

    again = start(photos, out, 1)
    told, words = again.communicate(timeout=200)
    assert lines(out)[: len(kept)] == kept
    assert again.returncode == 0 and "12 photos. 12 faces: 6 with a mask, 6 without a mask." in told
    assert "1 could not be read" in words and "bad.jpg" in words
    assert Counter(record["source"] for record in lines(out)) == Counter(str(path) for path in photos.iterdir())
    work = Work(NEURAL, PHOTO_SETTINGS, out)
    for record in lines(out)[::4]:
        task = Task(record["source"], record["photo"], record["source"])
        assert record_of(task, work, pipeline) == record
    assert (out / "faces.csv").exists() and (out / "unreadable.csv").exists()


def test_ctrl_c_keeps_what_is_done_and_ends_the_processes(tmp_path):
    photos, out = write_photos(tmp_path / "photos", 12), tmp_path / "out"
    work, seen = Work(NEURAL, PHOTO_SETTINGS, out), []

    def progress(record):
        seen.append(record)
        if len(seen) == 1:
            for process in psutil.Process().children(recursive=True):
                with contextlib.suppress(psutil.NoSuchProcess):  # another test's, which ends
                    if "spawn_main" in " ".join(process.cmdline()):
                        process.send_signal(signal.SIGINT)  # as a terminal sends it to all of them
            raise KeyboardInterrupt

    with Results(out, work.as_settings()) as results, pytest.raises(KeyboardInterrupt):
        score(items([str(photos)], out), results, work, 1, progress)
    assert lines(out) == seen and 1 < len(seen) < 12 and not any("problem" in record for record in seen)
    assert not multiprocessing.active_children()
