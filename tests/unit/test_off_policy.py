"""Samples of a law s that is not q: exact theory against enumeration, simulation and s = q."""

from __future__ import annotations

import itertools
import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import mpmath
import numpy as np
import pandas as pd
import pytest
import yaml
from click.testing import CliRunner

import mckl
from mckl.api.arguments import request_of
from mckl.cli.commands import main
from mckl.errors import UserError
from mckl.estimation.budget import BIASED
from mckl.estimation.off_policy import WEIGHTS, SampleWeight
from mckl.estimation.off_policy.drawn_estimates import drawn_estimates
from mckl.estimation.off_policy.off_policy_advice import off_policy_advice
from mckl.estimation.off_policy.off_policy_theory import (
    CLAMPED_PRODUCT,
    ENDING,
    NO_CONTROL,
    OUTSIDE,
    TIED,
    SampledLaw,
    averaged,
    off_policy_theory,
    takes_weight,
)
from mckl.estimation.theory import over_units
from mckl.estimation.values import ESTIMATORS, Estimator, UnitTheory
from mckl.families.registry import case_pair, lagging_pair, sampled_pair, sweep_pair
from mckl.record import tables
from mckl.study import off_policy as study
from mckl.study import off_policy_lags
from mckl.study.config import parse
from mckl.study.off_policy import off_policy_rows
from mckl.study.off_policy_gate import with_off_policy
from mckl.study.plan import plan
from mckl.study.settings import case_setting, from_dict, grid_setting
from mckl.study.verification import LEVEL, failures

mp = mpmath.MPContext()
mp.dps = 40

_POLICY, _CATEGORICAL = {"family": "policy"}, {"family": "categorical"}
_G, _H, _D = np.random.default_rng(7).standard_normal((3, 3, 3))


def _policies(q: Any, p: Any, s: Any, **shared: Any) -> dict[str, Any]:
    kind = "transitions" if np.allclose(np.sum(q, axis=1), 1.0) else "logits"
    sides = zip("qps", (q, p, s), strict=True)
    return shared | {side: _POLICY | {kind: np.array(table).tolist()} for side, table in sides}


CASES: Mapping[str, dict[str, Any]] = {
    "categorical": {
        "q": _CATEGORICAL | {"probabilities": [0.7, 0.2, 0.1]},
        "p": _CATEGORICAL | {"probabilities": [0.1, 0.3, 0.6]},
        "s": _CATEGORICAL | {"probabilities": [0.3, 0.5, 0.2]},
    },
    "rare events": {  # of p, of q and of s, and a token that q never takes
        "q": _CATEGORICAL | {"probabilities": [0.9, 0.1 - 1e-9, 1e-9, 0.0]},
        "p": _CATEGORICAL | {"probabilities": [0.8, 0.1, 0.1 - 1e-7, 1e-7]},
        "s": _CATEGORICAL | {"probabilities": [0.95, 0.05 - 1e-6, 1e-6, 0.0]},
    },
    "policy": _policies(_G + 0.5 * _H, _G / 1.2, _G + 0.5 * _H - 0.4 * _D, dimension=3),
    "near": _policies(_G, _G + 1e-4 * _H, _G + 1e-3 * _D, dimension=2),
    "stop": _policies(
        [[0.5, 0.3, 0.2], [0.2, 0.4, 0.4], [0, 0, 1]],
        [[0.3, 0.3, 0.4], [0.4, 0.4, 0.2], [0, 0, 1]],
        [[0.4, 0.4, 0.2], [0.09, 0.61, 0.3], [0, 0, 1]],
        dimension=4, initial=[0.5, 0.5, 0.0], stop=2,
    ),
    "one token": _policies(_G, _G + 0.5 * _H, _G + 0.3 * _D, dimension=1),
}  # fmt: skip


class Drawn(NamedTuple):
    """A sequence of tokens: its probability under s, and l, log w and KL of the row, by token."""

    probability: Any
    tokens: Sequence[tuple[Any, Any, Any]]


