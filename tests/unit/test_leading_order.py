"""The leading order of cv is given where it holds, and nowhere else.

The whole measurement, over 500 random settings, is benchmarks/leading_order.py.
"""

import math
import sys
from pathlib import Path

import numpy as np
import pytest

from mckl.estimation.theory import over_units
from mckl.families.normal.pair import grid_pair

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))
import leading_order as measured


@pytest.mark.parametrize(
    ("dimension", "scale", "offset", "units"),
    [(64, 1.1, 0.25, 1024), (4, 1.0, 1.0, 64), (64, 1.0, 0.25, 16384), (4, 1.25, 0.25, 16384)],
)
def test_nothing_is_said_where_the_order_has_not_settled(dimension, scale, offset, units):
    told = over_units(measured.CV.theory(grid_pair(dimension, scale, offset).law, False), units)
    assert told.theory == "none"
    assert math.isnan(told.bias)
    assert math.isnan(told.variance)
    assert told.reason


@pytest.mark.parametrize(
    ("dimension", "scale", "offset", "units"), [(64, 1.1, 0.25, 1024), (4, 1.0, 1.0, 64)]
)
def test_the_leading_order_is_wrong_there(dimension, scale, offset, units):
    """The leading order that is not given would be far off, so nothing is lost."""
    of = grid_pair(dimension, scale, offset)
    law = of.law
    unit = measured.CV.theory(law, False)._replace(least_units=1.0, least_units_of_bias=1.0)
    rng = np.random.default_rng(4)
    errors, control = measured.simulated(of, law, False, units, 2**20 // units, rng)
    told = measured.deviations(unit, units, errors, control)
    assert all(d.wrong for d in told)


@pytest.mark.parametrize("paired", [False, True])
@pytest.mark.parametrize(
    ("dimension", "scale", "offset"),
    [
        (1, 0.7, 0.5),
        (1, 0.714, 1.62),
        (1, 1.05, 0.1),
        (7, 0.93, 0.1),
        (30, 0.99, 0.15),
        (200, 1.0, 0.02),
    ],
)
def test_the_leading_order_holds_where_it_is_given(dimension, scale, offset, paired):
    of = grid_pair(dimension, scale, offset)
    law = of.law
    unit = measured.CV.theory(law, paired)
    if unit.kind == "exact":  # scale 1: a pair is KL itself
        assert unit.variance == 0.0
        return
    rng = np.random.default_rng(8)
    for units in sorted({math.ceil(unit.least_units), math.ceil(unit.least_units_of_bias)}):
        assert units < 2000
        errors, control = measured.simulated(of, law, paired, units, 2**18 // units, rng)
        for d in measured.deviations(unit, units, errors, control):
            assert not d.wrong, d
            assert abs(d.relative) < 0.2 or abs(d.z) < 5
