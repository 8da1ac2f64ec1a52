"""k3 by factor as a loss, where l is clamped to [-20, 20] and k3 to 10, as verl and slime have it.

A clamp has the derivative 0 beyond its ends. k3 reaches 10 at l = -2.61 and at l = 11.0, so that a
factor with p > 13.6 q, the very one that q should learn, is dropped, and the clamp of l never acts.
"""

from mckl.estimation.gradients.base import ByFactor, Method
from mckl.estimation.gradients.integrands import K3, cut, k3_below, slope
from mckl.families.scores import Rule

K3_LOSS_CLAMPED = Method(
    "k3-loss-clamped",
    "k3 by factor as a loss, clamped to 10",
    ByFactor(Rule(cut(slope(K3), *k3_below(10.0))), frozenset()),
)
