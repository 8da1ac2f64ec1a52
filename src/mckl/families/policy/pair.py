"""Policies: Markov chains over tokens, such as a language model and the reference it is kept near.

A sample is a sequence of tokens after a start state, whose law q and p share. A sequence has
`dimension` tokens; with a stop token it ends when this is drawn, and has `dimension` tokens at
most. The log density ratio is the sum over tokens y, each after x, of log q(y | x) - log p(y | x).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mckl.arrays import Vector
from mckl.draw.form import Seconds
from mckl.draw.streams import generator
from mckl.exact.moments import Function
from mckl.families.base import About, Family, Integrals, OtherFamilyError, Pair, Side
from mckl.families.parameters import aliases, missing, parameter_numbers, shown_briefly
from mckl.families.policy.bigrams import fit
from mckl.families.policy.form import PolicyForm
from mckl.families.policy.law import ChainLaw, Transitions, direct
from mckl.families.policy.next_token import (
    NextToken,
    check_rows,
    check_states,
    read_table,
    transitions,
)  # fmt: skip
from mckl.families.policy.sampled_chain import (
    NEVER_DRAWN,
    SampledChain,
    lagging,
    sampled_chain,
    unsupported,
)
from mckl.families.policy.scores import MOST_STATES, ChainScores
from mckl.families.policy.token_means import TokenMeans, token_means

_ADD_UP = 1e-6  # how far the sum of the start law may be from 1
_MOST_DIRECT = 1e9  # the most tokens times table entries for which KL is summed by its definition
_TABLES = ("transitions", "logits", "text")
_SHARED = ("initial", "dimension", "stop")
# The seed of the tables of `policy(S)`, which depend on S alone.
_SEED = 20261124


class PolicyPair(Pair):
    """Policies q and p, cut to the tokens that can be reached from the start.

    transitions  q and p at the tokens that can be reached (`mckl.families.policy.law.Transitions`).
    stop         The index, among these tokens, of the one that ends a sequence; None without one.
    """

    mirrored = additive = False
    sums: frozenset[str] = frozenset(("half_square", "ratio", "k3", "rb"))
    seconds: Seconds = Seconds(11e-9, 0.0, 0.0, sample=15e-9)  # measured in policies.md

    def __init__(
        self, q: NextToken, p: NextToken, start: Vector, dimension: int, stop: int | None = None,
        difference: Vector | None = None,
    ) -> None:  # fmt: skip
        self._q, self._p, self._start, self._stop = q, p, start, stop
        self._difference = difference
        self.dimension = dimension
        self.family: str = f"policy({len(q.logits)})"
        if stop is not None:
            ends = np.full(len(q.logits), -math.inf)
            ends[stop] = 0.0
            q, p = q.replace_row(stop, ends), p.replace_row(stop, ends)
        reached = np.flatnonzero(_reachable(q.logits > -np.inf, start > 0))
        self._check(q, p, reached, stop)
        self.stop: int | None = None if stop is None else int(np.searchsorted(reached, stop))
        self.transitions: Transitions = transitions(q, p, start, difference).of(reached)

    def _check(
        self, q: NextToken, p: NextToken, reached: NDArray[np.intp], stop: int | None
    ) -> None:
        wrong = (q.logits > -np.inf) & (p.logits == -np.inf)
        wrong = wrong[reached]
        if wrong.any():
            row, token = np.argwhere(wrong)[0]
            raise ValueError(
                f"policy: p is 0 for token {token} after token {reached[row]}, counted from 0, "
                "where q is not: KL is infinite"
            )
        if stop is None:
            return
        ends = np.zeros(len(q.logits), dtype=bool)
        ends[stop] = True
        stops = _reachable((q.logits > -np.inf).T, ends)[reached]
        if not stops.all():
            token = reached[int(np.argmin(stops))]
            raise ValueError(
                f"policy: q never stops: token {stop} cannot follow token {token}, counted from 0"
            )

    def _law(self) -> ChainLaw:
        return ChainLaw(self.transitions, self.dimension)

    @cached_property
    def scores(self) -> ChainScores | None:
        """The scores in the logits of q's table; None for tables with too many parameters."""
        transitions = self.transitions
        if transitions.start.size > MOST_STATES:
            return None
        return ChainScores(
            transitions.start, transitions.q, transitions.ell, self.dimension, transitions.kl
        )

    @property
    def reverse_kl(self) -> float:
        if (self.transitions.missed > 0).any():
            return math.inf
        return self.reversed().law.kl

    def reversed(self) -> PolicyPair:
        return PolicyPair(self._p, self._q, self._start, self.dimension, self._stop)

    def integrals(self) -> Integrals:
        if self.dimension * self.transitions.q.size > _MOST_DIRECT:
            return Integrals(math.nan, math.nan)
        transitions = self.transitions
        with np.errstate(invalid="ignore", over="ignore"):
            square = np.where(
                transitions.q > 0, transitions.q * np.exp(-2.0 * transitions.ell), 0.0
            )  # p^2 / q
            weight = transitions.start
            for _ in range(self.dimension):
                weight = weight @ square
        return Integrals(*direct(transitions, self.dimension), chi_square=float(weight.sum()) - 1.0)

    def per_token(self, name: str = "ell") -> TokenMeans:
        """The exact means of estimates that divide a sum over tokens by the sequence's length.

        Parameters
        ----------
        name
            The sum: ``ell``, ``half_square``, ``ratio``, ``k3`` or ``rb``.

        Returns
        -------
        TokenMeans
            Nats per token, and the mean length in tokens
            (`mckl.families.policy.token_means.TokenMeans`).

        >>> from mckl.families.registry import case_pair
        >>> q, p = [[0.5, 0.5], [0, 1]], [[0.8, 0.2], [0, 1]]
        >>> q, p = ({"family": "policy", "transitions": table} for table in (q, p))
        >>> found = case_pair({"q": q, "p": p, "dimension": 50, "stop": 1}).per_token()
        >>> round(found.mean_length, 6), round(found.per_token, 6), round(found.sequence_mean, 6)
        (2.0, 0.223144, 0.490902)
        """
        transitions = self.transitions
        table = transitions.table(Function(name)).values.value
        total = self.law.sums((Function(name),), False, 1).at(1).value
        return token_means(
            transitions.q, table, transitions.start, self.dimension, self.stop, total
        )

    def form(self) -> PolicyForm:
        return PolicyForm(self.transitions, self.dimension, self.stop)

    def sampled(self, s: Side) -> SampledChain:
        if not isinstance(s, Policy):
            raise OtherFamilyError(f"q is policy, s is {s.family}: expected one family")
        if len(s.table.logits) != len(self._q.logits):
            raise ValueError(
                f"policy: q has {len(self._q.logits)} tokens and s has {len(s.table.logits)}, "
                "expected the same number"
            )
        for name, own in (("dimension", self.dimension), ("stop", self._stop)):
            if getattr(s, name) not in (None, own):
                raise ValueError(f"policy: {name} of q and s differ, expected it once, for both")
        if s.initial is not None and not np.array_equal(s.initial, self._start):
            raise ValueError("policy: initial of q and s differ, expected it once, for both")
        check_rows("s", s.table, self._stop)
        return self._sampled(s.table)

    def lagging(self, lag: float) -> SampledChain:
        return self._sampled(*lagging(self._q, lag))

    def _sampled(self, s: NextToken, q_less_s: Vector | None = None) -> SampledChain:
        q, p, ended = self._q, self._p, np.zeros(len(s.logits), dtype=bool)
        if self._stop is not None:
            ended[self._stop] = True
            ends = np.where(ended, 0.0, -math.inf)
            q, p, s = (side.replace_row(self._stop, ends) for side in (q, p, s))
            if q_less_s is not None:
                q_less_s = np.where(ended[:, None], 0.0, q_less_s)
        reached = np.flatnonzero(_reachable(s.logits > -np.inf, self._start > 0))
        for name, other in (("s", s), ("p", p)):
            wrong = unsupported(q, other, reached)
            if wrong is not None:
                why = NEVER_DRAWN if name == "s" else "KL is infinite"
                raise ValueError(
                    f"policy: {name} is 0 for token {wrong[1]} after token {wrong[0]}, counted "
                    f"from 0, where q is not: {why}"
                )
        return sampled_chain(
            q, p, s, self._start, self.dimension, reached, ended, self._difference, q_less_s
        )


