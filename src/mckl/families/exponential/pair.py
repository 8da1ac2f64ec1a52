"""Pairs of one exponential family, from its log-partition function along a line.

With natural parameters theta and the log-partition function F, let d = theta_q - theta_p and
phi(t) = F(theta_q + t d), so that t = 0 is q and t = -1 is p. Then l = KL + d (T - E T) with the
sufficient statistics T, and

    K(s) = log E e^{s l} = phi(s) - phi(0) - s (phi(0) - phi(-1)),

which is infinite where the line has left the natural parameter space. K(s) is s (s + 1) times the
second divided difference of phi at -1, 0 and s. That is an integral of phi''(t) > 0, the variance
of l under the law at t, against a hat function (the formula of Hermite and Genocchi). So no digit
is lost however close q is to p, and a family implements only phi's derivatives from the second on.

Moments of functions of l are sums over outcomes where a family has them (`mckl.exact.outcomes`),
and otherwise integrals along the line (`mckl.families.exponential.law`).
"""

from __future__ import annotations

import hashlib
import math
from abc import abstractmethod
from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Any, ClassVar, Protocol

import numpy as np

from mckl.arrays import Vector
from mckl.draw.distribution import DensityTerm, Distribution, Factor
from mckl.draw.form import Form, Numbers, Seconds
from mckl.draw.streams import Stream
from mckl.exact import joint
from mckl.exact.factor_sums import sums_over
from mckl.exact.law import Law
from mckl.exact.moments import ELL, EPS, Bounded, Function, Moments, settled
from mckl.exact.outcomes import Outcomes
from mckl.families.base import NO_SAMPLER, Integrals, OtherFamilyError, Pair, Side
from mckl.families.exponential.law import LineLaw
from mckl.families.policy.sampled_chain import SampledChain
from mckl.families.scores import Scores
from mckl.text import number

_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(12)
_LARGEST_CHANGE_BY_HALVING = (
    1e-13  # the largest change by halving a panel, relative to the whole integral
)
_BORDER = 1e-12  # a tilt within this relative distance of the border counts as the border
_DEEPEST = 200  # the most times that a panel is halved
_MOST_PANELS = 2**10  # panels that are halved at a time; more are due to rounding
_LARGEST_LOG_MOMENT = 709.0  # the logarithm of E r^k above which it exceeds float64
_MOST = 4  # the largest power of r in a moment
_ORDER = 8  # the largest order of a cumulant of l


class Line(Protocol):
    """The function phi of a pair.

    ends      The open interval of t in which the line is in the natural space; -1 and 0 lie in it.
    log_mass  The logarithm of p's probability of the values that q can take; 0 where q can take
              all.
    """

    ends: tuple[float, float]
    log_mass: float

    def derivatives(self, t: Vector, order: int, start: Vector | float = 0.0) -> Moments:
        """The derivatives 2 to `order` of phi at every start + t, and bounds on their errors.

        Both have shape (order - 1, t.size). An integer `start` near which t is small lets digits
        be kept where phi changes quickly, as beside the end of the line.
        """


def integral(f: Callable[[Vector], Moments], low: float, high: float) -> Bounded:
    """The integral of a function f >= 0 with bounds by Gauss and Legendre's rule on panels.

    Panels are halved until halving them once more changes nothing. The bound is what the last
    halving changed, which is far more than what it left, and rounding.
    """
    panels = np.array([[low, high]])
    values, done, left = _panels(f, panels).value, 0.0, 0.0
    for _ in range(_DEEPEST):
        middle = panels.mean(axis=1)
        halves = np.stack((panels[:, 0], middle, middle, panels[:, 1]), axis=1).reshape(-1, 2)
        finer = Moments(*(column.reshape(-1, 2) for column in _panels(f, halves)))
        total, rounding = done + float(finer.value.sum()), finer.error.sum(axis=1)
        if not math.isfinite(total):
            return Bounded(math.inf, 0.0)
        change = np.abs(finer.value.sum(axis=1) - values)
        wrong = change > _LARGEST_CHANGE_BY_HALVING * total + rounding
        wrong &= panels.shape[0] < _MOST_PANELS
        done += float(finer.value[~wrong].sum())
        left += float((change + rounding)[~wrong].sum())
        if not wrong.any():
            return Bounded(done, left + 8.0 * EPS * done)
        panels, values = halves.reshape(-1, 2, 2)[wrong].reshape(-1, 2), finer.value[wrong].ravel()
    return Bounded(total, left + float((change + rounding)[wrong].sum()) + 8.0 * EPS * total)


