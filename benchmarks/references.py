"""Reference numbers of random and nasty pairs, to 30 digits, with mpmath alone.

    python benchmarks/references.py [--count N] [--seed N]

Writes tests/references/pairs.json, one line a pair, by which tests/unit/test_adversarial.py judges
mckl. Every number is computed twice, the second time with more digits, a finer grid and other
panels, until the two agree to 30 digits; variances over Sobol' points agree to 15. No line of mckl
is used. gmpy2, where it is installed, makes mpmath twice as fast.

The numbers are strings: `inf` is infinite, `huge` is finite and above 10^308, null is not defined
(a skewness where the variance is infinite), exactly 0 by symmetry, or, for cv, less than 10^-24 of
the variance of k3. A list of four has the bias,
variance, skewness and excess kurtosis of an estimate from one sample or one antithetic pair; that
of cv has n times the variance's leading order in second place.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from functools import lru_cache
from math import comb
from pathlib import Path
from typing import Any

import nasty_pairs
import reference_bounded as bounded
import reference_moments as moments
import reference_strata as strata
from mpmath import inf, mp, mpf
from reference_moments import ELL_ORDER, ORDER, RK, Factor, Grid, Mirrored, Number
from tqdm import tqdm

FILE = Path(__file__).parents[1] / "tests" / "references" / "pairs.json"
DIGITS = 30
CONTINUOUS = ("student-t", "laplace", "logistic", "mixture")

# The precision and the grid of the first calculation, and of those that must agree with it.
LADDER = [(70, Grid(42)), (80, Grid(48, True)), (110, Grid(60)), (150, Grid(80, True))]
EXTRA = 150  # digits beyond these where moments follow from closed forms, whose terms cancel


def central(raw: Sequence[Number]) -> list[Number | None]:
    """Mean, variance, skewness and excess kurtosis from raw moments of orders 0 to 4."""
    return standardised(cumulants(raw), raw[2])


def cumulants(raw: Sequence[Number]) -> list[Number]:
    _, a, b, c, d = raw
    if a == inf:
        return [inf] * ORDER
    return [
        a,
        inf if b == inf else b - a * a,
        inf if c == inf else c - 3 * a * b + 2 * a**3,
        inf if d == inf else d - 4 * a * c - 3 * b * b + 12 * a * a * b - 6 * a**4,
    ]


def standardised(k: Sequence[Number], size: Number) -> list[Number | None]:
    """Mean, variance, skewness and excess kurtosis; None where the variance is exactly 0."""
    mean, variance, third, fourth = k
    if variance == inf:
        return [mean, inf, None, None]
    if variance <= size * mpf(10) ** -36:
        return [mean, None, None, None]
    skewness = inf if third == inf else third / variance ** mpf("1.5")
    if abs(skewness) < mpf(10) ** -36:  # by symmetry
        skewness = mpf(0)
    return [mean, variance, skewness, inf if fourth == inf else fourth / variance**2]


def summed(lists: Sequence[Sequence[Number]], counts: Sequence[int]) -> list[Number]:
    """Cumulants of a sum over independent factors, from each factor's raw moments."""
    known = [cumulants(raw) for raw in lists]
    return [
        inf if inf in column else mp.fsum(n * k for n, k in zip(counts, column, strict=True))
        for column in zip(*known, strict=True)
    ]


def sum_of(lists: Sequence[Sequence[Number]], counts: Sequence[int]) -> list[Number | None]:
    size = mp.fsum(n * raw[2] for n, raw in zip(counts, lists, strict=True))
    return standardised(summed(lists, counts), size)


@lru_cache(maxsize=64)
def _terms(i: int, j: int) -> list[tuple[int, tuple[int, int], tuple[int, int]]]:
    """(R1 + R2 + R1 R2)^i (K1 + K2 + R1 R2)^j as terms c, (powers of R1, K1), (of R2, K2)."""
    return [
        (comb(i, a) * comb(i - a, b) * comb(j, d) * comb(j - d, e),
         (i - b + j - d - e, d), (i - a + j - d - e, e))
        for a in range(i + 1) for b in range(i - a + 1)
        for d in range(j + 1) for e in range(j - d + 1)
    ]  # fmt: skip


