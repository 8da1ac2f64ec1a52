"""What a library computes as a KL: the formula, what it is used as, and where that is written."""

from __future__ import annotations

from typing import Literal, NamedTuple

from mckl.study.libraries.formula import Formula

# How the library makes one number of a batch's tokens.
BATCH_TOKENS = "mean over the batch's tokens"
SEQUENCE_MEANS = "mean of the sequences' means"
SEQUENCE_SUMS = "sum over each sequence"
EACH_TOKEN = "each token by itself"

# What is differentiated: the value alone; the value times a ratio of the policy to itself, whose
# value is 1 and whose gradient is the score; k2 in the value's place; nothing (metric, reward).
Differentiated = Literal["value", "value and ratio", "k2", "nothing"]


class Use(NamedTuple):
    """One formula of a library in one role.

    Attributes
    ----------
    used_as
        `metric` (logged), `reward` (subtracted from rewards or advantages) or `loss`.
    formula
        What is computed of l = log q - log p, q being the law that drew the tokens.
    source
        File and lines, of the library's repository or package.
    averaged
        How tokens and sequences are put together.
    default
        Whether it is what the library computes in this role unless it is told otherwise; the role
        itself may be off by default.
    differentiated
        What the loss's gradient is taken of.
    note
        What else there is to know, in words.
    """

    used_as: Literal["metric", "reward", "loss"]
    formula: Formula
    source: str
    averaged: str
    default: bool = True
    differentiated: Differentiated = "nothing"
    note: str = ""


class Library(NamedTuple):
    """A library as it was read.

    Attributes
    ----------
    name
        As its authors write it.
    version
        What the source calls itself.
    source
        The repository, or the package where that was read.
    commit
        The commit that was read; empty for a package.
    date
        Of the commit or the package, ISO 8601.
    uses
        The formulas.
    """

    name: str
    version: str
    source: str
    commit: str
    date: str
    uses: tuple[Use, ...]

    def cited(self, use: Use) -> str:
        """Where a use is written: repository, commit or version, date, file and lines."""
        at = f"{self.source} {self.version}"
        return f"{at}{f' ({self.commit})' if self.commit else ''}, {self.date}, {use.source}"
