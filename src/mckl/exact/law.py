"""Exact expectations under the joint law of l and its mirror image, by tilted cumulants.

A law is given by K(T, S) = log E e^{T (KL + Q) + S L}, where l = KL + Q + L at a sample and
l' = KL + Q - L at its mirror image: Q is the even part of l - KL, and L the odd part. Over
independent factors K adds up, and so do its derivatives, which are the joint cumulants of (Q, L)
under the law tilted by e^{T Q + S L}. Therefore a polynomial in Q and L times such an exponential
has an exact expectation: the exponential tilts the law, and the tilted cumulants give the moments.
An estimator's bias, variance, skewness and kurtosis need no more (docs/theory.md, section 2).
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from mckl.arrays import Complex, Vector
from mckl.exact import joint

Tilt = tuple[float, float]  # (T, S): the exponential e^{T (KL + Q) + S L}
# A function of (Q, L): for every tilt, the coefficients c[i, j] of Q^i L^j times its exponential.
Expression = Mapping[Tilt, Vector]

# Where E l^2 is below this, r - 1 and -l agree in nearly every digit, so a Taylor polynomial
# replaces r, unless the tails of l are so heavy that E e^{s l} diverges at such a tilt s.
_TAYLOR_BELOW, _TAYLOR_DEGREE, _TAYLOR_TILT = 2e-3, 11, 32.0
# The highest power in products of Taylor polynomials; their own error is larger than the rest.
_MOST_DEGREE = 18


def add(f: Expression, g: Expression, weight: float = 1.0) -> Expression:
    """The expression f + weight g."""
    out = dict(f)
    for tilt, c in g.items():
        _accumulate(out, tilt, weight * c)
    return out


def _accumulate(out: dict[Tilt, Vector], tilt: Tilt, c: Vector) -> None:
    """Add one exponential's coefficients to the expression `out`, without changing its arrays."""
    known = out.get(tilt)
    if known is None:
        out[tilt] = c
    elif known.shape == c.shape:
        out[tilt] = known + c
    else:
        total = np.zeros(np.maximum(known.shape, c.shape))
        total[: known.shape[0], : known.shape[1]] += known
        total[: c.shape[0], : c.shape[1]] += c
        out[tilt] = total


def multiply(f: Expression, g: Expression) -> Expression:
    """The expression f g."""
    out: dict[Tilt, Vector] = {}
    for (t, s), a in f.items():
        for (u, v), b in g.items():
            if a.size > 1 and b.size > 1:
                c = np.zeros((a.shape[0] + b.shape[0] - 1, a.shape[1] + b.shape[1] - 1))
                for (i, j), x in np.ndenumerate(b):
                    if x:
                        c[i : i + a.shape[0], j : j + a.shape[1]] += x * a
            else:
                c = a * b
            if sum(c.shape) > _MOST_DEGREE + 2:
                i, j = np.indices(c.shape)
                c = np.where(i + j <= _MOST_DEGREE, c, 0.0)[: _MOST_DEGREE + 1, : _MOST_DEGREE + 1]
            _accumulate(out, (t + u, s + v), c)
    return out


def constant(value: float) -> Expression:
    """The expression that is `value` everywhere."""
    return {(0, 0): np.array([[value]])}


def over_unit(f: Callable[[int], Expression], paired: bool) -> Expression:
    """The value of one unit: f(+1), or for an antithetic pair the mean of f(+1) and f(-1)."""
    if not paired:
        return f(1)
    return multiply(constant(0.5), add(f(1), f(-1)))


