"""The page of data sets, run as Streamlit runs it, without a browser."""

import io
import json
import time
import zipfile
from functools import partial
from itertools import product

import cv2
import numpy as np
import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest

from core.datasets.edits import Edits, NewFace
from core.datasets.importers import import_zip
from core.datasets.index import Index, build_index, open_index
from core.datasets.missing import Find, Finder, missing_faces, pipeline_id, search
from core.datasets.query import Filter
from core.datasets.store import delete_dataset, find_dataset, list_datasets, write_card
from core.jobs import Cancelled
from core.language import using
from core.registry.active import in_use
from core.vision.detections import make_detections
from core.vision.images import encode_image
from pages.components.boxes import box_within
from pages.components.language import LANGUAGE
from pages.components.resources import server_jobs, set_zips
from pages.components.state import (
    DATA_SET,
    DATA_VIEW,
    DATA_VIEWS,
    DUPLICATES,
    FILTER,
    GALLERY,
    MISSING,
    OPEN_IMAGE,
    OVERVIEW,
    TRAINING_SPLIT,
)
from pages.views.datasets.deciding import classes_to_give, decide
from tests.helpers import ROOT, StubPipeline, write_voc
from train.split import default_split


@pytest.fixture(autouse=True)
def server(tmp_path, monkeypatch):
    """A server of its own: an empty data folder, no jobs, nothing kept."""
    monkeypatch.setenv("MASK_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.delenv("MASK_ALLOWED_DIRS", raising=False)
    st.cache_resource.clear()
    st.cache_data.clear()
    yield tmp_path
    st.cache_resource.clear()
    st.cache_data.clear()


def fill(folder, per_class=35):
    """Two class folders of pictures that are not square; each second one is a near-duplicate of the one before."""
    for i in range(per_class):
        for k, label in enumerate(("helmet", "no_helmet")):
            cells = np.random.default_rng([k, i // 2]).integers(0, 256, (6, 8, 3)).astype(np.float32)
            frame = np.clip(cv2.resize(cells, (48 + i % 2, 36), interpolation=cv2.INTER_CUBIC), 0, 255)
            path = folder / label / f"{i:02}.jpg"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(encode_image(frame.astype(np.uint8)))


@pytest.fixture
def helmets(server):
    fill(server / "data/helmets")
    dataset = find_dataset("helmets")
    build_index(dataset)
    return dataset


def open_page(view: str = "", **state) -> AppTest:
    app = AppTest.from_file(str(ROOT / "pages/datasets.py"), default_timeout=60)
    if view:
        app.query_params[DATA_VIEW] = view
    for key, value in state.items():
        app.session_state[key] = value
    return run(app)


def run(app: AppTest) -> AppTest:
    app.run()
    assert not app.exception, app.exception[0].stack_trace
    return app


def finish(app: AppTest, key: str) -> AppTest:
    """Wait for work beside the page, then look again."""
    end = time.monotonic() + 60
    while (status := server_jobs().status(key)) and status.state == "running":
        assert time.monotonic() < end, f"{key} does not end"
        time.sleep(0.02)
    return run(app)


def texts(app: AppTest) -> str:
    kinds = (app.markdown, app.caption, app.info, app.success, app.warning, app.error, app.title)
    return "\n".join(element.value for kind in kinds for element in kind)


def named(widgets, label: str):
    return next(widget for widget in widgets if widget.label == label)


def tiles(app: AppTest, which: int = 0) -> list[dict]:
    """The tiles of a gallery, as the browser gets them."""
    data = json.loads(app.get("bidi_component")[which].proto.json)
    return [tile for section in data["sections"] for tile in section["tiles"]]


def test_the_page_speaks_french(helmets):
    with using("fr"):  # widgets are set by what they show
        for view in DATA_VIEWS:
            app = open_page(view, **{LANGUAGE: "fr"})
            assert app.title[0].value == "Jeux de données" and named(app.selectbox, "Jeu de données").value == "helmets"
            if view == OVERVIEW:
                assert "Cliquez sur une barre pour voir ses images." in texts(app)
            elif view == GALLERY:
                assert "**70 images sur 70**" in texts(app)
                assert named(app.segmented_control, "Images exclues").options == ["Afficher", "Masquer", "Elles seules"]
                assert tiles(app)[0]["notes"] == ["1 quasi-doublon"]
                keys = json.loads(app.get("bidi_component")[0].proto.json)["actions"]
                assert [each["words"] for each in keys] == [
                    *("Helmet", "No helmet", "Exclure", "Comme dans les fichiers", "Annuler")
                ]
                app.session_state[OPEN_IMAGE] = ("helmet/02.jpg", 0)
                app = run(app)
                assert named(app.selectbox, "Étiquette").value == "helmet" and "Luminosité" in texts(app)
                named(app.button, "Exclure").click()
                assert "Exclue : l’entraînement écarte cette image." in texts(run(app)).replace("\u00a0", " ")
            elif view == DUPLICATES:
                assert "68 images sur 70 ont un quasi-doublon, en 34 groupes" in texts(app)
            elif view == MISSING:
                assert "ici, chaque image est un visage" in texts(app)


def test_a_fresh_server_offers_ways_to_begin_in_french_too():
    with using("fr"):  # widgets are set by what they show
        app = open_page(**{LANGUAGE: "fr"})
        ways = app.segmented_control[0]
        assert ways.options == ["Démonstration", "Fichiers", "Le jeu du rapport"]
        ways.set_value("Upload")
        assert named(run(app).file_uploader, "Un zip contenant des images")


def test_a_fresh_server_offers_ways_to_begin():
    app = open_page()
    assert app.title[0].value == "Data sets" and "no data set on this server yet" in texts(app)
    ways = app.segmented_control[0]
    assert ways.options == ["Demonstration", "Upload", "The report's set"]
    ways.set_value("The report's set")
    assert "1,376 images" in texts(run(app)) and app.button[0].label == "Fetch the report's set"


def test_the_demonstration_set_is_made_looked_at_and_shown():
    app = open_page()
    app.button[0].click()
    app = finish(run(app), "data:import")
    assert "is here: 48 images" in texts(app)
    app = finish(app, "data:scan:demonstration")
    numbers = {metric.label: metric.value for metric in app.metric}
    assert numbers["Images"] == "48" and numbers["Classes"] == "2"
    assert len(app.get("plotly_chart")) == 5
    assert named(app.selectbox, "Data set").value == "demonstration"
    named(app.button, "Close").click()
    assert "is here" not in texts(run(app))


def test_who_uploads_says_which_folders_are_classes_where_it_cannot_be_told(server, monkeypatch):
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for a, b in product(("hat", "cap"), ("man", "woman")):
            archive.writestr(f"{a}/{b}/1.png", encode_image(np.zeros((9, 9, 3), np.uint8), ".png"))
    packed.name, packed.file_id = "people.zip", "1"
    monkeypatch.setattr("pages.views.datasets.add.st.file_uploader", lambda *_, **__: packed)
    app = open_page()
    app.segmented_control[0].set_value("Upload")
    app = run(app)
    choice = named(app.radio, "Which folders are the classes?")
    assert choice.options == ["cap, hat", "man, woman"] and named(app.button, "Add this data set").disabled
    choice.set_value(("man", "woman"))
    named(run(app).button, "Add this data set").click()
    finish(run(app), "data:import")
    assert set(server_jobs().status("data:import").result.account.faces) == {"man", "woman"}


def test_a_failed_import_is_told_in_a_sentence(monkeypatch):
    def offline(report):
        raise ValueError("GitHub cannot be reached; *try* later.")

    monkeypatch.setattr("pages.views.datasets.add.fetch_report_set", offline)
    app = open_page()
    app.segmented_control[0].set_value("The report's set")
    run(app).button[0].click()
    app = finish(run(app), "data:import")
    assert r"GitHub cannot be reached; \*try\* later\." in app.error[0].value


def test_a_folder_of_the_server_is_used_where_it_lies(server, monkeypatch):
    monkeypatch.setenv("MASK_ALLOWED_DIRS", str(server / "shelf"))
    fill(server / "shelf/hats", 4)
    app = open_page()
    app.segmented_control[0].set_value("Folder on the server")
    run(app).text_input[0].set_value(str(server / "shelf/gone"))
    named(run(app).button, "Use this folder").click()
    assert run(app).error
    app.text_input[0].set_value(str(server / "shelf/hats"))
    named(run(app).button, "Use this folder").click()
    run(app)
    (dataset,) = list_datasets()
    assert dataset.name == "hats" and dataset.linked
    named(app.button, "Delete hats").click()
    assert "no data set on this server yet" in texts(run(app))
    assert (server / "shelf/hats/helmet/00.jpg").is_file(), "only the link goes"


def test_the_account_of_an_import_is_shown_with_it_and_kept(server):
    fill(server / "made", 3)
    (server / "made/helmet/broken.jpg").write_bytes(b"no image")
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for path in sorted((server / "made").rglob("*.jpg")):
            name = (
                path.relative_to(server / "made")
                .as_posix()
                .replace("no_helmet", "without")
                .replace("helmet", "Correct")
            )
            archive.write(path, name)
    server_jobs().start("data:import", "Reading", partial(import_zip, packed, "mine"))
    app = open_page()
    app = finish(finish(app, "data:import"), "data:scan:mine")
    assert "**Read as Class folders**: 6 images." in texts(app)
    assert "very few faces of some classes" in texts(app) and "Correct 3, Without 3 of 6 in all" in texts(app)
    named(app.button, "Close").click()
    app = run(app)
    assert "is here" not in texts(app) and app.expander[0].label == "What was imported"
    (table,) = [frame.value for frame in app.dataframe if "Why" in frame.value]
    assert table["File"].tolist() == ["Correct/broken.jpg"] and "not an image" in table["Why"][0]

    named(app.button, "Correct is Mask").click()
    app = run(app)
    assert {picture.labels for picture in open_index(find_dataset("mine")).pictures} == {("with_mask",), ("without",)}
    named(app.selectbox, "Class").set_value("without")
    named(run(app).selectbox, "is").set_value("without_mask")
    named(run(app).button, "Change all its faces").click()
    run(app)
    assert open_index(find_dataset("mine")).classes == ("with_mask", "without_mask")


def test_the_gallery_turns_pages(helmets):
    app = open_page("Gallery")
    first = tiles(app)
    assert len(first) == 60 and "70 of 70 images" in texts(app)
    assert first[0]["name"] == "helmet/00.jpg" and first[0]["marks"][0]["text"] == "Helmet"
    assert first[0]["src"].startswith("data:image/jpeg;base64,")
    named(app.button, "Next").click()
    assert len(tiles(run(app))) == 10 and "61 to 70 of 70" in texts(app)


def test_filters_narrow_the_gallery_and_are_told(helmets):
    app = open_page("Gallery")
    named(app.multiselect, "Classes").set_value(["no_helmet"])
    app = run(app)
    assert {tile["marks"][0]["text"] for tile in tiles(app)} == {"No helmet"} and len(tiles(app)) == 35
    named(app.text_input, "Name contains").set_value("07")
    app = run(app)
    assert [tile["id"] for tile in tiles(app)] == ["no_helmet/07.jpg"]
    assert 'label No helmet, "07" in their name' in texts(app)
    named(app.button, "Show all").click()
    assert len(tiles(run(app))) == 60


def test_a_filter_from_a_chart_is_shown_in_the_widgets(helmets):
    app = open_page("Gallery", kept_set="helmets", **{FILTER: Filter(classes=("helmet",), group_size=(2, 2))})
    assert len(tiles(app)) == 34 and "a group of 2" in texts(app)
    assert named(app.multiselect, "Classes").value == ["helmet"]


def test_a_label_is_corrected_and_the_edit_undone(helmets):
    app = open_page("Gallery", kept_set="helmets", **{OPEN_IMAGE: ("helmet/02.jpg", 0)})
    label = named(app.selectbox, "Label")
    assert label.value == "helmet" and "1 of 70" not in texts(app) and "3 of 70" in texts(app)
    label.set_value("no_helmet")
    app = run(app)
    assert Edits.load(helmets.folder).labels == {"helmet/02.jpg": "no_helmet"}
    assert named(app.selectbox, "Label").value == "no_helmet"
    named(app.button, "Exclude").click()
    app = run(app)
    assert Edits.load(helmets.folder).excluded == {"helmet/02.jpg"} and "leaves this image out" in texts(app)
    named(app.button, "Undo").click()
    run(app)
    assert not Edits.load(helmets.folder).excluded
    named(app.button, "Restore").click()
    app = run(app)
    assert named(app.selectbox, "Label").value == "helmet"
    assert (helmets.folder / "helmet/02.jpg").is_file(), "the files stay as they are"
    copies = tiles(app, len(app.get("bidi_component")) - 1)
    assert [tile["id"] for tile in copies] == ["helmet/03.jpg"]


def test_near_duplicates_are_counted_and_kept_together(helmets):
    app = open_page("Near-duplicates")
    assert "68 of 70 images have a near-duplicate, in 34 groups" in texts(app) and "of 14 test images" in texts(app)
    assert len(tiles(app)) == 40, "twenty groups of two"
    named(app.button, "Keep near-duplicates in one part when training").click()
    app = run(app)
    assert default_split() == "grouped" == app.session_state[TRAINING_SPLIT]
    named(app.button, "Split at random again").click()
    run(app)
    assert default_split() == "random"


def test_a_model_that_knows_other_classes_says_so(helmets):
    assert "knows none of the classes" in texts(open_page("Label issues"))


def test_the_active_model_disagrees_with_labels(server):
    from core.synthetic.sample import sample_photo

    for label, masked in (("with_mask", True), ("without_mask", False), ("without_mask", True)):
        path = server / f"data/doors/{label}/{masked}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(encode_image(sample_photo(masked)[20:240, 140:310]))
    build_index(find_dataset("doors"))
    app = open_page("Label issues")
    named(app.button, "Find label issues").click()
    app = finish(run(app), "data:classify:doors")
    assert "disagrees with 1 of 3 labels" in texts(app)
    assert tiles(app)[0]["id"] == "without_mask/True.jpg" and "Model: ✓ Mask" in tiles(app)[0]["notes"][0]
    app.session_state[OPEN_IMAGE] = ("without_mask/True.jpg", 0)
    assert "Prediction of the model: **✓ Mask" in texts(run(app))


def test_augmentations_of_a_face_follow_the_settings(helmets):
    app = open_page("Augmentations")
    before = app.image[0].proto.imgs[0].url
    named(app.slider, "Brightness and colour").set_value(1.0)
    run(app)
    assert app.image[0].proto.imgs[0].url != before
    named(app.segmented_control, "Recipe").set_value("street")
    assert named(run(app).slider, "Blur, share").value == 0.4
    named(app.button, "New seed").click()
    named(run(app).button, "Another face").click()
    run(app)


def test_new_pictures_are_found_on_asking(helmets):
    app = open_page("Gallery")
    fill(helmets.folder, 36)
    assert "70 of 70" in texts(run(app)), "nobody asked yet"
    named(app.button, "Rescan").click()
    app = finish(run(app), "data:scan:helmets")
    assert "72 of 72 images" in texts(app)


def test_a_broken_picture_is_listed(helmets):
    (helmets.folder / "helmet/00.jpg").write_bytes(b"no picture")
    app = finish(open_page(), "data:scan:helmets")
    assert {metric.label: metric.value for metric in app.metric}["Unreadable"] == "1"
    assert "helmet/00.jpg" in app.dataframe[0].value["Image"].tolist()


def test_the_choice_survives_a_reload(helmets, server):
    fill(server / "data/another", 3)
    app = AppTest.from_file(str(ROOT / "pages/datasets.py"), default_timeout=60)
    app.query_params[DATA_SET], app.query_params[DATA_VIEW] = "helmets", "Gallery"
    app = run(app)
    assert named(app.selectbox, "Data set").value == "helmets" and len(tiles(app)) == 60
    assert named(run(app).selectbox, "Data set").options == ["another", "helmets"]


def test_a_first_look_leaves_what_others_have_opened(helmets, server, monkeypatch):
    fill(server / "data/another", 3)
    build_index(find_dataset("another"))
    opened, corrected = [], []

    def open_counted(dataset):
        opened.append(dataset.name)
        return open_index(dataset)

    def counted_with_edits(index, with_edits=Index.with_edits):
        corrected.append(index.dataset.name)
        return with_edits(index)

    monkeypatch.setattr("pages.views.datasets.opened.open_index", open_counted)
    monkeypatch.setattr(Index, "with_edits", counted_with_edits)
    first = open_page("Gallery", **{DATA_SET: "helmets"})
    open_page("Gallery", **{DATA_SET: "another"})
    before = corrected.copy()
    open_page("Gallery", **{DATA_SET: "helmets"})
    assert len(tiles(run(first))) == 60
    assert opened == ["helmets", "another"], "each set is read once for all visitors"
    assert corrected == before and set(before) == {"helmets", "another"}, "and what is derived from it is made once"
    monkeypatch.setattr("pages.views.datasets.opened.FRESH_S", -1.0)
    open_page("Gallery", **{DATA_SET: "helmets"})
    assert opened == ["helmets", "another", "helmets"], "after a while a first look sees new files, in this set alone"


def test_two_sets_of_one_title_are_never_confused(server):
    """What is chosen is shown, stays chosen, and is what goes."""
    for name, count in (("demonstration", 3), ("demonstration-2", 5)):
        fill(server / "data" / name, count)
        write_card(name, {"title": "Demonstration"})
        build_index(find_dataset(name))
    app = open_page()
    box = named(app.selectbox, "Data set")
    assert box.options == ["Demonstration (demonstration)", "Demonstration (demonstration-2)"]
    for name, count in (("demonstration-2", "10"), ("demonstration", "6"), ("demonstration-2", "10")):
        named(app.selectbox, "Data set").set_value(name)
        for _ in range(2):
            app = run(app)
            assert named(app.selectbox, "Data set").value == name
            assert {metric.label: metric.value for metric in app.metric}["Images"] == count
    named(app.button, r"Delete demonstration\-2").click()
    assert named(run(app).selectbox, "Data set").options == ["Demonstration"]
    assert [dataset.name for dataset in list_datasets()] == ["demonstration"]


FULL = r"The server's disk is full; make room and try again\."


@pytest.fixture
def full_disk(monkeypatch):
    def full(*_, **__):
        raise OSError(28, "No space left on device", "/srv/secret/file")

    def fill_up():
        monkeypatch.setattr("core.io.write_atomic", full)
        monkeypatch.setattr("pathlib.Path.rename", full)

    return fill_up


def test_on_a_full_disk_every_change_of_an_image_is_refused_in_one_sentence(helmets, full_disk):
    Edits.load(helmets.folder).exclude("helmet/04.jpg")
    app = open_page("Gallery", kept_set="helmets", **{OPEN_IMAGE: ("helmet/02.jpg", 0)})
    full_disk()
    named(app.selectbox, "Label").set_value("no_helmet")
    app = run(app)
    assert [error.value for error in app.error] == [FULL] and named(app.selectbox, "Label").value == "helmet"
    for button in ("Exclude", "Undo"):
        named(app.button, button).click()
        app = run(app)
        assert [error.value for error in app.error] == [FULL]
        assert not run(app).error, "said once"
    edits = Edits.load(helmets.folder)
    assert (edits.labels, edits.excluded) == ({}, {"helmet/04.jpg"})


def test_on_a_full_disk_a_set_stays_whole_and_none_is_added(helmets, full_disk):
    app = open_page("Near-duplicates")
    full_disk()
    named(app.button, "Keep near-duplicates in one part when training").click()
    assert [error.value for error in run(app).error] == [FULL] and default_split() == "random"
    named(app.button, "Delete helmets").click()
    assert [error.value for error in run(app).error] == [FULL]
    named(app.button, "Make the demonstration set").click()
    app = finish(run(app), "data:import")
    assert FULL in app.error[0].value
    assert [dataset.name for dataset in list_datasets()] == ["helmets"]
    assert not [path for path in (helmets.folder.parent).iterdir() if path.name.startswith((".inc", ".del"))]


def test_an_image_of_a_set_that_is_gone_is_refused_in_one_sentence(helmets, server):
    app = open_page("Gallery", kept_set="helmets", **{OPEN_IMAGE: ("helmet/02.jpg", 0)})
    delete_dataset("helmets")
    fill(server / "data/helmets")
    build_index(find_dataset("helmets"))
    named(app.selectbox, "Label").set_value("no_helmet")
    app = run(app)
    assert "no longer there" in app.error[0].value
    assert Edits.load(server / "data/helmets").labels == {}


def test_no_small_file_breaks_the_page_whatever_it_holds(helmets, server):
    for text in ("[" * 100_000, '{"title": {"x": 1}, "about": [1], "labels": 1}', "[1]", "\0"):
        for file in ("helmets.card.json", "settings.json", "helmets.repairs.json", "x.link.json"):
            (server / "data" / file).write_text(text)
        app = open_page("Near-duplicates")
        # Edits that are not the set's own are none; those that nobody can read might be.
        assert [("damaged" in error.value) for error in app.error] == [True] * (not text.startswith("{"))


def test_a_deletion_is_undone_also_after_a_reload_and_by_nobody_else(helmets, monkeypatch):
    Edits.load(helmets.folder).exclude("helmet/00.jpg")
    app = open_page()
    named(app.button, "Delete helmets").click()
    app = run(app)
    assert not list_datasets() and "**helmets** was deleted" in texts(app)
    with monkeypatch.context() as other:
        other.setattr("pages.components.server.session_id", lambda: "another")
        assert "was deleted" not in texts(open_page())
    app = open_page()
    named(app.button, "Undo").click()
    assert "was deleted" not in texts(run(app))
    assert [dataset.name for dataset in list_datasets()] == ["helmets"]
    assert Edits.load(helmets.folder).excluded == {"helmet/00.jpg"}
    assert {metric.label for metric in app.metric} >= {"Images"}, "with its index"
    named(app.button, "Delete helmets").click()
    named(run(app).button, "Delete at once").click()
    assert "was deleted" not in texts(run(app))
    assert not [path.name for path in helmets.folder.parent.iterdir() if path.name not in (".lock", ".cache")]


def test_how_work_ended_is_told_to_who_began_it_alone(helmets, monkeypatch):
    def fail(report):
        raise ValueError("Something is wrong.")

    with monkeypatch.context() as mine:
        mine.setattr("pages.components.server.session_id", lambda: "another")
        server_jobs().start("data:import", "Reading other.zip", fail)
    assert "Something is wrong" not in texts(finish(open_page(), "data:import"))
    monkeypatch.setattr("pages.components.server.session_id", lambda: "another")
    app = open_page()
    assert "Something is wrong" in texts(app)
    named(app.button, "Close").click()
    assert "Something is wrong" not in texts(run(app))


@pytest.mark.slow
def test_a_new_set_of_an_old_name_is_scanned_by_itself():
    app = open_page()
    for _ in range(2):
        named(app.button, "Make the demonstration set").click()
        app = finish(finish(run(app), "data:import"), "data:scan:demonstration")
        assert {metric.label: metric.value for metric in app.metric}["Images"] == "48"
        named(app.button, "Delete demonstration").click()
        assert "no data set on this server yet" in texts(run(app))


KNOWN, LIKELY, DOUBTFUL = (10, 10, 50, 60), (60, 10, 100, 60), (110, 60, 150, 110)


@pytest.fixture
def crowd(server, monkeypatch):
    """Two photos with one labelled face each, in which the active model finds two more."""

    class Stub(StubPipeline):
        def __call__(self, frame_bgr, settings=None):
            return make_detections([KNOWN, LIKELY, DOUBTFUL], [0, 1, 0], [0.9, 0.9, 0.6], [0.9, 0.8, 0.3])

    monkeypatch.setattr("pages.views.datasets.missing.pipeline_or_stop", lambda method: Stub())
    write_voc(server / "data/crowd", {name: [("with_mask", KNOWN)] for name in ("a", "b")})
    dataset = find_dataset("crowd")
    build_index(dataset)
    return dataset


def component(app: AppTest, which: int = 0) -> dict:
    return json.loads(app.get("bidi_component")[which].proto.json)


def test_missing_faces_are_found_and_shown_likeliest_first(crowd):
    app = open_page("Missing faces")
    assert "for faces that have no label" in texts(app)
    named(app.button, "Look for missing faces").click()
    app = finish(run(app), "data:missing:crowd")
    assert "4 faces may be missing in 2 of 2 images" in texts(app)
    shown = tiles(app)
    assert [tile["notes"] for tile in shown] == [["A face: 80%, 40 px"]] * 2 + [["A face: 30%, 40 px"]] * 2
    assert shown[0]["marks"][0]["text"] == "No mask 90%" and shown[0]["src"].startswith("data:image/jpeg")
    assert [action["key"] for action in component(app)["actions"]] == ["1", "2", "3", "u", "x", "z"]
    named(app.segmented_control, "Shorter side, at least").set_value(48)
    assert "No face of this size" in texts(run(app))
    assert "4 faces may be missing" in texts(open_page("Missing faces")), "after a reload as well"


def test_what_was_found_before_a_stop_is_shown_and_the_search_goes_on(crowd, monkeypatch):
    monkeypatch.setattr("core.datasets.missing.PER_REPORT", 1)

    def stop(done, total, text=""):
        if done:
            raise Cancelled

    with pytest.raises(Cancelled):
        search(open_index(crowd), [Finder(pipeline_id(in_use().method), lambda frame: [Find(*LIKELY, 0.8)])], stop)
    app = open_page("Missing faces")
    assert "1 faces may be missing in 1 of 1 images" in texts(app) or "1 face may be missing in 1 of 1 image" in texts(
        app
    )
    named(app.button, "Go on: 1 image").click()
    assert "3 faces may be missing" in texts(finish(run(app), "data:missing:crowd"))


def test_a_set_without_boxes_misses_no_faces(helmets):
    assert "every image is one face" in texts(open_page("Missing faces"))


def test_a_second_detector_that_cannot_be_loaded_is_told_without_its_path(crowd, server, monkeypatch):
    (server / "second.onnx").write_bytes(b"nothing")
    monkeypatch.setenv("MASK_SECOND_DETECTOR", str(server / "second.onnx"))
    app = open_page("Missing faces")
    assert "the second detector of this server look at" in texts(app)
    named(app.button, "Look for missing faces").click()
    app = finish(run(app), "data:missing:crowd")
    assert "cannot be loaded" in app.error[0].value and str(server) not in app.error[0].value


def test_the_zip_of_a_set_is_made_once_for_each_state_of_it(crowd):
    app = open_page()
    assert named(app.segmented_control, "As").options == ["Class folders", "Pascal VOC", "YOLO", "COCO"]
    named(app.button, "Make the zip").click()
    app = finish(run(app), "data:export:crowd")
    (link,) = app.get("link_button")
    assert link.proto.label.startswith(r"crowd\-coco\.zip") and not [b for b in app.button if b.label == "Make the zip"]
    key = link.proto.url.rpartition("/")[2]
    with zipfile.ZipFile(next(path for (_, each), path in set_zips.items() if each == key)) as archive:
        assert sorted(archive.namelist()) == ["annotations.json", "images/a.jpg", "images/b.jpg"]
    Edits.load(crowd.folder).exclude("images/a.jpg")
    app = run(app)
    assert not app.get("link_button") and named(app.button, "Make the zip")


def test_decisions_on_suggestions_and_faces_are_steps_that_can_be_undone(crowd):
    search(open_index(crowd), [Finder("one", lambda frame: [Find(*LIKELY, 0.8, "helmet"), Find(*DOUBTFUL, 0.3)])])

    def do(action, ids, suggested=None):
        decide(open_index(crowd), action, ids, suggested)
        return Edits.load(crowd.folder)

    index = open_index(crowd)
    assert classes_to_give(index) == ("with_mask", "without_mask", "mask_weared_incorrect"), "a third class, too"
    by_id = {each.id: each for each in missing_faces(index, ["one"]).suggestions}
    assert [each.picture for each in by_id.values()] == ["images/a.jpg", "images/b.jpg"] * 2
    a, b, doubtful_a, doubtful_b = by_id
    assert do("label:mask_weared_incorrect", [a, "images/a.jpg#0"], by_id).labels == {
        "images/a.jpg#0": "mask_weared_incorrect",
        "images/a.jpg#1000000": "mask_weared_incorrect",
    }
    edits = do("unsure", [b], by_id)
    assert edits.excluded == {"images/b.jpg#1000000"} and edits.labels["images/b.jpg#1000000"] == "with_mask"
    assert len(do("remove", [doubtful_a, doubtful_b], by_id).removed) == 2
    assert do("unsure", ["images/b.jpg#0"]).excluded == {"images/b.jpg#0", "images/b.jpg#1000000"}
    edits = do("keep", ["images/b.jpg#0"])
    assert edits.labels["images/b.jpg#0"] == "with_mask" and len(edits.history) == 6
    for _ in range(6):
        edits = do("undo", [])
    assert not edits.changed()


def test_only_whole_acts_reach_the_page_each_once():
    def page():
        import streamlit as st

        from pages.components.acts import acts_done, handler

        done = []
        handle = handler("c", done.append)
        for acted in (None, "x", [1, {"seq": "1"}], [{"seq": 1}, {"seq": 2}], [{"seq": 2}, {"seq": 3}]):
            st.session_state["c"] = {"acted": acted}
            handle()
        st.text(f"{[act['seq'] for act in done]} {acts_done('c')}")

    app = AppTest.from_function(page).run()
    assert not app.exception and app.text[0].value == "[1, 2, 3] 3"


@pytest.mark.parametrize(
    ("raw", "box"),
    [
        ([-5, 10, 50, 999], (0, 10, 50, 120)),
        ([50, 10, 50, 20], None),
        ([1, 2, 3], None),
        ([1, 2, float("nan"), 9], None),
        (["1", 2, 3, 4], None),
        ("box", None),
    ],
)
def test_what_a_browser_calls_a_box_is_one_within_the_picture_or_none(raw, box):
    assert box_within(raw, 160, 120) == box


def test_faces_of_annotated_sets_can_be_shown_and_relabelled_alone(crowd):
    app = open_page("Gallery")
    assert [action["id"] for action in component(app)["actions"]] == ["exclude", "revert", "undo"]
    named(app.segmented_control, "Show").set_value("Faces")
    app = run(app)
    assert "2 of 2 faces" in texts(app)
    assert [tile["id"] for tile in tiles(app)] == ["images/a.jpg#0", "images/b.jpg#0"]
    assert tiles(app)[0]["src"].startswith("data:image/jpeg")
    app.session_state[OPEN_IMAGE] = ("images/a.jpg", 0)
    app = run(app)
    assert named(app.selectbox, "Label").value == "with_mask"
    (editor,) = [data for k in range(len(app.get("bidi_component"))) if "boxes" in (data := component(app, k))]
    assert editor["chosen"] == "images/a.jpg#0" and editor["size"] == [160, 120] and len(editor["boxes"]) == 1
    search(open_index(crowd), [Finder(pipeline_id(in_use().method), lambda frame: [Find(*LIKELY, 0.8)])])
    (second,) = Edits.load(crowd.folder).add_faces([NewFace("images/a.jpg", DOUBTFUL, "with_mask")])
    assert named(run(app).button, "Exclude this face")
    app.session_state[OPEN_IMAGE] = ("images/a.jpg", 0, "images/a.jpg@60 10 100 60")
    app = run(app)
    assert "Not labelled yet" in texts(app) and not [each for each in app.selectbox if each.label == "Label"]
    assert "Exclude this face" not in [each.label for each in app.button], "the labelled face is not the chosen one"
    Edits.load(crowd.folder).remove(["images/a.jpg#0", second])
    app.session_state[OPEN_IMAGE] = ("images/a.jpg", 0)
    assert "No face is labelled in this image" in texts(run(app))
