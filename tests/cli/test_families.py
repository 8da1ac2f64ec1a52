"""The command with pairs of any family: answers beside independent numbers, and bad input."""

from __future__ import annotations

import json
import math

import jsonschema
import numpy as np
import pytest
from scipy import integrate, stats

from .test_cli import ADVICE, mckl, option, refused, told

NORMAL, SHIFTED = "{mean: 0, sd: 1}", "{mean: 3, sd: 1}"
WIDE = "{mean: 0, sd: 2}"
SURE, RANDOM = {"iid", "antithetic", "sobol"}, {"iid"}


def case(q: str, p: str) -> tuple[str, ...]:
    return "--q", q, "--p", p


def grid(family: str) -> tuple[str, ...]:
    return "--family", family, "-d", "3", "-s", "1.25", "-o", "0.25"


def by_quadrature(log_q, log_p) -> float:
    """KL(q||p) of two log densities on the line."""

    def integrand(x: float) -> float:
        return math.exp(log_q(x)) * (log_q(x) - log_p(x))

    halves = ((-math.inf, 0), (0, math.inf))
    return sum(integrate.quad(integrand, *half, epsabs=0, epsrel=1e-11)[0] for half in halves)


# One call a family: the pair, its name, KL(q||p) from a formula or from quadrature with SciPy's
# densities, and the samplers that the family has.
GOOD = {
    "student-t": (grid("student-t( 5.0 )"), "student-t(5)",
        3 * by_quadrature(stats.t(5, 0.25).logpdf, stats.t(5, 0, 1.25).logpdf), SURE),
    "laplace": (
        grid("laplace"), "laplace", 3 * (math.log(1.25) + (0.25 + math.exp(-0.25)) / 1.25 - 1), SURE
    ),
    "logistic": (grid("logistic"), "logistic",
        3 * by_quadrature(stats.logistic(0.25).logpdf, stats.logistic(0, 1.25).logpdf), SURE),
    "two families": (
        case("{family: student-t, df: 10, location: [0, 1]}", WIDE),
        "student-t(10)|normal",
        sum(by_quadrature(stats.t(10, mu).logpdf, stats.norm(0, 2).logpdf) for mu in (0, 1)), SURE,
    ),
    "gamma": (
        case("{family: gamma, shape: 2, rate: 1}", "{family: gamma, shape: 3, rate: 0.5}"),
        "gamma(2)|gamma(3)", 3 * math.log(2) + math.log(2) - (1 - 0.5772156649015329) - 1, SURE,
    ),
    "policy": (
        case(
            "{family: policy, transitions: [[0.7, 0.3], [0.4, 0.6]], initial: [1, 0], "
            "dimension: 20}",
            "{family: policy, transitions: [[0.5, 0.5], [0.5, 0.5]]}",
        ),
        "policy(2)",
        sum(
            share * sum(q * math.log(2 * q) for q in row)
            for t in range(20)
            for share, row in zip(
                np.linalg.matrix_power([[0.7, 0.3], [0.4, 0.6]], t)[0],
                ((0.7, 0.3), (0.4, 0.6)),
                strict=True,
            )
        ),
        RANDOM,
    ),
    "mixture": (
        case(f"{{family: mixture, weights: [0.5, 0.5], components: [{NORMAL}, {SHIFTED}]}}", WIDE),
        None,
        by_quadrature(
            lambda x: np.logaddexp(stats.norm.logpdf(x), stats.norm.logpdf(x, 3)) - math.log(2),
            stats.norm(0, 2).logpdf,
        ),
        SURE,
    ),
    "beta": (
        case("{family: beta, a: 2, b: 1}", "{family: beta, a: 1, b: 1}"),
        "beta(2, 1)|beta(1, 1)", math.log(2) - 0.5, SURE,
    ),
    "poisson": (
        case('{"family":"poisson","rate":[2,4]}', '{"family":"poisson","rate":3}'),
        "poisson", 6 * math.log(1 / 3) + 2 * math.log(2) + 4 * math.log(4), RANDOM,
    ),
    "categorical": (
        case(
            "{family: categorical, probabilities: [0.7, 0.2, 0.1]}",
            "{family: categorical, probabilities: [1e-1, 3e-1, 0.6]}",
        ),
        "categorical", 0.7 * math.log(7) + 0.2 * math.log(2 / 3) - 0.1 * math.log(6), RANDOM,
    ),
    "dirichlet": (
        case(
            "{family: dirichlet, concentration: [2, 1]}",
            "{family: dirichlet, concentration: [1, 1]}",
        ),
        "dirichlet", math.log(2) - 0.5, RANDOM,
    ),
    "correlated": (
        case("{mean: 0, covariance: [[1, 0.75], [0.75, 1]]}", "{mean: [0, 0], sd: 1}"),
        "normal", -0.5 * math.log(1 - 0.75**2), {*SURE, *(f"{name}-radial" for name in SURE)},
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", GOOD)
def test_every_family_is_answered(name):
    words, family, kl, samplers = GOOD[name]
    answer = told("advise", *words, "-t", "0.05", "-c", "0.95")
    jsonschema.validate(answer, ADVICE)
    assert answer["pair"]["family"] == family or family is None
    assert answer["pair"]["kl"] == pytest.approx(kl, rel=1e-9)
    assert {o["sampler"] for o in answer["options"]} == samplers
    assert not samplers & {*answer["left_out"]}
    estimate = told("estimate", *words, "-t", "0.05")
    best = answer["recommendation"]
    assert [estimate[key] for key in ("estimator", "sampler")] == [
        best["estimator"],
        best["sampler"],
    ]
    assert estimate["stopped"] == "tight"
    assert estimate["exact"] == answer["pair"]["kl"]
    # A half-width is 2 standard errors: three of them are 6, which no seed is expected to pass.
    assert abs(estimate["estimate"] - estimate["exact"]) < 3 * estimate["half_width"] + 1e-12


THREE = "{family: categorical, probabilities: [0.5, 0.2, 0.3]}"
TWO = "{family: categorical, probabilities: [0.7, 0.3, 0]}"


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (("--family", "studnt-t(5)", "-d", "2"), "--family: 'studnt-t' is not a family: did you"),
        (("--family", "student-t", "-d", "2"), "'student-t', expected student-t(df)"),
        (("--family", "student-t(0)", "-d", "2"), "df 0, expected a number above 0"),
        (("--family", "poisson", "-d", "2"), "'poisson' can only be used in cases"),
        (("--family", "laplace"), "--dimension: missing"),
        (("--family", "laplace", "--q", NORMAL), "not together"),
        (case("{family: student-t, df: -1}", NORMAL), "--q: student-t: df -1, expected"),
        (case(NORMAL, "{family: gama, shape: 1}"), "--p: 'gama' is not a family: did you mean 'g"),
        (case("{mean: 0, sdd: 1}", NORMAL), "unknown parameter sdd"),
        (case("{mean: 0, sd: 1", NORMAL), "--q: '{mean: 0, sd: 1': expected"),
        (case("{0, 1}: 2", NORMAL), "--q: "),
        (case("{mean: 0, sd: wide}", NORMAL), "sd 'wide', expected a number or a list of numbers"),
        (case(f"{{mean: {10**400}, sd: 1}}", NORMAL), "--q: normal: mean inf, expected a finite"),
        (case("posterior", NORMAL), "--q: 'posterior', expected a file named"),
        (case("{mean: none.npy, sd: 1}", NORMAL), "none.npy: no such file"),
        ((*case(NORMAL, NORMAL), "--q-sd", "1"), "--q-sd and --q: expected one of them"),
        (("--q", NORMAL), "--p-mean: missing"),
        (case("{mean: 0, covariance: [[1, 0.2], [0.3, 1]]}", NORMAL), "entry (1, 2) is 0.2"),
        (case("{mean: 0, covariance: [[1, 2], [2, 1]]}", NORMAL), "least eigenvalue is -1"),
        (case("{family: uniform}", "{family: lognormal, mean: 0, sd: 1}"), "mckl has no theory"),
        (case("{family: categorical, probabilities: [0.7, 0.2]}", TWO), "add up to 0.9, expected"),
        (case(THREE, TWO), "p is 0 in category 2, counted from 0, where q is not: KL"),
        (case("{family: student-t, df: 1}", NORMAL), "KL is infinite: q is student-t(1)"),
        (
            case("{family: categorical, logits: [0, .nan]}", TWO),
            "--q: categorical: logits nan (number 2 of 2), expected a finite number, or -inf",
        ),
        (case("{mean: [0, 1], sd: 1}", "{mean: [0, 1, 2], sd: 1}"), "q has 2 coordinates and p"),
    ],
)  # fmt: skip
def test_bad_pairs_are_one_line(words, text):
    assert text in refused("kl", *words)


