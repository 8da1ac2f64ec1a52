"""The gate detects errors of many kinds, which are planted one at a time in a small study."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pytest
import scipy.stats.qmc
from scipy.stats import kstest

from mckl.draw.backends import numpy as backend
from mckl.draw.points import SAMPLERS, Sampler
from mckl.draw.streams import seed_sequence
from mckl.estimation import budget as budget_estimation
from mckl.estimation import traces as traces_module
from mckl.estimation.budget import Forecasts
from mckl.estimation.running import RunningMoments
from mckl.estimation.theory import Exact
from mckl.estimation.traces import Trace, checkpoints, traces
from mckl.estimation.values import ESTIMATORS
from mckl.estimation.values.integrands import Integrands
from mckl.exact.moments import Moments
from mckl.families.base import Pair
from mckl.families.exponential import poisson
from mckl.families.normal import form as quadratic_form
from mckl.families.normal import pair as normal
from mckl.families.normal.law import QuadraticLaw
from mckl.record import tables
from mckl.study import budget_table as budget_module
from mckl.study import summary_table as summary_module
from mckl.study import theory_table as theory_module
from mckl.study.pooled import ALL
from mckl.study.settings import Setting, batches, case_setting, grid_setting
from mckl.study.summary_table import summaries
from mckl.study.trace_table import trace_columns
from mckl.study.verification import failures, verify
from mckl.study.verified import passed_line, smallest_errors

# In the order of dimension: those of one share their draws.
SETTINGS = [
    grid_setting(1, 1.0, 0.25),
    grid_setting(2, 1.0, 0.5),
    case_setting("case", {"q": {"mean": [1.0, 4.0], "sd": [1.0, 1.0]},
                          "p": {"mean": [0.5, 3.0], "sd": [1.5, 1.5]}}),
    grid_setting(16, 0.9, 0.1),
]  # fmt: skip
CHOSEN = ["iid", "antithetic", "sobol", "iid-radial", "antithetic-radial"]
WHOLE = [name for name, e in ESTIMATORS.items() if not e.sums]
AT = checkpoints(512, 1)


# Counts, of which only independent samples can be drawn; they are made anew for each theory, since
# a case keeps its law.
COUNTS = {"q": {"family": "poisson", "rate": [1.0, 4.0]},
          "p": {"family": "poisson", "rate": [1.5, 3.0]}}  # fmt: skip


class Theory(NamedTuple):
    chosen: Sequence[Setting]
    settings: pd.DataFrame
    theory: pd.DataFrame


def exact(counts: bool = False) -> Theory:
    chosen = [case_setting("counts", COUNTS)] if counts else SETTINGS
    rows = theory_module.theory_rows(chosen, CHOSEN, WHOLE, AT)
    return Theory(
        chosen,
        tables.table("settings", theory_module.setting_rows(chosen)).to_pandas(),
        tables.concatenate("theory", list(rows)).to_pandas(),
    )


def run(
    seed: int, theory: Theory, samplers: Sequence[str], replicates: int,
    spoil: Callable[[str, Trace], Trace] = lambda sampler, trace: trace,
) -> pd.DataFrame:  # fmt: skip
    """verification.parquet of a small study; `spoil` alters a sampler's traces."""
    columns = []
    for batch in batches(theory.chosen, len(theory.chosen)):
        for name in samplers:
            found = traces(
                {s.name: s.pair for s in batch}, "numpy", SAMPLERS[name],
                [ESTIMATORS[e] for e in WHOLE], seed=seed, samples=AT,
                replicates=replicates, at_once=2 * replicates,
            )  # fmt: skip
            for setting, trace in zip(batch, found, strict=True):
                altered = spoil(name, trace)
                columns.append(trace_columns(altered, setting, "numpy", name, WHOLE))
    groups = [tables.concatenate("traces", columns)]
    (summary,) = summaries(groups, theory.settings, theory.theory)
    needs = budget_module.budget_columns(theory.chosen, samplers, WHOLE, [0.1, 0.01], summary)
    budget = tables.concatenate("budget", list(needs)).to_pandas()
    return verify(summary, theory.theory, theory.settings, budget)


@pytest.fixture(scope="module")
def theory() -> Theory:
    return exact()


# Plants. Each takes a MonkeyPatch and returns how it alters finished traces, or None.
Spoil = Callable[[str, Trace], Trace]


