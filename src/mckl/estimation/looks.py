"""The colours of estimators, which are the same in every figure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import cycle
from typing import TypeVar

from mckl.estimation.values import ESTIMATORS, Estimator

T = TypeVar("T")

# Okabe & Ito's palette for the colour blind; brown replaces their yellow, too light for lines.
BLUE, SKY, GREEN, ORANGE = "#0072B2", "#56B4E9", "#009E73", "#E69F00"
VERMILION, PURPLE, GREY, BROWN = "#D55E00", "#CC79A7", "#999999", "#5D3A1A"


def in_turn(registry: Iterable[str], looks: Sequence[T]) -> dict[str, T]:
    """A look for every name, in the order of registration, so that new names change no others."""
    return dict(zip(registry, cycle(looks), strict=False))


def _darker(colour: str) -> str:
    """A colour with three fifths of its brightness."""
    return "#" + "".join(f"{int(colour[i : i + 2], 16) * 3 // 5:02X}" for i in (1, 3, 5))


def of_whole(estimator: Estimator) -> str:
    """The name of the same estimator for the whole l; "" if the registry has none."""
    name = estimator.whole.name if estimator.whole is not None else ""
    return name if name in ESTIMATORS else ""


def _colours(colours: Sequence[str]) -> dict[str, str]:
    """A colour for every estimator; one by factor has the hue of the same one for the whole l."""
    looks = in_turn([name for name, e in ESTIMATORS.items() if not of_whole(e)], colours)

    def colour(name: str) -> str:
        whole = of_whole(ESTIMATORS[name])
        return _darker(colour(whole)) if whole else looks[name]

    return {name: colour(name) for name in ESTIMATORS}


ESTIMATOR_COLOURS: Mapping[str, str] = _colours(
    (BLUE, ORANGE, VERMILION, GREEN, PURPLE, SKY, GREY, BROWN)
)
