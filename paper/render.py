"""Writes paper.md and its figure from template.md and the results of the default study.

`make paper` runs `python paper/render.py results`. Everything but the prose is computed here: from
the study's tables, by exact theory, and from the references of the tests.
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from typing import Any

import jinja2

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "docs"))

import decision

from mckl.record import tables
from mckl.show.landing import landing_numbers
from mckl.study.libraries import LIBRARIES

ESTIMATORS = {"k1": "k1", "k3": "k3", "k3_factor": "k3-factor", "rb": "rb"}
TABLES = ("settings", "summary", "verification", "gaps")


def sequences(place: tuple[float, float]) -> dict[str, str]:
    """Sequences for 1 % by theory, by estimator, where it is known and finite."""
    row = decision.ROWS[1]
    needed = decision.samples(row.family, row.dimension, place)
    return {
        key: f"{needed[name, 'iid']:,}"
        for key, name in ESTIMATORS.items()
        if (name, "iid") in needed
    }


def study(results: Path) -> dict[str, Any]:
    """What the report's first page says of the study."""
    frames = {t: tables.read(t, results / "tables" / f"{t}.parquet").to_pandas() for t in TABLES}
    manifest = tables.manifest_of(results / "tables" / "summary.parquet")
    page = landing_numbers(**frames, manifest=manifest, overview={}, tolerances=[0.01])
    if page["gate"] or page["gaps"]:
        sys.exit("mckl: theory and measurement disagree, or estimates are missing: no paper")
    best = page["best"][0]
    return {
        "settings": page["settings"],
        "with_kl": page["settings"] - page["zero_kl"],
        "replicates": page["replicates"],
        "samples": f"{page['samples']:,}",
        "checks": f"{page['cells']:,}",
        "variance": page["smallest"]["variance"],
        "best": best["estimator"],
        "won": best["settings"],
    }


def numbers(results: Path) -> dict[str, Any]:
    """Every number that the template quotes."""
    changelog = (ROOT / "CITATION.cff").read_text("utf-8")
    released = [line.split()[1] for line in changelog.splitlines() if "date-released" in line]
    references = (ROOT / "tests" / "references" / "pairs.json").read_text("utf-8")
    row = decision.ROWS[1]
    return {
        **study(results),
        "date": released[0] if released else "",
        "libraries": len(LIBRARIES),
        "references": len(references.splitlines()),
        "states": row.family.split("(")[1].rstrip(")"),
        "tokens": row.dimension,
        "near": sequences(decision.NEAR),
        "far": sequences(decision.FAR),
    }


def render(results: Path, folder: Path) -> None:
    """Writes paper.md and overview.png into a folder."""
    environment = jinja2.Environment(undefined=jinja2.StrictUndefined, keep_trailing_newline=True)
    template = environment.from_string((ROOT / "paper" / "template.md").read_text("utf-8"))
    (folder / "paper.md").write_text(template.render(numbers(results)), "utf-8")
    shutil.copy(results / "figures" / "overview.png", folder / "overview.png")


if __name__ == "__main__":
    render(Path(sys.argv[1]), ROOT / "paper")
