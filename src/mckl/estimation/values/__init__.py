"""The estimators of KL(q||p), by name. A new one is one file here and one line below."""

from __future__ import annotations

from collections.abc import Mapping

from mckl.estimation.values.base import Estimator, UnitTheory
from mckl.estimation.values.cv import CV
from mckl.estimation.values.k1 import K1
from mckl.estimation.values.k2 import K2
from mckl.estimation.values.k3 import K3

ESTIMATORS: Mapping[str, Estimator] = {e.name: e for e in (K1, K2, K3, CV)}

__all__ = ["ESTIMATORS", "Estimator", "UnitTheory"]
