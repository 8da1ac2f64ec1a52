"""Draws samples of q and evaluates log densities, whichever library q and p are of."""

from __future__ import annotations

from typing import Any

import numpy as np

from mckl.api.conversion import as_numpy, real_numbers
from mckl.api.double import doubled
from mckl.api.objects import library_of
from mckl.errors import UserError


class Sampled:
    """Draws samples of q, which is a distribution, an object with methods, or two callables.

    An object has the methods ``sample(n, rng)``, which returns n samples along the first axis, and
    ``log_prob(samples)``, which returns their log densities. Raises `UserError` for anything else.
    """

    def __init__(self, side: str, value: Any) -> None:
        self._side, self._library = side, library_of(value)
        self._value = doubled(value)
        if self._library is None and not (_two(value) or _has(value, "sample", "log_prob")):
            raise UserError(
                f"{side}: an object of class {type(value).__name__}, expected a mapping as in a "
                "study's cases, a distribution of scipy.stats, torch or TensorFlow Probability, "
                "or (sample, log_prob)"
            )

    def draw(self, n: int, rng: np.random.Generator) -> Any:
        """n samples, in the array type of q's library. Raises `UserError` for a wrong shape."""
        try:
            samples = self._draw(n, rng)
        except Exception as error:
            call = f"sample({n}, rng)" if self._library is None else "drawing samples"
            raise UserError(f"{self._side}: {call} fails ({_why(error)})") from error
        shape = np.shape(as_numpy(f"{self._side}.sample", samples))
        if not shape or shape[0] != n:
            raise UserError(
                f"{self._side}: sample({n}, rng) gave shape {shape}, expected {n} samples along "
                "the first axis"
            )
        return samples

    def _draw(self, n: int, rng: np.random.Generator) -> Any:
        value = self._value
        if self._library == "scipy":
            if hasattr(value, "resample"):  # gaussian_kde, whose samples are columns
                samples = value.resample(n, seed=rng).T
                return samples[:, 0] if samples.shape[1] == 1 else samples
            if hasattr(value, "rvs"):
                return value.rvs(size=(n, *(sample_shape(value) or ())), random_state=rng)
            return value.sample(n, rng=rng)
        if self._library == "tfp":  # a seed of two numbers is stateless, so draws are repeatable
            return value.sample(n, seed=rng.integers(2**31, size=2, dtype=np.int32))
        if self._library == "torch":
            import torch

            with torch.random.fork_rng(), torch.no_grad():
                torch.manual_seed(int(rng.integers(2**31)))
                return value.sample((n,))
        return (value[0] if _two(value) else value.sample)(n, rng)


class LogProb:
    """The log density of one side; raises `UserError` for an object that has none."""

    def __init__(self, side: str, value: Any) -> None:
        self._side, self._library = side, library_of(value)
        self._value = value = doubled(value)
        self._columns = hasattr(value, "resample")  # gaussian_kde takes samples as columns
        names = ("logpdf", "logpmf") if self._library == "scipy" else ("log_prob",)
        calls = [getattr(value, name) for name in names if hasattr(value, name)]
        if _two(value):
            calls = [value[1]]
        elif not calls and self._library is None and callable(value):
            calls = [value]
        if not calls:
            raise UserError(
                f"{side}: an object of class {type(value).__name__}, expected a distribution or a "
                "callable log_prob(samples)"
            )
        self._call = calls[0]

    def __call__(self, samples: Any, n: int) -> np.ndarray:
        """Log densities in nats, shape (n,); raises `UserError` for any other shape."""
        try:
            values = real_numbers(f"{self._side}.log_prob", self._call(self._as_own(samples)))
        except UserError:
            raise
        except Exception as error:
            raise UserError(
                f"{self._side}: log_prob fails at samples of q of shape {np.shape(samples)}: are q "
                f"and p of one dimension and support? ({_why(error)})"
            ) from error
        values = np.array(values, np.float64)  # a copy, for the next call may use the same buffer
        if self._library is not None and values.ndim > 1 and values.shape[0] == n:
            values = values.reshape(n, -1).sum(axis=1)  # a batch is of independent coordinates
        if values.shape != (n,):
            raise UserError(
                f"{self._side}: log_prob gave shape {values.shape} for {n} samples, expected ({n},)"
            )
        return values

    def _as_own(self, samples: Any) -> Any:
        """The samples in the array type of this side's library."""
        if self._library == "torch" and not hasattr(samples, "detach"):
            import torch

            return torch.as_tensor(as_numpy("samples", samples))
        if self._library == "tfp":
            return np.asarray(as_numpy("samples", samples), self._value.dtype.as_numpy_dtype)
        if self._library == "scipy":
            array = as_numpy("samples", samples)
            return array.T if self._columns else array
        return samples


def check_shapes(q: Any, p: Any) -> None:
    """Raise `UserError` where p cannot take the samples of q; shapes fit as NumPy's do."""
    of_q, of_p = sample_shape(q), sample_shape(p)
    if of_q is None or of_p is None:
        return
    try:
        fits = np.broadcast_shapes(of_q, of_p) == of_q
    except ValueError:
        fits = False
    if not fits:
        raise UserError(f"a sample of q has shape {of_q}, of p {of_p}, expected one shape")


def sample_shape(value: Any) -> tuple[int, ...] | None:
    """The shape of one sample of a library's distribution; None where it is not known."""
    if library_of(value) in ("torch", "tfp"):
        return (*map(int, value.batch_shape), *map(int, value.event_shape))
    if hasattr(value, "dist") and hasattr(value, "kwds"):
        return np.broadcast_shapes(*map(np.shape, (*value.args, *value.kwds.values())))
    if hasattr(value, "resample"):
        return (value.d,) if value.d > 1 else ()
    return None


def _why(error: Exception) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"


def _two(value: Any) -> bool:
    return isinstance(value, tuple) and len(value) == 2 and all(map(callable, value))


def _has(value: Any, *names: str) -> bool:
    return all(callable(getattr(value, name, None)) for name in names)
