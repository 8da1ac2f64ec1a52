"""Prints the answers of the command as text."""

from __future__ import annotations

import contextlib
import math
import sys
import textwrap
from collections.abc import Callable, Iterator, Mapping
from itertools import groupby
from typing import TYPE_CHECKING, Any

import click

from mckl.errors import one_line
from mckl.text import count, duration, for_json

if TYPE_CHECKING:
    from mckl.estimation.advice import Choice
    from mckl.estimation.budget import Forecasts
    from mckl.estimation.sequential import Estimate

_NONE = "–"
_NOTES = """\
Samples and RMSE are exact theory, except that * marks a leading order in 1/n. P(negative) is the \
probability of a negative estimate: exact for k1, and over sobol by a saddlepoint formula, which \
is not used below 1e-5; {never} are never negative. CPU time is for one core at measured rates."""
_COLUMNS = ("estimator", "sampler", "samples", "RMSE (nats)", "P(negative)", "CPU time", "verdict")


def with_error(answer: Mapping[str, Any], key: str, digits: int) -> str:
    """A divergence with the digits that are certain; the sum's error is that of both."""
    from mckl.estimation.shape import certain
    from mckl.exact.moments import Bounded

    both = ("kl", "reverse_kl") if key == "symmetrised_kl" else (key,)
    error = sum(answer[f"{k}_relative_error"] * answer[k] for k in both if answer[k] < math.inf)
    return certain(Bounded(answer[key], error), digits)


def print_advice(answer: Mapping[str, Any]) -> None:
    """Print the answer of `mckl advise` with a table."""
    from mckl.estimation.values import ESTIMATORS

    pair, regime, request = answer["pair"], answer["regime"], answer["request"]
    reverse = "inf" if pair["reverse_kl"] is None else with_error(pair, "reverse_kl", 10)
    click.echo(f"KL(q||p) = {with_error(pair, 'kl', 10)} nats, KL(p||q) = {reverse} nats")
    click.echo(f"{one_line(pair['family'])}, dimension {pair['dimension']:,}")
    for line in _regime(regime, pair["dimension"]):
        click.echo(f"  {line}")
    if answer["left_out"]:
        click.echo(f"  left out, since the family lacks them: {', '.join(answer['left_out'])}")
    click.echo()
    click.echo(_request(request))
    _print_table(answer)
    shown = {option["estimator"] for option in answer["options"]}
    never = [name for name, e in ESTIMATORS.items() if e.never_negative and name in shown]
    *first, last = never or ["k2", "k3"]
    names = f"{', '.join(first)} and {last}" if first else last
    click.echo(textwrap.fill(_NOTES.format(never=names), 100))
    click.echo()
    best = answer["recommendation"]
    if best is None:
        zero = pair["kl"] == 0 and request["relative"]
        why = "KL is 0: use --absolute" if zero else "see the verdicts"
        click.echo(f"No estimator reaches the tolerance: {why}.")
        return
    click.secho(
        f"Use {best['estimator']} over {best['sampler']} samples: n = {best['samples_needed']:,}.",
        bold=True,
    )
    if best["reason"]:
        click.echo(f"Because {best['reason']}.")


def _regime(regime: Mapping[str, Any], dimension: int) -> Iterator[str]:
    variance, skewness = regime["log_ratio_variance"], regime["log_ratio_skewness"]
    text = "log density ratio: variance " + ("inf" if variance is None else f"{variance:.6g}")
    yield text + (f", skewness {skewness:.3g}" if skewness is not None else "")
    yield _tails(regime)
    if missed := regime["missed_mass"]:
        yield (
            f"q is 0 where p has a probability of {missed:.6g}: E p/q is {1.0 - missed:.6g} and "
            "not 1, which biases k3 and cv"
        )
    ratio = regime["antithetic_variance_ratio"]
    if ratio is not None:
        if abs(ratio - 1) < 1e-9:
            yield "antithetic pairs change nothing for k1"
        elif ratio == 0:
            yield "antithetic pairs cancel the whole error of k1: l is odd about its mean"
        elif ratio > 1:
            yield f"antithetic pairs hurt k1: {ratio:.3g} times the variance at equal samples"
        else:
            yield f"antithetic pairs help k1: {ratio:.3g} times the variance at equal samples"
    numbers = regime["radial_numbers"]
    if numbers is None:
        return
    if numbers < dimension:
        yield f"radial samplers draw {numbers:,} numbers a sample instead of {dimension:,}"
    else:
        yield (
            f"radial samplers gain nothing: they draw {numbers:,} numbers a sample for "
            f"{dimension:,} coordinates"
        )


def _tails(regime: Mapping[str, Any]) -> str:
    """Whether k3's variance is finite. E (p/q)^s is finite for s below the tail index."""
    tail = regime["tail_index"]
    if regime["log_ratio_variance"] is None:
        return "no estimator's variance is finite: the tails of q are too heavy for p"
    if not regime["k3_variance_finite"]:
        return (
            "k3's variance is infinite: the tails of p are too heavy for q (tail index of p/q "
            f"{tail:.3g} <= 2)"
        )
    if tail is None:
        return "k3's variance is finite: so is the mean of every power of p/q"
    return f"k3's variance is finite: the tail index of p/q is {tail:.3g}, above 2"