def _panels(f: Callable[[Vector], Moments], panels: Vector) -> Moments:
    half = 0.5 * np.diff(panels, axis=1)
    t = panels[:, :1] + half * (1.0 + _NODES)
    with np.errstate(over="ignore", invalid="ignore"):
        return Moments(*((values.reshape(t.shape) * half) @ _WEIGHTS for values in f(t.ravel())))


class ExponentialLaw(Law):
    """The law of l for a pair of one exponential family; its samples have no mirror image.

    line      The function phi.
    outcomes  The outcomes of each distinct independent factor, and how many factors share them;
              None for a sample that is one factor with uncountably many.
    """

    kl: float
    kl_error: float
    mirrored = False

    def __init__(self, line: Line, outcomes: tuple[Outcomes, Vector] | None = None) -> None:
        self._line, self._outcomes = line, outcomes
        self.missed_mass: float = -math.expm1(line.log_mass)
        if outcomes is None:
            # phi'' may be large beside q or beside p.
            halves = (
                integral(lambda t: self._second(t, 1.0 + t), -0.5, 0.0),
                integral(lambda s: self._second(s, s, -1.0), 0.0, 0.5),
            )
            self.kl, self.kl_error = map(sum, zip(*halves, strict=True))
            return
        factors, counts = outcomes
        self.kl = math.fsum(factors.kl.value * counts)
        self.kl_error = math.fsum(factors.kl.error * counts) + 2.0 * EPS * self.kl
        if factors.finite:
            self.outcomes: int = int(np.unique(factors.ell).size)

    def ell(self, order: int, paired: bool = False) -> Moments:
        if self._outcomes is not None and self._outcomes[0].finite:
            moments = self._outcomes[0].moments((ELL,), order)  # of a sample, which is one factor
            kappa = joint.cumulants(Moments(moments.value[:, 0], moments.error[:, 0]), 1)
        else:
            value, error = np.zeros((2, order + 1))
            with np.errstate(over="ignore", invalid="ignore"):
                made = self._line.derivatives(np.zeros(1), order)
            value[2:], error[2:] = (column[:, 0] for column in made)
            kappa = settled(value, error)
        kappa.value[1], kappa.error[1] = self.kl, self.kl_error
        return kappa

    def factor_moments(
        self, functions: Sequence[Function], paired: bool, order: int
    ) -> tuple[Moments, Vector]:
        if self._outcomes is not None:
            factors, counts = self._outcomes
            return factors.moments(functions, order), counts
        powers = range(2, _MOST + 1)
        finite = [k for k in powers if self.log_mgf(-k) < _LARGEST_LOG_MOMENT]
        law = LineLaw(
            self._line.derivatives,
            Bounded(self.kl, self.kl_error),
            self.ell(_ORDER),
            max(finite, default=1),
            lambda k: not self.is_finite(-k),
        )
        made = law.moments(functions, order)
        return Moments(made.value[..., None], made.error[..., None]), np.ones(1)

    def _second(self, t: Vector, weight: Vector | float, start: float = 0.0) -> Moments:
        """A weight times the second derivative of phi at start + t."""
        made = self._line.derivatives(t, 2, start)
        return Moments(weight * made.value[0], weight * made.error[0])

    def is_finite(self, s: float, order: int = 0) -> bool:
        low, high = self._line.ends
        return (1.0 - _BORDER) * low < s < (1.0 - _BORDER) * high

    @property
    def lowest_tilt(self) -> float:
        return self._line.ends[0]

    def log_mgf(self, s: float) -> float:
        """The logarithm of E e^{s l}; inf where it diverges."""
        if not self.is_finite(s):
            return math.inf
        of_mass = -s * self._line.log_mass
        if s in (-1.0, 0.0):
            return of_mass
        a, b, c = sorted((-1.0, 0.0, s))
        up = integral(lambda t: self._second(t, t - a), a, b).value / (b - a)
        down = integral(lambda t: self._second(t, c - t), b, c).value / (c - b)
        return s * (s + 1.0) * (up + down) / (c - a) + of_mass


