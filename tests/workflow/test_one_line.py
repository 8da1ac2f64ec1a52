"""A new estimator, gradient method or family is one file or entry: the rest follows from it."""

from __future__ import annotations

import difflib
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from packed import unpacked

from mckl.estimation.values import ESTIMATORS

from .study import Study, copy_checkout

# An estimator with an integrand of its own, a biased one without an unbiased twin, and one by
# factor without a counterpart for the whole l.
ESTIMATORS_ADDED = """\
# halfway is the mean of l + (r - 1) / 2, a control variate with the coefficient 1/2. Unbiased.
HALFWAY = plain_mean(
    "halfway", "half_controlled", partial(controlled_theory, slope=0.5),
    integrands={"half_controlled": lambda values: values.ell + 0.5 * values.ratio},
    ratio_in={"half_controlled": 0.5}, uses_ratio=True, weakness="trusts r by half",
)  # fmt: skip


def _shrunk_theory(law: Law, paired: bool) -> UnitTheory:
    unit = K1.theory(law, paired)
    return unit._replace(bias=-0.1 * law.kl, variance=0.81 * unit.variance)


# k2-again is nine tenths of l.
SHRUNK = plain_mean(
    "k2-again", "shrunk_ell", _shrunk_theory,
    integrands={"shrunk_ell": lambda values: 0.9 * values.ell}, consistent=False,
)  # fmt: skip

# lone-factor is the mean of l + sum (r_i - 1) / 2.
LONE = plain_mean(
    "lone-factor", "half_by_factor",
    partial(theory_of_sum, function=Function("k3", 0.5, 0.5), unbiased=True),
    sums=("ratio",), uses_ratio=True, ratio_in={"half_by_factor": 0.5},
    integrands={"half_by_factor": lambda values: values.ell + 0.5 * values.factor_ratio},
)  # fmt: skip

"""
NEW = ("halfway", "k2-again", "lone-factor")
METHOD_ADDED = """\
        # Half of the score function estimator.
        Method("half-score", "half of k1 in the reward", Whole(linear(ell=0.5))),
"""
FAMILY = '''\
"""The hyperbolic secant law: tails like e^(-pi |x| / 2), smooth everywhere."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from mckl.arrays import Vector
from mckl.exact.ends import LINEAR, Tail
from mckl.families.coordinates.independent import LOCATION, SCALE, independent_family
from mckl.families.coordinates.univariate import Univariate


@dataclass(frozen=True)
class Secant(Univariate):
    """The density sech(pi x / 2) / 2; its standard deviation is the scale."""

    location: Any = 0.0
    scale: Any = 1.0

    @property
    def kind(self) -> str:
        return "secant"

    def at(self, location: Any, scale: Any) -> Secant:
        return Secant(location, scale)

    @property
    def tails(self) -> tuple[Tail, Tail]:
        tail = Tail({LINEAR: 0.5 * np.pi / self.scale})
        return tail, tail

    def log_density(self, x: Vector) -> Vector:
        y = 0.5 * np.pi * np.abs(x - self.location) / self.scale
        return np.asarray(-y - np.log1p(np.exp(-2.0 * y)) - np.log(self.scale))

    def probability(self, x: Vector, upper: bool = False) -> Vector:
        y = (x - self.location) / self.scale * (-1.0 if upper else 1.0)
        tail = 2.0 / np.pi * np.arctan(np.exp(-0.5 * np.pi * np.abs(y)))
        return np.asarray(np.where(y < 0, tail, 1.0 - tail))

    def quantile(self, u: Vector, upper: bool = False) -> Vector:
        low = np.minimum(u, 1.0 - u)
        y = np.where(u <= 0.5, 1.0, -1.0) * 2.0 / np.pi * np.log(np.tan(0.5 * np.pi * low))
        return np.asarray(self.location + self.scale * (-y if upper else y))

    def draw(self, generator: np.random.Generator, shape: tuple[int, int]) -> Vector:
        return self.quantile(np.maximum(generator.random(shape), 2.0**-60))


SECANT = independent_family("secant", Secant, {"location": LOCATION, "scale": SCALE})
'''
ESTIMATORS_FILE = "estimation/values/__init__.py"
METHODS_FILE = "estimation/gradients/__init__.py"
REGISTRY = "families/registry.py"
# What each registry gains, and the lines that follow it there.
ADDED = {
    ESTIMATORS_FILE: (
        (
            "from functools import partial\n"
            "from mckl.estimation.values.base import theory_of_sum\n"
            "from mckl.exact.law import Law\n"
            "from mckl.exact.moments import Function\n",
            "from mckl.estimation.values import cv, k2, regression\n",
        ),
        (ESTIMATORS_ADDED, "# Tables, figures and messages keep this order.\n"),
        ("        HALFWAY,\n        SHRUNK,\n        LONE,\n", "    )\n}\n"),
    ),
    METHODS_FILE: (
        ("from mckl.families.scores import linear\n", "from mckl.families.scores import Rule\n"),
        (METHOD_ADDED, "    )\n}  # fmt: skip\n"),
    ),
    REGISTRY: (
        ("from mckl.families.secant import SECANT\n", "from mckl.families.coordinates.mixture"),
    ),
}
FILES_ADDED = {"families/secant.py": FAMILY}
STUDY: dict[str, Any] = {
    "sweep": {
        "family": ["normal", "secant"], "dimension": [1, 2], "scale": [1.25], "offset": [0.5],
    },
    "cases": {
        "mixed": {"q": {"family": "secant", "location": [0, 1]}, "p": {"family": "laplace"}},
        "notebook": None,
    },
    "samplers": ["iid", "antithetic", "sobol"],
    "estimators": ["k1", "k3", "k3-factor", *NEW],
    "gradients": {
        "settings": ["d2-s1.25-o0.5"], "methods": ["score", "half-score"],
        "samples": 64, "replicates": 100,
    },
    "samples": 64,
    "replicates": 50,
    "one_job_per": [],
}  # fmt: skip
FIGURES = (
    "error-vs-samples", "estimators", "factors", "coverage", "samples-needed", "gradient-error",
)  # fmt: skip
TARGETS = [
    *(f"results/figures/{name}.svg" for name in FIGURES),
    "results/tables/verification.parquet",
    "results/explorer.html",
]


