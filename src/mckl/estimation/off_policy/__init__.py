"""Weights for samples of another law s than q, by name. A new one is one entry of the table."""

from __future__ import annotations

from collections.abc import Mapping

from mckl.estimation.off_policy.weights import Weight

# C = 2 is the default of verl and slime, and 0.2 the usual clip of PPO (Schulman et al., "Proximal
# policy optimization algorithms", 2017). Tables, figures and messages keep this order.
WEIGHTS: Mapping[str, Weight] = {
    w.name: w
    for w in (
        Weight("none", "no weight", None),
        Weight("token", "w of each token", "token"),
        Weight("token-truncated", "min(w, 2) of each token", "token", most=2.0),
        Weight("token-masked", "w of each token, 0 outside [0.5, 2]", "token", 0.5, 2.0, True),
        Weight("token-clipped", "w of each token within [0.8, 1.2]", "token", 0.8, 1.2),
        Weight("token-normalised", "w of each token over its mean", "token", normalised=True),
        Weight("sequence", "W of the sequence", "sequence"),
        Weight("sequence-root", "the square root of W", "sequence", power=0.5),
        Weight("sequence-truncated", "min(W, 2)", "sequence", most=2.0),
        Weight("sequence-masked", "W, 0 above 3", "sequence", most=3.0, masked=True),
        Weight("sequence-normalised", "W over its mean", "sequence", normalised=True),
    )
}

__all__ = ["WEIGHTS", "Weight"]