def join(f: Factor, g: Factor) -> Factor:
    """The moments of two independent blocks together."""

    def finite(order: int) -> bool:
        return all(
            block.rk[i, n - i] != inf for block in (f, g) for n in range(1, order + 1)
            for i in range(n + 1)
        )  # fmt: skip

    rk, (first, second) = {}, ({(0, 0): mpf(1), **block.rk} for block in (f, g))
    for i, j in RK:
        if finite(i + j):
            rk[i, j] = mp.fsum(c * first[x] * second[y] for c, x, y in _terms(i, j))
        else:
            rk[i, j] = inf
    ell = [
        inf if inf in (*f.ell[: n + 1], *g.ell[: n + 1])
        else mp.fsum(comb(n, m) * f.ell[m] * g.ell[n - m] for m in range(n + 1))
        for n in range(ELL_ORDER + 1)
    ]  # fmt: skip
    return Factor(ell, rk, f.reverse_kl + g.reverse_kl)


def joined(factors: Sequence[Factor], counts: Sequence[int]) -> Factor:
    """The moments of the whole of a sample."""
    whole = None
    for factor, count in zip(factors, counts, strict=True):
        block: Factor | None = factor
        while count:
            if count % 2:
                whole = block if whole is None else join(whole, block)
            count //= 2
            block = join(block, block) if count else None
    assert whole is not None
    return whole


def _misses(ratio: Number) -> bool:
    """Whether E r - 1 is more than its rounding: then r - 1 is no control variate."""
    return bool(abs(ratio) > mpf(10) ** -DIGITS)


def leftover(k: Sequence[Number], ratio: Number, both: Number, square: Number) -> list[Any]:
    """cv's leading variance: Var k - Cov(k, x)^2 / Var x, from raw moments of k and x."""
    if inf in (k[2], square, both) or _misses(ratio):
        return [None] * 4
    variance, of_x = k[2] - k[1] ** 2, square - ratio**2
    value = variance - (both - k[1] * ratio) ** 2 / of_x
    return [None, None if value <= variance * mpf(10) ** -24 else value, None, None]


def numbers(factors: Sequence[Factor], counts: Sequence[int]) -> dict[str, Any]:
    """All reference numbers over independent samples of a product of factors."""
    whole = joined(factors, counts)
    kl = whole.ell[1]
    halves = [[raw / 2**j for j, raw in enumerate(f.ell[::2])] for f in factors]
    out = whole_numbers(whole)
    out["iid"]["k2-factor"] = biased(sum_of(halves, counts), kl)
    threes = [[mpf(1), *(f.rk[0, j] for j in range(1, ORDER + 1))] for f in factors]
    out["iid"]["k3-factor"] = biased(sum_of(threes, counts), kl)
    out["iid"]["cv-factor"] = by_factor(factors, counts)
    return out


def by_factor(factors: Sequence[Factor], counts: Sequence[int]) -> list[Any]:
    if any(inf in (f.rk[0, 2], f.rk[1, 1], f.rk[2, 0]) or _misses(f.rk[1, 0]) for f in factors):
        return [None] * 4
    each = list(zip(factors, counts, strict=True))
    k2 = mp.fsum(n * (f.rk[0, 2] - f.rk[0, 1] ** 2) for f, n in each)
    kx = mp.fsum(n * (f.rk[1, 1] - f.rk[0, 1] * f.rk[1, 0]) for f, n in each)
    x2 = mp.fsum(n * (f.rk[2, 0] - f.rk[1, 0] ** 2) for f, n in each)
    value = k2 - kx * kx / x2
    return [None, None if value <= k2 * mpf(10) ** -24 else value, None, None]


