"""Checks, before anything is drawn, that samplers and backends can handle the settings."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from mckl.draw import backends
from mckl.draw.points import SAMPLERS
from mckl.errors import UserError
from mckl.estimation.offered import check_numbers, most_numbers
from mckl.estimation.shape import check_certain
from mckl.study.settings import Setting

_MOST_FACTORS = 10_000  # each method's gradient has two parameters a coordinate


def check_gradients(settings: Sequence[Setting]) -> None:
    """Raise `UserError` for a setting whose gradient has too many parameters."""
    for setting in settings:
        if setting.dimension > _MOST_FACTORS:
            raise UserError(
                f"gradients.settings: setting {setting.name} has dimension {setting.dimension:,}, "
                f"expected at most {_MOST_FACTORS:,}"
            )


def check_known(cases: Iterable[Setting]) -> None:
    """Raise `UserError` with a line for each case whose KL is not known to enough digits."""
    lines = []
    for case in cases:
        try:
            check_certain(case.pair, f"cases.{case.name}")
        except UserError as error:
            lines.append(str(error))
    if lines:
        raise UserError(*lines)


def can_draw(backend: str, setting: Setting) -> bool:
    """Whether a backend has the distributions of a setting."""
    if not backends.BACKENDS[backend].distributions:
        return True
    factors = setting.pair.distributions()
    return factors is not None and all(factor.points for factor in factors)


def check_feasible(
    setting: Setting, samplers: Sequence[str], samples: int, chosen: Sequence[str] = ()
) -> None:
    """Raise `UserError` if a sampler, or one of the backends that can draw it, has no room."""
    for name in setting.offered(samplers):
        sampler = SAMPLERS[name]
        points = sampler.points
        if points.most_samples is not None and samples > points.most_samples:
            raise UserError(
                f"samples: '{samples}', expected at most {points.most_samples} with {name}"
            )
        # A coordinate takes at most one normal and one chi-square, so small settings always pass.
        if 2 * setting.dimension > most_numbers(sampler):
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
