"""Measures the coverage of intervals from given samples, on pairs whose KL is known.

A run gives `mckl.estimation.given` the log density ratios, and the sums over factors, of n samples
and nothing else. It records whether there is an interval, and whether this contains KL. If the
interval is withheld, it records whether Student's interval would contain KL. So the table of alarms
shows the power of each diagnostic: how often it withholds an interval that misses KL, and how often
one that contains KL.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

from mckl.arrays import Vector
from mckl.draw import backends
from mckl.draw.points import SAMPLERS
from mckl.estimation.given.summary import Summary
from mckl.estimation.given.verdict import judge
from mckl.study.settings import Setting

_CONFIDENCE = 0.95
_BLOCK = 8192
# The numbers of samples are the config's `samples` divided by these.
SHARES = (1, 8, 64)


def sample_counts(samples: int) -> list[int]:
    """The numbers of samples at which intervals are judged, from the config's `samples`.

    >>> sample_counts(16384)
    [256, 2048, 16384]
    """
    return sorted({max(samples // share, 2) for share in SHARES})


def coverage(
    settings: Iterable[Setting], samples: int, runs: int, seed: int
) -> Iterator[tuple[list[dict[str, Any]], list[dict[str, Any]]]]:
    """The rows of intervals.parquet and of alarms.parquet, setting by setting.

    settings       The settings whose intervals are measured.
    samples, runs  The most samples of a run, and the number of runs: the config's `samples` and
                   `replicates`. Runs with fewer samples use the first samples of longer ones, so
                   that nothing is drawn twice.
    seed           The seed of all random streams.
    """
    for setting in settings:
        intervals: list[dict[str, Any]] = []
        alarms: list[dict[str, Any]] = []
        counts = {n: _Count(setting) for n in sample_counts(samples)}
        for ell, sums in _runs(setting, samples, runs, seed):
            for n, count in counts.items():
                count.add(ell[:n], {name: v[:n] for name, v in sums.items()})
        for n, count in counts.items():
            intervals += count.intervals(setting.name, n)
            alarms += count.alarms(setting.name, n)
        yield intervals, alarms


def _runs(
    setting: Setting, samples: int, runs: int, seed: int
) -> Iterator[tuple[Vector, dict[str, Vector]]]:
    """l and the sums over factors of independent runs, each of shape (samples,)."""
    pair, sampler = setting.pair, SAMPLERS["iid"]
    names = sorted(pair.sums)
    form = pair.form()
    replicates = backends.load("numpy")([form], sampler.points, names, samples * runs)
    following = replicates([sampler.key("numpy", form, seed, 0, "intervals")])
    for _ in range(runs):
        blocks = []
        for start in range(0, samples, _BLOCK):
            values = following(min(_BLOCK, samples - start))
            blocks.append(values[:, 0, 0, 0].copy())
        ell, *sums = np.concatenate(blocks, axis=1)
        yield ell, dict(zip(names, sums, strict=True))


class _Count:
    """Counts the runs of one setting and number of samples, by estimator."""

    def __init__(self, setting: Setting) -> None:
        self._kl, self._length = setting.pair.law.kl, float(setting.dimension)
        self._runs: Counter[str] = Counter()
        self._found: Counter[tuple[str, bool, bool]] = Counter()  # estimator, given, covered
        self._alarms: Counter[tuple[str, str, bool]] = Counter()  # estimator, diagnostic, covered

    def add(self, ell: Vector, sums: dict[str, Vector]) -> None:
        """Judge one run."""
        n = ell.size
        summary = Summary(sequences=bool(sums), full_kl="rb" in sums)
        units = {"ell": ell} | {f"factor_{name}": v for name, v in sums.items()}
        if sums:  # of tokens alone no more is known
            more = {"length": self._length, "largest_ratio": np.inf, "factor_rb_fit": 0.0}
            units |= {name: np.full(n, value) for name, value in more.items()}
        for start in range(0, n, _BLOCK):
            summary.update({name: v[start : start + _BLOCK] for name, v in units.items()})
        _, judged = judge(summary, _CONFIDENCE)
        for one in judged:
            if one.per != "unit":
                continue
            plain = one.estimate - one.half_width, one.estimate + one.half_width
            low, high = plain if one.doubts else one.interval
            # An estimate without any spread is KL, but for rounding.
            covered = low <= self._kl * (1.0 + 1e-12) and self._kl * (1.0 - 1e-12) <= high
            self._runs[one.estimator] += 1
            self._found[one.estimator, not one.doubts, covered] += 1
            for name in {doubt.diagnostic for doubt in one.doubts}:
                self._alarms[one.estimator, name, covered] += 1

    def intervals(self, setting: str, samples: int) -> list[dict[str, Any]]:
        """The rows of intervals.parquet."""
        rows = []
        for estimator, runs in self._runs.items():
            given, withheld = (self._found[estimator, kind, True] for kind in (True, False))
            rows.append(
                {
                    "setting": setting,
                    "estimator": estimator,
                    "samples": samples,
                    "runs": runs,
                    "given": given + self._found[estimator, True, False],
                    "covered_given": given,
                    "withheld": withheld + self._found[estimator, False, False],
                    "covered_withheld": withheld,
                }
            )
        return rows

    def alarms(self, setting: str, samples: int) -> list[dict[str, Any]]:
        """The rows of alarms.parquet."""
        names = dict.fromkeys((e, d) for e, d, _ in self._alarms)
        return [
            {
                "setting": setting,
                "estimator": estimator,
                "samples": samples,
                "diagnostic": diagnostic,
                "alarms": sum(self._alarms[estimator, diagnostic, c] for c in (True, False)),
                "alarms_covered": self._alarms[estimator, diagnostic, True],
            }
            for estimator, diagnostic in names
        ]
