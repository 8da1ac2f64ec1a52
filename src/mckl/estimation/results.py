"""The base class of answers: frozen objects with a text, a dictionary and tables."""

from __future__ import annotations

import html
import math
import shutil
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    import pandas as pd

DASH = "–"  # a cell of a table for which there is no number
_LEAST_WIDTH, _WIDTH = 16, 120  # characters of a table's last column, and of a line in a file


class Strong(str):
    """A line of text that a terminal shows bold."""

    __slots__ = ()


class Table(NamedTuple):
    """A table of texts; `chosen` is the row that is recommended, if there is one."""

    header: Sequence[str]
    rows: Sequence[Sequence[str]]
    chosen: Sequence[str] | None = None

    def lines(self, left: Sequence[str] = (), most: int = _WIDTH) -> Iterator[str]:
        """The table as text; the first column, and those named, are aligned left.

        Where a line would be wider than the terminal, or than `most` characters, the last column is
        wrapped, if it is left.
        """
        last = len(self.header) - 1
        widths = [max(map(len, column)) for column in zip(self.header, *self.rows, strict=True)]
        if self.header[last] in left:
            screen = min(shutil.get_terminal_size((most, 0)).columns, most)
            widths[last] = max(screen - sum(widths[:last]) - 2 * last, _LEAST_WIDTH)
        for row in (self.header, *self.rows):
            wrapped = textwrap.wrap(row[last], widths[last]) or [""]
            for i, part in enumerate(wrapped):
                cells = [*row[:last], part] if i == 0 else [*[""] * last, part]
                line = "  ".join(
                    cell.ljust(width) if name in (self.header[0], *left) else cell.rjust(width)
                    for name, cell, width in zip(self.header, cells, widths, strict=True)
                ).rstrip()
                yield Strong(line) if row is self.chosen else line


class Result:
    """The methods that all answers have; subclasses are frozen dataclasses."""

    def to_dict(self) -> dict[str, Any]:
        """The fields as plain data for JSON, with None in place of NaN and inf."""
        shown = [f.name for f in fields(self) if f.repr]  # type: ignore[arg-type]
        return {name: plain_data(getattr(self, name)) for name in shown}

    def lines(self) -> Iterator[str]:
        """The answer as lines of text."""
        raise NotImplementedError

    def table(self) -> Table:
        """The answer's table, as texts."""
        raise NotImplementedError

    def __repr__(self) -> str:
        return "\n".join(self.lines())

    def _repr_html_(self) -> str:
        header, rows, _ = self.table()
        first = html.escape(next(iter(self.lines())))
        head = "".join(f"<th>{html.escape(name)}</th>" for name in header)
        body = "".join(
            "<tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in row) + "</tr>"
            for row in rows
        )
        return f"<p>{first}</p><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def plain_data(value: Any) -> Any:
    """A value of a field as plain data for JSON; None for NaN and inf."""
    if hasattr(value, "to_dict"):
        return value.to_dict()
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if hasattr(value, "_asdict"):
        value = value._asdict()
    if isinstance(value, Mapping):
        return {key: plain_data(inner) for key, inner in value.items()}
    if isinstance(value, (tuple, list)):
        return [plain_data(inner) for inner in value]
    return value


def ends(interval: tuple[float, float] | None, digits: int = 6, missing: str = "withheld") -> str:
    """An interval as text; `missing` if there is none."""
    return missing if interval is None else " to ".join(f"{end:.{digits}g}" for end in interval)


def frame(rows: Sequence[Any]) -> pd.DataFrame:
    """A data frame with a column for each field of the named tuples in `rows`."""
    import pandas as pd

    return pd.DataFrame([row._asdict() for row in rows], columns=rows[0]._fields)
