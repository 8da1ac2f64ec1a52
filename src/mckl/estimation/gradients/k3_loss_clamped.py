"""k3 by factor as a loss, with l clamped to [-20, 20] and k3 to 10, as in verl and slime.

The derivative of a clamp is 0 beyond its ends. k3 reaches 10 at l = -2.61 and at l = 11.0. So a
factor with p > 13.6 q, which q should learn most of all, has no effect, and neither has the clamp
of l.
"""

from mckl.estimation.gradients.base import ByFactor, Method
from mckl.estimation.gradients.integrands import K3, cut, k3_below, slope
from mckl.families.scores import Rule

K3_LOSS_CLAMPED = Method(
    "k3-loss-clamped",
    "k3 by factor as a loss, clamped to 10",
    ByFactor(Rule(cut(slope(K3), *k3_below(10.0))), frozenset()),
)
