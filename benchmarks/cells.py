"""Measures what the intervals of given samples are worth, in cells whose KL is exact.

    python benchmarks/cells.py FILE [--runs 1000] [--only WORD]

A cell is a law of data sets. Of each the runs are counted that give an interval, the share of
these that contains KL, the same share of Student's plain interval over all runs, and the length of
the interval as a multiple of the plain one's.
"""

from __future__ import annotations

import argparse
import json
import math
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from scipy import integrate, optimize, stats
from scipy.special import stdtrit, xlogy

from mckl.arrays import Vector
from mckl.estimation.given.answer import of_summary
from mckl.estimation.given.summary import Summary
from mckl.estimation.given.units import Units
from mckl.estimation.intervals import Request
from mckl.exact.remainders import phi

REQUEST = Request(0.1, True, 0.95, 10**18)
Draw = Callable[[np.random.Generator], Units]


class Cell(NamedTuple):
    """A law of data sets: its group and name, KL, and how to draw the units of one data set."""

    group: str
    name: str
    kl: float
    draw: Draw


def flat(ell: Callable[[np.random.Generator], Vector]) -> Draw:
    return lambda rng: {"ell": ell(rng)}


def sums(ell: Vector, lengths: Vector) -> Units:
    """Sums over the tokens of sequences of these lengths."""
    starts, r = np.append(0, np.cumsum(lengths)[:-1]), np.expm1(-ell)
    rows = {"ell": ell, "factor_half_square": ell**2 / 2, "factor_ratio": r, "factor_k3": r + ell}
    return {name: np.add.reduceat(x, starts) for name, x in rows.items()} | {
        "length": lengths.astype(float), "largest_ratio": np.maximum.reduceat(r, starts),
    }  # fmt: skip


class Tokens:
    """Independent tokens: contexts with next-token laws whose mean KL is `kl`, and a rare token.

    The rare token has the probability `rare` in q and rare e^-ell in p, in every context.
    """

    def __init__(self, kl: float, rare: float = 0.0, rare_ell: float = 0.0) -> None:
        rng = np.random.default_rng(7)
        logits, other = 1.5 * rng.normal(size=(8, 24)), rng.normal(size=(8, 24))
        base = np.exp(logits - np.logaddexp.reduce(logits, axis=1, keepdims=True))

        def laws(step: float) -> tuple[Vector, Vector]:
            p = base * np.exp(step * other)
            p /= p.sum(axis=1, keepdims=True)
            far = rare * math.exp(-rare_ell)
            q = np.column_stack((base * (1 - rare), np.full(8, rare)))
            return q, np.column_stack((p * (1 - far), np.full(8, far)))

        def mean_kl(step: float) -> float:
            q, p = laws(step)
            return float(xlogy(q, q / np.where(p > 0, p, 1)).sum() / 8)

        least = mean_kl(0.0)
        step = optimize.brentq(lambda s: mean_kl(s) - least - kl, 0.0, 3.0)
        q, p = laws(step)
        keep = q.ravel() > 0
        self.kl = mean_kl(step)
        self.q = q.ravel()[keep] / 8
        ell = np.log(q.ravel()[keep] / p.ravel()[keep])
        full = np.repeat(xlogy(q, q / np.where(p > 0, p, 1)).sum(axis=1), 25)[keep]
        k3 = phi(-ell)
        self.values = {
            "ell": ell, "factor_half_square": ell**2 / 2, "factor_ratio": np.expm1(-ell),
            "factor_k3": k3, "factor_rb": full, "factor_rb_fit": full * (full - k3),
        }  # fmt: skip

    def draw(self, sequences: int, length: int, full_kl: bool = False) -> Draw:
        names = [n for n in self.values if full_kl or "rb" not in n]
        table = np.column_stack([self.values[n] for n in names])

        def drawn(rng: np.random.Generator) -> Units:
            counts = rng.multinomial(length, self.q, sequences)
            ratio = self.values["factor_ratio"]
            return dict(zip(names, (counts @ table).T, strict=True)) | {
                "length": np.full(sequences, float(length)),
                "largest_ratio": np.where(counts > 0, ratio, -1.0).max(axis=1),
            }

        return drawn


