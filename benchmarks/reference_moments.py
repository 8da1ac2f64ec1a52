"""Moments of the log density ratio of one factor at high precision, with mpmath alone.

Nothing here is shared with mckl, whose numbers are judged by these. Parameters are the float64
numbers as stored, and probabilities are divided by their exact sum. x = r - 1 and k = r - 1 + l;
mpmath's precision (`mpmath.mp.dps`) is the caller's choice.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from fractions import Fraction
from functools import lru_cache
from itertools import pairwise
from typing import Any, NamedTuple

from mpmath import binomial, inf, mp, mpf

Number = Any  # mpmath's numbers have no types
ORDER, ELL_ORDER = 4, 8
RK = [(i, n - i) for n in range(1, ORDER + 1) for i in range(n + 1)]


class Mirrored(NamedTuple):
    """Means over a sample and its mirror image: E of their powers 0 to 4, and E of two products."""

    ell: Sequence[Number]
    half_square: Sequence[Number]
    k3: Sequence[Number]
    k3_ratio: Number  # E k x
    ratio_ratio: Number  # E x^2


class Factor(NamedTuple):
    """Moments of one factor; inf where one is infinite.

    ell         E l^j, j = 0 to 8
    rk          E x^i k^j for 1 <= i + j <= 4
    reverse_kl  KL(p||q)
    mirrored    the moments of antithetic pairs, where they were asked for
    """

    ell: Sequence[Number]
    rk: Mapping[tuple[int, int], Number]
    reverse_kl: Number
    mirrored: Mirrored | None = None


def from_tilted(moment: Callable[[int, int], Number]) -> Factor:
    """The moments from E r^b l^a; terms cancel, so it takes a precision of hundreds of digits."""
    table = {(b, a): moment(b, a) for b in range(ORDER + 1) for a in range(ORDER + 1 - b)}
    rk = {}
    for i, j in RK:
        terms = [
            (binomial(j, m) * binomial(i + m, b) * (-1) ** (i + m - b), (b, j - m))
            for m in range(j + 1)
            for b in range(i + m + 1)
        ]
        infinite = any(table[key] == inf for _, key in terms)
        rk[i, j] = inf if infinite else mp.fsum(c * table[key] for c, key in terms)
    ell = [moment(0, a) for a in range(ELL_ORDER + 1)]
    return Factor(ell, rk, inf if table[1, 1] == inf else -table[1, 1])


# Power series in t as lists of ELL_ORDER + 1 coefficients.


def times(f: Sequence[Number], g: Sequence[Number]) -> list[Number]:
    return [mp.fsum(f[m] * g[n - m] for m in range(n + 1)) for n in range(len(f))]


def exponential(f: Sequence[Number]) -> list[Number]:
    """The series of e^f."""
    out = [mp.exp(f[0])]
    for n in range(1, len(f)):
        out.append(mp.fsum(m * f[m] * out[n - m] for m in range(1, n + 1)) / n)
    return out


def log_gamma(k: Number, step: Number, terms: int = ELL_ORDER + 1) -> list[Number]:
    """log Gamma(k + step t)."""
    return [mp.loggamma(k)] + [
        mp.psi(m - 1, k) * step**m / mp.factorial(m) if step else mpf(0) for m in range(1, terms)
    ]


def logarithm(w: Number, step: Number, terms: int = ELL_ORDER + 1) -> list[Number]:
    """log(w + step t)."""
    return [mp.log(w)] + [-((-step / w) ** m) / m for m in range(1, terms)]


def from_cumulants(series: Callable[[int], Sequence[Number] | None]) -> Factor:
    """The moments from log E e^(s l) at s = t - b, a series in t; None where it is infinite."""
    known: dict[int, Sequence[Number] | None] = {}

    def moment(b: int, a: int) -> Number:
        if b not in known:
            found = series(b)
            known[b] = None if found is None else exponential(found)
        mgf = known[b]
        return inf if mgf is None else mgf[a] * mp.factorial(a)

    return from_tilted(moment)


def exponential_family(
    partition: Callable[[Sequence[Number], Sequence[Number]], list[Number] | None],
    q: Sequence[Number],
    p: Sequence[Number],
) -> Factor:
    """q and p of one exponential family, whose log partition along a line is given as a series."""
    step = [a - b for a, b in zip(q, p, strict=True)]
    zero = [mpf(0)] * len(q)

    def series(b: int) -> list[Number] | None:
        start = [a - b * d for a, d in zip(q, step, strict=True)]
        out = partition(start, step)
        if out is None:
            return None
        ends = [partition(end, zero) for end in (q, p)]
        assert ends[0] is not None
        assert ends[1] is not None
        of_q, of_p = ends[0][0], ends[1][0]
        out[0] += -(1 - b) * of_q - b * of_p
        out[1] += of_p - of_q
        return out

    return from_cumulants(series)


def _gamma_partition(at: Sequence[Number], step: Sequence[Number]) -> list[Number] | None:
    (k, rate), (dk, drate) = at, step
    if k <= 0 or rate <= 0:
        return None
    shape = [k, dk] + [mpf(0)] * (ELL_ORDER - 1)
    powers = times(shape, logarithm(rate, drate))
    return [a - b for a, b in zip(log_gamma(k, dk), powers, strict=True)]


def _dirichlet_partition(at: Sequence[Number], step: Sequence[Number]) -> list[Number] | None:
    if min(at) <= 0:
        return None
    parts = [log_gamma(a, d) for a, d in zip(at, step, strict=True)]
    total = log_gamma(mp.fsum(at), mp.fsum(step))
    return [mp.fsum(p[m] for p in parts) - total[m] for m in range(ELL_ORDER + 1)]


def gamma(q: Sequence[float], p: Sequence[float]) -> Factor:
    """Gamma laws by (shape, rate)."""
    return exponential_family(_gamma_partition, [mpf(x) for x in q], [mpf(x) for x in p])


def dirichlet(q: Sequence[float], p: Sequence[float]) -> Factor:
    """Dirichlet laws, or beta laws by (a, b)."""
    return exponential_family(_dirichlet_partition, [mpf(x) for x in q], [mpf(x) for x in p])


def poisson(q: float, p: float) -> Factor:
    d = mp.log(mpf(q) / mpf(p))

    def series(b: int) -> list[Number]:
        out = [mpf(q) * mp.exp(-b * d) * d**m / mp.factorial(m) for m in range(ELL_ORDER + 1)]
        out[0] += -mpf(q) - b * (mpf(p) - mpf(q))
        out[1] += mpf(p) - mpf(q)
        return out

    return from_cumulants(series)


def probabilities(given: Mapping[str, Any]) -> list[Number]:
    """The probabilities of a categorical law, or of a row of a policy, divided by their sum."""
    if "logits" in given:
        return normalised([mp.exp(mpf(x)) for x in given["logits"]])
    return normalised([mpf(x) for x in given["probabilities"]])


def normalised_numbers(weights: Sequence[float]) -> list[Number]:
    return normalised([mpf(w) for w in weights])


def normalised(weights: Sequence[Number]) -> list[Number]:
    total = mp.fsum(weights)
    return [w / total for w in weights]


def categorical(q: Sequence[Number], p: Sequence[Number]) -> Factor:
    outcomes = [(a, mp.log(a / b)) for a, b in zip(q, p, strict=True) if a]

    def moment(b: int, a: int) -> Number:
        return mp.fsum(w * mp.exp(-b * ell) * ell**a for w, ell in outcomes)

    of = from_tilted(moment)
    return of._replace(reverse_kl=inf) if any(b for a, b in zip(q, p, strict=True) if not a) else of


COUNTS = frozenset(("bernoulli", "binomial", "geometric", "negative-binomial", "beta-binomial"))


def _start_and_quotient(side: Mapping[str, Any]) -> tuple[Number, Callable[[int], Number]]:
    """The probability of 0, and the quotient of the probabilities of k + 1 and of k."""
    family, given = side["family"], {k: mpf(v) for k, v in side.items() if k != "family"}
    if family == "poisson":
        return mp.exp(-given["rate"]), lambda k: given["rate"] / (k + 1)
    n, r = given.get("n", mpf(1)), given.get("r", mpf(1))
    if family == "beta-binomial":
        a, b = given["a"], given["b"]
        start = mp.beta(a, n + b) / mp.beta(a, b)
        return start, lambda k: (n - k) * (k + a) / ((k + 1) * (n - k - 1 + b))
    if "mean" in given:
        p = r / (r + given["mean"])
    else:
        p = given["probability"] if "probability" in given else 1 / (1 + mp.exp(-given["logit"]))
    if family in ("bernoulli", "binomial"):
        return (1 - p) ** n, lambda k: (n - k) / (k + 1) * p / (1 - p)
    return p**r, lambda k: (k + r) / (k + 1) * (1 - p)


def _probabilities_of_counts(side: Mapping[str, Any], count: int) -> list[Number]:
    n = int(side.get("n", 1))
    if side.get("probability") == 1.0 and side["family"] in ("bernoulli", "binomial"):
        return [mpf(k == n) for k in range(count)]
    probability, quotient = _start_and_quotient(side)
    out = []
    for k in range(count):
        out.append(probability)
        probability *= quotient(k) if probability else 0
    return out


def counts(q: Mapping[str, Any], p: Mapping[str, Any]) -> Factor:
    """Counts, by sums over as many values as the precision needs."""
    finite = {"bernoulli", "binomial", "beta-binomial"}
    if q["family"] in finite:
        first, both = int(q.get("n", 1)) + 1, []
        more = max(first, int(p.get("n", 1)) + 1 if p["family"] in finite else first + 1)
        both = [_probabilities_of_counts(side, more) for side in (q, p)]
        of = categorical(*(row[:first] for row in both))
        missed = any(both[1][k] for k in range(more) if k >= first or not both[0][k])
        return of._replace(reverse_kl=inf) if missed else of
    flat = [mpf(0) if side["family"] == "poisson" else _start_and_quotient(side)[1](mpf(10) ** 90)
            for side in (q, p)]  # the limits of the quotients  # fmt: skip

    def largest_quotient(b: int) -> Number:
        """The limit of the quotients of q r^b."""
        if flat[0] == flat[1] == 0 or b == 0:
            return flat[0]
        if flat[0] == 0:
            return flat[1] if b == 1 else inf
        return flat[0] ** (1 - b) * flat[1] ** b if flat[1] or b == 0 else mpf(0)

    count = 64
    while True:
        both = [_probabilities_of_counts(side, count) for side in (q, p)]
        ends = [a ** (1 - b) * c**b for b in range(ORDER + 1) if largest_quotient(b) < 1
                for a, c in [(both[0][-1], both[1][-1])]]  # fmt: skip
        if max(ends) < mpf(10) ** -(mp.dps - 20):
            break
        count *= 2
        if count > 2**15:
            raise ArithmeticError("too many values")
    ells = [mp.log(a / c) for a, c in zip(*both, strict=True)]
    tables = {b: [a * mp.exp(-b * ell) for a, ell in zip(both[0], ells, strict=True)]
              for b in range(ORDER + 1) if largest_quotient(b) < 1}  # fmt: skip

    def moment(b: int, a: int) -> Number:
        if b not in tables:
            return inf
        return mp.fsum(w * ell**a for w, ell in zip(tables[b], ells, strict=True))

    return from_tilted(moment)


# Normal laws: l = kl + a (g^2 - 1) + b g with a standard normal g.


class Quadratic(NamedTuple):
    kl: Number
    a: Number
    b: Number


def quadratic(q: Sequence[float], p: Sequence[float]) -> Quadratic:
    """A coordinate of two normal laws by (mean, sd)."""
    (m, s), (n, u) = ([mpf(x) for x in side] for side in (q, p))
    rho, shift = s / u, (m - n) / u
    return Quadratic(
        (rho * rho - 1) / 2 - mp.log(rho) + shift**2 / 2, (rho**2 - 1) / 2, rho * shift
    )


def rotated(q: Mapping[str, Any], p: Mapping[str, Any]) -> list[Quadratic]:
    """Two normal laws with covariances as a diagonal pair in rotated coordinates."""
    covariances = [mp.matrix(side["covariance"]) for side in (q, p)]
    dimension = covariances[0].rows
    means = []
    for side in (q, p):
        mean = side["mean"]
        mean = mean if isinstance(mean, Sequence) else [mean] * dimension
        means.append(mp.matrix([mpf(x) for x in mean]))
    inverse = mp.inverse(mp.cholesky(covariances[1]))
    whitened = inverse * covariances[0] * inverse.T
    values, vectors = mp.eigsy((whitened + whitened.T) / 2)
    shift = vectors.T * inverse * (means[0] - means[1])
    return [
        Quadratic(
            (v - 1 - mp.log(v)) / 2 + c**2 / 2, (v - 1) / 2, mp.sqrt(v) * c
        )
        for v, c in zip(values, shift, strict=True)
    ]  # fmt: skip


def normal(of: Quadratic, mirrored: bool = False) -> Factor:
    kl, a, b = of

    def series(power: int) -> list[Number] | None:
        w = 1 + 2 * a * power
        if w <= 0:
            return None
        # s (kl - a) - log(1 - 2 a s) / 2 + b^2 s^2 / (2 (1 - 2 a s)) at s = t - power
        out = [-c / 2 for c in logarithm(w, -2 * a)]
        out[0] += -power * (kl - a)
        out[1] += kl - a
        square = [mpf(power) ** 2, mpf(-2 * power), mpf(1)] + [mpf(0)] * (ELL_ORDER - 2)
        inverse = [(2 * a / w) ** m / w for m in range(ELL_ORDER + 1)]
        return [c + b * b / 2 * e for c, e in zip(out, times(square, inverse), strict=True)]

    out = from_cumulants(series)
    return out._replace(mirrored=mirrored_of(_mirrored_normal([of]))) if mirrored else out


def _mirrored_normal(pairs: Sequence[Quadratic]) -> Callable[..., Number]:
    """E r^b r'^c l^i l'^j over sums of coordinates whose g is replaced by -g in r' and l'."""
    known: dict[tuple[int, int], Any] = {}

    def moment(b: int, c: int, i: int, j: int) -> Number:
        if (b, c) not in known:
            degree = ELL_ORDER if b == c == 0 else ORDER - b - c
            known[b, c] = _mirrored_mgf(pairs, b, c, degree)
        mgf = known[b, c]
        return inf if mgf is None else mgf[i][j] * mp.factorial(i) * mp.factorial(j)

    return moment


def _mirrored_mgf(
    pairs: Sequence[Quadratic], b: int, c: int, degree: int
) -> list[list[Number]] | None:
    """E exp((t - b) l + (u - c) l') as the coefficients of t^i u^j.

    With v = t + u and d = t - u - (b - c), it is exp(f(v) + g(v) d^2), f and g series in v.
    """
    terms, power = degree + 1, b + c
    f, g = [mpf(0)] * terms, [mpf(0)] * terms
    for kl, a, slope in pairs:
        w = 1 + 2 * a * power
        if w <= 0:
            return None
        for m, value in enumerate(logarithm(w, -2 * a, terms)):
            f[m] -= value / 2
            g[m] += slope * slope / 2 * (2 * a / w) ** m / w
        f[0] -= power * (kl - a)
        if degree:
            f[1] += kl - a
    # The exponent as a polynomial in v and e = t - u: f(v) + g(v) (e - (b - c))^2.
    shift = mpf(b - c)
    exponent = {}
    for m in range(terms):
        for n, factor in ((0, shift * shift), (1, -2 * shift), (2, mpf(1))):
            if m + n <= degree:
                exponent[m, n] = exponent.get((m, n), mpf(0)) + g[m] * factor
        exponent[m, 0] += f[m]
    top = mp.exp(exponent.pop((0, 0)))
    total, term = {(0, 0): mpf(1)}, {(0, 0): mpf(1)}
    for n in range(1, degree + 1):
        product: dict[tuple[int, int], Number] = {}
        for (m1, n1), x in term.items():
            for (m2, n2), y in exponent.items():
                if m1 + m2 + n1 + n2 <= degree:
                    key = m1 + m2, n1 + n2
                    product[key] = product.get(key, mpf(0)) + x * y / n
        term = product
        for key, x in term.items():
            total[key] = total.get(key, mpf(0)) + x
    out = [[mpf(0)] * terms for _ in range(terms)]
    for (m, n), x in total.items():
        for i in range(m + 1):
            for j in range(n + 1):  # v^m e^n = (t + u)^m (t - u)^n
                coefficient = binomial(m, i) * binomial(n, j) * (-1) ** (n - j)
                out[i + j][m + n - i - j] += top * x * coefficient
    return out


def mirrored_of(moment: Callable[..., Number]) -> Mirrored:
    """The moments of means over a pair from E r^b r'^c l^i l'^j."""
    Term = dict[tuple[int, int, int, int], Number]

    def product(f: Term, g: Term) -> Term:
        out: Term = {}
        for x, a in f.items():
            for y, b in g.items():
                key = tuple(m + n for m, n in zip(x, y, strict=True))
                out[key] = out.get(key, mpf(0)) + a * b  # type: ignore[index, arg-type]
        return out

    def mean(f: Term) -> Number:
        values = [(c, moment(*key)) for key, c in f.items() if c]
        return inf if any(v == inf for _, v in values) else mp.fsum(c * v for c, v in values)

    half = mpf(1) / 2
    ell: Term = {(0, 0, 1, 0): half, (0, 0, 0, 1): half}
    half_square: Term = {(0, 0, 2, 0): half**2, (0, 0, 0, 2): half**2}
    ratio: Term = {(1, 0, 0, 0): half, (0, 1, 0, 0): half, (0, 0, 0, 0): mpf(-1)}
    k3 = ratio | ell
    lists = []
    for f in (ell, half_square, k3):
        powers: list[Term] = [{(0, 0, 0, 0): mpf(1)}]
        for _ in range(ORDER):
            powers.append(product(powers[-1], f))
        lists.append([mean(power) for power in powers])
    return Mirrored(*lists, mean(product(k3, ratio)), mean(product(ratio, ratio)))


def mirrored_whole(pairs: Sequence[Quadratic]) -> Mirrored:
    """The moments of antithetic pairs of a normal pair, for the whole of l."""
    return mirrored_of(_mirrored_normal(pairs))


# One-dimensional laws, whose moments are integrals. Positive laws are laws of log x, and laws on
# (0, 1) of log(x / (1 - x)).


class Tail(NamedTuple):
    """A density that falls as exp(-square z^2 - linear z) z^-power, up to a constant.

    With `fast` = (rate, size), also as exp(-size e^(rate z)).
    """

    square: Fraction
    linear: Fraction
    power: Fraction
    fast: tuple[Fraction, Number] | None = None


def heaviest(tails: Sequence[Tail]) -> Tail:
    """The tail that falls most slowly; rates of exponentials within one must be equal."""
    return min(tails, key=lambda t: (t.fast is not None, t.fast or (0, 0), *t[:3]))


class Law(NamedTuple):
    """A one-dimensional law.

    log_density  a function of the coordinate
    centres      (centre, width) of its peaks
    tails        at the lower and the upper end
    below        the probability below a point, or above it if the second argument is true
    symmetric    the centre of symmetry, None without one
    """

    log_density: Callable[[Number], Number]
    centres: Sequence[tuple[Number, Number]]
    tails: tuple[Tail, Tail]
    below: Callable[[Number, bool], Number]
    symmetric: Number | None = None


def _normal_law(mean: float, sd: float) -> Law:
    m, s = mpf(mean), mpf(sd)
    constant = -mp.log(s) - mp.log(2 * mp.pi) / 2
    square = 1 / (2 * Fraction(sd) ** 2)
    linear = Fraction(mean) / Fraction(sd) ** 2
    tails = (Tail(square, linear, Fraction(0)), Tail(square, -linear, Fraction(0)))

    def log_density(x: Number) -> Number:
        y = (x - m) / s
        return constant - y * y / 2

    def below(x: Number, upper: bool) -> Number:
        y = (x - m) / s / mp.sqrt(2)
        return mp.erfc(y if upper else -y) / 2

    return Law(log_density, [(m, s)], tails, below, m)


def _laplace_law(location: float = 0.0, scale: float = 1.0) -> Law:
    m, s = mpf(location), mpf(scale)
    constant = -mp.log(2 * s)
    tail = Tail(Fraction(0), 1 / Fraction(scale), Fraction(0))

    def below(x: Number, upper: bool) -> Number:
        y = (m - x) / s if upper else (x - m) / s
        return mp.exp(y) / 2 if y < 0 else 1 - mp.exp(-y) / 2

    return Law(lambda x: constant - abs(x - m) / s, [(m, s)], (tail, tail), below, m)


def _logistic_law(location: float = 0.0, scale: float = 1.0) -> Law:
    m, s = mpf(location), mpf(scale)
    constant = -mp.log(s)
    tail = Tail(Fraction(0), 1 / Fraction(scale), Fraction(0))

    def log_density(x: Number) -> Number:
        y = abs(x - m) / s
        return constant - y - 2 * mp.log1p(mp.exp(-y))

    def below(x: Number, upper: bool) -> Number:
        y = (m - x) / s if upper else (x - m) / s
        return 1 / (1 + mp.exp(-y))

    return Law(log_density, [(m, s)], (tail, tail), below, m)


def _student_t_law(df: float, location: float = 0.0, scale: float = 1.0) -> Law:
    n, m, s = mpf(df), mpf(location), mpf(scale)
    constant = mp.loggamma((n + 1) / 2) - mp.loggamma(n / 2) - mp.log(n * mp.pi) / 2 - mp.log(s)
    tail = Tail(Fraction(0), Fraction(0), Fraction(df) + 1)

    def log_density(x: Number) -> Number:
        y = (x - m) / s
        return constant - (n + 1) / 2 * mp.log1p(y * y / n)

    def below(x: Number, upper: bool) -> Number:
        y = (m - x) / s if upper else (x - m) / s
        tail = mp.betainc(n / 2, mpf(1) / 2, 0, n / (n + y * y), regularized=True) / 2
        return tail if y < 0 else 1 - tail

    return Law(log_density, [(m, s)], (tail, tail), below, m)


def _gamma_law(shape: float, rate: float = 1.0) -> Law:
    k, b = mpf(shape), mpf(rate)
    constant = k * mp.log(b) - mp.loggamma(k)
    zero, slope = Fraction(0), Fraction(shape)
    tails = Tail(zero, slope, zero), Tail(zero, -slope, zero, (Fraction(1), b))

    def below(y: Number, upper: bool) -> Number:
        x = b * mp.exp(y)
        return mp.gammainc(k, x, mp.inf, True) if upper else mp.gammainc(k, 0, x, True)

    width = 1 / mp.sqrt(k) if k > 1 else mpf(1)
    return Law(lambda y: constant + k * y - b * mp.exp(y), [(mp.log(k / b), width)], tails, below)


def _beta_law(a: float, b: float) -> Law:
    c, d = mpf(a), mpf(b)
    constant = mp.loggamma(c + d) - mp.loggamma(c) - mp.loggamma(d)
    tails = tuple(Tail(Fraction(0), Fraction(e), Fraction(0)) for e in (a, b))

    def log_density(y: Number) -> Number:
        if y > 0:
            return constant - d * y - (c + d) * mp.log1p(mp.exp(-y))
        return constant + c * y - (c + d) * mp.log1p(mp.exp(y))

    def below(y: Number, upper: bool) -> Number:
        if upper:
            return mp.betainc(d, c, 0, 1 / (1 + mp.exp(y)), regularized=True)
        return mp.betainc(c, d, 0, 1 / (1 + mp.exp(-y)), regularized=True)

    width = mp.sqrt(1 / c + 1 / d) if min(a, b) > 1 else mpf(1)
    return Law(log_density, [(mp.log(c / d), width)], tails, below)  # type: ignore[arg-type]


def _mixture_law(weights: Sequence[float], components: Sequence[Mapping[str, Any]]) -> Law:
    shares = normalised([mpf(w) for w in weights])
    laws = [law_of(c) for c in components]
    tails = tuple(heaviest([law.tails[end] for law in laws]) for end in (0, 1))

    def log_density(x: Number) -> Number:
        logs = [law.log_density(x) for law in laws]
        top = max(logs)
        return top + mp.log(mp.fsum(w * exp(y - top) for w, y in zip(shares, logs, strict=True)))

    def below(x: Number, upper: bool) -> Number:
        return mp.fsum(w * law.below(x, upper) for w, law in zip(shares, laws, strict=True))

    centres = [centre for law in laws for centre in law.centres]
    return Law(log_density, centres, tails, below)  # type: ignore[arg-type]


def _log_power_law(shape: float, location: Number, k: float) -> Law:
    """The law of location + log(x) / k, x being a gamma variate of rate 1; k may be negative."""
    a, slope = mpf(shape), mpf(k)
    constant = mp.log(abs(slope)) - mp.loggamma(a)
    zero, linear = Fraction(0), Fraction(shape) * abs(Fraction(k))
    fast = abs(Fraction(k)), mp.exp(-slope * location)
    tails = Tail(zero, linear, zero), Tail(zero, -linear, zero, fast)

    def log_density(y: Number) -> Number:
        z = slope * (y - location)
        return constant + a * z - mp.exp(z)

    def below(y: Number, upper: bool) -> Number:
        x = mp.exp(slope * (y - location))
        if upper == (k > 0):
            return mp.gammainc(a, x, mp.inf, True)
        return mp.gammainc(a, 0, x, True)

    width = 1 / abs(slope) / (mp.sqrt(a) if a > 1 else 1)
    centre = location + mp.log(a) / slope
    return Law(log_density, [(centre, width)], tails if k > 0 else tails[::-1], below)


def _log_logistic_law(shape: float, scale: float = 1.0) -> Law:
    """The law of log x: a logistic law of scale 1 / shape."""
    m, k = mp.log(mpf(scale)), mpf(shape)
    tail = Tail(Fraction(0), Fraction(shape), Fraction(0))

    def log_density(y: Number) -> Number:
        z = abs(y - m) * k
        return mp.log(k) - z - 2 * mp.log1p(mp.exp(-z))

    def below(y: Number, upper: bool) -> Number:
        return 1 / (1 + mp.exp(k * (y - m if upper else m - y)))

    return Law(log_density, [(m, 1 / k)], (tail, tail), below, m)


def _lomax_law(shape: float, scale: float = 1.0) -> Law:
    """The law of log x with the probability (1 + x / scale)^-shape above x."""
    a, m = mpf(shape), mp.log(mpf(scale))
    zero = Fraction(0)
    tails = Tail(zero, Fraction(1), zero), Tail(zero, Fraction(shape), zero)

    def log_density(y: Number) -> Number:
        return mp.log(a) + y - m - (a + 1) * mp.log1p(mp.exp(y - m))

    def below(y: Number, upper: bool) -> Number:
        log = -a * mp.log1p(mp.exp(y - m))
        return mp.exp(log) if upper else -mp.expm1(log)

    return Law(log_density, [(m - mp.log(a), mpf(1))], tails, below)


def _chi_law(scale: float, df: int) -> Law:
    """The law of log x, x / scale being a chi variate."""
    return _log_power_law(df / 2, mp.log(mpf(scale)) + mp.log(2) / 2, 2.0)


# The families whose laws here are those of log x, and of log(x / (1 - x)).
OF_LOGARITHMS = frozenset((
    "gamma", "lognormal", "weibull", "frechet", "inverse-gamma", "exponential", "half-normal",
    "rayleigh", "log-logistic", "lomax",
))  # fmt: skip
OF_LOGITS = frozenset(("beta", "logit-normal"))


def law_of(side: Mapping[str, Any]) -> Law:
    """The law of one side of a case, all of whose parameters are numbers."""
    given = {key: value for key, value in side.items() if key != "family"}
    return {
        "lognormal": _normal_law,
        "logit-normal": _normal_law,
        "weibull": lambda shape, scale: _log_power_law(1.0, mp.log(mpf(scale)), shape),
        "frechet": lambda shape, scale: _log_power_law(1.0, mp.log(mpf(scale)), -shape),
        "inverse-gamma": lambda shape, scale: _log_power_law(shape, mp.log(mpf(scale)), -1.0),
        "exponential": lambda rate: _gamma_law(1.0, rate),
        "half-normal": lambda scale: _chi_law(scale, 1),
        "rayleigh": lambda scale: _chi_law(scale, 2),
        "log-logistic": _log_logistic_law,
        "lomax": _lomax_law,
        "normal": _normal_law,
        "laplace": _laplace_law,
        "logistic": _logistic_law,
        "student-t": _student_t_law,
        "gamma": _gamma_law,
        "beta": _beta_law,
        "mixture": _mixture_law,
    }[side.get("family", "normal")](**given)


def is_finite(q: Law, p: Law, b: int, a: int) -> bool:
    """Whether E r^b l^a is finite; l^a alone where q's tails decide."""
    for of_q, of_p in zip(q.tails, p.tails, strict=True):
        square, linear, power = (
            (1 - b) * x + b * y for x, y in zip(of_q[:3], of_p[:3], strict=True)
        )
        apart = [x - y for x, y in zip(of_q[:3], of_p[:3], strict=True)]
        degree = 2 if apart[0] else 1 if apart[1] else 0
        sizes: dict[Fraction, list[Number]] = {}
        for times, tail in ((1 - b, of_q), (b, of_p)):
            if tail.fast is not None:
                sizes.setdefault(tail.fast[0], []).append(times * tail.fast[1])
        if of_q.fast != of_p.fast:  # l grows like an exponential
            linear -= a * max(tail.fast[0] for tail in (of_q, of_p) if tail.fast is not None)
            degree = 0
        fast = [_net(sizes[rate]) for rate in sorted(sizes, reverse=True)]
        falls = (*fast, square, linear, power - 1 - degree * a)
        first = next((x for x in falls if x), Fraction(0))
        if first <= 0:
            return False
    return True


def _net(terms: Sequence[Number]) -> Number:
    """The sum of the terms; 0 if it is only their rounding."""
    total = mp.fsum(terms)
    return total if abs(total) > mpf(10) ** -40 * max(map(abs, terms)) else 0


class Grid(NamedTuple):
    """How integrals are taken: to how many digits, and whether panels are cut once more."""

    digits: int
    cut: bool = False


FARTHEST = mpf(10) ** 30  # an exponential of a larger number would take very many digits


def exp(x: Number) -> Number:
    return mp.exp(x) if x > -FARTHEST else mpf(0)


def parts(ell: Number) -> tuple[Number, Number, Number]:
    """r - 1, its k3 r - 1 + l, and that of the reversed pair times r, 1 - r - r l."""
    if ell < -FARTHEST:
        return mpf(0), mpf(0), mpf(0)  # q is 0 to any precision
    if ell > FARTHEST:
        return mpf(-1), ell - 1, mpf(1)
    # The terms agree in twice as many digits as l has zeros.
    precision, zeros = mp.prec, max(-mp.mag(ell), 0) if ell else 0
    mp.prec += 2 * zeros + 10
    try:
        r = mp.exp(-ell)
        found = r - 1, r - 1 + ell, 1 - r - r * ell
    finally:
        mp.prec = precision
    return +found[0], +found[1], +found[2]


@lru_cache(maxsize=64)
def _tanh_sinh(level: int, dps: int) -> list[tuple[Number, Number]]:
    """(distance from the nearer end, weight) on (0, 1) for t > 0; t = 0 where its level begins."""
    out, h, first = [], mpf(2) ** -level, level == FIRST_LEVEL
    j, step = (0, 1) if first else (1, 2)
    while True:
        t = j * h
        e = mp.exp(-mp.pi * mp.sinh(t))
        near, weight = e / (1 + e), mp.pi * mp.cosh(t) * e / (1 + e) ** 2
        if weight < mpf(10) ** -(dps + 5):
            return out
        out.append((near, weight))
        j += step


class _ExpSinh:
    """(point, weight) on (0, inf) at u = e^(pi/2 sinh t), from t = 0 down or up, as needed."""

    MOST = 25  # t beyond which no power of u is left

    def __init__(self, level: int, dps: int, down: bool) -> None:
        self._h, self._first = mpf(2) ** -level, level == FIRST_LEVEL
        self._dps, self._down = dps, down
        self._known: list[tuple[Number, Number]] = []

    def __iter__(self) -> Iterator[tuple[Number, Number]]:
        n = 0
        while True:
            if n == len(self._known):
                # At the first level t = 0 belongs to the upper part.
                j = (n + 1 if self._down else n) if self._first else 2 * n + 1
                t = j * self._h * (-1 if self._down else 1)
                u = mp.exp(mp.pi / 2 * mp.sinh(t))
                self._known.append((u, mp.pi / 2 * mp.cosh(t) * u))
            u, weight = self._known[n]
            if n > self.MOST / self._h or (self._down and weight < mpf(10) ** -(self._dps + 5)):
                return
            yield u, weight
            n += 1


_exp_sinh = lru_cache(maxsize=64)(_ExpSinh)


FIRST_LEVEL, LAST_LEVEL = 3, 7


class _Panel:
    """The integral over one panel, refined by halving the step."""

    def __init__(self, f: Callable[[Number], list[Number]], a: Any, b: Any, scale: Any) -> None:
        self.f, self.a, self.b, self.scale = f, a, b, scale
        self.level = FIRST_LEVEL
        self._sums = self._new(FIRST_LEVEL)

    @property
    def value(self) -> list[Number]:
        return [s * mpf(2) ** -self.level for s in self._sums]

    def _new(self, level: int) -> list[Number]:
        total: list[Number] | None = None
        dps = mp.dps

        def add(x: Number, weight: Number) -> bool:
            """Whether the term counts."""
            nonlocal total
            terms = [weight * y for y in self.f(x)]
            if total is None:
                total = terms
                return True
            total = [s + y for s, y in zip(total, terms, strict=True)]
            return any(abs(y) > mp.eps * abs(s) for s, y in zip(total, terms, strict=True))

        if self.a > -inf and self.b < inf:
            length = self.b - self.a
            for n, (near, weight) in enumerate(_tanh_sinh(level, dps)):
                add(self.a + length * near, length * weight)
                if n or level > FIRST_LEVEL:  # the middle belongs to both sides
                    add(self.b - length * near, length * weight)
        else:
            start, sign = (self.a, self.scale) if self.b == inf else (self.b, -self.scale)
            size = abs(sign)
            for u, weight in _exp_sinh(level, dps, True):
                add(start + sign * u, size * weight)
            idle = 0
            for u, weight in _exp_sinh(level, dps, False):
                idle = 0 if add(start + sign * u, size * weight) else idle + 1
                if idle > 4:
                    break
        assert total is not None
        return total

    def refine(self) -> None:
        self.level += 1
        new = self._new(self.level)
        self._sums = [s + y for s, y in zip(self._sums, new, strict=True)]

    def halves(self) -> list[_Panel]:
        if self.a > -inf and self.b < inf:
            middle = (self.a + self.b) / 2
            return [_Panel(self.f, self.a, middle, None), _Panel(self.f, middle, self.b, None)]
        if self.b == inf:
            middle = self.a + 3 * self.scale
            return [
                _Panel(self.f, self.a, middle, None),
                _Panel(self.f, middle, inf, 3 * self.scale),
            ]
        middle = self.b - 3 * self.scale
        return [_Panel(self.f, middle, self.b, None), _Panel(self.f, -inf, middle, 3 * self.scale)]


def integrate(
    f: Callable[[Number], list[Number]],
    points: Sequence[tuple[Number, Number]],
    grid: Grid,
    ends: tuple[bool, bool] = (True, True),
) -> list[Number]:
    """Integrals of all components of f over the line, cut at (point, width near it).

    Without an end, the integral begins at the first point, or ends at the last.

    The step is halved until all components settle. The rule doubles its digits with each step, so
    a change of 10^(-digits * 0.6) leaves an error of less than 10^-digits.
    """
    panels = [_Panel(f, a, b, None) for (a, _), (b, _) in pairwise(points)]
    if ends[0]:
        panels.append(_Panel(f, -inf, points[0][0], points[0][1]))
    if ends[1]:
        panels.append(_Panel(f, points[-1][0], inf, points[-1][1]))
    small = mpf(10) ** -int(0.6 * grid.digits + 3)
    done: list[list[Number]] = []
    for _ in range(60):
        before = [panel.value for panel in panels]
        whole = [abs(mp.fsum(column)) for column in zip(*before, *done, strict=True)]
        open_panels = []
        for panel, old in zip(panels, before, strict=True):
            panel.refine()
            changes = [abs(x - y) for x, y in zip(panel.value, old, strict=True)]
            if all(
                c <= small * max(w, abs(x))
                for c, w, x in zip(changes, whole, panel.value, strict=True)
            ):
                done.append(panel.value)
            elif panel.level >= LAST_LEVEL:
                open_panels += panel.halves()
            else:
                open_panels.append(panel)
        panels = open_panels
        if not panels:
            return [mp.fsum(column) for column in zip(*done, strict=True)]
    raise ArithmeticError("an integral does not settle")


def cuts(
    q: Law, p: Law, orders: Sequence[int], mirror: Callable[[Number], Number] | None
) -> list[tuple[Number, Number]]:
    """Peaks of q, of p and of q r^b, with their mirror images, as (point, width)."""
    points = [*q.centres, *p.centres]
    with mp.workdps(20):
        grid = {c + sign * s * mpf(2) ** (mpf(e) / 2)
                for c, s in points for sign in (-1, 1) for e in range(-8, 60)} | {
                    c for c, _ in points}  # fmt: skip
        line = sorted(grid)
        values = [(q.log_density(x), p.log_density(x)) for x in line]
        found = []
        for b in orders:
            height = [a - b * (a - c) for a, c in values]
            for n in range(1, len(line) - 1):
                if height[n] > height[n - 1] and height[n] >= height[n + 1]:
                    width = (line[n + 1] - line[n - 1]) / 2
                    found.append((line[n], width))
    points = [*points, *((mpf(mp.nstr(x, 8)), w) for x, w in found)]
    if mirror is not None:
        points += [(mirror(x), w) for x, w in points]
    points.sort()
    kept: list[tuple[Number, Number]] = []
    exact = {c for c, _ in [*q.centres, *p.centres]}
    for x, w in points:
        if kept and x == kept[-1][0]:
            kept[-1] = (x, min(w, kept[-1][1]))
        elif kept and x not in exact and abs(x - kept[-1][0]) < w / 4 and mirror is None:
            continue
        else:
            kept.append((x, w))
    return kept


def integrals(q: Law, p: Law, grid: Grid, mirrored: bool = False) -> Factor:
    """The moments of a one-dimensional pair by quadrature."""
    finite = {(b, a): is_finite(q, p, b, a) for b in range(ORDER + 1) for a in range(ELL_ORDER + 1)}
    ell_orders = [a for a in range(1, ELL_ORDER + 1) if finite[0, a]]
    orders = [
        (i, j) for i, j in RK
        if all(finite[b, j - m] for m in range(j + 1) for b in range(i + m + 1))
    ]  # fmt: skip
    most = max([i + j for i, j in orders], default=1)
    center = q.symmetric
    mirror = None
    if mirrored:
        mirror = (
            (lambda x: 2 * center - x) if center is not None else (lambda x: quantile_image(q, x))
        )

    def values(x: Number) -> list[Number]:
        log_q, log_p = q.log_density(x), p.log_density(x)
        ell, weight = log_q - log_p, exp(log_q)
        ratio, k, reverse = parts(ell)
        powers_k, powers_x = [weight], [mpf(1)]
        for _ in range(ORDER):
            powers_k.append(powers_k[-1] * k)
            powers_x.append(powers_x[-1] * ratio)
        out = [weight]
        if finite[1, 1]:
            # Far out, where q is 0 to any precision, p may not be.
            out.append(weight * reverse if ell > -FARTHEST else exp(log_p) * (-1 - ell))
        power = weight
        for a in range(1, ELL_ORDER + 1):
            power = power * ell
            if a in ell_orders:
                out.append(power)
        out += [powers_x[i] * powers_k[j] for i, j in orders]
        if mirror is not None:
            other = mirror(x)
            ell_2 = q.log_density(other) - p.log_density(other)
            ratio_2, k_2, _ = parts(ell_2)
            mean_ell, mean_k, mean_x = (ell + ell_2) / 2, (k + k_2) / 2, (ratio + ratio_2) / 2
            square = (ell**2 + ell_2**2) / 4
            for f, reach in (
                (mean_ell, lambda n: n in ell_orders),
                (square, lambda n: 2 * n in ell_orders),
                (mean_k, lambda n: (0, n) in orders),
            ):
                out += [weight * f**n for n in range(1, ORDER + 1) if reach(n)]
            if (2, 0) in orders:
                out += [weight * mean_k * mean_x, weight * mean_x * mean_x]
        return out

    points = cuts(q, p, range(most + 1), mirror)
    if grid.cut:  # other panels, so that two calculations share little
        points = sorted([*points, *((x + w / 3, w) for x, w in points)])
    found = iter(integrate(values, points, grid))
    total = next(found)
    assert abs(total - 1) < mpf(10) ** -(grid.digits - 6), mp.nstr(total - 1, 5)
    reverse = next(found) if finite[1, 1] else inf
    ell = [mpf(1)] + [next(found) if a in ell_orders else inf for a in range(1, ELL_ORDER + 1)]
    rk = dict.fromkeys(RK, inf) | {key: next(found) for key in orders}
    if finite[1, 0]:
        rk[1, 0] = mpf(0)
    pairs = None
    if mirror is not None:
        lists = []
        for reach in (
            lambda n: n in ell_orders,
            lambda n: 2 * n in ell_orders,
            lambda n: (0, n) in orders,
        ):
            lists.append([mpf(1)] + [next(found) if reach(n) else inf for n in range(1, ORDER + 1)])
        known = (2, 0) in orders
        pairs = Mirrored(*lists, *((next(found), next(found)) if known else (inf, inf)))
    return Factor(ell, rk, reverse, pairs)


def quantile_image(q: Law, x: Number) -> Number:
    """The point above which there is as much probability as below x."""
    lower, upper = q.below(x, False), q.below(x, True)
    # Work with the smaller of the two probabilities, which keeps its digits.
    return quantile(q, lower, True) if lower <= upper else quantile(q, upper, False)


def quantile(q: Law, u: Number, upper: bool, start: Number | None = None) -> Number:
    """The point below which, or above which, the probability is u, by Newton's method."""
    sign = -1 if upper else 1

    def gap(x: Number) -> Number:
        return mp.log(q.below(x, upper) / u)

    if start is None:
        with mp.workdps(15):
            c, s = q.centres[0]
            low = high = c
            step = s
            while gap(low) * sign > 0:
                low -= step
                step *= 2
            step = s
            while gap(high) * sign < 0:
                high += step
                step *= 2
            for _ in range(40):
                middle = (low + high) / 2
                low, high = (middle, high) if gap(middle) * sign < 0 else (low, middle)
            start = (low + high) / 2
    x = +start
    for _ in range(60):
        probability = q.below(x, upper)
        step = mp.log(probability / u) * probability / mp.exp(q.log_density(x)) * sign
        x -= step
        if abs(step) < mpf(10) ** -(mp.dps // 2 + 4) * max(abs(x), mpf("1e-3")):
            return x
    raise ArithmeticError("a quantile does not settle")
