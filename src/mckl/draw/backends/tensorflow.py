"""The TensorFlow backend: stateless random numbers, TensorFlow Probability's log densities.

A block of samples is drawn and evaluated by one compiled `tf.function`. All blocks of a trace but
the last have one shape, so that few functions are compiled and memory stays constant. The device is
the CPU, with as many threads as OMP_NUM_THREADS says (1 if it is not set).
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Sequence
from functools import lru_cache, partial
from typing import Any, NamedTuple, cast

import numpy as np

# TensorFlow reads these when it is imported. They silence its messages, make results the same to
# the last bit with and without oneDNN, and hide GPUs.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ["TF_ENABLE_ONEDNN_OPTS"] = "0"
os.environ["CUDA_VISIBLE_DEVICES"] = "-1"

import tensorflow as tf
import tensorflow_probability as tfp

from mckl.arrays import Vector
from mckl.draw.backends import Following, Replicates
from mckl.draw.distribution import Distribution
from mckl.draw.form import Form
from mckl.draw.points.base import Draw, PointSet
from mckl.draw.quantiles import CELLS, CELLS_PER_UNIT, LOW, chisquare_of_normal
from mckl.draw.streams import Stream
from mckl.errors import UserError

tfd = tfp.distributions

with contextlib.suppress(RuntimeError):  # raised if this process has used TensorFlow already
    _threads = int(os.environ.get("OMP_NUM_THREADS", "1"))
    tf.config.threading.set_intra_op_parallelism_threads(_threads)
    tf.config.threading.set_inter_op_parallelism_threads(_threads)

# The most random numbers and samples of a block. They take 8 MiB, and calls are so few that their
# fixed cost of some 0.2 ms does not matter. Blocks of another size would draw other numbers.
_NUMBERS, _ROWS = 2**20, 2**14
# TFP's samplers work on vectors of this size, and round the rest of an array differently.
_VECTOR = 16


def block_rows(numbers: int) -> int:
    """The number of samples in a block, a power of two, given the numbers a sample takes."""
    return min(_ROWS, 1 << (max(_NUMBERS // numbers, 1).bit_length() - 1))


class Normals(NamedTuple):
    """Standard normals that the kernel will draw within its own compiled step."""

    key: Any
    rows: int
    columns: int
    dtype: str

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Vector:
        return np.asarray(_drawn(self), dtype)


def _drawn(normals: Any) -> Any:
    if not isinstance(normals, Normals):
        return normals
    shape = (normals.rows, normals.columns)
    return tf.random.stateless_normal(shape, normals.key, dtype=normals.dtype)


def _chisquares_of(key: Any, dof: Any, rows: int) -> Any:
    return 2.0 * tf.random.stateless_gamma((rows,), key, alpha=0.5 * dof, dtype=dof.dtype)


def _spline_of(x: Any, table: Any) -> Any:
    """The quantile spline (`mckl.draw.quantiles.Spline`) of column j of x with table[j]."""
    s = tf.transpose((x - LOW) * CELLS_PER_UNIT)
    cell = tf.clip_by_value(tf.cast(s, tf.int32), 0, CELLS - 1)
    s -= tf.cast(cell, s.dtype)
    c = tf.gather(table, cell, axis=1, batch_dims=1)
    return tf.transpose(c[..., 0] + s * (c[..., 1] + s * (c[..., 2] + s * c[..., 3])))


def _made(distribution: Distribution) -> Any:
    return getattr(tfd, distribution.name)(**distribution.parameters)


def _sample_of(distribution: Distribution, key: Any, rows: int, columns: int) -> Any:
    """Independent samples, one a row; a distribution of one number is drawn for every column."""
    made = _made(distribution)
    scalar = made.batch_shape.rank + made.event_shape.rank == 0
    seed = tf.random.stateless_uniform((2,), key, minval=None, maxval=None, dtype=tf.int32)
    return made.sample((rows, columns) if scalar else (rows,), seed=seed)


def _k3_of(x: Any) -> Any:
    """r - 1 + l where l is x, as `mckl.exact.remainders.phi_of_minus` computes it."""
    less_one = tf.math.expm1(-x)
    near = -x * less_one * (0.5 + x * (1 / 12 - x * x / 720))
    return tf.where(tf.abs(x) < 2.0**-7, near, less_one + x)


_FUNCTIONS = {
    "half_square": lambda x: 0.5 * x * x,
    "ratio": lambda x: tf.math.expm1(-x),
    "k3": _k3_of,
}


def _with_sums(ell: Any, names: tuple[str, ...]) -> Any:
    """l and the sums over factors, shape (1 + sums, rows), from l_i of shape (rows, factors)."""
    values = [ell, *(_FUNCTIONS[name](ell) for name in names)]
    return tf.stack([tf.reduce_sum(v, axis=-1) if v.shape.rank > 1 else v for v in values])


def _log_ratios_of(numbers: Any, form: Any, names: tuple[str, ...]) -> Any:
    """Sums of log q - log p over the parts of a form, then the sums over their factors.

    The coordinates' densities are subtracted before they are added, so that D equal terms
    cancel one by one and not as two large sums.
    """
    sums = []
    for x, parts in zip(numbers, form, strict=True):
        for part in parts:
            q, p = _made(part.q), _made(part.p)
            points = tf.cast(x[:, part.start : part.stop], q.dtype)
            sums.append(_with_sums(q.log_prob(points) - p.log_prob(points), names))
    return tf.add_n(sums)


def _densities_of(numbers: Any, form: Any, signs: int, names: tuple[str, ...]) -> Any:
    """log q - log p of a form at points and, with two signs, at the points with the other sign."""
    points = (numbers, [-x for x in numbers])[:signs]
    return tf.stack([_log_ratios_of(x, form, names) for x in points], axis=1)


def _quadratic_of(g: Any, w: Any, form: Any, signs: int, names: tuple[str, ...]) -> Any:
    """The form of `mckl.families.normal.form` at (g, w) and, with two signs, at (-g, w)."""
    kl, square, linear, chi, dof, *shares = form
    even = kl + tf.reduce_sum(square * (g * g - 1.0), -1) + tf.reduce_sum(chi * (w - dof), -1)
    odd = tf.reduce_sum(linear * g, -1)
    rows = [tf.stack((even + odd, even - odd)[:signs])]
    if names:
        of_coordinate = shares[0] + square * (g * g - 1.0)
        points = (of_coordinate + linear * g, of_coordinate - linear * g)[:signs]
        rows += tf.unstack(tf.stack([_with_sums(x, names)[1:] for x in points], axis=1))
    return tf.stack(rows)


# XLA fuses elementwise arithmetic with its sum, 3 times as fast as the plain graph. It draws
# normals 3 times slower, though, and its normal quantile has no digits in the lower tail (-inf
# below 1e-16), so these stay with TensorFlow's own kernels.
_fused_densities = tf.function(_densities_of, jit_compile=True)
_fused_quadratic = tf.function(_quadratic_of, jit_compile=True)
_spline = tf.function(_spline_of, jit_compile=True)
_chisquares = tf.function(_chisquares_of)
_normal_quantiles = tf.function(tf.math.ndtri)


# Both functions return shape (1 + sums, signs, forms, rows).
def _densities_of_all(numbers: Any, forms: Any, signs: int, names: tuple[str, ...]) -> Any:
    numbers = [_drawn(x) for x in numbers]
    return tf.stack([_fused_densities(numbers, form, signs, names) for form in forms], axis=2)


def _quadratic_of_all(numbers: Any, forms: Any, signs: int, names: tuple[str, ...]) -> Any:
    g, w = (_drawn(x) for x in numbers)
    return tf.stack([_fused_quadratic(g, w, form, signs, names) for form in forms], axis=2)


_densities = tf.function(_densities_of_all)
_quadratic = tf.function(_quadratic_of_all)
_sample = tf.function(_sample_of)


def _constants(distribution: Distribution, dtype: str) -> Distribution:
    parameters = {k: tf.constant(v, dtype) for k, v in distribution.parameters.items()}
    return distribution._replace(parameters=parameters)


@lru_cache(maxsize=16)
def _tables(dof: tuple[float, ...]) -> Any:
    return tf.constant(np.stack([chisquare_of_normal(k).coefficients.T for k in dof]))


class TensorflowStream:
    """The random numbers of one replicate; draw number n has its own key.

    The key has 128 bits of the replicate's seed, with n added to the second 64 of them. TensorFlow
    scrambles it into the key and the counter of its Philox generator.
    """

    def __init__(self, seed: np.random.SeedSequence, dtype: str = "float64") -> None:
        self._seed = seed.generate_state(2, np.uint64)
        self._dtype = dtype
        self._draws = 0

    def _key(self) -> Any:
        key = self._seed + np.array([0, self._draws], np.uint64)
        self._draws += 1
        return tf.constant(key.view(np.int64))

    def normals(self, rows: int, columns: int) -> Any:
        return Normals(self._key(), rows, columns, self._dtype)

    def chisquares(self, rows: int, dof: Vector) -> Any:
        if not dof.size:
            return np.empty((rows, 0))
        # Every column has its own key, so that a draw of fewer rows gives the first rows.
        columns = [_chisquares(self._key(), tf.constant(k, self._dtype), rows) for k in dof]
        return tf.stack(columns, axis=1)

    # Quantiles are computed in float64 in any case, as a u close to 1 would round to 1 in float32.
    def normal_quantiles(self, u: Vector) -> Any:
        if not u.size:
            return np.empty(u.shape)
        return tf.cast(_normal_quantiles(tf.constant(u)), self._dtype)

    def chisquare_quantiles(self, u: Vector, dof: Vector) -> Any:
        """The quantiles by the spline; TFP's Chi2.quantile is 20 times slower, and as precise."""
        if not dof.size:
            return np.empty(u.shape)
        x = _normal_quantiles(tf.constant(u))
        return tf.cast(_spline(x, _tables(tuple(map(float, dof)))), self._dtype)

    def sample(self, law: Any, rows: int, columns: int) -> Any:
        distribution = _constants(law.tensorflow, self._dtype)
        alike = all(v.shape.rank == 0 for v in distribution.parameters.values())
        # Where parameters differ between columns, only a draw of a whole block gives the same rows.
        least = _VECTOR if alike else block_rows(columns)
        whole = -(-rows // least) * least
        return _sample(distribution, self._key(), whole, columns)[:rows]

    def quantiles(self, law: Any, u: Vector) -> Any:
        return tf.constant(law.quantile(u), self._dtype)


class TensorflowKernel:
    """Evaluates log density ratios block by block, and returns them as they are asked for."""

    def __init__(
        self,
        forms: Sequence[Form],
        signs: int,
        units: int | None = None,
        names: Sequence[str] = (),
        dtype: str = "float64",
    ) -> None:
        self._names = tuple(names)
        self._signs = signs
        self._units = units
        self._dtype = dtype
        self._numbers = forms[0].numbers
        self._rows = block_rows(self._numbers)
        self._mirror = forms[0].mirror
        self._step, self._forms = _compiled(forms, dtype, bool(names))
        self.restart()

    def restart(self) -> None:
        """Forget the units that are left, before another group of replicates."""
        self._evaluated: dict[int, int] = {}
        self._waiting: dict[int, Vector] = {}

    def evaluate(self, draws: Sequence[Draw], units: int) -> Vector:
        """l and the sums at the next `units` units.

        Shape (1 + sums, points per unit, forms, replicates, units).
        """
        out = np.empty((1 + len(self._names), self._signs, len(self._forms), len(draws), units))
        for replicate, draw in enumerate(draws):
            done = 0
            while done < units:
                waiting = self._waiting.get(replicate)
                if waiting is None or not waiting.shape[-1]:
                    waiting = self._block(draw, self._next_rows(replicate))
                take = min(units - done, waiting.shape[-1])
                out[..., replicate, done : done + take] = waiting[..., :take]
                self._waiting[replicate] = waiting[..., take:]
                done += take
        return out

    def _next_rows(self, replicate: int) -> int:
        """The number of rows of the next block; a short block has the first rows of a full one."""
        done = self._evaluated.get(replicate, 0)
        left = self._rows if self._units is None else self._units - done
        rows = min(self._rows, left) if left > 0 else self._rows
        self._evaluated[replicate] = done + rows
        return rows

    def _block(self, draw: Draw, rows: int) -> Vector:
        try:
            drawn: Any = draw(rows)  # tensors
            mirrored: Any = self._mirror(drawn) if self._signs == 2 else None
            numbers = [self._tensor(x) for x in drawn]
            if mirrored is None:
                return np.asarray(self._step(numbers, self._forms, self._signs, self._names))
            other = [self._tensor(x) for x in mirrored]
            sides = [self._step(x, self._forms, 1, self._names) for x in (numbers, other)]
            return np.concatenate(sides, axis=1)
        except (tf.errors.ResourceExhaustedError, MemoryError) as error:
            raise UserError(
                f"backends: tensorflow has no memory for {rows} samples of "
                f"{self._numbers} numbers: use a radial sampler, or give the job more memory"
            ) from error

    def _tensor(self, x: Any) -> Any:
        """The compiled step's argument: a tensor, or normals that it draws itself."""
        return x if isinstance(x, Normals) or tf.is_tensor(x) else tf.constant(x, self._dtype)


def sums(
    forms: Sequence[Form],
    points: PointSet,
    names: Sequence[str] = (),
    units: int | None = None,
    dtype: str = "float64",
) -> Replicates:
    """The TensorFlow backend (`mckl.draw.backends.Sums`)."""
    kernel = TensorflowKernel(forms, points.points, units, names, dtype)

    def replicates(keys: Sequence[np.random.SeedSequence]) -> Following:
        kernel.restart()
        # A form combines the arrays of a stream without looking at them, so tensors may do as well.
        streams = [cast("Stream", TensorflowStream(key, dtype)) for key in keys]
        draws = [points.start(s, forms[0], key) for s, key in zip(streams, keys, strict=True)]
        return partial(kernel.evaluate, draws)

    return replicates


def _compiled(forms: Sequence[Any], dtype: str, by_factor: bool) -> tuple[Any, list[Any]]:
    """The compiled step for forms of one shape, and its argument for each form."""
    parts = [form.parts() for form in forms]
    if None not in parts:
        arguments = [
            [[x._replace(q=_constants(x.q, dtype), p=_constants(x.p, dtype)) for x in term]
             for term in form]
            for form in parts
        ]  # fmt: skip
        return _densities, arguments
    # The two numbers of a radial group are not the coordinates of a point z, at which a density
    # could be evaluated, so log q - log p is evaluated as its quadratic form.
    fields = ("kl", "square", "linear", "chi", "dof", *(("shares",) if by_factor else ()))
    return _quadratic, [[tf.constant(getattr(f, x), dtype) for x in fields] for f in forms]


def registered_kl(pair: Any, dtype: str = "float64") -> float | None:
    """KL(q||p) in nats by the formula that TensorFlow Probability has registered for the two laws.

    None where it has registered none.
    """
    total = 0.0
    for times, q, p in pair.distributions() or ():
        try:
            kl = tfd.kl_divergence(_made(_constants(q, dtype)), _made(_constants(p, dtype)))
        except NotImplementedError:
            return None
        total += float(tf.reduce_sum(kl).numpy()) * times
    return total if pair.distributions() else None
