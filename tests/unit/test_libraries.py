"""What libraries compute as a KL: the formulas, their exact law, the check of it, and the page."""

from __future__ import annotations

import itertools
import math
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.stats import binom

from mckl.errors import UserError
from mckl.estimation.off_policy import WEIGHTS
from mckl.estimation.off_policy.off_policy_theory import SampledLaw, off_policy_theory
from mckl.estimation.values import ESTIMATORS
from mckl.families.policy.pair import PolicyPair
from mckl.families.registry import case_pair, lagging_pair
from mckl.record import tables
from mckl.show.libraries import write_page
from mckl.study.libraries import LIBRARIES
from mckl.study.libraries.base import BATCH_TOKENS, Use
from mckl.study.libraries.corrections import (
    CORRECTIONS,
    LAGS,
    Correction,
    changed_share,
    corrected,
    lagged_policy,
)
from mckl.study.libraries.exact import (
    SumMoments,
    balanced,
    balanced_moments,
    clamped_share,
    formula_means,
    formula_moments,
)
from mckl.study.libraries.formula import ABS, FULL, K1, K2, K3, LOW_VARIANCE, Formula
from mckl.study.libraries.gradient import factor, loss_gradient, slope_of_formula
from mckl.study.libraries.policies import policies, stopping
from mckl.study.libraries.simulated import (
    SEQUENCES,
    compare_correction,
    compare_formula,
    draw,
    draw_lagged,
)
from mckl.study.libraries.table import LEVEL, check_formulas, formula_rows
from mckl.study.tails import bennett_p_value

ROOT = Path(__file__).resolve().parents[2]
CLAMPED = Formula("k3", most_log_ratio=0.9, most_value=0.4)
FORMULAS = [
    K1, K2, K3, ABS, Formula("l^2"), Formula("k3 of -l"), CLAMPED, Formula("k1", most_value=0.3),
]  # fmt: skip
RATIO, THEN_CLAMPED = "value and ratio", "value and ratio, clamped"


@pytest.mark.parametrize(
    ("formula", "ell", "value"),
    [
        (K1, -3.0, -3.0),
        (K2, -3.0, 4.5),
        (Formula("l^2"), -3.0, 9.0),
        (ABS, -3.0, 3.0),
        (K3, -3.0, math.exp(3) - 4),
        (Formula("k3 of -l"), 3.0, math.exp(3) - 4),
        (Formula("k3", 20, 10), -3.0, 10.0),
        (Formula("k3", 20, 10), 15.0, 10.0),
        (Formula("k3", 20), 50.0, math.exp(-20) + 19),
        (Formula("k3", 2), -50.0, math.exp(2) - 3),
        (Formula("k1", most_value=10), -50.0, -10.0),
        (K3, 1e-9, 5e-19),
    ],
)
def test_a_formula_of_one_token(formula, ell, value):
    assert float(formula(np.array(ell))) == pytest.approx(value, rel=1e-12, abs=1e-16)


def test_a_clamp_of_l_beside_one_of_the_result_changes_nothing():
    ell = np.linspace(-60.0, 60.0, 4001)
    one, both = Formula("k3", most_value=10), Formula("k3", most_log_ratio=20, most_value=10)
    np.testing.assert_array_equal(one(ell), both(ell))


def policy_pair(states: int, tokens: int, stop: int | None = None) -> PolicyPair:
    """A chain in which some transitions are impossible."""
    chance = np.random.default_rng(5)
    q, p = chance.dirichlet(np.ones(states), (2, states))
    q[0, 1] = p[0, 1] = 0.0
    q, p = (x / x.sum(axis=1, keepdims=True) for x in (q, p))
    start = chance.dirichlet(np.ones(states))
    if stop is not None:
        start[stop] = 0.0
    case = {
        "dimension": tokens, "stop": stop, "initial": start / start.sum(),
        "q": {"family": "policy", "transitions": q}, "p": {"family": "policy", "transitions": p},
    }  # fmt: skip
    return case_pair(case)


