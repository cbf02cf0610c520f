"""Which method the server uses: kept, followed, taken back, and never a reason for a page to fail."""

import json
import os
import shutil
from dataclasses import replace

import pytest

from core.config import models_dir
from core.language import tr, using
from core.registry import active as module
from core.registry.active import (
    active_method,
    can_go_back,
    go_back,
    in_use,
    previous,
    remove_model,
    sweep_models,
    use,
    why_not_removable,
    withdraw,
)
from core.registry.store import list_models
from core.vision.model_card import ModelError, load_card
from core.vision.pipeline import Method, method_with_its_own_model
from tests.helpers import run_together

USUAL = method_with_its_own_model()
MINE, OTHER = Method("combined", "mine"), Method("classic", "other")


@pytest.fixture
def models(tmp_path):
    """A folder with the shipped models and two more, which are copies of the classifier under other names."""
    for path in models_dir().iterdir():
        if path.suffix in (".json", ".tflite") and path.stem != "in_use":
            (tmp_path / path.name).symlink_to(path)
    for name in ("mine", "other"):
        card = load_card(models_dir() / "mask-classifier.json")
        shutil.copy(models_dir() / card.file, tmp_path / f"{name}-1.tflite")
        replace(card, name=name, file=f"{name}-1.tflite").save(tmp_path / f"{name}.json")
    return tmp_path


def test_at_first_the_usual_method_is_in_use(models):
    now = in_use(models)
    assert now.method == USUAL and not now.problem
    assert not can_go_back(models)
    with pytest.raises(ModelError, match="No other method"):
        go_back(models)


def test_what_is_put_to_work_is_kept_and_taken_back_step_by_step(models):
    first = in_use(models)
    second = use(MINE, models)
    assert second.method == MINE and second.stamp != first.stamp
    assert in_use(models) is second, "nothing changed: the same answer, without reading a card"
    third = use(OTHER, models)
    module._answers.clear()  # as after a new start of the server
    assert in_use(models) == third
    assert previous(models) == MINE and go_back(models).method == MINE
    assert go_back(models).method == USUAL and not can_go_back(models)


def test_a_method_that_fails_at_work_makes_way_for_the_one_before_and_everybody_reads_why(models):
    use(OTHER, models)
    failed = use(MINE, models)
    withdraw(OTHER, "It is slow.", models)
    assert in_use(models) is failed, "only the active method is withdrawn"
    withdraw(MINE, "The model mine did not answer.", models)
    now = in_use(models)
    assert now.method == OTHER and now.stamp != failed.stamp
    assert now.problem == "The model mine did not answer. The method before it is active again: Classic, other."
    module._answers.clear()  # as after a new start of the server
    assert in_use(models) == now
    assert go_back(models).method == USUAL and not in_use(models).problem


def test_where_no_other_method_was_active_the_usual_one_is_again(models):
    use(MINE, models)
    kept = json.loads((models / module.FILE_NAME).read_text())
    (models / module.FILE_NAME).write_text(json.dumps(kept | {"before": []}))
    withdraw(MINE, "It broke down.", models)
    assert in_use(models).method == USUAL and in_use(models).problem.startswith("It broke down.")


def test_the_same_method_again_is_no_step_but_everybody_follows(models):
    first = use(MINE, models)
    again = use(MINE, models)
    assert again.stamp != first.stamp
    assert go_back(models).method == USUAL


def test_a_model_installed_anew_under_its_name_is_noticed(models):
    before = use(MINE, models)
    card = load_card(models / "mine.json")
    replace(card, sha256="0" * 64).save(models / "mine.json")
    assert in_use(models).method == MINE and in_use(models).stamp != before.stamp


@pytest.mark.parametrize("file", ["mine.json", "mine-1.tflite"])
def test_a_model_that_vanished_gives_the_usual_one_and_a_sentence(models, file):
    before = use(MINE, models)
    (models / file).rename(models / "away")
    now = in_use(models)
    assert now.method == USUAL and now.stamp != before.stamp
    assert "mine" in now.problem and now.problem.endswith("The default method is active instead.")
    (models / "away").rename(models / file)
    assert in_use(models).method == MINE and not in_use(models).problem, "it came back"


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("", id="empty"),
        pytest.param("{", id="cut off"),
        pytest.param("[]", id="a list"),
        pytest.param("null", id="null"),
        pytest.param("\0\xff", id="bytes"),
        pytest.param("[" * 100_000, id="nested too deeply"),
        pytest.param('{"method": "neural", "since": 1, "before": []}', id="a method that is text"),
        pytest.param('{"method": {"pipeline": ["x"], "model": 5}, "since": 1, "before": []}', id="no names"),
        pytest.param('{"method": {"pipeline": "neural", "model": "a"}, "since": 1, "before": 7}', id="no history"),
    ],
)
def test_a_broken_file_gives_the_usual_method_and_a_sentence(models, text):
    use(MINE, models)
    (models / "in_use.json").write_text(text, encoding="latin-1")
    now = in_use(models)
    assert now.method == USUAL and "cannot be read" in now.problem
    with using("fr"):
        assert "est illisible" in in_use(models).problem
    assert in_use(models) == now, "each visitor in their own language"
    assert not can_go_back(models)
    assert use(OTHER, models).method == OTHER, "the next choice mends it"


