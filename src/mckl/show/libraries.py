"""Writes the page libraries.md on what libraries compute, from formulas.parquet."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import jinja2
import numpy as np
import pandas as pd

from mckl.estimation.off_policy.off_policy_advice import signed_percent
from mckl.estimation.off_policy.off_policy_theory import SampledLaw
from mckl.families.registry import lagging_pair
from mckl.show.figures import with_text
from mckl.show.figures.libraries import cells, drawn_by_q, formula_label, table_of
from mckl.show.figures.losses import relative
from mckl.study.libraries import LIBRARIES, Library
from mckl.study.libraries.corrections import CORRECTIONS, LAGS, lagged_policy
from mckl.study.libraries.exact import formula_means
from mckl.study.libraries.formula import K1, K3, LOW_VARIANCE
from mckl.study.libraries.policies import SHARPER, STATES, TOKENS, policies, stopping
from mckl.text import two_digits

# The numbers of tokens and the offsets in the section on lengths.
_LONGEST, _OFFSETS = 128, (-0.1, -0.02, 0.02, 0.1, 0.5, 1.0, 2.0, 4.0)


def write_page(template: str, formulas: pd.DataFrame, path: str) -> None:
    """Fill the page's template from the table `formulas` and write it."""
    environment = jinja2.Environment(undefined=jinja2.StrictUndefined, trim_blocks=True)
    text = environment.from_string(template).render(page_numbers(with_text(formulas)))
    Path(path).write_text(text + "\n", encoding="utf-8")


def page_numbers(formulas: pd.DataFrame) -> dict[str, Any]:
    """The tables, as Markdown, and the numbers, as text, that the page quotes."""
    of_s, formulas = formulas[formulas["lag"] > 0.0], drawn_by_q(formulas)
    known = cells(formulas)
    kl = [two_digits(float(x)) for x in known.kl]
    columns = ["formula", *kl]
    share = table_of(formulas, "clamped")[list(known.kl.index)]
    variance = table_of(formulas, "exact_variance")[list(known.kl.index)]
    deviation = [
        [
            formula_label(row.formula),
            *map(two_digits, np.sqrt(variance.loc[row.formula]) / known.kl),
        ]
        for row in known.rows
    ]
    acting = {
        str(name): [_share(float(x)) for x in row]
        for name, row in share.iterrows()
        if (row > 0).any()
    }
    simplest: dict[tuple[str, ...], str] = {}  # of the formulas whose clamps change equal shares
    for name in sorted(acting, key=lambda name: (len(name), name)):
        simplest.setdefault(tuple(acting[name]), name)
    clamped = ([formula_label(name), *acting[name]] for name in sorted(simplest.values()))
    gradients = _gradients(formulas)
    gradient = {loss: row for row, losses in gradients.items() for loss in losses}
    _, lagged = lagged_policy()
    reverse = [pair.reverse_kl for pair in policies().values()]
    wrong = table_of(formulas, "exact_mean").loc["k3 of -l", list(known.kl.index)]
    return {
        "states": STATES,
        "tokens": TOKENS,
        "away": len(kl) - SHARPER,
        "libraries": [_section(library) for library in LIBRARIES.values()],
        "bias": markdown(columns, ([formula_label(r.formula), *r.bias] for r in known.rows)),
        "needed": markdown(columns, ([formula_label(r.formula), *r.needed] for r in known.rows)),
        "deviation": markdown(columns, deviation),
        "clamped": markdown(columns, clamped),
        "reverse": markdown(
            ["", *kl],
            [["KL(p‖q)", *map(two_digits, reverse)], ["k3 of −ℓ, mean", *map(two_digits, wrong)]],
        ),
        "gradients": markdown(
            ["loss (libraries)", *kl],
            (["<br>".join(_named(losses)), *row] for row, losses in gradients.items()),
        ),
        "after": gradient[f"{formula_label(LOW_VARIANCE.name)}, value and ratio, clamped"],
        "ratio": gradient["k3, value and ratio"],
        "second": gradient["k2, value and ratio"],
        "corrections": markdown(
            ["KL term", "weight", "who and when", "where",
             *(f"{what}, lag {lag:g}" for lag in LAGS for what in ("bias", "sd of a sequence"))],
            _corrections(of_s),
        ),
        "lags": [f"{lag:g}" for lag in LAGS],
        "lagged_kl": two_digits(lagged.law.kl),
        "mismatch": [
            two_digits(SampledLaw(lagging_pair(lagged, lag), lagged.law).mismatch)
            for lag in LAGS
        ],
        "corrected": {
            f"{formula}, {weight}": [*map(relative_bias, rows["exact_bias"] / rows["kl"])]
            for (formula, weight), rows in of_s.groupby(["formula", "weight"], sort=False)
        },
        "lengths": markdown(
            ["offset", "E ℓ, nats a sequence", "E T, tokens", "batch's tokens, k1 and k3",
             "sequence means, k1", "sequence means, k3"],
            map(_lengths, _OFFSETS),
        ),
        "longest": _LONGEST,
        "kl": kl,
        "row": {row.formula: {"bias": row.bias, "needed": row.needed} for row in known.rows},
        "share": acting,
        "per_token": two_digits(float(known.kl.iloc[3]) / TOKENS),
        "worst_k3": f"{100 * max(map(_apart, _OFFSETS)):.0f} %",
        "nearest": [_lengths(x) for x in (-0.02, 0.02)],
        "rows": len(formulas),
        "checks": len(formulas.drop_duplicates(["setting", "formula"])),
        "sequences": f"{int(formulas['samples'].iloc[0]):,}",
    }  # fmt: skip