def whole_numbers(whole: Factor) -> dict[str, Any]:
    kl, ell = whole.ell[1], whole.ell
    _, variance, skewness, kurtosis = central(ell[: ORDER + 1])
    three = [mpf(1), *(whole.rk[0, j] for j in range(1, ORDER + 1))]
    return {
        "l": {
            "kl": kl, "reverse_kl": whole.reverse_kl, "variance": variance,
            "skewness": skewness, "excess_kurtosis": kurtosis,
        },
        "iid": {
            "k1": [mpf(0), variance, skewness, kurtosis],
            "k2": biased(central([raw / 2**j for j, raw in enumerate(ell[::2])]), kl),
            "k3": biased(central(three), kl),
            "cv": leftover(three, whole.rk[1, 0], whole.rk[1, 1], whole.rk[2, 0]),
        },
    }  # fmt: skip


def biased(of: Sequence[Any], kl: Number) -> list[Any]:
    """The same four numbers with the bias in place of the mean."""
    mean, variance, *rest = of
    bias = mean - kl if mean != inf else inf
    if bias != inf and abs(bias) < abs(kl) * mpf(10) ** -36:
        bias = mpf(0)
    return [bias, variance, *rest]


def antithetic(
    whole: Mirrored | None, factors: Sequence[Mirrored], counts: Sequence[int], kl: Number
) -> dict[str, Any]:
    """The numbers of one antithetic pair; those of the whole of l where it is known."""
    out = {
        "k1": sum_of([f.ell for f in factors], counts),
        "k2-factor": biased(sum_of([f.half_square for f in factors], counts), kl),
        "k3-factor": biased(sum_of([f.k3 for f in factors], counts), kl),
    }
    out["k1"][0] = mpf(0)
    if whole is not None:
        out["k2"] = biased(central(whole.half_square), kl)
        out["k3"] = biased(central(whole.k3), kl)
        out["cv"] = leftover(whole.k3, mpf(0), whole.k3_ratio, whole.ratio_ratio)
    return out


def sides_of(case: Mapping[str, Any]) -> list[tuple[dict[str, Any], dict[str, Any]]]:
    """q and p of every coordinate, with scalars only."""
    lengths = {len(v) for side in (case["q"], case["p"]) for v in side.values()
               if isinstance(v, list)} if "mixture" not in families(case) else set()  # fmt: skip
    (length,) = lengths or {1}

    def at(side: Mapping[str, Any], i: int) -> dict[str, Any]:
        if side.get("family") == "mixture":
            return dict(side)
        return {key: v[i] if isinstance(v, list) else v for key, v in side.items()}

    return [(at(case["q"], i), at(case["p"], i)) for i in range(length)]


def first_of(side: Mapping[str, Any]) -> Any:
    """The first of the numbers of a categorical law, which is a list where it has rows."""
    return next(value for key, value in side.items() if key != "family")[0]


def families(case: Mapping[str, Any]) -> list[str]:
    return [case[side].get("family", "normal") for side in ("q", "p")]


# The quadrature of one coordinate serves every pair that has it.
@lru_cache(maxsize=4096)
def _coordinate(q: str, p: str, dps: int, grid: Grid, mirrored: bool) -> Factor:
    with mp.workdps(dps):
        given = [json.loads(side) for side in (q, p)]
        if bounded.applies(*given):
            return bounded.integrals(*map(bounded.law_of, given), grid, mirrored)
        return moments.integrals(*map(moments.law_of, given), grid, mirrored)


