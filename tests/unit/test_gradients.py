"""Gradient estimators: laws against enumeration, quadrature, simulation and known values."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from numpy.polynomial.hermite_e import hermegauss
from numpy.testing import assert_allclose

from mckl.arrays import Vector
from mckl.estimation.gradients import METHODS
from mckl.estimation.gradients.base import ByFactor, GradientLaw, Method, Totals, Whole, law_of
from mckl.estimation.gradients.gradient_advice import gradient_advice
from mckl.estimation.gradients.gradient_theory import exact, needed, norm, total
from mckl.estimation.gradients.simulate import gradient_checkpoints, simulate
from mckl.estimation.gradients.weights import k3_below
from mckl.families.policy.scores import ChainScores
from mckl.families.registry import case_pair, sweep_pair
from mckl.families.scores import Scores
from mckl.record import tables
from mckl.study import gradients as study
from mckl.study.gradient_gate import with_gradients
from mckl.study.gradients import compare, rows
from mckl.study.settings import Setting, case_setting, grid_setting
from mckl.study.tails import self_normalised_p_value
from mckl.study.training import training_rows
from mckl.study.verification import LEVEL, failures

Q3, P3 = np.array([0.7, 0.2, 0.1]), np.array([0.1, 0.3, 0.6])


def categorical(
    q: Sequence[float] = (0.7, 0.2, 0.1), p: Sequence[float] = (0.1, 0.3, 0.6)
) -> Scores:
    sides = {"q": q, "p": p}
    scores = case_pair(
        {k: {"family": "categorical", "probabilities": [*v]} for k, v in sides.items()}
    ).scores
    assert scores is not None
    return scores


def normal(dimension: int, scale: float, offset: float) -> Scores:
    scores = sweep_pair("normal", dimension, scale, offset).scores
    assert scores is not None
    return scores


def notebook() -> Scores:
    q, p = {"mean": [1, 4], "sd": [1, 1]}, {"mean": [-3, 2], "sd": [2.5, 2.5]}
    scores = case_pair({"q": q, "p": p}).scores
    assert scores is not None
    return scores


def chain(tokens: int) -> ChainScores:
    q, p = np.array([[0.7, 0.3], [0.4, 0.6]]), np.full((2, 2), 0.5)
    return ChainScores(np.array([1.0, 0.0]), q, np.log(q / p), tokens)


def law(name: str, scores: Scores) -> GradientLaw:
    return law_of(METHODS[name], scores)


def test_exact_numbers_of_the_categorical() -> None:
    scores = categorical()
    assert_allclose(scores.gradient, [0.5908294, -0.3014667, -0.2893628], atol=5e-8)
    assert total(law("score", scores).variance, scores.count) == pytest.approx(0.3150687, abs=5e-8)
    with_kl = law("score-kl", scores)  # a baseline can hurt
    assert total(with_kl.variance, scores.count) == pytest.approx(1.1861446, abs=5e-8)
    k3 = exact(law("k3-loss", scores), scores, 1)
    assert_allclose(law("k3-loss", scores).mean, [0.6, -0.1, -0.5], atol=1e-15)
    assert k3.relative_bias == pytest.approx(0.403, abs=5e-4)
    assert k3.cosine == pytest.approx(0.929, abs=5e-4)
    assert exact(law("k3-reward", scores), scores, 1).cosine == pytest.approx(-0.027, abs=5e-4)


# A method's vector at one sample, from its definition: l and the score of every factor, KL, and for
# the sum over the next token the mean of l, and that of l times the score, given the prefix.
LOW, HIGH = k3_below(10.0)
Definition = Callable[[Vector, Vector, float, Vector, Vector], Vector]


def to_go(x: Vector) -> Vector:
    return np.cumsum(x[::-1])[::-1]


def k3(x: Vector) -> Vector:
    return np.exp(-x) - 1 + x


DEFINITIONS: dict[str, Definition] = {
    "score": lambda x, s, kl, m, e: x.sum() * s.sum(0),
    "score-kl": lambda x, s, kl, m, e: (x.sum() - kl) * s.sum(0),
    "k1-loss": lambda x, s, kl, m, e: s.sum(0),
    "k2-loss": lambda x, s, kl, m, e: x.sum() * s.sum(0),
    "k3-loss": lambda x, s, kl, m, e: (1 - np.exp(-x.sum())) * s.sum(0),
    "k3-reward": lambda x, s, kl, m, e: k3(x.sum()) * s.sum(0),
    "k3-loss-ratio": lambda x, s, kl, m, e: (k3(x.sum()) + 1 - np.exp(-x.sum())) * s.sum(0),
    "k1-reward-clamped": lambda x, s, kl, m, e: np.clip(x.sum(), -10, 10) * s.sum(0),
    "full-sum": lambda x, s, kl, m, e: e.sum(0),
    "full-sum-to-go": lambda x, s, kl, m, e: e.sum(0) + (to_go(m) - m) @ s,
    "score-to-go": lambda x, s, kl, m, e: to_go(x) @ s,
    "k2-loss-factor": lambda x, s, kl, m, e: x @ s,
    "k3-loss-factor": lambda x, s, kl, m, e: (1 - np.exp(-x)) @ s,
    "k3-reward-factor": lambda x, s, kl, m, e: k3(x) @ s,
    "k3-reward-to-go": lambda x, s, kl, m, e: to_go(k3(x)) @ s,
    "k3-loss-ratio-factor": lambda x, s, kl, m, e: (k3(x) + 1 - np.exp(-x)) @ s,
    "score-to-go-clamped": lambda x, s, kl, m, e: to_go(np.clip(x, -10, 10)) @ s,
    "k3-loss-clamped": lambda x, s, kl, m, e: np.where(k3(x) < 10, 1 - np.exp(-x), 0) @ s,
}


def definition(method: Method) -> Definition:
    """The vector of a method's one sample, by hand above, or else as its form says in words."""
    form = method.form
    if method.name in DEFINITIONS:
        return DEFINITIONS[method.name]
    if isinstance(form, Whole):
        return lambda x, s, kl, m, e: (
            (x.sum() - kl if form.centred else form.weight.at(x.sum())) * s.sum(0)
        )
    assert isinstance(form, ByFactor)
    now, later, expected = form.rule

    def vector(x: Vector, s: Vector, kl: float, m: Vector, e: Vector) -> Vector:
        total = e.sum(0) if expected else now.at(x) @ s
        if later is not None:
            ahead = m if expected else later.at(x)
            total = total + (to_go(ahead) - ahead) @ s
        return np.asarray(total)

    return vector


