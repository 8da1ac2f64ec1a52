"""Mistakes that a user can make and mend."""


def one_line(text: str) -> str:
    """Text from wherever, as one line without characters that control a terminal."""
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in " ".join(text.split()))


class UserError(Exception):
    """A mistake in what the user asked for; its one line names key, value and what was expected."""

    def __str__(self) -> str:
        return one_line(super().__str__())