def _request(request: Mapping[str, Any]) -> str:
    size = f"{request['tolerance']:g}"
    allowed = f"{size} x KL" if request["relative"] else f"{size} nats"
    if request["confidence"] is None:
        return f"For an RMSE of at most {allowed} = {request['limit']:.4g} nats:"
    return (
        f"For an error of at most {allowed} = {request['limit']:.4g} nats with probability "
        f"{request['confidence']:g} (estimates treated as normal):"
    )


def _print_table(answer: Mapping[str, Any]) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table

    best = answer["recommendation"]
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for name in _COLUMNS:
        right = name not in ("estimator", "sampler", "verdict")
        last = name == "verdict"  # the only column that wraps
        table.add_column(
            name, justify="right" if right else "left", no_wrap=not last, min_width=16 * last
        )
    for name, options in groupby(answer["options"], key=lambda o: o["estimator"]):
        group = list(options)
        verdicts = {o["verdict"] for o in group}
        if len(group) > 1 and len(verdicts) == 1 and group[0]["samples_needed"] is None:
            table.add_row(name, "every one", *[_NONE] * 4, *verdicts)
        else:
            for option in group:
                chosen = best and all(option[k] == best[k] for k in ("estimator", "sampler"))
                table.add_row(*_cells(option), style="bold" if chosen else None)
        table.add_section()
    # A file or a pipe has no width.
    Console(width=None if sys.stdout.isatty() else 120, highlight=False).print(table)


def _cells(option: Mapping[str, Any]) -> list[str]:
    samples, seconds = option["samples_needed"], option["cpu_seconds"]
    mark = "*" if option["theory"] == "asymptotic" else ""
    return [
        option["estimator"],
        option["sampler"],
        _NONE if samples is None else f"{count(samples, exponent_from=1e9)}{mark}",
        _number(option["expected_rmse"]),
        _probability(option),
        _NONE if seconds is None else duration(seconds, finest="ms"),
        option["verdict"],
    ]


def _number(value: float | None) -> str:
    return _NONE if value is None else f"{value:.3g}"


def _probability(option: Mapping[str, Any]) -> str:
    value = option["probability_negative"]
    if value is None or option["samples_needed"] is None:
        return _NONE
    return f"{value:.2g}"


@contextlib.contextmanager
def progress(samples: int) -> Iterator[Callable[[int], object]]:
    """A progress bar for about so many samples on standard error, if this is a terminal.

    It disappears when the work is done.
    """
    if not sys.stderr.isatty():
        yield lambda evaluations: None
        return
    from tqdm import tqdm

    with tqdm(total=samples, unit=" samples", unit_scale=True, leave=False) as bar:

        def advance(evaluations: int) -> None:
            bar.total = max(bar.total or 0, bar.n + evaluations)  # the forecast may be too low
            bar.update(evaluations)

        yield advance


def estimate_answer(
    done: Estimate,
    forecasts: Forecasts,
    used: Choice,
    instead: Choice | None,
    confidence: float,
    seed: int,
) -> dict[str, Any]:
    """The answer of `mckl estimate` as numbers and texts, with None in place of NaN and inf.

    `used` is the choice that was used, and `instead` one with an interval if this is withheld.
    """
    withheld = done.withheld is not None
    ends = (done.estimate - done.half_width, done.estimate + done.half_width)
    return {
        "estimate": for_json(done.estimate),
        "interval": None if withheld else [for_json(end) for end in ends],
        "half_width": for_json(done.half_width),
        "target": for_json(done.target),
        "confidence": confidence,
        "stopped": done.stopped,
        "withheld": done.withheld,
        "use_instead": instead._asdict() if instead else None,
        "standard_error": for_json(done.std_error),
        "samples": done.samples,
        "stages": dict(done.stages),
        "scrambles": done.scrambles or None,
        "estimator": used.estimator,
        "sampler": used.sampler,
        "seed": seed,
        "kl": forecasts.law.kl,
    }


def print_estimate(answer: Mapping[str, Any]) -> None:
    """Print the answer of `mckl estimate`."""
    value = "not a number" if answer["estimate"] is None else f"{answer['estimate']:.8g} nats"
    if answer["interval"] is None:
        click.echo(f"KL(q||p) = {value}, without an interval")
    else:
        low, high = answer["interval"]
        percent = f"{100 * answer['confidence']:g} %"
        click.echo(f"KL(q||p) = {value}, {percent} interval {low:.8g} to {high:.8g}")
    stages = ", ".join(f"{n:,} {stage}" for stage, n in answer["stages"].items())
    if answer["scrambles"]:
        stages = f"{answer['scrambles']} independent scrambles"
    samples = f"{answer['samples']:,} {answer['sampler']} samples"
    click.echo(f"{answer['estimator']} over {samples} ({stages})")
    half, target = _number(answer["half_width"]), _number(answer["target"])
    if answer["stopped"] == "withheld":
        click.echo(f"Interval withheld: {answer['withheld']}.")
        if instead := answer["use_instead"]:
            click.echo(f"Use {instead['estimator']} over {instead['sampler']} samples instead.")
    elif answer["stopped"] == "tight":
        click.echo(f"Stopped: tight enough, half-width {half} nats, {target} requested.")
    else:
        click.echo(f"Stopped: the budget is spent, half-width {half} nats, {target} requested.")
    click.echo(f"Exact: {answer['kl']:.8g} nats.")