class Exponential(Side):
    """A law of an exponential family.

    A family must write the attributes, `line` (its log-partition function along a line),
    `coefficients`, `draw` and `combine`; the law of l and its samples follow from these.

    It may write `outcomes`, so that moments become sums over outcomes; `factor_log_ratios`, if a
    sample has several factors; `scores`, without which it has no gradients; `integrals`, as an
    independent check; and `tensorflow`, without which that backend refuses the family.

    kind        The law as text, which is the key of its random stream: equal laws have equal texts.
    columns     The number of random numbers that one sample takes.
    dimension   The number of independent factors of one sample.
    mean        The means of the sufficient statistics, shape (statistics,).
    parameters  What the parameters are called in messages; there is one for each statistic.
    seconds     CPU seconds that one number of a sample takes.
    """

    columns: int
    dimension: int
    parameters: str
    seconds: ClassVar[Seconds] = Seconds(10e-9, 0.0, 0.0, 0.0)

    @property
    @abstractmethod
    def kind(self) -> str: ...

    @property
    @abstractmethod
    def mean(self) -> Vector: ...

    @property
    def tensorflow(self) -> Distribution | None:
        """The law in TensorFlow Probability; None where it has none."""
        return None

    @abstractmethod
    def line(self, p: Any) -> Line:
        """The function phi on the line through p and this law."""

    def outcomes(self, p: Any) -> tuple[Outcomes, Vector] | None:
        """The outcomes of each distinct factor, and the counts; None where there are too many."""
        return None

    def factor_log_ratios(self, p: Any, draw: Any) -> Vector | None:
        """The l_i of the factors, shape (samples, factors); None where a sample is one factor."""
        return None

    @abstractmethod
    def coefficients(self, p: Any) -> Vector:
        """The natural parameters of this law less those of p, shape (statistics,)."""

    def scores(self, ell: Vector) -> Scores | None:
        """The score of this law from l at each of its values; None where these are infinitely many.

        `ell` has shape (values,).
        """
        return None

    @abstractmethod
    def draw(self, generator: np.random.Generator, shape: tuple[int, int]) -> Any:
        """Independent samples, one a row, shape `shape` = (samples, columns)."""

    def combine(self, draw: Any, coefficients: Vector) -> Vector:
        """Each sample's statistics times coefficients of shape (forms, statistics), added up.

        Returns an array of shape (forms, samples). By default a draw is the statistics.
        """
        return np.asarray(coefficients @ draw.T)

    def sampled(self, p: Any, s: Side) -> SampledChain:
        """What `mckl.families.base.Pair.sampled` returns."""
        raise OtherFamilyError(f"{self.family}: {NO_SAMPLER}")

    def lagging(self, p: Any, lag: float) -> SampledChain | None:
        """What `mckl.families.base.Pair.lagging` returns."""
        return None

    def integrals(self, p: Any) -> Integrals:
        """Moments of l by sums of their definitions; NaN where the family has none."""
        return Integrals(math.nan, math.nan)

    def against(self, p: Side) -> Pair:
        """The pair of this q and a p of the same family; OtherFamilyError for another one."""
        if type(p) is not type(self):
            raise OtherFamilyError(f"q is {self.family}, p is {p.family}: expected one family")
        if self.mean.size != p.mean.size:
            raise ValueError(
                f"{self.family}: q has {self.mean.size} {self.parameters} and p has "
                f"{p.mean.size}, expected the same number"
            )
        return ExponentialPair(self, p)


