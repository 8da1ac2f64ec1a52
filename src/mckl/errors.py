"""Mistakes that a user can make and mend."""


class UserError(Exception):
    """A mistake in what the user asked for; its one line names key, value and what was expected."""
