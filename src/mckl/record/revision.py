"""A digest of the code that a script runs, by which results become out of date.

Snakemake reruns a job when its script changes, but not when a module changes that the script
imports. So rules have a parameter with the digest of all `mckl` modules in the import closure of
their script. Jobs that do not use a changed module are not rerun.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

_ROOT = Path(__file__).resolve().parents[1]


@cache
def _file(module: str) -> Path | None:
    path = _ROOT.parent.joinpath(*module.split("."))
    if path.with_suffix(".py").is_file():
        return path.with_suffix(".py")
    package = path / "__init__.py"
    return package if package.is_file() else None


# Parsing the files with `ast` takes ten times as long, at every start of Snakemake.
_IMPORT = re.compile(
    r"^[ \t]*(?:from[ \t]+(mckl[\w.]*)[ \t]+import[ \t]+(\([^)]*\)|[^\n]*)|import[ \t]+([^\n]*))",
    re.MULTILINE,
)
_COMMENT = re.compile(r"#[^\n]*")


@cache
def _imports(path: Path) -> frozenset[str]:
    """The mckl modules that a file imports, anywhere in the file."""
    imported: set[str] = set()
    for package, names, plain in _IMPORT.findall(path.read_text("utf-8")):
        listed = _COMMENT.sub("", names or plain).strip("() \t\n").split(",")
        modules = [words[0] for part in listed if (words := part.split())]
        imported |= {package, *(f"{package}.{name}" for name in modules)} if package else {*modules}
    return frozenset(name for name in imported if name.split(".")[0] == "mckl" and _file(name))


def _with_packages(module: str) -> Iterator[str]:
    parts = module.split(".")
    yield from (".".join(parts[:n]) for n in range(1, len(parts) + 1))


def modules(script: str | Path, *extra: str) -> dict[str, Path]:
    """The mckl modules in the import closure of a script and of `extra`, modules loaded by name."""
    waiting = {*_imports(Path(script)), *extra}
    seen: dict[str, Path] = {}
    while waiting:
        for module in _with_packages(waiting.pop()):
            path = _file(module)
            if module not in seen and path is not None:
                seen[module] = path
                waiting |= _imports(path)
    return dict(sorted(seen.items()))


@cache
def code_digest(script: str | Path, *extra: str) -> str:
    """A digest of the sources of a script and of `modules(script, *extra)`."""
    total = hashlib.sha256(Path(script).read_bytes())
    for module, path in modules(script, *extra).items():
        total.update(module.encode() + b"\0" + path.read_bytes() + b"\0")
    return total.hexdigest()[:16]
