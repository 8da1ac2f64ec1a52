"""k2 as a loss. The derivative of l^2/2 is l times the score, as with k1 in the reward."""

from mckl.estimation.gradients.base import Method, Whole
from mckl.estimation.gradients.integrands import SLOPE_OF_K2

K2_LOSS = Method("k2-loss", "k2 as a loss", Whole(SLOPE_OF_K2))
