"""The sum over the next token, plus every token's score times the KL of the later tokens.

It estimates the whole gradient, in which each token's own part is summed over the vocabulary
(Amini, Vieira and Cotterell, "Better estimation of the KL divergence between language models",
2025).
"""

from mckl.estimation.gradients.base import ByFactor, Method
from mckl.families.scores import ELL, Rule

FULL_SUM_TO_GO = Method(
    "full-sum-to-go",
    "sum over the next token, with return to go",
    ByFactor(Rule(ELL, ELL, expected=True), frozenset({"expected", "to-go"})),
)
