"""Dies by SIGKILL in the middle of everything the app writes, and looks at what is left: ``python -m tests.kills``.

A moment is the time before one of an operation's changes to the disk; each operation is repeated in forks of this
process, on a fresh copy of the same state, and killed at moments spread evenly over it. One line of JSON per operation.
"""

import io
import json
import os
import shutil
import signal
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import psutil

from core.datasets.edits import Edits
from core.datasets.importers import import_zip
from core.datasets.sources.webcam import add_sample, count_samples, delete_last
from core.datasets.store import (
    delete_dataset,
    list_datasets,
    publish,
    read_pictures,
    restore_dataset,
    sweep_data,
)
from core.io import read_json
from core.registry import active
from core.registry.store import install_model, list_models
from core.trash import TRASH, deleted_by
from core.vision.model_card import ModelCard, file_sha256
from core.vision.pipeline import Method
from train.run_folder import read_state, write_checkpoint
from train.runs import RunManager

MOMENTS = 20
CHANGES = {"os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.symlink", "os.truncate", "subprocess.Popen"}


class Moments:
    """Counts the changes to the disk of this process, and kills it before the one it is told."""

    def __init__(self) -> None:
        self.folder, self.seen, self.last = "", -1, -1
        sys.addaudithook(self._hook)

    def _hook(self, event: str, arguments: tuple) -> None:
        if not self.folder:
            return
        opened = event == "open" and str(arguments[0]).startswith(self.folder)
        if event in CHANGES or (opened and arguments[2] & (os.O_WRONLY | os.O_RDWR)):
            self.seen += 1
            if self.seen == self.last:
                os.kill(os.getpid(), signal.SIGKILL)


def in_a_fork(folder: Path, work: Callable[[], object], moments: Moments, last: int) -> tuple[bool, int]:
    """Whether the work was killed before its change number ``last``, and how many changes it had made."""
    reading, writing = os.pipe()
    if not (child := os.fork()):
        moments.folder, moments.last = str(folder), last
        try:
            work()
            moments.folder = ""
            os.write(writing, str(moments.seen + 1).encode())
            os._exit(0)
        finally:
            os._exit(1)
    os.close(writing)
    with os.fdopen(reading) as pipe:
        made = pipe.read()
    _, status = os.waitpid(child, 0)
    killed = os.WIFSIGNALED(status)
    assert killed or os.WEXITSTATUS(status) == 0, "the work failed"
    return killed, int(made or last)


def picture(i: int) -> bytes:
    return cv2.imencode(".jpg", np.random.default_rng(i).integers(0, 256, (48, 40, 3), np.uint8))[1].tobytes()


def class_folders(folder: Path) -> Path:
    for i in range(16):
        path = folder / ("a", "b")[i % 2] / f"{i}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(picture(i))
    return folder


def names(folder: Path, but: tuple[str, ...] = (".lock",)) -> list[str]:
    return sorted(_name(path) for path in folder.iterdir() if path.name not in but)


def _name(path: Path) -> str:
    """Of what can be brought back: its parts, since its own name is another one each time."""
    return f"{TRASH}{sorted(part.name for part in path.iterdir())}" if path.name.startswith(TRASH) else path.name


class Operation:
    """What is killed. ``state`` says how things stand, as people see them; ``left`` what lies there after a sweep."""

    def before(self, folder: Path) -> None: ...

    def work(self, folder: Path) -> object: ...

    def state(self, folder: Path) -> object: ...

    def sweep(self, folder: Path) -> None:
        sweep_data()

    def left(self, folder: Path) -> object:
        return names(folder)


class Import(Operation):
    def before(self, folder: Path) -> None:
        self.zip = io.BytesIO()
        with zipfile.ZipFile(self.zip, "w") as file:
            for i in range(16):
                file.writestr(f"{'ab'[i % 2]}/{i}.jpg", picture(i))

    def work(self, folder: Path) -> object:
        return import_zip(self.zip, "new")

    def state(self, folder: Path) -> object:
        return [(each.name, each.card.get("title"), len(read_pictures(each.folder))) for each in list_datasets()]


class Deletion(Operation):
    def before(self, folder: Path) -> None:
        publish(class_folders(folder / ".made"), "set", {"title": "Set"})
        Edits.load(folder / "set").exclude("a/0.jpg")
        (folder / ".cache" / "set").mkdir(parents=True)
        (folder / ".cache" / "set" / "index.sqlite").touch()

    def work(self, folder: Path) -> object:
        return delete_dataset("set")

    def state(self, folder: Path) -> object:
        return [
            (each.card, [(picture.key, picture.excluded) for picture in read_pictures(each.folder)])
            for each in list_datasets()
        ]

    def left(self, folder: Path) -> object:
        return names(folder, (".lock", ".cache")), names(folder / ".cache")


class ThrownAway(Deletion):
    """A deletion that can be undone."""

    def work(self, folder: Path) -> object:
        return delete_dataset("set", "me")


