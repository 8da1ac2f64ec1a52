"""What is told in one line: mistakes that a user can make and mend, and numbers that no one can."""


class UserError(Exception):
    """A mistake in what the user asked for; its one line names key, value and what was expected."""


class NotFiniteError(FloatingPointError):
    """A log density ratio that is infinite or NaN; `where` is its row of gaps.parquet."""

    def __init__(self, **where: object) -> None:
        self.where = where
        super().__init__(
            "log density ratio is not finite: "
            + ", ".join(f"{name} {value}" for name, value in where.items())
        )