@pytest.fixture(scope="module")
def grown(tmp_path_factory: pytest.TempPathFactory) -> Study:
    """A study with estimators, a gradient method and a family more, run once."""
    study = Study(tmp_path_factory.mktemp("grown") / "study")
    copy_checkout(study)
    for name, text in FILES_ADDED.items():
        (study.root / "src/mckl" / name).write_text(text)
    for registry, gains in ADDED.items():
        for text, following in gains:
            study.edit(f"src/mckl/{registry}", following, text + following)
    study.configure(**STUDY)
    study.run(*TARGETS, cores=2)
    return study


def changed(study: Study) -> dict[str, list[str]]:
    """The new or changed sources of the package, and the lines added to them."""
    here = Path(__file__).parents[2]
    out = {}
    for path in study.root.glob("src/mckl/**/*.py"):
        name = str(path.relative_to(study.root))
        old = (here / name).read_text().splitlines() if (here / name).exists() else []
        lines = difflib.ndiff(old, path.read_text().splitlines())
        gained = [line for line in lines if line[:2] in ("+ ", "- ")]
        if gained:
            out[name] = gained
    return out


def test_an_addition_changes_no_line(grown: Study) -> None:
    gained = changed(grown)
    assert {*gained} == {f"src/mckl/{name}" for name in (*FILES_ADDED, *ADDED)}
    assert len(gained[f"src/mckl/{REGISTRY}"]) == 1
    for registry, gains in ADDED.items():
        lines = [line for text, _ in gains for line in text.splitlines()]
        assert sorted(gained[f"src/mckl/{registry}"]) == sorted(f"+ {line}" for line in lines)


