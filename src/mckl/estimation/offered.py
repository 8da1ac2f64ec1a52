"""Decides which estimators and samplers can be used with a pair."""

from __future__ import annotations

from collections.abc import Sequence

from mckl.draw.points import SAMPLERS, Sampler
from mckl.errors import UserError
from mckl.estimation.values import ESTIMATORS, Estimator
from mckl.families.base import Pair
from mckl.text import listed, quoted

# One sample, with its coordinates and their squares, has to fit in memory.
_MOST_NUMBERS = 10**8


def offered(pair: Pair, sampler: Sampler, estimator: Estimator) -> bool:
    """Whether the sampler can draw the pair with all sums over factors that the estimator needs."""
    return sampler.offered(pair) and sampler.sums(pair).issuperset(estimator.sums)


def offered_samplers(pair: Pair, samplers: Sequence[str]) -> tuple[str, ...]:
    """The samplers among these that can draw the pair."""
    return tuple(name for name in samplers if SAMPLERS[name].offered(pair))


def offered_estimators(pair: Pair, sampler: Sampler, estimators: Sequence[str]) -> tuple[str, ...]:
    """The estimators among these that can be used with the pair and the sampler."""
    return tuple(name for name in estimators if offered(pair, sampler, ESTIMATORS[name]))


def combinations(
    pair: Pair, samplers: Sequence[str], estimators: Sequence[str]
) -> dict[str, tuple[str, ...]]:
    """The samplers that can draw the pair, each with the estimators that it allows.

    Samplers that allow none of the estimators are left out.
    """
    every = {name: offered_estimators(pair, SAMPLERS[name], estimators) for name in samplers}
    return {name: allowed for name, allowed in every.items() if allowed}


def check_offered(
    pair: Pair, samplers: Sequence[str], estimators: Sequence[str], prefix: str = ""
) -> None:
    """Raise `UserError` for a sampler or an estimator that cannot be used with the pair.

    `prefix` stands before the name of an argument in the message, as in ``--sampler``.
    """
    drawable = offered_samplers(pair, [*SAMPLERS])
    for name in samplers:
        if name not in drawable:
            raise UserError(
                f"{prefix}sampler: {pair.family} does not have {quoted(name)}, expected "
                f"{listed(drawable, 'or')}"
            )
    fits = {
        name: [s for s in drawable if offered(pair, SAMPLERS[s], estimator)]
        for name, estimator in ESTIMATORS.items()
    }
    able = [name for name, over in fits.items() if over]
    for name in estimators:
        if name not in able:
            raise UserError(
                f"{prefix}estimator: {pair.family} does not have {quoted(name)}, expected "
                f"{listed(able, 'or')}"
            )
        if samplers and not {*samplers} & {*fits[name]}:
            raise UserError(
                f"{prefix}estimator: '{name}' takes sums over factors, expected {prefix}sampler "
                f"{listed(fits[name], 'or')}"
            )


def check_numbers(pair: Pair, sampler: Sampler, key: str, name: str) -> None:
    """Raise `UserError` if a sample of the pair takes too many numbers for the sampler.

    Parameters
    ----------
    pair, sampler
        The pair, and the sampler.
    key, name
        The option that chose the sampler, and the name of the pair, for the message.
    """
    most, numbers = most_numbers(sampler), sampler.numbers(pair)
    if numbers > most:
        radial = f": use {sampler.points.name}-radial" if pair.radial_numbers else ""
        raise UserError(
            f"{key}: '{sampler.name}' makes points of at most {most} numbers, and {name} takes "
            f"{numbers}{radial}"
        )


def most_numbers(sampler: Sampler) -> int:
    """The most random numbers that one sample may take with the sampler."""
    most = sampler.points.most_numbers
    return _MOST_NUMBERS if most is None else most
