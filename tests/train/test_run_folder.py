"""What a run folder says of a training that resumes, and what this machine learns from it."""

import argparse
import ast
import dataclasses
import json
import time
import zipfile

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.datasets.faces import DataError
from tests.helpers import ROOT
from train import estimate as speeds
from train import run_folder
from train.config import RECIPE_PRESETS, DetectorConfig, TrainConfig, add_settings, make_config
from train.estimate import estimate_minutes
from train.run_folder import Interrupted, Progress, StepCurve, ending_with_a_sentence, read_state, write_checkpoint

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda each: st.lists(each, max_size=3) | st.dictionaries(st.text(max_size=3), each, max_size=3),
    max_leaves=5,
)


class Clock:
    """Time that passes when the test says so."""

    def __init__(self):
        self.now = 1000.0

    def monotonic(self):
        return self.now

    def time(self):
        return self.now + 1e9


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(run_folder, "time", clock)
    return clock


@pytest.fixture(autouse=True)
def runs_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("MASK_RUNS_DIR", str(tmp_path / "runs"))
    return tmp_path / "runs"


def written(folder):
    return json.loads((folder / "progress.json").read_text())


def test_progress_says_everything_that_a_page_needs(tmp_path, clock):
    progress = Progress(tmp_path, 12)
    progress.expect({"reading": 10, "head": 100, "finishing": 20})
    progress.stage("head", "Training the last layers", total=200, epoch=1)
    clock.now += 20
    progress.step(50, 4)
    facts = written(tmp_path)
    assert set(facts) == {"stage", "text", "done", "total", "epoch", "epochs", "time", "started", "left_s"}
    assert (facts["stage"], facts["text"]) == ("head", "Training the last layers")
    assert (facts["done"], facts["total"], facts["epoch"], facts["epochs"]) == (50, 200, 4, 12)
    assert facts["time"] - facts["started"] == 20
    assert facts["left_s"] == 60 + 20, "what is measured counts, and the stages to come"


def test_progress_is_written_at_most_twice_a_second(tmp_path, clock):
    progress = Progress(tmp_path, 1)
    progress.stage("head", "", total=100)
    for done, passed, shown in ((1, 0.1, 0), (2, 0.3, 0), (3, 0.2, 3), (4, 0.4, 3), (5, 0.2, 5)):
        clock.now += passed
        progress.step(done)
        assert written(tmp_path)["done"] == shown


@pytest.mark.parametrize(
    ("stage", "total", "before", "done", "spent", "left"),
    [
        pytest.param("reading", 0, 0, 0, 4, 6 + 120, id="a stage whose steps nobody counts"),
        pytest.param("reading", 0, 0, 0, 40, 120, id="such a stage that takes longer than expected"),
        pytest.param("head", 10, 0, 0, 5, 100 + 20, id="no step yet"),
        pytest.param("head", 10, 0, 5, 100, 100 + 20, id="half done, twice as slow as expected"),
        pytest.param("head", 10, 0, 5, 5, (50 + 5) / 2 + 20, id="too early to trust what is measured"),
        pytest.param("head", 10, 5, 6, 20, 80 + 20, id="resumed after half of it"),
        pytest.param("finishing", 1, 0, 1, 3, 0, id="the end"),
        pytest.param("fine-tune", 10, 0, 5, 3, None, id="a stage nobody expected"),
    ],
)
def test_time_left(tmp_path, clock, stage, total, before, done, spent, left):
    progress = Progress(tmp_path, 1)
    progress.expect({"reading": 10, "head": 100, "finishing": 20})
    progress.stage(stage, "", total=total, done=before)
    clock.now += spent
    progress.step(done)
    assert progress.left_s() == (left if left is None else pytest.approx(left))


def test_the_end_tells_how_slow_each_stage_was(tmp_path, clock):
    progress = Progress(tmp_path, 1)
    progress.expect({"reading": 10, "head": 100, "fine-tune": 50, "finishing": 20})
    progress.stage("reading", "")
    clock.now += 30
    progress.stage("head", "", total=100, done=50)
    clock.now += 100
    progress.step(100)
    progress.stage("fine-tune", "", total=100, done=95)
    clock.now += 1
    progress.step(100)
    progress.stage("finishing", "")
    clock.now += 10
    assert progress.end() == {"reading": 3, "head": 2, "finishing": 0.5}, "five steps of a hundred say nothing"
    assert written(tmp_path)["left_s"] == 0


def test_without_its_folder_nothing_is_made(tmp_path):
    progress = Progress(tmp_path / "run", 1)
    with progress.alive():
        progress.stage("reading", "")
    assert not (tmp_path / "run").exists()


