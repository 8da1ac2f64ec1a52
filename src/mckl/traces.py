"""One job's work: the running estimates of every replicate at its checkpoints."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import numpy as np

from mckl import backends
from mckl.errors import NotFiniteError, UserError
from mckl.estimators import Estimator
from mckl.estimators.integrands import INTEGRANDS
from mckl.gaussians import Vector
from mckl.points import SAMPLERS, Sampler
from mckl.running import RunningMoments
from mckl.settings import Setting
from mckl.streams import seed_sequence

# Units drawn between two merges of the moments, and replicates that run side by side: 12 x 1024
# values of l and their integrands stay in a core's cache, and below the 128 KiB from which the C
# library maps fresh memory for every array, at twice the time. The first is part of the result's
# last bits, so it is no parameter; the second is not.
BLOCK = 1024
REPLICATES_AT_ONCE = 12
# One sample of every coordinate and its squares have to fit in memory.
_MOST_NUMBERS = 10**8


class Trace(NamedTuple):
    """The running estimates of one setting with one sampler.

    estimate, std_error  shape (estimators, replicates, checkpoints), in nats; std_error is
                         NaN where one trace does not support it
    samples              the checkpoints, shape (checkpoints,)
    """

    samples: tuple[int, ...]
    estimate: Vector
    std_error: Vector

    @property
    def evaluations(self) -> int:
        """How many values of l all replicates took."""
        return int(self.estimate.shape[1]) * max(self.samples, default=0)


def checkpoints(samples: int, per_octave: int) -> list[int]:
    """The sample counts at which the running estimate is recorded, up to `samples`.

    `per_octave` of them for every doubling, rounded to integers; `samples` is always one.
    """
    octaves = samples.bit_length() - 1
    grid = {round(2.0 ** (k / per_octave)) for k in range(per_octave * (octaves + 1))}
    return sorted({n for n in grid if n <= samples} | {samples})


def checkpoints_of(sampler: Sampler, samples: Sequence[int]) -> list[int]:
    """The checkpoints that a sampler can stop at: whole units only."""
    points = sampler.points.points
    return [n for n in samples if n % points == 0]


def trace(
    setting: Setting,
    backend: str,
    sampler: Sampler,
    estimators: Sequence[Estimator],
    *,
    seed: int,
    samples: Sequence[int],
    replicates: int,
    dtype: str = "float64",
    at_once: int = REPLICATES_AT_ONCE,
    progress: Callable[[int], object] = lambda evaluations: None,
) -> Trace:
    """Run every replicate of a setting with a sampler; all estimators share the draws.

    Memory does not depend on the number of samples. `progress` is told how many evaluations
    of l each step added. Raises `NotFiniteError` naming setting, replicate and sample when l
    is not finite.
    """
    library = backends.load(backend, dtype)
    form = sampler.reduce(setting.pair)
    points = sampler.points.points
    at = checkpoints_of(sampler, samples)
    products = [product for e in estimators for product in e.products]
    estimate = np.empty((len(estimators), replicates, len(at)))
    std_error = np.full_like(estimate, np.nan)
    for first in range(0, replicates, at_once):
        group = range(first, min(first + at_once, replicates))
        draws = []
        for replicate in group:
            key = seed_sequence(seed, setting.content, sampler.name, backend, replicate)
            draws.append(sampler.points.start(library.stream(key), form, key))
        kernel = library.kernel(form, points, at[-1] // points if at else 0)
        moments = RunningMoments(products, INTEGRANDS, len(group))
        rows = slice(group.start, group.stop)
        for stop in _stops(at, points):
            ell = kernel.log_density_ratios(draws, stop - moments.units)
            if not np.isfinite(ell).all():
                _, bad, unit = np.argwhere(~np.isfinite(ell))[0]
                sample = (moments.units + unit) * points
                raise NotFiniteError(
                    setting=setting.name, backend=backend, sampler=sampler.name,
                    replicate=int(group[bad]), sample=int(sample),
                )  # fmt: skip
            moments.update(ell)
            progress(ell.size)
            if stop * points in at:
                c = at.index(stop * points)
                for e, estimator in enumerate(estimators):
                    value, variance = estimator.estimate(moments)
                    estimate[e, rows, c] = value
                    if sampler.points.independent:
                        std_error[e, rows, c] = np.sqrt(variance)
    return Trace(tuple(at), estimate, std_error)


def missing_trace(
    sampler: Sampler, estimators: Sequence[Estimator], samples: Sequence[int], replicates: int
) -> Trace:
    """The trace of a setting whose l is not finite: NaN throughout, no replicate left to choose."""
    at = checkpoints_of(sampler, samples)
    unknown = np.full((len(estimators), replicates, len(at)), np.nan)
    return Trace(tuple(at), unknown, unknown)


def trace_columns(
    trace: Trace, setting: Setting, backend: str, sampler: str, estimators: Sequence[str]
) -> dict[str, object]:
    """The trace as columns of traces.parquet: by estimator, then replicate, then samples."""
    from mckl.tables import keys  # Arrow: what only forecasts or estimates does without it

    e, r, c = trace.estimate.shape
    rows = e * r * c

    same = np.zeros(rows, np.int32)
    return {
        "setting": keys([setting.name], same),
        "backend": keys([backend], same),
        "sampler": keys([sampler], same),
        "estimator": keys(estimators, np.repeat(np.arange(e, dtype=np.int32), r * c)),
        "replicate": np.tile(np.repeat(np.arange(r, dtype=np.int32), c), e),
        "samples": np.tile(np.array(trace.samples, np.int64), e * r),
        "estimate": trace.estimate.ravel(),
        "std_error": trace.std_error.ravel(),
    }


def _stops(at: Sequence[int], points: int) -> Iterator[int]:
    """The unit counts at which a draw ends: every checkpoint and every multiple of `BLOCK`."""
    done = 0
    for n in at:
        yield from range(done - done % BLOCK + BLOCK, n // points, BLOCK)
        done = n // points
        yield done


def check_feasible(
    setting: Setting, samplers: Sequence[str], samples: int, chosen: Sequence[str] = ()
) -> None:
    """Refuse with a `UserError`, in one line, what a sampler or backend cannot do."""
    for name in samplers:
        sampler = SAMPLERS[name]
        points = sampler.points
        if points.most_samples is not None and samples > points.most_samples:
            raise UserError(
                f"samples: '{samples}', expected at most {points.most_samples} with {name}"
            )
        # At most one normal and one chi-square a coordinate, so small settings need no look.
        most = _MOST_NUMBERS if points.most_numbers is None else points.most_numbers
        if 2 * setting.dimension > most and (numbers := sampler.numbers(setting.pair)) > most:
            raise UserError(
                f"samplers: '{name}' makes points of at most {most} numbers, and setting "
                f"{setting.name} takes {numbers}: use {points.name}-radial"
            )
        for backend in chosen:
            held = backends.LIBRARIES[backend].most_numbers
            if (
                held is not None
                and 2 * setting.dimension > held
                and (numbers := sampler.numbers(setting.pair)) > held
            ):
                raise UserError(
                    f"backends: '{backend}' has memory for samples of at most {held} numbers, and "
                    f"setting {setting.name} takes {numbers} with {name}: use {points.name}-radial"
                )
