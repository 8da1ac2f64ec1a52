"""Estimators that no module knows by name appear wherever estimators do."""

from __future__ import annotations

import json
import math
from functools import partial

import numpy as np
import pytest
from click.testing import CliRunner

import mckl
from mckl.cli.commands import main
from mckl.draw.points import SAMPLERS
from mckl.estimation.given.answer import answer
from mckl.estimation.intervals import Request
from mckl.estimation.stages import stage
from mckl.estimation.values import ESTIMATORS, K1
from mckl.estimation.values.base import (
    Estimator,
    controlled_theory,
    plain_mean,
    theory_of_sum,
)
from mckl.exact.moments import Function
from mckl.families.normal.pair import grid_pair


def halfway(share: float = 0.5) -> Estimator:
    """The mean of l + share (r - 1), an integrand of its own. Unbiased."""
    return plain_mean(
        "halfway", "half_controlled", partial(controlled_theory, slope=1.0 - share),
        uses_ratio=True, ratio_in={"half_controlled": share},
        integrands={"half_controlled": lambda values: values.ell + share * values.ratio},
    )  # fmt: skip


def shrunk_theory(law, paired):
    unit = K1.theory(law, paired)
    return unit._replace(bias=-0.1 * law.kl, variance=0.81 * unit.variance)


# Nine tenths of l, which is biased, and has no unbiased twin.
SHRUNK = plain_mean(
    "k2-again", "shrunk_ell", shrunk_theory,
    integrands={"shrunk_ell": lambda values: 0.9 * values.ell}, consistent=False,
)  # fmt: skip
# l + sum (r_i - 1) / 2 over factors, of which the study has no counterpart for the whole l.
LONE = plain_mean(
    "lone-factor", "half_by_factor",
    partial(theory_of_sum, function=Function("k3", 0.5, 0.5), unbiased=True),
    sums=("ratio",), uses_ratio=True, ratio_in={"half_by_factor": 0.5},
    integrands={"half_by_factor": lambda values: values.ell + 0.5 * values.factor_ratio},
)  # fmt: skip
NEW = (halfway(), SHRUNK, LONE)
NAMES = [estimator.name for estimator in NEW]
Q, P = {"mean": [0.0, 0.0], "sd": 1.0}, {"mean": [0.3, 0.2], "sd": 1.1}


@pytest.fixture(autouse=True)
def extended(monkeypatch):
    for estimator in NEW:
        monkeypatch.setitem(ESTIMATORS, estimator.name, estimator)