def test_a_silent_stage_still_shows_that_the_run_is_alive(tmp_path, monkeypatch):
    monkeypatch.setattr(run_folder, "BEAT_S", 0.02)
    progress = Progress(tmp_path, 1)
    with progress.alive():
        progress.stage("finishing", "")
        first, end = written(tmp_path)["time"], time.monotonic() + 5
        while written(tmp_path)["time"] <= first:
            assert time.monotonic() < end
            time.sleep(0.01)


@pytest.mark.parametrize(("steps", "points"), [(31, 20), (7, 7), (400, 20), (1, 1)])
def test_the_curve_has_about_twenty_points_per_epoch(tmp_path, clock, steps, points):
    curve = StepCurve(tmp_path, steps, 0)
    for epoch in (1, 2):
        for step in range(1, steps + 1):
            curve.add(epoch, step, 2.0, 0.5)
    lines = [json.loads(line) for line in (tmp_path / "steps.jsonl").read_text().splitlines()]
    if steps > 20:
        assert lines.pop(0)["epoch"] == round(1 / steps, 4), "it begins at once"
    assert len(lines) == 2 * points
    assert [line["epoch"] for line in lines][points - 1 :: points] == [1, 2]
    assert all(0 < line["epoch"] <= 2 and line["loss"] == 2 and line["accuracy"] == 0.5 for line in lines)


def test_nobody_waits_long_for_the_curve_to_begin(tmp_path, clock):
    curve = StepCurve(tmp_path, 1000, 0)
    for step in range(1, 10):  # of which twenty seconds pass before the fiftieth
        curve.add(1, step, 2.0, 0.5)
        clock.now += 0.6
    steps = [1000 * json.loads(line)["epoch"] for line in (tmp_path / "steps.jsonl").read_text().splitlines()]
    assert steps == [1, 5, 9]


def test_the_curve_is_smoother_than_the_batches_and_follows_them(tmp_path, clock):
    curve = StepCurve(tmp_path, 100, 0)
    for epoch in (1, 2):
        for step in range(1, 101):
            curve.add(epoch, step, (2.0 if epoch == 1 else 1.0) + (0.5 if step % 2 else -0.5), 0.5)
    loss = [json.loads(line)["loss"] for line in (tmp_path / "steps.jsonl").read_text().splitlines()]
    assert all(abs(value - 2) < 0.3 for value in loss[2:20])
    assert abs(loss[39] - 1) < 0.1


def test_a_curve_that_goes_on_drops_what_a_broken_off_epoch_left(tmp_path):
    curve = StepCurve(tmp_path, 4, 0)
    for epoch, step in ((1, 1), (1, 2), (1, 3), (1, 4), (2, 1), (2, 2)):
        curve.add(epoch, step, 1.0, 0.5)
    path = tmp_path / "steps.jsonl"
    path.write_text(path.read_text() + '{"epoch": 1.7')
    curve = StepCurve(tmp_path, 4, 1)
    curve.add(2, 1, 3.0, 0.5)
    assert [json.loads(line)["epoch"] for line in path.read_text().splitlines()] == [0.25, 0.5, 0.75, 1, 1.25]


CONFIG = TrainConfig(data=("d",), out="o", epochs=10)


def test_a_machine_learns_its_speed_from_its_runs(runs_folder):
    before = speeds.stage_seconds(CONFIG, 1000, 100, 200)
    assert list(before) == ["reading", "head", "finishing"]
    speeds.record(CONFIG, runs_folder / "first", {"head": 2.0})
    after = speeds.stage_seconds(CONFIG, 1000, 100, 200)
    assert after["head"] == pytest.approx(2 * before["head"])
    assert after["reading"] == before["reading"]
    for _ in range(20):  # every run takes as long as this one
        ratio = before["head"] / speeds.stage_seconds(CONFIG, 1000, 100, 200)["head"]
        speeds.record(CONFIG, runs_folder / "later", {"head": ratio})
    assert speeds.stage_seconds(CONFIG, 1000, 100, 200)["head"] == pytest.approx(before["head"], rel=0.01)


def test_runs_elsewhere_teach_nothing(tmp_path, runs_folder):
    speeds.record(CONFIG, tmp_path / "elsewhere", {"head": 2.0})
    assert not runs_folder.exists()


@pytest.mark.parametrize(
    "text", ["", "{", "[1]", '{"head": "fast"}', '{"head": -1}', '{"head": null}'], ids=lambda text: text or "empty"
)
def test_a_damaged_speed_file_is_passed_over(runs_folder, text):
    sound = speeds.stage_seconds(CONFIG, 1000, 100, 200)
    runs_folder.mkdir()
    (runs_folder / "speed.json").write_text(text)
    assert speeds.stage_seconds(CONFIG, 1000, 100, 200) == sound


