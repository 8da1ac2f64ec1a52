"""`import mckl` with distributions of TensorFlow Probability and arrays of TensorFlow."""

from __future__ import annotations

import numpy as np
import pytest

import mckl


def pairs():
    import tensorflow_probability as tfp

    d, b = tfp.distributions, tfp.bijectors
    eye = np.eye(2, dtype=np.float64)
    tril = np.array([[1.0, 0.0], [0.5, 1.5]])
    return [
        (d.Normal([0.0, 1.0], 1.0), d.Normal(0.0, [2.0, 2.0])),
        (d.MultivariateNormalDiag([0.0, 1.0], [1.0, 2.0]), d.MultivariateNormalDiag([0.0, 0.0])),
        (
            d.MultivariateNormalTriL([0.0, 1.0], np.float32(tril)),
            d.MultivariateNormalTriL([0.0, 0.0], np.float32(eye)),
        ),
        (
            d.Independent(d.Normal([0.0, 1.0], 1.0), 1),
            d.Independent(d.Normal([0.0, 0.0], [2.0, 2.0]), 1),
        ),
        (d.Gamma(2.0, 1.0), d.Gamma(3.0, 0.5)),
        (d.Exponential(2.0), d.Exponential(1.0)),
        (d.Beta(2.0, 3.0), d.Beta(1.0, 1.0)),
        (d.Categorical(probs=[0.7, 0.3]), d.Categorical(logits=[0.0, 0.0])),
        (d.Bernoulli(probs=0.3), d.Bernoulli(probs=0.5)),
        (d.Dirichlet([2.0, 3.0]), d.Dirichlet([1.0, 1.0])),
        (d.Laplace(0.0, 1.0), d.Laplace(1.0, 2.0)),
        (d.LogNormal(0.0, 1.0), d.LogNormal(1.0, 2.0)),
        (d.OneHotCategorical(probs=[0.7, 0.3]), d.OneHotCategorical(logits=[0.0, 1.0])),
        # Batches of laws: TFP's KLs are added up.
        (d.Normal(np.zeros((2, 3), np.float32), 1.0), d.Normal([1.0, 1.0, 1.0], 2.0)),
        (d.Bernoulli(probs=[0.3, 0.7]), d.Bernoulli(probs=0.5)),
        (d.Categorical(logits=np.eye(3)), d.Categorical(logits=np.arange(3.0))),
        (
            d.MultivariateNormalTriL(np.zeros((3, 2)), tril),
            d.MultivariateNormalFullCovariance(np.ones(2), tril @ tril.T + 1),
        ),
        (
            d.MultivariateNormalDiagPlusLowRank(np.zeros(2), np.ones(2), np.ones((2, 1))),
            d.MultivariateNormalTriL(np.ones(2), tril),
        ),
        # Bijections of other laws
        (d.LogitNormal(0.0, 1.0), d.LogitNormal(1.0, 2.0)),
        (d.Weibull(1.5, 2.0), d.Weibull(1.2, 1.0)),
        (d.Weibull(1.5, 2.0), d.Gamma(1.2, 1.0)),
        (d.Pareto(3.0, 2.0), d.Pareto(2.0, 2.0)),
        (d.HalfNormal(2.0), d.HalfNormal(3.0)),
        (d.ExpGamma(2.0, 1.0), d.ExpGamma(3.0, 2.0)),
        (d.Chi(3.0), d.Chi(4.0)),
        *(
            tuple(d.TransformedDistribution(d.Normal(m, s), made()) for m, s in ((0, 1.0), (1, 2)))
            for made in (
                lambda: b.Chain([b.Shift(1.0), b.Scale(3.0), b.Exp()]),
                lambda: b.Sinh(),
                lambda: b.Chain([b.Power(2.0), b.Sigmoid()]),
            )
        ),
        # TFP's own formulas, in float64
        (d.Gumbel(0.0, 1.0), d.Gumbel(1.0, 2.0)),
        (d.VonMises([0.0, 1.0], 1.0), d.VonMises(0.0, 2.0)),
        (d.ContinuousBernoulli(logits=[0.5, -1.0]), d.ContinuousBernoulli(probs=0.5)),
    ]


def test_kl_is_what_tfp_registers():
    for q, p in pairs():
        expected = float(np.sum(q.kl_divergence(p).numpy(), dtype=np.float64))
        assert mckl.kl(q, p) == pytest.approx(expected, rel=3e-6), type(q).__name__