@pytest.mark.parametrize("command", ["advise", "estimate"])
def test_a_sampler_that_the_family_lacks_is_refused(command):
    text = refused(command, *case(THREE, THREE), "--sampler", "sobol")
    assert text == "--sampler: categorical does not have 'sobol', expected iid"
    text = refused(command, "--family", "laplace", "-d", "2", "--sampler", "iid-radial")
    assert text.endswith("laplace does not have 'iid-radial', expected iid, antithetic or sobol")


def test_parameters_in_files(tmp_path, monkeypatch):
    """A matrix and vectors of every format, also inside lists."""
    monkeypatch.chdir(tmp_path)
    cov, mean = np.array([[2.0, 0.5, 0.1], [0.5, 1.0, 0.2], [0.1, 0.2, 3.0]]), np.arange(3.0)
    np.save("cov.npy", cov)
    np.savez("cov.npz", covariance=cov, other=mean)
    np.savetxt("cov.csv", cov, delimiter=",")
    np.savetxt("named.csv", cov, delimiter=",", header="a,b,c", comments="")
    (tmp_path / "mean.csv").write_text("token,mean\nx,0\ny,1\nz,2\n")
    rows = json.dumps(cov.tolist())
    kl = told("kl", *case(f"{{mean: [0, 1, 2], covariance: {rows}}}", WIDE))["kl"]
    for file in ("cov.npy", "cov.npz", "cov.csv", "named.csv"):
        words = case(f"{{mean: mean.csv, covariance: {file}}}", WIDE)
        assert told("kl", *words)["kl"] == pytest.approx(kl, rel=1e-14)
    np.save("p.npy", [0.7, 0.2, 0.1])
    words = case("{family: categorical, probabilities: p.npy}", THREE)
    assert told("kl", *words)["kl"] == pytest.approx(0.7 * math.log(1.4) - 0.1 * math.log(3))
    (tmp_path / "q.yaml").write_text("# gamma\nfamily: gamma\nshape: 2\nscale: 0.5\n")
    (tmp_path / "p.json").write_text('{\n\t"family": "gamma", "shape": 3, "rate": 1\n}\n')
    text = case("{family: gamma, shape: 2, rate: 2}", "{family: gamma, shape: 3}")
    assert told("kl", *case("q.yaml", "p.json")) == told("kl", *text)
    (tmp_path / "bad.yml").write_text("family: gamma\nshap: 2\n")
    text = refused("kl", *case("bad.yml", "p.json"))
    assert text.startswith("--q: bad.yml: gamma: unknown parameter shap")
    np.save("wide.npy", np.ones((2, 3)))
    text = refused("kl", *case("{mean: wide.npy, sd: 1}", NORMAL))
    assert text == "--q: mean: wide.npy: shape (2, 3), expected one vector or a square matrix"