def test_the_new_names_are_drawn_and_agree_with_their_theory(grown: Study) -> None:
    theory, traces = grown.table("theory"), grown.table("traces")
    for table in (theory, traces):
        assert {"k1", "k3", "k3-factor", *NEW} == {*table["estimator"]}
        assert {"secant-d1-s1.25-o0.5", "secant-d2-s1.25-o0.5", "mixed"} < {*table["setting"]}
        assert {"iid", "antithetic", "sobol"} == {*table["sampler"]}
    new = theory[theory["estimator"].isin(NEW) & (theory["sampler"] != "sobol")]
    assert (new["theory"] == "exact").all()
    assert (new["exact_variance"] > 0).all()
    checked = grown.table("verification")
    for name in NEW:
        of_name = checked[(checked["estimator"] == name) & checked["p_value"].notna()]
        assert {"secant-d2-s1.25-o0.5", "d2-s1.25-o0.5", "mixed"} <= {*of_name["setting"]}
        assert {"mean", "variance"} <= {*of_name["quantity"]}
    assert grown.table("verification")["passed"].all()


# Draws figures from the study's tables, of all estimators and of each new one alone, and prints
# their texts.
DRAW = """
import json, sys
import pandas as pd
from matplotlib.text import Text
from mckl.show.figures import FIGURES, draw
found = {}
for only in (None, *sys.argv[2:]):
    for name in sys.argv[1].split(","):
        tables = FIGURES[name].tables
        frames = {t: pd.read_parquet(f"results/tables/{t}.parquet") for t in tables}
        for t, frame in frames.items():
            if only and "estimator" in frame:
                frames[t] = frame[frame["estimator"] == only]
        drawing, _ = draw(FIGURES[name], frames)
        found[f"{name} {only}"] = " ".join(t.get_text() for t in drawing.findobj(Text))
print(json.dumps(found))
"""


def test_figures_and_captions_show_the_new_names(grown: Study) -> None:
    figures = grown.root / "results/figures"
    for name in FIGURES:
        assert (figures / f"{name}.svg").stat().st_size > 10_000
    caption = (figures / "estimators.rst").read_text()
    assert "k1, k3, k3-factor, halfway, k2-again, lone-factor" in caption
    done = subprocess.run(
        [sys.executable, "-c", DRAW, ",".join(FIGURES), *NEW],
        cwd=grown.root, env={**grown.environment(), "PYTHONPATH": "src"},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    texts = json.loads(done.stdout)
    for name in NEW:
        for figure in ("estimators", "coverage", "samples-needed"):
            assert name in texts[f"{figure} None"], figure
        # One estimator is enough for each figure; a biased one of the whole is not in `factors`.
        for figure in ("error-vs-samples", "estimators", "coverage", "samples-needed"):
            assert name in texts[f"{figure} {name}"], figure
        assert (name in texts["factors None"]) == (name != "k2-again")
    assert "half-score" in texts["gradient-error None"]


def test_the_explorer_has_the_new_names_and_their_look(grown: Study) -> None:
    page = unpacked((grown.root / "results/explorer.html").read_text())
    assert '"estimators":["k1","k3","k3-factor","halfway","k2-again","lone-factor"]' in page
    assert '"setting":"secant-d1-s1.25-o0.5"' in page
    scale = re.search(r'"domain":(\[[^]]*\]),"range":(\[[^]]*\])', page)
    assert scale is not None
    names, looks = (json.loads(part) for part in scale.groups())
    assert sorted(names) == sorted([*ESTIMATORS, *NEW])
    assert len({*looks}) >= 5  # markers are used in turn


@pytest.mark.parametrize("name", NEW)
def test_the_command_knows_the_new_names(grown: Study, name: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "mckl", "advise", "--dimension", "2", "--estimator", name,
         "--scale", "1.25", "--sampler", "iid", "--json"],
        cwd=grown.root, env={**grown.environment(), "PYTHONPATH": "src"},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == (3 if name == "k2-again" else 0), done.stderr
    assert [o["estimator"] for o in json.loads(done.stdout)["options"]] == [name]
