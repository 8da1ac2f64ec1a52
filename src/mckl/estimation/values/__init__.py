# ruff: noqa: F401, I001 - an import is a registration, and their order is the study's
"""The estimators of KL(q||p), by name. A new one is one file here and one line below."""

from __future__ import annotations

from collections.abc import Mapping

from mckl.estimation.values.base import Estimator, UnitTheory

# Every estimator imported here is registered; tables, figures and messages keep this order.
from mckl.estimation.values.k1 import K1
from mckl.estimation.values.k2 import K2
from mckl.estimation.values.k3 import K3
from mckl.estimation.values.cv import CV
from mckl.estimation.values.k2_factor import K2_FACTOR
from mckl.estimation.values.k3_factor import K3_FACTOR
from mckl.estimation.values.cv_factor import CV_FACTOR
from mckl.estimation.values.rb import RB

ESTIMATORS: Mapping[str, Estimator] = {
    e.name: e for e in [*globals().values()] if isinstance(e, Estimator)
}

__all__ = ["ESTIMATORS", "Estimator", "UnitTheory"]
