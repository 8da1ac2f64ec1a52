"""Checks, before anything is drawn, that samplers and backends can handle the settings."""

from __future__ import annotations

from collections.abc import Sequence

from mckl.draw import backends
from mckl.draw.points import SAMPLERS, Sampler
from mckl.errors import UserError
from mckl.families.base import Pair
from mckl.study.settings import Setting

# One sample, with its coordinates and their squares, has to fit in memory.
_MOST_NUMBERS = 10**8


_MOST_FACTORS = 10_000  # each method's gradient has two parameters a coordinate


def check_gradients(settings: Sequence[Setting]) -> None:
    """Raise `UserError` for a setting whose gradient has too many parameters."""
    for setting in settings:
        if setting.dimension > _MOST_FACTORS:
            raise UserError(
                f"gradients.settings: setting {setting.name} has dimension {setting.dimension:,}, "
                f"expected at most {_MOST_FACTORS:,}"
            )


def check_feasible(
    setting: Setting, samplers: Sequence[str], samples: int, chosen: Sequence[str] = ()
) -> None:
    """Raise `UserError` if a sampler or a backend cannot draw the setting."""
    for backend in chosen:
        if backends.BACKENDS[backend].distributions:
            pair = setting.pair
            factors = pair.distributions()
            if factors is None or not all(factor.points for factor in factors):
                raise UserError(
                    f"backends: '{backend}' cannot draw setting {setting.name}, whose family is "
                    f"{pair.family}: remove the setting, or use the backend numpy alone"
                )
    for name in setting.offered(samplers):
        sampler = SAMPLERS[name]
        points = sampler.points
        if points.most_samples is not None and samples > points.most_samples:
            raise UserError(
                f"samples: '{samples}', expected at most {points.most_samples} with {name}"
            )
        # A coordinate takes at most one normal and one chi-square, so small settings always pass.
        if 2 * setting.dimension > _most(sampler):
            check_numbers(setting.pair, sampler, "samplers", f"setting {setting.name}")
        for backend in chosen:
            held = backends.BACKENDS[backend].most_numbers
            if (
                held is not None
                and 2 * setting.dimension > held
                and (numbers := sampler.numbers(setting.pair)) > held
            ):
                raise UserError(
                    f"backends: '{backend}' has memory for samples of at most {held} numbers, and "
                    f"setting {setting.name} takes {numbers} with {name}: use {points.name}-radial"
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
    most, numbers = _most(sampler), sampler.numbers(pair)
    if numbers > most:
        radial = f": use {sampler.points.name}-radial" if pair.radial_numbers else ""
        raise UserError(
            f"{key}: '{sampler.name}' makes points of at most {most} numbers, and {name} takes "
            f"{numbers}{radial}"
        )


def _most(sampler: Sampler) -> int:
    most = sampler.points.most_numbers
    return _MOST_NUMBERS if most is None else most
