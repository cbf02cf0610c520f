import csv
import io
import json
import weakref
from functools import partial

import cv2
import numpy as np
import pytest

from core.jobs import Cancelled
from core.synthetic.sample_film import write_sample_film
from core.video import film as film_module
from core.video.film import ANNOTATED, COLUMNS, JSON, TABLE, Pace, analyse_film, people_csv
from core.video.reader import FilmError, FilmReader
from core.vision.detections import make_detections
from core.vision.pipeline import LIVE_SETTINGS, build_pipeline, detect_masks
from core.vision.stats import FrameStats
from tests.video.films import film, write

SIZE_WH = 192, 144
COLORS = {0: (230, 40, 20), 1: (20, 40, 230)}  # BGR: blue with a mask, red without


def walkers(n: int = 40, classes: tuple[int, ...] = (0, 1, 1)) -> list[np.ndarray]:
    """Frames of squares that walk in, across and out again, each in a lane of its own."""
    made = []
    for i in range(n):
        frame = np.full((144, 192, 3), 128, np.uint8)
        for k, class_id in enumerate(classes):
            x = round(230 * i / n) - 30
            frame[8 + 44 * k : 38 + 44 * k, max(0, x) : max(0, x + 30)] = COLORS[class_id]
        made.append(frame)
    return made


def find_squares(frame_bgr: np.ndarray):
    """The squares of ``walkers`` that are wholly in the frame."""
    boxes, ids = [], []
    for class_id, color in COLORS.items():
        near = (np.abs(frame_bgr.astype(int) - color).max(axis=2) < 60).astype(np.uint8)
        _, _, stats, _ = cv2.connectedComponentsWithStats(near)
        for x, y, width, height, area in stats[1:].tolist():
            if area > 300:
                boxes.append((x, y, x + width, y + height))
                ids.append(class_id)
    return make_detections(boxes, ids, [0.95] * len(ids), [0.9] * len(ids))


@pytest.fixture
def walk(tmp_path):
    return write(tmp_path, film(walkers()))


def test_everybody_is_counted_once_with_what_they_wear_and_when(walk, tmp_path):
    result = analyse_film(walk, tmp_path, find_squares, step_s=0.12)
    assert result.stats == FrameStats((1, 2, 0))
    assert (result.frames, result.looks) == (40, 14) and not result.notes
    assert result.duration_s == pytest.approx(39 / 25, abs=0.01)
    for person in result.people:
        assert 0 < person.from_s < 0.2 and person.to_s > 1.2 and person.confidence > 0.9
        face = cv2.imdecode(np.frombuffer(person.jpeg, np.uint8), cv2.IMREAD_COLOR)
        assert face.shape == (112, 112, 3)
        color = COLORS[0 if person.result == "with_mask" else 1]
        assert np.abs(face[56, 56].astype(int) - color).max() < 60
    assert [at_s for at_s, _ in result.moments] == [0, 0.5, 1, 1.5]
    assert result.moments[2][1].counts == (1, 2, 0)


def test_the_files_say_the_same(walk, tmp_path):
    result = analyse_film(walk, tmp_path, find_squares, step_s=0.12)
    rows = list(csv.DictReader(io.StringIO((tmp_path / TABLE).read_text(encoding="utf-8-sig"))))
    assert tuple(rows[0]) == COLUMNS
    counted = [row for row in rows if row["person"]]
    assert {row["person"] for row in counted} == {"1", "2", "3"} and len(rows) > len(counted)
    assert {row["result"] for row in counted} <= {"with_mask", "without_mask", "unknown"}
    everything = json.loads((tmp_path / JSON).read_text(encoding="utf-8"))
    assert len(everything["detections"]) == len(rows)
    assert [person["person"] for person in everything["people"]] == [1, 2, 3]
    assert everything["video"]["frames"] == 40
    people = list(csv.DictReader(io.StringIO(people_csv(result).lstrip("\ufeff"))))
    assert sorted(row["result"] for row in people) == ["with_mask", "without_mask", "without_mask"]


def boxes_drawn(path) -> list[bool]:
    """Whether each frame of a film has a box or a label in it, of any colour of ours."""
    with FilmReader(path) as opened:
        return [bool((frame.max(axis=2).astype(int) < 70).sum() > 20) for _, frame in opened.frames()]


def test_boxes_move_evenly_between_two_looks(walk, tmp_path, monkeypatch):
    seen = []
    monkeypatch.setattr(film_module, "annotate", lambda frame, found: seen.append((frame, found.xyxy.copy())) or frame)
    analyse_film(walk, tmp_path, find_squares, step_s=0.16)
    assert len(seen) == 40
    for frame, xyxy in seen[16:30]:
        truth = np.array(sorted(find_squares(frame).xyxy.tolist(), key=lambda box: box[1]))
        drawn = np.array(sorted(xyxy.tolist(), key=lambda box: box[1]))
        assert np.abs(truth - drawn).max() < 3


def test_the_film_with_boxes_has_every_frame_at_its_time(walk, tmp_path):
    analyse_film(walk, tmp_path, find_squares)
    drawn = boxes_drawn(tmp_path / ANNOTATED)
    assert len(drawn) == 40 and all(drawn[8:32]) and not drawn[0]


