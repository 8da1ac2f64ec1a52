"""The log density ratio of two diagonal normal laws by its definition."""

from __future__ import annotations

import numpy as np

from mckl.families.normal.pair import Diagonal


def log_density_ratio(pair: Diagonal, z: np.ndarray) -> np.ndarray:
    """Log q(z) - log p(z) in nats, shape (...), for points z of shape (..., dimension)."""
    q = (z - pair.q_mean) / pair.q_sd
    p = (z - pair.p_mean) / pair.p_sd
    return (0.5 * (p * p - q * q) + np.log(pair.p_sd / pair.q_sd)).sum(axis=-1)
