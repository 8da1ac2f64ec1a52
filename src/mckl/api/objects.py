"""Recognises distributions of scipy.stats, torch and TensorFlow Probability (TFP) as laws.

An object is recognised by the module and name of its class, so no library has to be imported. Its
parameters are taken exactly as it holds them, as float64: logits rather than the probabilities that
it computes from them, and the factor of a covariance rather than the product.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from mckl.api.bijections import Step, steps_of
from mckl.api.conversion import as_numpy
from mckl.api.covariances import of_low_rank, of_precision, of_scale, symmetric, triangular
from mckl.arrays import Vector
from mckl.errors import UserError
from mckl.families.coordinates.independent import INDEPENDENT

# The axes that belong to one law and not to a batch of laws, by parameter.
_RARE = 1e-4  # a geometric law with a rarer success has too many values
_AXES = {"probabilities": 1, "logits": 1, "concentration": 1, "covariance": 2, "scale_tril": 2}


class Held(NamedTuple):
    """A law, or a batch of independent laws, as an object holds it.

    family      the family of mckl
    parameters  arrays, whose leading axes are those of the batch
    like        empty if the object has this law itself. Otherwise it has another law, and for two
                objects with an equal `like` KL is `times` that of this law.
    times       as `like` says; shape of the batch, or ()
    steps       the transforms that make the law of that of `parameters`: their names, and those of
                their numbers, which for step i are the parameters ``i name``
    """

    family: str
    parameters: Mapping[str, Vector]
    like: tuple[Any, ...] = ()
    times: Vector | float = 1.0
    steps: tuple[tuple[str, tuple[str, ...]], ...] = ()

    def under(self, steps: Sequence[Step]) -> Held:
        """The law after further transforms."""
        names, parameters = [*self.steps], dict(self.parameters)
        for name, numbers in steps:
            parameters |= {f"{len(names)} {key}": value for key, value in numbers.items()}
            names.append((name, tuple(numbers)))
        return self._replace(parameters=parameters, steps=tuple(names))

    def _law(self, parameters: Mapping[str, Any]) -> dict[str, Any]:
        """A mapping like those of a case, with plain numbers."""
        transforms = [
            {name: {key: parameters[f"{i} {key}"] for key in keys}} if keys else name
            for i, (name, keys) in enumerate(self.steps)
        ]
        own = {key: value for key, value in parameters.items() if not key[0].isdigit()}
        law = {"family": self.family, **own}
        return {"transform": transforms, "of": law} if transforms else law

    @property
    def vector(self) -> bool:
        """Whether one law is that of a vector; otherwise each number has a law of its own."""
        return any(name in _AXES for name in self.parameters)

    def batch(self, vectors: bool) -> tuple[int, ...]:
        """The shape of the batch; with `vectors`, the last axis of numbers counts as a vector's."""
        shape = np.broadcast_shapes(
            *(np.shape(v)[: np.ndim(v) - self.axes(k)] for k, v in self.parameters.items())
        )
        return shape[:-1] if vectors and not self.vector else shape

    def axes(self, name: str) -> int:
        """The number of axes of a parameter that are not those of the batch."""
        return _AXES.get(name, int(self.vector))  # the mean of a vector is one, too

    def member(self, index: tuple[int, ...], batch: tuple[int, ...]) -> dict[str, Any]:
        """The law at an index of a batch, as a mapping like those of a case."""
        parameters = {}
        for name, v in self.parameters.items():
            own = np.shape(v)[len(np.shape(v)) - self.axes(name) :]
            if not self.vector and np.ndim(v):
                own = np.shape(v)[-1:]
            parameters[name] = _plain(np.broadcast_to(v, (*batch, *own))[index])
        return self._law(parameters)

    def flat(self, shape: tuple[int, ...]) -> dict[str, Any]:
        """Numbers of this shape as one vector of independent coordinates, as a mapping."""
        whole = {k: np.broadcast_to(v, shape).ravel() for k, v in self.parameters.items()}
        return self._law({k: _plain(v) for k, v in whole.items()})

    def rows(self, batch: tuple[int, ...]) -> dict[str, Any]:
        """A batch of categoricals as one vector of independent factors, as a mapping."""
        ((name, v),) = self.parameters.items()
        rows = np.broadcast_to(v, (*batch, np.shape(v)[-1])).reshape(-1, np.shape(v)[-1])
        return {"family": self.family, name: rows.tolist()}

    def categorical(self) -> Held:
        """A Bernoulli law as one of two categories; other laws as they are."""
        if self.family != "bernoulli":
            return self
        ((name, v),) = self.parameters.items()
        zero = 1.0 - v if name == "probability" else np.zeros_like(v)
        name = {"probability": "probabilities", "logit": "logits"}[name]
        return self._replace(family="categorical", parameters={name: np.stack((zero, v), axis=-1)})

    def mapping(self) -> dict[str, Any]:
        """The parameters as they are, as a mapping like those of a case."""
        return self._law({k: _plain(v) for k, v in self.parameters.items()})