class Law(ABC):
    """The law of the log density ratio of a pair (q, p) under z ~ q.

    A family implements `kl`, `log_mgf`, `cumulant`, `is_finite` and `lowest_tilt`; the rest
    follows. All numbers are exact to rounding, and `inf` where an expectation diverges or exceeds
    the largest float64.

    Attributes
    ----------
    kl
        KL(q||p), in nats.
    mirrored
        Whether a sample has a mirror image. Without one L is 0, and all tilts have T = S.
    analytic
        Whether `complex_log_mgf` is implemented.
    missed_mass
        p's probability of the values that q never takes, so that E r = 1 - missed_mass.
    """

    kl: float
    mirrored: bool = True
    analytic: bool = False
    missed_mass: float = 0.0
    _most_odd: int | None = None  # joint cumulants with a higher power of L are 0

    def __init__(self) -> None:
        self._raw: dict[Tilt, Vector] = {}

    @abstractmethod
    def is_finite(self, tilt: Tilt, order: int = 0) -> bool:
        """Whether E |Q + L|^order e^{T Q + S L} is finite."""

    @property
    @abstractmethod
    def lowest_tilt(self) -> float:
        """The infimum of all s for which E e^{s l} is finite."""

    @abstractmethod
    def log_mgf(self, tilt: Tilt) -> float:
        """The logarithm of E e^{T (KL + Q) + S L}; inf where it diverges."""

    def complex_log_mgf(self, s: Complex, paired: bool) -> Complex:
        """log E e^{s x} at complex s, shape (nodes,); x is l, or KL + Q if paired.

        `s` must lie on a line that crosses the real axis where `log_mgf` is finite. Only laws that
        are `analytic` have it; others raise NotImplementedError.
        """
        raise NotImplementedError

    @abstractmethod
    def cumulant(self, i: int, j: int, tilt: Tilt = (0, 0)) -> float:
        """The joint cumulant of Q, i times, and L, j times, under the tilt e^{T Q + S L}."""

    def prepare(self, tilt: Tilt, order: int) -> None:
        """Prepare for several cumulants of one tilt, up to this order, so that they share work."""
        return

    @property
    def variance(self) -> float:
        """Var l, in nats squared."""
        return self.cumulants(2)[1]

    def cumulants(self, order: int) -> list[float]:
        """The cumulants kappa_1 to kappa_order of l; kappa_1 is KL, and kappa_2 is Var l."""
        self.prepare((0, 0), order)
        return [self.kl, *(self.tilted_cumulant(m, 0.0, False) for m in range(2, order + 1))]

    def tilted_cumulant(self, order: int, s: float, paired: bool) -> float:
        """The cumulant of x under the law tilted by e^{s x}; x is l, or KL + Q if paired."""
        if paired:
            return self.cumulant(order, 0, (s, 0.0)) + (self.kl if order == 1 else 0.0)
        most = order if self._most_odd is None else min(order, self._most_odd)
        total = sum(
            math.comb(order, j) * self.cumulant(order - j, j, (s, s)) for j in range(most + 1)
        )
        return total + (self.kl if order == 1 else 0.0)

    def tilted(self, s: float, paired: bool) -> tuple[float, float]:
        """Mean and variance of x under the law tilted by e^{s x}; x is l, or KL + Q if paired."""
        return self.tilted_cumulant(1, s, paired), self.tilted_cumulant(2, s, paired)

    def _raw_moments(self, degree: int, tilt: Tilt) -> Vector:
        """E Q^i L^j under the tilt for i + j <= degree, shape (degree + 1, degree + 1).

        They follow from the tilted cumulants: one chosen factor of the product is in a cumulant
        with k of the other Q's and m of the other L's, and the rest is a moment of lower order.
        """
        known = self._raw.get(tilt)
        if known is not None and len(known) > degree:
            return known
        self.prepare(tilt, degree)
        most = degree if self._most_odd is None else min(self._most_odd, degree)
        kappa = np.zeros((degree + 1, most + 1))
        for i in range(degree + 1):
            for j in range(min(degree - i, most) + 1):
                kappa[i, j] = self.cumulant(i, j, tilt)
        mu = np.zeros((degree + 1, degree + 1))
        mu[0, 0] = 1.0
        for j in range(1, degree + 1):
            mu[0, j] = sum(
                math.comb(j - 1, m) * kappa[0, m + 1] * mu[0, j - 1 - m]
                for m in range(min(j, most))
            )
        for i in range(1, degree + 1):
            binomials = np.array([math.comb(i - 1, k) for k in range(i)], dtype=float)
            for j in range(degree + 1 - i):
                mu[i, j] = sum(
                    math.comb(j, m)
                    * float((binomials * kappa[1 : i + 1, m]) @ mu[i - 1 :: -1, j - m])
                    for m in range(min(j, most) + 1)
                )
        self._raw[tilt] = mu
        return mu

    def factors(self) -> Sequence[tuple[Law, float]]:
        """The laws of a sample's independent factors, and how many factors have each."""
        return [(self, 1.0)]

    def sums(self, names: Sequence[str], paired: bool, order: int = 4) -> Vector:
        """The joint cumulants of sums over the factors of one sample.

        Parameters
        ----------
        names
            The names of the sums: ``ell``, which is l itself; ``half_square``, ``ratio`` or ``k3``
            (`mckl.exact.integrands`); or ``rb``, the sum of each factor's KL given the factors
            before it, which is constant where factors are independent.
        paired
            Whether the sums are averaged over an antithetic pair.
        order
            The largest total order.

        Returns
        -------
        An array of shape (order + 1,) * len(names). Entries of order 1 are the means; entry
        [0, ..., 0] and those of a higher total order are 0; inf where a cumulant is not finite.
        """
        total = np.zeros((order + 1,) * len(names))
        for law, count in self.factors():
            total += count * law._sums_of_factor(tuple(names), paired, order)
        return total

    def _sums_of_factor(self, names: tuple[str, ...], paired: bool, order: int) -> Vector:
        """`sums` for a law of one factor."""
        f = [over_unit(getattr(self, f"_{name}"), paired) for name in names]
        means = [self._mean(name) for name in names]
        powers = [[constant(1.0)] for _ in names]
        for known, g, mean in zip(powers, f, means, strict=True):
            centred = add(g, constant(mean), -1.0) if math.isfinite(mean) else g
            for _ in range(order):
                known.append(multiply(known[-1], centred))
        mu = np.zeros((order + 1,) * len(names))
        for index in joint.indices(len(names), order):
            if sum(index) > 1:
                product = constant(1.0)
                for known, power in zip(powers, index, strict=True):
                    product = multiply(product, known[power])
                mu[index] = self.expectation(product)
        kappa = joint.cumulants(mu, len(names))
        kappa[~np.isfinite(mu) | ~np.isfinite(kappa)] = math.inf
        for axis, mean in enumerate(means):
            kappa[tuple(int(i == axis) for i in range(len(names)))] = mean
        return kappa

    def _mean(self, name: str) -> float:
        """The mean of a sum over one factor, computed without cancellation."""
        if name == "half_square":
            return 0.5 * (self.variance + self.kl**2) if self.is_finite((0, 0), 2) else math.inf
        mean = 0.0 if name == "ratio" else self.kl
        return mean - self.missed_mass if name in ("ratio", "k3") else mean

    def expectation(self, f: Expression) -> float:
        """E f(Q, L); inf where one of its exponentials has no finite expectation.

        The 1's in e^K = 1 + (e^K - 1) are added up separately. Near q = p every exponential is
        close to 1, and the small differences are what matters.
        """
        plain, excess = 0.0, 0.0
        for tilt, c in f.items():
            i, j = c.nonzero()
            if not i.size:
                continue
            degree = int((i + j).max())
            log_mgf = self.log_mgf(tilt)
            if not math.isfinite(log_mgf) or not self.is_finite(tilt, degree):
                return math.inf
            if degree:
                moment = float(c[i, j] @ self._raw_moments(degree, tilt)[i, j])
            else:
                moment = float(c[0, 0])
            plain += moment
            if moment:
                with np.errstate(over="ignore"):
                    excess += moment * float(np.expm1(log_mgf))
        total = plain + excess
        return total if math.isfinite(total) else math.inf

    @property
    def _small(self) -> bool:
        return self.variance + self.kl**2 <= _TAYLOR_BELOW and all(
            self.is_finite((s, s)) for s in (-_TAYLOR_TILT, _TAYLOR_TILT)
        )

    def ell(self, sign: int = 1) -> Expression:
        """The log density ratio l = KL + Q + L; with sign -1, that of the mirror image."""
        return {(0, 0): np.array([[self.kl, float(sign)], [1.0, 0.0]])}

    def ratio_minus_one(self, sign: int = 1) -> Expression:
        """The ratio less one, r - 1 with r = p/q = e^{-l}; with sign -1, that of the mirror image.

        Where l is small, r - 1 and -l agree in nearly every digit, and their sum would be
        rounding. So there r is replaced by its Taylor polynomial.
        """
        if not self._small:
            return add({(-1, -sign): np.ones((1, 1))}, constant(1.0), -1.0)
        ell, power, total = self.ell(sign), constant(1.0), constant(0.0)
        for m in range(1, _TAYLOR_DEGREE + 1):
            power = multiply(power, ell)
            total = add(total, power, (-1.0) ** m / math.factorial(m))
        return total

    # The expressions of one factor's terms in the sums that `sums` names.

    def _ell(self, sign: int) -> Expression:
        return self.ell(sign)

    def _half_square(self, sign: int) -> Expression:
        return multiply(constant(0.5), multiply(self.ell(sign), self.ell(sign)))

    def _ratio(self, sign: int) -> Expression:
        return self.ratio_minus_one(sign)

    def _k3(self, sign: int) -> Expression:
        return add(self.ratio_minus_one(sign), self.ell(sign))

    def _rb(self, sign: int) -> Expression:
        return constant(self.kl)
