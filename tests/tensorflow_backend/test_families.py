"""The KL of every pair of one family that TensorFlow Probability registers."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.util import find_spec
from typing import Any

import numpy as np
import pytest

from mckl.families.base import Family
from mckl.families.beta import BETA
from mckl.families.categorical import CATEGORICAL
from mckl.families.dirichlet import DIRICHLET
from mckl.families.gamma import GAMMA
from mckl.families.gaussian import GAUSSIAN
from mckl.families.laplace import LAPLACE

pytestmark = pytest.mark.skipif(
    find_spec("tensorflow_probability") is None,
    reason="the extra is not installed: pip install '.[tensorflow]' -c constraints.txt",
)


@pytest.mark.parametrize(
    ("family", "theirs", "names", "q", "p"),
    [
        (GAUSSIAN, "Normal", {"mean": "loc", "sd": "scale"},
         {"mean": [1, 4], "sd": [1, 2]}, {"mean": [-3, 2], "sd": [2.5, 1]}),
        (LAPLACE, "Laplace", {"location": "loc", "scale": "scale"},
         {"location": [0, 1], "scale": [1, 2]}, {"location": [0.5, -1], "scale": [1.25, 1.5]}),
        (GAMMA, "Gamma", {"shape": "concentration", "rate": "rate"},
         {"shape": [2, 0.5, 30], "rate": [1, 3, 2]}, {"shape": [3, 0.7, 28], "rate": [0.5, 2, 2]}),
        (BETA, "Beta", {"a": "concentration1", "b": "concentration0"},
         {"a": [2, 0.3], "b": [3, 0.5]}, {"a": [1, 0.6], "b": [1, 2]}),
        (CATEGORICAL, "Categorical", {"probabilities": "probs"},
         {"probabilities": [0.7, 0.2, 0.1]}, {"probabilities": [0.1, 0.3, 0.6]}),
        (DIRICHLET, "Dirichlet", {"concentration": "concentration"},
         {"concentration": [2, 3, 0.5]}, {"concentration": [1, 1, 4]}),
    ],
    ids=lambda value: value.name if isinstance(value, Family) else "",
)  # fmt: skip
def test_registered_kl(
    family: Family,
    theirs: str,
    names: Mapping[str, str],
    q: Mapping[str, Any],
    p: Mapping[str, Any],
) -> None:
    import tensorflow_probability as tfp

    make = getattr(tfp.distributions, theirs)
    laws = [make(**{names[k]: np.array(v, dtype=float) for k, v in s.items()}) for s in (q, p)]
    registered = float(np.sum(tfp.distributions.kl_divergence(*laws)))
    pair = family.side(q).against(family.side(p))
    assert pair.law.kl == pytest.approx(registered, rel=1e-10)
    back = float(np.sum(tfp.distributions.kl_divergence(*laws[::-1])))
    assert pair.reverse_kl == pytest.approx(back, rel=1e-10)