_Read = Callable[[Any], Held | None]


def held(side: str, value: Any) -> Held | None:
    """The law that an object holds; None if no family of mckl has it.

    Raises `UserError`, with `side` in its one line, for an object that cannot be read.

    >>> import scipy.stats
    >>> held("q", scipy.stats.gamma(2, scale=0.5)).mapping()
    {'family': 'gamma', 'shape': 2.0, 'rate': 2.0}
    """
    library = library_of(value)
    read = _READERS.get((library, type(value).__name__)) if library else None
    if read is None:
        return None
    try:
        law = read(value)
        if law is not None:
            law.batch(False)
        return law
    except Exception as error:
        what = described(value)
        raise UserError(f"{side}: the parameters of {what} do not fit together") from error


def described(value: Any) -> str:
    """The object in the words of a message.

    >>> import scipy.stats
    >>> described(scipy.stats.norm)
    "scipy.stats' norm without parameters: freeze it, as in norm(0, 1)"
    >>> described(scipy.stats.gamma(2, loc=1)), described(1.0)
    ("scipy.stats' gamma(2, loc=1)", 'an object of class float')
    """
    if (frozen := not_frozen(value)) is not None:
        return f"scipy.stats' {frozen} without parameters: freeze it, as in norm(0, 1)"
    law = getattr(getattr(value, "dist", None), "name", None)
    if library_of(value) != "scipy" or law is None:
        return f"an object of class {type(value).__name__}"
    named = [f"{key}={v}" for key, v in value.kwds.items()]
    return " ".join(f"scipy.stats' {law}({', '.join([*map(str, value.args), *named])})".split())


def not_frozen(value: Any) -> str | None:
    """The name of a distribution of scipy.stats that has no parameters yet, as stats.norm has."""
    kind = type(value)
    if not kind.__module__.startswith("scipy.stats") or not kind.__name__.endswith("_gen"):
        return None
    return kind.__name__.removesuffix("_gen")


def library_of(value: Any) -> str | None:
    """The library of a distribution, ``scipy``, ``torch`` or ``tfp``; None for other objects."""
    module = type(value).__module__
    for prefix, library in (
        ("scipy.stats", "scipy"),
        ("torch.distributions", "torch"),
        ("tensorflow_probability", "tfp"),
    ):
        if module.startswith(prefix):
            return library
    return None


def given_first(value: Any, *names: str) -> str:
    """Which of these attributes a torch object was made from; others it computes when asked."""
    return next(str(name) for name in vars(value) if name in names)


def _plain(value: Any) -> Any:
    """Turns arrays into lists, so that messages show them as a user would write them."""
    array = np.asarray(value)
    return float(array.reshape(())) if array.size == 1 and array.ndim <= 1 else array.tolist()


def _numbers(name: str, value: Any) -> Vector:
    return np.asarray(as_numpy(name, value), np.float64)


