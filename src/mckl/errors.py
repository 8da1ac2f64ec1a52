"""Errors whose message is one line: a user's mistake, and a log density ratio that overflows."""

from collections.abc import Iterator
from contextlib import contextmanager
from decimal import InvalidOperation

from mckl.text import shortened

_LONGEST = 1000  # characters of a line


def one_line(text: str) -> str:
    """The text on one line, with characters that would control a terminal escaped.

    Words of more than 200 characters, which are somebody's input, are cut.
    """
    line = shortened(" ".join(map(shortened, text.split())), _LONGEST)
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in line)


class UserError(ValueError):
    """A user's mistake, or several; each line names the key, the value and what was expected."""

    @property
    def lines(self) -> list[str]:
        """A line for each mistake."""
        return [one_line(str(mistake)) for mistake in self.args]

    def __str__(self) -> str:
        return one_line("; ".join(self.lines))


@contextmanager
def within_float64() -> Iterator[None]:
    """Says in one line that numbers leave the range of float64, as those of extreme parameters."""
    try:
        yield
    except (OverflowError, ZeroDivisionError, InvalidOperation):
        raise UserError(
            "a parameter of q or p is too large or too small for float64: move it closer to 1"
        ) from None


class NotFiniteError(FloatingPointError):
    """A log density ratio is infinite or NaN; `where` becomes its row of gaps.parquet."""

    def __init__(self, **where: object) -> None:
        self.where = where
        super().__init__(
            "log density ratio is not finite: "
            + ", ".join(f"{name} {value}" for name, value in where.items())
        )
