"""ro-crate-metadata.json: published results as a Workflow Run RO-Crate 0.5.

The crate says in JSON-LD which run (a CreateAction) of which workflow made which file, from which
config, when, and with which versions. https://w3id.org/ro/wfrun/workflow/0.5 is the profile.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, metadata
from pathlib import Path
from typing import Any, NamedTuple

import mckl
from mckl.record.provenance import file_digest

METADATA = "ro-crate-metadata.json"
_WORKFLOW_CRATE = "https://w3id.org/workflowhub/workflow-ro-crate/1.0"
_PROFILES = {
    "https://w3id.org/ro/wfrun/process/0.5": ("Process Run Crate", "0.5"),
    "https://w3id.org/ro/wfrun/workflow/0.5": ("Workflow Run Crate", "0.5"),
    _WORKFLOW_CRATE: ("Workflow RO-Crate", "1.0"),
}
_BIOSCHEMAS = "https://bioschemas.org/profiles/ComputationalWorkflow/1.0-RELEASE"
_FORMATS = {
    ".parquet": "application/vnd.apache.parquet",
    ".json": "application/json",
    ".yaml": "application/yaml",
    ".md": "text/markdown",
    ".txt": "text/plain",
}
_ROOT, _WORKFLOW, _LANGUAGE, _AUTHORS = "./", "source/Snakefile", "#snakemake", "#authors"
_CONFIG = "config.yaml"
_LICENCE = "https://spdx.org/licenses/MIT"
# What the context of RO-Crate 1.1 lacks.
_TERMS = {"sha256": "https://w3id.org/ro/terms/workflow-run#sha256"}
Entity = dict[str, Any]


class PackedStudy(NamedTuple):
    """A study in the folder: what it asks, its files by name, and facts of its run."""

    name: str
    question: str
    files: Mapping[str, Path]
    run: Mapping[str, Any]


def crate(folder: Path, studies: Sequence[PackedStudy]) -> str:
    """The text of the metadata of a folder with these studies, which has all other files."""
    ends = [_moment(study.run["end"]) for study in studies]
    entities = [*_workflow(folder, studies[0].run, studies), *_people()]
    for study, end in zip(studies, ends, strict=True):
        entities += _of_study(folder, study, end)
    files = [_file(folder, "README.md", "what is here, and every column", about=_id(_ROOT))]
    files.append(_file(folder, "LICENSE", "the licence"))
    root = {
        "@id": _ROOT,
        "@type": "Dataset",
        "name": f"Results of mckl {mckl.__version__}",
        "description": "How many Monte Carlo samples it takes to know KL(q||p), with which "
        "estimator and sampler, in which regime: exact theory beside measurement.",
        "version": mckl.__version__,
        "datePublished": max(ends)[:10],
        "license": _id(_LICENCE),
        "author": _id(_AUTHORS),
        "publisher": _id(_AUTHORS),
        "conformsTo": _ids(_PROFILES),
        "mainEntity": _id(_WORKFLOW),
        "mentions": _ids(f"#run-{study.name}" for study in studies),
        "hasPart": _ids(
            x["@id"] for x in [*entities, *files] if {"File", "Dataset"} & {*_types(x)}
        ),
    }
    descriptor = {
        "@id": METADATA,
        "@type": "CreativeWork",
        "about": _id(_ROOT),
        "conformsTo": [_id("https://w3id.org/ro/crate/1.1"), _id(_WORKFLOW_CRATE)],
    }
    graph = [descriptor, root, *files, *entities]
    context = ["https://w3id.org/ro/crate/1.1/context", _TERMS]
    return json.dumps({"@context": context, "@graph": graph}, indent=1, ensure_ascii=False) + "\n"


def _workflow(
    folder: Path, run: Mapping[str, Any], studies: Sequence[PackedStudy]
) -> Iterator[Entity]:
    """The workflow, its language and packages, and its parameters: a config and the tables."""
    versions = {"mckl": run["mckl"], **run["packages"]}
    packages = {f"pkg:pypi/{x}@{v}": (x, v) for x, v in versions.items() if v}
    made: dict[str, list[str]] = {}
    for study in studies:
        for name in study.files:
            made.setdefault(name, []).append(f"{study.name}/{name}")
    yield _file(folder, _WORKFLOW, "the study as a Snakemake workflow") | {
        "@type": ["File", "SoftwareSourceCode", "ComputationalWorkflow"],
        "name": "mckl",
        "version": mckl.__version__,
        "programmingLanguage": _id(_LANGUAGE),
        "conformsTo": _id(_BIOSCHEMAS),
        "license": _id(_LICENCE),
        "creator": _id(_AUTHORS),
        "input": _id(_parameter(_CONFIG)),
        "output": _ids(_parameter(name) for name in made if name != _CONFIG),
        "softwareRequirements": _ids(packages),
        **_repository(),
    }
    yield {
        "@id": _LANGUAGE,
        "@type": "ComputerLanguage",
        "name": "Snakemake",
        "url": "https://snakemake.readthedocs.io",
        "version": str(run["packages"].get("snakemake")),
    }
    for package, (name, version) in packages.items():
        yield {
            "@id": package, "@type": "SoftwareApplication", "name": name,
            "softwareVersion": version, "url": package,
        }  # fmt: skip
    for name, examples in made.items():
        yield {
            "@id": _parameter(name),
            "@type": "FormalParameter",
            "name": name,
            "description": "what is studied" if name == _CONFIG else f"{name} of a run",
            "additionalType": "File",
            "encodingFormat": _format(name),
            "conformsTo": _id("https://bioschemas.org/profiles/FormalParameter/1.0-RELEASE"),
            "workExample": _ids(examples),
        }


def _people() -> Iterator[Entity]:
    """Authors, licence and profiles."""
    yield {"@id": _AUTHORS, "@type": "Organization", "name": "The mckl authors"}
    yield {"@id": _LICENCE, "@type": "CreativeWork", "name": "MIT License"}
    for profile, (name, version) in _PROFILES.items():
        yield {"@id": profile, "@type": "CreativeWork", "name": name, "version": version}


def _of_study(folder: Path, study: PackedStudy, end: str) -> Iterator[Entity]:
    """A study's folder and files, and the run that made them."""
    files = [f"{study.name}/{name}" for name in study.files]
    results = [name for name in files if name != f"{study.name}/{_CONFIG}"]
    run = study.run
    yield {
        "@id": f"{study.name}/",
        "@type": "Dataset",
        "name": f"the study {study.name}",
        "description": study.question,
        "hasPart": _ids(files),
    }
    for name in study.files:
        yield _file(folder, f"{study.name}/{name}", f"{name} of the study {study.name}") | {
            "exampleOfWork": _id(_parameter(name))
        }
    yield {
        "@id": f"#run-{study.name}",
        "@type": "CreateAction",
        "name": f"run of the study {study.name}",
        "description": f"mckl {run['mckl']}, commit {run['git_commit']}, "
        f"Python {run['python']}, {run['system']} {run['machine']}",
        "instrument": _id(_WORKFLOW),
        "object": _id(f"{study.name}/{_CONFIG}"),
        "result": _ids(results),
        **({"startTime": _moment(run["start"])} if "start" in run else {}),
        "endTime": end,
        "agent": _id(_AUTHORS),
        "actionStatus": "http://schema.org/CompletedActionStatus",
    }


