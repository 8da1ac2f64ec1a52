"""Finds the columns of a file that are a parameter of q or p, such as its standard deviations."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from mckl.arrays import Vector
from mckl.errors import UserError
from mckl.record.columns import NamedColumns, open_columns
from mckl.text import listed

_Form = Callable[[Vector], Vector] | None
# The names of a quantity's columns, each with the function that converts it. A standard deviation
# may also be given by its square or, as encoders do, by the logarithm of its square.
_FORMS: Mapping[str, Mapping[str, _Form]] = {
    "mean": {"mean": None},
    "sd": {"sd": None, "var": np.sqrt, "logvar": lambda logvar: np.exp(0.5 * logvar)},
}


def read_vector(path: str, name: str) -> Vector:
    """The vector `name` (``q_mean``, ``q_sd``, ``p_mean`` or ``p_sd``) in a file, shape (D,).

    It is found as `read_parameter` says. In a file without names it is the only row or column.

    Raises `UserError` for a file that has no such column or several, or that is missing or damaged.
    """
    return _flat(path, read_parameter(path, *name.split("_")))


def read_parameter(path: str, side: str, name: str) -> Vector:
    """The parameter `name` of one side (``q`` or ``p``) in a file: a vector or a square matrix.

    It is the column or array with this name, with or without the side (``q_sd``, ``sd``; for a
    standard deviation also ``var`` or ``logvar``), or else all columns of numbers: one column is a
    vector, and for parameters other than means and standard deviations as many columns as rows are
    a square matrix. A single number has shape (1,).

    Raises `UserError` for a file with anything else, or that is missing or damaged.
    """
    content = open_columns(path)
    if isinstance(content, NamedColumns):
        named = _named(path, content, side, name)
        if named is not None and named[1] is not None:
            return _read(path, content, [named])[0]
        chosen = _unnamed(content) if named is None else [named[0]]
        columns = [] if name in _FORMS and len(chosen) > 1 else content.read(chosen)
        if len({column.shape for column in columns}) != 1:
            what = "only one that holds" if name in _FORMS else "columns of one length that hold"
            raise UserError(
                f"{path}: columns {_listed(content.names)}, expected one named {_either(name)}, or "
                f"{what} numbers"
            )
        content = columns[0] if len(columns) == 1 else np.stack(columns, axis=-1)
    if content.size > 1 and content.ndim == 2 and content.shape[0] == content.shape[1]:
        return content
    if max(content.shape, default=1) != content.size:
        raise UserError(f"{path}: shape {content.shape}, expected one vector or a square matrix")
    return content.reshape(-1)


def read_gaussian(path: str, side: str) -> tuple[Vector, Vector]:
    """The means and the standard deviations of one side (``q`` or ``p``), each of shape (D,).

    They are the columns with the names that `read_vector` accepts, or an array of shape (D, 2)
    without names. An array of shape (2, 2) is refused, since its rows might be the vectors.

    Raises `UserError` as `read_vector` does.
    """
    columns = open_columns(path)
    if isinstance(columns, NamedColumns):
        mean, sd = (_named(path, columns, side, quantity) for quantity in _FORMS)
        if mean is not None and sd is not None:
            first, second = _read(path, columns, [mean, sd])
            return first, second
        if len(columns.names) != 1 or _is_quantity(columns.names[0]):
            raise UserError(
                f"{path}: columns {_listed(columns.names)}, expected one named mean and one named "
                f"{_either('sd')}"
            )
        (columns,) = columns.read([0])
    if columns.shape == (2, 2):
        raise UserError(
            f"{path}: 2 x 2 numbers without names, whose rows or columns might be mean and sd: "
            "name them, as a header in a .csv or arrays in an .npz file"
        )
    if columns.ndim != 2 or columns.shape[1] != 2:
        raise UserError(
            f"{path}: shape {columns.shape}, expected (D, 2), a mean and an sd in each row, "
            "or columns with names"
        )
    return np.ascontiguousarray(columns[:, 0]), np.ascontiguousarray(columns[:, 1])


def _unnamed(table: NamedColumns) -> list[int]:
    """The columns of numbers whose names are neither those of a quantity nor of an index."""
    return [
        i for i, (name, numeric) in enumerate(zip(table.names, table.numeric, strict=True))
        if numeric and not _is_index(name) and not _is_quantity(name)
    ]  # fmt: skip


def _named(path: str, table: NamedColumns, side: str, quantity: str) -> tuple[int, _Form] | None:
    """The position and the form of the one column named for a quantity; None if there is none."""
    named = [
        (i, form)
        for word, form in _FORMS.get(quantity, {quantity: None}).items()
        for i, name in enumerate(table.names)
        if name in (word, f"{side}_{word}")
    ]
    if len(named) > 1:
        names = _listed([table.names[i] for i, _ in named])
        raise UserError(f"{path}: columns {names}, expected one of them")
    return named[0] if named else None


def _read(path: str, table: NamedColumns, named: Sequence[tuple[int, _Form]]) -> list[Vector]:
    """The columns, converted from their form to means or standard deviations."""
    columns = [_flat(path, column) for column in table.read([i for i, _ in named])]
    return [
        column if form is None else _sd(f"{path}: {table.names[i]}", column, form)
        for (i, form), column in zip(named, columns, strict=True)
    ]


def _sd(source: str, column: Vector, form: Callable[[Vector], Vector]) -> Vector:
    with np.errstate(all="ignore"):
        sd = form(column)
    for met, expected in ((np.isfinite(sd), "finite"), (sd > 0, "above 0")):
        if not met.all():
            first = int(np.argmin(met))
            raise UserError(
                f"{source}: number {first + 1} of {sd.size} is {column[first]:g}, which gives no "
                f"standard deviation that is {expected}"
            )
    return sd


def _flat(path: str, array: Vector) -> Vector:
    if max(array.shape, default=1) != array.size:
        raise UserError(f"{path}: shape {array.shape}, expected one vector")
    return array.reshape(-1)


def _is_index(name: str) -> bool:
    """Whether this is the column in which pandas or R number the rows."""
    return not name or name.startswith("__index_level_")


def _is_quantity(name: str) -> bool:
    return any(name.removeprefix("q_").removeprefix("p_") in forms for forms in _FORMS.values())


def _either(quantity: str) -> str:
    return listed(_FORMS.get(quantity, [quantity]), "or")


def _listed(names: Sequence[str]) -> str:
    shown = [" ".join(name.split())[:20] or "''" for name in names[:6]]
    return ", ".join(shown) + (", ..." if len(names) > 6 else "")