def sequences(pair: PolicyPair) -> list[tuple[float, np.ndarray, tuple[int, ...]]]:
    """Probability, l of the tokens and states of every sequence."""
    out, of = [], pair.transitions
    for states in itertools.product(range(of.start.size), repeat=pair.dimension + 1):
        steps = list(itertools.pairwise(states))
        probability = of.start[states[0]] * math.prod(of.q[step] for step in steps)
        if probability > 0:
            out.append((probability, np.array([of.ell[step] for step in steps]), states))
    return out


def moments(weights: np.ndarray, values: np.ndarray) -> SumMoments:
    mean = weights @ values
    second, fourth = (weights @ (values - mean) ** k for k in (2, 4))
    return SumMoments(mean, second, fourth, values.min(), values.max())


@pytest.mark.parametrize("formula", FORMULAS, ids=lambda f: f.name)
def test_the_law_of_a_sum_is_that_of_all_sequences(formula):
    of = policy_pair(3, 4)
    known = sequences(of)
    weights = np.array([w for w, _, _ in known])
    sums = np.array([formula(ell).sum() for _, ell, _ in known])
    assert formula_moments(of, formula) == pytest.approx(moments(weights, sums), rel=1e-10)
    acts = np.array([formula.clamped(ell).mean() for _, ell, _ in known])
    assert clamped_share(of, formula) == pytest.approx(weights @ acts, rel=1e-10, abs=1e-15)


def test_the_kl_over_the_vocabulary_is_that_of_all_sequences():
    """Its mean is KL, and its variance is what the tokens before leave of k1's."""
    of = policy_pair(3, 4)
    q, ell = of.transitions.q, of.transitions.ell
    rows = [sum(q[x, y] * ell[x, y] for y in range(3) if q[x, y] > 0) for x in range(3)]
    known = sequences(of)
    weights = np.array([w for w, _, _ in known])
    sums = np.array([sum(rows[x] for x in states[:-1]) for _, _, states in known])
    exact = formula_moments(of, FULL)
    assert exact == pytest.approx(moments(weights, sums), rel=1e-10)
    assert exact.mean == pytest.approx(of.law.kl, rel=1e-12)
    assert exact.variance < formula_moments(of, K1).variance


def test_the_law_of_a_sums_balanced_form_is_that_of_all_sequences():
    of = policy_pair(2, 3)
    p = of.transitions.q * np.exp(-of.transitions.ell)
    known = []
    for weight, ell, states in sequences(of):
        for other in itertools.product(range(2), repeat=of.dimension):
            steps = list(zip(states[:-1], other, strict=True))
            extra = np.array([of.transitions.ell[step] for step in steps])
            beside = math.prod(p[step] for step in steps)
            known.append((weight * beside, sum(balanced(K3, x).sum() for x in (ell, extra))))
    weights, sums = np.array([(w, s) for w, s in known if w > 0]).T
    exact = balanced_moments(of, K3)
    assert exact == pytest.approx(moments(weights, sums), rel=1e-10)
    assert exact.mean == pytest.approx(formula_moments(of, K3).mean, rel=1e-12)


def test_k3_of_the_sequence_is_that_of_all_sequences():
    of, formula = policy_pair(3, 4), Formula("k3", whole=True)
    known = sequences(of)
    weights, values = np.array([(w, formula(ell.sum())) for w, ell, _ in known]).T
    exact = formula_moments(of, formula)
    assert exact[:2] == pytest.approx(moments(weights, values)[:2], rel=1e-10)
    assert exact.most >= max(balanced(formula, ell.sum()) for _, ell, _ in known)


@pytest.mark.parametrize("formula", [K1, K3, CLAMPED], ids=lambda f: f.name)
def test_dividing_by_the_length_over_all_sequences(formula):
    stop = 2
    of = policy_pair(3, 5, stop)
    total = length = mean = 0.0
    for weight, ell, states in sequences(of):
        ends = states.index(stop) if stop in states else of.dimension
        value = formula(ell[:ends]).sum()
        total, length = total + weight * value, length + weight * ends
        mean += weight * value / ends
    found = formula_means(of, formula)
    assert (found.total, found.mean_length) == pytest.approx((total, length), rel=1e-10)
    assert found.per_token == pytest.approx(total / length, rel=1e-10)
    assert found.sequence_mean == pytest.approx(mean, rel=1e-10)
    if formula == K1:
        assert found.total == pytest.approx(of.law.kl, rel=1e-12)