def markdown(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table as Markdown; all columns but the first are aligned to the right."""
    lines = [columns, ["---", *["---:"] * (len(columns) - 1)], *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _gradients(formulas: pd.DataFrame) -> dict[tuple[str, ...], dict[str, list[str]]]:
    """By bias and cosine on every policy: the losses with this mean gradient, and who has them."""
    losses = formulas[formulas["used_as"] == "loss"]
    out: dict[tuple[str, ...], dict[str, list[str]]] = {}
    keys = ["library", "formula", "differentiated"]
    for (library, formula, differentiated), rows in losses.groupby(keys, sort=False):
        name = formula_label(str(formula))
        name += "" if differentiated == "value" else f", {differentiated}"
        each = rows.drop_duplicates("setting")
        row = tuple(map(_gradient, each["relative_bias"], each["cosine"]))
        mark = "\\*" if rows["default"].any() else ""
        out.setdefault(row, {}).setdefault(name, []).append(f"{library}{mark}")
    return out


def _named(losses: Mapping[str, Sequence[str]]) -> list[str]:
    """Losses with their libraries in parentheses."""
    return [f"{loss} ({', '.join(libraries)})" for loss, libraries in losses.items()]


def _gradient(bias: float, cosine: float) -> str:
    if np.isnan(bias):
        return "no formula"
    off = relative(bias)
    return off if np.isnan(cosine) else f"{off} ({cosine:.2f})".replace("-", "−")


def _section(library: Library) -> Mapping[str, Any]:
    """The numbers of the page's section on one library."""
    at = f"commit {library.commit}" if library.commit else "the package's files"
    lines = [
        ["used as", "formula", "default", "averaged", "gradient of", "what it is", "where"],
        ["---"] * 7,
        *(
            [
                use.used_as, formula_label(use.formula.name), "yes" if use.default else "no",
                use.averaged,
                use.differentiated if use.used_as == "loss" else "", use.note,
                "<br>".join(f"`{where}`" for where in _places(use.source)),
            ]
            for use in library.uses
        ),
    ]  # fmt: skip
    return {
        "name": library.name,
        "from": f"{library.source}, version {library.version}, {at}, {library.date}",
        "table": "\n".join("| " + " | ".join(line) + " |" for line in lines),
    }


def _places(source: str) -> list[str]:
    """Files with their lines; a part without a slash names more lines of the previous file."""
    out: list[str] = []
    for part in filter(None, source.split(", ")):
        if ":" in part:
            out.append(part)
        else:
            out[-1] += f", {part}"
    return out


def _corrections(of_s: pd.DataFrame) -> Iterator[list[str]]:
    """The rows of the section on samples of another law, each with the numbers of all lags."""
    for i, (library, weight, use) in enumerate(CORRECTIONS):
        row = [
            formula_label(use.formula.name),
            "none" if weight.level is None else weight.label,
            f"{library.name}: {use.note}" if library else use.note,
            "<br>".join(f"`{place}`" for place in _places(use.source)),
        ]
        known = of_s.iloc[i :: len(CORRECTIONS)]
        share = known["exact_bias"] / known["kl"]
        deviation = known["exact_variance"] ** 0.5 / known["kl"]
        for numbers in zip(share, deviation, strict=True):
            row += [relative_bias(numbers[0]), two_digits(numbers[1])]
        yield row


def relative_bias(share: float) -> str:
    """A relative bias as a percentage with its sign, or 0."""
    return signed_percent(share).replace("-", "−")


def _share(share: float) -> str:
    if share == 0:
        return "0"
    return f"{100 * share:.2g} %" if share >= 1e-4 else two_digits(share)


def _lengths(offset: float) -> list[str]:
    """A row of the section on lengths."""
    pair = stopping(offset, _LONGEST)
    k1, k3 = (formula_means(pair, formula) for formula in (K1, K3))
    numbers = (k1.total, k1.mean_length, k1.per_token, k1.sequence_mean, k3.sequence_mean)
    return [f"{offset:g}".replace("-", "−"), *(_number(x) for x in numbers)]


def _apart(offset: float) -> float:
    """The relative difference of k3's mean of sequence means to its mean over a batch's tokens."""
    k3 = formula_means(stopping(offset, _LONGEST), K3)
    return abs(k3.sequence_mean / k3.per_token - 1.0)


def _number(value: float) -> str:
    """A number as text with three digits."""
    return f"{value:.3g}".replace("-", "−")