@lru_cache(maxsize=8)
def sequences(name: str) -> list[Drawn]:
    """All sequences of a case, from its parameters as they are stored, with 40 digits."""
    case = CASES[name]
    q, p, s = (_rows(case[side]) for side in "qps")
    states, tokens = len(q[0]), case.get("dimension", 1)
    start = case.get("initial", [mp.mpf(1) / len(q)] * len(q))

    def after(state: int, left: int) -> Iterator[Drawn]:
        if not left or state == case.get("stop"):
            yield Drawn(mp.mpf(1), [])
            return
        kl = mp.fsum(a * mp.log(a / b) for a, b in zip(q[state], p[state], strict=True) if a)
        for token in range(states):
            if not s[state][token]:
                continue
            a = q[state][token]
            ell = mp.log(a / p[state][token])
            own = (ell, mp.log(a / s[state][token]), kl)
            for rest in after(token if len(q) > 1 else 0, left - 1):
                yield Drawn(s[state][token] * rest.probability, [own, *rest.tokens])

    return [
        Drawn(mp.mpf(start[state]) * rest.probability, rest.tokens)
        for state in range(len(q)) if start[state]
        for rest in after(state, tokens)
    ]  # fmt: skip


def _rows(side: Mapping[str, Any]) -> list[list[Any]]:
    (value,) = (value for key, value in side.items() if key != "family")
    rows = [[mp.mpf(x) for x in row] for row in np.atleast_2d(value)]
    if "logits" in side:
        rows = [[mp.exp(x) for x in row] for row in rows]
    return [[x / mp.fsum(row) for x in row] for row in rows]


def _function(name: str, ell: Any) -> Any:
    return {
        "ell": ell, "half_square": ell**2 / 2, "k3": mp.expm1(-ell) + ell, "ratio": mp.expm1(-ell),
    }[name]  # fmt: skip


def _weight(weight: SampleWeight, log_ratio: Any) -> Any:
    w = mp.exp(weight.power * log_ratio)
    if weight.masked:
        return w if weight.least <= w <= weight.most else mp.mpf(0)
    return min(max(w, weight.least), weight.most)


def enumerated(name: str, estimator: Estimator, weight: SampleWeight) -> tuple[Any, Any, Any]:
    """The bias, the variance of one sample, and n times what vanishes of the bias."""
    every, function = sequences(name), averaged(estimator)
    assert function is not None
    total = mp.fsum(x.probability * mp.exp(_log_w(x)) * _ell(x) for x in every)  # KL
    rows = []
    for sequence in every:
        ws = [mp.mpf(1)] * len(sequence.tokens)
        if weight.level == "token":
            ws = [_weight(weight, log_w) for _, log_w, _ in sequence.tokens]
        whole = _weight(weight, _log_w(sequence)) if weight.level == "sequence" else mp.mpf(1)
        if function.whole:
            value = _function(function.name, _ell(sequence))
        elif function.name == "rb":
            value = mp.fsum(w * kl for w, (_, _, kl) in zip(ws, sequence.tokens, strict=True))
        else:
            terms = (_function(function.name, ell) for ell, _, _ in sequence.tokens)
            value = mp.fsum(w * term for w, term in zip(ws, terms, strict=True))
        ratios = (w * mp.expm1(-ell) for w, (ell, _, _) in zip(ws, sequence.tokens, strict=True))
        control = mp.expm1(-_ell(sequence)) if function.whole else mp.fsum(ratios)
        mean_weight = whole if weight.level == "sequence" else mp.fsum(ws) / len(ws)
        rows.append((sequence.probability, whole * value, mean_weight, whole * control))

    def mean(f: Any) -> Any:
        return mp.fsum(row[0] * f(*row[1:]) for row in rows)

    y = mean(lambda y, n, x: y)
    if function.control:
        c = mean(lambda y, n, x: x)
        spread = mean(lambda y, n, x: (x - c) ** 2)
        slope = mean(lambda y, n, x: (x - c) * (y - y_mean)) / spread if (y_mean := y) else 0
        e = {id(row): row[1] - y - slope * (row[3] - c) for row in rows}
        of = lambda power, times: mp.fsum(  # noqa: E731
            row[0] * (row[3] - c) ** power * e[id(row)] ** times for row in rows
        )
        k = c / spread
        variance = of(0, 2) - 2 * k * of(1, 2) + k**2 * of(2, 2)
        return y - slope * c - total, variance, -of(2, 1) / spread + k * of(3, 1) / spread
    if weight.normalised:
        n_mean = mean(lambda y, n, x: n)
        rho = y / n_mean
        variance = mean(lambda y, n, x: (y - rho * n) ** 2) / n_mean**2
        return rho - total, variance, -mean(lambda y, n, x: (y - rho * n) * n) / n_mean**2
    return y - total, mean(lambda v, n, x: (v - y) ** 2), mp.mpf(0)


