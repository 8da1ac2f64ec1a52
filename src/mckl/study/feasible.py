"""What a sampler or a backend can do with a setting, checked before anything is drawn."""

from __future__ import annotations

from collections.abc import Sequence

from mckl.draw import backends
from mckl.draw.points import SAMPLERS
from mckl.errors import UserError
from mckl.study.settings import Setting

# One sample of every coordinate and its squares have to fit in memory.
_MOST_NUMBERS = 10**8


def check_feasible(
    setting: Setting, samplers: Sequence[str], samples: int, chosen: Sequence[str] = ()
) -> None:
    """Refuse with a `UserError`, in one line, what a sampler or backend cannot do."""
    for name in setting.offered(samplers):
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
