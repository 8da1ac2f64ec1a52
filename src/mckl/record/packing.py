"""Packs the tables of finished studies into a folder that can be uploaded as it is.

The folder has, for each study, its tables without the raw traces, its config and the manifest of
its run. Besides these it has the source, a README with the data dictionary, the licence, the
metadata of an RO-Crate, and the digests of all files. `mckl.results` reads it.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import mckl
from mckl.errors import UserError
from mckl.record import tables
from mckl.record.crate import METADATA, PackedStudy, crate
from mckl.record.provenance import differences, file_digest, load_manifest
from mckl.record.published import DIGESTS, TABLE
from mckl.text import counted, size, some

_LEFT_OUT = ("traces",)  # large, and the same again from config and seed
_RUN = ("manifest.json", "verified.txt")  # what a run has besides tables, if its target was `all`
_SOURCE = (
    "Snakefile", "config.yaml", "workflow", "scripts", "profiles", "studies", "src",
    "pyproject.toml", "constraints.txt", "requirements.txt", "README.md", "LICENSE",
)  # fmt: skip
_IGNORED = shutil.ignore_patterns("__pycache__", "*.egg-info", ".*")
SOURCE = "source"


def pack(root: Path, runs: Mapping[str, Path], folder: Path) -> list[PackedStudy]:
    """Write the folder of published results anew.

    Parameters
    ----------
    root
        The checkout, with the source, the configs and the licence.
    runs
        The folders in which the studies ran, by the names of their configs; ``default`` is
        config.yaml.
    folder
        The folder to write. It may exist if it is one of published results.

    Raises
    ------
    UserError
        If a run is missing, damaged, or of another version, or the folder is something else.
    """
    studies = [_study(root, name, run / "results") for name, run in runs.items()]
    if folder.exists() and any(folder.iterdir()) and not (folder / DIGESTS).exists():
        raise UserError(f"{folder}: not a folder of published results: move it away")
    shutil.rmtree(folder, ignore_errors=True)
    for study in studies:
        (folder / study.name).mkdir(parents=True)
        for name, path in study.files.items():
            shutil.copyfile(path, folder / study.name / name)
    (folder / SOURCE).mkdir()
    for name in filter(lambda x: (root / x).exists(), _SOURCE):
        copy = folder / SOURCE / name
        if (root / name).is_dir():
            shutil.copytree(root / name, copy, ignore=_IGNORED)
        else:
            shutil.copyfile(root / name, copy)
    shutil.copyfile(root / "LICENSE", folder / "LICENSE")
    (folder / "README.md").write_text(_readme(studies), encoding="utf-8")
    (folder / METADATA).write_text(crate(folder, studies), encoding="utf-8")
    (folder / DIGESTS).write_text("".join(_digests(folder)), encoding="utf-8")
    return studies


def _study(root: Path, name: str, results: Path) -> PackedStudy:
    """A finished study, after a check that its files are those of one run of this version."""
    again = "run make results"
    found = {
        path.name: path
        for path in sorted((results / "tables").glob(f"*{TABLE}"))
        if path.stem not in _LEFT_OUT
    }
    if not found:
        raise UserError(f"{name}: no tables in {results / 'tables'}: {again}")
    about = [tables.manifest_of(path) for path in found.values()]
    if others := {str(x["mckl"]) for x in about} - {mckl.__version__}:
        raise UserError(f"{name}: tables of mckl {some([*others])}: {again}")
    run: dict[str, Any] = {**about[0], "end": max(path.stat().st_mtime for path in found.values())}
    if (results / "manifest.json").exists():
        run = load_manifest(results / "manifest.json")
        if wrong := differences(results, run):
            raise UserError(f"{name}: {some([*wrong])}: not as in its manifest.json: {again}")
        found |= {file: results / file for file in _RUN if (results / file).exists()}
    config = root / ("config.yaml" if name == "default" else f"studies/{name}.yaml")
    return PackedStudy(name, _question(config), {**found, "config.yaml": config}, run)


def _question(config: Path) -> str:
    """What a config asks: the first paragraph of its comments, without how to run it."""
    lines = []
    for line in config.read_text(encoding="utf-8").splitlines():
        if not line.startswith("# "):
            break
        if not line.startswith(("# Run it with:", "# yaml-language-server:")):
            lines.append(line.removeprefix("# "))
    return " ".join(lines)


def _readme(studies: Sequence[PackedStudy]) -> str:
    """The page that explains the folder, with the data dictionary of the tables in it."""
    rows = [
        f"| `{x.name}/` | {x.question} | "
        f"{counted(sum(name.endswith(TABLE) for name in x.files), 'table')}, "
        f"{size(sum(path.stat().st_size for path in x.files.values()))} |"
        for x in studies
    ]
    names = {name.removesuffix(TABLE) for x in studies for name in x.files}
    whole = [x for x in studies if "manifest.json" in x.files]
    example = (whole or studies)[0]
    tables_of = [name.removesuffix(TABLE) for name in example.files if name.endswith(TABLE)]
    return _README.format(
        version=mckl.__version__,
        studies="\n".join(rows),
        study=example.name,
        table="budget" if "budget" in tables_of else tables_of[0],
        against=_AGAINST.format(study=example.name) if whole else "",
        columns=_dictionary(names),
    )


def _dictionary(names: Collection[str]) -> str:
    """The data dictionary of these tables."""
    sections = re.split("(?m)^(?=## )", tables.data_dictionary())
    return "".join(x for x in sections if x.partition(TABLE)[0].removeprefix("## ") in names)


_AGAINST = """ For a run of your own,
`mckl verify results --against {study}/manifest.json` says whether its numbers are these."""
_README = """\
# Results of mckl {version}

How many Monte Carlo samples does it take to know KL(q‖p), with which estimator and sampler, in
which regime? These are the tables of the published studies.

| folder | question | content |
|---|---|---|
{studies}

Each folder has `config.yaml`, by which the study was run, and its tables as Parquet. Where the
whole study was run, `verified.txt` says what the comparison with theory found, and `manifest.json`
is the record of the run; it also lists what is left out here: raw traces, figures and pages.

`source/` has the code that made the tables, `ro-crate-metadata.json` describes all of this for
machines (RO-Crate), and `SHA256SUMS` has the digests, which `sha256sum --check SHA256SUMS`
compares.

```python
import mckl

published = mckl.results("results-{version}")  # compares the digests
published["{study}"]["{table}"]  # a pandas data frame
published["{study}"].columns("{table}")  # what its columns mean
```

To make the tables again, run `make results` with this version's source.{against}

Units are nats. NaN means *not known* or *not applicable*, `inf` is a value (such as an infinite
variance), and null means *absent*.

{columns}"""


def _digests(folder: Path) -> Iterable[str]:
    """The lines of SHA256SUMS, as sha256sum writes them."""
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        if path != folder / DIGESTS:
            yield f"{file_digest(path)}  {path.relative_to(folder).as_posix()}\n"
