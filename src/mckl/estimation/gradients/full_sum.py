"""The sum over the next token: for every token, the gradient of its KL given the tokens before it.

It is the derivative of the estimator `rb` with the sampled prefixes held fixed. For sequences of
one token it is the gradient itself. For longer ones it leaves out that q also decides which
prefixes occur.
"""

from mckl.estimation.gradients.base import ByFactor, Method
from mckl.families.scores import ELL, Rule

FULL_SUM = Method(
    "full-sum",
    "sum over the next token",
    ByFactor(Rule(ELL, expected=True), frozenset({"expected"})),
)
