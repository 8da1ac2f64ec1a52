"""k3 by factor as a loss, as in GRPO (Shao et al., "DeepSeekMath", 2024).

Every factor descends its own KL(p||q) given the factors before it, which are drawn from q.
"""

from mckl.estimation.gradients.base import ByFactor, Method
from mckl.estimation.gradients.integrands import K3, slope
from mckl.families.scores import Rule

K3_LOSS_FACTOR = Method("k3-loss-factor", "k3 by factor as a loss", ByFactor(Rule(slope(K3))))
