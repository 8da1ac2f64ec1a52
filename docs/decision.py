"""Writes the table of what to use, by exact theory; `make docs` runs it.

`python docs/decision.py PAGES` puts the table between the two comments in each page.
"""

import re
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import NamedTuple

from mckl.draw.points import SAMPLERS
from mckl.estimation.budget import OK, Forecasts, Tolerance
from mckl.estimation.offered import offered
from mckl.estimation.values import ESTIMATORS, Estimator
from mckl.families.registry import sweep_pair

TOLERANCE = 0.01
NEAR, FAR = (1.05, 0.1), (2.5, 1.0)  # scale and offset
PLACE = re.compile(r"(<!-- by `make docs` -->\n).*?(<!-- end -->)", re.DOTALL)
OF_SAMPLER = {"iid": "", "antithetic": " over antithetic pairs", "sobol": " over Sobol' points"}


class Row(NamedTuple):
    """What is known of q and p, an example, and what can be used then."""

    known: str
    family: str
    dimension: int
    samplers: tuple[str, ...]
    usable: Callable[[Estimator], bool]


# `rb` takes the whole law of every factor, and other estimators by factor its log densities.
ROWS = (
    Row("ℓ is a sum over independent numbers, as coordinates are",
        "normal", 16, ("iid", "antithetic", "sobol"), lambda e: True),
    Row("the law of every factor given those before it, "
        "such as a model's probabilities of the next token",
        "policy(32)", 64, ("iid",), lambda e: True),
    Row("log q and log p of every factor, as of the tokens drawn",
        "policy(32)", 64, ("iid",), lambda e: "rb" not in e.sums),
    Row("only log q and log p of the whole sample",
        "policy(32)", 64, ("iid",), lambda e: not e.sums),
)  # fmt: skip


@cache
def samples(family: str, dimension: int, place: tuple[float, float]) -> dict[tuple[str, str], int]:
    """The samples for the tolerance by estimator and sampler, where theory knows them exactly."""
    forecasts = Forecasts(sweep_pair(family, dimension, *place))
    limit = Tolerance(TOLERANCE * forecasts.law.kl)
    found = {}
    for sampler in OF_SAMPLER:
        for name, estimator in ESTIMATORS.items():
            if not offered(forecasts.pair, SAMPLERS[sampler], estimator):
                continue
            need = forecasts.need(estimator, SAMPLERS[sampler], limit)
            if need.verdict == OK and need.samples:
                found[name, sampler] = need.samples
    return found


def cell(row: Row, place: tuple[float, float]) -> str:
    """The choice that takes the fewest samples, their number, and what k1 over iid takes."""
    every = samples(row.family, row.dimension, place)
    usable = {
        (e, s): n for (e, s), n in every.items() if s in row.samplers and row.usable(ESTIMATORS[e])
    }
    estimator, sampler = min(usable, key=usable.__getitem__)
    plain = every["k1", "iid"]
    number = usable[estimator, sampler]
    instead = f" instead of {plain:,}" if number < plain else ""
    return f"**{estimator}**{OF_SAMPLER[sampler]}: {number:,}{instead}"


def table() -> str:
    """The table in Markdown."""
    lines = ["| what is known | q near p | q far from p |", "|---|---|---|"]
    lines += [f"| {row.known} | {cell(row, NEAR)} | {cell(row, FAR)} |" for row in ROWS]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    for page in map(Path, sys.argv[1:]):
        text = page.read_text(encoding="utf-8")
        page.write_text(PLACE.sub(lambda place: place[1] + table() + place[2], text), "utf-8")
