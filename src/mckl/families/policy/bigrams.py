"""Next-token tables fitted to a text: how often a character follows another."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from mckl.arrays import Vector
from mckl.families.policy.next_token import NextToken, check_states


class Bigrams(NamedTuple):
    """The characters of a text, and how often each follows each.

    characters  the characters that occur, in the order of their code points; they are the tokens
    table       the probabilities of the next character, given the one before it, shape (S, S)
    start       the relative frequency of each character, shape (S,)
    """

    characters: str
    table: NextToken
    start: Vector


def fit(text: Any) -> Bigrams:
    """The tables of a text, which is a string or an array of its characters' code points.

    Each row is smoothed by one observation that is spread evenly over all characters: the
    probability of y after x is (n_xy + 1/S) / (n_x + 1) with S characters. Raises ValueError for
    anything else, and for a text with fewer than two different characters.
    """
    if isinstance(text, str):
        text = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), dtype="<u4")
    try:
        points = np.asarray(text, dtype=np.int64).ravel()
        chr(points.min(initial=0)), chr(points.max(initial=0))  # ValueError if there is none
    except (TypeError, ValueError, OverflowError):
        raise ValueError("policy: text, expected a text or the path of one") from None
    characters, tokens, occurrences = np.unique(points, return_inverse=True, return_counts=True)
    if characters.size < 2:
        raise ValueError("policy: text, expected two different characters or more")
    states = characters.size
    check_states(states, "policy: text")
    pairs = np.bincount(tokens[:-1] * states + tokens[1:], minlength=states * states)
    counts = pairs.reshape(states, states) + 1.0 / states
    table = counts / counts.sum(axis=1, keepdims=True)
    return Bigrams(
        "".join(map(chr, characters)), NextToken(np.log(table), table), occurrences / points.size
    )