def _ell(sequence: Drawn) -> Any:
    return mp.fsum(ell for ell, _, _ in sequence.tokens)


def _log_w(sequence: Drawn) -> Any:
    return mp.fsum(log_w for _, log_w, _ in sequence.tokens)


@lru_cache(maxsize=8)
def law_of(name: str) -> SampledLaw:
    pair = case_pair(CASES[name])
    return SampledLaw(sampled_pair(pair, CASES[name]["s"]), pair.law)


def theories(name: str) -> Iterator[tuple[Estimator, SampleWeight, UnitTheory]]:
    law = law_of(name)
    for estimator, weight in itertools.product(ESTIMATORS.values(), WEIGHTS.values()):
        if takes_weight(law.chain, estimator, weight):
            yield estimator, weight, off_policy_theory(law, estimator, weight)


@pytest.mark.parametrize("name", CASES)
def test_theory_is_that_of_all_sequences(name: str) -> None:
    known = 0
    for estimator, weight, unit in theories(name):
        if unit.kind == "none":
            assert unit.reason in (CLAMPED_PRODUCT, ENDING), (estimator.name, weight.name)
            continue
        known += 1
        bias, variance, of_bias = enumerated(name, estimator, weight)
        rmse = mp.sqrt(variance + bias**2)
        where = f"{estimator.name}, {weight.name}: bound {unit.relative_error:.1g}"
        bound = unit.relative_error + 1e-14
        assert bound < 1e-6, where
        assert abs(unit.bias - bias) <= bound * rmse, where
        assert abs(unit.variance - variance) <= bound * variance, where
        assert abs(unit.bias_times_n - of_bias) <= bound * max(rmse, abs(of_bias)), where
    assert known > 20


@pytest.mark.parametrize(
    "pair",
    [
        sweep_pair("policy(8)", 16, 1.25, 0.5),
        case_pair(
            {
                "q": _CATEGORICAL | {"probabilities": [0.7, 0.2, 0.1]},
                "p": _CATEGORICAL | {"logits": [0.0, 1.0, 1.5]},
            }
        ),
    ],
    ids=["policy", "categorical"],
)
def test_without_a_lag_every_weight_gives_the_theory_of_samples_of_q(pair: Any) -> None:
    chain = pair.lagging(0.0)
    law = SampledLaw(chain, pair.law)
    for estimator, weight in itertools.product(ESTIMATORS.values(), WEIGHTS.values()):
        if not takes_weight(chain, estimator, weight):
            continue
        unit = off_policy_theory(law, estimator, weight)
        if unit.kind == "none":
            assert unit.reason == CLAMPED_PRODUCT
            continue
        own = estimator.theory(pair.law, False)
        assert unit.bias == pytest.approx(own.bias, rel=1e-9, abs=1e-12), estimator.name
        assert unit.variance == pytest.approx(own.variance, rel=1e-9), (estimator.name, weight.name)
        if not weight.normalised:
            assert unit.bias_times_n == pytest.approx(own.bias_times_n, rel=1e-7, abs=1e-12)


def test_weights_of_sequences_are_unbiased_and_those_of_tokens_are_not() -> None:
    pair = sweep_pair("policy(8)", 16, 1.0, 0.5)
    law = SampledLaw(pair.lagging(0.5), pair.law)
    biases = {
        (name, weight): off_policy_theory(law, ESTIMATORS[name], WEIGHTS[weight]).bias / pair.law.kl
        for name in ("k1", "k3-factor", "rb") for weight in ("none", "token", "sequence")
    }  # fmt: skip
    assert {biases[name, "sequence"] for name in ("k1", "k3-factor", "rb")} == {0.0}
    # What is left with weights of tokens is that s visits other states, whatever the estimator.
    assert biases["k1", "token"] == pytest.approx(biases["k3-factor", "token"], rel=1e-9)
    assert biases["k1", "token"] == pytest.approx(biases["rb", "none"], rel=1e-9)
    assert 0.001 < abs(biases["k1", "token"]) < abs(biases["k1", "none"])


