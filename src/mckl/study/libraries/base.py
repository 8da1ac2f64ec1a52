"""The description of a library's KL: the formula, what it is used for, and where it is written."""

from __future__ import annotations

from typing import Literal, NamedTuple

from mckl.study.libraries.formula import Formula

# How the library averages over the tokens of a batch.
BATCH_TOKENS = "mean over the batch's tokens"
SEQUENCE_MEANS = "mean of the sequences' means"
SEQUENCE_SUMS = "sum over each sequence"
EACH_TOKEN = "each token by itself"

# What is differentiated: only the value; the value times a ratio of the policy to itself, which has
# the value 1 and the score as its gradient; that product, clamped, so that neither factor has a
# gradient where a clamp acts; k2 instead of the value; the value in the logits of p, where p is
# trained and q only draws; or nothing (metric, reward).
Differentiated = Literal[
    "value", "value and ratio", "value and ratio, clamped", "k2", "value in p", "nothing"
]


class Use(NamedTuple):
    """One formula of a library in one role.

    used_as         `metric` (logged), `reward` (subtracted from rewards or advantages) or `loss`.
    formula         The function of l = log q - log p, where q is the law that drew the tokens.
    source          The file and the lines in the library's repository or package.
    averaged        How the values of tokens and sequences are averaged.
    default         Whether the library computes this in this role by default; the role itself may
                    be off by default.
    differentiated  The quantity whose gradient the loss uses.
    note            Further facts, in words.
    """

    used_as: Literal["metric", "reward", "loss"]
    formula: Formula
    source: str
    averaged: str
    default: bool = True
    differentiated: Differentiated = "nothing"
    note: str = ""


class Library(NamedTuple):
    """A library, in the version that was read.

    name     The name, as its authors write it.
    version  The version that the source states.
    source   The repository, or the package if the package was read.
    commit   The commit that was read; empty for a package.
    date     The date of the commit or the package, in ISO 8601.
    uses     The formulas in their roles.
    """

    name: str
    version: str
    source: str
    commit: str
    date: str
    uses: tuple[Use, ...]

    def cited(self, use: Use) -> str:
        """Where a use is written: repository, commit or version, date, file and lines."""
        place = f"{self.source} {self.version}"
        return f"{place}{f' ({self.commit})' if self.commit else ''}, {self.date}, {use.source}"