def _fields(family: str, **names: str) -> _Read:
    """The reader of parameters from attributes."""
    return lambda value: Held(
        family, {key: _numbers(key, getattr(value, name)) for key, name in names.items()}
    )


def _frozen(value: Any) -> Held | None:
    """The reader of frozen laws of one dimension of scipy.stats; parameters may be arrays."""
    made = _SCIPY.get(value.dist.name)
    if made is None:
        return None
    shapes, location, scale = value.dist._parse_args(*value.args, **value.kwds)
    return made(*(_numbers(value.dist.name, v) for v in (*shapes, location, scale)))


def _at_zero(make: Callable[..., Held], *, scaled: bool = False) -> Callable[..., Held | None]:
    """The reader of a law without a location, and without a scale unless it is `scaled`."""

    def read(*values: Vector) -> Held | None:
        *shapes, location, scale = values
        if np.any(location != 0) or (not scaled and np.any(scale != 1)):
            return None
        return make(*shapes, scale) if scaled else make(*shapes)

    return read


def _moved(make: Callable[..., Held], *, scaled: bool = False) -> Callable[..., Held]:
    """The same of a law with a density, where a location is a transform of the law at 0."""

    def read(*values: Vector) -> Held:
        *shapes, location, scale = values
        law = make(*shapes, scale) if scaled else make(*shapes)
        numbers = {"shift": location} if np.any(location != 0) else {}
        if not scaled and np.any(scale != 1):
            numbers["scale"] = scale
        return law.under([("affine", numbers)]) if numbers else law

    return read


def _named(family: str, *names: str, **fixed: float) -> Callable[..., Held]:
    """The law of a family by its parameters, of which some are fixed."""
    constant = {name: np.array(value) for name, value in fixed.items()}
    return lambda *values: Held(family, {**dict(zip(names, values, strict=True)), **constant})


def _scaled(family: str, *shapes: str) -> Callable[..., Held]:
    return _moved(_named(family, *shapes, "scale"), scaled=True)


def _after(make: Callable[..., Held], *steps: str) -> Callable[..., Held]:
    """The law after transforms without numbers."""
    return lambda *values: make(*values).under([(step, {}) for step in steps])


def _located(family: str, *shapes: str) -> Callable[..., Held]:
    names = (*shapes, "location", "scale")
    return lambda *values: Held(family, dict(zip(names, values, strict=True)))


def _gamma(shape: Any, scale: Vector) -> Held:
    with np.errstate(divide="ignore"):
        return Held("gamma", {"shape": np.asarray(shape), "rate": 1.0 / scale})


def _normal(mean: Vector, sd: Vector) -> Held:
    return Held("normal", {"mean": mean, "sd": sd})


def _uniform(low: Vector, width: Vector) -> Held:
    return Held("uniform", {"low": low, "high": low + width})


def _triangular(mode: Vector, low: Vector, width: Vector) -> Held:
    """The triangular law whose mode is given as a share of the width."""
    return Held("triangular", {"low": low, "mode": low + mode * width, "high": low + width})


def _truncated_normal(low: Vector, high: Vector, mean: Vector, sd: Vector) -> Held:
    """The truncated normal law whose ends are given in standard deviations from the mean."""
    ends = {"low": mean + low * sd, "high": mean + high * sd}
    return Held("truncated-normal", {"mean": mean, "sd": sd, **ends})


def _categories(name: str, value: Any) -> Held:
    numbers = _numbers(name, value)
    if name == "probs":  # float32 rounds, so that they do not add up to 1
        numbers = numbers / numbers.sum(axis=-1, keepdims=True)
        name = "probabilities"
    return Held("categorical", {name: numbers})


def _from_either(make: Callable[[str, Any], Held]) -> Callable[[Any], Held]:
    """The reader of a law that has `logits` or `probs`, by those that it was made from."""

    def read(value: Any) -> Held:
        if library_of(value) == "torch":
            by_logits = given_first(value, "probs", "logits") == "logits"
        else:
            by_logits = value.logits is not None
        name = "logits" if by_logits else "probs"
        return make(name, getattr(value, name))

    return read


