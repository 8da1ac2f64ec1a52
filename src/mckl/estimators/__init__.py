"""The estimators of KL(q||p), by name. A new one is one file here and one line below."""

from __future__ import annotations

from collections.abc import Mapping

from mckl.estimators.base import Estimator, UnitTheory
from mckl.estimators.cv import CV
from mckl.estimators.k1 import K1
from mckl.estimators.k2 import K2
from mckl.estimators.k3 import K3

ESTIMATORS: Mapping[str, Estimator] = {e.name: e for e in (K1, K2, K3, CV)}

__all__ = ["ESTIMATORS", "Estimator", "UnitTheory"]
