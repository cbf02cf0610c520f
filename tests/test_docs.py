"""What the documents say of the project is there: links, files, names in files, commands and their options."""

import ast
import dataclasses
import importlib.util
import re
import sys
from pathlib import Path

import pytest
import yaml

from core.config import LIMITS, PUBLIC, Limits, ice_servers, read_settings
from tests.helpers import ROOT
from train.config import DetectorConfig, TrainConfig

SKIPPED = {".venv", "node_modules", "data", "runs"}
DOCUMENTS = sorted(
    path
    for path in [*ROOT.glob("*.md"), *ROOT.glob("*/*.md")]
    if not SKIPPED & set(path.relative_to(ROOT).parts) and not path.relative_to(ROOT).parts[0].startswith(".")
)
LINK = re.compile(r"\]\(([^)\s]+)\)")
COMMAND = re.compile(r"python3? -m ([a-z_][\w.]*)((?:[^`\n]|\\\n)*)")
PATH = re.compile(r"`((?:core|train|pages|tests|docs|models)/[\w/.-]*)")
# Packages that are installed under another name than they are imported.
OTHER_NAMES = {"cv2": "opencv-python-headless", "PIL": "pillow", "sklearn": "scikit-learn", "yaml": "pyyaml"}
by_document = pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))


def slugs(text: str) -> set[str]:
    """The anchors that GitHub gives to the headings of a document."""
    prose = re.sub(r"```.*?```", "", text, flags=re.DOTALL)
    headings = re.findall(r"^#+ (.+)$", prose, flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def commands() -> list[tuple[str, str]]:
    """Every ``python -m`` in the documents: module and what follows it, continued lines joined."""
    found = []
    for document in DOCUMENTS:
        text = document.read_text(encoding="utf-8").replace("\\\n", " ")
        found += COMMAND.findall(text)
    return found


def known_options(module: str) -> set[str]:
    """The options of a command, read from its source, since ``--help`` of all of them takes a minute."""
    source = Path(command_file(module)).read_text(encoding="utf-8")
    known = set(re.findall(r'["/](--[a-z][a-z-]*)(?=["/])', source)) | {"--help"}
    for config in (TrainConfig, DetectorConfig):
        if config.__name__ in source:
            known |= {f"--{field.name.replace('_', '-')}" for field in dataclasses.fields(config)}
    return known


def command_file(module: str) -> str:
    """The file that ``python -m`` runs."""
    spec = importlib.util.find_spec(module)
    return (importlib.util.find_spec(f"{module}.__main__") if spec.submodule_search_locations else spec).origin


def test_there_are_documents():
    names = {str(path.relative_to(ROOT)) for path in DOCUMENTS}
    assert names >= {"README.md", "CONTRIBUTING.md", "docs/architecture.md", "docs/results.md", "models/README.md"}


def test_the_readme_is_short():
    assert len((ROOT / "README.md").read_text(encoding="utf-8").splitlines()) <= 130


@by_document
def test_every_relative_link_leads_somewhere(document):
    text = document.read_text(encoding="utf-8")
    for link in LINK.findall(text):
        if re.match(r"[a-z]+:", link):
            continue
        file, _, anchor = link.partition("#")
        target = (document.parent / file).resolve() if file else document
        assert target.exists(), link
        if anchor:
            assert anchor in slugs(target.read_text(encoding="utf-8")), link


@by_document
def test_every_named_file_is_there(document):
    for path in PATH.findall(document.read_text(encoding="utf-8")):
        assert "NAME" in path or (ROOT / path).exists(), path


def test_every_command_names_a_module():
    modules = {module for module, _ in commands()}
    assert {"train.classifier", "train.detector", "train.evaluate", "train.publish"} <= modules
    for module in sorted(modules - {"venv"}):
        assert importlib.util.find_spec(module), module


def test_every_option_of_a_command_exists():
    options: dict[str, set[str]] = {}
    for module, rest in commands():
        if module.startswith(("core", "train")) and module != "train":  # the door to the others
            options.setdefault(module, set()).update(re.findall(r"(?<![\w-])--[a-z][a-z-]+", rest))
    # Options that a shell variable holds.
    text = (ROOT / "docs" / "training.md").read_text(encoding="utf-8").replace("\\\n", " ")
    options["train.detector"].update(re.findall(r"--[a-z][a-z-]+", re.search(r'FOURTH="([^"]+)"', text)[1]))
    text = (ROOT / "docs" / "results.md").read_text(encoding="utf-8")
    options["train.evaluate"].update(re.findall(r"--[a-z][a-z-]+", re.search(r'TEST="([^"]+)"', text)[1]))
    assert {"--use", "--extra"} <= options["train.evaluate"]
    missing = {(module, option) for module, named in options.items() for option in named - known_options(module)}
    assert not missing


def test_the_table_of_changes_names_what_is_in_the_files():
    text = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    rows = re.search(r"## To change something\n(.*?)\n## ", text, flags=re.DOTALL)[1].splitlines()
    rows = [row.split("|")[2] for row in rows if row.startswith("|")][2:]
    assert len(rows) > 20
    for row in rows:
        folder, sources, names = ROOT, [], []
        for word in re.findall(r"`([^`]+)`", row):
            if word.endswith(".py"):
                # A bare file name lies beside the file named before it.
                path = ROOT / word if "/" in word else folder / word
                assert path.is_file(), (word, row)
                folder = path.parent
                sources.append(path.read_text(encoding="utf-8"))
            elif "/" not in word:
                names.append(word)
        for name in names:
            parts = re.findall(r"\w+", name)
            assert any(all(part in source for part in parts) for source in sources), (name, row)


def test_the_model_card_table_names_every_shipped_file():
    text = (ROOT / "models" / "README.md").read_text(encoding="utf-8")
    shipped = [path for path in (ROOT / "models").glob("mask-*") if path.is_file()]
    assert shipped
    for path in shipped:
        assert f"`{path.name}`" in text, path.name


def required(file: str) -> set[str]:
    """The packages that a requirements file names, without those of the files that it includes."""
    lines = (ROOT / file).read_text(encoding="utf-8").splitlines()
    return {re.match(r"[\w-]+", line)[0].lower() for line in lines if re.match(r"\w", line)}


def imported(folders: tuple[str, ...]) -> set[str]:
    """The packages, not part of Python and not ours, that the files below some folders import anywhere."""
    roots = set()
    for path in (path for folder in folders for path in (ROOT / folder).rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                roots |= {name.name.split(".")[0] for name in node.names}
            elif isinstance(node, ast.ImportFrom):
                roots.add(node.module.split(".")[0])
    found = roots - set(sys.stdlib_module_names) - {"core", "train", "pages", "tests"}
    return {OTHER_NAMES.get(root, root).lower().replace("_", "-") for root in found}


def test_the_pages_need_no_package_that_trains():
    assert "streamlit" in required("requirements-app.txt")
    assert not required("requirements-app.txt") & {"tensorflow", "keras", "torch"}


def test_what_is_imported_is_required():
    app = required("requirements-app.txt")
    everything = app | required("requirements.txt")
    assert imported(("core", "pages")) >= {"streamlit", "numpy", "defusedxml"}
    cluster = required("requirements-cluster.txt")
    assert imported(("core", "pages")) <= app | cluster
    assert imported(("train",)) - {"torch"} <= everything  # PyTorch is a choice
    assert imported(("tests",)) - {"torch"} <= everything | cluster | required("requirements-dev.txt")


@pytest.mark.parametrize("file", [f"requirements{part}.txt" for part in ("", "-app", "-cluster", "-dev")])
def test_every_requirement_is_within_the_tested_versions(file):
    from packaging.requirements import Requirement

    pinned = dict(
        line.split("==") for line in (ROOT / "constraints.txt").read_text().splitlines() if not line.startswith("#")
    )
    for line in (ROOT / file).read_text(encoding="utf-8").splitlines():
        if re.match(r"\w", line):
            wanted = Requirement(line.split("  #")[0])
            assert wanted.specifier.contains(pinned[wanted.name.lower()]), line


def test_the_image_gets_every_file_it_copies_and_no_secret():
    kept = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    assert "*" in kept and "!.streamlit/secrets.toml" not in kept and "!.streamlit" not in kept
    copied = re.findall(r"^COPY (?:--\S+ )*(.+) \S+$", (ROOT / "Dockerfile").read_text(encoding="utf-8"), re.MULTILINE)
    assert len(copied) >= 5
    for name in " ".join(copied).split():
        assert (ROOT / name).exists() and f"!{name}" in kept, name


def test_the_app_takes_the_turn_server_of_the_compose_file():
    compose = yaml.safe_load((ROOT / "compose.yaml").read_text(encoding="utf-8"))
    value = compose["services"]["app-public"]["environment"]["ICE_SERVERS"]
    for name, text in {"DOMAIN": "masks.example.org", "TURN_PASSWORD": "secret"}.items():
        value = re.sub(rf"\$\{{{name}:-[^}}]*\}}", text, value)
    servers, warnings = ice_servers({}, {"ICE_SERVERS": value})
    assert not warnings
    assert servers == [{"urls": ["turn:masks.example.org:3478"], "username": "masks", "credential": "secret"}]


def test_the_table_of_limits_says_what_the_code_says():
    text = (ROOT / "docs" / "deployment.md").read_text(encoding="utf-8")
    table = re.search(r"## Limits\n.*?\|---\S+\n(.*?)\n\n", text, flags=re.DOTALL)[1].splitlines()
    rows = {}
    for row in table:
        variable, about, usual, possible, reached = (cell.strip() for cell in row.strip("|").split("|"))
        rows[variable] = about, usual, possible, reached
    for name, limit in LIMITS.items():
        low, high = limit.metadata["bounds"]
        usual = f"{limit.default:,g} {limit.metadata['unit']}".strip()
        expected = limit.metadata["about"], usual, f"{low:g} to {high:,g}", Limits().reached(name)
        assert rows.pop(f"`MASK_{name.upper()}`") == expected
    assert not rows


def test_the_compose_file_shows_others_the_public_mode():
    app = yaml.safe_load((ROOT / "compose.yaml").read_text(encoding="utf-8"))["services"]["app-public"]
    assert read_settings({}, app["environment"]).access == PUBLIC
    folder = Path(app["environment"]["STREAMLIT_SECRETS_FILES"]).parent
    assert f"./operator:{folder}:ro" in app["volumes"]


def test_the_login_of_the_documents_is_one():
    text = (ROOT / "docs" / "deployment.md").read_text(encoding="utf-8")
    tomllib = pytest.importorskip("tomllib", reason="needs Python 3.11")
    secrets = next(
        tomllib.loads(block) for block in re.findall(r"```toml\n(.*?)```", text, re.DOTALL) if "[auth]" in block
    )
    found = read_settings(secrets, {})
    assert found.access == PUBLIC and len(found.operators) == 2 and not found.problems
    assert secrets["auth"].keys() >= {"redirect_uri", "cookie_secret", "client_id", "client_secret"}


def test_ci_finds_the_test_command():
    text = Path(ROOT / "README.md").read_text(encoding="utf-8")
    block = re.search(r"<!-- test command -->\n```sh\n(.+)\n```", text)[1]
    assert "-r requirements-dev.txt" in block and block.endswith("python -m pytest -n 2 --dist loadfile -m browser")