def _reachable(steps: NDArray[np.bool_], states: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The states that can be reached from `states`, in any number of steps."""
    reached = states
    while True:
        more = reached | steps[reached].any(axis=0)
        if (more == reached).all():
            return reached
        reached = more


@dataclass(frozen=True, eq=False)
class Policy(Side):
    """One side of a pair of policies, q or p, with its own parameters and those that are shared.

    table                     The laws of the next token.
    initial, dimension, stop  The shared parameters as a case gives them; None where this side does
                              not give them.
    characters                The characters that the tokens stand for, if the table is fitted to a
                              text; else None.
    fitted                    The start law of a table that is fitted to a text; else None.
    """

    table: NextToken
    initial: Vector | None = None
    dimension: int | None = None
    stop: int | str | None = None
    characters: str | None = None
    fitted: Vector | None = None
    family = "policy"

    def against(self, p: Side) -> PolicyPair:
        """The pair of this q and a policy p over as many tokens; ValueError if they do not fit."""
        if not isinstance(p, Policy):
            raise ValueError(f"q is policy, p is {p.family}: expected one family")
        states = len(self.table.logits)
        if len(p.table.logits) != states:
            raise ValueError(
                f"policy: q has {states} tokens and p has {len(p.table.logits)}, expected one "
                "number"
            )
        if self.characters and p.characters and self.characters != p.characters:
            raise ValueError("policy: the texts of q and p do not have the same characters")
        for name in _SHARED:
            if getattr(p, name) is not None and not np.array_equal(
                getattr(self, name), getattr(p, name)
            ):
                raise ValueError(f"policy: {name} of q and p differ, expected it once, for both")
        if self.dimension is None:
            raise missing("policy", "dimension, the number of tokens,")
        stop = self._stop_token(self.characters or p.characters)
        start = self._start(stop, self.fitted if self.fitted is not None else p.fitted)
        check_rows("q", self.table, stop)
        check_rows("p", p.table, stop)
        return PolicyPair(self.table, p.table, start, self.dimension, stop)

    def _stop_token(self, characters: str | None) -> int | None:
        states = len(self.table.logits)
        if self.stop is None:
            return None
        if isinstance(self.stop, str):
            if characters and len(self.stop) == 1 and self.stop in characters:
                return characters.index(self.stop)
            character = "a character of the text or " if characters else ""
        else:
            if 0 <= self.stop < states:
                return self.stop
            character = ""
        raise ValueError(
            f"policy: stop {self.stop!r}, expected {character}a token from 0 to {states - 1}"
        )

    def _start(self, stop: int | None, fitted: Vector | None) -> Vector:
        states = len(self.table.logits)
        start = self.initial
        if start is None:
            start = np.ones(states) if fitted is None else fitted.copy()
            if stop is not None:
                start[stop] = 0.0
            if not start.any():
                raise ValueError("policy: the only token is the stop token, so no sequence has any")
            return np.asarray(start / start.sum())
        if start.size != states:
            raise ValueError(f"policy: initial has {start.size} numbers, expected {states}")
        if abs(float(start.sum()) - 1.0) > _ADD_UP:
            raise ValueError(f"policy: initial adds up to {start.sum():.10g}, expected 1")
        if stop is not None and start[stop] > 0:
            raise ValueError(
                f"policy: initial is {start[stop]:g} at the stop token {stop}: a sequence of "
                "length 0, expected 0 there"
            )
        return np.asarray(start / start.sum())


def _whole(name: str, value: Any, least: int, expected: str) -> int:
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        number = math.nan
    if isinstance(value, bool) or not (number.is_integer() and number >= least):
        raise ValueError(f"policy: {name} {shown_briefly(value)}, expected {expected}")
    return int(number)


def _side(given: Mapping[str, Any]) -> Policy:
    tables = [name for name in _TABLES if name in given]
    if len(tables) != 1:
        raise ValueError("policy: expected one of transitions, logits and text")
    characters = fitted = None
    if tables == ["text"]:
        characters, table, fitted = fit(given["text"])
    else:
        table = read_table(tables[0], given[tables[0]])
    if "temperature" in given:
        temperature = parameter_numbers("policy", "temperature", given["temperature"], above=0.0)
        if temperature.ndim:
            raise ValueError("policy: temperature, expected one number")
        table = table.at(float(temperature))
    if "top_k" in given:
        table = table.most_likely(_whole("top_k", given["top_k"], 1, "a number of tokens"))
    if "top_p" in given:
        share = parameter_numbers("policy", "top_p", given["top_p"], above=0.0, most=1.0)
        if share.ndim:
            raise ValueError("policy: top_p, expected one number")
        table = table.nucleus(float(share))
    initial = dimension = stop = None
    if "initial" in given:
        initial = np.atleast_1d(parameter_numbers("policy", "initial", given["initial"], least=0.0))
    if "dimension" in given:
        dimension = _whole("dimension", given["dimension"], 1, "a number of tokens, 1 or more")
    if given.get("stop") is not None:
        stop = given["stop"]
        if not isinstance(stop, str):
            stop = _whole("stop", stop, 0, "a token, counted from 0")
    return Policy(table, initial, dimension, stop, characters, fitted)


def _sweep(shapes: Sequence[float], dimension: int, scale: float, offset: float) -> PolicyPair:
    """The pair with logits G + offset H for q and G / scale for p; G and H depend on S alone."""
    states = _whole("states", shapes[0], 2, "policy(S) with 2 states or more")
    check_states(states, f"policy({states})")
    G, H = generator(_SEED, "policy", states).standard_normal((2, states, states))
    difference = G * ((scale - 1.0) / scale) + offset * H
    return PolicyPair(
        NextToken(G + offset * H), NextToken(G / scale), np.full(states, 1.0 / states), dimension,
        difference=difference,
    )  # fmt: skip


POLICY = Family(
    "policy",
    ("states",),
    {
        "transitions": "the probabilities of the next token, one row a token; rows add up to 1",
        "logits": "their logarithms, up to a constant a row",
        "text": "a text whose characters are the tokens; its pairs of characters make the table",
        "temperature": "what logits are divided by; 1 unless given",
        "top_k": "how many of the likeliest tokens are kept",
        "top_p": "only the likeliest tokens are kept, with this probability together or more",
    },
    _side,
    _sweep,
    {
        "initial": "the law of the state before the first token; uniform unless given",
        "dimension": "the number of tokens, with a stop token the most there can be",
        "stop": "the token that ends a sequence; none unless given",
    },
    aliases=aliases(transitions="transition transition_matrix probabilities probs"),
    sequential=True,
    about=About(
        "sequences of tokens",
        "all; p must be positive where q is",
        "Markov chain over tokens (transfer matrices)",
    ),
)
