"""The manifest of a whole run: the run's properties, and digests of all files that it wrote.

A file's digest shows whether the file is what the run wrote. A table's content digest depends only
on its rows, in any order. So it is the same for every run of a study, and does not depend on the
day, the number of cores or the host in the file's metadata.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mckl.errors import UserError
from mckl.record.manifest import manifest, now
from mckl.record.small import read_small

# The files in the manifest. Snakemake's report is not one, as it is written later.
_LEFT = ("tables/*", "figures/*", "explorer.html", "landing.rst", "verified.txt")
_TIMED = ("cost",)  # its times differ in every run


def file_digest(path: Path) -> str:
    """SHA-256 of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def content_digest(path: Path) -> str:
    """A digest of a table's rows, which does not depend on their order or the file's metadata."""
    from pandas.util import hash_pandas_object

    from mckl.record import tables

    total = 0
    for group in tables.gathered(tables.row_groups(path.stem, path)):
        total += int(hash_pandas_object(group.to_pandas(), index=False).to_numpy().sum())
    return f"{total % 2**64:016x}"


def _is_reproducible(name: str) -> bool:
    """Whether the file with this name is a table whose rows depend only on the config."""
    from mckl.record import tables  # imports Arrow, which digests of files do not need

    folder, _, file = name.rpartition("/")
    table, _, suffix = file.rpartition(".")
    registered = table in tables.SCHEMAS and table not in _TIMED
    return folder == "tables" and suffix == "parquet" and registered


def files(folder: Path) -> dict[str, Path]:
    """The tables, figures and pages of a results folder, by their names in the manifest."""
    paths = (path for pattern in _LEFT for path in folder.glob(pattern) if path.is_file())
    return {path.relative_to(folder).as_posix(): path for path in sorted(paths)}


def record(
    config: Mapping[str, Any], run: Mapping[str, Any], left: Mapping[str, Path]
) -> dict[str, Any]:
    """The manifest of a run with these properties, which wrote these files."""
    return {
        **run,
        "end": now(),
        **manifest(config),
        "config": config,
        "files": {
            name: {"sha256": file_digest(path)}
            | ({"content": content_digest(path)} if _is_reproducible(name) else {})
            for name, path in left.items()
        },
    }


def load_manifest(path: Path) -> dict[str, Any]:
    """The manifest in a file; raises `UserError` if the file is not a manifest."""
    content = read_small(path)
    try:
        manifest = json.loads(content)
        for digests in manifest["files"].values():
            str(digests["sha256"])
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise UserError(f"{path}: not a manifest of a run") from error
    return dict(manifest)


def differences(folder: Path, manifest: Mapping[str, Any]) -> dict[str, str]:
    """The files of a folder that differ from a manifest, each as missing, changed or extra."""
    stated = {name: digests["sha256"] for name, digests in manifest["files"].items()}
    present = {name: file_digest(path) for name, path in files(folder).items()}
    return _compared(present, stated)


def other_numbers(folder: Path, manifest: Mapping[str, Any]) -> dict[str, str]:
    """The tables of a folder whose rows differ from those in the manifest of another run."""
    stated = {name: x["content"] for name, x in manifest["files"].items() if "content" in x}
    tables = {name: path for name, path in files(folder).items() if _is_reproducible(name)}
    return _compared({name: content_digest(path) for name, path in tables.items()}, stated)


def _compared(digests: Mapping[str, str], stated: Mapping[str, str]) -> dict[str, str]:
    def kind(name: str) -> str:
        if name not in digests:
            return "missing"
        return "changed" if name in stated else "extra"

    names = sorted({*digests, *stated})
    return {name: kind(name) for name in names if digests.get(name) != stated.get(name)}
