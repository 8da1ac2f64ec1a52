"""Checks rows of log-probabilities, and computes l of each row, block by block."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple, NoReturn

import numpy as np

from mckl.arrays import Vector
from mckl.errors import UserError

# Rows of a block. Fewer would spend more time in Python calls, more would not stay in cache.
ROWS = 2**16
# The columns with a number for each row.
VALUES = ("log_q", "log_p", "log_ratio", "log_sampler", "full_kl")


class RowError(UserError):
    """What is wrong with a value of a column; `row` is its row in the piece, counted from 0."""

    name: str
    row: int
    why: str

    def __init__(self, name: str, row: int, why: str) -> None:
        self.name, self.row, self.why = name, row, why
        super().__init__(f"{name}: row {row} {why} (rows count from 0)")


class Block(NamedTuple):
    """Consecutive rows; each field has shape (rows,).

    ell         log q - log p, in nats
    sequence    the id of each row's sequence, of any type that compares; None without sequences
    log_weight  log q - log s if the samples are of another law s; None if they are of q
    full_kl     KL(q(. | before) || p(. | before)) of each row's token, in nats; None if not given
    cluster     the id of each row's cluster, within which sequences depend on each other; None if
                all sequences, or samples, are independent
    """

    ell: Vector
    sequence: Any = None
    log_weight: Vector | None = None
    full_kl: Vector | None = None
    cluster: Any = None


def blocks(columns: Iterable[Mapping[str, Any]]) -> Iterator[Block]:
    """The blocks of the data, which come as pieces: mappings of columns by name.

    The columns are `log_q` and `log_p`, or `log_ratio`; and, if they are given, `sequence`,
    `cluster`, `log_sampler` and `full_kl`. Raises `RowError` for a value that a sample of q cannot
    have.
    """
    for before, given in _cut(columns):
        real = {name: np.asarray(given[name], np.float64) for name in VALUES if name in given}
        for name, values in real.items():
            if not np.isfinite(values).all():
                _refuse(name, values, before)
            if name in _MASKED:
                _refuse_masked(name, values, before, "sequence" in given)
        ell = real["log_ratio"] if "log_ratio" in real else real["log_q"] - real["log_p"]
        if "full_kl" in real and real["full_kl"].min(initial=0.0) < -1e-6:
            row = int(np.argmin(real["full_kl"]))
            why = f"is {real['full_kl'][row]:g}, and no KL is negative"
            raise RowError("full_kl", before + row, why)
        weight = real["log_q"] - real["log_sampler"] if "log_sampler" in real else None
        ids, clusters = (ids_of(name, given.get(name), before) for name in ("sequence", "cluster"))
        yield Block(ell, ids, weight, real.get("full_kl"), clusters)


def _cut(columns: Iterable[Mapping[str, Any]]) -> Iterator[tuple[int, Mapping[str, Any]]]:
    """Parts of the pieces, each with the number of the piece's rows before it."""
    for piece in columns:
        rows = len(next(iter(piece.values())))
        for start in range(0, rows, ROWS):
            yield start, {name: column[start : start + ROWS] for name, column in piece.items()}


def ids_of(name: str, ids: Any, before: int = 0) -> Any:
    """The ids of sequences, clusters or groups; raises `RowError` where a row has none."""
    if ids is None:
        return None
    ids = np.asarray(ids)
    lacks = ids != ids if ids.dtype.kind == "f" else np.zeros(ids.size, bool)
    if ids.dtype == object:
        lacks = np.array([i is None or i != i for i in ids.tolist()], bool)
    if lacks.any():
        raise RowError(name, before + int(np.argmax(lacks)), "has no id")
    return ids


_INFINITE = "KL is infinite where p = 0 and q > 0"
# The meaning of an infinite value, by column: first for -inf, then for inf.
_MEANINGS = {
    "log_q": ("a sample of q cannot have q = 0", "expected finite numbers"),
    "log_p": (_INFINITE, "expected finite numbers"),
    "log_ratio": ("a sample of q cannot have q = 0", _INFINITE),
    "log_sampler": ("no sample can have the probability 0", "expected finite numbers"),
    "full_kl": ("no KL is negative", "KL is infinite, whatever the samples say"),
}


# A masked logit is often not -inf but one of these, or lower than any token's log-probability.
_MASKED = {"log_q": "a sample of q cannot have q = 0", "log_p": _INFINITE}
_NO_TOKEN, _LOWEST = -1e4, (np.finfo(np.float32).min, np.finfo(np.float64).min)


def _refuse_masked(name: str, values: Vector, before: int, tokens: bool) -> None:
    """Raise `UserError` for a value that stands for a masked logit."""
    row = int(np.argmin(values))
    value = float(values[row])
    if value > _NO_TOKEN:
        return
    # Rounding and the log normaliser move a power of ten such as -1e9 by little.
    power = 10.0 ** round(math.log10(-value))
    if tokens or value in _LOWEST or (power >= 1e8 and abs(value + power) < 1e-7 * power):
        raise RowError(name, before + row, f"is {value:g}, as of a masked logit: {_MASKED[name]}")


def _refuse(name: str, values: Vector, before: int) -> NoReturn:
    row = int(np.argmin(np.isfinite(values)))
    value = values[row]
    meaning = "" if np.isnan(value) else _MEANINGS[name][int(value > 0)]
    raise RowError(name, before + row, f"is {value:g}: {meaning}" if meaning else "is not a number")