def test_control_variates_with_weights_of_sequences_are_as_drawn() -> None:
    pair = sweep_pair("policy(8)", 16, 1.0, 0.1)
    chain = lagging_pair(pair, 0.05)
    law, samples, replicates = SampledLaw(chain, pair.law), 500, 1000
    offers = [
        (ESTIMATORS[name], WEIGHTS[weight])
        for name in ("cv", "cv-factor") for weight in ("none", "sequence", "sequence-root")
    ]  # fmt: skip
    drawn = drawn_estimates(chain, offers, np.random.default_rng(5), replicates, samples)
    for (estimator, weight), estimates in zip(offers, drawn, strict=True):
        unit = off_policy_theory(law, estimator, weight)
        where = f"{estimator.name}, {weight.name}"
        assert unit.least_units < samples, where
        mean = pair.law.kl + unit.bias + unit.bias_times_n / samples
        error = math.sqrt(unit.variance / samples / replicates)
        assert estimates.mean() == pytest.approx(mean, abs=4.0 * error), where
        # The next order in 1/n is at most a fifth of the leading one.
        assert estimates.var() == pytest.approx(unit.variance / samples, rel=0.2), where
    # A weight that makes the control's mean 0 removes the bias of first order.
    biases = [off_policy_theory(law, *offer).bias / pair.law.kl for offer in offers]
    assert biases[1] == biases[4] == 0.0
    assert abs(biases[0]) > 1e-4


@pytest.mark.parametrize("weight", ["none", "sequence", "sequence-root"])
@pytest.mark.parametrize("name", ["cv", "cv-factor"])
def test_a_control_variate_at_its_borders(name: str, weight: str) -> None:
    """Where q is p every estimate is 0; where weights are huge, nothing is known."""
    same = sweep_pair("policy(8)", 16, 1.0, 0.0)
    law = SampledLaw(lagging_pair(same, 0.1), same.law)
    unit = off_policy_theory(law, ESTIMATORS[name], WEIGHTS[weight])
    assert (unit.bias, unit.variance, unit.kind) == (0.0, 0.0, "exact")
    far = sweep_pair("policy(8)", 256, 0.01, 1.0)
    law = SampledLaw(lagging_pair(far, 100.0), far.law)
    unit = off_policy_theory(law, ESTIMATORS[name], WEIGHTS[weight])
    assert unit.kind == ("asymptotic" if (name, weight) == ("cv-factor", "none") else "none")
    assert unit.reason != NO_CONTROL


def test_tokens_that_s_alone_draws() -> None:
    case = {
        "q": _CATEGORICAL | {"probabilities": [0.8, 0.2, 0.0]},
        "p": _CATEGORICAL | {"probabilities": [0.5, 0.4, 0.1]},
        "s": _CATEGORICAL | {"probabilities": [0.5, 0.4, 0.1]},
    }
    pair = case_pair(case)
    chain = sampled_pair(pair, case["s"])
    law = SampledLaw(chain, pair.law)
    assert off_policy_theory(law, ESTIMATORS["k1"], WEIGHTS["none"]).reason == OUTSIDE
    weighted = off_policy_theory(law, ESTIMATORS["k1"], WEIGHTS["sequence"])
    # By hand: E w = 1, and s is p, so that w = 1/r: 1.6, 0.5 and 0.
    second = 0.5 * (1.6 * math.log(1.6)) ** 2 + 0.4 * (0.5 * math.log(0.5)) ** 2
    assert weighted.bias == 0.0
    assert weighted.variance == pytest.approx(second - pair.law.kl**2, rel=1e-12)


def test_a_weight_at_the_end_of_a_mask_has_no_exact_law() -> None:
    case = {
        "q": _CATEGORICAL | {"probabilities": [0.6, 0.4]},
        "p": _CATEGORICAL | {"probabilities": [0.5, 0.5]},
        "s": _CATEGORICAL | {"probabilities": [0.8, 0.2]},
    }
    pair = case_pair(case)
    chain = sampled_pair(pair, case["s"])
    law, mask = (
        SampledLaw(chain, pair.law),
        SampleWeight("mask", "", "sequence", most=2.0, masked=True),
    )
    assert off_policy_theory(law, ESTIMATORS["k1"], mask).reason == TIED
    clamp = mask._replace(masked=False)
    assert off_policy_theory(law, ESTIMATORS["k1"], clamp).kind == "exact"