def test_the_mean_of_sequence_means_of_k1_is_of_first_order():
    """E(l / T) changes its sign with the offset, and is no KL; k3's is close to E l / E T."""
    k1, k3 = (
        {x: formula_means(stopping(x, 64), formula) for x in (-0.02, 0.02)} for formula in (K1, K3)
    )
    for x in k1:
        assert k1[x].per_token == pytest.approx(k3[x].per_token, rel=1e-9)
        assert k3[x].sequence_mean == pytest.approx(k3[x].per_token, rel=0.5)
    low, high = sorted(of.sequence_mean for of in k1.values())
    assert low < 0 < high
    assert high > 2 * k1[0.02].per_token


def test_bennetts_bound_is_above_the_exact_tail():
    n, p = 400, 0.02
    for hits in (0, 3, 14, 20, 30):
        off = hits / n - p
        tail = binom.cdf(hits, n, p) if off < 0 else binom.sf(hits - 1, n, p)
        bound = float(bennett_p_value(np.array(off), np.array(p * (1 - p)), np.array(1 - p), n))
        assert tail <= bound <= 1
    assert bound < 1e-4


@pytest.fixture(scope="module")
def formulas(tmp_path_factory) -> pd.DataFrame:
    """formulas.parquet as a script reads it."""
    path = tmp_path_factory.mktemp("formulas") / "formulas.parquet"
    tables.write("formulas", path, formula_rows(), {"mckl": "x"})
    return tables.read("formulas", path).to_pandas()


def test_every_row_agrees_with_its_simulation(formulas):
    assert formulas["passed"].all()
    assert "agree" in check_formulas(formulas)
    uses = sum(len(library.uses) for library in LIBRARIES.values())
    assert (formulas["lag"] == 0.0).sum() == len(policies()) * uses
    keys = ["setting", "lag", "weight", "library", "version", "formula", "used_as", "averaged"]
    keys += ["differentiated", "note"]
    assert not formulas.duplicated(keys).any()
    kl = formulas["kl"].to_numpy()
    np.testing.assert_allclose(
        formulas["exact_mean"] - kl, formulas["exact_bias"], atol=1e-9 * kl.max()
    )
    # The check sees an error of a few per cent where it can be seen at all.
    by_token = formulas[formulas["formula"].isin(["k3", "k3, result within 10"])]
    by_token = by_token[by_token["weight"] != "sequence"]
    assert (by_token["smallest_error"] < 0.02).all()


@pytest.mark.parametrize("weight", ["none", "token", "token-truncated", "token-clipped"])
@pytest.mark.parametrize("differentiated", [RATIO, THEN_CLAMPED])
def test_the_law_over_another_laws_tokens_is_that_of_all_sequences(weight, differentiated):
    of = policy_pair(3, 4)
    chain = lagging_pair(of, 0.7)
    correction = Correction(None, WEIGHTS[weight], loss(CLAMPED, differentiated))
    values, shares, probabilities = [], [], []
    for _, _, states in sequences(of):
        steps = list(itertools.pairwise(states))
        probabilities.append(chain.start[states[0]] * math.prod(chain.s[step] for step in steps))
        total = changed = 0.0
        for step in steps:
            ell, log_w = of.transitions.ell[step], chain.log_weight[step]
            w = math.exp(log_w)
            if weight == "none":
                held = w = 1.0
            else:
                ends = {"token-truncated": (0.0, 2.0), "token-clipped": (0.8, 1.2)}
                least, most = ends.get(weight, (0.0, math.inf))
                held = min(max(w, least), most)
            inside = min(max(ell, -0.9), 0.9)
            k3 = math.exp(-inside) - 1.0 + inside
            cut = 0.4 / held if differentiated == THEN_CLAMPED else 0.4
            value = held * min(k3, cut)
            total += value
            free = w * (math.exp(-ell) - 1.0 + ell)
            changed += not math.isclose(value, free, rel_tol=1e-9)
        values.append(total)
        shares.append(changed / of.dimension)
    weights = np.array(probabilities)
    assert weights.sum() == pytest.approx(1.0, rel=1e-12)
    law = SampledLaw(chain, of.law)
    unit = corrected(correction, law)
    exact = moments(weights, np.array(values))
    assert unit.bias == pytest.approx(exact.mean - of.law.kl, rel=1e-10)
    assert unit.variance == pytest.approx(exact.variance, rel=1e-10)
    assert unit.relative_error < 1e-10
    assert 0.01 < changed_share(correction, law) == pytest.approx(weights @ shares, rel=1e-10)


