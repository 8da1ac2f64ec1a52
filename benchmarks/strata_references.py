"""Reference variances over balanced Sobol' points for tests/unit/test_strata.py, with mpmath alone.

    python benchmarks/strata_references.py

Writes tests/references/strata.json, one line a pair: the variances of the means of l, of l^2 / 2
and of k3 over n points, with 15 digits; `inf` is infinite. Strata are intervals between quantiles.
The variance within each is E (f - c)^2 - (E f - c)^2 with f's value c in its middle.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import mpmath
import numpy as np
from mpmath import mp, mpf

FILE = Path(__file__).parents[1] / "tests" / "references" / "strata.json"
SAMPLES = (16, 256, 16384)
MOST = max(SAMPLES)


class Law(NamedTuple):
    """A law as configs name it, its density, its probability below x, its support and its kinks."""

    given: dict[str, Any]
    density: Callable[[Any], Any]
    below: Callable[[Any], Any]
    ends: tuple[Any, Any]
    kinks: tuple[float, ...] = ()


def located(family: str, location: float, scale: float, of: Law) -> Law:
    names = {"normal": ("mean", "sd")}.get(family, ("location", "scale"))
    given = {**of.given, "family": family, names[0]: location, names[1]: scale}
    m, s = mpf(location), mpf(scale)
    kinks = (location,) if family == "laplace" else ()
    return Law(
        given, lambda x: of.density((x - m) / s) / s, lambda x: of.below((x - m) / s), LINE, kinks
    )


LINE = (-mpmath.inf, mpmath.inf)
NORMAL = Law({}, lambda x: mp.exp(-x * x / 2) / mp.sqrt(2 * mp.pi), mp.ncdf, LINE)
LAPLACE = Law(
    {}, lambda x: mp.exp(-abs(x)) / 2,
    lambda x: mp.exp(x) / 2 if x < 0 else 1 - mp.exp(-x) / 2, LINE,
)  # fmt: skip
LOGISTIC = Law(
    {}, lambda x: mp.exp(-abs(x)) / (1 + mp.exp(-abs(x))) ** 2, lambda x: 1 / (1 + mp.exp(-x)), LINE
)
STUDENT = Law(
    {"df": 3.0}, lambda x: 2 / (mp.pi * mp.sqrt(3) * (1 + x * x / 3) ** 2),
    lambda x: mpf(1) / 2 + (x / mp.sqrt(3) / (1 + x * x / 3) + mp.atan(x / mp.sqrt(3))) / mp.pi,
    LINE,
)  # fmt: skip


def normal(mean: float, sd: float = 1.0) -> Law:
    return located("normal", mean, sd, NORMAL)


def gamma(shape: float, rate: float) -> Law:
    a, b = mpf(shape), mpf(rate)
    return Law(
        {"family": "gamma", "shape": shape, "rate": rate},
        lambda x: b * (b * x) ** (a - 1) * mp.exp(-b * x) / mp.gamma(a),
        lambda x: mp.gammainc(a, 0, b * x, regularized=True), (mpf(0), mpmath.inf),
    )  # fmt: skip


def beta(a: float, b: float) -> Law:
    c, d = mpf(a), mpf(b)
    return Law(
        {"family": "beta", "a": a, "b": b},
        lambda x: x ** (c - 1) * (1 - x) ** (d - 1) / mp.beta(c, d),
        lambda x: mp.betainc(c, d, 0, x, regularized=True), (mpf(0), mpf(1)),
    )  # fmt: skip


def mixture(weights: Sequence[float], *parts: Law) -> Law:
    total = mp.fsum(map(mpf, weights))
    w = [mpf(x) / total for x in weights]
    return Law(
        {"family": "mixture", "weights": list(weights), "components": [c.given for c in parts]},
        lambda x: mp.fsum(k * c.density(x) for k, c in zip(w, parts, strict=True)),
        lambda x: mp.fsum(k * c.below(x) for k, c in zip(w, parts, strict=True)),
        parts[0].ends,
    )


def pairs() -> dict[str, tuple[Law, Law]]:
    far = normal(0.0), normal(10.0)
    return {
        "normal": (normal(0.25), normal(0.0, 1.25)),
        "student-t": tuple(located("student-t", *x, STUDENT) for x in ((0.25, 1.0), (0.0, 1.25))),
        "laplace": tuple(located("laplace", *x, LAPLACE) for x in ((0.25, 1.0), (0.0, 1.25))),
        "logistic": tuple(located("logistic", *x, LOGISTIC) for x in ((0.25, 1.0), (0.0, 1.25))),
        "gamma": (gamma(2.0, 1.0), gamma(2.5, 0.75)),
        "beta": (beta(2.0, 3.0), beta(2.5, 2.5)),
        "20 apart": (mixture([0.5, 0.5], normal(-10.0), normal(10.0)), normal(0.0, 10.0)),
        "40 apart": (mixture([0.5, 0.5], normal(-20.0), normal(20.0)), normal(0.0, 10.0)),
        "light": (mixture([0.9999, 0.0001], *far), mixture([0.999999999, 1e-9], *far)),
    }  # fmt: skip


# Where E k3^2 is infinite.
INFINITE = {("20 apart", "k3-factor"), ("40 apart", "k3-factor")}


def edges(q: Law) -> list[Any]:
    """The quantiles at k / MOST, each by Newton's method within a bracket."""
    low, high = (mpf(-60) if q.ends[0] == -mpmath.inf else q.ends[0],
                 mpf(60) if q.ends[1] == mpmath.inf else q.ends[1])  # fmt: skip
    while q.below(low) > mpf(1) / MOST:
        low *= 2
    while q.below(high) < 1 - mpf(1) / MOST:
        high *= 2
    out, x = [q.ends[0]], low
    for k in range(1, MOST):
        u, a, b = mpf(k) / MOST, low if k == 1 else out[-1], high
        x = x if x > a else (a + b) / 2
        for _ in range(200):
            gap = q.below(x) - u
            a, b = (x, b) if gap < 0 else (a, x)
            slope = q.density(x)
            step = x - gap / slope if slope else a
            new = step if a < step < b else (a + b) / 2
            if abs(new - x) <= mpf(10) ** -(mp.dps - 6) * max(1, abs(x)):
                break
            x = new
        out.append(new)
        x = new + (new - out[-2] if k > 1 else 0)
    return [*out, q.ends[1]]