def log_ratios(tokens: int = 2) -> np.ndarray:
    """20,000 values of l, in rows of `tokens`."""
    return 0.045 + 0.3 * np.random.default_rng(4).normal(size=(20_000 // tokens, tokens))


def given(**columns):
    """The estimates per sample or sequence of given log-probabilities, by name."""
    found = answer([columns], columns, Request(0.01, True, 0.95, 10**18))
    return {e.estimator: e for e in found.estimates if e.per != "token"}


@pytest.mark.parametrize("sequences", [False, True])
def test_given_samples_have_them(sequences):
    ell = log_ratios(2 if sequences else 1)
    ids = {"sequence": np.repeat(np.arange(len(ell)), 2)} if sequences else {}
    found, whole = given(log_ratio=ell.ravel(), **ids), ell.sum(axis=1)
    values = {
        "halfway": whole + 0.5 * np.expm1(-whole),
        "k2-again": 0.9 * whole,
        "lone-factor": whole + 0.5 * np.expm1(-ell).sum(axis=1),
    }
    assert ("lone-factor" in found) == sequences
    for name in {*values} & {*found}:
        assert found[name].estimate == pytest.approx(values[name].mean(), rel=1e-12)
        error = values[name].std(ddof=1) / math.sqrt(len(whole))
        assert found[name].std_error == pytest.approx(error, rel=1e-9)
        assert (found[name].withheld is None) == (name != "k2-again")
    assert found["k2-again"].withheld == (
        "k2-again is biased, and no unbiased estimator is known to compare with"
    )


def test_weighted_samples_have_them():
    ell = log_ratios()
    log_q = ell.ravel()
    log_sampler = log_q + 0.05 * np.random.default_rng(5).normal(size=ell.size)
    found = given(
        log_q=log_q, log_p=np.zeros(ell.size), log_sampler=log_sampler,
        sequence=np.repeat(np.arange(len(ell)), 2),
    )  # fmt: skip
    weight = np.exp((log_q - log_sampler).reshape(ell.shape).sum(axis=1))
    values = ell.sum(axis=1) + 0.5 * np.expm1(-ell).sum(axis=1)
    expected = np.average(values, weights=weight)
    assert found["lone-factor"].estimate == pytest.approx(expected, rel=1e-12)


def test_the_heavy_tail_of_an_own_integrand_is_where_r_is_large(monkeypatch):
    # l - (r - 1) / 2 has rare, very small values, whose tail index is that of r.
    monkeypatch.setitem(ESTIMATORS, "halfway", halfway(-0.5))
    ell = 1.4 - np.random.default_rng(4).gumbel(scale=0.8, size=20_000)
    assert given(log_ratio=ell)["halfway"].tail_index == pytest.approx(0.8, abs=0.15)


def test_a_watch_takes_the_unbiased_ones():
    ell = log_ratios()
    log_q, sequence = ell.ravel(), np.repeat(np.arange(len(ell)), 2)
    found = given(log_ratio=log_q, sequence=sequence)
    for name in ("halfway", "lone-factor"):
        seen = mckl.Watch(estimator=name).update(log_q, np.zeros(ell.size), sequence=sequence)
        assert seen.estimate == pytest.approx(found[name].estimate, rel=1e-12)
        assert seen.std_error == pytest.approx(found[name].std_error, rel=1e-12)
        assert seen.interval is not None
    for name in ("k2-again", "rb"):
        with pytest.raises(ValueError, match="k1, k3, k3-factor, halfway, lone-factor"):
            mckl.Watch(estimator=name)


@pytest.mark.parametrize("name", NAMES)
def test_estimates_with_an_interval_have_them(name):
    found = mckl.estimate(Q, P, estimator=name, tolerance=0.1, seed=1)
    if name == "k2-again":
        assert "k2-again is biased by" in found.withheld
        return
    low, high = found.interval
    assert low < mckl.kl(Q, P) < high
    assert high - low <= 0.2 * found.estimate


def test_answers_in_python_name_them():
    ell = log_ratios()
    from_samples = mckl.from_log_probs(ell, np.zeros(ell.shape)).to_dict()
    for found in (from_samples, mckl.advise(Q, P).to_dict()):
        assert all(f'"{name}"' in json.dumps(found) for name in NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_the_command_has_them(name, tmp_path):
    np.save(tmp_path / "ell.npy", log_ratios(1)[:, 0])
    both = ("--q", json.dumps(Q), "--p", json.dumps(P))
    for words in (
        ("advise", *both, "--estimator", name, "--sampler", "iid", "--sampler", "sobol"),
        ("estimate", *both, "--estimator", name, "--tolerance", "0.1"),
        ("estimate", "--log-ratio", str(tmp_path / "ell.npy")),
    ):
        done = CliRunner().invoke(main, words, catch_exceptions=False)
        # 3 and 4 mean that the bias forbids an answer.
        assert done.exit_code in ((3, 4) if name == "k2-again" else (0,)) or "--log-ratio" in words
        assert name in done.stdout or (name == "lone-factor" and "--log-ratio" in words)


@pytest.mark.parametrize("estimator", NEW, ids=NAMES)
def test_a_stage_has_the_moments_of_its_theory(estimator):
    pair = grid_pair(2, 1.1, 0.3)
    sampler = SAMPLERS["iid"]
    made = stage(
        sampler.form(pair), sampler, estimator, 2**16, seed=1, name="test", factors=2,
        summand={estimator.products[0][0]: 1.0},
    )  # fmt: skip
    unit = estimator.theory(pair.law, False)
    assert abs(made.estimate - pair.law.kl - unit.bias) < 5 * math.sqrt(unit.variance / 2**16)
    assert made.spread == pytest.approx(math.sqrt(unit.variance), rel=0.02)
    assert made.tail_index < 0.6  # of many normal values it is about 0.2, and of r = p/q 0.5