def _stopping(s: list[list[float]]) -> dict[str, Any]:
    return CASES["stop"] | {"s": _POLICY | {"transitions": s}}


_S_IS_0 = "no weight q/s makes up for what s never draws"


@pytest.mark.parametrize(
    ("case", "message"),
    [
        (
            CASES["categorical"] | {"s": _CATEGORICAL | {"probabilities": [0.5, 0.5, 0.0]}},
            f"categorical: s is 0 in category 2, counted from 0, where q is not: {_S_IS_0}",
        ),
        (
            _stopping([[0.5, 0.5, 0], [0, 0.5, 0.5], [0, 0, 1]]),
            "policy: s is 0 for token 2 after token 0, counted from 0, where q is not: " + _S_IS_0,
        ),
        (
            CASES["categorical"] | {"s": _CATEGORICAL | {"probabilities": [0.5, 0.5]}},
            "categorical: q has 3 categories and s has 2, expected the same number",
        ),
        (
            CASES["categorical"] | {"s": _CATEGORICAL | {"probabilities": [[0.2, 0.3, 0.5]] * 2}},
            "categorical: q has 1 factor and s has 2, expected the same number",
        ),
        (
            CASES["policy"] | {"s": _CATEGORICAL | {"probabilities": [0.5, 0.5]}},
            "q is policy, s is categorical: expected one family",
        ),
        (
            CASES["policy"] | {"s": CASES["policy"]["s"] | {"dimension": 5}},
            "policy: dimension of q and s differ, expected it once, for both",
        ),
        (
            {"q": {"mean": 0, "sd": 1}, "p": {"mean": 1, "sd": 1}, "s": {"mean": 0, "sd": 2}},
            "normal: a sampler's law is known for policies and categoricals of one factor alone",
        ),
        (
            _stopping([[0.5, 0.5, 0.1], [0, 0.5, 0.5], [0, 0, 1]]),
            "policy: s's row 0, counted from 0, adds up to 1.1, expected 1",
        ),
    ],
)  # fmt: skip
def test_what_is_no_sampler_is_refused_in_one_line(case: dict[str, Any], message: str) -> None:
    pair = case_pair(case)
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        sampled_pair(pair, case["s"])


def test_s_may_be_0_where_q_is() -> None:
    case = CASES["categorical"] | {
        side: _CATEGORICAL | {"probabilities": [0.4, 0.6, 0.0]} for side in "qs"
    }
    assert not sampled_pair(case_pair(case), case["s"]).outside


_SETTINGS = [
    case_setting("engine", CASES["policy"]),
    case_setting("next-token", {side: CASES["categorical"][side] for side in "qp"}),
    grid_setting(8, 1.05, 0.1, "policy(8)"),
]


@lru_cache(maxsize=1)
def _measured() -> pd.DataFrame:
    rows = off_policy_rows(_SETTINGS, [0.1], [*ESTIMATORS], 5, 64, 400)
    return pd.concat([tables.table("off-policy", columns).to_pandas() for columns in rows])


def test_a_study_measures_what_theory_says() -> None:
    measured = _measured().reset_index(drop=True)
    assert measured.groupby("setting", observed=True)["lag"].first().isna().to_dict() == {
        "engine": True, "next-token": False, "policy8-d8-s1.05-o0.1": False,
    }  # fmt: skip
    exact = measured[measured["theory"] == "exact"]
    assert len(exact) > 80
    deviations = (exact["bias"] - exact["exact_bias"]) / np.sqrt(exact["exact_variance"] / 400)
    assert deviations.abs().max() < 4.0
    usual = exact[exact["weight"].isin(["none", "token-truncated", "token-clipped"])]
    ratios = usual["variance"] / usual["exact_variance"]
    assert ratios.between(0.7, 1.4).all()
    leading = measured[measured["theory"] == "asymptotic"]
    assert len(leading) > 10
    ratios = leading["variance"] / leading["exact_variance"]
    assert ratios.between(0.6, 1.6).all()
    assert failures(_judged(measured)) is None


def _judged(measured: pd.DataFrame) -> pd.DataFrame:
    columns = ["setting", "backend", "sampler", "estimator", "samples", "quantity", "measured",
               "exact", "z", "p_value", "passed", "test", "smallest_error"]  # fmt: skip
    return with_off_policy(pd.DataFrame(columns=columns), measured, LEVEL)