def prompts(count: int, spread: float, unequal: bool, shuffled: bool, named: bool) -> Draw:
    """Completions of prompts whose log KL varies with this standard deviation; KL 2 in the mean."""

    def drawn(rng: np.random.Generator) -> Units:
        group = rng.integers(2, 15, count) if unequal else np.full(count, 8)
        ids = np.repeat(np.arange(count), group)
        if shuffled:
            rng.shuffle(ids)
        lengths = rng.integers(16, 113, ids.size) if unequal else np.full(ids.size, 64)
        v = (4.0 / 64) * np.exp(spread * rng.normal(size=count) - spread**2 / 2)[ids]
        v = np.repeat(v, lengths)
        ell = v / 2 + np.sqrt(v) * rng.normal(size=v.size)
        return sums(ell, lengths) | ({"cluster": ids} if named else {})

    return drawn


def mixture(w: float, n: int) -> tuple[float, Draw]:
    """q = (1 - w) N(0, 1) + w N(10, 1) against N(0, 1)."""

    def ell(z: Vector) -> Vector:
        return np.logaddexp(math.log1p(-w), math.log(w) + 10 * z - 50)

    def part(mean: float) -> float:
        grid = np.linspace(mean - 12, mean + 12, 200_001)
        return float(integrate.simpson(stats.norm.pdf(grid - mean) * ell(grid), grid))

    kl = (1 - w) * part(0.0) + w * part(10.0)
    return kl, flat(lambda rng: ell(rng.normal(size=n) + 10 * (rng.random(n) < w)))


def heavy(n: int) -> tuple[float, Draw]:
    """t(3) against N(0, 2^2)."""
    q, p = stats.t(3), stats.norm(0, 2)
    kl = -q.entropy() + 0.5 * math.log(2 * math.pi * 4) + 3 / 8

    def ell(rng: np.random.Generator) -> Vector:
        z = rng.standard_t(3, n)
        return q.logpdf(z) - p.logpdf(z)

    return float(kl), flat(ell)


def lognormal(s: float, n: int) -> tuple[float, Draw]:
    """l = e^(s N) + c with E e^-l = 1."""
    grid = np.linspace(-12, 12, 200_001)
    c = math.log(integrate.simpson(stats.norm.pdf(grid) * np.exp(-np.exp(s * grid)), grid))
    return math.exp(s * s / 2) + c, flat(lambda rng: np.exp(s * rng.normal(size=n)) + c)


def gamma_lognormal(n: int) -> tuple[float, Draw]:
    q, p = stats.gamma(2), stats.lognorm(1, scale=math.exp(0.3))

    def ell(z: Vector) -> Vector:
        return q.logpdf(z) - p.logpdf(z)

    kl = integrate.quad(lambda z: q.pdf(z) * ell(z), 0, 60, epsabs=1e-12, limit=400)[0]
    return kl, flat(lambda rng: ell(rng.gamma(2.0, size=n)))


def narrow(n: int, sd: float = 0.6) -> tuple[float, Draw]:
    kl = math.log(sd) + 0.5 / sd**2 - 0.5
    return kl, flat(lambda rng: math.log(sd) + 0.5 * (sd**-2 - 1) * rng.normal(size=n) ** 2)


def shift(mean: float, n: int) -> tuple[float, Draw]:
    return mean**2 / 2, flat(lambda rng: mean**2 / 2 + mean * rng.normal(size=n))


def jumps(n: int) -> tuple[float, Draw]:
    """l = c + 0.5 N + 20 Bernoulli(1e-3)."""
    c = 0.125 + math.log1p(0.001 * math.expm1(-20))
    return c + 0.02, flat(lambda rng: c + 0.5 * rng.normal(size=n) + 20.0 * (rng.random(n) < 0.001))


