"""Pairs whose factors are independent laws with finitely or countably many values."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cached_property
from itertools import groupby
from typing import NamedTuple

import numpy as np

from mckl.arrays import Vector
from mckl.draw.distribution import DensityTerm, Factor
from mckl.draw.form import Form, Numbers, Seconds
from mckl.draw.streams import Stream
from mckl.exact.factor_sums import sums_over
from mckl.exact.outcome_law import OutcomeLaw
from mckl.families.base import Integrals, Pair
from mckl.families.countable.law import Countable, LogRatios
from mckl.families.scores import Scores


class CountablePair(Pair):
    """q and p with independent factors; `counts` says how many have each pair of laws."""

    mirrored = additive = False

    def __init__(
        self,
        family: str,
        factors: Sequence[tuple[Countable, Countable]],
        counts: Sequence[int],
    ) -> None:
        # Factors with one q become neighbours, as they are drawn together.
        order = sorted(range(len(factors)), key=lambda i: factors[i][0].kind)
        self.family = family
        self.factors: list[tuple[Countable, Countable]] = [factors[i] for i in order]
        self.counts: list[int] = [counts[i] for i in order]
        self.tables: list[LogRatios] = [q.table(p) for q, p in self.factors]
        self.dimension: int = sum(counts)

    @property
    def seconds(self) -> Seconds:  # type: ignore[override]
        return self.factors[0][0].seconds

    def _law(self) -> OutcomeLaw:
        return OutcomeLaw(
            [t.outcomes for t in self.tables], [t.tails for t in self.tables], self.counts
        )

    @cached_property
    def reverse_kl(self) -> float:
        try:
            return self.reversed().law.kl
        except ValueError:  # p takes values that q does not
            return math.inf

    def reversed(self) -> CountablePair:
        sides = self.family.split("|")
        family = "|".join(reversed(sides))
        return CountablePair(family, [(p, q) for q, p in self.factors], self.counts)

    def integrals(self) -> Integrals:
        """Sums over the values of each factor, by log probabilities as their definitions say."""
        rows = []
        for (q, p), table in zip(self.factors, self.tables, strict=True):
            n = np.arange(table.first, table.first + table.ell.size, dtype=float)
            with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
                log_q, log_p = q.log_probability(n), p.log_probability(n)
                taken = log_q > -700.0
                weight, ell = np.exp(log_q[taken]), (log_q - log_p)[taken]
                kl = float(weight @ ell)
                m2, m3, m4 = (float(weight @ (ell - kl) ** m) for m in (2, 3, 4))
                ratio = float(weight @ np.exp(-2.0 * ell))
            rows.append((kl, m2, m3, m4 - 3.0 * m2 * m2, math.log(ratio)))
        *moments, log_ratio = np.array(self.counts, float) @ np.array(rows)
        finite = self.law.ratio_variance_finite and log_ratio < 700.0
        chi_square = math.expm1(log_ratio) if finite else math.nan
        return Integrals(*map(float, moments))._replace(chi_square=chi_square)

    @cached_property
    def scores(self) -> Scores | None:
        return self.factors[0][0].scores(self.tables[0]) if self.dimension == 1 else None

    def distributions(self) -> Sequence[Factor] | None:
        factors = []
        for (q, p), count in zip(self.factors, self.counts, strict=True):
            if q.tensorflow is None or p.tensorflow is None:
                return None
            factors.append(Factor(count, q.tensorflow, p.tensorflow))
        return factors

    def form(self) -> CountableForm:
        return CountableForm(self)


class _Columns(NamedTuple):
    """Columns that have one pair of laws."""

    columns: slice
    p: Countable
    table: LogRatios


class _SameLaw(NamedTuple):
    """The columns whose q is the same."""

    law: Countable
    columns: int
    parts: list[_Columns]


class CountableForm(Form):
    """The form that draws a value of each factor and looks up its l."""

    def __init__(self, pair: CountablePair) -> None:
        self.numbers: int = pair.dimension
        self.blocks: list[_SameLaw] = []
        rows = zip(pair.factors, pair.counts, pair.tables, strict=True)
        for _, group in groupby(rows, key=lambda row: row[0][0].kind):
            same = [*group]
            parts, start = [], 0
            for (_, p), count, table in same:
                parts.append(_Columns(slice(start, start + count), p, table))
                start += count
            self.blocks.append(_SameLaw(same[0][0][0], start, parts))
        self.shape: str = "+".join(f"{b.columns} {b.law.kind}" for b in self.blocks)

    def draw(self, stream: Stream, rows: int) -> Numbers:
        return [stream.sample(b.law, rows, b.columns) for b in self.blocks]

    def parts(self) -> Sequence[Sequence[DensityTerm]] | None:
        out = []
        for b in self.blocks:
            q, ps = b.law.tensorflow, [(part.columns, part.p.tensorflow) for part in b.parts]
            if q is None or any(p is None for _, p in ps):
                return None
            out.append([DensityTerm(c.start, c.stop, q, p) for c, p in ps if p is not None])
        return out

    def evaluator(
        self, forms: Sequence[CountableForm], signs: int, sums: Sequence[str] = ()
    ) -> _Evaluator:
        return _Evaluator(forms, sums)


class _Evaluator:
    """Adds up l and the functions of l_i over the factors, for forms that share their draws."""

    def __init__(self, forms: Sequence[CountableForm], sums: Sequence[str]) -> None:
        self._shape = (1 + len(sums), 1, len(forms))
        self._parts = [
            [
                (j, part.columns, part.table.first, _values(part.table, sums))
                for j, form in enumerate(forms)
                for part in form.blocks[i].parts
            ]
            for i in range(len(forms[0].blocks))
        ]
        self._out = np.empty(0)

    def resize(self, replicates: int, units: int) -> None:
        self._out = np.empty((*self._shape, replicates, units))

    def add(self, draw: Numbers, replicate: int, start: int, stop: int) -> None:
        assert not isinstance(draw, np.random.Generator)
        out = self._out[:, 0, :, replicate, start:stop]
        out[:] = 0.0
        for x, parts in zip(draw, self._parts, strict=True):
            # Some streams keep their draws as floating-point numbers.
            n = np.asarray(x, dtype=np.intp)
            for form, columns, first, values in parts:
                places = n[:, columns] - first
                for row, of_function in zip(out[:, form], values, strict=True):
                    row += of_function.take(places).sum(axis=1)

    def finish(self, out: Vector) -> None:
        out[:] = self._out


def _values(table: LogRatios, sums: Sequence[str]) -> Vector:
    """l and the functions of it at each value, shape (1 + sums, values)."""
    with np.errstate(over="ignore"):
        return np.concatenate((table.ell[None], sums_over(table.ell[:, None], sums)))
