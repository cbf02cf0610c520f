"""The queue of trainings, with a small script in the place of the real training."""

import json
import os
import re
import signal
import subprocess
import sys
import time

import psutil
import pytest

from core.config import Limits
from core.datasets.faces import DataError
from core.language import using
from tests.helpers import run_together
from train import runs
from train.config import TrainConfig, default_settings, read_config, run_settings
from train.run_folder import check_run_folder, read_log, read_metrics, read_steps
from train.runs import RunError, RunManager, training_command, training_process

# What a training does, in small: an epoch every time the test lets it, and on from the last one.
FAKE_TRAINING = """
import json, signal, sys, time
from pathlib import Path
out, kind = Path(sys.argv[1]), sys.argv[2]
def stop(*_):
    print("\\nStopped; start again with the same settings to resume.", flush=True)
    sys.exit(143)
signal.signal(signal.SIGTERM, signal.SIG_IGN if kind == "deaf" else stop)
if kind == "refuses":
    sys.exit("train.classifier: There is no data folder /nowhere.")
if kind == "breaks":
    raise RuntimeError("out of luck")
(out / "begun").touch()
metrics = out / "metrics.jsonl"
done = len(metrics.read_text().splitlines()) if metrics.is_file() else 0
print("Resuming after epoch", done, flush=True)
while done < 3:
    while not (out / f"epoch-{done + 1}").exists():
        time.sleep(0.01)
    done += 1
    print(f"epoch {done} of 3", flush=True)  # in one piece, and before the tests go on
    with metrics.open("a") as file:
        file.write(json.dumps({"epoch": done, "loss": 1 / done, "seconds": 1.0}) + "\\n")
(out / "report.json").write_text("{}")
(out / "card.json").write_text("{}")
"""


@pytest.fixture
def script(tmp_path):
    path = tmp_path / "fake_training.py"
    path.write_text(FAKE_TRAINING)
    return path


@pytest.fixture
def make_manager(tmp_path, script):
    """Managers of one folder, as an app and the next one after its restart have them; no process is left behind."""
    made = []

    def make(grace_s=20.0):
        def command(folder):
            kind = json.loads((folder / "config.json").read_text())["data"][0]
            return [sys.executable, "-S", str(script), str(folder), kind]

        made.append(RunManager(tmp_path / "runs", command, grace_s))
        return made[-1]

    yield make
    for manager in made:
        for child in manager._children.values():
            child.kill()
            child.wait()


def wait_until(condition, seconds=60.0):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "timed out"
        time.sleep(0.01)


def state(manager, run):
    manager.poll()
    return manager.find(run.id).state


def let(manager, run, *epochs):
    """Let a training finish these epochs."""
    for epoch in epochs:
        (run.folder / f"epoch-{epoch}").touch()
    wait_until(lambda: {line["epoch"] for line in read_metrics(run.folder)} >= set(epochs))


def process_of(run):
    return json.loads((run.folder / "run.json").read_text())["pid"]


def test_one_trains_at_a_time_and_the_next_follows(make_manager):
    manager = make_manager()
    first, second = manager.add("First try", data=("works",)), manager.add("Zweiter * Versuch", data=("works",))
    assert (state(manager, first), state(manager, second)) == ("running", "queued")
    assert first.folder.name == first.id and "zweiter-versuch" in second.id and second.name == "Zweiter * Versuch"
    let(manager, first, 1, 2, 3)
    wait_until(lambda: state(manager, first) == "done")
    wait_until(lambda: state(manager, second) == "running")
    assert manager.find(first.id).spent_s > 0 and manager.find(first.id).sentence == ""
    assert [run.id for run in manager.runs()] == [second.id, first.id], "newest first"
    assert "epoch 3 of 3" in read_log(first.folder)


def test_the_queue_moves_while_nobody_looks(make_manager):
    manager = make_manager()
    first, second = (manager.add(name, data=("works",)) for name in "ab")
    manager.watch(every_s=0.02)
    let(manager, first, 1, 2, 3)
    wait_until(lambda: (second.folder / "begun").exists())
    manager.close()


def test_a_cancelled_run_stops_and_may_go_on(make_manager):
    manager = make_manager()
    run = manager.add("a", data=("works",))
    let(manager, run, 1)
    manager.cancel(run.id)
    wait_until(lambda: state(manager, run) == "cancelled")
    assert manager.find(run.id).sentence == "Cancelled after epoch 1."
    with using("fr"):
        assert manager.find(run.id).sentence == "Arrêté après l’époque 1."
    manager.resume(run.id)
    assert state(manager, run) == "running"
    let(manager, run, 2, 3)
    wait_until(lambda: state(manager, run) == "done")
    assert "Resuming after epoch 1" in read_log(run.folder)


