"""k3 as a loss. The derivative of r - 1 + l is 1 - r times the score.

Its mean is the gradient of KL(p||q), which is the other direction.
"""

from mckl.estimation.gradients.base import Method, Whole
from mckl.estimation.gradients.integrands import K3, slope

K3_LOSS = Method("k3-loss", "k3 as a loss", Whole(slope(K3)))
