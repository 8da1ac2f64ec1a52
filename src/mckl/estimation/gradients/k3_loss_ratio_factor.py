"""k3 by factor as a loss that is weighted by each factor's importance ratio, differentiated too.

The two parts of the derivative add up to the factor's own l times its score, as for k2 by factor.
"""

from mckl.estimation.gradients.base import ByFactor, Method
from mckl.estimation.gradients.integrands import K3, plus, slope
from mckl.families.scores import Rule

K3_LOSS_RATIO_FACTOR = Method(
    "k3-loss-ratio-factor",
    "k3 by factor as a loss, ratio differentiated",
    ByFactor(Rule(plus(K3, slope(K3)))),
)