def _trials(family: str, **names: str) -> Callable[[Any], Held]:
    """The reader of a law of trials, whose `probs` and `logits` are those of a success."""

    def read(value: Any) -> Held:
        def made(name: str, numbers: Any) -> Held:
            key = "probability" if name == "probs" else "logit"
            return Held(family, {key: _numbers(key, numbers)})

        law = _from_either(made)(value)
        counts = {key: _numbers(key, getattr(value, name)) for key, name in names.items()}
        return law._replace(parameters={**counts, **law.parameters})

    return read


def _first_success(law: Held) -> Held:
    """A geometric law; one of a Bernoulli law, if so many values that only its KL is known."""
    ((name, numbers),) = law.parameters.items()
    with np.errstate(over="ignore"):
        success = numbers if name == "probability" else 1.0 / (1.0 + np.exp(-numbers))
    if not np.any((success > 0.0) & (success < _RARE)):
        return law
    # Up to the first success there are 1 / success trials on average.
    return law._replace(family="bernoulli", like=("geometric",), times=1.0 / success).categorical()


def _negative_binomial(value: Any) -> Held:
    """The reader for torch and TFP, whose `probs` and `logits` are those of a failure here."""
    law = _trials("negative-binomial", r="total_count")(value)
    r, (key, numbers) = law.parameters["r"], [*law.parameters.items()][1]
    other = {"failure": numbers} if key == "probability" else {"logit": -numbers}
    return law._replace(parameters={"r": r, **other})


def _geometric(p: Vector, location: Vector, scale: Vector) -> Held:
    """The reader of scipy.stats' number of trials, one more than the failures counted here."""
    first = np.unique(np.asarray(location) + 1.0)
    law = _first_success(Held("geometric", {"probability": p}))
    return law if (first == 0.0).all() else law._replace(like=(*law.like, "from", *first.tolist()))


def _scipy_normal(value: Any) -> Held:
    spread = value.cov_object
    if type(spread).__name__ == "CovViaPSD":  # of a matrix, which scipy.stats holds
        return _vector(value.mean, covariance=_numbers("cov", value.cov))
    return _vector(value.mean, scale_tril=triangular(spread.colorize(np.eye(value.dim)).T))


def _torch_normal(value: Any) -> Held:
    name = given_first(value, "covariance_matrix", "precision_matrix", "scale_tril")
    matrix = _numbers(name, getattr(value, name))
    if name == "covariance_matrix":
        return _vector(value.loc, covariance=symmetric(matrix))
    factor = np.tril(matrix) if name == "scale_tril" else of_precision(symmetric(matrix))
    return _vector(value.loc, scale_tril=factor)


def _low_rank(value: Any) -> Held:
    torch = library_of(value) == "torch"
    names = ("cov_diag", "cov_factor") if torch else ("cov_diag_factor", "cov_perturb_factor")
    diagonal, columns = (_numbers(name, getattr(value, name)) for name in names)
    scale_tril = of_low_rank(diagonal, columns)
    return _vector(value.loc if torch else value.mean(), scale_tril=scale_tril)


def _tfp_covariance(value: Any) -> Held:
    dtype = value.dtype.as_numpy_dtype
    matrix = np.asarray(as_numpy("covariance", value.parameters["covariance_matrix"]), dtype)
    return _vector(value.mean(), covariance=symmetric(matrix.astype(np.float64)))


def _tfp_diagonal(value: Any) -> Held:
    return _normal(_numbers("mean", value.mean()), _numbers("sd", value.stddev()))


def _vector(mean: Any, **spread: Vector) -> Held:
    return Held("normal", {"mean": _numbers("mean", mean), **spread})


