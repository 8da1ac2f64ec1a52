"""A folder of a study with modules that nobody may import from there."""

from __future__ import annotations

import sys
from pathlib import Path

import yaml

# Names that Python, Snakemake and mckl import.
NAMES = ("numpy", "yaml", "queue", "snakemake", "sitecustomize", "usercustomize", "json", "mckl")
CHECKOUT = Path(__file__).parents[1]
CONFIG = {
    "sweep": {"dimension": [1, 2], "scale": [1.25], "offset": [0.25]},
    "samplers": ["iid"],
    "samples": 64,
    "replicates": 4,
}
# `theory` is a job of its own, and the traces are those of an array.
TARGETS = [
    "results/tables/theory.parquet",
    *(f"results/traces/numpy/d{d}.parquet" for d in (1, 2)),
]


def plant(folder: Path) -> list[str]:
    """Write the decoys and a config, and return the command that runs the study there."""
    for name in NAMES:
        told = f"open({str(folder / 'imported')!r}, 'a').write('{name}\\n')\n"
        (folder / f"{name}.py").write_text(told)
    (folder / "study.yaml").write_text(yaml.safe_dump(CONFIG))
    snakemake = Path(sys.executable).with_name("snakemake")
    options = ["--cores", "1", "--configfile", "study.yaml"]
    return [str(snakemake), "--snakefile", str(CHECKOUT / "Snakefile"), *options]


def imported(folder: Path) -> set[str]:
    """The decoys that some process has imported."""
    path = folder / "imported"
    return {*path.read_text().split()} if path.exists() else set()
