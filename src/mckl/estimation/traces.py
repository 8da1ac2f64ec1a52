"""The work of one job: the running estimates of every replicate at its checkpoints."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from mckl.arrays import Vector
from mckl.draw import backends
from mckl.draw.form import Form
from mckl.draw.points import Sampler
from mckl.errors import NotFiniteError
from mckl.estimation.running import RunningMoments
from mckl.estimation.values import Estimator
from mckl.estimation.values.integrands import Integrands, of_only_factor
from mckl.exact.factor_sums import SUMS
from mckl.families.base import Pair

# The units between two merges of the moments, and the traces whose moments are merged together.
# 12 x 1024 values of l and their integrands stay in a core's cache. They also stay below 128 KiB,
# from which on the C library maps new memory for every array, which takes twice the time. The last
# bits of results depend on the first number, so it is not a parameter; the second one is.
BLOCK = 1024
TRACES_AT_ONCE = 12
# The most traces whose moments wait in memory until their estimates are computed together.
ESTIMATED_AT_ONCE = 4096
# The most settings that share their draws at a time; more would save little and take more memory.
SETTINGS_AT_ONCE = 12


class Trace(NamedTuple):
    """The running estimates of one pair with one sampler.

    estimate, std_error  shape (estimators, replicates, checkpoints), in nats; std_error is NaN
                         where one trace cannot have one, as over Sobol' points
    samples              the checkpoints, shape (checkpoints,)
    """

    samples: tuple[int, ...]
    estimate: Vector
    std_error: Vector

    @property
    def evaluations(self) -> int:
        """The number of values of l in all replicates."""
        return int(self.estimate.shape[1]) * max(self.samples, default=0)


def checkpoints(samples: int, per_octave: int) -> list[int]:
    """The numbers of samples at which the running estimate is recorded, up to `samples`.

    There are `per_octave` of them for every doubling, rounded to integers; the last is `samples`.
    """
    octaves = samples.bit_length() - 1
    grid = {round(2.0 ** (k / per_octave)) for k in range(per_octave * (octaves + 1))}
    return sorted({n for n in grid if n <= samples} | {samples})


def checkpoints_of(sampler: Sampler, samples: Sequence[int]) -> list[int]:
    """The checkpoints at which a sampler has drawn whole units."""
    points = sampler.points.points
    return [n for n in samples if n % points == 0]


def trace(pair: Pair, *args: Any, name: str = "pair", **kwargs: Any) -> Trace:
    """The trace of one pair; the other arguments are those of `traces`."""
    (result,) = traces({name: pair}, *args, **kwargs)
    return result


def traces(
    pairs: Mapping[str, Pair],
    backend: str,
    sampler: Sampler,
    estimators: Sequence[Estimator],
    *,
    seed: int,
    samples: Sequence[int],
    replicates: int,
    dtype: str = "float64",
    stage: Sequence[str] = (),
    at_once: int = TRACES_AT_ONCE,
    progress: Callable[[int], object] = lambda evaluations: None,
) -> list[Trace]:
    """Run every replicate of some pairs, given by name, with a sampler; returns a trace for each.

    All estimators share the draws, and so do pairs whose samples take the same numbers. A trace has
    the same bits whichever pairs are run with it. Memory does not depend on the number of samples.

    Parameters
    ----------
    pairs
        The pairs by name.
    backend, dtype
        The name of the backend that draws, and its type of numbers.
    sampler, estimators
        How samples are drawn, and the estimators.
    seed
        The seed of all random streams.
    samples
        The checkpoints, ascending.
    replicates
        The number of independent repetitions.
    stage
        Further parts of the streams' keys, which make them differ from those of other stages.
    at_once
        The number of traces whose moments are merged together.
    progress
        A function that is called after each step with the number of values of l that it added.

    Raises
    ------
    NotFiniteError
        If l is not finite; it names pair, replicate and sample.
    """
    sums_of = backends.load(backend, dtype)
    checkpoints = checkpoints_of(sampler, samples)
    products = [product for e in estimators for product in e.products]
    own = {name: f for e in estimators for name, f in e.integrands.items()}
    every_sum = tuple(dict.fromkeys(name for e in estimators for name in e.sums))

    def sharing(names: Sequence[str], forms: Sequence[Form]) -> Iterator[Trace]:
        # With one factor, functions of l_i are functions of l.
        one_factor = all(pairs[name].dimension == 1 for name in names) and {*every_sum} <= {*SUMS}
        sums = () if one_factor else every_sum

        def integrands(values: Vector) -> Integrands:
            return Integrands(values[0], own, dict(zip(sums, values[1:], strict=True)))

        # If a sample has one factor, a sum over factors has the moments of the whole.
        same = of_only_factor if one_factor else lambda name: name
        shape = (len(estimators), len(forms) * replicates, len(checkpoints))
        estimate, std_error = np.empty(shape), np.full(shape, np.nan)
        units = [n // sampler.points.points for n in checkpoints]
        last = max(units, default=0)
        replicates_of = sums_of(forms, sampler.points, sums, last)
        together = max(at_once // len(forms), 1)
        rows: list[int] = []
        seen: list[list[RunningMoments]] = [[] for _ in checkpoints]
        for first in range(0, replicates, together):
            group = range(first, min(first + together, replicates))
            following = replicates_of(
                [sampler.key(backend, forms[0], seed, r, *stage) for r in group]
            )
            moments = RunningMoments(
                products, integrands, len(forms) * len(group), same=same, overwrite=True
            )
            for begin in range(0, last, BLOCK):
                values = following(min(BLOCK, last - begin))
                ell = values[0]
                if not np.isfinite(ell).all():
                    _, which, replicate, unit = np.argwhere(~np.isfinite(ell))[0]
                    raise NotFiniteError(
                        setting=names[which], backend=backend, sampler=sampler.name,
                        replicate=group[replicate],
                        sample=int(moments.units + unit) * sampler.points.points,
                    )  # fmt: skip
                for c in _merge(moments, values, units):
                    seen[c].append(moments.so_far())
                progress(ell.size)
            rows += [f * replicates + r for f in range(len(forms)) for r in group]
            if len(rows) < ESTIMATED_AT_ONCE and group.stop < replicates:
                continue
            for c, parts in enumerate(seen):
                of_rows = RunningMoments.side_by_side(parts)
                for e, estimator in enumerate(estimators):
                    value, variance = estimator.estimate(of_rows)
                    estimate[e, rows, c] = value
                    if sampler.points.independent:
                        std_error[e, rows, c] = np.sqrt(variance)
                parts.clear()
            rows.clear()
        for i in range(len(forms)):
            of_form = slice(i * replicates, (i + 1) * replicates)
            yield Trace(tuple(checkpoints), estimate[:, of_form], std_error[:, of_form])

    names = list(pairs)
    forms = [sampler.form(pair) for pair in pairs.values()]
    out: dict[int, Trace] = {}
    for shape in dict.fromkeys(form.shape for form in forms):
        same = [i for i, form in enumerate(forms) if form.shape == shape]
        shared = sharing([names[i] for i in same], [forms[i] for i in same])
        out.update(zip(same, shared, strict=True))
    return [out[i] for i in range(len(pairs))]


def _merge(moments: RunningMoments, values: Vector, checkpoints: Sequence[int]) -> Iterator[int]:
    """Add a block to the moments; stop at every checkpoint within it and yield its index."""
    begin, block = moments.units, values.shape[-1]
    stops = {unit - begin: c for c, unit in enumerate(checkpoints) if begin < unit <= begin + block}
    values = values.reshape(*values.shape[:2], -1, block)
    for stop in moments.updates(values, dict.fromkeys([*stops, block])):
        if stop in stops:
            yield stops[stop]


def sound_traces(
    pairs: Mapping[str, Pair],
    backend: str,
    sampler: Sampler,
    estimators: Sequence[Estimator],
    *,
    samples: Sequence[int],
    replicates: int,
    **others: Any,
) -> tuple[list[Trace], list[NotFiniteError]]:
    """As `traces`, but pairs whose l is not finite get NaN throughout, with their errors.

    For such a pair no replicate is kept, as those that happened to stay finite would be biased.
    """
    sound, gaps, results = dict(pairs), [], []
    while sound:
        try:
            results = traces(
                sound, backend, sampler, estimators,
                samples=samples, replicates=replicates, **others,
            )  # fmt: skip
            break
        except NotFiniteError as gap:
            gaps.append(gap)
            del sound[str(gap.where["setting"])]
    checkpoints = checkpoints_of(sampler, samples)
    unknown = np.full((len(estimators), replicates, len(checkpoints)), np.nan)
    by_name = dict(zip(sound, results, strict=True))
    return [by_name.get(name, Trace(tuple(checkpoints), unknown, unknown)) for name in pairs], gaps