def _inner(name: str) -> _Read:
    """The reader of an `Independent`: its axes and those of its batch are coordinates alike."""
    return lambda value: held(name, getattr(value, name))


def _transformed(law: str, bijections: str) -> _Read:
    """The reader of a law by that of a variable, and by the bijections that are applied to it."""

    def made(value: Any) -> Held | None:
        base, steps = held(law, getattr(value, law)), getattr(value, bijections)
        each = [steps_of(step) for step in (steps if isinstance(steps, list) else [steps])]
        known = [some for some in each if some is not None]
        if base is None or base.like or base.family not in INDEPENDENT or len(known) < len(each):
            return None
        return base.under([step for some in known for step in some])

    return made


def _below(read: _Read, *steps: str) -> _Read:
    """The reader of a law that is another one after transforms without numbers."""
    return lambda value: (law := read(value)) and law.under([(step, {}) for step in steps])


def _half(read: _Read) -> _Read:
    """The reader of a law of TFP whose values are larger than its `loc`."""

    def made(value: Any) -> Held | None:
        law, location = read(value), _numbers("loc", value.loc)
        return law.under([("affine", {"shift": location})]) if law and location.any() else law

    return made


_SCIPY: Mapping[str, Callable[..., Held | None]] = {
    "norm": _normal,
    "t": _located("student-t", "df"),
    "laplace": _located("laplace"),
    "logistic": _located("logistic"),
    "cauchy": _named("student-t", "location", "scale", df=1.0),
    "gamma": _moved(_gamma, scaled=True),
    "erlang": _moved(_gamma, scaled=True),
    "expon": _moved(lambda scale: _gamma(1.0, scale), scaled=True),
    "chi2": _moved(lambda df: _gamma(df / 2, np.array(2.0))),
    "invgamma": _scaled("inverse-gamma", "shape"),
    "levy": _moved(_named("inverse-gamma", shape=0.5, scale=0.5)),
    "beta": _moved(_named("beta", "a", "b")),
    "powerlaw": _moved(_named("beta", "a", b=1.0)),
    "lognorm": _moved(_after(_named("normal", "sd", mean=0.0), "exp")),
    "weibull_min": _scaled("weibull", "shape"),
    "weibull_max": lambda shape, location, scale: _named("weibull", "shape")(shape).under(
        [("affine", {"shift": location, "scale": -scale})]
    ),
    "invweibull": _scaled("frechet", "shape"),
    "gumbel_r": _named("gumbel", "location", "scale"),
    "gumbel_l": lambda location, scale: Held("gumbel", {}).under(
        [("affine", {"shift": location, "scale": -scale})]
    ),
    "loggamma": _moved(_after(_named("gamma", "shape"), "log")),
    "genlogistic": _moved(_after(_named("beta", "a", b=1.0), "logit")),
    "pareto": _scaled("pareto", "shape"),
    "lomax": _scaled("lomax", "shape"),
    "fisk": _scaled("log-logistic", "shape"),
    "loglaplace": _scaled("log-laplace", "shape"),
    "halfnorm": _scaled("half-normal"),
    "halfcauchy": _scaled("half-cauchy"),
    "rayleigh": _scaled("rayleigh"),
    "maxwell": _scaled("maxwell"),
    "chi": _scaled("chi", "df"),
    "nakagami": _moved(_after(lambda nu: Held("gamma", {"shape": nu, "rate": nu}), "sqrt")),
    "gengamma": _moved(
        lambda a, c: _named("gamma", "shape")(a).under([("power", {"power": 1.0 / c})])
    ),
    "betaprime": _scaled("beta-prime", "a", "b"),
    "f": _moved(_named("f", "df1", "df2")),
    "johnsonsb": _moved(
        lambda a, b: _named("normal", mean=0.0, sd=1.0)().under(
            [("affine", {"shift": -a}), ("affine", {"scale": 1.0 / b}), ("logistic", {})]
        )
    ),
    "uniform": _uniform,
    "triang": _triangular,
    "truncnorm": _truncated_normal,
    "poisson": _at_zero(lambda mu: Held("poisson", {"rate": mu})),
    "bernoulli": _at_zero(lambda p: Held("bernoulli", {"probability": p})),
    "geom": _geometric,
    "binom": _at_zero(lambda n, p: Held("binomial", {"n": n, "probability": p})),
    "nbinom": _at_zero(lambda n, p: Held("negative-binomial", {"r": n, "probability": p})),
    "betabinom": _at_zero(lambda n, a, b: Held("beta-binomial", {"n": n, "a": a, "b": b})),
}