def coordinate(q: Mapping[str, Any], p: Mapping[str, Any], grid: Grid, mirrored: bool) -> Factor:
    """The moments of one coordinate, by a closed form where there is one."""
    names = [side.get("family", "normal") for side in (q, p)]
    if not mirrored and names == ["gamma"] * 2:
        return moments.gamma(*((side["shape"], side.get("rate", 1.0)) for side in (q, p)))
    if not mirrored and names == ["beta"] * 2:
        return moments.dirichlet(*((side["a"], side["b"]) for side in (q, p)))
    if {*names} & moments.COUNTS:
        return moments.counts(q, p)
    if names == ["poisson"] * 2:
        return moments.poisson(q["rate"], p["rate"])
    if names == ["normal"] * 2:
        return moments.normal(moments.quadratic(*((s["mean"], s["sd"]) for s in (q, p))), mirrored)
    texts = [json.dumps(side, sort_keys=True) for side in (q, p)]
    dps = mp.dps - EXTRA if mp.dps > EXTRA else mp.dps
    return _coordinate(*texts, dps, grid, mirrored)


def reference(pair: Mapping[str, Any], dps: int, grid: Grid) -> dict[str, Any]:
    """The numbers of a pair, at one precision."""
    case = pair["case"]
    with mp.workdps(dps + EXTRA):
        names, mirrored = families(case), pair.get("antithetic", False)
        if names[0] == "policy":
            return policy(case)
        whole = None
        if "covariance" in case["q"]:
            quadratics = moments.rotated(case["q"], case["p"])
            factors = [moments.normal(of, mirrored) for of in quadratics]
            counts = [1] * len(factors)
        elif names[0] == "categorical" and isinstance(first_of(case["q"]), list):
            rows = zip(*([*case[side].values()][1] for side in ("q", "p")), strict=True)
            counted: dict[str, list[Any]] = {}
            for both in rows:
                counted.setdefault(json.dumps(both), [both, 0])[1] += 1
            factors = [moments.categorical(*map(moments.normalised_numbers, both))
                       for both, _ in counted.values()]  # fmt: skip
            counts = [n for _, n in counted.values()]
        elif names[0] == "categorical":
            laws = [moments.probabilities(case[side]) for side in ("q", "p")]
            factors, counts = [moments.categorical(*laws)], [1]
        elif names[0] == "dirichlet":
            concentrations = [case[side]["concentration"] for side in ("q", "p")]
            factors, counts = [moments.dirichlet(*concentrations)], [1]
        else:
            known: dict[str, list[Any]] = {}
            for sides in sides_of(case):
                known.setdefault(json.dumps(sides), [sides, 0])[1] += 1
            factors = [coordinate(*sides, grid, mirrored) for sides, _ in known.values()]
            counts = [n for _, n in known.values()]
            if names == ["normal"] * 2:
                quadratics = [
                    moments.quadratic(*((s["mean"], s["sd"]) for s in sides))
                    for sides in sides_of(case)
                ]
        out = numbers(factors, counts)
        if "l.second_moment_of_r" in pair.get("published", {}):
            rk = joined(factors, counts).rk
            out["l"]["second_moment_of_r"] = 1 + 2 * rk[1, 0] + rk[2, 0]
        if mirrored:
            pairs = [f.mirrored for f in factors]
            if names == ["normal"] * 2:
                whole = moments.mirrored_whole(quadratics)
            elif counts == [1]:
                whole = pairs[0]
            out["antithetic"] = antithetic(whole, pairs, counts, out["l"]["kl"])
    if "sobol" in pair:
        with mp.workdps(60 if grid.cut else 50):
            laws = [[moments.law_of(side) for side in sides] for sides in sides_of(case)]
            out["sobol"] = strata.variances(laws, pair["sobol"])
    return out


