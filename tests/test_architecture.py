"""The architecture, asserted: who may import whom, how long files and parameter lists may be."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import skipwise

PACKAGE = Path(skipwise.__file__).parent
FLOOR = {"records", "shapes", "randomness", "description", "files", "layers"}
MAY_IMPORT = {
    "records": set(),
    "shapes": set(),
    "files": set(),
    "description": set(),
    "randomness": {"shapes"},
    "layers": {"shapes"},
    "connections": {"shapes", "layers", "randomness"},
    "branches": {"shapes", "layers"},
    "networks": {"connections", "branches", "layers", "shapes", "description"},
    "data": {"randomness", "shapes", "description", "files"},
    "tasks": {"data", "shapes", "description"},
    "strategies": {"connections", "shapes", "description"},
    "training": {"data", "strategies", "randomness", "records", "files"},
    "weights": {
        "connections",
        "branches",
        "networks",
        "layers",
        "shapes",
        "description",
        "files",
    },
    "finetuning": {"weights", "networks", "data", "shapes", "description"},
    "defaults": {"networks", "data", "strategies", "description"},
    "experiment": {
        "defaults",
        "finetuning",
        "networks",
        "data",
        "tasks",
        "strategies",
        "training",
        "randomness",
        "description",
    },
    "conformity": {
        "experiment",
        "networks",
        "connections",
        "data",
        "strategies",
        "training",
        "randomness",
        "description",
    },
    "watch": {
        "analysis",
        "diagnosis",
        "strategies",
        "description",
        "training",
        "tasks",
        "networks",
        "data",
        "randomness",
        "records",
        "shapes",
        "files",
    },
    "comparison": {"records"},
    "reports": {"comparison", "records", "files"},
    "analysis": {"records", "shapes", "randomness"},
    "diagnosis": {"analysis", "records", "shapes", "randomness"},
    "selftest": {
        "diagnosis",
        "analysis",
        "networks",
        "connections",
        "branches",
        "randomness",
        "description",
        "shapes",
    },
    "diagnosing": {
        "diagnosis",
        "analysis",
        "runs",
        "experiment",
        "finetuning",
        "data",
        "tasks",
        "training",
        "strategies",
        "networks",
        "weights",
        "reports",
        "records",
        "description",
        "files",
    },
    "provenance": {"experiment", "data", "tasks", "training"},
    "session": {
        "provenance",
        "experiment",
        "finetuning",
        "data",
        "tasks",
        "training",
        "watch",
        "weights",
        "records",
        "description",
        "files",
    },
    "progress": {"session", "training", "records"},
    "runs": {
        "description",
        "finetuning",
        "strategies",
        "progress",
        "session",
        "experiment",
        "data",
        "training",
        "weights",
        "reports",
        "records",
        "files",
    },
    "lessons": {
        "experiment",
        "analysis",
        "networks",
        "connections",
        "branches",
        "layers",
        "data",
        "strategies",
        "training",
        "randomness",
        "reports",
        "shapes",
        "files",
    },
    "studies": {
        "defaults",
        "finetuning",
        "weights",
        "experiment",
        "comparison",
        "records",
        "description",
        "runs",
        "session",
        "data",
        "networks",
        "connections",
        "strategies",
        "training",
        "reports",
        "files",
    },
    "prediction": {
        "finetuning",
        "weights",
        "data",
        "records",
        "description",
        "shapes",
        "files",
    },
    "exports": {"runs", "prediction", "weights", "data", "layers", "records", "files"},
    "evaluating": {
        "prediction",
        "progress",
        "runs",
        "experiment",
        "data",
        "tasks",
        "training",
        "records",
        "description",
        "files",
    },
    "recipes": {"experiment", "networks", "strategies", "data"},
    "tuning": {
        "experiment",
        "runs",
        "records",
        "finetuning",
        "data",
        "tasks",
        "strategies",
        "training",
        "networks",
        "connections",
        "randomness",
        "description",
        "reports",
        "files",
    },
    "cli": {
        "evaluating",
        "watch",
        "diagnosing",
        "diagnosis",
        "lessons",
        "tuning",
        "selftest",
        "conformity",
        "recipes",
        "progress",
        "runs",
        "reports",
        "session",
        "experiment",
        "finetuning",
        "prediction",
        "exports",
        "studies",
        "comparison",
        "training",
        "tasks",
        "strategies",
        "networks",
        "connections",
        "data",
        "records",
        "files",
        "shapes",
        "description",
    },
    "__main__": {"cli"},
    "__init__": {
        "connections",
        "data",
        "diagnosing",
        "evaluating",
        "experiment",
        "exports",
        "lessons",
        "networks",
        "prediction",
        "reports",
        "runs",
        "strategies",
        "tuning",
        "studies",
        "watch",
    },
}
FILES = sorted(PACKAGE.rglob("*.py"))
# A member imports no sibling but its folder's contract; these need one more, and say why.
SIBLINGS = {
    ("connections/stochastic.py", "additive"),  # wraps the sum unless told otherwise
    ("tasks/named.py", "classification"),  # likewise
    ("tasks/named.py", "multi_label"),
    ("tasks/named.py", "regression"),
}


def imported(path: Path) -> list[str]:
    """List what a file imports from the package, inside functions too."""
    found = []
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module:
            whole = node.module == "skipwise"
            found += [f"skipwise.{a.name}" for a in node.names] if whole else [node.module]
        elif isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
    return [name for name in found if name.startswith("skipwise.")]


def part_of(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_imports_point_downwards(path: Path):
    here = part_of(path)
    for name in imported(path):
        there = name.split(".")[1]
        assert there == here or there in MAY_IMPORT[here], f"{here} may not import {there}"


@pytest.mark.parametrize("folder", ["connections", "branches", "tasks", "data/sources"])
def test_members_import_no_sibling_but_the_contract(folder: str):
    members = {p.stem for p in (PACKAGE / folder).glob("*.py")} - {"__init__"}
    contract = {"connections": "connection", "branches": "branch", "tasks": "task"}.get(folder, "")
    dotted = f"skipwise.{folder.replace('/', '.')}."
    for path in (PACKAGE / folder).glob("*.py"):
        for name in imported(path) if path.stem != "__init__" else []:
            sibling = name.removeprefix(dotted)
            allowed = (
                sibling in {contract, path.stem} or (f"{folder}/{path.name}", sibling) in SIBLINGS
            )
            assert allowed or sibling not in members, f"{path.name} imports {sibling}"


def test_the_table_names_every_part_and_no_other():
    assert {part_of(path) for path in FILES} == set(MAY_IMPORT)


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_files_functions_and_constructors_are_short(path: Path):
    source = path.read_text()
    assert len(source.splitlines()) <= 400
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.FunctionDef):
            length = (node.end_lineno or 0) - node.lineno + 1
            limit = 120 if path.parent.name == "cli" else 50  # a command's docstring is its help
            assert length <= limit, f"{node.name} has {length} lines"
            if node.name == "__init__":
                count = len(node.args.args) + len(node.args.kwonlyargs) - 1
                assert count <= 8, f"{path.name}: a constructor of {count} parameters"


@pytest.mark.parametrize("folder", sorted({p.parent for p in FILES}), ids=lambda p: p.name)
def test_folders_hold_at_most_twelve_files(folder: Path):
    limit = 18 if folder == PACKAGE else 12
    assert len(list(folder.glob("*.py"))) <= limit


def run_python(code: str) -> None:
    subprocess.run([sys.executable, "-c", code], check=True)


def test_the_reading_side_and_the_help_need_no_torch():
    run_python(
        "import sys, skipwise, skipwise.records, skipwise.comparison, skipwise.cli.reporting;"
        "sys.exit('torch' in sys.modules)"
    )
    run_python(
        "import sys; from skipwise.cli.app import app;"
        "app(['--help'], result_action='return_value');"
        "sys.exit('torch' in sys.modules)"
    )


def test_every_public_name_resolves():
    for name in skipwise.__all__:
        assert getattr(skipwise, name) is not None
    with pytest.raises(AttributeError, match="skipwise has no 'nothing'"):
        _ = skipwise.nothing


def test_what_an_init_exports_is_documented_and_there():
    from importlib import import_module

    for folder in (
        "connections",
        "branches",
        "networks",
        "data",
        "tasks",
        "strategies",
        "training",
        "exports",
        "watch",
        "watch.monitors",
        "comparison",
        "analysis",
        "diagnosis",
        "diagnosing",
        "reports",
        "reports.lesson",
        "lessons",
        "tuning",
        "conformity",
        "selftest",
        "studies",
    ):
        module = import_module(f"skipwise.{folder}")
        for name in module.__all__:
            member = vars(module)[name]
            assert not callable(member) or member.__doc__, name