_DIRICHLET = _fields("dirichlet", concentration="concentration")
_BETA = _fields("beta", a="concentration1", b="concentration0")
_GAMMA = _fields("gamma", shape="concentration", rate="rate")
_POISSON = _fields("poisson", rate="rate")
_LAPLACE = _fields("laplace", location="loc", scale="scale")
_STUDENT = _fields("student-t", df="df", location="loc", scale="scale")
_LOGISTIC = _fields("logistic", location="loc", scale="scale")
_NORMAL = _fields("normal", mean="loc", sd="scale")
_UNIFORM = _fields("uniform", low="low", high="high")
_CATEGORIES = _from_either(_categories)
_BERNOULLI, _TRIALS = _trials("bernoulli"), _trials("geometric")
_BINOMIAL = _trials("binomial", n="total_count")
_BETA_BINOMIAL = _fields("beta-binomial", n="total_count", a="concentration1", b="concentration0")
_LOGNORMAL = _fields("lognormal", mean="loc", sd="scale")
_WEIBULL = _fields("weibull", shape="concentration", scale="scale")
_GUMBEL = _fields("gumbel", location="loc", scale="scale")
_HALF_NORMAL = _fields("half-normal", scale="scale")
_HALF_CAUCHY = _fields("half-cauchy", scale="scale")


def _failures(value: Any) -> Held:
    return _first_success(_TRIALS(value))


def _cauchy(value: Any) -> Held:
    where = {"location": _numbers("loc", value.loc), "scale": _numbers("scale", value.scale)}
    return Held("student-t", {"df": np.array(1.0), **where})


def _exponential(value: Any) -> Held:
    return Held("gamma", {"shape": np.array(1.0), "rate": _numbers("rate", value.rate)})