def main() -> None:
    mp.dps = 30
    nodes = legendre(14)
    with FILE.open("w") as file:
        for name, (q, p) in pairs().items():
            found = variances(name, q, p, nodes)
            print(json.dumps({"name": name, "q": q.given, "p": p.given, "variances": found}),
                  file=file, flush=True)  # fmt: skip


def legendre(count: int) -> list[tuple[Any, Any]]:
    """Nodes and weights of Gauss and Legendre on (0, 1)."""
    out = []
    for start in np.polynomial.legendre.leggauss(count)[0]:
        x = mpf(float(start))
        for _ in range(3):
            slope = count * (mp.legendre(count - 1, x) - x * mp.legendre(count, x)) / (1 - x * x)
            x -= mp.legendre(count, x) / slope
        slope = count * mp.legendre(count - 1, x) / (1 - x * x)
        out.append(((1 + x) / 2, 1 / ((1 - x * x) * slope * slope)))
    return out


def close(one: Sequence[Any], other: Sequence[Any], share: Any, size: Any = None) -> bool:
    """Whether integrals of w, and of w d and w d^2 by function, agree to a share of `size`."""
    size = size or other
    sizes = [size[0]]
    for k in range(1, len(size), 2):
        sizes += [mp.sqrt(size[0] * size[k + 1]), size[k + 1]]
    return all(abs(x - y) <= share * of for x, y, of in zip(one, other, sizes, strict=True))