@pytest.mark.parametrize("name", DEFINITIONS)
def test_the_forms_are_their_definitions(name: str) -> None:
    """The general reading of a form, which methods without a definition above are held to."""
    rng = np.random.default_rng(2)
    x, m = rng.normal(scale=4.0, size=(2, 5))
    s, e = rng.normal(size=(2, 5, 3))
    renamed = METHODS[name]._replace(name="another")
    got = definition(renamed)(x, s, 0.7, m, e)
    assert_allclose(got, DEFINITIONS[name](x, s, 0.7, m, e), rtol=1e-12)


def check(name: str, scores: Scores, weights: Vector, vectors: Vector, rtol: float) -> None:
    """The law of one sample against all its values with their probabilities."""
    found = law(name, scores)
    mean = weights @ vectors
    size = math.sqrt(float((weights @ vectors**2).sum()))
    assert_allclose(found.mean, mean, rtol=rtol, atol=rtol * size)
    away = vectors - mean
    assert_allclose(found.variance, weights @ away**2, rtol=rtol, atol=rtol * size**2)
    assert_allclose(found.fourth, weights @ away**4, rtol=rtol, atol=rtol * size**4)


def enumerated(
    start: Vector, q: Vector, p: Vector, tokens: int
) -> tuple[Vector, list[tuple[Vector, Vector, Vector, Vector]]]:
    """Every sequence: its probability, and l, score, mean l and mean l times score by token."""
    states = len(q)
    weights, out = [], []
    ell = np.log(np.where(q > 0, q, 1.0) / np.where(q > 0, p, 1.0))
    later = (q * ell).sum(axis=1)
    for z in itertools.product(range(states), repeat=tokens + 1):
        steps = [*itertools.pairwise(z)]
        weight = start[z[0]] * math.prod(q[a, b] for a, b in steps)
        if not weight:
            continue
        score, expected = np.zeros((2, tokens, states, states))
        for t, (a, b) in enumerate(steps):
            score[t, a] -= q[a]
            score[t, a, b] += 1.0
            expected[t, a] = q[a] * (ell[a] - later[a])
        weights.append(weight)
        out.append((
            np.array([ell[s] for s in steps]), score.reshape(tokens, -1),
            np.array([later[a] for a, _ in steps]), expected.reshape(tokens, -1),
        ))  # fmt: skip
    return np.array(weights), out