def test_a_waiting_run_is_taken_out_of_the_queue(make_manager):
    manager = make_manager()
    first, second = (manager.add(name, data=("works",)) for name in "ab")
    manager.cancel(second.id)
    assert state(manager, second) == "cancelled" and manager.find(second.id).can_resume
    assert not (second.folder / "begun").exists() and state(manager, first) == "running"


def test_a_training_that_does_not_hear_is_killed(make_manager):
    manager = make_manager(grace_s=0.2)
    run = manager.add("a", data=("deaf",))
    let(manager, run, 1)
    manager.cancel(run.id)
    assert manager.find(run.id).stopping
    wait_until(lambda: state(manager, run) == "cancelled")


def test_a_killed_training_says_so_and_goes_on_where_it_was(make_manager):
    manager = make_manager()
    run = manager.add("a", data=("works",))
    let(manager, run, 1, 2)
    os.kill(process_of(run), signal.SIGKILL)
    wait_until(lambda: state(manager, run) == "interrupted")
    sentence = manager.find(run.id).sentence
    assert "killed after epoch 2 (signal 9)" in sentence and sentence.endswith("Its last words: epoch 2 of 3")
    manager.resume(run.id)
    let(manager, run, 3)
    wait_until(lambda: state(manager, run) == "done")
    assert [line["epoch"] for line in read_metrics(run.folder)] == [1, 2, 3]


def test_an_app_started_again_knows_its_training(make_manager):
    before = make_manager()
    run, waiting = before.add("a", data=("works",)), before.add("b", data=("works",))
    let(before, run, 1)
    after = make_manager()
    assert (state(after, run), state(after, waiting)) == ("running", "queued")
    after.cancel(run.id)
    wait_until(lambda: state(after, run) == "cancelled")
    wait_until(lambda: state(after, waiting) == "running")


def test_a_training_that_ended_while_the_app_was_away_is_found_so(make_manager):
    before = make_manager()
    done, gone = (before.add(name, data=("works",)) for name in "ab")
    let(before, done, 1, 2, 3)
    wait_until(lambda: state(before, done) == "done")
    wait_until(lambda: state(before, gone) == "running")
    let(before, gone, 1)
    os.kill(process_of(gone), signal.SIGKILL)
    before._children[gone.id].wait()
    after = make_manager()
    after.poll()
    run = after.find(gone.id)
    assert run.state == "interrupted" and "was gone after epoch 1" in run.sentence and run.can_resume


def test_another_process_with_the_same_number_is_not_the_training(make_manager):
    manager = make_manager()
    run = manager.add("a", data=("works",))
    let(manager, run, 1)
    os.kill(process_of(run), signal.SIGKILL)
    manager._children.pop(run.id).wait()
    with subprocess.Popen([sys.executable, "-S", "-c", "input()"], stdin=subprocess.PIPE) as other:
        note = json.loads((run.folder / "run.json").read_text())
        # A number comes again when all others had their turn.
        note |= {"pid": other.pid, "process": note["process"] - 10}
        (run.folder / "run.json").write_text(json.dumps(note))
        manager.cancel(run.id)
        assert state(make_manager(), run) == "cancelled"
        assert other.poll() is None, "nobody touched it"
        other.communicate(b"\n")


def test_a_process_is_known_while_it_lives():
    with subprocess.Popen([sys.executable, "-S", "-c", "input()"], stdin=subprocess.PIPE) as child:
        note = {"pid": child.pid, "process": psutil.Process(child.pid).create_time()}
        assert training_process(note).pid == child.pid
        assert training_process(note | {"process": note["process"] - 10}) is None
        assert training_process(note | {"process": "5f1c 123456"}) is None, "the stamp of an earlier version"
        assert training_process({"pid": child.pid}) is training_process({}) is None
        child.stdin.close()
        wait_until(lambda: training_process(note) is None)  # ended, not yet collected
    assert training_process(note) is None