def _estimate(patch: pytest.MonkeyPatch, name: str, wrong: Callable[..., Any]) -> None:
    """Replace an estimate: wrong(moments, estimate, variance) -> (estimate, variance)."""
    right = ESTIMATORS[name]
    patch.setitem(
        ESTIMATORS,  # type: ignore[arg-type]
        name, right._replace(estimate=lambda m: wrong(m, *right.estimate(m))),
    )  # fmt: skip


def _unit(patch: pytest.MonkeyPatch, name: str, **factors: float) -> None:
    """Multiply numbers of an estimator's theory."""
    right = ESTIMATORS[name]

    def wrong(law: Any, paired: bool) -> Any:
        unit = right.theory(law, paired)
        return unit._replace(**{k: getattr(unit, k) * x for k, x in factors.items()})

    patch.setitem(theory_module.ESTIMATORS, name, right._replace(theory=wrong))  # type: ignore[arg-type]


def _coefficients(patch: pytest.MonkeyPatch, users: Sequence[str], **factors: float) -> None:
    """Multiply coefficients in the modules `users` of mckl.families.normal.pair."""
    for name in users:
        user = getattr(normal, name)

        def wrong(c: Any, *others: Any, right: Any = user) -> Any:
            c = c._replace(**{k: getattr(c, k) * x for k, x in factors.items()})
            return right(c, *others)

        patch.setattr(normal, name, wrong)


_THEORY, _SAMPLING = ["QuadraticLaw"], ["full", "radial"]


def _kernel(patch: pytest.MonkeyPatch, wrong: Callable[[Any, np.ndarray], None]) -> None:
    """Alter the log density ratios in place: wrong(kernel, ell)."""
    right = backend.NumpyKernel.evaluate

    def altered(self: Any, draws: Any, units: int) -> np.ndarray:
        out = right(self, draws, units)
        wrong(self, out[0])
        return out

    patch.setattr(backend.NumpyKernel, "evaluate", altered)


def _start(patch: pytest.MonkeyPatch, key: Callable[..., tuple[Any, ...]]) -> None:
    def wrong(self: Any, backend: str, form: Any, seed: int, replicate: int, *stage: str) -> Any:
        return seed_sequence(seed, *stage, *key(form.shape, self.name, backend, replicate))

    patch.setattr(Sampler, "key", wrong)


def _sobol(patch: pytest.MonkeyPatch, wrong: Callable[..., Any]) -> None:
    right = scipy.stats.qmc.Sobol
    patch.setattr(scipy.stats.qmc, "Sobol", lambda d, **others: wrong(right, d, **others))


def kl_of_both_sides(patch):
    """KL is 0.1 % too large wherever it is used."""
    _coefficients(patch, [*_THEORY, *_SAMPLING], kl=1.001)


def both_coefficients_a(patch):
    """The coefficient a is 1 % too large in theory and sampling alike."""
    _coefficients(patch, [*_THEORY, *_SAMPLING], a=1.01)


def coefficient_b_of_sampling(patch):
    """The coefficient b is 3 % too large in sampling."""
    _coefficients(patch, _SAMPLING, b=1.03)


def slope_of_cv(patch):
    """cv adds the control variate's mean where it should subtract it."""
    _estimate(patch, "cv", lambda m, value, variance: (2.0 * m.mean("ell") - value, variance))


def cv_without_its_control(patch):
    """cv's standard error is k1's."""
    of = ESTIMATORS["k1"].estimate
    _estimate(patch, "cv", lambda m, value, variance: (value, 2.0 * of(m)[1]))


def half_of_k2(patch):
    """k2 averages the square of l, not half of it."""
    patch.setattr(Integrands, "half_square", property(lambda self: self.ell * self.ell))


def bias_of_k2(patch):
    """k2's theory calls it unbiased."""
    _unit(patch, "k2", bias=0.0)


def clipped_k3(patch):
    """k3 is clipped at 1."""
    right = Integrands.k3.func
    patch.setattr(Integrands, "k3", property(lambda self: np.minimum(right(self), 1.0)))


def ratio_of_the_other_direction(patch):
    """k3 takes e^l for the ratio: the other direction."""
    patch.setattr(Integrands, "ratio", property(lambda self: np.expm1(self.ell)))