TABLE_Q = np.array([[0.5, 0.3, 0.2], [0.6, 0.4, 0.0], [0.1, 0.05, 0.85]])
TABLE_P = np.array([[0.02, 0.38, 0.6], [0.3, 0.5, 0.2], [0.6, 0.3, 0.1]])
START = np.array([0.75, 0.25, 0.0])


def test_laws_of_a_chain_by_enumeration() -> None:
    """One transition has p = 19 q, beyond the clamp; one is impossible under q."""
    tokens = 4
    table_p = TABLE_P / TABLE_P.sum(axis=1, keepdims=True)
    q = TABLE_Q.copy()
    q[2] = [0.03, 0.12, 0.85]
    weights, samples = enumerated(START, q, table_p, tokens)
    with np.errstate(divide="ignore"):
        scores = ChainScores(START, q, np.log(q / table_p), tokens)
    assert (table_p[2, 0] / q[2, 0]) > math.exp(-LOW)
    kl = sum(w * x[0].sum() for w, x in zip(weights, samples, strict=True))
    assert scores.kl == pytest.approx(kl, rel=1e-13)
    offered = [m for m in METHODS.values() if m.offered(scores) and not m.baseline]
    assert {m.name for m in offered} >= {*DEFINITIONS}
    for method in offered:
        if isinstance(method.form, Whole) and method.form.weight.terms is None:  # a clamp
            assert np.isnan(law(method.name, scores).mean).all()
            continue
        f = definition(method)
        vectors = np.stack([f(x, s, kl, m, e) for x, s, m, e in samples])
        check(method.name, scores, weights, vectors, 1e-11)


def test_gradient_of_a_chain_is_that_of_its_kl() -> None:
    """By the complex step through the sum over all sequences."""
    logits, tokens = np.log(TABLE_Q[[0, 2]][:, :2]), 5
    q = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    p = np.array([[0.2, 0.8], [0.7, 0.3]])

    def kl(x: Vector) -> complex:
        table = np.exp(x) / np.exp(x).sum(axis=1, keepdims=True)
        total = 0.0
        for z in itertools.product(range(2), repeat=tokens):
            steps = [*itertools.pairwise((0, *z))]
            w = math.prod((table[s] for s in steps), start=1.0)
            total = total + w * sum(np.log(table[s] / p[s]) for s in steps)
        return complex(total)

    scores = ChainScores(np.array([1.0, 0.0]), q, np.log(q / p), tokens)
    for i, (a, b) in enumerate(np.ndindex(2, 2)):
        x = logits.astype(complex)
        x[a, b] += 1e-30j
        assert scores.gradient[i] == pytest.approx(kl(x).imag * 1e30, rel=1e-12)


def test_laws_of_a_categorical_by_enumeration() -> None:
    """With a category that q never takes, and one with p = 19 q, beyond the clamp."""
    q, p = np.array([0.68, 0.3, 0.02, 0.0]), np.array([0.3, 0.22, 0.38, 0.1])
    scores = categorical(q, p)
    assert scores.parameter_count == 3
    taken = np.log(q[:3] / p[:3])
    kl = float(q[:3] @ taken)
    assert_allclose(scores.gradient, q * (np.append(taken, 0.0) - kl), rtol=1e-12)
    for method in METHODS.values():
        if not method.offered(scores) or method.baseline:
            continue
        vectors = []
        for i, l in enumerate(taken):  # noqa: E741
            s = np.eye(4)[i] - q
            f = definition(method)
            vectors.append(f(np.array([l]), s[None], kl, np.array([kl]), scores.gradient[None]))
        check(method.name, scores, q[:3], np.array(vectors), 1e-11)


