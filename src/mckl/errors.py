"""Errors that take one line: mistakes of the user, and log density ratios that overflow."""


def one_line(text: str) -> str:
    """Text from wherever, as one line without characters that control a terminal."""
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in " ".join(text.split()))


class UserError(ValueError):
    """A mistake in what the user asked for; its one line names key, value and what was expected."""

    def __str__(self) -> str:
        return one_line(super().__str__())


class NotFiniteError(FloatingPointError):
    """A log density ratio that is infinite or NaN; `where` is its row of gaps.parquet."""

    def __init__(self, **where: object) -> None:
        self.where = where
        super().__init__(
            "log density ratio is not finite: "
            + ", ".join(f"{name} {value}" for name, value in where.items())
        )