def test_minutes_are_told_for_settings_and_for_differences():
    minutes = {name: estimate_minutes(preset["settings"], 1376) for name, preset in RECIPE_PRESETS.items()}
    assert minutes["quick"] < 2 < minutes["report"] < minutes["best"] < 120
    assert estimate_minutes({}, 1376) == estimate_minutes(TrainConfig(data=(), out=""), 1376)
    assert estimate_minutes({}, 2000) > estimate_minutes({}, 1000) > estimate_minutes({}, 0) > 0


@pytest.mark.parametrize("name", RECIPE_PRESETS)
def test_every_preset_is_possible_and_says_what_it_is(name):
    preset = RECIPE_PRESETS[name]
    config = TrainConfig(data=("d",), out="o", **preset["settings"])
    default = TrainConfig(data=("d",), out="o")
    assert all(getattr(config, key) != getattr(default, key) for key in preset["settings"])
    assert preset["title"] and preset["about"].endswith(".")


def test_any_class_names_may_be_asked_for_and_views_are_checked():
    assert TrainConfig(data=("d",), out="o", classes=("helmet", "no helmet")).classes == ("helmet", "no helmet")
    with pytest.raises(DataError, match="Views"):
        TrainConfig(data=("d",), out="o", views=-1)
    with pytest.raises(DataError, match="Features is 'some'; possible are plain, cached"):
        TrainConfig(data=("d",), out="o", features="some")


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        ({"epochs": 10**9}, "Epochs is 1000000000; it must lie in 1..10000."),
        ({"epochs": 0}, "Epochs is 0; it must be at least 1."),
        ({"epochs": 2.5}, "Epochs is 2.5; it must be a whole number."),
        ({"epochs": True}, "Epochs is True; it must be a whole number."),
        ({"batch_size": 10**9}, "Batch size is 1000000000; it must lie in 1..4096."),
        ({"learning_rate": float("nan")}, "Learning rate is nan; it must be a finite number."),
        ({"learning_rate": -1.0}, "Learning rate is -1.0; it must be at least 0."),
        ({"seed": -1}, "Seed is -1; it must be at least 0."),
        ({"test_share": -0.1}, "Test share is -0.1; it must be at least 0."),
        ({"recipe": ["report"]}, "Recipe is ['report']; it must be text."),
        ({"classes": ("a", 3)}, "Classes is ('a', 3); it must be text."),
        ({"data": "folder"}, "Data is 'folder'; it must be text."),
        ({"learning_rate": 10**400}, f"Learning rate is 1{'0' * 59}…; it must lie in 0..10."),
        ({"learning_rate": float("inf")}, "Learning rate is inf; it must lie in 0..10."),
        (
            {"test_share": 0.6, "val_share": 0.4},
            "The shares for test and validation leave nothing to train on; make them smaller.",
        ),
        ({"epoch": 3}, "There is no setting 'epoch'; remove it."),
    ],
    ids=str,
)
def test_settings_out_of_bounds_are_refused_with_a_sentence(changed, sentence):
    with pytest.raises(DataError) as refused:
        make_config(TrainConfig, {"data": ["d"], "out": "o"} | changed)
    assert str(refused.value) == sentence


def test_every_number_of_every_training_has_bounds():
    for config_class in (TrainConfig, DetectorConfig):
        for setting in dataclasses.fields(config_class):
            if isinstance(setting.default, int | float):
                low, high = setting.metadata["low"], setting.metadata["high"]
                assert low <= setting.default <= high, setting.name
                for beyond in (low - 1, high + 1, float("nan")):
                    with pytest.raises(DataError):
                        make_config(config_class, {"data": ["d"], "out": "o", setting.name: beyond})


@given(st.dictionaries(st.sampled_from([f.name for f in dataclasses.fields(TrainConfig)]), json_values))
@settings(max_examples=200, deadline=None)
def test_any_settings_make_a_configuration_or_one_sentence(changed):
    try:
        config = make_config(TrainConfig, {"data": ["d"], "out": "o"} | changed)
    except DataError as error:
        assert str(error).endswith(".") and len(str(error)) < 300 and "\n" not in str(error)
    else:
        assert config.epochs <= 10_000 and config.test_share + config.val_share < 1


@pytest.mark.parametrize("config_class", [TrainConfig, DetectorConfig])
def test_every_default_lies_within_its_bounds_and_help_tells_it(config_class):
    assert config_class(data=("d",), out="o")
    parser = argparse.ArgumentParser(
        formatter_class=lambda prog: argparse.HelpFormatter(prog, max_help_position=200, width=10_000)
    )
    add_settings(parser, config_class)
    shown = parser.format_help()
    for setting in dataclasses.fields(config_class):
        if setting.metadata:
            option = f"  --{setting.name.replace('_', '-')} "
            line = next(line for line in shown.splitlines() if line.startswith(option))
            assert line.endswith(f"(default: {'none' if setting.default == '' else setting.default})")
    assert "(default: 0)" in shown, "nothing is not none"