@pytest.mark.parametrize("p_sd", [(1.1, 0.85), (0.6, 0.9)])
def test_laws_of_normals_by_quadrature(p_sd: tuple[float, float]) -> None:
    q_mean, q_sd, p_mean = np.array([0.3, -0.2]), np.array([1.0, 0.9]), np.array([0.0, 0.1])
    p = np.array(p_sd)
    pair = case_pair(
        {"q": {"mean": [*q_mean], "sd": [*q_sd]}, "p": {"mean": [*p_mean], "sd": [*p]}}
    )
    scores = pair.scores
    assert scores is not None
    nodes, mass = hermegauss(84)
    e = np.stack([x.ravel() for x in np.meshgrid(nodes, nodes)], axis=1)
    weights = np.outer(mass, mass).ravel() / (2 * math.pi)
    z = q_mean + q_sd * e
    ell = np.log(p / q_sd) - 0.5 * e**2 + 0.5 * ((z - p_mean) / p) ** 2  # of every coordinate
    score = np.zeros((len(e), 2, 4))
    for i in range(2):
        score[:, i, i], score[:, i, 2 + i] = e[:, i], e[:, i] ** 2 - 1
    kl = float(weights @ ell.sum(axis=1))
    nothing = np.zeros(2)
    for name in DEFINITIONS.keys() - {"k3-loss-clamped", "k1-reward-clamped"}:
        if not METHODS[name].offered(scores):
            continue
        f = DEFINITIONS[name]
        vectors = np.stack([f(*x, kl, nothing, nothing) for x in zip(ell, score, strict=True)])
        check(name, scores, weights, vectors, 1e-6)
    rho = q_sd / p
    b, twice_a = rho * (q_mean - p_mean) / p, rho**2 - 1
    assert_allclose(scores.gradient, np.concatenate((b, twice_a)), rtol=1e-13)
    slope = (q_mean + q_sd * e - p_mean) / p**2 * q_sd  # of -log p at fixed noise
    pathwise = np.concatenate((slope, e * slope - 1), axis=1)
    check("pathwise", scores, weights, pathwise, 1e-10)
    check("stl", scores, weights, pathwise - np.concatenate((e, e**2 - 1), axis=1), 1e-10)


def test_clamped_laws_of_a_normal_by_quadrature() -> None:
    scores = normal(1, 2.0, 1.5)
    x = np.linspace(-14, 14, 400_001)
    weights = np.exp(-0.5 * x**2) / math.sqrt(2 * math.pi) * (x[1] - x[0])
    ell = math.log(2) - 0.5 * x**2 + 0.5 * ((x + 1.5) / 2) ** 2
    score = np.stack((x, x * x - 1), axis=1)
    k3_loss = np.where(k3(ell) < 10, 1 - np.exp(-ell), 0)[:, None] * score
    check("k3-loss-clamped", scores, weights, k3_loss, 3e-4)  # the sum has an error at the kinks
    check("k1-reward-clamped", scores, weights, np.clip(ell, -10, 10)[:, None] * score, 1e-7)
    whole = law("k1-reward-clamped", normal(2, 2.0, 1.5))
    assert np.isnan(whole.mean).all()
    assert needed(whole, normal(2, 2.0, 1.5), 0.1) == (None, "no theory: measure it")


def test_leave_one_out_is_the_sample_covariance() -> None:
    """Mean and variance over all batches of three samples of the categorical."""
    scores, ell = categorical(), np.log(Q3 / P3)
    mean, square, of_batch = np.zeros(3), 0.0, np.zeros(3)
    for z in itertools.product(range(3), repeat=3):
        weight, l, s = math.prod(Q3[[*z]]), ell[[*z]], np.eye(3)[[*z]] - Q3  # noqa: E741
        g = sum((l[i] - np.delete(l, i).mean()) * s[i] for i in range(3)) / 3
        mean, square = mean + weight * g, square + weight * g @ g
        of_batch = of_batch + weight * (l - l.mean()) @ s / 3
    found = law("score-loo", scores)
    assert_allclose(found.mean_at(3), mean, rtol=1e-13)
    assert total(found.variance_at(3), scores.count) == pytest.approx(
        square - mean @ mean, rel=1e-12
    )
    batch = law("score-batch", scores)
    assert_allclose(batch.mean_at(3), of_batch, rtol=1e-13)
    assert total(batch.variance_at(3), scores.count) == pytest.approx(
        (2 / 3) ** 2 * (square - mean @ mean), rel=1e-12
    )


