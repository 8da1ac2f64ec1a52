"""Recognises distributions of scipy.stats, torch and TensorFlow Probability (TFP) as sides.

An object is recognised by the module and name of its class, so no library has to be imported. A
batch of torch or TFP distributions, shape (D,), stands for D independent coordinates.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from mckl.api.arrays import as_numpy, numbers
from mckl.errors import UserError

_Read = Callable[[Any], Mapping[str, Any] | None]


def as_side(value: Any) -> Mapping[str, Any] | None:
    """The distribution as a mapping like those of a case; None if no family of mckl has it.

    >>> import scipy.stats
    >>> as_side(scipy.stats.gamma(2, scale=0.5))
    {'family': 'gamma', 'shape': 2.0, 'rate': 2.0}
    """
    if isinstance(value, Mapping):
        return value
    library, name = library_of(value), type(value).__name__
    read = _READERS.get((library, name)) if library else None
    found = read(value) if read else None
    return None if found is None else {key: _plain(v) for key, v in found.items()}


def described(value: Any) -> str:
    """The object in the words of a message.

    >>> import scipy.stats
    >>> described(scipy.stats.gamma(2, loc=1)), described(1.0)
    ("scipy.stats' gamma(2, loc=1)", 'an object of class float')
    """
    law = getattr(getattr(value, "dist", None), "name", None)
    if library_of(value) != "scipy" or law is None:
        return f"an object of class {type(value).__name__}"
    named = [f"{key}={v}" for key, v in value.kwds.items()]
    return f"scipy.stats' {law}({', '.join([*map(str, value.args), *named])})"


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


def _plain(value: Any) -> Any:
    """Turns arrays into lists, so that messages show them as a user would write them."""
    if isinstance(value, str | list):
        return value
    array = np.asarray(as_numpy("parameter", value), np.float64)
    if array.size == 1 and array.ndim <= 1:
        return float(array.reshape(()))
    return array.tolist()


def _frozen(value: Any) -> Mapping[str, Any] | None:
    """The mapping of a frozen scipy.stats law of one dimension; parameters may be arrays."""
    made = _SCIPY.get(value.dist.name)
    if made is None:
        return None
    shapes, location, scale = value.dist._parse_args(*value.args, **value.kwds)
    if any(np.ndim(v) > 1 for v in (*shapes, location, scale)):
        return None
    return made(*shapes, location, scale)


def _at_zero(
    make: Callable[..., Mapping[str, Any]], *, scaled: bool = False
) -> Callable[..., Mapping[str, Any] | None]:
    """The reader of a law that mckl has only at location 0, and only at scale 1 unless `scaled`."""

    def read(*values: Any) -> Mapping[str, Any] | None:
        *shapes, location, scale = values
        if np.any(np.asarray(location) != 0) or (not scaled and np.any(np.asarray(scale) != 1)):
            return None
        return make(*shapes, scale) if scaled else make(*shapes)

    return read


def _located(family: str, *shapes: str) -> Callable[..., Mapping[str, Any]]:
    names = (*shapes, "location", "scale")
    return lambda *values: {"family": family, **dict(zip(names, values, strict=True))}


def _inverse(values: Any) -> Any:
    return 1.0 / np.asarray(as_numpy("rate", values), np.float64)


_SCIPY: Mapping[str, Callable[..., Mapping[str, Any] | None]] = {
    "norm": lambda location, scale: {"family": "normal", "mean": location, "sd": scale},
    "t": _located("student-t", "df"),
    "laplace": _located("laplace"),
    "logistic": _located("logistic"),
    "gamma": _at_zero(
        lambda a, scale: {"family": "gamma", "shape": a, "rate": _inverse(scale)}, scaled=True
    ),
    "expon": _at_zero(
        lambda scale: {"family": "gamma", "shape": 1.0, "rate": _inverse(scale)}, scaled=True
    ),
    "chi2": _at_zero(lambda df: {"family": "gamma", "shape": np.asarray(df) / 2, "rate": 0.5}),
    "beta": _at_zero(lambda a, b: {"family": "beta", "a": a, "b": b}),
    "poisson": _at_zero(lambda mu: {"family": "poisson", "rate": mu}),
    "bernoulli": _at_zero(
        lambda p: {"family": "categorical", "probabilities": [1.0 - float(p), float(p)]}
    ),
}


def _fields(family: str, **names: str) -> _Read:
    """The reader of parameters from attributes; parameters with two axes or more are refused."""

    def read(value: Any) -> Mapping[str, Any] | None:
        found = {key: getattr(value, name) for key, name in names.items()}
        if any(np.ndim(as_numpy(key, v)) > 1 for key, v in found.items()):
            return None
        return {"family": family, **found}

    return read


def _covariance(mean: str, covariance: str) -> _Read:
    def read(value: Any) -> Mapping[str, Any] | None:
        found = []
        for name in (mean, covariance):
            field = getattr(value, name)
            found.append(as_numpy(name, field() if callable(field) else field))
        if found[0].ndim != 1 or found[1].ndim != 2:
            return None
        return {"family": "normal", "mean": found[0], "covariance": found[1]}

    return read


def _moments(value: Any) -> Mapping[str, Any] | None:
    mean, sd = (as_numpy(name, getattr(value, name)()) for name in ("mean", "stddev"))
    return {"family": "normal", "mean": mean, "sd": sd} if mean.ndim == 1 else None


def _probabilities(of: Callable[[Any], Any]) -> _Read:
    def read(value: Any) -> Mapping[str, Any] | None:
        found = np.asarray(as_numpy("probs", of(value)), np.float64)
        if found.ndim != 1:
            return None
        return {"family": "categorical", "probabilities": found / found.sum()}

    return read


def _bernoulli(of: Callable[[Any], Any]) -> _Read:
    def read(value: Any) -> Mapping[str, Any] | None:
        found = np.asarray(as_numpy("probs", of(value)), np.float64)
        if found.size != 1:
            return None
        p = float(found.reshape(()))
        return {"family": "categorical", "probabilities": [1.0 - p, p]}

    return read


def _inner(name: str) -> _Read:
    """The reader of an `Independent` around another law; further batch axes are refused."""

    def read(value: Any) -> Mapping[str, Any] | None:
        if len(value.batch_shape):
            return None
        inner = getattr(value, name)
        return as_side(inner)

    return read


_DIRICHLET = _fields("dirichlet", concentration="concentration")
_BETA = _fields("beta", a="concentration1", b="concentration0")
_GAMMA = _fields("gamma", shape="concentration", rate="rate")
_POISSON = _fields("poisson", rate="rate")
_LAPLACE = _fields("laplace", location="loc", scale="scale")
_STUDENT = _fields("student-t", df="df", location="loc", scale="scale")
_NORMAL = _fields("normal", mean="loc", sd="scale")


def _exponential(value: Any) -> Mapping[str, Any] | None:
    found = _fields("gamma", rate="rate")(value)
    return None if found is None else {**found, "shape": 1.0}


_READERS: Mapping[tuple[str, str], _Read] = {
    ("scipy", "rv_continuous_frozen"): _frozen,
    ("scipy", "rv_discrete_frozen"): _frozen,
    ("scipy", "Normal"): _fields("normal", mean="mu", sd="sigma"),
    ("scipy", "StandardNormal"): lambda value: {"family": "normal", "mean": 0.0, "sd": 1.0},
    ("scipy", "multivariate_normal_frozen"): _covariance("mean", "cov"),
    ("scipy", "dirichlet_frozen"): _fields("dirichlet", concentration="alpha"),
    ("torch", "Normal"): _NORMAL,
    ("torch", "MultivariateNormal"): _covariance("loc", "covariance_matrix"),
    ("torch", "LowRankMultivariateNormal"): _covariance("loc", "covariance_matrix"),
    ("torch", "StudentT"): _STUDENT,
    ("torch", "Laplace"): _LAPLACE,
    ("torch", "Gamma"): _GAMMA,
    ("torch", "Chi2"): _GAMMA,
    ("torch", "Exponential"): _exponential,
    ("torch", "Beta"): _BETA,
    ("torch", "Poisson"): _POISSON,
    ("torch", "Dirichlet"): _DIRICHLET,
    ("torch", "Categorical"): _probabilities(lambda value: value.probs),
    ("torch", "Bernoulli"): _bernoulli(lambda value: value.probs),
    ("torch", "Independent"): _inner("base_dist"),
    ("tfp", "Normal"): _NORMAL,
    ("tfp", "MultivariateNormalDiag"): _moments,
    ("tfp", "MultivariateNormalTriL"): _covariance("mean", "covariance"),
    ("tfp", "MultivariateNormalFullCovariance"): _covariance("mean", "covariance"),
    ("tfp", "StudentT"): _STUDENT,
    ("tfp", "Laplace"): _LAPLACE,
    ("tfp", "Logistic"): _fields("logistic", location="loc", scale="scale"),
    ("tfp", "Gamma"): _fields("gamma", shape="concentration", rate="rate"),
    ("tfp", "Exponential"): _exponential,
    ("tfp", "Beta"): _BETA,
    ("tfp", "Poisson"): _POISSON,
    ("tfp", "Dirichlet"): _DIRICHLET,
    ("tfp", "Categorical"): _probabilities(lambda value: value.probs_parameter()),
    ("tfp", "Bernoulli"): _bernoulli(lambda value: value.probs_parameter()),
    ("tfp", "Independent"): _inner("distribution"),
}


class Sampled:
    """Draws samples of q, which is a distribution, an object with methods, or two callables.

    An object has the methods ``sample(n, rng)``, which returns n samples along the first axis, and
    ``log_prob(samples)``, which returns their log densities. Raises `UserError` for anything else.
    """

    def __init__(self, side: str, value: Any) -> None:
        self._side, self._value, self._library = side, value, library_of(value)
        if self._library is None and not (_two(value) or _has(value, "sample", "log_prob")):
            raise UserError(
                f"{side}: an object of class {type(value).__name__}, expected a mapping as in a "
                "study's cases, a distribution of scipy.stats, torch or TensorFlow Probability, "
                "or (sample, log_prob)"
            )

    def draw(self, n: int, rng: np.random.Generator) -> Any:
        """n samples, in the array type of q's library. Raises `UserError` for a wrong shape."""
        value = self._value
        if self._library == "scipy":
            if hasattr(value, "rvs"):
                return value.rvs(size=n, random_state=rng)
            return value.sample(n, rng=rng)
        if self._library == "tfp":  # a seed of two numbers is stateless, so draws are repeatable
            return value.sample(n, seed=rng.integers(2**31, size=2, dtype=np.int32))
        if self._library == "torch":
            import torch

            with torch.random.fork_rng(), torch.no_grad():
                torch.manual_seed(int(rng.integers(2**31)))
                return value.sample((n,))
        sample = value[0] if _two(value) else value.sample
        try:
            samples = sample(n, rng)
        except Exception as error:
            raise UserError(f"{self._side}: sample({n}, rng) fails ({_why(error)})") from error
        shape = np.shape(as_numpy(f"{self._side}.sample", samples))
        if not shape or shape[0] != n:
            raise UserError(
                f"{self._side}: sample({n}, rng) gave shape {shape}, expected {n} samples along "
                "the first axis"
            )
        return samples