@pytest.mark.parametrize(
    ("planted", "quantity"),
    [(lambda exact: exact._replace(bias=exact.bias + 0.2), "off_policy_mean"),
     (lambda exact: exact._replace(variance=0.3 * exact.variance), "off_policy_variance")],
)  # fmt: skip
def test_the_gate_sees_a_planted_error(
    planted: Any, quantity: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(study, "over_units", lambda *unit: planted(over_units(*unit)))
    rows = study.off_policy_rows(_SETTINGS[1:2], [0.1], ["k1", "k3"], 5, 64, 400)
    judged = _judged(tables.table("off-policy", next(rows)).to_pandas())
    failed = judged[~judged["passed"]]
    assert quantity in {*failed["quantity"]}
    assert str(failures(judged)).startswith("theory and measurement disagree in ")


def test_settings_with_a_law_of_the_sampler(schema: Mapping[str, Any]) -> None:
    cases = {
        "engine": CASES["stop"],
        "plain": {k: CASES["stop"][k] for k in CASES["stop"] if k != "s"},
    }
    config = parse({"cases": cases}, schema)
    assert [s.name for s in config.off_policy_settings] == ["engine"]
    config = parse({"cases": cases, "off_policy": {"settings": ["*"], "lags": [1, 0.1]}}, schema)
    assert [s.name for s in config.off_policy_settings] == ["engine", "plain"]
    assert config.off_policy["lags"] == [0.1, 1]
    normal = {"q": {"mean": 0, "sd": 1}, "p": {"mean": 1, "sd": 1}}
    mixed = {"cases": cases | {"normal": normal}, "off_policy": {"settings": ["*"]}}
    assert plan(parse(mixed, schema), []).without_sampler == ["normal"]
    again = from_dict(config.settings[0].as_dict())
    assert again.sampler is not None
    assert parse({}, schema).off_policy_settings == []


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ({"off_policy": {"settings": ["a"]}}, "off_policy.settings: 'a' is no setting of this"),
        ({"off_policy": {"lags": []}}, "off_policy.lags: '[]', expected a list of different lags"),
        ({"off_policy": {"lag": [1]}}, "off_policy.lag: unknown key: did you mean 'lags'"),
        ({"cases": {"a": _stopping([[1, 0, 0], [0, 0.5, 0.5], [0, 0, 1]])}},
         "cases.a: policy: s is 0 for token 1 after token 0, counted from 0, where q is not: "
         + _S_IS_0),
    ],
)  # fmt: skip
def test_a_config_is_refused(given: Any, text: str, schema: Mapping[str, Any]) -> None:
    with pytest.raises(UserError, match=re.escape(text)):
        parse(given, schema)


def test_advice() -> None:
    pair = sweep_pair("policy(32)", 64, 1.05, 0.1)
    found = off_policy_advice(pair, lagging_pair(pair, 0.1), request_of(0.01, None, 0.95))
    options = {option[:2]: option for option in found.options}
    best = found.recommendation
    assert best is not None
    assert best[:2] == ("rb", "none")
    assert options["k1", "none"].verdict == BIASED
    assert options["k1", "none"].samples_needed is None
    # Without a weight the bias of k1 is of the first order in l, and that of k3 of the second.
    assert options["k1", "none"].relative_bias < -0.1
    assert 0.0 < abs(options["k3-factor", "none"].relative_bias) < 0.001
    # An option that reaches the tolerance has an RMSE of at most this with its samples.
    for option in found.options:
        if option.samples_needed is not None:
            assert option.expected_rmse <= found.request.limit, option
        assert option.theory == "none" or option.relative_error < 1e-6
    assert "from drawn tokens alone, k3-factor with no weight needs" in best.reason
    assert json.loads(json.dumps(found.to_dict(), allow_nan=False))["pair"]["dimension"] == 64
    # k2, which is biased on samples of q too, is not recommended where two biases cancel.
    far = off_policy_advice(pair, lagging_pair(pair, 1.0), request_of(0.01, None, 0.95))
    assert far.recommendation is None
    assert any(option.samples_needed for option in far.options)
    assert "No estimator reaches the tolerance" in str(far)