@pytest.mark.parametrize(
    "scores",
    [categorical(), normal(3, 1.25, 0.5), chain(5)],
    ids=["categorical", "normal", "policy"],
)
def test_identities(scores: Scores) -> None:
    """k2 as a loss and the differentiated ratio are k1 in the reward; the k3s are two gradients."""
    score = law("score", scores)
    for name in ("k2-loss", "k3-loss-ratio"):
        assert_allclose(law(name, scores).mean, score.mean, rtol=1e-13)
        assert_allclose(law(name, scores).variance, score.variance, rtol=1e-13)
    reverse = law("k3-loss", scores).mean
    size = norm(scores.gradient, scores.count)
    assert_allclose(score.mean, scores.gradient, atol=1e-12 * size)
    assert_allclose(law("k3-reward", scores).mean, scores.gradient - reverse, atol=1e-12 * size)
    assert not law("k1-loss", scores).mean.any()
    for method in METHODS.values():
        unbiased = method.name in {
            "score", "score-kl", "score-loo", "pathwise", "stl", "k2-loss", "k3-loss-ratio",
            "score-to-go", "full-sum-to-go",
        }  # fmt: skip
        if unbiased and method.offered(scores):
            assert exact(law_of(method, scores), scores, 7).relative_bias < 1e-12, method.name


def test_reverse_gradient_of_a_normal() -> None:
    """k3 as a loss descends KL(p||q): gradient (delta, 1 - (sigma_p^2 + delta^2)) at sigma 1."""
    scores = normal(2, 1.25, 0.5)
    assert_allclose(law("k3-loss", scores).mean, [0.5, 1 - (1.25**2 + 0.25)], rtol=1e-12)


@pytest.mark.parametrize("offset", [1e-3, 1e-6, 1e-9])
def test_all_digits_near_q_equals_p(offset: float) -> None:
    """Where l = b epsilon to leading order, k3 is l^2 / 2."""
    scores = normal(1, 1.0, offset)
    k3_reward = total(law("k3-reward", scores).variance, scores.count)
    assert k3_reward == pytest.approx(offset**4 * 93 / 4, rel=5 * offset)  # E l^4 |s|^2 / 4
    score = total(law("score", scores).variance, scores.count)
    assert score == pytest.approx(offset**2 * 12, rel=5 * offset)  # E e^2 (e^2 + (e^2 - 1)^2) - 1
    small = ChainScores(
        np.array([1.0, 0.0]), np.full((2, 2), 0.5), offset * np.array([[1.0, -1.0], [-1, 1]]), 2
    )
    # l = +-offset by token: (r - 1 + l)^2 = (l^2/2)^2, four sequences, |s|^2 by hand.
    whole = total(law("k3-reward-factor", small).variance, small.count)
    both = law("k3-reward", small)
    assert whole == pytest.approx(offset**4 / 4 * 1.0, rel=5 * offset)
    assert (both.variance >= 0).all()


def test_notebook_pair_k3_has_a_mean_but_no_variance() -> None:
    scores = notebook()
    k3_loss = law("k3-loss", scores)
    numbers = exact(k3_loss, scores, 100)
    assert math.isfinite(numbers.relative_bias)
    assert numbers.total_variance == numbers.relative_rmse == math.inf
    assert needed(k3_loss, scores, 0.1)[1] == "biased: never reaches it"
    assert needed(law("k3-loss-factor", normal(1, 1.5, 0.0)), normal(1, 1.5, 0.0), 5.0) == (
        None, "infinite variance",
    )  # fmt: skip


def test_q_equal_to_p_has_no_relative_numbers() -> None:
    scores = normal(4, 1.0, 0.0)
    pathwise = exact(law("pathwise", scores), scores, 12)
    assert math.isnan(pathwise.relative_bias)
    assert math.isnan(pathwise.cosine)
    assert pathwise.bias == 0.0
    assert pathwise.total_variance == pytest.approx(1.0)  # (1 + 2) 4 / 12
    assert exact(law("stl", scores), scores, 12).total_variance == 0.0
    assert needed(law("stl", scores), scores, 0.1)[0] is None