def policy(case: Mapping[str, Any]) -> dict[str, Any]:
    """A policy by its transfer matrix, for the whole, and by moments of sums, by factor."""
    tables = []
    for side in (case["q"], case["p"]):
        (name,) = {"transitions", "logits"} & {*side}
        key = "probabilities" if name == "transitions" else "logits"
        tables.append([moments.probabilities({key: row}) for row in side[name]])
    q, p = tables
    states, stop = range(len(q)), case.get("stop")
    start = case.get("initial")
    if start is None:
        start = [0.0 if x == stop else 1.0 for x in states]
    law = moments.normalised([mpf(x) for x in start])
    missing = mpf(0)
    steps = {}  # (x, y): (q, l)
    for x in states:
        for y in states:
            if x == stop:
                steps[x, y] = (mpf(x == y), mpf(0))
            elif q[x][y]:
                steps[x, y] = (q[x][y], mp.log(q[x][y] / p[x][y]))
            else:
                missing = max(missing, p[x][y])
    steps = {key: value for key, value in steps.items() if value[0]}

    def mgf(b: int) -> list[Number]:
        """The series of E exp((t - b) l)."""
        terms = ELL_ORDER + 1 if b == 0 else ORDER + 1
        series = {
            key: [w * mp.exp(-b * ell) * ell**m / mp.factorial(m) for m in range(terms)]
            for key, (w, ell) in steps.items()
        }
        at = {x: [w] + [mpf(0)] * (terms - 1) for x, w in enumerate(law) if w}
        for _ in range(case["dimension"]):
            new: dict[int, list[Number]] = {}
            for (x, y), f in series.items():
                if x in at:
                    term = moments.times(at[x], f)
                    new[y] = [
                        a + c for a, c in zip(new.get(y, [mpf(0)] * terms), term, strict=True)
                    ]
            at = new
        return [mp.fsum(f[m] for f in at.values()) * mp.factorial(m) for m in range(terms)]

    known = {b: mgf(b) for b in range(ORDER + 1)}
    whole = moments.from_tilted(lambda b, a: known[b][a])
    if missing:
        whole = whole._replace(reverse_kl=inf)
    out = whole_numbers(whole)
    kl = whole.ell[1]

    def joint(f: Mapping[Any, Number], g: Mapping[Any, Number] | None = None) -> list[Number]:
        """E F^m for m = 0 to 4, F the sum over tokens of f; with g, E F, E F G and E G, E G^2."""
        orders = [(m, 0) for m in range(ORDER + 1)] if g is None else [
            (0, 0), (1, 0), (0, 1), (2, 0), (1, 1), (0, 2)]  # fmt: skip
        at = {x: {key: w if key == (0, 0) else mpf(0) for key in orders} for x, w in enumerate(law)}
        for _ in range(case["dimension"]):
            new = {x: dict.fromkeys(orders, mpf(0)) for x in states}
            for (x, y), (w, _ell) in steps.items():
                of, also = f[x, y], g[x, y] if g is not None else mpf(0)
                for m, n in orders:
                    new[y][m, n] += w * mp.fsum(
                        comb(m, i) * comb(n, j) * of ** (m - i) * also ** (n - j) * at[x][i, j]
                        for i in range(m + 1) for j in range(n + 1)
                    )  # fmt: skip
            at = new
        return [mp.fsum(of[key] for of in at.values()) for key in orders]

    half = {key: ell**2 / 2 for key, (_, ell) in steps.items()}
    three = {key: mp.exp(-ell) - 1 + ell for key, (_, ell) in steps.items()}
    ratio = {key: mp.exp(-ell) - 1 for key, (_, ell) in steps.items()}
    rows = {x: mp.fsum(w * ell for (a, _), (w, ell) in steps.items() if a == x) for x in states}
    by_row = {(x, y): rows[x] for x, y in steps}
    out["iid"]["k2-factor"] = biased(central(joint(half)), kl)
    out["iid"]["k3-factor"] = biased(central(joint(three)), kl)
    out["iid"]["rb"] = biased(central(joint(by_row)), kl)
    _, k, x, kk, kx, xx = joint(three, ratio)
    out["iid"]["cv-factor"] = leftover([mpf(1), k, kk], x, kx, xx)
    return out