_READERS: Mapping[tuple[str, str], _Read] = {
    ("scipy", "rv_continuous_frozen"): _frozen,
    ("scipy", "rv_discrete_frozen"): _frozen,
    ("scipy", "Normal"): _fields("normal", mean="mu", sd="sigma"),
    ("scipy", "StandardNormal"): lambda value: _normal(np.array(0.0), np.array(1.0)),
    ("scipy", "multivariate_normal_frozen"): _scipy_normal,
    ("scipy", "dirichlet_frozen"): _fields("dirichlet", concentration="alpha"),
    ("torch", "Normal"): _NORMAL,
    ("torch", "MultivariateNormal"): _torch_normal,
    ("torch", "LowRankMultivariateNormal"): _low_rank,
    ("torch", "LogNormal"): _LOGNORMAL,
    ("torch", "TransformedDistribution"): _transformed("base_dist", "transforms"),
    ("torch", "Cauchy"): _cauchy,
    ("torch", "InverseGamma"): _fields("inverse-gamma", shape="concentration", scale="rate"),
    ("torch", "Weibull"): _WEIBULL,
    ("torch", "Gumbel"): _GUMBEL,
    ("torch", "Pareto"): _fields("pareto", shape="alpha", scale="scale"),
    ("torch", "HalfNormal"): _HALF_NORMAL,
    ("torch", "HalfCauchy"): _HALF_CAUCHY,
    ("torch", "FisherSnedecor"): _fields("f", df1="df1", df2="df2"),
    ("torch", "StudentT"): _STUDENT,
    ("torch", "Laplace"): _LAPLACE,
    ("torch", "Uniform"): _UNIFORM,
    ("torch", "Gamma"): _GAMMA,
    ("torch", "Chi2"): _GAMMA,
    ("torch", "Exponential"): _exponential,
    ("torch", "Beta"): _BETA,
    ("torch", "Poisson"): _POISSON,
    ("torch", "Dirichlet"): _DIRICHLET,
    ("torch", "Categorical"): _CATEGORIES,
    ("torch", "OneHotCategorical"): lambda value: _CATEGORIES(value._categorical),
    ("torch", "Bernoulli"): _BERNOULLI,
    ("torch", "Geometric"): _failures,
    ("torch", "Binomial"): _BINOMIAL,
    ("torch", "NegativeBinomial"): _negative_binomial,
    ("torch", "Independent"): _inner("base_dist"),
    ("tfp", "Normal"): _NORMAL,
    ("tfp", "MultivariateNormalDiag"): _tfp_diagonal,
    ("tfp", "MultivariateNormalTriL"): lambda value: _vector(
        value.mean(), scale_tril=np.tril(_numbers("scale_tril", value.scale.to_dense()))
    ),
    ("tfp", "MultivariateNormalFullCovariance"): _tfp_covariance,
    ("tfp", "MultivariateNormalDiagPlusLowRank"): lambda value: _vector(
        value.mean(), scale_tril=of_scale(value.scale)
    ),
    ("tfp", "MultivariateNormalDiagPlusLowRankCovariance"): _low_rank,
    ("tfp", "LogNormal"): _LOGNORMAL,
    ("tfp", "LogitNormal"): _fields("logit-normal", mean="loc", sd="scale"),
    ("tfp", "TransformedDistribution"): _transformed("distribution", "bijector"),
    ("tfp", "Cauchy"): _cauchy,
    ("tfp", "Chi2"): _fields("chi-squared", df="df"),
    ("tfp", "Chi"): _fields("chi", df="df"),
    ("tfp", "InverseGamma"): _fields("inverse-gamma", shape="concentration", scale="scale"),
    ("tfp", "ExpGamma"): _below(_GAMMA, "log"),
    ("tfp", "Weibull"): _WEIBULL,
    ("tfp", "Gumbel"): _GUMBEL,
    ("tfp", "LogLogistic"): _below(_LOGISTIC, "exp"),
    ("tfp", "Pareto"): _fields("pareto", shape="concentration", scale="scale"),
    ("tfp", "HalfNormal"): _HALF_NORMAL,
    ("tfp", "HalfCauchy"): _half(_HALF_CAUCHY),
    ("tfp", "HalfStudentT"): _half(_fields("half-student-t", df="df", scale="scale")),
    ("tfp", "StudentT"): _STUDENT,
    ("tfp", "Laplace"): _LAPLACE,
    ("tfp", "Logistic"): _LOGISTIC,
    ("tfp", "Uniform"): _UNIFORM,
    ("tfp", "Triangular"): _fields("triangular", low="low", mode="peak", high="high"),
    ("tfp", "TruncatedNormal"): _fields(
        "truncated-normal", mean="loc", sd="scale", low="low", high="high"
    ),
    ("tfp", "Gamma"): _GAMMA,
    ("tfp", "Exponential"): _exponential,
    ("tfp", "Beta"): _BETA,
    ("tfp", "Poisson"): _POISSON,
    ("tfp", "Dirichlet"): _DIRICHLET,
    ("tfp", "Categorical"): _CATEGORIES,
    ("tfp", "OneHotCategorical"): _CATEGORIES,
    ("tfp", "Bernoulli"): _BERNOULLI,
    ("tfp", "Geometric"): _failures,
    ("tfp", "Binomial"): _BINOMIAL,
    ("tfp", "NegativeBinomial"): _negative_binomial,
    ("tfp", "BetaBinomial"): _BETA_BINOMIAL,
    ("tfp", "Independent"): _inner("distribution"),
}