def small_standard_errors(patch):
    """Standard errors are 5 % too small."""
    for name in ESTIMATORS:
        _estimate(patch, name, lambda m, value, variance: (value, 0.95**2 * variance))


def antithetic_standard_errors(patch):
    """Antithetic standard errors take the two points of a pair for independent samples."""
    return lambda sampler, trace: trace._replace(
        std_error=trace.std_error / (np.sqrt(2) if sampler.startswith("antithetic") else 1.0)
    )


def replicates_drawn_twice(patch):
    """Every replicate is drawn twice."""
    _start(patch, lambda shape, sampler, library, r: (shape, sampler, library, r // 2))


def one_stream_for_samplers(patch):
    """Samplers share their streams."""
    _start(patch, lambda shape, sampler, library, r: (shape, library, r))


def chi_squares_of_a_pair(patch):
    """The mirrored points of antithetic-radial have chi-squares of their own."""

    def wrong(kernel, ell):
        if len(ell) == 2 and kernel._evaluator._chi is not None:
            chi = kernel._evaluator._chi.write(np.empty(ell.shape[1:]))
            ell[1] += np.roll(chi, 1, axis=1) - chi  # another replicate's

    _kernel(patch, wrong)


def lost_sign(patch):
    """The second point of an antithetic pair is the first one again."""

    def wrong(kernel, ell):
        ell[-1] = ell[0]

    _kernel(patch, wrong)


def single_precision(patch):
    """l is rounded to float32."""

    def wrong(kernel, ell):
        ell[:] = ell.astype(np.float32)

    _kernel(patch, wrong)


def degrees_of_chi_squares(patch):
    """Chi-squares have one degree of freedom too many."""
    right = backend.Stream.chisquares
    patch.setattr(backend.Stream, "chisquares", lambda self, rows, dof: right(self, rows, dof + 1))


def correlated_samples(patch):
    """Every draw of normals is used for two samples in a row."""
    right = backend.Stream.normals

    def wrong(self, rows, columns):
        out = right(self, rows, columns)
        out[1::2] = out[: rows - rows % 2 : 2]
        return out

    patch.setattr(backend.Stream, "normals", wrong)


def no_scramble(patch):
    """Sobol' points are not scrambled."""
    _sobol(patch, lambda right, d, **others: right(d, **{**others, "scramble": False}))


def one_scramble(patch):
    """All replicates have the same scramble."""
    _sobol(patch, lambda right, d, **others: right(d, **{**others, "rng": 1}))


def no_balance(patch):
    """Sobol' points are independent uniforms."""

    class Independent:
        def __init__(self, right, d, rng, **others):
            self.random = lambda rows: rng.random((rows, d))

    _sobol(patch, Independent)


def _points(patch: pytest.MonkeyPatch, points: type) -> None:
    """The scrambled points are those of `points`; the net itself stays as it is."""
    _sobol(
        patch,
        lambda right, d, **others: (points if others.get("scramble", True) else right)(
            *((right, d) if others.get("scramble", True) else (d,)), **others
        ),
    )


def equal_coordinates(patch):
    """All coordinates of a Sobol' point are equal."""

    class Equal:
        def __init__(self, right, d, **others):
            one = right(1, **others)
            self.random = lambda rows: np.repeat(one.random(rows), d, axis=1)

    _points(patch, Equal)


def equal_strata(patch):
    """All coordinates of a Sobol' point are in the same stratum, so that k1's law is as it was."""

    class Equal:
        def __init__(self, right, d, rng, **others):
            one, strata = right(1, rng=rng, **others), AT[-1]

            def points(rows):
                below = np.floor(strata * one.random(rows))
                return (below + rng.random((rows, d))) / strata

            self.random = points

    _points(patch, Equal)


def one_net_for_all_coordinates(patch):
    """Coordinates differ in their scramble alone: the means are right, and k1's law is."""

    class Equal:
        def __init__(self, right, d, rng, **others):
            nets = [right(1, rng=stream, **others) for stream in rng.spawn(d)]
            self.random = lambda rows: np.hstack([net.random(rows) for net in nets])

    _points(patch, Equal)


def late_checkpoints(patch):
    """A checkpoint lacks the last unit that it counts."""
    right = traces_module._merge
    patch.setattr(
        traces_module, "_merge",
        lambda moments, ell, at: right(moments, ell, [n - 1 if n > 2 else n for n in at]),
    )  # fmt: skip


def pairs_counted_as_samples(patch):
    """An antithetic pair counts as one sample."""
    return lambda sampler, trace: (
        trace._replace(
            estimate=np.roll(trace.estimate, -1, axis=2)[:, :, :-1],
            std_error=np.roll(trace.std_error, -1, axis=2)[:, :, :-1],
            samples=trace.samples[:-1],
        )
        if sampler.startswith("antithetic")
        else trace
    )


def merged_moments(patch):
    """Blocks are merged as if their means did not differ."""
    right = RunningMoments._add

    def wrong(self, units, mean, comoment):
        total = self._comoment + comoment
        right(self, units, mean, comoment)
        self._comoment = total

    patch.setattr(RunningMoments, "_add", wrong)


def variance_of_theory(patch):
    """The theory's variance of k1 is 5 % too large."""
    _unit(patch, "k1", variance=1.05)


def formula_of_strata(patch):
    """The variance over strata counts one of two tails."""
    right = quadratic_form.stratified

    def wrong(form: Any, n: int) -> Any:
        found = right(form, n)
        return found._replace(variance=0.5 * found.variance)

    patch.setattr(quadratic_form, "stratified", wrong)


def freedom_of_intervals(patch):
    """Intervals take Student's t with one degree of freedom too many."""
    right = summary_module.t_quantile
    patch.setattr(
        summary_module, "t_quantile",
        lambda samples, sampler, estimator: right(
            samples + sampler.map({n: s.points.points for n, s in SAMPLERS.items()}).astype(int),
            sampler, estimator,
        ),
    )  # fmt: skip


def reverse_kl_is_kl(patch):
    """KL(q||p) is given for KL(p||q)."""
    for pair in (Pair, normal.Correlated):
        patch.setattr(pair, "reverse_kl", property(lambda self: self.law.kl))


def doubled_needs(patch):
    """Twice as many samples are said to be needed."""
    right = Forecasts.need

    def wrong(self: Any, *given: Any) -> Any:
        need = right(self, *given)
        return need._replace(samples=need.samples and 2 * need.samples)

    patch.setattr(Forecasts, "need", wrong)


def early_crossing(patch):
    """A tolerance counts as reached at the first checkpoint below it, not from then on."""
    right = budget_module._crossing
    patch.setattr(
        budget_module, "_crossing",
        lambda samples, mse, limit, sampler: right(samples, mse, 2.0 * limit, sampler),
    )  # fmt: skip


def verdict_of_biased(patch):
    """A biased estimator is said to be out of reach only."""
    patch.setattr(budget_estimation, "BIASED", budget_estimation.FAR)


def exact_mse_without_bias(patch):
    """exact_mse is the variance."""
    patch.setattr(Exact, "mse", property(lambda self: self.variance))


def rmse_without_bias(patch):
    """rmse is the standard deviation over replicates."""
    right = summary_module._summarise

    def wrong(*given: Any) -> pd.DataFrame:
        out = right(*given)
        return out.assign(rmse=np.sqrt(out["variance"]))

    patch.setattr(summary_module, "_summarise", wrong)


def mse_without_bias(patch):
    """All squared errors are about the mean over replicates."""
    right = summary_module._summarise

    def wrong(*given: Any) -> pd.DataFrame:
        out = right(*given)
        mse = out["variance"] * (1.0 - 1.0 / out["replicates"])
        return out.assign(mse=mse, rmse=np.sqrt(mse), relative_rmse=np.sqrt(mse) / out["kl"])

    patch.setattr(summary_module, "_summarise", wrong)


def theory_of_another_sampler(patch):
    """The summary has the theory of the cell before."""
    right = summary_module._summarise

    def wrong(*given: Any) -> pd.DataFrame:
        out = right(*given)
        return out.assign(exact_variance=np.roll(out["exact_variance"], 1))

    patch.setattr(summary_module, "_summarise", wrong)


def _flipped(name: str) -> Callable[[pytest.MonkeyPatch], None]:
    def skewness_flipped(patch: pytest.MonkeyPatch) -> None:
        _unit(patch, name, skewness=-1.0)

    skewness_flipped.__name__ = f"skewness_of_{name}_flipped"
    return skewness_flipped


def skewness_of_ell_flipped(patch):
    """The third cumulant of l has the wrong sign."""
    right = QuadraticLaw.ell

    def wrong(self: Any, order: int, paired: bool = False) -> Any:
        value, error = right(self, order, paired)
        signs = [-1.0 if k == 3 else 1.0 for k in range(order + 1)]
        return Moments(value * signs, error)

    patch.setattr(QuadraticLaw, "ell", wrong)


def tilt_of_poisson(patch):
    """Sums over counts end soon beyond both laws' bulk, and miss part of E r^2."""
    right = poisson._windows

    def wrong(rate: float, p_rate: float, d: float) -> Any:
        n, step, powers = right(rate, p_rate, d)
        last = n <= max(rate, p_rate) + 3.0 * max(rate, p_rate) ** 0.5
        return n[last], step[last], powers

    patch.setattr(poisson, "_windows", wrong)


def tilts_of_poisson(patch):
    """The difference of the natural parameters of counts is 1 % too large."""
    right = poisson.log_quotient
    patch.setattr(poisson, "log_quotient", lambda v, w: 1.01 * right(v, w))


def variance_of_heavy_tails(patch):
    """The theory's variance of k3 is 50 times too small."""
    _unit(patch, "k3", variance=0.02)


class Plant(NamedTuple):
    plant: Callable[[pytest.MonkeyPatch], Spoil | None]
    samplers: str
    quantities: set[str]  # those that must see it
    theory: bool = False  # whether it alters the theory
    replicates: int = 200
    counts: bool = False  # whether the study is that of COUNTS


PLANTS = [
    Plant(kl_of_both_sides, "iid", {"kl"}, True),
    Plant(both_coefficients_a, "iid", {"log_ratio_variance"}, True),
    Plant(coefficient_b_of_sampling, "iid", {"std_error"}),
    Plant(slope_of_cv, "iid", {"variance"}),
    Plant(cv_without_its_control, "iid", {"std_error"}),
    Plant(half_of_k2, "iid", {"mean", "std_error"}),
    Plant(bias_of_k2, "iid", {"mean"}, True),
    Plant(clipped_k3, "iid", {"std_error"}),
    Plant(ratio_of_the_other_direction, "iid", {"mean"}),
    Plant(small_standard_errors, "iid", {"std_error"}),
    Plant(antithetic_standard_errors, "antithetic", {"std_error"}),
    Plant(replicates_drawn_twice, "iid", {"repeats"}),
    Plant(one_stream_for_samplers, "iid iid-radial", {"repeats"}),
    Plant(chi_squares_of_a_pair, "antithetic-radial", {"variance", "std_error"}),
    Plant(lost_sign, "antithetic", {"mean", "std_error"}),
    Plant(single_precision, "antithetic", {"mean"}),
    Plant(degrees_of_chi_squares, "iid-radial", {"mean"}),
    Plant(correlated_samples, "iid", {"variance"}),
    Plant(no_scramble, "sobol", {"mean"}),
    Plant(one_scramble, "sobol", {"variance"}),
    Plant(no_balance, "sobol", {"variance"}),
    Plant(late_checkpoints, "iid", {"std_error"}),
    Plant(pairs_counted_as_samples, "antithetic", {"variance", "std_error"}),
    Plant(merged_moments, "iid", {"std_error"}),
    Plant(variance_of_theory, "iid", {"std_error"}, True),
    Plant(formula_of_strata, "sobol", {"variance"}, True),
    Plant(freedom_of_intervals, "iid", {"coverage"}, replicates=500),
    Plant(equal_coordinates, "sobol", {"mean"}),
    Plant(equal_strata, "sobol", {"mean"}),
    Plant(one_net_for_all_coordinates, "sobol", {"median_square"}),
    Plant(reverse_kl_is_kl, "iid", {"reverse_kl"}, True),
    Plant(doubled_needs, "iid", {"samples_needed"}),
    Plant(doubled_needs, "sobol", {"samples_needed"}),
    Plant(early_crossing, "iid", {"samples_needed_measured"}),
    Plant(verdict_of_biased, "iid", {"samples_needed"}),
    Plant(exact_mse_without_bias, "iid", {"exact_mse"}, True),
    Plant(rmse_without_bias, "iid", {"rmse"}),
    Plant(mse_without_bias, "iid", {"mse", "rmse", "relative_rmse"}),
    Plant(theory_of_another_sampler, "iid", {"copied"}),
    Plant(_flipped("k1"), "iid", {"skewness", "exact_skewness"}, True),
    Plant(_flipped("k2"), "iid", {"skewness"}, True),
    Plant(_flipped("k3"), "iid", {"skewness"}, True),
    Plant(skewness_of_ell_flipped, "iid", {"log_ratio_skewness"}, True),
    Plant(tilt_of_poisson, "iid", {"exact_variance"}, True, 20, counts=True),
    Plant(tilts_of_poisson, "iid", {"kl", "reverse_kl", "exact_variance"}, True, 20, counts=True),
    Plant(variance_of_heavy_tails, "iid", {"median_square"}, True),
]


@pytest.mark.parametrize("case", PLANTS, ids=lambda case: case.plant.__name__)
def test_a_planted_error_is_caught(case, theory, monkeypatch):
    spoil = case.plant(monkeypatch) or (lambda sampler, trace: trace)
    of = exact(case.counts) if case.theory else theory
    rows = run(1, of, case.samplers.split(), case.replicates, spoil)
    failed = rows[~rows["passed"]]
    assert case.quantities <= set(failed["quantity"])
    assert failures(rows) is not None


@pytest.fixture(scope="module")
def honest(theory) -> list[pd.DataFrame]:
    return [run(seed, theory, CHOSEN, 100) for seed in range(20)]


def test_honest_studies_pass(honest):
    for seed, rows in enumerate(honest):
        assert failures(rows) is None, seed
        assert {"gamma", "chebyshev", "bennett", "chernoff", "rounding"} <= set(rows["test"])


def test_the_studies_of_the_plants_pass_without_them(theory):
    assert failures(run(1, theory, CHOSEN, 200)) is None
    assert failures(run(1, theory, ["iid"], 500)) is None
    assert failures(run(1, exact(counts=True), ["iid"], 20)) is None


@pytest.mark.parametrize("quantity", ["mean", "variance", "std_error"])
def test_honest_p_values_are_uniform(honest, quantity):
    # At the last checkpoint samplers, seeds and these settings are independent of each other.
    p = pd.concat(honest)
    p = p[(p["samples"] == AT[-1]) & (p["test"] == "gamma") & (p["setting"] != "case")]
    p = p[(p["estimator"] == "k1") & (p["quantity"] == quantity) & (p["setting"] != ALL)]
    assert len(p) > 100
    # The gamma law is matched, not exact: Kolmogorov and Smirnov's test at 1e-4.
    assert kstest(p["p_value"], "uniform").pvalue > 1e-4


@pytest.mark.parametrize("quantity", ["mean", "variance", "std_error"])
def test_honest_pooled_rows_are_as_spread_as_their_bound_allows(honest, quantity):
    rows = pd.concat(honest)
    z = rows.loc[(rows["setting"] == ALL) & (rows["quantity"] == quantity), "z"]
    assert len(z) > 100
    assert abs(z.mean()) < 0.7
    # Settings that share their draws are taken to depend on each other more than they do.
    assert 0.4 < z.std() < 1.2


def test_one_replicate_is_told(theory):
    rows = run(1, theory, ["iid"], 1)
    assert failures(rows) is None
    line = passed_line(rows)
    assert "one replicate has no variance over replicates: no cell's variance was compared" in line
    assert {"mean", "std_error"} <= set(rows.loc[rows["samples"] > 0, "quantity"])


def test_the_errors_that_would_have_been_caught_are_caught(theory, monkeypatch):
    """The smallest errors that a passed gate states are true: errors of 1.5 times are caught."""
    rows = run(1, theory, ["iid"], 200)
    told = smallest_errors(rows)
    assert told["std_error"]["pooled"] < told["std_error"]["best"] < 0.05
    assert told["variance"]["pooled"] < 0.5 * told["variance"]["best"]
    factor = 1.0 + 1.5 * told["std_error"]["pooled"]
    larger = run(1, theory, ["iid"], 200, lambda _, t: t._replace(std_error=factor * t.std_error))
    assert "std_error" in set(larger.loc[~larger["passed"], "quantity"])
    factor = 1.0 + told["std_error"]["pooled"] / 4
    hardly = run(1, theory, ["iid"], 200, lambda _, t: t._replace(std_error=factor * t.std_error))
    assert failures(hardly) is None
