"""The sum over the next token: the gradient of KL of every token, given the tokens before it.

It is the derivative of what `rb` estimates, with the sampled prefixes held fixed. Over one token it
is the gradient itself; over more it leaves out that q also decides which prefixes occur.
"""

from mckl.estimation.gradients.base import ByFactor, Method
from mckl.families.scores import ELL, Rule

FULL_SUM = Method(
    "full-sum",
    "sum over the next token",
    ByFactor(Rule(ELL, expected=True), frozenset({"expected"})),
)
