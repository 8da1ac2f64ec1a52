"""How far off the leading order of cv's theory is, where the study gives it.

    python benchmarks/leading_order.py [--settings N] [--seed N] [--room N]

Draws random settings, takes the number of samples from which the theory speaks and a random
larger one, and compares its bias and variance with simulated ones. Prints the largest deviations
and fails where one is more than 20 % and 4 standard errors. With few replicates of a skewed
estimate 4 standard errors are no rare event, so what is off is measured again by fresh draws.
"""

from __future__ import annotations

import os

os.environ.update(dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1"))

import argparse
import math
import sys
from typing import NamedTuple

import numpy as np
from tqdm import tqdm

from mckl.arrays import Vector
from mckl.estimation.running import RunningMoments
from mckl.estimation.values import ESTIMATORS, UnitTheory
from mckl.estimation.values.cv import moments
from mckl.estimation.values.integrands import Integrands
from mckl.estimation.values.regression import Residual
from mckl.exact.law import Law
from mckl.families.base import Pair
from mckl.families.normal.pair import pair

CV = ESTIMATORS["cv"]
MOST_SAMPLES = 65536
RELATIVE, STANDARD_ERRORS = 0.2, 4.0
_AGAIN = 16  # times as many fresh replicates where something is off


class Deviation(NamedTuple):
    """What was simulated against the leading order: relative, and in standard errors."""

    quantity: str
    relative: float
    z: float

    @property
    def wrong(self) -> bool:
        """Whether it is off by more than the theory may be."""
        return abs(self.relative) > RELATIVE and abs(self.z) > STANDARD_ERRORS


def random_pair(rng: np.random.Generator) -> Pair:
    """Dimension 1 to 200; one to three scales in 0.6 to 1.39; offset 0 to 2, often small."""
    dimension = round(math.exp(rng.uniform(0.0, math.log(200.0))))
    scales = rng.uniform(0.6, 1.39, rng.integers(1, 4))
    scales = 1.0 + (scales - 1.0) * rng.choice([0.05, 0.2, 0.5, 1.0, 1.0, 1.0])
    offset = rng.uniform(0.0, 2.0) * rng.choice([0.0, 0.1, 0.3, 1.0, dimension**-0.5])
    return pair(offset, 1.0, 0.0, scales[np.arange(dimension) % scales.size])


def true_slope(law: Law, paired: bool) -> float:
    """The slope of l on r - 1 over units."""
    return -Residual(law, paired, moments).rest


def simulated(
    of: Pair, law: Law, paired: bool, units: int, replicates: int, rng: np.random.Generator
) -> tuple[Vector, Vector]:
    """Errors of cv, and those that it would make with the true slope, by replicate.

    The second ones have mean 0 and the leading order's variance, so they serve as a control.
    """
    form, slope = of.radial(), true_slope(law, paired)
    errors, control = [], []
    rows = max(2**18 // units, 1)
    for start in range(0, replicates, rows):
        shape = (min(rows, replicates - start), units)
        even, odd = np.full(shape, law.kl), np.zeros(shape)
        for a, b in zip(form.square, form.linear, strict=True):
            g = rng.standard_normal(shape)
            odd += b * g
            even += a * (g * g - 1.0)
        for a, dof in zip(form.chi, form.dof, strict=True):
            even += a * (rng.chisquare(dof, shape) - dof)
        ell = np.stack((even + odd, even - odd) if paired else (even + odd,))
        moments = RunningMoments(CV.products, Integrands, shape[0])
        moments.update(ell)
        errors.append(CV.estimate(moments)[0] - law.kl)
        control.append(moments.mean("ell") - law.kl - slope * moments.mean("ratio"))
    return np.concatenate(errors), np.concatenate(control)


def deviations(unit: UnitTheory, units: int, errors: Vector, control: Vector) -> list[Deviation]:
    """What is off at so many units, of what the theory says there."""
    count, variance = errors.size, unit.variance / units
    squares = (errors - errors.mean()) ** 2 * count / (count - 1)
    found = [_deviation("variance", (squares, squares - control**2 + variance), variance)]
    if units >= unit.least_units_of_bias:
        bias = unit.bias_times_n / units
        found.append(_deviation("bias", (errors, errors - control), bias))
    return found


def _deviation(quantity: str, either: tuple[Vector, Vector], exact: float) -> Deviation:
    # The control takes noise away except where its own tail is the noise.
    values = min(either, key=lambda x: float(x.std()))
    error = float(values.std(ddof=1)) / math.sqrt(values.size)
    off = float(values.mean()) - exact
    return Deviation(quantity, off / abs(exact), off / error if error else 0.0)


def cells(unit: UnitTheory, points: int, rng: np.random.Generator) -> list[int]:
    """Numbers of units to look at: where variance and bias begin to be known, and beyond."""
    most = MOST_SAMPLES // points
    begin = [max(math.ceil(x), 16 // points) for x in (unit.least_units, unit.least_units_of_bias)
             if x <= most]  # fmt: skip
    if not begin:
        return []
    return [*dict.fromkeys(begin), round(math.exp(rng.uniform(math.log(begin[0]), math.log(most))))]


def main() -> int:
    """Measure, print a table, and fail where the theory is off."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--settings", type=int, default=500, help="with a known variance or bias")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--room", type=int, default=2**20, help="units drawn for a comparison")
    chosen = parser.parse_args()
    rng = np.random.default_rng(chosen.seed)
    found: list[tuple[Deviation, str]] = []
    drawn = done = 0
    with tqdm(total=chosen.settings, unit="setting", disable=None) as bar:
        while done < chosen.settings:
            drawn += 1
            of, paired = random_pair(rng), bool(rng.integers(2))
            law = of.law
            unit = CV.theory(law, paired)
            if unit.kind != "asymptotic":
                continue
            at = cells(unit, 1 + paired, rng)
            for units in at:
                replicates = min(max(chosen.room // units, 64), 20000)
                known = deviations(unit, units, *simulated(of, law, paired, units, replicates, rng))
                if any(d.wrong for d in known):  # a false alarm does not come again
                    again = np.random.default_rng([chosen.seed, drawn])
                    replicates *= _AGAIN
                    sample = simulated(of, law, paired, units, replicates, again)
                    known = deviations(unit, units, *sample)
                name = (
                    f"D = {of.dimension}, scales {np.unique(of.p_sd).round(3).tolist()}, "
                    f"offset {of.q_mean[0]:.3g}, {'antithetic' if paired else 'iid'}, "
                    f"{units} units, {replicates} replicates"
                )
                found += [(d, name) for d in known]
            done += bool(at)
            bar.update(bool(at))
    print(f"{done} of {drawn} random settings have a leading order within {MOST_SAMPLES} samples")
    wrong = 0
    for quantity in ("variance", "bias"):
        mine = [(d, name) for d, name in found if d.quantity == quantity]
        sure = [(d, name) for d, name in mine if abs(d.z) > STANDARD_ERRORS]
        wrong += sum(d.wrong for d, _ in mine)
        print(f"{quantity}: {len(mine)} comparisons, {sum(d.wrong for d, _ in mine)} wrong")
        for d, name in sorted(sure, key=lambda x: -abs(x[0].relative))[:5]:
            print(f"  {100 * d.relative:+.1f} %, {d.z:+.1f} standard errors: {name}")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
