"""No class, module or public function of src/mckl has the name of another one."""

from __future__ import annotations

import ast
from collections import Counter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2] / "src" / "mckl"
MOST_EXCEPTIONS = 12

# Every package has these modules, and every folder of a family those that its laws need.
ANYWHERE = {"__init__", "__main__", "base"}
ROLES = {"law", "draws", "form", "scores", "strata", "pair", "moments"}
HOOKS = {"draw", "sums"}  # of the registries of figures and of backends

# Names that stand twice for a reason: a Python answer that the command of its name prints.
EXCEPTIONS: dict[str, set[str]] = {
    "classes": set(),
    "modules": set(),
    "functions": {"advise", "estimate", "families", "kl", "verify"},
}
FILES = sorted(ROOT.rglob("*.py"))
TREES = {path: ast.parse(path.read_bytes()) for path in FILES}


def modules() -> list[str]:
    """The names of modules that have to differ; a figure's module has the figure's name."""
    return [
        path.stem
        for path in FILES
        if path.stem not in ANYWHERE
        and path.parent != ROOT / "show" / "figures"
        and not (path.stem in ROLES and path.is_relative_to(ROOT / "families"))
    ]


def classes() -> list[str]:
    return [
        node.name
        for tree in TREES.values()
        for node in ast.walk(tree)
        if isinstance(node, ast.ClassDef)
    ]


def functions() -> list[str]:
    return [
        node.name
        for tree in TREES.values()
        for node in tree.body
        if isinstance(node, ast.FunctionDef) and not node.name.startswith("_")
        if node.name not in HOOKS
    ]


NAMES = {"classes": classes(), "modules": modules(), "functions": functions()}


@pytest.mark.parametrize("kind", NAMES)
def test_one_name_is_one_thing(kind: str) -> None:
    assert len(NAMES[kind]) > 50
    twice = {name for name, count in Counter(NAMES[kind]).items() if count > 1}
    assert twice == EXCEPTIONS[kind], "names that are new, or no longer stand twice"
    assert len(EXCEPTIONS[kind]) <= MOST_EXCEPTIONS