@pytest.mark.parametrize(
    ("kind", "state_then", "sentence"),
    [
        pytest.param("refuses", "failed", "There is no data folder /nowhere.", id="the training's own sentence"),
        pytest.param("breaks", "interrupted", "exit code 1). Its last words: RuntimeError: out of luck", id="an error"),
    ],
)
def test_what_went_wrong_is_told(make_manager, kind, state_then, sentence):
    manager = make_manager()
    run = manager.add("a", data=(kind,))
    wait_until(lambda: state(manager, run) == state_then)
    assert manager.find(run.id).sentence.endswith(sentence) and manager.find(run.id).can_resume


def test_a_command_that_cannot_start_fails_with_a_sentence(tmp_path):
    manager = RunManager(tmp_path, lambda folder: ["/nowhere/python"])
    run = manager.add("a", data=("x",))
    assert run.state == "failed" and "did not start" in run.sentence


def test_settings_that_make_no_sense_are_refused_before_a_folder_is_made(make_manager, tmp_path):
    for settings in ({"epochs": 0}, {"colour": "red"}):
        with pytest.raises(DataError):
            make_manager().add("a", data=("x",), **settings)
    assert not list(tmp_path.glob("runs/[!.]*"))


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        pytest.param({"epochs": 10**9}, "Epochs is 1000000000; it must lie in 1..10000.", id="epochs"),
        pytest.param({"learning_rate": float("nan")}, "Learning rate is nan; it must be a finite number.", id="NaN"),
        pytest.param({"speed": 3}, "There is no setting 'speed'; remove it.", id="an unknown setting"),
    ],
)
def test_a_waiting_run_whose_settings_were_changed_fails_with_a_sentence_and_the_next_starts(
    make_manager, changed, sentence
):
    manager = make_manager()
    running, damaged, next_one = (manager.add(name, data=("plain",)) for name in "abc")
    path = damaged.folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changed))
    manager.cancel(running.id)
    wait_until(lambda: state(manager, next_one) == "running")
    run = manager.find(damaged.id)
    assert (run.state, run.sentence) == ("failed", f"The settings of this run cannot be used: {sentence}")
    assert not (damaged.folder / "begun").exists() and run.ended


def test_runs_of_the_command_line_are_listed_too(make_manager, tmp_path):
    config = {"data": ["/d/faces"], "recipe": "report", "fine_tune_blocks": 0, "epochs": 3}
    for name in ("done", "broken", "going", "detector"):
        folder = tmp_path / "runs" / name
        folder.mkdir(parents=True)
        (folder / "config.json").write_text(json.dumps(config))
        (folder / "metrics.jsonl").write_text('{"epoch": 1, "seconds": 60}\n{"epoch": 2, "sec')
    for name in ("card.json", "report.json"):
        (tmp_path / "runs" / "done" / name).write_text("{}")
    (tmp_path / "runs" / "going" / "progress.json").write_text(json.dumps({"time": time.time()}))
    (tmp_path / "runs" / "detector" / "config.json").write_text('{"data": [], "windows": 3}')
    manager = make_manager()
    runs = {run.id: run for run in manager.runs()}
    assert {name: run.state for name, run in runs.items()} == {
        "done": "done",
        "broken": "interrupted",
        "going": "running",
    }
    assert runs["done"].data_names == ["faces"] and runs["done"].spent_s == 60 and runs["going"].from_command_line
    with pytest.raises(RunError, match="command line"):
        manager.cancel("going")
    manager.rename("broken", "  Second\nname ")
    manager.set_note("broken", "too few faces")
    again = manager.find("broken")
    assert (again.name, again.note, again.state) == ("Second name", "too few faces", "interrupted")
    (tmp_path / "runs" / "going" / "progress.json").unlink()
    (tmp_path / "runs" / "broken" / "progress.json").unlink(missing_ok=True)
    manager.resume("broken")
    assert state(manager, runs["broken"]) == "running"


def test_a_run_is_deleted_but_not_while_it_trains_and_no_link_is_followed(make_manager, tmp_path):
    manager = make_manager()
    run = manager.add("a", data=("works",))
    with pytest.raises(RunError, match="cancel it first"):
        manager.delete(run.id)
    precious = tmp_path / "precious"
    precious.mkdir()
    (precious / "photo.jpg").touch()
    (run.folder / "link").symlink_to(precious)
    (tmp_path / "runs" / "linked").symlink_to(precious)
    let(manager, run, 1, 2, 3)
    wait_until(lambda: state(manager, run) == "done")
    manager.delete(run.id)
    assert not run.folder.exists() and manager.runs() == []
    for name in ("linked", "../precious", str(precious), "", ".", run.id):
        with pytest.raises(RunError, match="no longer there"):
            manager.delete(name)
    assert (precious / "photo.jpg").exists() and not list((tmp_path / "runs").glob(".deleted*"))


