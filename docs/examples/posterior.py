"""KL from a variational posterior with full covariance to its prior, and to the true posterior.

Run it anywhere: python docs/examples/posterior.py
"""

# %% A linear model y = X w + noise with the prior w ~ N(0, I). Its posterior is normal.
from __future__ import annotations

import numpy as np
from scipy import stats

import mckl

rng = np.random.default_rng(20261124)
X = rng.normal(size=(50, 6)) @ np.triu(np.ones((6, 6)))  # correlated columns
y = X @ np.array([1.0, -0.5, 0.3, 0.0, 0.2, -0.4]) + rng.normal(size=50)
precision = np.eye(6) + X.T @ X
posterior = stats.multivariate_normal(np.linalg.solve(precision, X.T @ y), np.linalg.inv(precision))
prior = stats.multivariate_normal(np.zeros(6), np.eye(6))

# %% The term of the evidence lower bound is exact; nothing is drawn.
print(f"KL(posterior || prior) = {mckl.kl(posterior, prior):.6f} nats")

# %% The best approximation with independent coordinates (mean field) has variances 1 / precision.
mean_field = stats.multivariate_normal(posterior.mean, np.diag(1.0 / np.diag(precision)))
print(f"KL(mean field || posterior) = {mckl.kl(mean_field, posterior):.6f} nats")

# %% How many samples a training loop would need for this KL, and with which estimator.
print(mckl.advise(mean_field, posterior, tolerance=0.05))

# %% An estimate that follows this advice, beside the exact value.
print(mckl.estimate(mean_field, posterior, tolerance=0.05))

# %% The same from log densities alone, which is all that most inference libraries give.
z = mean_field.rvs(20_000, random_state=rng)
print(mckl.from_log_probs(mean_field.logpdf(z), posterior.logpdf(z), tolerance=0.05))
