"""The sampler `sobol`: SciPy's scrambled Sobol' points, mapped by the quantile functions.

Every replicate has a new scramble, which is a random linear matrix scramble with a digital shift
(Matousek 1998); the direction numbers are those of Joe & Kuo (2008). SciPy's points lie on a grid
of 2^-30. A uniform jitter within the cells of this grid makes each point exactly uniform, and
avoids 0, whose normal quantile is infinite.
"""

from __future__ import annotations

import warnings

import numpy as np

from mckl.draw.form import Form, Numbers
from mckl.draw.points.base import Draw, PointSet
from mckl.draw.streams import Stream

_BITS = 30
_MOST_NUMBERS = 21201  # the number of dimensions in Joe & Kuo's table, which SciPy uses


def _start(stream: Stream, form: Form, seed: np.random.SeedSequence) -> Draw:
    from scipy.stats import qmc

    scramble, jitter = (np.random.Generator(np.random.SFC64(s)) for s in seed.spawn(2))
    engine = qmc.Sobol(form.numbers, scramble=True, bits=_BITS, rng=scramble)

    def draw(rows: int) -> Numbers:
        with warnings.catch_warnings():  # SciPy warns if n is not a power of two
            warnings.simplefilter("ignore", UserWarning)
            u = engine.random(rows)
        u += 2.0**-_BITS * jitter.random(u.shape)
        np.clip(u, 2.0**-64, 1.0 - 2.0**-53, out=u)  # with the jitter, u may be 0 or round to 1
        return form.at(stream, u)

    return draw


SOBOL = PointSet(
    "sobol",
    "sob",
    mirrored=False,
    independent=False,
    start=_start,
    balanced=True,
    most_numbers=_MOST_NUMBERS,
    most_samples=2**_BITS,
    seconds_per_normal=20e-9,
    seconds_per_chisquare=40e-9,
    seconds_per_sample=25e-9,
    seconds_per_replicate=2e-4,
)