def test_what_the_cards_of_shipped_models_say_is_translated():
    for name in module.SHIPPED:
        card = load_card(models_dir() / f"{name}.json")
        with using("fr"):
            assert all(tr(text) != text for text in (card.limits, *card.failures)), name


@pytest.mark.parametrize(
    ("method", "sentence"),
    [
        pytest.param(Method("best", "mine"), "'best'.*classic", id="unknown pipeline"),
        pytest.param(Method("combined", "nobody"), "no model 'nobody'", id="unknown model"),
        pytest.param(Method("combined", "../models/mask-classifier"), "no model", id="a path"),
        pytest.param(Method("combined", "in_use"), "no model", id="the file itself"),
        pytest.param(Method("combined", "mask-detector"), "is a detector.*needs a classifier", id="other kind"),
        pytest.param(Method("neural", "mine"), "is a classifier.*needs a detector", id="other kind, too"),
    ],
)
def test_what_cannot_be_used_is_refused_and_nothing_changes(models, method, sentence):
    before = use(MINE, models)
    with pytest.raises(ModelError, match=sentence):
        use(method, models)
    assert in_use(models) == before
    # Nor does it work by way of the file.
    raw = json.loads((models / "in_use.json").read_text()) | {"method": method._asdict()}
    (models / "in_use.json").write_text(json.dumps(raw))
    assert in_use(models).method == USUAL and in_use(models).problem


def test_a_model_that_does_not_run_is_never_put_to_work():
    """In the real folder, where the pipeline is built before anybody depends on it."""
    card = load_card(models_dir() / "mask-classifier.json")
    try:
        (models_dir() / "broken-1.tflite").write_bytes(b"no model")
        replace(card, name="broken", file="broken-1.tflite").save(models_dir() / "broken.json")
        before = in_use()
        with pytest.raises(ModelError, match=r"broken-1\.tflite"):
            use(Method("combined", "broken"))
        assert in_use() == before
    finally:
        remove_model("broken")
    assert not (models_dir() / "broken-1.tflite").exists()


def test_going_back_passes_over_what_is_gone(models):
    use(MINE, models)
    use(OTHER, models)
    remove_model("mine", models)
    assert go_back(models).method == USUAL


def test_only_models_that_are_neither_shipped_nor_in_use_are_removed(models):
    use(MINE, models)
    assert "came with the app" in why_not_removable("mask-detector", models)
    for name, sentence in (
        ("mask-classifier", "came with"),
        ("mine", "is active"),
        ("x", "no model"),
        ("../x", "no m"),
    ):
        with pytest.raises(ModelError, match=sentence):
            remove_model(name, models)
    remove_model("other", models)
    assert not (models / "other.json").exists() and not (models / "other-1.tflite").exists()
    assert (models / "mine-1.tflite").exists()


def test_a_file_that_two_cards_share_stays_with_the_other(models):
    card = load_card(models / "mine.json")
    replace(card, name="other", file=card.file).save(models / "other.json")
    remove_model("other", models)
    assert (models / card.file).exists()


def test_a_broken_card_can_be_removed(models):
    (models / "other.json").write_text("{")
    remove_model("other", models)
    assert not (models / "other.json").exists()


def test_a_folder_that_cannot_be_written_gets_a_sentence(models, monkeypatch):
    def refuse(path, value):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(module, "write_json", refuse)
    with pytest.raises(ModelError, match=r"^The server's disk cannot be written to; ask who runs this server\.$"):
        use(MINE, models)
    assert in_use(models).method == USUAL


def test_a_model_file_without_a_card_is_swept_once_no_installation_can_be_under_way(models):
    def left():
        return {path.name for path in models.iterdir() if "12345678" in path.name or path.name.startswith(".")}

    for name in ("old-12345678.tflite", "new-12345678.tflite", ".mine-1.partial.tflite"):
        (models / name).touch()
    os.utime(models / "old-12345678.tflite", (0, 0))
    before = list_models(models)
    (models / "broken.json").write_text("{")
    sweep_models(models)
    assert left() == {"old-12345678.tflite", "new-12345678.tflite", ".lock"}, "the broken card may name any of them"
    (models / "broken.json").unlink()
    sweep_models(models)
    assert left() == {"new-12345678.tflite", ".lock"} and list_models(models) == before


def test_two_apps_on_one_folder_of_models_forget_no_step(models):
    card = load_card(models / "mine.json")
    for name in (f"model-{me}-{i}" for me in (0, 1) for i in range(10)):
        replace(card, name=name).save(models / f"{name}.json")
    run_together(
        """
from core.registry.active import use
from core.vision.pipeline import Method
# together
for i in range(10):
    use(Method("combined", f"model-{me}-{i}"), folder)
""",
        models,
    )
    kept = json.loads((models / "in_use.json").read_text())
    assert len(kept["before"]) == 20 and kept["before"][0] == USUAL._asdict()
    assert len({method["model"] for method in [*kept["before"], kept["method"]]}) == 21


def test_another_pipeline_gets_the_active_model_where_it_fits(models):
    use(OTHER, models)
    assert active_method(folder=models) == OTHER
    assert active_method("combined", models) == ("combined", "other")
    assert active_method("neural", models) == method_with_its_own_model("neural")
