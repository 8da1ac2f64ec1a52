"""The TensorFlow backend with every family: the same l at the same points, and registered KLs."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
import yaml
from scipy import stats
from workflow.study import CHECKOUT

from mckl.arrays import Vector
from mckl.draw.points import SAMPLERS
from mckl.errors import UserError
from mckl.estimation.traces import checkpoints, traces
from mckl.estimation.values import ESTIMATORS
from mckl.exact.factor_sums import SUMS
from mckl.families.base import Pair
from mckl.families.registry import FAMILIES, case_pair, sweep_pair
from mckl.study.config import Config, parse
from mckl.study.plan import Job, plan
from mckl.study.registered import registered_rows
from mckl.study.settings import grid_setting

Side = Mapping[str, Any]
Q_COVARIANCE = [[1.0, 0.75, 0.1], [0.75, 1.0, 0.2], [0.1, 0.2, 2.0]]
P_COVARIANCE = [[2.0, 0.1, 0.0], [0.1, 1.0, 0.3], [0.0, 0.3, 1.5]]
CASES: Mapping[str, tuple[Side, Side]] = {
    "correlated": (
        {"mean": [0, 1, 2], "covariance": Q_COVARIANCE},
        {"mean": [0.5, 1, 1.5], "covariance": P_COVARIANCE},
    ),
    "unlike": (
        {"family": "student-t", "df": [5, 10, 10], "location": [0, 1, 2], "scale": 1.5},
        {"family": "logistic", "location": 0.5, "scale": [1, 2, 1]},
    ),
    "heavy": (
        {"family": "laplace", "location": [0, 1]},
        {"family": "student-t", "df": 3, "scale": [1, 2]},
    ),
    "gammas": (
        {"family": "gamma", "shape": [2, 0.5, 30], "rate": [1, 3, 2]},
        {"family": "gamma", "shape": [3, 0.7, 28], "rate": [0.5, 2, 2]},
    ),
    "tiny gammas": (
        {"family": "gamma", "shape": [0.002, 0.05], "rate": [1, 3]},
        {"family": "gamma", "shape": [0.003, 2.0], "rate": [0.5, 2]},
    ),
    "factors": (
        {"mean": [0, 1], "scale_tril": [[1, 0], [0.75, 0.5]]},
        {"mean": 0, "scale_tril": [[1, 0], [0.25, 2]]},
    ),
    "categories": (
        {"family": "categorical", "probabilities": [0.7, 0.3, 0.0, 0.0]},
        {"family": "categorical", "probabilities": [0.1, 0.3, 0.6, 0.0]},
    ),
    "counts": (
        {"family": "poisson", "rate": [2, 3, 0.5]},
        {"family": "poisson", "rate": [1, 1, 4]},
    ),
    "shares": (
        {"family": "dirichlet", "concentration": [2, 3, 0.5]},
        {"family": "dirichlet", "concentration": [1, 1, 4]},
    ),
}
SWEPT = ("student-t(5)", "laplace", "logistic", "gamma(2)")
PAIRS: Mapping[str, Pair] = {
    **{text: sweep_pair(text, 7, 1.25, 0.25) for text in SWEPT},
    **{name: case_pair({"q": q, "p": p}) for name, (q, p) in CASES.items()},
}


ROWS = 1024  # everywhere, so that little is compiled


def stream_of(backend: str) -> Any:
    """The class of a backend's streams."""
    module = importlib.import_module(f"mckl.draw.backends.{backend}")
    return module.Stream if backend == "numpy" else module.TensorflowStream


def kernel_of(backend: str) -> Any:
    """The class with which a backend evaluates forms."""
    module = importlib.import_module(f"mckl.draw.backends.{backend}")
    return module.NumpyKernel if backend == "numpy" else module.TensorflowKernel


def drawn(backend: str, pair: Pair, sampler: str, rows: int = ROWS) -> list[Vector]:
    """The first rows of a stream, as float64."""
    seed, form = np.random.SeedSequence(5), pair.form()
    draw = SAMPLERS[sampler].points.start(stream_of(backend)(seed), form, seed)(rows)
    return [np.array(x, dtype=np.float64) for x in draw]


def evaluated(
    backend: str, pairs: list[Pair], numbers: list[Vector], signs: int, dtype: str = "float64",
    sums: tuple[str, ...] = (),
) -> Vector:  # fmt: skip
    """The backend's l at these numbers, shape (signs, pairs, rows); with sums by factor below."""
    forms, rows = [pair.form() for pair in pairs], len(numbers[0])
    more = {} if backend == "numpy" else {"units": rows, "dtype": dtype}
    kernel = kernel_of(backend)(forms, signs, names=sums, **more)
    every = kernel.evaluate([lambda _: [x.copy() for x in numbers]], rows)[..., 0, :]
    return every if sums else every[0]


AGREE = [
    *((name, "iid") for name in PAIRS),
    *((name, "sobol") for name, pair in PAIRS.items() if SAMPLERS["sobol"].offered(pair)),
    *((name, "antithetic") for name in (*SWEPT[1:], "correlated")),
]
SINGLE = ("student-t(5)", "gamma(2)", "correlated", "categories")