@pytest.mark.parametrize(
    "written",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b'{"state": "runn', id="half a file"),
        pytest.param(b"[1, 2]", id="a list"),
        pytest.param(b'{"state": 7, "settings": "no", "name": null, "pid": "x"}', id="other types"),
        pytest.param(b"\xff\xfe", id="no text"),
    ],
)
def test_a_damaged_run_file_costs_nobody_the_list(make_manager, written):
    manager = make_manager()
    run = manager.add("a", data=("works",))
    manager.cancel(run.id)
    wait_until(lambda: state(manager, run) == "cancelled")
    (run.folder / "run.json").write_bytes(written)
    (run.folder / "config.json").write_text(json.dumps(run.settings))
    (again,) = manager.runs()
    assert again.state == "interrupted" and again.name == run.id


def test_half_lines_and_missing_files_are_passed_over(tmp_path):
    assert read_metrics(tmp_path) == read_steps(tmp_path) == read_log(tmp_path) == []
    (tmp_path / "steps.jsonl").write_bytes(b'{"epoch": 0.5, "loss": 1}\n\xff\n[]\n{"loss": 2}\n{"epoch": 0.6, "lo')
    (tmp_path / "log.txt").write_bytes(b"old\nstep 1\rstep 2\r\n\nlast")
    assert read_steps(tmp_path) == [{"epoch": 0.5, "loss": 1}]
    assert read_log(tmp_path, start=4) == ["step 2", "last"]


def test_the_training_gets_the_settings_of_the_queue(tmp_path):
    """Whatever a class is called: settings do not travel as text."""
    from train.classifier.__main__ import parse_arguments

    settings = {"data": ("/a b", "-c"), "classes": ("mask, blue", "no mask", "-x=1"), "epochs": 7, "dropout": 0}
    manager = RunManager(tmp_path, lambda folder: ["/nowhere/python"])
    run = manager.add("a", learning_rate=3e-5, **settings)
    assert training_command(run.folder)[1:3] == ["-m", "train.classifier"]
    wanted = TrainConfig(out=str(run.folder), learning_rate=3e-5, **settings)
    assert parse_arguments(training_command(run.folder)[3:]) == wanted
    assert run.settings == run_settings(wanted) == json.loads((run.folder / "config.json").read_text())


@pytest.mark.parametrize(
    ("written", "arguments", "sentence"),
    [
        pytest.param({"data": ["a"]}, ["--epochs", "3"], "leave the other options out", id="settings from two places"),
        pytest.param(None, [], "holds no settings", id="no settings"),
        pytest.param([], [], "holds no settings", id="a list"),
        pytest.param({"data": ["a"], "colour": 1}, [], "cannot be used.*colour", id="an unknown setting"),
        pytest.param({"epochs": 3}, [], "cannot be used.*data", id="no data"),
        pytest.param({"data": ["a"], "epochs": "3"}, [], "Epochs is '3'; it must be a whole number", id="text"),
        pytest.param({"data": "a"}, [], "Data is 'a'", id="data are text"),
    ],
)
def test_settings_that_cannot_be_used_are_refused_by_the_training(tmp_path, capsys, written, arguments, sentence):
    from train.classifier.__main__ import parse_arguments

    if written is not None:
        (tmp_path / "config.json").write_text(json.dumps(written))
    with pytest.raises((DataError, SystemExit)) as refused:
        parse_arguments([f"--run={tmp_path}", *arguments])
    assert re.search(sentence, f"{refused.value} {capsys.readouterr().err}")


def test_looking_starts_and_changes_nothing(make_manager, tmp_path):
    assert make_manager().runs() == [] and not (tmp_path / "runs").exists()
    before = make_manager()
    gone, waiting = (before.add(name, data=("works",)) for name in "ab")
    let(before, gone, 1)
    os.kill(process_of(gone), signal.SIGKILL)
    before._children[gone.id].wait()

    def files():
        return {path: (path.stat().st_mtime_ns, path.read_bytes()) for path in (tmp_path / "runs").rglob("*.*")}

    as_it_was = files()
    for manager in (before, make_manager()):
        assert {run.id: run.state for run in manager.runs()} == {gone.id: "running", waiting.id: "queued"}
        assert manager.find(waiting.id).state == "queued"
    assert files() == as_it_was and not (waiting.folder / "log.txt").exists()
    before.poll()
    assert {run.id: run.state for run in before.runs()} == {gone.id: "interrupted", waiting.id: "running"}