@pytest.mark.parametrize("name", ["score", "score-loo", "score-batch", "stl", "k2-loss-factor"])
def test_samples_needed(name: str) -> None:
    scores = normal(2, 1.25, 0.5)
    least = METHODS[name].least_samples
    n, verdict = needed(law(name, scores), scores, 0.1, least)
    assert verdict == "ok"
    assert n is not None
    assert exact(law(name, scores), scores, n).relative_rmse <= 0.1
    assert exact(law(name, scores), scores, n - 1).relative_rmse > 0.1


def test_what_a_family_lacks() -> None:
    assert not METHODS["pathwise"].offered(categorical())
    assert not METHODS["score-to-go"].offered(normal(2, 1.0, 1.0))
    assert METHODS["full-sum"].offered(chain(3))
    assert sweep_pair("laplace", 2, 1.5, 0.0).scores is None


def test_simulation_agrees_and_is_nested() -> None:
    """Every method of every family at n = 4 and 64, each parameter within its own spread."""
    assert gradient_checkpoints(100) == [4, 16, 64, 100]
    for scores in (categorical(), normal(2, 1.1, 0.3), chain(4)):
        methods = [m for m in METHODS.values() if m.offered(scores)]
        generator = np.random.default_rng(7)
        replicates = 400
        for method, n, estimates in simulate(scores, methods, generator, replicates, [4, 64]):
            found = law_of(method, scores)
            if np.isnan(found.mean).any():
                continue
            tests = compare(found, scores, method, n, estimates)
            assert tests["mean"].p_value > 1e-9, (method.name, n)
            if not math.isnan(tests["variance"].p_value):
                assert tests["variance"].p_value > 1e-9, (method.name, n)


# The gate.

SETTINGS = [
    grid_setting(2, 1.25, 0.5),
    case_setting("token", {
        side: {"family": "categorical", "probabilities": [*x]} for side, x in (("q", Q3), ("p", P3))
    }),
    case_setting("chain", {
        "dimension": 6.0, "initial": [1.0, 0.0],
        "q": {"family": "policy", "transitions": [[0.7, 0.3], [0.4, 0.6]]},
        "p": {"family": "policy", "transitions": [[0.5, 0.5], [0.5, 0.5]]},
    }),
]  # fmt: skip


def gate(seed: int, settings: Sequence[Setting] = SETTINGS) -> str | None:
    """The gate's verdict on a small table of gradients."""
    parts = [tables.table("gradients", x) for x in rows(settings, [*METHODS], seed, 16, 800)]
    gradients = pa.concat_tables(parts).unify_dictionaries().to_pandas()
    none = tables.SCHEMAS["verification"].empty_table().to_pandas()
    return failures(with_gradients(none, gradients, LEVEL))


def test_an_honest_chapter_passes_the_gate() -> None:
    assert {s.name for s in SETTINGS} == {"d2-s1.25-o0.5", "token", "chain"}
    for seed in range(2):
        assert gate(seed) is None


def _spoilt_law(name: str, **factors: float) -> Callable[[pytest.MonkeyPatch], None]:
    """The theory of one method is off by a factor."""

    def spoil(patch: pytest.MonkeyPatch) -> None:
        def wrong(method: Method, scores: Scores, highest: int = 4) -> GradientLaw:
            right = law_of(method, scores, highest)
            if method.name != name:
                return right
            return right._replace(**{k: x * getattr(right, k) for k, x in factors.items()})

        patch.setattr(study, "law_of", wrong)

    return spoil


def _spoilt_method(name: str, **fields: object) -> Callable[[pytest.MonkeyPatch], None]:
    """One method draws vectors whose law is not that of its theory."""

    def spoil(patch: pytest.MonkeyPatch) -> None:
        spoilt = METHODS[name]._replace(**fields)  # type: ignore[arg-type]

        def simulated(scores: Scores, methods: Sequence[Method], *rest: Any) -> Iterator[Any]:
            others = [spoilt if m.name == name else m for m in methods]
            yield from simulate(scores, others, *rest)

        patch.setattr(study, "simulate", simulated)

    return spoil


def _no_replacement(patch: pytest.MonkeyPatch) -> None:
    """The leave-one-out mean is divided by n, as if it were the batch's."""
    right = Totals.with_baseline
    patch.setattr(Totals, "with_baseline", lambda self, baseline: right(self, "batch"))