def long_tailed(n: int = 1000) -> tuple[float, Draw]:
    """Sequences of heavy-tailed lengths with l of mean 0.05 and variance 0.1 a token."""
    # P(length > j) is that of u < ((j) / 5)^-1.5, and no length exceeds 20,000.
    j = np.arange(20_000)
    mean_length = float(np.minimum(1.0, (np.maximum(j, 1.0) / 5.0) ** -1.5).sum())

    def drawn(rng: np.random.Generator) -> Units:
        lengths = np.minimum(np.ceil(5 * rng.random(n) ** (-1 / 1.5)), 20_000).astype(int)
        ell = 0.05 + math.sqrt(0.1) * rng.normal(size=lengths.sum())
        return sums(ell, lengths)

    return 0.05 * mean_length, drawn


def weighted(mean: float, n: int) -> tuple[float, Draw]:
    """q = N(0, 1), p = N(0.5, 1), drawn from s = N(mean, 1)."""

    def drawn(rng: np.random.Generator) -> Units:
        z = rng.normal(mean, size=n)
        return {"ell": 0.125 - 0.5 * z, "log_weight": 0.5 * mean**2 - mean * z}

    return 0.125, drawn


def cells() -> Iterator[Cell]:
    """All cells, group by group."""
    for kl in (0.0024, 0.02, 0.09):
        tokens = Tokens(kl)
        for s, t in ((20, 256), (64, 512), (512, 1024)):
            name, total = f"{s} x {t}, KL {kl:g} a token", tokens.kl * t
            yield Cell("by token", name, total, tokens.draw(s, t))
            if s < 512:
                yield Cell("by token, full_kl", name, total, tokens.draw(s, t, True))
    for kl in (0.0024, 0.02):
        for rare in (1e-4, 1e-5, 1e-6):
            tokens = Tokens(kl, rare, 10.0)
            for s, t in ((64, 1024), (64, 256), (512, 1024)):
                name = f"{s} x {t}, KL {kl:g}, {rare:g} in q: {rare * s * t:.2g} expected"
                yield Cell("rare in q", name, tokens.kl * t, tokens.draw(s, t))
        tokens = Tokens(kl, 1e-5, 10.0)
        draw = tokens.draw(64, 1024, True)
        yield Cell("rare in q, full_kl", f"64 x 1024, KL {kl:g}, 1e-5 in q", tokens.kl * 1024, draw)
    for rare, ell in ((1e-4, -3.0), (1e-5, -6.9), (1e-5, -4.6), (1e-6, -9.2)):
        tokens = Tokens(0.02, rare, ell)
        name = f"64 x 1024, {rare:g} in q, {rare * math.exp(-ell):.2g} in p"
        yield Cell("frequent in p", name, tokens.kl * 1024, tokens.draw(64, 1024))
    for count in (64, 128):
        for spread in (0.1, 0.2, 0.35):
            for group, what, *how in (
                ("clusters", "8, sd", False, False, True),
                ("clusters", "8, shuffled, sd", False, True, True),
                ("clusters", "2 to 14, sd", True, True, True),
                ("clusters not given", "8, sd", False, False, False),
                ("clusters not given", "8, shuffled, sd", False, True, False),
            ):
                name, draw = f"{count} prompts of {what} {spread:g}", prompts(count, spread, *how)
                yield Cell(group, name, 2.0, draw)
    for n in (500, 1000, 3000):
        yield Cell("rare", f"0.5 N + 20 Bernoulli(1e-3), n = {n:,}", *jumps(n))
    for n in (1000, 10_000):
        yield Cell("rare", f"t(3) against N(0, 2^2), n = {n:,}", *heavy(n))
    yield Cell("rare", "lengths 5 u^(-1/1.5), 1,000 sequences", *long_tailed())
    for w in (1e-2, 1e-3, 1e-4, 1e-5):
        for events in (0.5, 1, 2, 5):
            n = round(events / w)
            if 50 <= n <= 100_000:
                yield Cell("rare", f"{w:g} of N(10, 1), n = {n:,}", *mixture(w, n))
    for mean in (2.0, 2.5):
        yield Cell("weights", f"s = N({mean:g}, 1), n = 5,000", *weighted(mean, 5000))
    for mean in (0.5, 1.0):
        yield Cell("weights, sound", f"s = N({mean:g}, 1), n = 5,000", *weighted(mean, 5000))
    for n in (20_000, 140_000):
        yield Cell("sound", f"gamma(2) against lognorm(1), n = {n:,}", *gamma_lognormal(n))
    for n in (60, 200):
        yield Cell("sound", f"N(0, 1) against N(0, 0.6^2), n = {n}", *narrow(n))
    for s in (10, 20, 40):
        yield Cell("sound", f"{s} x 20, KL 0.05 a token", 20 * 0.05, Tokens(0.05).draw(s, 20))
    for s in (0.7, 1.0, 1.5):
        for n in (300, 1000, 5000):
            yield Cell("sound", f"e^({s:g} N) + c, n = {n:,}", *lognormal(s, n))
    for mean, n in ((0.1, 200), (0.3, 2000), (0.3, 50_000), (1.0, 2000), (2.0, 2000), (4.0, 2000)):
        yield Cell("shift", f"N(0, 1) against N({mean:g}, 1), n = {n:,}", *shift(mean, n))


