"""The sampler `iid`: independent samples, which is plain Monte Carlo."""

from __future__ import annotations

from functools import partial

import numpy as np

from mckl.draw.form import Form
from mckl.draw.points.base import Draw, PointSet
from mckl.draw.streams import Stream


def _start(stream: Stream, form: Form, seed: np.random.SeedSequence) -> Draw:
    return partial(form.draw, stream)


IID = PointSet("iid", "iid", mirrored=False, independent=True, start=_start)
