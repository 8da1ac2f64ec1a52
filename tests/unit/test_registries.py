"""Whatever is registered is measured against its own theory, without being listed in a test.

Every family, with every sampler and every estimator that it has, goes through a small study in
memory, and the study's gate compares it: KL and Var l by quadrature, means, variances, standard
errors and coverage. What a family has beyond that is in test_families.py.
"""

from __future__ import annotations

import math

import pytest
from scipy import stats

from mckl.draw.points import SAMPLERS
from mckl.estimation.traces import traces
from mckl.estimation.values import ESTIMATORS
from mckl.families.registry import FAMILIES, sweep_pair
from mckl.study.settings import Setting, grid_setting
from mckl.study.verification import failures

SWEPT = {name: family for name, family in FAMILIES.items() if family.sweep}
SHAPE = 5  # of families that have one: degrees of freedom, a gamma's shape, tokens; then 6, 7, ...


def named(family: str) -> str:
    """The family as a sweep names it."""
    shapes = [str(SHAPE + i) for i in range(len(SWEPT[family].shapes))]
    return f"{family}({', '.join(shapes)})" if shapes else family


def cells(family: str) -> list[Setting]:
    """A near pair and one of three coordinates that is farther apart."""
    near, far = (1, 1.1, 0.1), (3, 0.8, 0.5)
    return [grid_setting(*cell, named(family)) for cell in (near, far)]


@pytest.fixture(scope="module", params=SWEPT)
def measured(request, run_study):
    """A family, and the tables of a study of all that it has."""
    of = cells(request.param)
    return of, run_study(of, [*SAMPLERS], [*ESTIMATORS], seed=5, samples=256, replicates=60)


def test_a_family_passes_the_gate_with_all_that_it_has(measured):
    of, study = measured
    assert failures(study.verification) is None
    quantities = {*study.verification["quantity"]}
    assert {"kl", "log_ratio_variance", "mean", "variance", "std_error"} <= quantities
    for setting in of:
        combinations = setting.combinations([*SAMPLERS], [*ESTIMATORS])
        rows = study.summary[study.summary["setting"] == setting.name]
        drawn = {*zip(rows["sampler"], rows["estimator"], strict=True)}
        assert drawn == {(s, e) for s, those in combinations.items() for e in those}
        assert {"iid"} <= {*combinations}


def test_what_is_exact_for_independent_samples_is_known_to_six_digits(measured):
    _, study = measured
    rows = study.theory[(study.theory["sampler"] == "iid") & (study.theory["theory"] == "exact")]
    assert "k1" in {*rows["estimator"]}
    known = rows[rows["exact_variance"] < float("inf")]
    assert (known["exact_variance"] >= 0).all()
    assert (known["relative_error"] <= 1e-6).all()


@pytest.mark.parametrize("family", SWEPT)
def test_equal_pairs_have_a_log_density_ratio_of_exactly_0(family):
    """The gate takes anything else for an error where KL is 0."""
    pairs = {scale: sweep_pair(named(family), 3, scale, 0.0) for scale in (1.0, 1.5)}
    equal, other = traces(
        pairs, "numpy", SAMPLERS["iid"], [ESTIMATORS["k1"]], seed=7, samples=[64], replicates=3
    )
    assert not equal.estimate.any()
    assert not equal.std_error.any()
    assert other.estimate.all()


def test_every_sampler_and_estimator_is_had_by_some_family():
    offered = [cell.combinations([*SAMPLERS], [*ESTIMATORS]) for f in SWEPT for cell in cells(f)]
    assert {s for one in offered for s in one} == {*SAMPLERS}
    assert {e for one in offered for those in one.values() for e in those} == {*ESTIMATORS}


@pytest.mark.parametrize("family", FAMILIES)
def test_an_alias_is_another_name_of_a_parameter(family):
    entry = FAMILIES[family]
    parameters = {*entry.parameters, *entry.shared}
    assert {alias.parameter for alias in entry.aliases.values()} <= parameters
    for name, alias in entry.aliases.items():
        if name not in parameters and alias.convert is None:
            value = object()
            assert entry.named({name: value}) == {alias.parameter: value}
            with pytest.raises(ValueError, match=f"{name} and {alias.parameter}, expected one"):
                entry.named({name: value, alias.parameter: value})


@pytest.mark.parametrize(
    ("family", "given", "own"),
    [
        ("normal", {"mu": 1, "var": [4, 9]}, {"mean": 1, "sd": [2, 3]}),
        ("normal", {"loc": 1, "logvar": math.log(4)}, {"mean": 1, "sd": 2}),
        ("normal", {"mean": 1, "cov": "file"}, {"mean": 1, "covariance": "file"}),
        ("laplace", {"std": stats.laplace(scale=3).std()}, {"scale": 3}),
        ("logistic", {"variance": stats.logistic(scale=3).var()}, {"scale": 3}),
        ("gamma", {"a": 2, "scale": 4}, {"shape": 2, "rate": 0.25}),
        ("poisson", {"lambda": 3}, {"rate": 3}),
    ],
)
def test_numbers_under_another_name_are_converted(family, given, own):
    found = FAMILIES[family].named(given)
    assert {*found} == {*own}
    for name, value in own.items():
        assert found[name] == (value if isinstance(value, str) else pytest.approx(value))


@pytest.mark.parametrize("value", [0, -1, math.nan, "x"])
def test_what_cannot_be_converted_is_refused_under_its_own_name(value):
    with pytest.raises(ValueError, match=f"^gamma: theta '?{value}'?, expected a"):
        FAMILIES["gamma"].named({"shape": 1, "theta": value})