def test_rows_of_corrections(formulas):
    """Each has its library's name and weight, and the law of the estimator that it is."""
    rows = formulas[formulas["lag"] > 0.0]
    assert list(rows["lag"].unique()) == list(LAGS)
    assert len(rows) == len(LAGS) * len(CORRECTIONS)
    assert (formulas[formulas["lag"] == 0.0]["weight"] == "none").all()
    assert rows["library"].isna().sum() == 2 * len(LAGS)
    assert {"TRL", "verl", "slime", "open-instruct", "ms-swift", "NeMo RL"} <= set(rows["library"])
    name, pair = lagged_policy()
    assert (rows["setting"] == name).all()
    for row in rows.itertuples():
        law = SampledLaw(lagging_pair(pair, row.lag), pair.law)
        # No clamp of a value acts on this policy.
        estimator = {"k1": "k1", "k3": "k3-factor"}[row.formula[:2]]
        unit = off_policy_theory(law, ESTIMATORS[estimator], WEIGHTS[row.weight])
        found = row.exact_bias, row.exact_variance
        assert found == pytest.approx((unit.bias, unit.variance), rel=1e-9, abs=1e-15)
        assert (row.clamped > 0.0) == (row.weight == "token-clipped" or (
            row.weight == "token-truncated" and row.lag == 0.5
        ))  # fmt: skip


@pytest.mark.parametrize("wrong", ["none", "token-truncated", "sequence"])
def test_a_wrong_weight_does_not_pass(wrong):
    name, pair = lagged_policy()
    chain = lagging_pair(pair, 0.5)
    law, drawn = SampledLaw(chain, pair.law), draw_lagged(chain, 7, name)
    right, other = (Correction(None, WEIGHTS[x], loss(K3, "value")) for x in ("token", wrong))
    level, kl, sums = LEVEL / 200, pair.law.kl, drawn.sums(right)
    assert compare_correction(sums, kl, corrected(right, law), level).p_value > 1e-3
    unit = corrected(other, law)
    if wrong == "sequence":  # whose variance is too large for a mean to tell
        unit = unit._replace(variance=corrected(right, law).variance / 1.3)
    assert compare_correction(sums, kl, unit, level).p_value < level


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        (K3, K2),
        (K3, Formula("k3", most_value=10)),
        (Formula("k3", most_value=10), K3),
        (FULL, K2),
    ],
    ids=lambda f: f.name,
)
def test_a_wrong_formula_does_not_pass(right, wrong):
    name, of = list(policies().items())[4]
    drawn = draw(of, 7, name)
    good = compare_formula(drawn, of, right, formula_moments(of, right), LEVEL / 200)
    assert good.p_value > 1e-3
    bad = compare_formula(drawn, of, right, formula_moments(of, wrong), LEVEL / 200)
    assert bad.p_value < LEVEL / 200


