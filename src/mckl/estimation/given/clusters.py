"""Adds up the values of units by cluster, such as the completions of one prompt, in any order."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from mckl.arrays import Vector


class Clusters:
    """Sums over the units of each cluster, in memory that grows with the number of clusters.

    The units of a cluster need not follow each other. Clusters keep the order in which they first
    appear.
    """

    def __init__(self) -> None:
        self._places: dict[Any, int] = {}
        self._sums: dict[str, Vector] = {}

    def update(self, ids: Any, values: Mapping[str, Vector]) -> None:
        """Add units: the id of each one's cluster, and its values by name, shapes (units,)."""
        places = np.array([self._places.setdefault(i, len(self._places)) for i in ids.tolist()])
        count = len(self._places)
        for name, value in values.items():
            sums = np.zeros(count)
            held = self._sums.get(name, sums[:0])
            sums[: held.size] = held
            self._sums[name] = sums + np.bincount(places, value, count)

    def sums(self) -> Mapping[str, Vector]:
        """The sums by name, each of shape (clusters,)."""
        return self._sums
