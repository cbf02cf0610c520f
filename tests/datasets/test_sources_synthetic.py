import json
from collections import Counter

import numpy as np
import pytest

from core.datasets import store
from core.datasets.duplicates import family
from core.datasets.formats import DataError, Picture
from core.datasets.sources.synthetic import (
    BARE,
    BareFace,
    DrawSettings,
    _free_stem,
    _open,
    _plan,
    bare_faces,
    draw_folder,
    draw_pictures,
    face_finder,
    main,
    make_card,
    make_drawn_set,
)
from core.datasets.store import list_datasets, read_pictures
from core.jobs import Cancelled
from core.synthetic.render import MASK_KINDS
from core.synthetic.sample import SAMPLE_FACE_XYXY, sample_photo
from core.vision.images import encode_image, read_image

PORTRAIT = sample_photo(False)[:300, 60:400]  # (300, 340): not square


@pytest.fixture
def data(tmp_path, monkeypatch):
    """A data folder with one set of three bare faces, one of them unreadable, and one masked."""
    folder = tmp_path / "data"
    monkeypatch.setenv("MASK_DATA_DIR", str(folder))
    for name, frame in {
        "without_mask/a b.jpg": PORTRAIT,
        "without_mask/c.png": PORTRAIT[:, ::-1].copy(),
        "with_mask/a b.jpg": sample_photo(True),
    }.items():
        path = folder / "people" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(encode_image(frame, path.suffix))
    (folder / "people/without_mask/broken.jpg").write_bytes(b"no picture")
    return folder


def find_sample(frame_bgr):
    """The sample's face, without a model."""
    x1, y1, x2, y2 = SAMPLE_FACE_XYXY
    box = [x1 - 60, y1, x2 - 60, y2]
    return np.float32([box if (frame_bgr[:10].mean() > 0) else []]).reshape(-1, 4)


def files(folder):
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("[!.]*.*") if path.is_file())


@pytest.mark.parametrize(
    ("change", "words"),
    [
        pytest.param({"kinds": ()}, "missing; possible: surgical_blue", id="no kind"),
        pytest.param({"kinds": ("ffp2", "veil")}, "veil; possible", id="unknown kind"),
        pytest.param({"wrong_share": 1.2}, "1.2; it must lie in 0..1", id="share"),
        pytest.param({"per_face": 0}, "0; it must lie in 1..10", id="none per face"),
        pytest.param({"limit": -1}, "must not be negative", id="limit"),
    ],
)
def test_settings_that_make_no_sense_are_refused(change, words):
    with pytest.raises(DataError, match=words):
        DrawSettings(**change)


def test_a_data_set_is_drawn(data):
    seen = []
    made = make_drawn_set("people", "New Faces!", DrawSettings(per_face=2, wrong_share=0.5), lambda *a: seen.append(a))
    assert (made.name, made.layout, made.linked) == ("New-Faces", "class_folders", False)
    pictures = read_pictures(made.folder)
    labels = Counter(picture.labels[0] for picture in pictures)
    # Planned for three faces, one of which cannot be read.
    assert labels["without_mask"] == 2 and labels.total() == 6
    assert Counter(family(picture.key) for picture in pictures) == {"a-b": 3, "c": 3}
    assert made.card["drawn"] is True and made.card["source"] == "people" and made.card["title"] == "New Faces!"
    assert made.card["settings"]["seed"] == 42 and made.card["counts"] == dict(labels)
    assert "drawn, not real" in made.card["about"] and "could not be read: 1." in made.card["about"]
    assert made.card["date"].count("-") == 2
    assert seen[0][:2] == (0, 3) and seen[-1][:2] == (3, 3)
    assert [each.name for each in list_datasets()] == ["New-Faces", "people"]
    assert files(data / "people") == [
        *("with_mask/a b.jpg", "without_mask/a b.jpg", "without_mask/broken.jpg", "without_mask/c.png")
    ]


