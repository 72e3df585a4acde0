"""The rooms: who may import whom, and that nothing is forgotten."""

from __future__ import annotations

import ast
import tomllib
from importlib import import_module
from pathlib import Path

import pytest

from gridwitness import rules, steps

ROOT = Path(__file__).parent.parent
ROOMS = ("features", "steps", "mocks", "schemas", "examples", "reference_impl")
ASSEMBLY = ("cli.py", "plugin.py", "run.py", "fixtures.py", "shown.py")
"""Where everything is put together: the command, and the pytest plugin with its three parts."""

ALLOWED = {
    "reference_impl": {"reference_impl"},
    "schemas": {"schemas"},
    "examples": {"examples"},
    "features": {"features"},
    "harness": {"harness", "schemas", "reference_impl"},
    "mocks": {"mocks", "harness", "reference_impl", "schemas"},
    "steps": {"steps", "harness", "mocks", "reference_impl"},
}


def modules() -> list[Path]:
    return [file for room in ("harness", *ROOMS) for file in sorted((ROOT / room).rglob("*.py"))]


def imported(file: Path) -> set[str]:
    """Give the rooms that a module imports from, whether at its top or within a function."""
    names: list[str] = []
    for node in ast.walk(ast.parse(file.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names += [f"{node.module}.{alias.name}" for alias in node.names]
    parts = [name.split(".") for name in names if name.split(".")[0] == "gridwitness"]
    return {part[1] if len(part) > 1 and part[1] in ROOMS else "harness" for part in parts}


@pytest.mark.parametrize("file", modules(), ids=lambda file: str(file.relative_to(ROOT)))
def test_imports_run_one_way(file: Path):
    room = file.relative_to(ROOT).parts[0]
    if room == "harness" and file.name in ASSEMBLY:
        return
    assert imported(file) <= ALLOWED[room]


def test_the_walk_sees_imports_inside_functions():
    assert "mocks" in imported(ROOT / "harness" / "cli.py")
    assert imported(ROOT / "reference_impl" / "clearing.py") == {"reference_impl"}


@pytest.mark.parametrize("file", modules(), ids=lambda file: str(file.relative_to(ROOT)))
def test_every_module_has_a_head(file: Path):
    assert ast.get_docstring(ast.parse(file.read_text("utf-8")))


def test_every_family_of_rules_is_listed():
    files = {file.stem for file in (ROOT / "harness" / "rules").glob("*.py")} - {"__init__"}
    assert files == set(rules.FAMILIES)


def test_every_module_of_steps_is_listed():
    with_steps = {
        f"gridwitness.steps.{file.stem}"
        for file in (ROOT / "steps").glob("*.py")
        if "from pytest_bdd import" in file.read_text("utf-8")
    }
    assert with_steps == set(steps.MODULES)
    assert all(import_module(name) for name in steps.MODULES)


def test_every_package_is_in_the_wheel():
    setup = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["setuptools"]
    homes = setup["package-dir"]
    for file in modules():
        parts = file.relative_to(ROOT).parent.parts
        home = next(name for name, folder in homes.items() if folder == parts[0])
        if file.name == "__init__.py":
            assert ".".join((home, *parts[1:])) in setup["packages"]


def test_every_data_file_is_in_the_wheel():
    setup = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["setuptools"]
    carried: set[Path] = set()
    for listed in (setup["package-data"], setup["exclude-package-data"]):  # left out on purpose
        for package, patterns in listed.items():
            top, *inner = package.removeprefix("gridwitness").lstrip(".").split(".")
            folder = ROOT / (top if top in ROOMS else Path("harness", top))
            for pattern in patterns:
                carried |= set(folder.joinpath(*inner).glob(pattern))
    data = {
        file
        for room in ("harness", *ROOMS)
        for file in (ROOT / room).rglob("*")
        if file.is_file() and file.suffix not in (".py", ".pyc") and "__pycache__" not in file.parts
    }
    assert data <= carried
