"""k2 by factor as a loss: every factor's own l times its score.

For independent factors it is unbiased. For tokens it leaves out that a token changes later ones.
"""

from mckl.estimation.gradients.base import ByFactor, Method
from mckl.estimation.gradients.integrands import SLOPE_OF_K2
from mckl.families.scores import Rule

K2_LOSS_FACTOR = Method("k2-loss-factor", "k2 by factor as a loss", ByFactor(Rule(SLOPE_OF_K2)))