def test_advice_by_the_command_and_in_python() -> None:
    q, p, s = (dict(CASES["categorical"][side]) for side in "qps")
    found = mckl.advise(q, p, sampler_law=s, tolerance=0.05)
    call = ["advise", "--tolerance", "0.05", "--json"]
    for name, side in (("--q", q), ("--p", p), ("--sampler-law", s)):
        call += [name, json.dumps(side)]
    result = CliRunner().invoke(main, call)
    assert result.exit_code == 0, result.output
    data = json.loads(result.output)
    assert data.pop("mckl") == mckl.__version__
    assert data == found.to_dict()
    with pytest.raises(ValueError, match=r"^samplers: not with sampler_law"):
        mckl.advise(q, p, sampler_law=s, samplers=["iid"])
    with pytest.raises(ValueError, match=r"^sampler_law: s: lag 'much', expected a number from"):
        mckl.advise(q, p, sampler_law={"lag": "much"})
    with pytest.raises(ValueError, match=r"^estimator: samples of another law do not have 'rb'"):
        mckl.advise(q, p, sampler_law=s, estimators=["rb"])


def test_advice_names_the_best_choice_without_a_weight(tmp_path: Path) -> None:
    """Whether a weight pays shows beside what needs none, whichever the estimator is."""
    uniform = {"family": "policy", "transitions": [[0.5, 0.5]] * 2}
    rows = [[0.6, 0.4], [0.3, 0.7]]
    pair = case_pair({"q": uniform | {"transitions": rows, "dimension": 2}, "p": uniform})
    found = off_policy_advice(pair, lagging_pair(pair, 0.5), request_of(0.03, None, 0.95))
    assert found.recommendation is not None
    plain = [o for o in found.options if o.weight == "none" and o.samples_needed is not None]
    best = min((o for o in plain if o.estimator not in ("k2", "k2-factor", "rb")),
               key=lambda option: option.samples)  # fmt: skip
    assert found.recommendation.weight != "none"
    assert best.estimator != found.recommendation.estimator
    said = f"without a weight, {best.estimator} needs {best.samples_needed:,} samples"
    assert said in found.recommendation.reason
    assert "w is q/s of a token, and W that of the sequence." in " ".join(str(found).split())
    # One categorical: no tokens, and a footnote only if a row has its star.
    q, p, s = (dict(CASES["categorical"][side]) for side in "qps")
    text = str(mckl.advise(q, p, sampler_law=s, estimators=["k1"]))
    assert "W is q/s of a sample" in text
    assert ("* only by the leading order" in text) == ("*" in text.split("only by")[0][:-2])
    np.save(tmp_path / "s.npy", [0.5, 0.5])
    call = ["advise", "--q", json.dumps(q), "--p", json.dumps(p), "--sampler-law"]
    result = CliRunner().invoke(main, [*call, str(tmp_path / "s.npy")])
    assert result.exit_code == 2
    assert "expected a text such as {family: categorical, probabilities: " in result.output


def test_what_the_page_says_of_its_engine() -> None:
    """s moves from q towards p in each row, so that errors of tokens do not cancel."""
    page = Path(__file__).resolve().parents[2] / "docs/explanation/off-policy.md"
    (block,) = re.findall(r"```yaml\n(.*?)```", page.read_text("utf-8"), re.DOTALL)
    case = yaml.safe_load(block)["cases"]["engine"]
    pair, request = case_pair(case), request_of(0.01, None, 0.95)
    engine, lag = sampled_pair(pair, case["s"]), lagging_pair(pair, 0.0625)
    found = off_policy_advice(pair, engine, request)
    assert found.recommendation is not None
    assert found.recommendation[:3] == ("cv-factor", "sequence", 62)
    options = [o for o in found.options if o.theory == "exact" and o.samples_needed is not None]
    best = min(options, key=lambda option: option.samples)
    assert best[:2] == ("k3-factor", "sequence-root")
    assert best.samples_needed == 118
    assert found.sampler.effective_share == pytest.approx(0.97, abs=0.005)
    every = {option[:2]: option for option in found.options}
    assert every["k3-factor", "sequence"].samples_needed == 170
    biases = [every["k3-factor", weight].bias_text for weight in ("none", "sequence-root")]
    assert biases == ["+1.9 %", "+0.52 %"]
    mismatches = [SampledLaw(chain, pair.law).mismatch for chain in (engine, lag)]
    assert mismatches == pytest.approx([0.00089, 0.00089], abs=5e-6)
    every = {option[:2]: option for option in off_policy_advice(pair, lag, request).options}
    assert every["k3-factor", "none"].relative_bias == pytest.approx(-0.0009, abs=5e-5)