def measure(cell: Cell, runs: int, seed: int) -> dict[str, Any]:
    """Counts over the runs of one cell."""
    rng = np.random.default_rng([seed, *cell.name.encode(), *cell.group.encode()])
    out: Counter[str] = Counter()
    reasons: Counter[str] = Counter()
    chosen: Counter[str] = Counter()
    width = {"trusted": 0.0, "k1": 0.0}
    for _ in range(runs):
        units = cell.draw(rng)
        summary = Summary(
            sequences="length" in units, weighted="log_weight" in units,
            full_kl="factor_rb" in units, clustered="cluster" in units,
        )  # fmt: skip
        summary.update(units)
        summary.finish()
        found = of_summary(summary, REQUEST)
        t = stdtrit(summary.units - 1, 0.975)
        chosen[found.trusted or "none"] += 1
        if found.trusted is None:
            reasons[found.why.translate({ord(c): None for c in "0123456789.-"})[:300]] += 1
        for name, one in (("trusted", found.trusted and found[found.trusted]), ("k1", found["k1"])):
            if one and one.interval:
                out[f"{name} given"] += 1
                out[f"{name} covers"] += one.interval[0] <= cell.kl <= one.interval[1]
                width[name] += (one.interval[1] - one.interval[0]) / (2 * t * one.std_error or 1)
        for name in ("k1", "k3-factor", "cv"):
            try:
                one = found[name]
            except KeyError:
                continue
            out[f"plain {name}"] += abs(one.estimate - cell.kl) <= t * one.std_error
    row: dict[str, Any] = {"group": cell.group, "cell": cell.name, "runs": runs}
    for name in ("trusted", "k1"):
        given = out[f"{name} given"]
        row[f"{name}_given"] = given / runs
        row[f"{name}_covers"] = out[f"{name} covers"] / given if given else math.nan
        row[f"{name}_width"] = width[name] / given if given else math.nan
    for name in ("k1", "k3-factor", "cv"):
        row[f"plain_{name}"] = out[f"plain {name}"] / runs
    row["chosen"], row["reasons"] = dict(chosen.most_common()), dict(reasons.most_common(9))
    return row


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("file", type=Path, help="JSON lines; cells that are in it are not repeated")
    parser.add_argument("--runs", type=int, default=1000)
    parser.add_argument("--only", default="", help="a part of the group's or the cell's name")
    given = parser.parse_args()
    given.file.touch()
    lines = given.file.read_text("utf-8").splitlines()
    known = {(row["group"], row["cell"]) for row in map(json.loads, lines)}
    with given.file.open("a", encoding="utf-8") as out:
        for cell in cells():
            wanted = given.only in f"{cell.group}: {cell.name}"
            if wanted and (cell.group, cell.name) not in known:
                out.write(json.dumps(measure(cell, given.runs, 1)) + "\n")
                out.flush()


if __name__ == "__main__":
    main()
