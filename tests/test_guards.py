"""Whatever a page may call and that changes the server is for operators: a new function of that kind fails here."""

import ast
import importlib
import inspect
from functools import cache
from pathlib import Path

import pytest

from core.access import AccessError, Role
from tests.helpers import ROOT

# What changes a disk or starts a process; by name, wherever it comes from.
CHANGES = {
    *("write_json", "write_atomic", "write_text", "write_bytes", "write_lines", "copyfile", "copytree", "mkdtemp"),
    *("unlink", "rename", "rmtree", "rmdir", "mkdir", "touch", "symlink_to", "Popen", "run_apart", "kill", "terminate"),
}
# Reached from pages that visitors have, or from every page; none of it changes what others see.
HARMLESS = {
    "core.datasets.index.build_index": "fills a cache that is made again at need",
    "core.vision.model_card.ModelCard.save": "its callers say where, and are guarded",
    "train.runs.RunManager.watch": "the queue itself, no visitor's doing",
    "train.runs.RunManager.poll": "the queue itself, no visitor's doing",
    "train.runs.RunManager.sweep": "takes away what killed work left, and no more",
    "core.datasets.store.sweep_data": "takes away what killed work left, and no more",
    "core.trash.sweep_trash": "takes away what nobody can bring back any more, or what the limit needs",
    "core.registry.active.sweep_models": "takes away what killed work left, and no more",
    "core.video.record.Recorder.put": "only a Keeper writes, and an operator or the settings begin one",
    "core.video.cameras.SharedCamera.record": "its Keeper asks; an empty file is the lock",
    "core.video.cameras.SharedCamera.refresh_choices": "what operators chose; an empty file is the lock",
    "core.video.record.delete_old": "what the settings say is kept no longer",
    "core.video.shelf.Shelf.add": "a visitor's own video, within the operator's limits",
    "core.video.shelf.Shelf.receive": "as what is added, and gone at once where it is not",
    "core.video.shelf.Shelf.delete": "a visitor's own video",
    "core.video.shelf.Shelf.watch": "takes away what killed work left, and no more",
    "core.video.shelf.Shelf.drop_left": "videos whose visitors have left",
    "core.synthetic.sample_film.write_sample_film": "written into a visitor's own folder",
    "core.registry.active.withdraw": "a model that fails at work makes way, for visitors too",
}


@cache
def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


@cache
def functions(module: str) -> dict[str, ast.FunctionDef]:
    """The functions of a module of ours, methods as ``Class.method``."""
    path = ROOT / Path(*module.split("."))
    path = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
    if not path.is_file():
        return {}
    found = {}
    for node in tree(path).body:
        if isinstance(node, ast.FunctionDef):
            found[node.name] = node
        elif isinstance(node, ast.ClassDef):
            found |= {f"{node.name}.{each.name}": each for each in node.body if isinstance(each, ast.FunctionDef)}
    return found


@cache
def imports(path: Path) -> dict[str, str]:
    """What a file takes from core and train: name in the file to module, within functions too."""
    return {
        name.asname or name.name: node.module
        for node in ast.walk(tree(path))
        if isinstance(node, ast.ImportFrom) and node.module and node.module.partition(".")[0] in ("core", "train")
        for name in node.names
    }


def is_guarded(node: ast.FunctionDef) -> bool:
    return any(isinstance(each, ast.Name) and each.id == "for_operators" for each in node.decorator_list)


@cache
def calls(module: str, name: str) -> tuple[bool, frozenset[tuple[str, str]]]:
    """Whether a function itself changes a disk or a process, and the functions of ours that it names."""
    path, itself, others = ROOT / Path(*module.split(".")).with_suffix(".py"), False, set()
    for node in ast.walk(functions(module)[name]):
        if isinstance(node, ast.Name):
            itself |= node.id in CHANGES
            others.add((imports(path).get(node.id, module), node.id))
        elif isinstance(node, ast.Attribute):
            itself |= node.attr in CHANGES
            if isinstance(node.value, ast.Name) and node.value.id == "self":
                others.add((module, f"{name.partition('.')[0]}.{node.attr}"))
    return itself, frozenset(other for other in others if other[1] in functions(other[0]))


def changes_something(module: str, name: str) -> bool:
    """Whether a function, or one of ours that it calls and that is not guarded, changes a disk or a process."""
    waiting, seen = [(module, name)], set()
    while waiting:
        each = waiting.pop()
        if each in seen or ".".join(each) in HARMLESS:
            continue
        seen.add(each)
        itself, others = calls(*each)
        if itself:
            return True
        waiting += [other for other in others if not is_guarded(functions(other[0])[other[1]])]
    return False


def called_by_pages() -> set[tuple[str, str]]:
    """Every function that a page or a part of one takes from core and train, and every public method of classes."""
    found = set()
    for path in [ROOT / "streamlit_app.py", *(ROOT / "pages").rglob("*.py")]:
        for name, module in imports(path).items():
            for known in functions(module):
                of_class, _, method = known.partition(".")
                if of_class == name and not method.startswith("_"):
                    found.add((module, known))
    return found


def guarded() -> set[tuple[str, str]]:
    return {
        (module, name)
        for path in [*(ROOT / "core").rglob("*.py"), *(ROOT / "train").rglob("*.py")]
        for module in [".".join(path.relative_to(ROOT).with_suffix("").parts)]
        for name, node in functions(module).items()
        if is_guarded(node)
    }


def test_what_pages_may_call_and_changes_the_server_is_guarded():
    names = called_by_pages()
    assert {("core.datasets.store", "delete_dataset"), ("train.runs", "RunManager.add")} <= names
    open_doors = {
        f"{module}.{name}"
        for module, name in names
        if not is_guarded(functions(module)[name]) and changes_something(module, name)
    }
    assert not open_doors, "decorate these with core.access.for_operators, or say in HARMLESS why not"


def test_the_walk_sees_through_functions_and_stops_at_guards():
    assert changes_something("core.datasets.store", "delete_dataset")
    assert changes_something("train.runs", "RunManager.add")
    assert not changes_something("core.datasets.store", "list_datasets")


@pytest.mark.parametrize(("module", "name"), sorted(guarded()))
def test_a_visitor_is_refused_before_anything_happens(module, name, monkeypatch):
    monkeypatch.setattr("core.access._ask", lambda: Role.VISITOR)
    target = importlib.import_module(module)
    for part in name.split("."):
        target = getattr(target, part)
    # Even arguments are not looked at.
    arguments = [None] * sum(p.default is p.empty for p in inspect.signature(target).parameters.values())
    with pytest.raises(AccessError, match="Only operators"):
        target(*arguments)


def test_every_kind_of_change_is_among_the_guarded():
    names = {name.rpartition(".")[2] for _, name in guarded()}
    assert names >= {
        *("import_zip", "make_demo_set", "fetch_report_set", "link_folder", "delete_dataset", "make_drawn_set"),
        *("change_label", "exclude", "revert", "undo", "add_sample", "delete_last", "delete_all", "find_issues"),
        *("use", "go_back", "remove_model", "install_model", "check_litert", "install_uploaded", "convert_keras"),
        *(
            "delete_between",
            "add",
            "resume",
            "cancel",
            "rename",
            "set_note",
            "delete",
            "set_default_split",
            "score_run",
        ),
    }
