"""Prints the answer of `mckl advise --gradient`."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

import click

from mckl.errors import one_line
from mckl.text import count, two_digits

_NONE = "-"
_COLUMNS = ("method", "what it is", "bias", "cosine", "variance", "samples", "verdict")
_NOTES = """\
The bias is the norm of (mean less gradient) divided by the gradient's norm. The cosine is that of
the angle between mean and gradient. The variance is the total one of one sample, in nats squared;
with a baseline, it is that in the limit of many samples."""


def print_gradient_advice(answer: Mapping[str, Any]) -> None:
    """Print the answer with a table."""
    from rich import box
    from rich.console import Console
    from rich.table import Table

    pair, best = answer["pair"], answer["recommendation"]
    zero = pair["gradient_norm"] == 0
    click.echo(f"KL(q||p) = {pair['kl']:.10g} nats; {one_line(pair['family'])}, ", nl=False)
    click.echo(f"dimension {pair['dimension']:,}, {pair['parameters']:,} parameters")
    click.echo(f"the gradient in the parameters of q has the norm {pair['gradient_norm']:.10g}")
    click.echo()
    click.echo(f"For a relative RMSE of at most {answer['tolerance']:g} of the gradient:")
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for name in _COLUMNS:
        right = name in ("bias", "cosine", "variance", "samples")
        table.add_column(
            name, justify="right" if right else "left",
            no_wrap=name not in ("what it is", "verdict"), min_width=16 * (name == "verdict"),
        )  # fmt: skip
    for m in answer["methods"]:
        chosen = best and m["method"] == best["method"]
        table.add_row(*_cells(m, zero), style="bold" if chosen else None)
    Console(width=None if sys.stdout.isatty() else 120, highlight=False).print(table)
    click.echo(_NOTES + ("\nThe gradient is 0: biases are absolute, in nats." if zero else ""))
    click.echo()
    if best is None:
        why = "the gradient is 0" if zero else "see the verdicts"
        click.echo(f"No method reaches the tolerance: {why}.")
        return
    use = f"Use {best['method']} ({best['label']}): n = {best['samples_needed']:,}."
    click.secho(use, bold=True)
    click.echo(f"Because {best['reason']}.")


def _cells(m: Mapping[str, Any], zero: bool) -> list[str]:
    bias = m["bias"] if zero else m["relative_bias"]
    cosine, variance, samples = m["cosine"], m["total_variance"], m["samples_needed"]
    infinite = m["verdict"].startswith("infinite") or (variance is None and bias is not None)
    return [
        m["method"],
        m["label"],
        _NONE if bias is None else _bias(bias, zero),
        _NONE if cosine is None else f"{cosine:.3f}",
        ("inf" if infinite else _NONE) if variance is None else f"{variance:.4g}",
        _NONE if samples is None else count(samples, exponent_from=1e9),
        m["verdict"],
    ]


def _bias(value: float, absolute: bool) -> str:
    if value < 1e-9:
        return "0"
    return two_digits(value) if absolute else f"{two_digits(100.0 * value)} %"