def variances(name: str, q: Law, p: Law, nodes: list[tuple[Any, Any]]) -> dict[str, dict[str, str]]:
    names = ("k1", "k2-factor", "k3-factor")
    used = [i for i, f in enumerate(names) if (name, f) not in INFINITE]

    def functions(x: Any) -> tuple[Any, list[Any]]:
        w = q.density(x)
        r = p.density(x) / w
        ell = -mp.log(r)
        every = (ell, ell * ell / 2, r - 1 + ell)
        return w, [every[i] for i in used]

    def panel(a: Any, b: Any, centre: Sequence[Any]) -> list[Any]:
        total = [mpf(0)] * (1 + 2 * len(used))
        for t, w in nodes:
            weight, f = functions(a + (b - a) * t)
            weight *= w * (b - a)
            total[0] += weight
            for k, (y, c) in enumerate(zip(f, centre, strict=True)):
                total[1 + 2 * k] += weight * (y - c)
                total[2 + 2 * k] += weight * (y - c) ** 2
        return total

    def integral(a: Any, b: Any, centre: Sequence[Any], depth: int = 0) -> list[Any]:
        middle = (a + b) / 2
        whole = panel(a, b, centre)
        if depth == 0 and abs(whole[0] * MOST - 1) < mpf(10) ** -21:
            return whole  # a whole stratum, within which the functions are as smooth as q
        both = panel(a, middle, centre), panel(middle, b, centre)
        halves = [x + y for x, y in zip(*both, strict=True)]
        if depth > 40 or close(whole, halves, mpf(10) ** -20):
            return halves
        parts = integral(a, middle, centre, depth + 1), integral(middle, b, centre, depth + 1)
        return [x + y for x, y in zip(*parts, strict=True)]

    def of_stratum(a: Any, b: Any, centre: Sequence[Any]) -> list[Any]:
        if a == -mpmath.inf or b == mpmath.inf or a == q.ends[0] or b == q.ends[1]:
            return at_end(a, b, centre)
        cuts = [a, *(mpf(k) for k in sorted({*q.kinks, *p.kinks}) if a < k < b), b]
        parts = [integral(c, d, centre) for c, d in pairwise(cuts)]
        return [mp.fsum(column) for column in zip(*parts, strict=True)]

    def at_end(a: Any, b: Any, centre: Sequence[Any]) -> list[Any]:
        """Panels that grow or shrink by a factor towards the end, until nothing is added."""
        inner, end = (b, a) if a == q.ends[0] else (a, b)
        total, near, width = [mpf(0)] * (1 + 2 * len(used)), inner, mpf(1) / 8
        while True:
            far = (near + end) / 2
            if abs(end) == mpmath.inf:
                far = near + (width if end > inner else -width)
            part = integral(min(near, far), max(near, far), centre)
            total = [x + y for x, y in zip(total, part, strict=True)]
            if close([mpf(0)] * len(part), part, mpf(10) ** -22, total):
                return total
            near, width = far, width * mpf("1.3")

    def middle_of(a: Any, b: Any) -> Any:
        if a == q.ends[0] and a == -mpmath.inf:
            return b
        return a if b == mpmath.inf else (a + b) / 2

    x = edges(q)
    rows, centres = [], []
    for a, b in pairwise(x):
        centres.append(functions(middle_of(a, b))[1])
        rows.append(of_stratum(a, b, centres[-1]))
    worst = max(abs(row[0] * MOST - 1) for row in rows)
    assert worst < mpf(10) ** -18, (name, mp.nstr(worst, 5))
    out = {f: {str(n): "inf" for n in SAMPLES} for f in names}
    for k, i in enumerate(used):
        for n in SAMPLES:
            together, total = MOST // n, mpf(0)
            for j in range(0, MOST, together):
                c = centres[j][k]
                shifts = [centres[m][k] - c for m in range(j, j + together)]
                part = rows[j : j + together]
                first = mp.fsum(r[1 + 2 * k] + s * r[0] for r, s in zip(part, shifts, strict=True))
                second = mp.fsum(
                    r[2 + 2 * k] + 2 * s * r[1 + 2 * k] + s * s * r[0]
                    for r, s in zip(part, shifts, strict=True)
                )
                total += n * second - (n * first) ** 2
            out[names[i]][str(n)] = mp.nstr(total / n**2, 15)
    return out


if __name__ == "__main__":
    main()