def test_the_drawn_picture_differs_where_the_mask_is_and_nowhere_else(data, tmp_path):
    drawn = draw_pictures(data / "people", tmp_path / "out", DrawSettings(wrong_share=0), find_faces=find_sample)
    assert drawn.counts == {"with_mask": 2, "without_mask": 2}
    assert (drawn.without_face, drawn.unreadable) == ([], ["without_mask/broken.jpg"])
    bare, masked = (read_image(tmp_path / "out" / label / "a-b.jpg").astype(int) for label in (BARE, "with_mask"))
    change = np.abs(bare - masked).max(axis=2)
    assert change[130:160, 145:185].mean() > 30 and change[:80].max() < 20, "both are compressed once, alike"
    assert change[:, 280:].max() < 20


def test_the_same_seed_writes_the_same_bytes(data, tmp_path):
    for out in ("one", "two"):
        draw_pictures(data / "people", tmp_path / out, DrawSettings(), find_faces=find_sample)
    names = files(tmp_path / "one")
    assert names == files(tmp_path / "two") and len(names) == 4
    assert all((tmp_path / "one" / n).read_bytes() == (tmp_path / "two" / n).read_bytes() for n in names)


def test_shares_are_exact_over_the_whole_set():
    settings = DrawSettings(kinds=("ffp2", "black"), wrong_share=0.25, per_face=2, seed=3)
    plan = list(_plan(20, settings, np.random.default_rng(3)))
    masks = [mask for _, face in plan for mask in face]
    assert Counter(kind for kind, _ in masks) == {"ffp2": 20, "black": 20}
    assert Counter(wearing for _, wearing in masks) == {"well": 30, "under_nose": 5, "on_chin": 5}
    assert len({seed for seed, _ in plan}) == 20


def test_a_limit_takes_some_faces(data, tmp_path):
    (data / "people/without_mask/broken.jpg").unlink()
    drawn = draw_pictures(data / "people", tmp_path / "out", DrawSettings(limit=1), find_faces=find_sample)
    assert drawn.faces == 1


def picture(labels, boxes=(), **fields):
    xyxy = np.array(boxes, np.float32).reshape(-1, 4)
    return Picture("x/y.jpg", "y.jpg", labels, xyxy, whole=not boxes, **fields)


@pytest.mark.parametrize(
    ("given", "items"),
    [
        pytest.param(picture(("without_mask",)), ["x/y.jpg"], id="class folder"),
        pytest.param(picture(("with_mask",)), [], id="masked"),
        pytest.param(picture(("helmet",)), [], id="another class"),
        pytest.param(picture(("without_mask",), excluded=True), [], id="set aside"),
        pytest.param(picture(("without_mask",), split="test"), [], id="kept for testing"),
        pytest.param(
            picture(("with_mask", "without_mask", "without_mask"), [(0, 0, 50, 60), (0, 0, 50, 60), (0, 0, 20, 60)]),
            ["x/y.jpg#1"],
            id="annotated, one too small",
        ),
        pytest.param(picture(("without_mask",), [(0, 0, 50, 60)], excluded_faces=(0,)), [], id="a face set aside"),
    ],
)
def test_which_faces_are_drawn_on(given, items):
    assert [face.item for face in bare_faces([given], 32)] == items


def test_an_annotated_face_is_cut_out_with_room_around(tmp_path):
    path = tmp_path / "photo.jpg"
    path.write_bytes(encode_image(sample_photo(False)))
    frame, boxes = _open(BareFace("photo.jpg#0", path, np.float32(SAMPLE_FACE_XYXY)), None)
    # The face is 94 × 130 pixels: a square of 130, and 0.3 of that on each side.
    assert frame.shape == (190 + 39 - 21, 208, 3)
    assert boxes.tolist() == [[57, 39, 151, 169]]
    difference = frame.astype(int) - sample_photo(False)[21:229, 121:329]
    assert np.abs(difference).mean() < 5


def test_several_faces_of_one_picture_all_get_a_mask(tmp_path):
    path = tmp_path / "two.jpg"
    path.write_bytes(encode_image(PORTRAIT))
    found = np.float32([[0, 0, 100, 120], [200, 0, 260, 80], [0, 200, 30, 240]])
    _, boxes = _open(BareFace("two.jpg", path, None), lambda frame: found)
    assert boxes.tolist() == found[:2].tolist(), "the third is background"