def text(value: Any) -> Any:
    """Numbers as strings of 30 digits."""
    if isinstance(value, Mapping):
        return {key: text(v) for key, v in value.items()}
    if isinstance(value, list):
        return [text(v) for v in value]
    if value is None:
        return None
    if value == inf:
        return "inf"
    if value == 0:
        return "0"
    return "huge" if abs(value) > mpf(2) ** 1024 else mp.nstr(value, DIGITS)


def read(stored: Any) -> Any:
    """The numbers of a pair as the file has them; `huge` stays as it is."""
    if isinstance(stored, Mapping):
        return {key: read(v) for key, v in stored.items()}
    if isinstance(stored, list):
        return [read(v) for v in stored]
    return stored if stored in (None, "huge") else mpf(stored)


def check_published(pair: Mapping[str, Any]) -> None:
    """Raise AssertionError where a reference is not the number that is stated for it."""
    for path, stated in pair.get("published", {}).items():
        value: Any = pair["reference"]
        for key in path.split("."):
            value = value[int(key)] if isinstance(value, list) else value[key]
        digits = len(f"{stated:.15g}".split("e")[0].replace(".", "").replace("-", "").strip("0"))
        half = mpf(10) ** (mp.floor(mp.log10(abs(stated))) - digits + 1) / 2
        apart = abs(mpf(value) - mpf(stated))
        assert apart <= 1.01 * half, f"{pair['name']} {path}: {value}, stated {stated}"


def differ(one: Any, other: Any, path: str = "") -> str | None:
    """Where two calculations differ by more than they may; None where they agree."""
    if isinstance(one, Mapping):
        parts = ((f"{path}.{key}", one[key], other[key]) for key in one)
    elif isinstance(one, list) and len(one) == 4:
        parts = ((f"{path}[{i}]", one[i], other[i]) for i in (0, 1, 2, 3))
    elif {one, other} & {None, "huge", inf}:
        return None if one == other else path
    else:
        digits = 15 if ".sobol" in path else DIGITS
        relative = path.endswith(("kl", "variance", "[1]")) or ".sobol" in path
        small = abs(other) if relative else max(abs(other), mpf(1))
        return path if abs(one - other) > 2 * mpf(10) ** -digits * small else None
    return next((found for p, a, b in parts if (found := differ(a, b, p)) is not None), None)


def certain(pair: Mapping[str, Any]) -> dict[str, Any]:
    """The numbers of a pair, of which two calculations agree to 30 digits."""
    before, where = None, None
    for dps, grid in LADDER:
        found = reference(pair, dps, grid)
        with mp.workdps(dps):
            if before is not None and (where := differ(before, found)) is None:
                return found
        before = found
    raise ArithmeticError(f"{pair['name']}: {where} does not settle")


def line(pair: Mapping[str, Any]) -> str:
    """The pair and its numbers as one line of the file."""
    with mp.workdps(50):
        whole = {**pair, "reference": text(certain(pair))}
        check_published(whole)
    return json.dumps(whole, separators=(",", ":"))


def main() -> int:
    """Write the file."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=477, help="pairs in all")
    parser.add_argument("--seed", type=int, default=19)
    parser.add_argument("--only", default="", help="kinds whose name begins with this")
    parser.add_argument("--out", type=Path, default=FILE)
    chosen = parser.parse_args()
    lines = []
    pairs = [p for p in nasty_pairs.pairs(chosen.seed, chosen.count)
             if p["kind"].startswith(chosen.only)]  # fmt: skip
    for pair in tqdm(pairs, unit="pair", disable=None):
        try:
            lines.append(line(pair))
        except (ArithmeticError, AssertionError, ValueError) as error:
            print(f"{pair['name']}: left out: {error!r}", file=sys.stderr)
    lines.sort()
    chosen.out.parent.mkdir(exist_ok=True)
    chosen.out.write_text("\n".join(lines) + "\n", encoding="utf-8")
    print(f"{len(lines)} pairs, {chosen.out.stat().st_size:,} bytes")
    return 0


if __name__ == "__main__":
    sys.exit(main())