@pytest.mark.parametrize("row", [3, -1])
def test_a_wrong_row_fails_and_is_named(formulas, row):
    wrong = formulas.copy()
    row = wrong.index[row]
    wrong.loc[row, "passed"] = False
    named = f"{wrong.loc[row, 'formula']} of {wrong.loc[row, 'setting']}"
    named += ", lag 0.5, weight sequence:" if wrong.loc[row, "lag"] else ": mean"
    with pytest.raises(UserError, match=re.escape(named)):
        check_formulas(wrong)


def test_a_wrong_variance_does_not_pass():
    name, of = list(policies().items())[3]
    exact = formula_moments(of, K1)
    judged = compare_formula(
        draw(of, 7, name), of, K1, exact._replace(variance=1.3 * exact.variance), LEVEL
    )
    assert judged.p_value < LEVEL
    assert judged.variance == pytest.approx(exact.variance, rel=0.1)


def test_what_was_drawn_has_the_law_of_the_tables():
    name, of = list(policies().items())[4]
    drawn = draw(of, 3, name)
    assert drawn.own.shape == drawn.other.shape == drawn.of_p.shape == (of.dimension, SEQUENCES)
    reverse = of.reversed().law
    sd = math.sqrt(reverse.variance / SEQUENCES)
    assert abs(-drawn.of_p.sum(axis=0).mean() - reverse.kl) < 6 * sd
    assert drawn.other[-1].mean() < 0 < drawn.own[-1].mean()


@pytest.mark.parametrize("library", LIBRARIES.values(), ids=lambda x: x.name)
def test_every_use_says_where_it_is_written(library):
    assert library.uses
    assert re.fullmatch(r"\d{4}-\d\d-\d\d", library.date)
    package = library.source.startswith("package ")
    assert re.fullmatch("" if package else "[0-9a-f]{12}", library.commit)
    for use in library.uses:
        assert re.match(r"[\w/.-]+\.py:\d+", use.source)
        assert (use.differentiated == "nothing") == (use.used_as != "loss")
    assert len({use._replace(source="") for use in library.uses}) == len(library.uses)


def test_the_page_is_in_step(formulas, tmp_path):
    """docs/explanation/libraries.md is what `make docs` writes."""
    template = (ROOT / "workflow/report/libraries.md").read_text(encoding="utf-8")
    write_page(template, formulas, str(tmp_path / "libraries.md"))
    written = (tmp_path / "libraries.md").read_text(encoding="utf-8")
    assert written == (ROOT / "docs/explanation/libraries.md").read_text(encoding="utf-8")


def test_gradients_of_losses(formulas):
    """The value of k1 has none, and none is whole by token; k3's own derivative is 1 - r."""
    formulas = formulas[formulas["lag"] == 0.0]
    losses = formulas[formulas["used_as"] == "loss"]
    others = formulas[formulas["used_as"] != "loss"]
    assert others["relative_bias"].isna().all()
    plain_k1 = losses[(losses["formula"] == "k1") & (losses["differentiated"] == "value")]
    assert (plain_k1["relative_bias"] == 1).all()
    assert plain_k1["cosine"].isna().all()
    of_tfp = losses[(losses["library"] == "TensorFlow Probability")]
    assert (of_tfp["relative_bias"] < 1e-9).all()  # of the sequence, with its ratio
    with_ratio = losses[losses["differentiated"] == "value and ratio"]
    of_k2 = losses[(losses["formula"] == "k2") & (losses["library"] == "verl")]
    same = with_ratio[(with_ratio["formula"] == "k3") & (with_ratio["library"] == "TRL")]
    np.testing.assert_allclose(same["relative_bias"], of_k2["relative_bias"], rtol=1e-9)
    ell = np.linspace(-30.0, 30.0, 1201) + 1e-3
    for formula in {use.formula for library in LIBRARIES.values() for use in library.uses}:
        steep = np.abs(formula(ell)) < 1e4
        numeric = (formula(ell + 1e-6) - formula(ell - 1e-6)) / 2e-6
        np.testing.assert_allclose(
            slope_of_formula(formula, ell)[steep], numeric[steep], rtol=1e-5, atol=1e-5
        )


