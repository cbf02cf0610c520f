"""The queue of trainings, with a small script in the place of the real training."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest

from core.datasets.faces import DataError
from train.config import TrainConfig
from train.processes import process_stamp
from train.run_folder import read_log, read_metrics, read_steps
from train.runs import RunError, RunManager, training_command

# What a training does, in small: an epoch every time the test lets it, and on from the last one.
FAKE_TRAINING = """
import json, signal, sys, time
from pathlib import Path
out, kind = Path(sys.argv[1]), sys.argv[2]
def stop(*_):
    print("\\nStopped; start again with the same settings to go on.", flush=True)
    sys.exit(143)
signal.signal(signal.SIGTERM, signal.SIG_IGN if kind == "deaf" else stop)
if kind == "refuses":
    sys.exit("train.classifier: There is no data folder /nowhere.")
if kind == "breaks":
    raise RuntimeError("out of luck")
(out / "config.json").write_text("{}")
metrics = out / "metrics.jsonl"
done = len(metrics.read_text().splitlines()) if metrics.is_file() else 0
print("Going on after epoch", done, flush=True)
while done < 3:
    while not (out / f"epoch-{done + 1}").exists():
        time.sleep(0.01)
    done += 1
    with metrics.open("a") as file:
        file.write(json.dumps({"epoch": done, "loss": 1 / done, "seconds": 1.0}) + "\\n")
    print("epoch", done, "of 3", flush=True)
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
        def command(settings, out):
            return [sys.executable, "-S", str(script), str(out), settings["data"][0]]

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
    wait_until(lambda: (second.folder / "config.json").exists())
    manager.close()


def test_a_cancelled_run_stops_and_may_go_on(make_manager):
    manager = make_manager()
    run = manager.add("a", data=("works",))
    let(manager, run, 1)
    manager.cancel(run.id)
    wait_until(lambda: state(manager, run) == "cancelled")
    assert manager.find(run.id).sentence == "Cancelled after epoch 1."
    manager.resume(run.id)
    assert state(manager, run) == "running"
    let(manager, run, 2, 3)
    wait_until(lambda: state(manager, run) == "done")
    assert "Going on after epoch 1" in read_log(run.folder)


def test_a_waiting_run_is_taken_out_of_the_queue(make_manager):
    manager = make_manager()
    first, second = (manager.add(name, data=("works",)) for name in "ab")
    manager.cancel(second.id)
    assert state(manager, second) == "cancelled" and manager.find(second.id).can_resume
    assert not (second.folder / "config.json").exists() and state(manager, first) == "running"


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
        (run.folder / "run.json").write_text(json.dumps(note | {"pid": other.pid}))
        assert state(make_manager(), run) == "interrupted"
        assert other.poll() is None, "nobody touched it"
        other.communicate(b"\n")


def test_a_process_has_one_stamp_for_life_and_none_afterwards():
    with subprocess.Popen([sys.executable, "-S", "-c", "input()"], stdin=subprocess.PIPE) as child:
        stamp = process_stamp(child.pid)
        assert stamp and stamp == process_stamp(child.pid) != process_stamp(os.getpid())
        child.stdin.close()
        wait_until(lambda: process_stamp(child.pid) is None)  # ended, not yet collected
    assert process_stamp(child.pid) is None


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
    manager = RunManager(tmp_path, lambda settings, out: ["/nowhere/python"])
    run = manager.add("a", data=("x",))
    assert run.state == "failed" and "did not start" in run.sentence


def test_settings_that_make_no_sense_are_refused_before_a_folder_is_made(make_manager, tmp_path):
    for settings in ({"epochs": 0}, {"colour": "red"}):
        with pytest.raises(DataError):
            make_manager().add("a", data=("x",), **settings)
    assert not list(tmp_path.glob("runs/[!.]*"))


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


def test_the_command_line_gives_back_the_settings(tmp_path):
    from train.classifier.__main__ import parse_arguments

    config = TrainConfig(
        data=("/a b", "-c"), out=str(tmp_path), classes=("with_mask", "without_mask"), epochs=7, learning_rate=3e-5
    )
    settings = json.loads(json.dumps({**config.__dict__, "data": list(config.data)}))
    assert parse_arguments(training_command(settings, tmp_path)[3:]) == config