def test_the_help_says_what_recipes_change(capsys):
    from train.classifier.__main__ import parse_arguments

    with pytest.raises(SystemExit) as ended:
        parse_arguments(["--help"])
    shown = " ".join(capsys.readouterr().out.split())
    assert ended.value.code == 0 and "--run RUN_DIR" in shown and "--epochs EPOCHS" in shown
    assert "Quick: --features cached --views 2 --epochs 15 --precision fp16." in shown


NAMES = {getattr(run_folder, name) for name in dir(run_folder) if name.isupper()} - {run_folder.STATE_MEMBER}
NAMES = {name for name in NAMES if isinstance(name, str) and "." in name}
# Members of Keras' own archives; and where the app keeps models, which it takes from run folders.
OTHER_FILES = {
    "train/export/convert.py": {"config.json"},
    "core/registry/upload.py": {"config.json"},
    "core/registry/store.py": {"card.json", "model.tflite"},
}


def test_nobody_else_knows_the_names_of_a_run_folders_files():
    assert len(NAMES) == 18 and {"config.json", "log.txt", "model.onnx"} <= NAMES
    for path in [path for room in ("core", "train", "pages") for path in (ROOT / room).rglob("*.py")]:
        place = path.relative_to(ROOT).as_posix()
        if place != "train/run_folder.py":
            texts = {node.value for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Constant)}
            assert not (texts & NAMES) - OTHER_FILES.get(place, set()), place


def test_a_checkpoint_holds_weights_and_state_together(tmp_path):
    def save(path):
        with zipfile.ZipFile(path, "w") as file:
            file.writestr("weights", b"1")

    state = {"epochs_done": 3, "metrics": [{"epoch": 3}]}
    write_checkpoint(tmp_path / "last.keras", save, state, {"average": b"2"})
    assert read_state(tmp_path / "last.keras") == state
    with zipfile.ZipFile(tmp_path / "last.keras") as file:
        assert file.read("weights") == b"1" and file.read("average") == b"2"
    assert [path.name for path in tmp_path.iterdir()] == ["last.keras"]
    for content in (b"", b"no archive", (tmp_path / "last.keras").read_bytes()[:-9]):
        (tmp_path / "last.keras").write_bytes(content)
        with pytest.raises(DataError, match="no checkpoint"):
            read_state(tmp_path / "last.keras")


@pytest.mark.parametrize("text", [None, "", "{", "[1]", "[" * 100_000, "\0"], ids=lambda text: str(text)[:9])
def test_a_damaged_file_reads_as_an_empty_one(tmp_path, text):
    for name in NAMES if text is not None else ():
        (tmp_path / name).write_text(text)
    for read in (run_folder.read_settings, run_folder.read_progress, run_folder.read_report):
        assert read(tmp_path) == {}
    assert run_folder.read_metrics(tmp_path) == run_folder.read_steps(tmp_path) == []
    if text is not None:
        with pytest.raises(DataError, match="other settings"):
            run_folder.check_run_folder(tmp_path, {"epochs": 3}, {})


def full(*_, **__):
    raise OSError(28, "No space left on device", "/srv/secret")


def test_progress_that_cannot_be_written_is_no_reason_to_end_a_training(tmp_path, monkeypatch):
    progress, curve = Progress(tmp_path, 1), StepCurve(tmp_path, 1, 0)
    monkeypatch.setattr("train.run_folder.write_json", full)
    monkeypatch.setattr("pathlib.Path.open", full)
    progress.stage("head", "Training", 3)
    curve.add(1, 1, 0.5, 0.5)
    progress.end()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("error", "last", "code"),
    [
        (DataError("No faces."), "train.classifier: No faces.", 1),
        (OSError(28, "x", "/srv/secret"), "train.classifier: The server's disk is full; make room and try again.", 1),
        (Interrupted(), "Stopped; start again with the same settings to resume.", 143),
    ],
    ids=["its own sentence", "a full disk", "asked to stop"],
)
def test_a_training_ends_with_a_sentence(error, last, code, capsys):
    with pytest.raises(SystemExit) as ended, ending_with_a_sentence("train.classifier"):
        raise error
    told = ended.value.code if code == 1 else capsys.readouterr().out.strip()
    assert told == last and (code == 1 or ended.value.code == code)


def test_an_error_of_a_connection_keeps_its_own_words():
    with pytest.raises(OSError, match="no route"), ending_with_a_sentence("train.classifier"):
        raise OSError("no route to imagenet")