def test_a_full_disk_starts_nothing_and_says_so(make_manager, monkeypatch):
    manager = make_manager()
    first, second = (manager.add(name, data=("works",)) for name in "ab")
    let(manager, first, 1, 2, 3)
    started, write = [], runs.write_json
    launch = manager._launch
    monkeypatch.setattr(manager, "_launch", lambda *args: started.append(args) or launch(*args))

    def full(path, value):
        if json.dumps(value).count("running"):
            raise OSError(28, "No space left on device")
        write(path, value)

    monkeypatch.setattr(runs, "write_json", full)
    wait_until(lambda: state(manager, first) == "done")
    for _ in range(3):
        assert state(manager, second) == "queued"
    assert not started and manager.problem.endswith("stands still. The server's disk is full; make room and try again.")
    monkeypatch.setattr(runs, "write_json", write)
    assert state(manager, second) == "running" and not manager.problem, "it resumes by itself"


def test_a_training_whose_process_cannot_be_noted_is_stopped(make_manager, monkeypatch):
    manager, write, launched = make_manager(), runs.write_json, []
    launch = manager._launch
    monkeypatch.setattr(manager, "_launch", lambda *args: launched.append(launch(*args)) or launched[-1])

    def full(path, value):
        if "pid" in value:
            raise OSError(28, "No space left on device")
        write(path, value)

    monkeypatch.setattr(runs, "write_json", full)
    run = manager.add("a", data=("works",))
    assert "disk is full" in manager.problem and launched[0].poll() is not None
    monkeypatch.setattr(runs, "write_json", write)
    assert state(manager, run) == "interrupted" and manager.find(run.id).can_resume


def test_a_run_that_cannot_be_written_leaves_nothing_behind(make_manager, tmp_path, monkeypatch):
    def full(path, value):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(runs, "write_json", full)
    with pytest.raises(OSError, match="No space"):
        make_manager().add("a", data=("works",))
    assert not list((tmp_path / "runs").glob("[!.]*"))


def test_runs_of_an_earlier_version_open_and_go_on(make_manager, tmp_path):
    """It kept the settings in ``run.json`` too, had fewer of them, and another stamp of the process."""
    old = {"data": ["works"], "classes": [], "recipe": "report", "epochs": 3, "fine_tune_blocks": 0}
    stamp = {"pid": os.getpid(), "process": "0f7e 8812", "started": time.time() - 60, "log_from": 0}
    for name, change in {
        "queued": {"state": "queued", "queued": 5.0},
        "stopped": {"state": "cancelled", "sentence": "Cancelled after epoch 1.", "ended": 8.0, "spent_s": 3.5},
        "running": {"state": "running", **stamp},
        "done": {"state": "done", "ended": 9.0},
    }.items():
        folder = tmp_path / "runs" / name
        folder.mkdir(parents=True)
        note = {"name": name, "note": "", "settings": old, "created": 4.0, "queued": 4.0}
        (folder / "run.json").write_text(json.dumps(note | change))
        if name != "queued":
            (folder / "config.json").write_text(json.dumps(old))
            (folder / "metrics.jsonl").write_text('{"epoch": 1, "loss": 1.0}\n')
    for name in ("report.json", "card.json"):
        (tmp_path / "runs" / "done" / name).write_text("{}")
    manager = make_manager()
    assert {run.id: run.state for run in manager.runs()} == {
        "queued": "queued",
        "stopped": "cancelled",
        "running": "running",
        "done": "done",
    }
    assert all(run.settings == old and run.name == run.id for run in manager.runs())
    manager.poll()
    assert manager.find("running").state == "interrupted", "process and number are not enough"
    wait_until(lambda: (tmp_path / "runs" / "queued" / "begun").exists())
    assert json.loads((tmp_path / "runs" / "queued" / "config.json").read_text()) == old
    config = read_config(TrainConfig, tmp_path / "runs" / "queued")
    assert config == TrainConfig(data=("works",), out=str(tmp_path / "runs" / "queued"), epochs=3)
    # The training may resume in the folder: what its settings lack counts as the default.
    check_run_folder(tmp_path / "runs" / "stopped", run_settings(config), default_settings(TrainConfig))
    with pytest.raises(DataError, match="other settings"):
        other = run_settings(config) | {"views": 9}
        check_run_folder(tmp_path / "runs" / "stopped", other, default_settings(TrainConfig))