def _file(folder: Path, name: str, what: str, **more: Any) -> Entity:
    path = folder / name
    return {
        "@id": name,
        "@type": "File",
        "name": name,
        "description": what,
        "encodingFormat": _format(name),
        "contentSize": str(path.stat().st_size),
        "sha256": file_digest(path),
        **more,
    }


def _format(name: str) -> str:
    return _FORMATS.get(Path(name).suffix, "text/plain")


def _id(name: str) -> Entity:
    return {"@id": name}


def _ids(names: Iterable[str]) -> Entity | list[Entity]:
    """References to entities; a single one stands by itself."""
    several = [_id(name) for name in names]
    return several[0] if len(several) == 1 else several


def _types(entity: Entity) -> Sequence[str]:
    types = entity["@type"]
    return [types] if isinstance(types, str) else types


def _parameter(name: str) -> str:
    return f"#parameter-{name}"


def _moment(time: str | float) -> str:
    """A moment in UTC, from the record of a run or a file's time."""
    if isinstance(time, str):
        return time
    return datetime.fromtimestamp(time, UTC).isoformat(timespec="seconds")


def _repository() -> Entity:
    """The address of the source, if the installed package has one."""
    try:
        links = metadata("mckl").get_all("Project-URL") or []
    except PackageNotFoundError:
        return {}
    addresses = dict(link.partition(", ")[::2] for link in links)
    address = addresses.get("Repository", "")
    return {"url": address, "codeRepository": address} if address else {}