def test_faces_are_blurred_in_the_film_and_on_the_cards(tmp_path):
    rng = np.random.default_rng(0)
    texture = rng.integers(0, 2, (30, 30, 1)) * np.array([100, 0, 0])
    pictures = walkers(classes=(0,))
    for i, frame in enumerate(pictures):
        x = round(230 * i / 40) - 30
        if 0 <= x <= 160:
            frame[8:38, x : x + 30] = np.clip(COLORS[0] - texture, 0, 255)

    def rough(frame_bgr):
        return find_squares(cv2.blur(frame_bgr, (5, 5)))

    def roughness(folder, blur):
        folder.mkdir()
        source = write(folder, film(pictures, options={"crf": "5"}))
        result = analyse_film(source, folder, rough, blur=blur, step_s=0.16)
        assert len(result.people) == 1
        with FilmReader(folder / ANNOTATED) as opened:
            frames = [frame for _, frame in opened.frames()]
        x = [round(230 * i / 40) - 30 for i in range(40)]
        faces = [frames[i][14:32, x[i] + 6 : x[i] + 24] for i in range(12, 32)]
        faces.append(cv2.imdecode(np.frombuffer(result.people[0].jpeg, np.uint8), cv2.IMREAD_COLOR)[40:70, 40:70])
        return [float(np.abs(np.diff(face[..., 0].astype(int), axis=1)).mean()) for face in faces]

    clear, blurred = roughness(tmp_path / "clear", False), roughness(tmp_path / "blurred", True)
    assert all(b < 0.5 * c for b, c in zip(blurred, clear, strict=True))


def test_progress_is_told_and_cancelling_leaves_nothing(walk, tmp_path):
    told, shown = [], []
    analyse_film(walk, tmp_path, find_squares, report=lambda *each: told.append(each), preview=shown.append)
    assert [done for done, _, _ in told] == list(range(1, 41)) and {total for _, total, _ in told} == {40}
    assert told[20][2].startswith("About ") and shown[0].shape == (144, 192, 3)
    for path in (ANNOTATED, TABLE, JSON):
        (tmp_path / path).unlink()

    def stop(done, total, text=""):
        if done == 20:
            raise Cancelled

    with pytest.raises(Cancelled):
        analyse_film(walk, tmp_path, find_squares, report=stop)
    assert [path.name for path in tmp_path.iterdir()] == ["film.mp4"]


def test_a_single_picture_is_no_film(tmp_path):
    with pytest.raises(FilmError, match="single picture"):
        analyse_film(write(tmp_path, film(walkers(1))), tmp_path, find_squares)
    assert [path.name for path in tmp_path.iterdir()] == ["film.mp4"]


def test_what_is_not_as_it_should_be_is_said(tmp_path, monkeypatch):
    data = film(walkers(), options={"g": "5"})
    result = analyse_film(write(tmp_path, data[: len(data) * 3 // 4]), tmp_path, find_squares)
    assert len(result.notes) == 1 and "breaks off" in result.notes[0]
    monkeypatch.setenv("MASK_VIDEO_MINUTES", "0.1")
    result = analyse_film(write(tmp_path, film(walkers(), lambda k: k / 2)), tmp_path, find_squares)
    assert result.notes == [
        "Only the first 0.1 minutes were analysed, which is as long as a video may be on this server."
    ]
    assert result.duration_s <= 6


def test_looks_are_as_many_as_there_is_time_for():
    now = [0.0]

    def pace(look_s: float, frame_s: float) -> float:
        made = Pace(25, lambda: now[0])

        def detect(frame):
            now[0] += look_s

        for _ in range(30):
            made.look(detect, None)
            made.note_frames(3, 3 * frame_s)
        return made.step_s

    assert pace(0.01, 0.01) == film_module.LEAST_STEP_S
    assert pace(0.1, 0.01) == pytest.approx(0.1 / (0.9 - 0.25), rel=0.01)
    assert pace(0.3, 0.01) == pace(0.01, 0.1) == film_module.MOST_STEP_S


def test_memory_does_not_grow_with_the_length(tmp_path, monkeypatch):
    alive, most = weakref.WeakSet(), 0
    read = FilmReader.frames

    class Frame(np.ndarray):
        __hash__ = object.__hash__

    def frames(self):
        nonlocal most
        for time_s, frame in read(self):
            frame = frame.view(Frame)
            alive.add(frame)
            most = max(most, len(alive))
            yield time_s, frame

    monkeypatch.setattr(FilmReader, "frames", frames)
    analyse_film(write(tmp_path, film(walkers(120))), tmp_path, find_squares, step_s=100)
    assert most <= film_module.MAX_WAITING + 3


def test_the_people_of_the_sample_are_counted(tmp_path):
    write_sample_film(tmp_path / "film.mp4", 2, 2.4, (320, 240))
    detect = partial(detect_masks, pipeline=build_pipeline(), settings=LIVE_SETTINGS)
    result = analyse_film(tmp_path / "film.mp4", tmp_path, detect, step_s=0.12)
    assert result.stats == FrameStats((1, 1, 0))
    assert [person.result for person in result.people] == ["without_mask", "with_mask"]
