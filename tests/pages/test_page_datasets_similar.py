"""Near-duplicates to decide on, the map of a set and similar faces, run as Streamlit runs them, without a browser."""

import json
from types import SimpleNamespace

import numpy as np
import pytest
import streamlit as st

from core.datasets.edits import Edits
from core.datasets.faces import read_samples
from core.datasets.features import feature_card, find_features, open_features
from core.datasets.index import build_index, open_index
from core.datasets.label_issues import classifier_card, find_issues
from core.datasets.query import Filter
from core.datasets.store import delete_dataset, find_dataset, read_pictures
from core.jobs import Cancelled
from core.vision.classes import CLASS_STYLES, PALETTE_RGB, contrast
from core.vision.images import encode_image
from pages.components.charts import chosen_points, points_by_kind
from pages.components.state import FILTER, OPEN_IMAGE
from pages.views.datasets.deciding import ALONE, KEEP_ALL, decide
from pages.views.datasets.opened import map_of
from tests.helpers import noise_picture, write_voc
from tests.pages.test_page_datasets import component, finish, named, open_page, run, texts, tiles


class StubNetwork:
    """Its features of a face are the mean colour."""

    def __init__(self, card):
        self.card = SimpleNamespace(sha256=card.sha256, input_size=32, margin=0.1)

    def features(self, crop_rgb):
        return np.array([*crop_rgb.mean(axis=(0, 1)) / 255, 1], np.float32)