PLANTED = {
    "a mean 30 % too large": _spoilt_law("score-loo", mean=1.3),
    "the wrong sign": _spoilt_law("k3-loss", mean=-1.0),
    "a variance twice too large": _spoilt_law("stl", variance=2.0),
    "a variance of half": _spoilt_law("score-to-go", variance=0.5),
    "a variance where there is none": _spoilt_method(
        "full-sum", form=METHODS["score"].form
    ),
    "k3 in the reward instead of the loss": _spoilt_method(
        "k3-loss", form=METHODS["k3-reward"].form
    ),
    "the other tokens' l too": _spoilt_method("k2-loss-factor", form=METHODS["score"].form),
    "the batch's mean instead of the others'": _no_replacement,
}  # fmt: skip


@pytest.mark.parametrize("name", PLANTED)
def test_the_gate_catches(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    PLANTED[name](monkeypatch)
    said = gate(1)
    assert said is not None
    assert "gradient_" in said


@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e3])
def test_the_p_value_is_one(scale: float) -> None:
    """For heavy-tailed sums, whose rare values most samples miss, few p-values are small."""
    generator = np.random.default_rng(3)
    x = generator.pareto(2.5, (4000, 50)) - 1 / 1.5
    variance = 2.5 / (1.5**2 * 0.5) * 50
    p = self_normalised_p_value(
        scale * x.sum(axis=1), scale**2 * (x**2).sum(axis=1), np.full(4000, scale**2 * variance)
    )
    for level in (0.1, 0.01, 0.001):
        assert (p <= level).mean() <= level + 4 * math.sqrt(level / 4000)
    assert float(self_normalised_p_value(np.array(9.0), np.array(1.0), np.array(1.0))) < 1e-15


# Training.


def test_training_follows_the_exact_mean() -> None:
    trained = ["score", "full-sum", "k1-loss", "k3-loss", "k3-reward", "k3-loss-ratio"]
    found = training_rows(trained, 5)
    kl, predicted = np.array(found["kl"]), np.array(found["predicted_kl"])
    where = [np.array(found[x]) for x in ("problem", "method", "step")]

    def end(problem: str, method: str, values: Vector) -> float:
        last = (where[0] == problem) & (where[1] == method) & (where[2] == where[2].max())
        return float(np.mean(values[last]))

    for problem in ("token", "normal"):
        start = end(problem, "k1-loss", predicted)  # no step in the mean
        for method in ("score", "k3-loss-ratio"):
            assert end(problem, method, predicted) == pytest.approx(
                end(problem, "score", predicted), rel=0.1
            )
            assert end(problem, method, kl) < 0.05 * start
        slower = end(problem, "k3-loss", predicted) / end(problem, "score", predicted)
        assert slower > 1.5  # another way, which is longer here
        assert end(problem, "k3-loss", kl) < 0.2 * start
        assert end(problem, "k1-loss", kl) > 0.5 * start
        assert not end(problem, "k3-reward", kl) < 0.5 * start
    assert end("token", "full-sum", kl) == pytest.approx(end("token", "full-sum", predicted), 1e-9)


# Advice.


def test_advice() -> None:
    answer = gradient_advice(sweep_pair("normal", 4, 1.25, 0.25), 0.1)
    by_name = {m.method: m for m in answer.methods}
    best = answer.recommendation
    assert best is not None
    assert (best.method, best.samples_needed) == ("stl", 268)
    assert by_name["stl"].samples_needed == 268
    assert by_name["k3-loss"].verdict == "biased: never reaches it"
    assert math.isnan(by_name["k1-reward-clamped"].total_variance)
    assert math.isnan(by_name["k1-loss"].cosine)
    of_policy = gradient_advice(SETTINGS[2].pair, 0.1).recommendation
    assert of_policy is not None
    assert of_policy.method == "full-sum-to-go"
    assert gradient_advice(sweep_pair("normal", 4, 1.0, 0.0), 0.1).recommendation is None
    with pytest.raises(ValueError, match="laplace has no gradients"):
        gradient_advice(sweep_pair("laplace", 1, 1.5, 0.0), 0.1)
    frame = answer.to_frame().set_index("method")
    assert frame.samples_needed["stl"] == 268
    assert frame.relative_bias["k3-loss"] == by_name["k3-loss"].relative_bias