class BroughtBack(ThrownAway):
    """Its undoing."""

    def before(self, folder: Path) -> None:
        super().before(folder)
        delete_dataset("set", "me")

    def work(self, folder: Path) -> object:
        return restore_dataset(deleted_by(folder, "me")[0].key, "me")


class Relabelling(Deletion):
    def work(self, folder: Path) -> object:
        return Edits.load(folder / "set").change_label(["a/0.jpg", "a/2.jpg"], "other")

    def state(self, folder: Path) -> object:
        edits = Edits.load(folder / "set")
        return edits.labels, sorted(edits.excluded), len(edits.history), edits.path.read_text()


class FirstEdit(Relabelling):
    """Of a set of an earlier version, which gets its id meanwhile."""

    def before(self, folder: Path) -> None:
        class_folders(folder / "set")
        (folder / "set.repairs.json").write_text('{"labels": {}, "aside": ["a/0.jpg"], "history": []}')

    def state(self, folder: Path) -> object:
        return [p.labels for p in read_pictures(folder / "set")], sorted(Edits.load(folder / "set").excluded)

    def left(self, folder: Path) -> object:
        return names(folder)


class Sample(Operation):
    def work(self, folder: Path) -> object:
        frame = np.random.default_rng(0).integers(0, 256, (90, 80, 3), np.uint8)
        return add_sample("mine", frame, np.array([20, 20, 60, 70], np.float32), "a")

    def state(self, folder: Path) -> object:
        return count_samples("mine"), [each.card.get("own") for each in list_datasets()]

    def left(self, folder: Path) -> object:
        return names(folder), [path.suffix for path in folder.glob("mine/*/*")]


class SecondSample(Sample):
    def before(self, folder: Path) -> None:
        super().work(folder)


class LastSample(SecondSample):
    def work(self, folder: Path) -> object:
        return delete_last("mine")

    def left(self, folder: Path) -> object:
        return names(folder, (".lock", ".cache")), [path.suffix for path in folder.glob("mine/*/*")]


class Activation(Operation):
    methods = Method("combined", "one"), Method("combined", "two")

    def before(self, folder: Path) -> None:
        for name in ("one", "two", "mask-detector", "mask-classifier"):
            self.install(folder, name)
        active.use(self.methods[0], folder)

    def install(self, folder: Path, name: str, content: bytes = b"x") -> ModelCard:
        with tempfile.TemporaryDirectory() as made:
            file = Path(made) / "model.tflite"
            file.write_bytes(content)
            card = ModelCard(name, file.name, file_sha256(file), ("a", "b"), 96, 0.1, "logits")
            card.save(file.parent / "card.json")
            return install_model(made, name, folder)

    def work(self, folder: Path) -> object:
        return active.use(self.methods[1], folder)

    def state(self, folder: Path) -> object:
        active._answers.clear()
        return active.in_use(folder).method.model, active.in_use(folder).problem, active.previous(folder)

    def sweep(self, folder: Path) -> None:
        active.ORPHAN_S = -1.0
        active.sweep_models(folder)


class Removal(Activation):
    def work(self, folder: Path) -> object:
        return active.remove_model("two", folder)

    def state(self, folder: Path) -> object:
        return [(name, (folder / read_json(folder / f"{name}.json")["file"]).is_file()) for name in list_models(folder)]


class ModelThrownAway(Removal):
    def work(self, folder: Path) -> object:
        return active.remove_model("two", folder, "me")


class ModelBroughtBack(Removal):
    def before(self, folder: Path) -> None:
        super().before(folder)
        active.remove_model("two", folder, "me")

    def work(self, folder: Path) -> object:
        return active.restore_model(deleted_by(folder, "me")[0].key, "me", folder)


class Installation(Removal):
    def work(self, folder: Path) -> object:
        return self.install(folder, "three")


class Record(Operation):
    """A run is added and started; the training is a process that does nothing."""

    def manager(self, folder: Path) -> RunManager:
        return RunManager(folder, lambda run: ["tail", "-f", str(run / "config.json")])

    def trainings(self, folder: Path) -> list[psutil.Process]:
        mine = []
        for process in psutil.process_iter(["cmdline"]):
            if process.info["cmdline"] and process.info["cmdline"][:2] == ["tail", "-f"]:
                mine += [process] if process.info["cmdline"][2].startswith(f"{folder}/") else []
        return mine

    def work(self, folder: Path) -> object:
        return self.manager(folder).add("run", data=("x",))

    def state(self, folder: Path) -> object:
        runs = self.manager(folder).runs()
        assert all(run.name == "run" and run.settings["data"] == ["x"] and run.created and run.queued for run in runs)
        assert all(run.state in ("queued", "running", "interrupted") for run in runs)
        return len(runs)

    def sweep(self, folder: Path) -> None:
        manager = self.manager(folder)
        manager.sweep()
        manager.poll()
        manager.poll()
        running = self.trainings(folder)
        states = [run.state for run in manager.runs()]
        assert states.count("running") == len(running), f"{states}, but {len(running)} trainings"
        for process in running:
            process.kill()
        for child in manager._children.values():
            child.wait()

    def left(self, folder: Path) -> object:
        return [name for name in names(folder) if name.startswith(".")], [
            names(run, ("log.txt",)) for run in folder.glob("[!.]*")
        ]