def test_where_q_is_0_and_p_is_not():
    """E r is 0.7: KL(p||q) is infinite, and k3's bias is E r - 1."""
    assert "KL(p||q)  inf nats" in mckl("kl", *case(TWO, THREE)).stdout
    answer = told("advise", *case(TWO, THREE))
    assert answer["pair"]["reverse_kl"] is answer["pair"]["symmetrised_kl"] is None
    assert answer["regime"]["missed_mass"] == pytest.approx(0.3, rel=1e-14)
    assert option(answer, "k3", "iid")["verdict"] == "biased: never reaches it"
    assert option(answer, "cv", "iid")["theory"] == "none"
    assert answer["recommendation"]["estimator"] == "k1"
    text = mckl("advise", *case(TWO, THREE)).stdout
    assert "E p/q is 0.7 and not 1, which biases k3 and cv" in text
    assert "KL(p||q) = inf nats" in text
    for estimator, reason in (("k3", "biased by -0.3 nats"), ("cv", "no control variate")):
        done = mckl("estimate", *case(TWO, THREE), "--estimator", estimator)
        assert done.exit_code == 4
        assert reason in done.stdout
        assert "Use k1 over iid samples instead." in done.stdout
    loose = told("estimate", *case(TWO, THREE), "--estimator", "k3", "--absolute", "3.5")
    assert loose["stopped"] == "tight"  # the bias is small beside the interval, and E r is no gap


def test_tails_decide_what_has_a_variance():
    text = mckl("advise", "--family", "laplace", "-d", "1", "-s", "2.5").stdout
    assert "the tails of p are too heavy for q (tail index of p/q 1.67 <= 2)" in text
    done = mckl("estimate", "--family", "laplace", "-d", "1", "-s", "2.5", "--estimator", "k3")
    assert done.exit_code == 4
    assert "the variance of k3 is infinite (E r^2 is infinite: the tails of p" in done.stdout
    heavy = case("{family: student-t, df: 3}", NORMAL)
    done = mckl("advise", *heavy)
    assert done.exit_code == 3
    assert "no estimator's variance is finite: the tails of q are too heavy for p" in done.stdout
    assert "KL(p||q)  inf nats" in mckl("kl", *case(NORMAL, "{family: student-t, df: 2}")).stdout


def test_rare_values_on_both_sides_are_waited_for():
    """The law of l is nearly symmetric, with kurtosis 500: 300 units covered in 44 % of runs."""
    e, up, down = 1e-3, math.exp(4), math.exp(-4)
    p = [1 - e * (up + down), e * up, e * down]
    answer = told(
        "advise",
        *case(
            f"{{family: categorical, probabilities: [{1 - 2 * e}, {e}, {e}]}}",
            f"{{family: categorical, probabilities: {p}}}",
        ),
        "-t", "0.3",
    )  # fmt: skip
    assert option(answer, "k1", "iid")["interval_samples"] > 10_000
