"""A new estimator or family is one new file and one line: the rest of the study follows from it."""

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

ESTIMATOR = '''\
"""halfway: the mean of l + (r - 1) / 2, a control variate with the coefficient 1/2. Unbiased."""

from functools import partial

from mckl.estimation.values.base import Estimator, controlled_theory, mean_normal_from, mean_of

HALFWAY = Estimator(
    name="halfway",
    products=(("half_controlled", "half_controlled"),),
    integrands={"half_controlled": lambda values: values.ell + 0.5 * values.ratio},
    estimate=mean_of("half_controlled"),
    parameters=1,
    theory=partial(controlled_theory, slope=0.5),
    summand=lambda moments: {"half_controlled": 1.0},
    normal_from=mean_normal_from,
    uses_ratio=True,
    weakness="trusts r by half",
)
'''
FAMILY = '''\
"""The hyperbolic secant law: tails like e^(-pi |x| / 2), smooth everywhere."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from mckl.arrays import Vector
from mckl.exact.ends import Tail
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
        tail = Tail(linear=0.5 * np.pi / self.scale)
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
# The new file, the registry, the line that the latter gains, and the line above it.
ADDED = {
    "estimation/values/halfway.py": (
        ESTIMATOR,
        "estimation/values/__init__.py",
        "from mckl.estimation.values.halfway import HALFWAY",
        "from mckl.estimation.values.cv import CV",
    ),
    "families/secant.py": (
        FAMILY,
        "families/registry.py",
        "from mckl.families.secant import SECANT",
        "from mckl.families.coordinates.logistic import LOGISTIC",
    ),
}
STUDY: dict[str, Any] = {
    "sweep": {
        "family": ["normal", "secant"], "dimension": [1, 2], "scale": [1.25], "offset": [0.5],
    },
    "cases": {
        "mixed": {"q": {"family": "secant", "location": [0, 1]}, "p": {"family": "laplace"}},
        "notebook": None,
    },
    "samplers": ["iid", "antithetic", "sobol"],
    "estimators": ["k1", "k3", "halfway"],
    "samples": 64,
    "replicates": 50,
    "one_job_per": [],
}  # fmt: skip
FIGURES = ("estimators", "coverage", "samples-needed")
TARGETS = [
    *(f"results/figures/{name}.svg" for name in FIGURES),
    "results/tables/verification.parquet",
    "results/explorer.html",
]


@pytest.fixture(scope="module")
def grown(tmp_path_factory: pytest.TempPathFactory) -> Study:
    """A study with an estimator and a family more, run once."""
    study = Study(tmp_path_factory.mktemp("grown") / "study")
    copy_checkout(study)
    for name, (text, registry, line, after) in ADDED.items():
        (study.root / "src/mckl" / name).write_text(text)
        study.edit(f"src/mckl/{registry}", f"{after}\n", f"{after}\n{line}\n")
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


def test_it_is_one_file_and_one_line(grown: Study) -> None:
    gained = changed(grown)
    registries = {f"src/mckl/{registry}": [f"+ {line}"] for _, registry, line, _ in ADDED.values()}
    assert {*gained} == {f"src/mckl/{name}" for name in ADDED} | {*registries}
    assert {name: gained[name] for name in registries} == registries


def test_the_new_names_are_drawn_and_agree_with_their_theory(grown: Study) -> None:
    theory, traces = grown.table("theory"), grown.table("traces")
    for table in (theory, traces):
        assert {"k1", "k3", "halfway"} == {*table["estimator"]}
        assert {"secant-d1-s1.25-o0.5", "secant-d2-s1.25-o0.5", "mixed"} < {*table["setting"]}
        assert {"iid", "antithetic", "sobol"} == {*table["sampler"]}
    new = theory[(theory["estimator"] == "halfway") & (theory["sampler"] != "sobol")]
    assert (new["theory"] == "exact").all()
    assert (new["exact_variance"] > 0).all()
    checked = grown.table("verification")
    checked = checked[(checked["estimator"] == "halfway") & checked["p_value"].notna()]
    assert {"secant-d2-s1.25-o0.5", "d2-s1.25-o0.5", "mixed"} <= {*checked["setting"]}
    assert {"mean", "variance"} <= {*checked["quantity"]}
    assert grown.table("verification")["passed"].all()


def test_figures_and_captions_show_the_new_names(grown: Study) -> None:
    figures = grown.root / "results/figures"
    for name in FIGURES:
        assert (figures / f"{name}.svg").stat().st_size > 10_000
    assert "k1, k3, halfway" in (figures / "estimators.rst").read_text()


def test_the_explorer_has_the_new_names_and_their_look(grown: Study) -> None:
    page = unpacked((grown.root / "results/explorer.html").read_text())
    assert '"estimators":["k1","k3","halfway"]' in page
    assert '"setting":"secant-d1-s1.25-o0.5"' in page
    scale = re.search(r'"domain":(\[[^]]*\]),"range":(\[[^]]*\])', page)
    assert scale is not None
    names, looks = (json.loads(part) for part in scale.groups())
    assert sorted(names) == sorted([*ESTIMATORS, "halfway"])
    assert len({*looks}) >= 5  # those by factor share the hues of the whole


def test_the_command_knows_the_new_names(grown: Study) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "mckl", "advise", "--dimension", "2", "--estimator", "halfway",
         "--scale", "1.25", "--sampler", "iid", "--json"],
        cwd=grown.root, env={**grown.environment(), "PYTHONPATH": "src"},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert [o["estimator"] for o in json.loads(done.stdout)["options"]] == ["halfway"]