def test_a_lag_changes_the_law_that_draws_alone() -> None:
    pair = sweep_pair("policy(8)", 4, 1.25, 0.5)
    near, far = (lagging_pair(pair, lag) for lag in (0.1, 0.2))
    assert (near.pair.q == far.pair.q).all()
    # Logits of q less those of s grow in proportion to the lag, up to a constant for each row.
    steps = [x.log_weight - x.log_weight[:, :1] for x in (near, far)]
    assert np.allclose(2.0 * steps[0], steps[1], rtol=1e-12, atol=1e-14)
    # KL(s||q) is of the second order in the lag.
    kls = [SampledLaw(chain, pair.law).mismatch for chain in (near, far)]
    assert kls[1] / kls[0] == pytest.approx(4.0, rel=0.05)


def test_what_the_page_says_of_a_lag(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(off_policy_lags, "LAGS", (0.01, 0.1, 0.4, 1.0))
    lags = off_policy_lags.off_policy_lags()
    assert lags.worth("k1") == (0.1, "token")
    assert lags.worth("k3-factor") == (0.4, "token")
    assert math.isnan(lags.worth("rb")[0])
    bias, rmse = lags.bias, lags.rmse
    # Of k1 it is of first order in the lag, and 50 times that of k3-factor.
    ratio = bias["k1", "none"][1] / bias["k1", "none"][0]
    assert ratio == pytest.approx(10.0, rel=0.1)
    assert abs(bias["k1", "none"][1]) > 50.0 * abs(bias["k3-factor", "none"][1])
    assert np.allclose(bias["k1", "token"], bias["rb", "none"], rtol=1e-6)
    assert (bias["k1", "sequence"] == 0.0).all()
    # A clamp's own bias is in the end larger than the one it was to correct.
    clamped, plain = (bias["k3-factor", weight] for weight in ("token-truncated", "none"))
    assert abs(clamped[3]) > 5.0 * abs(plain[3])
    assert rmse["k3-factor", "sequence"][3] > 1e10


def test_the_mismatch_keeps_its_digits_where_s_is_close_to_q() -> None:
    """KL(s||q) of a categorical against a sum in 40 digits."""
    q = [0.3, 1.1, -0.7]
    s = [0.3, 1.1 + 1e-9, -0.7 - 2e-9]
    pair = case_pair({side: _CATEGORICAL | {"logits": q} for side in "qp"})
    law = SampledLaw(sampled_pair(pair, _CATEGORICAL | {"logits": s}), pair.law)
    weights = [[mp.exp(mp.mpf(x)) for x in side] for side in (s, q)]
    of_s, of_q = ([x / mp.fsum(side) for x in side] for side in weights)
    exact = mp.fsum(a * mp.log(a / b) for a, b in zip(of_s, of_q, strict=True))
    assert abs(law.mismatch - exact) < 1e-12 * exact


def test_a_misspelt_lag_is_named() -> None:
    pair = case_pair(CASES["categorical"])
    with pytest.raises(ValueError, match="s: 'lagg', expected lag, or a family"):
        sampled_pair(pair, {"lagg": 1})


def test_a_mask_that_drops_every_token_leaves_nothing_to_fit() -> None:
    """Every weighted l is 0 then, but KL is not."""
    case = {
        "q": {"family": "policy", "transitions": [[0.77, 0.23], [0.71, 0.29]]},
        "p": {"family": "policy", "transitions": [[0.11, 0.89], [0.57, 0.43]]},
        "s": {"family": "policy", "transitions": [[0.007, 0.993], [0.000002, 0.999998]]},
        "dimension": 2,
        "initial": [1.0, 0.0],
    }
    setting = case_setting("a", case)
    law = SampledLaw(setting.sampler, setting.pair.law)
    found = off_policy_theory(law, ESTIMATORS["cv-factor"], WEIGHTS["token-masked"])
    assert found.kind == "none"
    assert "nothing can be fitted" in str(found.reason)
    plain = off_policy_theory(law, ESTIMATORS["k1"], WEIGHTS["token-masked"])
    assert (plain.bias, plain.variance) == (-setting.pair.law.kl, 0.0)
