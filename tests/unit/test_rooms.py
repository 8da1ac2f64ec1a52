"""The packages of src/mckl import each other in one direction, and no modules in a circle."""

from __future__ import annotations

import ast
import graphlib
import importlib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SRC = ROOT / "src"
ENGINE = {"draw", "exact", "families", "estimation"}
# What a room may import besides itself, the package's version, array types, errors, limits, text.
MAY_IMPORT = {
    "arrays": set(),
    "errors": set(),
    "limits": set(),
    "text": set(),
    "record": set(),
    "draw": set(),
    "exact": {"draw"},
    "families": {"draw", "exact"},
    "estimation": {"draw", "exact", "families"},
    "study": ENGINE | {"record"},
    "show": ENGINE | {"record", "study"},
    "api": ENGINE,
    "cli": ENGINE | {"api", "record", "study"},
    "__main__": {"cli"},
}
FILES = {
    ".".join(path.relative_to(SRC).with_suffix("").parts).removesuffix(".__init__"): path
    for path in SRC.glob("mckl/**/*.py")
}


def imports(path: Path) -> set[str]:
    """The modules of mckl that a file imports, anywhere in it."""
    found = set()
    for node in ast.walk(ast.parse(path.read_bytes())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{path}: a relative import"
            names = {f"{node.module}.{alias.name}" for alias in node.names}
            modules = names & {*FILES}
            # `from mckl.draw import backends` is of backends; `from mckl import x` of mckl itself.
            found |= modules | ({node.module} if names - modules else set())
    return found & {*FILES}


IMPORTS = {module: imports(path) for module, path in FILES.items()}


def room(module: str) -> str:
    return module.split(".")[1] if "." in module else ""


def test_every_folder_is_a_room() -> None:
    assert {room(module) for module in FILES} == {"", *MAY_IMPORT}
    assert IMPORTS["mckl"] == set()


@pytest.mark.parametrize("name", MAY_IMPORT)
def test_a_room_imports_only_what_is_below_it(name: str) -> None:
    allowed = MAY_IMPORT[name] | {"", "arrays", "errors", "limits", "text", name}
    against = [
        f"{module} imports {imported}"
        for module, found in IMPORTS.items()
        for imported in sorted(found)
        if room(module) == name and room(imported) not in allowed
    ]
    assert against == []


@pytest.mark.parametrize("path", [*ROOT.glob("benchmarks/*.py"), *ROOT.glob("docs/*.py")], ids=str)
def test_what_scripts_import_exists(path: Path) -> None:
    for node in ast.walk(ast.parse(path.read_bytes())):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("mckl"):
            if node.module == "mckl.draw.backends.tensorflow":
                continue  # not everybody has it
            module = importlib.import_module(str(node.module))
            for alias in node.names:
                if not hasattr(module, alias.name):
                    importlib.import_module(f"{node.module}.{alias.name}")


def test_modules_import_in_no_circle() -> None:
    order = list(graphlib.TopologicalSorter(IMPORTS).static_order())
    assert order.index("mckl.families.normal.pair") < order.index("mckl.cli.commands")
