"""How far off the probability of a negative k1 over Sobol' points is, where it is given.

    python benchmarks/negative.py [--settings N] [--seed N] [--room N]

Simulates the linear matrix scramble over random settings and numbers of points. Prints the ratio of
the simulated probability to the stated one, and fails where it is beyond a factor of 2 by more than
4 standard errors.
"""

from __future__ import annotations

import os

os.environ.update(dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1"))

import argparse
import math
import sys

import numpy as np
from scipy.special import ndtr, ndtri
from tqdm import tqdm

from mckl.draw.quantiles import chisquare_of_normal
from mckl.exact.negative_balanced import probability_negative_balanced
from mckl.exact.strata import balanced_variance
from mckl.families.base import Pair
from mckl.families.normal.form import Form, full, radial
from mckl.families.normal.pair import pair

FACTOR, STANDARD_ERRORS = 2.0, 4.0


def random_pair(rng: np.random.Generator) -> Pair:
    """Dimension 1 to 8; one or two scales in 0.5 to 2.8, often near 1 or equal to it."""
    dimension = int(rng.choice([1, 2, 3, 4, 8]))
    scales = rng.uniform(0.5, 2.8, rng.integers(1, 3))
    scales = 1.0 + (scales - 1.0) * rng.choice([0.03, 0.1, 0.3, 1.0]) * (rng.random() > 0.2)
    offset = rng.choice([0.0, 0.02, 0.05, 0.25, 1.0])
    return pair(offset, 1.0, 0.0, scales[np.arange(dimension) % scales.size])


def negatives(form: Form, n: int, repeats: int, rng: np.random.Generator) -> int:
    """How many of `repeats` estimates over n = 2^m points of the linear scramble are negative."""
    total = np.zeros(repeats)
    kinds = [(a, b, 0.0) for a, b in zip(form.square, form.linear, strict=True)]
    kinds += [(c, 0.0, k) for c, k in zip(form.chi, form.dof, strict=True)]
    for a, b, dof in kinds:
        # The position in stratum y is M y + e over the field of two elements.
        shift, *rows = rng.integers(0, 2**53, (n.bit_length(), repeats))
        for y in range(n):
            position = shift.copy()
            for bit, row in enumerate(rows):
                if y >> bit & 1:
                    position ^= row
            g = ndtri(np.minimum((y + (position + 0.5) / 2**53) / n, 1.0 - 2.0**-53))
            even = chisquare_of_normal(dof)(g) - dof if dof else g * g - 1.0
            total += a * even + b * g
    return int((form.kl + total / n < 0.0).sum())


def main() -> int:
    """Measure, print a table, and fail where the probability is off."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--settings", type=int, default=300, help="with a probability to compare")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--room", type=int, default=2**22, help="numbers drawn for a comparison")
    chosen = parser.parse_args()
    rng = np.random.default_rng(chosen.seed)
    ratios: dict[int, list[float]] = {}
    worst_normal = worst = 1.0
    with tqdm(total=chosen.settings, unit="setting", disable=None) as bar:
        while bar.n < chosen.settings:
            of = random_pair(rng)
            form = (full, radial)[rng.integers(2)](of)
            n = 2 ** int(rng.integers(1, 10))
            stated = probability_negative_balanced(form, n)
            if not stated:
                continue
            bar.n += 1
            bar.refresh()
            repeats = chosen.room // (n * form.numbers)
            count = negatives(form, n, repeats, rng)
            off = STANDARD_ERRORS * math.sqrt(count + 1)
            least, most = (count - off) / repeats, (count + off) / repeats
            sure = max(least / stated, stated / most)
            if sure > max(worst, FACTOR):
                print(f"off by {sure:.3g} at least: D = {of.dimension}, {n} points, "
                      f"scales {np.unique(of.p_sd).round(3).tolist()}, offset {of.q_mean[0]:.3g}, "
                      f"stated {stated:.3g}, simulated {count / repeats:.3g}")  # fmt: skip
            worst = max(worst, sure)
            if count > 400:
                ratios.setdefault(n, []).append(count / repeats / stated)
                normal = ndtr(-form.kl / math.sqrt(balanced_variance(form, n)))
                worst_normal = max(worst_normal, count / repeats / normal)
    print(f"off by a factor of {worst:.3g} at most, {STANDARD_ERRORS:.0f} standard errors allowed")
    print(f"the normal law is too small by a factor of up to {worst_normal:.3g}")
    for n, known in sorted(ratios.items()):
        print(f"{n} points, {len(known)} settings: simulated / stated from {min(known):.3f} "
              f"to {max(known):.3f}")  # fmt: skip
    return 1 if worst > FACTOR else 0


if __name__ == "__main__":
    sys.exit(main())