def loss(formula: Formula, differentiated: str) -> Use:
    return Use("loss", formula, "", BATCH_TOKENS, differentiated=differentiated)


@pytest.mark.parametrize("kind", ["k1", "k2", "k3"])
@pytest.mark.parametrize("differentiated", ["value", RATIO, THEN_CLAMPED])
def test_the_factor_is_the_derivative_of_the_loss_of_a_token(kind, differentiated):
    """The loss is differentiated in log q at a fixed token; the ratio is e^h at log q + h."""
    formula = Formula(kind, most_log_ratio=2.0, most_value=1.5)
    free = formula._replace(most_value=math.inf)
    ell = np.linspace(-4.0, 4.0, 801) + 1e-3

    def at(h: float) -> np.ndarray:
        if differentiated == "value":
            return formula(ell + h)
        if differentiated == RATIO:
            return np.exp(h) * formula(ell + h)
        ratio = np.where(np.abs(ell) < 2.0, np.exp(h), 1.0)  # detached where l is clamped
        return np.clip(ratio * free(ell + h), -1.5, 1.5)

    numeric = (at(1e-6) - at(-1e-6)) / 2e-6
    found = factor(loss(formula, differentiated), ell)
    np.testing.assert_allclose(found, numeric, rtol=1e-6, atol=1e-8)
    outside = np.abs(ell) > 2.0
    assert (found[outside] == 0).all() == (differentiated != RATIO)


def test_the_ratio_has_no_gradient_where_a_later_clamp_acts():
    """NeMo RL's loss at KL 37, 68 and 222, as computed apart from this code."""
    found = [loss_gradient(pair, loss(LOW_VARIANCE, THEN_CLAMPED)) for pair in policies().values()]
    numbers = np.array([found[i] for i in (4, 5, 7)])
    np.testing.assert_allclose(numbers, [[0.29, 0.96], [0.25, 0.99], [0.93, 0.37]], atol=0.006)
    (nemo,) = (use for use in LIBRARIES["NeMo RL"].uses if use.used_as == "loss" and use.default)
    assert (nemo.formula, nemo.differentiated) == (LOW_VARIANCE, THEN_CLAMPED)


@pytest.mark.parametrize("formula", [K1, K2, Formula("l^2"), CLAMPED], ids=lambda f: f.name)
def test_the_gradient_in_p_is_that_of_all_sequences(formula):
    """p draws no token, so the mean gradient is the derivative of the loss's mean."""
    of = policy_pair(3, 3)
    known = [(weight, states) for weight, _, states in sequences(of)]
    log_q = of.transitions.log_q
    taken = of.transitions.q > 0
    logits = np.where(taken, log_q - of.transitions.ell, 0.0)

    def mean(z: np.ndarray, formula: Formula) -> float:
        log_p = z - np.log((np.exp(z) * taken).sum(axis=1, keepdims=True))
        values = np.where(taken, formula(np.where(taken, log_q, 0.0) - log_p), 0.0)
        return sum(w * sum(values[step] for step in itertools.pairwise(s)) for w, s in known)

    def gradient(formula: Formula) -> np.ndarray:
        out = np.zeros(logits.shape)
        for i, j in zip(*np.nonzero(taken), strict=True):
            step = np.zeros(logits.shape)
            step[i, j] = 1e-6
            out[i, j] = (mean(logits + step, formula) - mean(logits - step, formula)) / 2e-6
        return out

    own, true = gradient(formula), gradient(K1)
    bias = np.linalg.norm(own - true) / np.linalg.norm(true)
    cosine = (own * true).sum() / np.linalg.norm(own) / np.linalg.norm(true)
    found = loss_gradient(of, loss(formula, "value in p"))
    assert found == pytest.approx((bias, cosine), rel=1e-6, abs=1e-8)


def test_the_gradient_of_the_kl_over_the_vocabulary_is_that_of_k2():
    for of in policies().values():
        exact = loss_gradient(of, loss(K2, "value"))
        assert loss_gradient(of, loss(FULL, "value")) == pytest.approx(exact, rel=1e-9)