@pytest.fixture(autouse=True)
def server(tmp_path, monkeypatch):
    """A server of its own, whose shipped classifier is a stub."""
    stub = StubNetwork(feature_card())
    monkeypatch.setenv("MASK_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setattr("pages.views.datasets.map.load_explainer", lambda name: stub)
    monkeypatch.setattr("pages.views.datasets.map.load_face_explainer", lambda name, version: stub)
    st.cache_resource.clear()
    st.cache_data.clear()
    yield tmp_path
    st.cache_resource.clear()
    st.cache_data.clear()


@pytest.fixture
def colors(server):
    """Reddish faces with a mask and bluish ones without, three of each; one that is labelled wrongly; copies of two."""
    folder = server / "data/colors"
    for name, seed, red in (
        *((f"with_mask/{i}", i, True) for i in range(3)),
        *((f"without_mask/{i}", 10 + i, False) for i in range(3)),
        ("without_mask/wrong", 20, True),
        ("with_mask/copy", 0, True),
        ("without_mask/contradicts", 1, True),
    ):
        tint = np.array((20, 30, 230) if red else (230, 30, 20))
        path = folder / f"{name}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(encode_image((0.3 * noise_picture(seed) + 0.7 * tint).astype(np.uint8), ".png"))
    build_index(find_dataset("colors"))
    return find_dataset("colors")


def test_contradicting_groups_come_first_and_are_left_when_copies_are_excluded(colors):
    app = open_page("Near-duplicates")
    assert "In 1 group the labels contradict each other" in texts(app)
    first, second = component(app)["sections"]
    assert first["title"] == "⚠ 2 near-duplicates, their labels contradict each other"
    assert [tile["id"] for tile in first["tiles"]] == ["with_mask/1.png", "without_mask/contradicts.png"]
    assert [tile["marks"][0]["text"] for tile in first["tiles"]] == ["Mask", "No mask"]
    assert second["title"] == "2 near-duplicates" and len(read_samples(colors.folder, 0.1, 0)) == 9
    named(app.button, "Exclude 1 copy").click()
    app = run(app)
    excluded = Edits.load(colors.folder).excluded
    assert len(excluded) == 1 and excluded < {"with_mask/0.png", "with_mask/copy.png"}
    assert len(read_samples(colors.folder, 0.1, 0)) == 8, "training leaves it out"
    assert component(app)["sections"][1]["title"] == "✓ 2 near-duplicates, one is kept"
    assert not [button for button in app.button if button.label.startswith("Exclude ")]
    named(app.button, "Undo").click()
    assert named(run(app).button, "Exclude 1 copy") and not Edits.load(colors.folder).excluded


def test_a_person_decides_on_a_contradiction(colors):
    decide(open_index(colors), ALONE, ["without_mask/contradicts.png"])
    assert Edits.load(colors.folder).excluded == {"with_mask/1.png"}
    app = open_page("Near-duplicates")
    assert "contradict each other" not in texts(app)
    keep = next(action for action in component(app)["actions"] if action["id"] == ALONE)
    assert keep["words"] == "Keep, exclude its copies"
    named(app.button, "Exclude 1 copy").click()
    assert "At most one image of each group is kept" in texts(run(app))


def test_a_person_says_that_labels_which_contradict_each_other_are_all_right(colors):
    decide(open_index(colors), KEEP_ALL, ["without_mask/contradicts.png"])
    edits = Edits.load(colors.folder)
    assert edits.confirmed == {"with_mask/1.png": "with_mask", "without_mask/contradicts.png": "without_mask"}
    assert not edits.labels and not any(picture.edited for picture in read_pictures(colors.folder))
    app = open_page("Near-duplicates")
    assert "contradict each other" not in texts(app)
    assert "✓ 2 near-duplicates, their labels differ and were confirmed" in [
        s["title"] for s in component(app)["sections"]
    ]
    assert KEEP_ALL in [action["id"] for action in component(app)["actions"]]
    edits.change_label("with_mask/1.png", "mask_weared_incorrect")
    assert "In 1 group the labels contradict each other" in texts(open_page("Near-duplicates")), "another label now"
    app = open_page("Near-duplicates")
    for _ in range(2):
        named(app.button, "Undo").click()
        app = run(app)
    assert "In 1 group the labels contradict each other" in texts(app) and not Edits.load(colors.folder).changed()


def test_labels_that_a_person_changed_still_contradict_each_other(colors):
    Edits.load(colors.folder).change_label(
        [face for face in open_index(colors).faces.items if "with_mask/" in face], "a"
    )
    Edits.load(colors.folder).change_label("without_mask/contradicts.png", "b")
    assert "In 1 group the labels contradict each other" in texts(open_page("Near-duplicates"))


def test_one_of_each_label_can_be_kept_where_labels_contradict(colors):
    path = colors.folder / "without_mask/contradicts.png"
    (colors.folder / "without_mask/contradicts too.png").write_bytes(path.read_bytes())
    build_index(colors)
    app = open_page("Near-duplicates")
    named(app.button, "Keep one of each label, exclude 1 copy").click()
    run(app)
    assert Edits.load(colors.folder).excluded == {"without_mask/contradicts.png"}


def test_the_part_of_the_split_stands_on_each_copy(server):
    for i, part in enumerate(("train", "test")):
        path = server / f"data/parts/{part}/with_mask/{i}.png"
        path.parent.mkdir(parents=True)
        path.write_bytes(encode_image(noise_picture(1), ".png"))
    build_index(find_dataset("parts"))
    app = open_page("Near-duplicates")
    assert [(tile["id"][:5], tile["notes"][0]) for tile in tiles(app)] == [("test/", "Test"), ("train", "Training")]


def test_the_map_is_made_beside_the_page_and_there_after_a_reload(colors):
    app = open_page("Map")
    assert "looks at 9 faces of this set, only once" in texts(app) and not app.get("plotly_chart")
    named(app.button, "Compare the faces").click()
    app = finish(run(app), "data:features:colors")
    assert "may have a wrong label" in texts(app)
    drawn = figure(open_page("Map"))
    assert [trace["name"] for trace in drawn["data"]] == ["✓ Mask: 4", "✗ No mask: 5"]
    assert len({trace["marker"]["symbol"] for trace in drawn["data"]}) == 2
    assert drawn["layout"]["dragmode"] == "lasso"
    assert all(trace["marker"]["symbol"].endswith("-open") for trace in drawn["data"]), "one beneath another is seen"


def figure(app) -> dict:
    return json.loads(app.get("plotly_chart")[0].proto.spec)


def test_what_was_looked_at_before_a_stop_is_drawn_and_the_rest_offered(colors, monkeypatch):
    monkeypatch.setattr("core.datasets.indexed_faces.PER_REPORT", 4)

    def report(done, total, text=""):
        if done >= 4:
            raise Cancelled

    with pytest.raises(Cancelled):
        find_features(open_index(colors), StubNetwork(feature_card()), report)
    app = open_page("Map")
    assert sum(len(trace["customdata"]) for trace in figure(app)["data"]) == 4
    named(app.button, "Add 5 faces to the map").click()
    app = finish(run(app), "data:features:colors")
    assert sum(len(trace["customdata"]) for trace in figure(app)["data"]) == 9


def test_faces_that_are_added_while_the_map_is_made_are_on_the_next_one(colors, monkeypatch):
    looked_at = []

    def added_meanwhile(index, model):
        found = open_features(index, model)
        if not looked_at:
            looked_at.append(True)
            find_features(index, StubNetwork(feature_card()))
        return found

    monkeypatch.setattr("pages.views.datasets.opened.open_features", added_meanwhile)
    index, model = open_index(colors), feature_card().sha256
    assert len(map_of(index, model).faces) == 0 and looked_at
    assert len(map_of(index, model).faces) == 9


@pytest.fixture
def mapped(colors):
    find_features(open_index(colors), StubNetwork(feature_card()))
    return colors


def test_a_set_of_which_all_is_excluded_has_no_map(mapped):
    Edits.load(mapped.folder).exclude(open_index(mapped).faces.items)
    app = open_page("Map")
    assert "Every image of this set is excluded" in texts(app) and not app.get("plotly_chart")


def test_nothing_is_offered_for_a_set_of_two_faces(server):
    for label in ("with_mask", "without_mask"):
        path = server / f"data/few/{label}/0.png"
        path.parent.mkdir(parents=True)
        path.write_bytes(encode_image(noise_picture(1), ".png"))
    build_index(find_dataset("few"))
    app = open_page("Map")
    assert "A map needs at least three faces." in texts(app)
    app = open_page("Near-duplicates")
    assert "in 1 group.**" in texts(app) and "After a split at random" not in texts(app)
    app = open_page("Gallery")
    app.session_state[OPEN_IMAGE] = ("with_mask/0.png", 0)
    assert "Compare the faces" not in [button.label for button in run(app).button]


def test_the_map_by_what_the_model_says(mapped):
    app = open_page("Map", data_map_look="By what the model says")
    assert "First let the model classify the set" in texts(app)
    assert [trace["name"] for trace in figure(app)["data"]] == ["No prediction: 9"]

    class Classifier:
        card = SimpleNamespace(**{name: getattr(classifier_card(), name) for name in ("name", "sha256", "classes")},
                               input_size=32, margin=0.1)  # fmt: skip

        def probabilities(self, crops_rgb):
            red = (crops_rgb[..., 0].mean(axis=(1, 2)) > 128).astype(np.float32)
            columns = {"with_mask": red, "without_mask": 1 - red}
            return np.stack([columns.get(name, 0 * red) for name in self.card.classes], axis=1)

    find_issues(open_index(mapped), Classifier())
    app = open_page("Map", data_map_look="By what the model says")
    assert [trace["name"] for trace in figure(app)["data"]] == ["The model agrees: 7", "The model disagrees: 2"]


def test_what_is_circled_is_shown_in_the_gallery(mapped):
    selection = {"selection": {"points": [{"customdata": [item]} for item in ("with_mask/0.png", "no such face")]}}
    assert chosen_points(selection) == ["with_mask/0.png", "no such face"] and chosen_points(None) == []
    assert chosen_points({"selection": {"points": [{"customdata": {"0": "a"}}, {}]}}) == ["a"]
    app = open_page("Gallery")
    app.session_state[FILTER] = Filter(items=("without_mask/wrong.png", "with_mask/0.png"))
    app = run(app)
    assert "Only images with a point chosen on the map." in texts(app) and len(tiles(app)) == 2
    assert "label:with_mask" in [action["id"] for action in component(app)["actions"]]


def test_similar_faces_stand_below_an_image_and_open_in_the_gallery(mapped):
    app = open_page("Gallery")
    app.session_state[OPEN_IMAGE] = ("without_mask/wrong.png", 0)
    app = run(app)
    last = component(app, len(app.get("bidi_component")) - 1)["sections"][0]
    assert last["title"] == "Of the 6 most similar faces, 3 have another label than this one."
    shown = [tile["id"] for tile in last["tiles"]]
    assert shown[0].startswith("with_mask/") and "without_mask/wrong.png" not in shown
    assert len({"with_mask/0.png", "with_mask/copy.png"} & set(shown)) == 1, "one of each group of copies"
    named(app.button, "Show them in the gallery").click()
    app = run(app)
    assert "likeness to without_mask/wrong.png" in texts(app).replace("\\", "")
    assert {tile["id"] for tile in tiles(app)} == {*shown, "without_mask/wrong.png"}
    assert OPEN_IMAGE not in app.session_state


def test_faces_of_annotated_sets_open_as_faces(server):
    write_voc(server / "data/boxes", {name: [("with_mask", (5, 5, 60, 60)), ("without_mask", (80, 5, 140, 60))]
                                      for name in "abc"})  # fmt: skip
    dataset = find_dataset("boxes")
    build_index(dataset)
    find_features(open_index(dataset), StubNetwork(feature_card()))
    app = open_page("Gallery")
    app.session_state[OPEN_IMAGE] = ("images/a.jpg", 1)
    app = run(app)
    shown = component(app, len(app.get("bidi_component")) - 1)["sections"][0]["tiles"]
    assert {tile["id"].partition("#")[0] for tile in shown} == {"images/b.jpg", "images/c.jpg"}
    named(app.button, "Show them in the gallery").click()
    app = run(app)
    assert "5 of 6 faces" in texts(app) and "images/a.jpg#1" in [tile["id"] for tile in tiles(app)]


def test_points_of_a_kind_that_nothing_has_are_not_drawn():
    drawn = points_by_kind(
        np.zeros((2, 2)), ["a", "a"], {"a": ("<A>", (0, 0, 0)), "b": ("B", (255, 255, 255))}, ["x", "y"]
    )
    assert [trace.name for trace in drawn.data] == ["&lt;A>: 2"] and drawn.data[0].customdata == (["x"], ["y"])


@pytest.mark.parametrize("dark", [False, True])
def test_points_of_every_colour_stand_out_from_the_page(dark):
    kinds = {str(i): (str(i), color) for i, color in enumerate((*(s.color_rgb for s in CLASS_STYLES), *PALETTE_RGB))}
    drawn = points_by_kind(np.zeros((len(kinds), 2)), list(kinds), kinds, list(kinds), dark)
    ground, least = ((14, 18, 17), 5.5) if dark else ((255, 255, 255), 3.5)
    for trace in drawn.data:
        color = tuple(bytes.fromhex(trace.marker.color[1:]))
        assert contrast(color, ground) >= least, (trace.name, trace.marker.color)
    assert len({trace.marker.symbol for trace in drawn.data[:8]}) == 8, "told apart without colours"


def test_the_map_of_a_dark_page_has_lighter_points(mapped, monkeypatch):
    colors = {}
    for dark in (False, True):
        monkeypatch.setattr("pages.views.datasets.map.on_dark", lambda dark=dark: dark)
        colors[dark] = [trace["marker"]["color"] for trace in figure(open_page("Map"))["data"]]
    assert colors[False] == [style.color_hex for style in CLASS_STYLES[:2]] and colors[True] != colors[False]


def test_a_map_circled_after_its_set_was_deleted_gets_a_sentence(mapped, monkeypatch):
    def circled(figure, key, on_select, **options):
        delete_dataset("colors")
        st.session_state[key] = {"selection": {"points": [{"customdata": ["with_mask/0.png"]}]}}
        on_select()

    monkeypatch.setattr("pages.views.datasets.map.st.plotly_chart", circled)
    app = open_page("Map")
    assert FILTER not in app.session_state
    app = run(app)
    assert "This data set is no longer there." in texts(app).replace("\\", "") and not app.exception
    assert "There is no data set on this server yet" in texts(app)


@pytest.mark.parametrize(
    ("label", "words"),
    [
        ("without_mask", "The most similar face has another label than this one."),
        ("with_mask", "The most similar face has the same label as this one."),
    ],
)
def test_exactly_one_similar_face_is_told_in_the_singular(server, label, words):
    for name, seed in (("with_mask/0", 0), ("with_mask/copy", 0), (f"{label}/other", 5)):
        path = server / f"data/three/{name}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(encode_image(noise_picture(seed), ".png"))
    dataset = find_dataset("three")
    build_index(dataset)
    find_features(open_index(dataset), StubNetwork(feature_card()))
    app = open_page("Gallery")
    app.session_state[OPEN_IMAGE] = ("with_mask/0.png", 0)
    app = run(app)
    last = component(app, len(app.get("bidi_component")) - 1)["sections"][0]
    assert last["title"] == words and [tile["id"] for tile in last["tiles"]] == [f"{label}/other.png"]
