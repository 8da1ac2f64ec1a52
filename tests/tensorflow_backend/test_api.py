"""`import mckl` with distributions of TensorFlow Probability and arrays of TensorFlow."""

from __future__ import annotations

import numpy as np
import pytest

import mckl


def pairs():
    import tensorflow_probability as tfp

    d = tfp.distributions
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
    ]


def test_kl_is_what_tfp_registers():
    for q, p in pairs():
        expected = float(np.sum(q.kl_divergence(p).numpy(), dtype=np.float64))
        assert mckl.kl(q, p) == pytest.approx(expected, rel=3e-6), type(q).__name__


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
    z = q.sample(2000, seed=1)
    one = mckl.from_log_probs(q.log_prob(z), p.log_prob(z))
    assert one["k1"].estimate == pytest.approx(
        float(tf.reduce_mean(q.log_prob(z) - p.log_prob(z))), rel=1e-5
    )