class RunDeletion(Record):
    def before(self, folder: Path) -> None:
        manager = RunManager(folder, lambda run: ["/nowhere"])
        self.run = manager.add("run", data=("x",)).id

    def work(self, folder: Path) -> object:
        return RunManager(folder, lambda run: ["/nowhere"]).delete(self.run)

    def state(self, folder: Path) -> object:
        return [(run.state, run.name) for run in self.manager(folder).runs()]


class RunThrownAway(RunDeletion):
    def work(self, folder: Path) -> object:
        return RunManager(folder, lambda run: ["/nowhere"]).delete(self.run, "me")


class RunBroughtBack(RunDeletion):
    def before(self, folder: Path) -> None:
        super().before(folder)
        RunManager(folder, lambda run: ["/nowhere"]).delete(self.run, "me")

    def work(self, folder: Path) -> object:
        return RunManager(folder, lambda run: ["/nowhere"]).restore(deleted_by(folder, "me")[0].key, "me")


class Note(RunDeletion):
    def work(self, folder: Path) -> object:
        return RunManager(folder, lambda run: ["/nowhere"]).set_note(self.run, "words")

    def state(self, folder: Path) -> object:
        return [(run.state, run.name, run.note) for run in self.manager(folder).runs()]


class Checkpoint(Operation):
    def save(self, folder: Path, epochs: int) -> None:
        def keras(path: Path) -> None:
            with zipfile.ZipFile(path, "w") as file:
                file.writestr("weights", bytes(100) * epochs)

        write_checkpoint(folder / "run" / "last.keras", keras, {"epochs_done": epochs})

    def before(self, folder: Path) -> None:
        self.save(folder, 1)
        (folder / "run" / "config.json").write_text('{"fine_tune_blocks": 0, "data": []}')

    def work(self, folder: Path) -> object:
        return self.save(folder, 2)

    def state(self, folder: Path) -> object:
        with zipfile.ZipFile(folder / "run" / "last.keras") as file:
            return read_state(folder / "run" / "last.keras"), len(file.read("weights"))

    def sweep(self, folder: Path) -> None:
        RunManager(folder).sweep()

    def left(self, folder: Path) -> object:
        return names(folder / "run")


OPERATIONS = (Import, Deletion, Relabelling, FirstEdit, Sample, SecondSample, LastSample, Activation, Removal)
OPERATIONS += (Installation, Record, RunDeletion, Note, Checkpoint)
OPERATIONS += (ThrownAway, BroughtBack, ModelThrownAway, ModelBroughtBack, RunThrownAway, RunBroughtBack)


def copy(source: Path, folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(source, folder, symlinks=True)


def try_operation(operation: Operation, root: Path, moments: Moments) -> dict:
    """Kill it at each moment; what is wrong is told in words."""
    original, folder = root / "original", root / "now"
    folder.mkdir(parents=True)
    os.environ["MASK_DATA_DIR"] = str(folder)
    operation.before(folder)
    operation.sweep(folder)
    copy(folder, original)
    old = operation.state(folder), operation.left(folder)
    killed, changes = in_a_fork(folder, lambda: operation.work(folder), moments, -1)
    assert not killed and changes > 0
    new_state = operation.state(folder)
    operation.sweep(folder)
    new = new_state, operation.left(folder)
    wrong = []
    # Fewer changes than moments: before each one.
    places = sorted({round(i * (changes - 1) / (MOMENTS - 1)) for i in range(MOMENTS)})
    for place in places:
        copy(original, folder)
        killed, _ = in_a_fork(folder, lambda: operation.work(folder), moments, place)
        if not killed:
            wrong.append(f"{place}: it was not killed")
        try:
            state = operation.state(folder)
            operation.sweep(folder)
            after = operation.left(folder)
        except Exception as error:
            wrong.append(f"{place}: {type(error).__name__}: {error}")
            continue
        if state not in (old[0], new[0]):
            wrong.append(f"{place}: between old and new: {state}")
        elif (state, after) not in (old, new):
            wrong.append(f"{place}: left behind: {after}")
    return {"operation": type(operation).__name__, "changes": changes, "moments": len(places), "wrong": wrong}


def main() -> None:
    """Args: operations by name; all without."""
    cv2.setNumThreads(0)
    moments = Moments()
    for each in OPERATIONS:
        if sys.argv[1:] and each.__name__ not in sys.argv[1:]:
            continue
        started = time.monotonic()
        with tempfile.TemporaryDirectory(prefix="kills-") as root:
            result = try_operation(each(), Path(root), moments)
        print(json.dumps(result | {"seconds": round(time.monotonic() - started, 2)}), flush=True)


if __name__ == "__main__":
    main()