@pytest.mark.parametrize(
    ("name", "sampler"),
    [("correlated", "iid"), ("correlated", "antithetic"), ("laplace", "antithetic"),
     ("gammas", "iid"), ("tiny gammas", "iid"), ("counts", "iid"), ("categories", "iid")],
)  # fmt: skip
def test_sums_over_factors_agree(name, sampler):
    pair, signs = PAIRS[name], SAMPLERS[sampler].points.points
    numbers = drawn("numpy", pair, "iid")
    ours, theirs = (
        evaluated(backend, [pair], numbers, signs, sums=tuple(SUMS))
        for backend in ("numpy", "tensorflow")
    )
    assert ours.shape == theirs.shape == (4, signs, 1, ROWS)
    # Two log densities are subtracted: about 1e-15 times their size is lost in every factor.
    assert np.allclose(theirs, ours, rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize(("name", "sampler"), AGREE)
def test_both_backends_agree_at_the_same_points(name: str, sampler: str) -> None:
    """They agree to 1e-12 of the size of l, in float32 to 1e-4."""
    pair, signs = PAIRS[name], SAMPLERS[sampler].points.points
    numbers = drawn("numpy", pair, sampler)
    ours = evaluated("numpy", [pair], numbers, signs)
    # NumPy draws the logarithms of a Dirichlet law's coordinates.
    points = [np.exp(x) for x in numbers] if name == "shares" else numbers
    assert np.std(ours) > 0.01
    for dtype, close in (("float64", 1e-12), ("float32", 1e-4)):
        if dtype == "float32" and (sampler != "iid" or name not in SINGLE):
            continue
        theirs = evaluated("tensorflow", [pair], points, signs, dtype)
        assert theirs.shape == ours.shape
        assert np.abs(theirs - ours).max() <= close * np.abs(ours).max()


def test_a_correlated_pair_has_the_densities_of_its_covariances() -> None:
    """l at rotated coordinates against TFP's two densities at the point z itself."""
    import tensorflow_probability as tfp

    q, p = CASES["correlated"]
    laws = [
        tfp.distributions.MultivariateNormalTriL(
            np.array(side["mean"], float), np.linalg.cholesky(side["covariance"])
        )
        for side in (q, p)
    ]
    numbers = drawn("tensorflow", PAIRS["correlated"], "iid")
    # z - mu_q = R W rho g, with W from Sigma_p = R R^T as docs/explanation/theory.md has it
    root = np.linalg.cholesky(P_COVARIANCE)
    inverse = np.linalg.inv(root)
    within = inverse @ (np.array(Q_COVARIANCE) - P_COVARIANCE) @ inverse.T
    twice_a, rotation = np.linalg.eigh(within)
    columns = root @ rotation * np.sqrt(1.0 + twice_a)
    np.testing.assert_allclose(columns @ columns.T, Q_COVARIANCE, rtol=1e-13)
    ell = evaluated("tensorflow", [PAIRS["correlated"]], numbers, 1)[0, 0]
    # An eigenvector's sign is free; l has the same values for one choice of the signs.
    differences = []
    for signs in np.stack(np.meshgrid(*[[-1, 1]] * 3), -1).reshape(-1, 3):
        z = np.array(q["mean"]) + (signs * numbers[0]) @ columns.T
        differences.append(
            np.abs(np.asarray(laws[0].log_prob(z) - laws[1].log_prob(z)) - ell).max()
        )
    assert min(differences) < 1e-12
    assert sorted(differences)[1] > 0.01


@pytest.mark.parametrize("name", PAIRS)
def test_streams_have_their_laws(name: str) -> None:
    """Kolmogorov's distance between the backends' l, below what chance gives in 10^7 tests."""
    pair = PAIRS[name]
    first, others = (drawn(backend, pair, "iid") for backend in ("tensorflow", "numpy"))
    theirs = evaluated("tensorflow", [pair], first, 1)[0, 0]
    ours = evaluated("numpy", [pair], others, 1)[0, 0]
    # Rounded, since l of counts and categories has few values.
    assert stats.ks_2samp(theirs.round(9), ours.round(9)).pvalue > 1e-7
    for x, shorter in zip(first, drawn("tensorflow", pair, "iid", 333), strict=True):
        assert np.array_equal(x[:333], shorter)


@pytest.mark.parametrize("text", SWEPT[1:])  # student-t takes long to compile
def test_settings_share_their_draws_and_keep_their_bits(text: str) -> None:
    """A trace is the same with others beside it, in other groups and beside a longer one."""
    pairs = {f"{o}": sweep_pair(text, 3, 1.25, o) for o in (0.0, 0.5)}
    # Gamma draws by its shape, in which q of two offsets differ.
    assert len({pair.form().shape for pair in pairs.values()}) == (2 if "gamma" in text else 1)

    def run(chosen: Mapping[str, Pair], samples: int, at_once: int, sampler: str) -> Vector:
        found = traces(
            chosen, "tensorflow", SAMPLERS[sampler], [ESTIMATORS["k1"]], seed=1,
            samples=checkpoints(samples, 1), replicates=3, at_once=at_once,
        )  # fmt: skip
        return np.stack([trace.estimate[0] for trace in found])

    for sampler in ("iid", "antithetic", "sobol"):
        whole = run(pairs, 1500, 3, sampler)
        assert np.isfinite(whole).all()
        last = dict([list(pairs.items())[1]])
        alone = run(last, 500, 1, sampler)[..., :-1]  # without the checkpoint at 500
        assert np.array_equal(whole[1:, :, : alone.shape[-1]], alone)


LACKED = {
    "beta": {side: {"family": "beta", "a": a, "b": 1} for side, a in (("q", 2), ("p", 1))},
    "chain": {key: {"family": "policy", "transitions": [[0.7, 0.3], [0.4, 0.6]]} for key in "qp"}
    | {"dimension": 3},
    "mixture": {"q": {"family": "mixture", "weights": [0.5, 0.5],
                      "components": [{"mean": 0, "sd": 1}, {"mean": 3, "sd": 1}]},
                "p": {"mean": 1, "sd": 2}},
}  # fmt: skip


def test_what_the_backend_lacks_is_left_out_with_a_line() -> None:
    schema = yaml.safe_load((CHECKOUT / "workflow/schemas/config.schema.yaml").read_text())
    normal = {"q": {"mean": 0, "sd": 1}, "p": {"mean": 1, "sd": 2}}

    def study(backends: list[str], **cases: Any) -> Config:
        return parse({"cases": cases, "backends": backends}, schema)

    both = study(["numpy", "tensorflow"], **LACKED, normal=normal)
    assert [s.name for s in both.settings] == [*sorted(LACKED), "normal"]
    assert len(both.chunks["numpy"]) == len(LACKED) + 1
    assert [*both.chunks["tensorflow"]] == ["case-normal"]
    estimates = [Job("estimate", (b, c)) for b in both.backends for c in both.chunks[b]]
    made = plan(both, estimates)
    left_out = f"{', '.join(sorted(LACKED))} with tensorflow"
    assert f"left out, as the backend has no such law: {left_out}" in made.lines(1, "")
    assert made.estimations == len(made.jobs) == len(LACKED) + 2
    alone = study(["tensorflow"], **LACKED, normal=normal)
    assert [s.name for s in alone.settings] == ["normal"]
    with pytest.raises(UserError, match=r"^backends: 'tensorflow' can draw none of the settings"):
        study(["tensorflow"], **LACKED)
    assert not parse({"sweep": {"family": [*SWEPT]}, "backends": ["tensorflow"]}, schema).left_out


def test_a_setting_without_a_registered_kl_has_no_row() -> None:
    settings = [grid_setting(3, 1.25, 0.25, text) for text in ("normal", *SWEPT)]
    rows = registered_rows(settings)
    expected = [s for s in settings if s.family in ("normal", "laplace", "gamma(2)")]
    assert rows["setting"] == [s.name for s in expected]
    assert rows["registered_kl"] == pytest.approx([s.pair.law.kl for s in expected], rel=1e-12)
    assert rows["registered_kl_float32"] == pytest.approx(rows["kl"], rel=1e-5)
    assert {len(column) for column in registered_rows(settings[1:2]).values()} == {0}


@pytest.mark.parametrize(
    ("name", "q", "p"),
    [
        ("normal", {"mean": [1, 4], "sd": [1, 2]}, {"mean": [-3, 2], "sd": [2.5, 1]}),
        ("normal", *CASES["correlated"]),
        ("laplace", {"location": [0, 1], "scale": [1, 2]},
         {"location": [0.5, -1], "scale": [1.25, 1.5]}),
        ("gamma", *CASES["gammas"]),
        ("beta", {"a": [2, 0.3], "b": [3, 0.5]}, {"a": [1, 0.6], "b": [1, 2]}),
        ("categorical", {"probabilities": [0.7, 0.2, 0.1]}, {"probabilities": [0.1, 0.3, 0.6]}),
        ("categorical", *CASES["categories"]),
        ("dirichlet", *CASES["shares"]),
        # Terms of size 5,000 leave the formula fewer digits; the gate allows for them.
        ("dirichlet", {"concentration": [1000, 800]}, {"concentration": [1001, 800]}),
    ],
)  # fmt: skip
def test_registered_kl(name: str, q: Side, p: Side) -> None:
    from mckl.draw.backends.tensorflow import registered_kl

    family = FAMILIES[name]
    sides = [{k: v for k, v in side.items() if k != "family"} for side in (q, p)]
    pair = family.side(sides[0]).against(family.side(sides[1]))
    for one in (pair, pair.reversed()) if np.isfinite(pair.reverse_kl) else (pair,):
        registered = registered_kl(one)
        terms = sum(f.times * f.q.terms for f in one.distributions() or ())
        assert registered == pytest.approx(
            one.law.kl, rel=1e-12, abs=1e-14 * max(terms, one.dimension)
        )
