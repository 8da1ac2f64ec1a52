"""k1 as a loss. The derivative of l at fixed samples is the score, whose mean is 0."""

from mckl.estimation.gradients.base import Method, Whole
from mckl.estimation.gradients.integrands import K1, slope

K1_LOSS = Method("k1-loss", "k1 as a loss", Whole(slope(K1)))