class ExponentialPair(Pair):
    """q and p of one exponential family."""

    q: Exponential
    p: Exponential
    mirrored = additive = False

    def __init__(self, q: Exponential, p: Exponential) -> None:
        self.q, self.p = q, p
        self.line: Line = q.line(p)
        self.family: str = q.family
        self.dimension: int = q.dimension
        draw = q.seconds.draw * q.columns / q.dimension  # a factor may take several numbers
        self.seconds: Seconds = q.seconds._replace(draw=draw)

    def _law(self) -> ExponentialLaw:
        return ExponentialLaw(self.line, self.q.outcomes(self.p))

    @property
    def reverse_kl(self) -> float:
        return math.inf if self.line.log_mass < 0.0 else self.reversed().law.kl

    def integrals(self) -> Integrals:
        return self.q.integrals(self.p)

    def reversed(self) -> ExponentialPair:
        return ExponentialPair(self.p, self.q)

    @cached_property
    def scores(self) -> Scores | None:
        form = self.form()
        return self.q.scores(form.constant + form.coefficients)

    def distributions(self) -> Sequence[Factor] | None:
        q, p = self.q.tensorflow, self.p.tensorflow
        return None if q is None or p is None else [Factor(1, q, p)]

    def form(self) -> ExponentialForm:
        return ExponentialForm(self)

    def sampled(self, s: Side) -> SampledChain:
        return self.q.sampled(self.p, s)

    def lagging(self, lag: float) -> SampledChain | None:
        return self.q.lagging(self.p, lag)


class ExponentialForm(Form):
    """How one sample of q is drawn; l is linear in its sufficient statistics."""

    def __init__(self, pair: ExponentialPair) -> None:
        self.law: Exponential = pair.q
        self._pair = pair
        self.numbers: int = pair.q.columns
        self.shape: str = f"{self.numbers} {pair.q.kind}"
        self.coefficients: Vector = pair.q.coefficients(pair.p)
        self.constant: float = pair.law.kl - float(self.coefficients @ pair.q.mean)

    def draw(self, stream: Stream, rows: int) -> Numbers:
        return [stream.sample(self.law, rows, self.numbers)]

    def parts(self) -> Sequence[Sequence[DensityTerm]] | None:
        factors = self._pair.distributions()
        return (
            None if factors is None else [[DensityTerm(0, self.numbers, f.q, f.p) for f in factors]]
        )

    def evaluator(
        self, forms: Sequence[ExponentialForm], signs: int, sums: Sequence[str] = ()
    ) -> _ExponentialEvaluator:
        return _ExponentialEvaluator(forms, sums)

    def factor_sums(self, draw: Any, ell: Vector, sums: Sequence[str]) -> Vector:
        """Sums over factors, shape (sums, samples); `ell` is l of each sample, shape (samples,)."""
        each = self.law.factor_log_ratios(self._pair.p, draw)
        return sums_over(ell[:, None] if each is None else each, sums)


class _ExponentialEvaluator:
    """Computes l of several forms that draw from one q."""

    def __init__(self, forms: Sequence[ExponentialForm], sums: Sequence[str]) -> None:
        self._law, self._forms, self._sums = forms[0].law, forms, sums
        self._coefficients = np.stack([form.coefficients for form in forms])
        self._constants = np.array([[form.constant] for form in forms])
        self._out = np.empty(0)

    def resize(self, replicates: int, units: int) -> None:
        self._out = np.empty((1 + len(self._sums), 1, len(self._forms), replicates, units))

    def add(self, draw: Numbers, replicate: int, start: int, stop: int) -> None:
        assert not isinstance(draw, np.random.Generator)
        (x,) = draw
        ell = self._law.combine(x, self._coefficients) + self._constants
        out = self._out[:, 0, :, replicate, start:stop]
        out[0] = ell
        for i, form in enumerate(self._forms if self._sums else ()):
            out[1:, i] = form.factor_sums(x, ell[i], self._sums)

    def finish(self, out: Vector) -> None:
        out[:] = self._out


def text_of(vector: Vector) -> str:
    """A short text that differs between different vectors."""
    if vector.size <= 8:
        return ", ".join(map(number, vector))
    digest = hashlib.sha256(np.ascontiguousarray(vector, dtype="<f8").tobytes()).hexdigest()
    return f"{vector.size} numbers {digest}"