def test_float32_laws_are_computed_in_float64():
    """The numbers by mpmath with 50 digits, for the parameters as float32 stores them."""
    import tensorflow_probability as tfp

    d = tfp.distributions
    for logit, expected in ((12.0, 5.3068589636335324), (17.0, 7.806852860839431)):
        half, p = d.Bernoulli(probs=0.5), d.Bernoulli(logits=logit)
        assert mckl.kl(half, p) == pytest.approx(expected, rel=1e-14)
        half, p = d.Categorical(probs=[0.5, 0.5]), d.Categorical(logits=[0.0, logit])
        assert mckl.kl(half, p) == pytest.approx(expected, rel=1e-14)
    q, p = (d.Geometric(probs=np.float64(x)) for x in (0.3, 0.30001))
    assert mckl.kl(q, p) == pytest.approx(7.9364071587999436e-10, rel=1e-10)
    q, p = (d.ContinuousBernoulli(logits=x) for x in (-400.0, 30.0))
    assert mckl.kl(q, p) == pytest.approx(31.515267165445733, rel=1e-12)
    q, p = d.Gumbel(0.0, 1.0), d.Gumbel(1.0, 1.0)
    assert mckl.kl(q, p) == pytest.approx(np.e - 2, rel=1e-14)


def test_factors_are_not_multiplied():
    """Both covariances are singular in float64; the KLs follow from triangular matrices."""
    import tensorflow_probability as tfp

    d = tfp.distributions
    q, p = (
        d.MultivariateNormalTriL(np.zeros(2), np.array([[1.0, 0.0], [1.0, e]]))
        for e in (1e-9, 2e-9)
    )
    assert mckl.kl(q, p) == pytest.approx(np.log(2) - 0.375, rel=1e-14)
    # Along (1, -1) the variances are 1e-18 and 2e-18, and elsewhere q and p are alike.
    q, p = (
        d.MultivariateNormalDiagPlusLowRankCovariance(np.zeros(2), e * np.ones(2), np.ones((2, 1)))
        for e in (1e-18, 2e-18)
    )
    assert mckl.kl(q, p) == pytest.approx(0.5 * (np.log(2) - 0.5), rel=1e-6)


def test_what_tfp_lacks_a_kl_of_is_exact_here():
    import tensorflow_probability as tfp

    d = tfp.distributions
    found = mckl.kl(d.StudentT(5.0, 1.0, 1.0), d.StudentT(5.0, 0.0, 2.0))
    side = {"family": "student-t", "df": 5}
    expected = mckl.kl({**side, "location": 1}, {**side, "scale": 2})
    assert found == pytest.approx(expected, rel=1e-6)
    side = {"family": "poisson"}
    poisson = mckl.kl(d.Poisson(3.0), d.Poisson(4.0))
    assert poisson == pytest.approx(mckl.kl({**side, "rate": 3}, {**side, "rate": 4}))
    half = d.HalfStudentT(5.0, 1.0, 2.0), d.HalfStudentT(5.0, 1.0, 1.0)
    side = {"family": "half-student-t", "df": 5}
    assert mckl.kl(*half) == pytest.approx(mckl.kl({**side, "scale": 2}, {**side, "scale": 1}))
    inverse = mckl.kl(d.InverseGamma(3.0, 2.0), d.LogLogistic(0.5, 0.25))
    side = {"family": "log-logistic", "shape": 4, "scale": np.exp(0.5)}
    assert inverse == pytest.approx(
        mckl.kl({"family": "inverse-gamma", "shape": 3, "scale": 2}, side), rel=1e-12
    )
    logistic = mckl.kl(d.Logistic(1.0, 1.0), d.Logistic(0.0, 2.0))
    side = {"family": "logistic"}
    assert logistic == pytest.approx(mckl.kl({**side, "location": 1}, {**side, "scale": 2}))


def test_other_laws_are_sampled_and_arrays_are_taken():
    import tensorflow as tf
    import tensorflow_probability as tfp

    d = tfp.distributions
    q, p = d.VonMises(0.0, 1.0), d.VonMises(0.0, 2.0)
    exact = float(q.kl_divergence(p).numpy())
    found = mckl.estimate(q, p, tolerance=0.1)
    assert found.stopped == "tight"
    assert abs(found.estimate - exact) < 2.5 * found.half_width
    assert found == mckl.estimate(q, p, tolerance=0.1)
    q, p = d.Bernoulli(probs=[0.3, 0.7]), d.Bernoulli(logits=[0.0, 0.0])
    found = mckl.estimate(q, p, tolerance=0.1)
    assert abs(found.estimate - mckl.kl(q, p)) < 2.5 * found.half_width
    q, p = d.VonMises(0.0, 1.0), d.VonMises(0.0, 2.0)
    z = q.sample(2000, seed=1)
    one = mckl.from_log_probs(q.log_prob(z), p.log_prob(z))
    assert one["k1"].estimate == pytest.approx(
        float(tf.reduce_mean(q.log_prob(z) - p.log_prob(z))), rel=1e-5
    )