def test_names_stay_apart():
    taken = set()
    items = ("a/12.jpg", "b/12.jpg", "a/12.jpg#3", "a/ä--ö.jpg", "a/---.png", "A/12.PNG")
    stems = [_free_stem(item, taken) for item in items]
    assert stems == ["12", "12_2", "12-3", "face", "face_2", "12_3"]
    assert len({family(f"{stem}.jpg") for stem in stems}) == len(stems)


def test_a_picture_that_is_all_face_is_looked_at_with_room_around():
    x1, y1, x2, y2 = SAMPLE_FACE_XYXY
    frame = sample_photo(False)[y1 + 8 : y2 - 4, x1 + 6 : x2 - 6].copy()
    boxes = face_finder()(frame)
    assert len(boxes) == 1 and boxes[0, 0] < 15 and boxes[0, 2] > frame.shape[1] - 15


def leftovers(data):
    return sorted(path.name for path in data.iterdir() if path.name != ".lock")


def test_what_is_cancelled_leaves_nothing(data):
    def report(done, total, text):
        if done == 1:
            raise Cancelled

    with pytest.raises(Cancelled):
        make_drawn_set("people", "new", DrawSettings(), report)
    assert leftovers(data) == ["people"]


@pytest.mark.parametrize(
    ("source", "name", "words"),
    [
        pytest.param("people", "people", "already is a data set", id="name taken"),
        pytest.param("nobody", "new", "no data set 'nobody'", id="no such source"),
        pytest.param("masked", "new", "nothing in it is labelled without_mask", id="no bare faces"),
        pytest.param("walls", "new", "No face was found", id="no face in them"),
    ],
)
def test_problems_get_a_sentence_and_leave_nothing(data, source, name, words):
    for folder, frame in (("masked/with_mask", PORTRAIT), ("walls/without_mask", np.full((60, 90, 3), 99, np.uint8))):
        (data / folder).mkdir(parents=True)
        (data / folder / "x.jpg").write_bytes(encode_image(frame))
    with pytest.raises(DataError, match=words):
        make_drawn_set(source, name, DrawSettings())
    assert leftovers(data) == ["masked", "people", "walls"]


def test_a_card_that_cannot_be_written_takes_the_set_with_it(data, monkeypatch):
    write = store.write_json

    def fail(path, value):
        if path.name == "new.card.json":
            raise OSError(28, "No space left on device")
        write(path, value)

    monkeypatch.setattr(store, "write_json", fail)
    with pytest.raises(DataError, match="disk is full"):
        make_drawn_set("people", "new", DrawSettings())
    assert leftovers(data) == ["people"]


def test_the_command_writes_folder_and_card(data, capsys):
    out = data.parent / "elsewhere" / "drawn"
    arguments = ["--data", str(data / "people"), "--out", str(out), "--kinds", "ffp2, black", "--wrong-share", "0"]
    main(arguments)
    assert files(out) == ["with_mask/a-b.jpg", "with_mask/c.jpg", "without_mask/a-b.jpg", "without_mask/c.jpg"]
    card = json.loads((out.parent / "drawn.card.json").read_text())
    assert card["drawn"] is True and card["settings"]["kinds"] == ["ffp2", "black"]
    assert "2 with_mask, 2 without_mask; no face in 0, unreadable 1." in capsys.readouterr().out
    with pytest.raises(DataError, match="exists already"):
        draw_folder(data / "people", out, DrawSettings())
    with pytest.raises(DataError, match="veil"):
        main([*arguments[:3], str(out) + "2", "--kinds", "veil"])
    assert sorted(path.name for path in out.parent.iterdir()) == ["drawn", "drawn.card.json"]


def test_the_card_says_how_many_pictures_a_split_would_part(data, tmp_path):
    drawn = draw_pictures(data / "people", tmp_path / "out", DrawSettings(wrong_share=0), find_faces=find_sample)
    card = make_card("x", "people", DrawSettings(), drawn)
    assert card["apart_from_original"] == drawn.apart
    assert ("files of one face share" in card["about"]) is bool(drawn.apart)


def test_the_words_for_kinds_are_the_commands_words():
    assert DrawSettings().kinds == tuple(MASK_KINDS)