def test_settings_that_are_damaged_cost_nobody_the_list(make_manager):
    manager = make_manager()
    run = manager.add("a", data=("works",))
    manager.cancel(run.id)
    wait_until(lambda: state(manager, run) == "cancelled")
    (run.folder / "config.json").write_text("{")
    (again,) = manager.runs()
    assert (again.name, again.state, again.can_resume, again.data_names) == ("a", "cancelled", False, [])
    manager.delete(run.id)
    assert manager.runs() == []


def test_two_apps_on_one_folder_start_one_training(make_manager, tmp_path, script):
    manager = make_manager()
    first = manager.add("a", data=("works",))
    waiting = [manager.add(str(i), data=("works",)) for i in range(3)]
    let(manager, first, 1, 2, 3)
    manager._children[first.id].wait()
    run_together(
        f"""
from train.runs import RunManager
manager = RunManager(folder, lambda run: [sys.executable, "-S", {str(script)!r}, str(run), "works"])
# together
for i in range(20):
    manager.poll()
    manager.set_note({first.id!r}, f"{{me}} {{i}}")
""",
        tmp_path / "runs",
    )
    assert [run.state for run in manager.runs()] == ["queued", "queued", "running", "done"]
    assert manager.find(first.id).note.endswith(" 19")
    manager.cancel(waiting[0].id)
    for run in waiting[1:]:
        manager.cancel(run.id)
    wait_until(lambda: state(manager, waiting[0]) == "cancelled")


def test_what_a_killed_deletion_left_is_swept_at_the_next_start(make_manager, tmp_path):
    left = tmp_path / "runs" / ".deleted-0123"
    left.mkdir(parents=True)
    (left / "model.keras").touch()
    manager = make_manager()
    run = manager.add("a", data=("refuses",))
    wait_until(lambda: state(manager, run) == "failed")
    half = run.folder / ".last-abc.partial.keras"
    half.touch()
    left.mkdir(exist_ok=True)
    manager.watch(every_s=0.02)
    wait_until(lambda: not left.exists() and not half.exists())
    manager.close()


def test_a_training_whose_app_was_killed_before_it_noted_the_process_is_known(make_manager):
    before = make_manager()
    run = before.add("a", data=("works",))
    wait_until(lambda: (run.folder / "begun").exists())
    note = json.loads((run.folder / "run.json").read_text())
    pid = note.pop("pid")
    del note["process"]
    (run.folder / "run.json").write_text(json.dumps(note))
    after = make_manager()
    assert state(after, run) == "running" and process_of(run) == pid
    after.cancel(run.id)
    wait_until(lambda: state(after, run) == "cancelled")


@pytest.mark.parametrize("number", ["1e300", "NaN", "-Infinity", "9" * 400, '"x"', "true", "[]"])
def test_numbers_that_make_no_sense_cost_nobody_the_list(make_manager, number):
    manager = make_manager()
    run = manager.add("a", data=("works",))
    manager.cancel(run.id)
    wait_until(lambda: state(manager, run) == "cancelled")
    names = ("created", "queued", "ended", "spent_s", "started", "cancel_asked", "log_from", "pid", "process")
    facts = ", ".join(f'"{name}": {number}' for name in names)
    for now in ("queued", "running", "cancelled", "lost"):
        (run.folder / "run.json").write_text(f'{{"name": "a", "state": "{now}", {facts}}}')
        (run.folder / "progress.json").write_text(f'{{"time": {number}, "started": {number}, "left_s": {number}}}')
        (again,) = manager.runs()
        assert again.created < 1e10 and again.name == "a"
    (run.folder / "progress.json").unlink()
    (run.folder / "run.json").write_text(f'{{"name": "a", "state": "running", {facts}}}')
    assert state(manager, run) in ("cancelled", "interrupted")


def test_a_training_that_takes_too_long_is_stopped_and_says_so(make_manager, monkeypatch):
    manager = make_manager()
    run = manager.add("long", data=("works",))
    wait_until(lambda: (run.folder / "begun").exists())
    manager.poll()
    assert not manager.find(run.id).stopping
    monkeypatch.setattr("train.runs.limits", lambda: Limits(training_minutes=1e-4))
    wait_until(lambda: manager.poll() or manager.find(run.id).state == "cancelled")
    assert manager.find(run.id).sentence.startswith("Cancelled before its first epoch was done. It was stopped after")
    assert "overdue" not in json.loads((run.folder / "run.json").read_text())
