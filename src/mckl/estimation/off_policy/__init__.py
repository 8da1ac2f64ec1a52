"""Weights for samples of another law s than q, by name. A new one is one entry of the table."""

from __future__ import annotations

from collections.abc import Mapping

from mckl.estimation.off_policy.sample_weights import SampleWeight

# C = 2 is the default of verl and slime, and 0.2 the usual clip of PPO (Schulman et al., "Proximal
# policy optimization algorithms", 2017). Tables, figures and messages keep this order.
WEIGHTS: Mapping[str, SampleWeight] = {
    w.name: w
    for w in (
        SampleWeight("none", "no weight", None),
        SampleWeight("token", "w of each token", "token"),
        SampleWeight("token-truncated", "min(w, 2) of each token", "token", most=2.0),
        SampleWeight(
            "token-masked", "w of each token, or 0 outside [0.5, 2]", "token", 0.5, 2.0, True
        ),
        SampleWeight("token-clipped", "w of each token within [0.8, 1.2]", "token", 0.8, 1.2),
        SampleWeight("token-normalised", "w of each token over its mean", "token", normalised=True),
        SampleWeight("sequence", "W of the sequence", "sequence"),
        SampleWeight("sequence-root", "the square root of W", "sequence", power=0.5),
        SampleWeight("sequence-truncated", "min(W, 2)", "sequence", most=2.0),
        SampleWeight("sequence-masked", "W, 0 above 3", "sequence", most=3.0, masked=True),
        SampleWeight("sequence-normalised", "W over its mean", "sequence", normalised=True),
    )
}

__all__ = ["WEIGHTS", "SampleWeight"]
