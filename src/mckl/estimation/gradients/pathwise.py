"""The pathwise estimator: the derivative of l through the sample, at fixed noise.

Also known as the reparametrisation trick (Kingma and Welling, 2014).
"""

from mckl.estimation.gradients.base import Method, Pathwise

PATHWISE = Method("pathwise", "pathwise", Pathwise(stick=False))
