"""Gradient estimates from simulated samples, at several numbers of samples."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from mckl.arrays import Vector
from mckl.estimation.gradients.base import Method, Totals
from mckl.families.scores import Scores

_AT_ONCE = 2**21  # random numbers that are drawn at a time, to keep memory small


def gradient_checkpoints(samples: int) -> list[int]:
    """The numbers of samples at which estimates are recorded: powers of 4, and the last."""
    powers = (4**k for k in range(1, samples.bit_length()))
    return [*(n for n in powers if n < samples), samples]


def simulate(
    scores: Scores,
    methods: Sequence[Method],
    generator: np.random.Generator,
    replicates: int,
    checkpoints: Sequence[int],
) -> Iterator[tuple[Method, int, Vector]]:
    """The estimates of all methods from the same samples.

    Parameters
    ----------
    scores
        The law of the score, which draws samples.
    methods
        The gradient estimators.
    generator
        The generator of random numbers.
    replicates
        The number of independent repetitions.
    checkpoints
        The numbers of samples at which estimates are returned, ascending.

    Yields
    ------
    A method, a number of samples n in `checkpoints`, and the method's estimates over the first n
    samples of every replicate, shape (replicates, parameters), with one entry for each single
    parameter.
    """
    most = max(_AT_ONCE // (replicates * scores.factors), 1)
    own = {m.name: np.zeros(1) for m in methods if m.baseline is None}
    baseline = any(m.baseline for m in methods)
    totals = Totals(0, *(np.zeros(1),) * 3)
    done = 0
    for n in checkpoints:
        while done < n:
            samples = min(most, n - done)
            draws = scores.draws(generator, replicates, samples)
            for m in methods:
                if m.baseline is None:
                    own[m.name] = own[m.name] + m.form.sums(draws, scores)
            done += samples
            if baseline:
                # KL is subtracted first, as the difference of two sums would lose digits to it.
                ell = draws.ell.sum(axis=-1, keepdims=True) - scores.kl
                totals = Totals(
                    done,
                    totals.ell + ell.sum(axis=(1, 2)),
                    totals.score + draws.scored(np.ones((1, 1, 1))),
                    totals.product + draws.scored(ell),
                )
        for m in methods:
            if n < m.least_samples:
                continue
            yield m, n, totals.with_baseline(m.baseline) if m.baseline else own[m.name] / n