class LogProb:
    """The log density of one side; raises `UserError` for an object that has none."""

    def __init__(self, side: str, value: Any) -> None:
        self._side, self._library = side, library_of(value)
        self._value = value
        if self._library == "scipy":
            for name in ("logpdf", "logpmf"):
                if hasattr(value, name):
                    self._call = getattr(value, name)
                    break
        elif _two(value):
            self._call = value[1]
        elif hasattr(value, "log_prob"):
            self._call = value.log_prob
        elif callable(value):
            self._call = value
        else:
            raise UserError(
                f"{side}: an object of class {type(value).__name__}, expected a distribution or a "
                "callable log_prob(samples)"
            )

    def __call__(self, samples: Any, n: int) -> np.ndarray:
        """Log densities in nats, shape (n,); raises `UserError` for any other shape."""
        try:
            found = numbers(f"{self._side}.log_prob", self._call(self._as_own(samples)))
        except UserError:
            raise
        except Exception as error:
            raise UserError(
                f"{self._side}: log_prob fails at samples of q of shape {np.shape(samples)}: are q "
                f"and p of one dimension and support? ({_why(error)})"
            ) from error
        found = np.array(found, np.float64)  # a copy, for the next call may use the same buffer
        if self._library in ("torch", "tfp") and found.ndim == 2 and found.shape[0] == n:
            found = found.sum(axis=1)  # a batch stands for independent coordinates
        if found.shape != (n,):
            raise UserError(
                f"{self._side}: log_prob gave shape {found.shape} for {n} samples, expected ({n},)"
            )
        return found

    def _as_own(self, samples: Any) -> Any:
        """The samples in the array type of this side's library."""
        if self._library == "torch" and not hasattr(samples, "detach"):
            import torch

            return torch.as_tensor(as_numpy("samples", samples))
        if self._library == "tfp":
            return np.asarray(as_numpy("samples", samples), self._value.dtype.as_numpy_dtype)
        if self._library == "scipy":
            return as_numpy("samples", samples)
        return samples


def _why(error: Exception) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"


def _two(value: Any) -> bool:
    return isinstance(value, tuple) and len(value) == 2 and all(map(callable, value))


def _has(value: Any, *names: str) -> bool:
    return all(callable(getattr(value, name, None)) for name in names)
