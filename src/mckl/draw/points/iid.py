"""iid: independent samples, the plain Monte Carlo of the notebook."""

from __future__ import annotations

from typing import Any

import numpy as np

from mckl.draw.points.base import Draw, PointSet, Stream
from mckl.draw.reduction import Form


def _start(stream: Stream, form: Form, seed: np.random.SeedSequence) -> Draw:
    def draw(rows: int) -> tuple[Any, Any]:
        return stream.normals(rows, form.square.size), stream.chisquares(rows, form.dof)

    return draw


IID = PointSet("iid", points=1, independent=True, start=_start)
