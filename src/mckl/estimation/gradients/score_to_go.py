"""The return to go: every token's score times the sum of its own l and of the later ones.

The earlier l have mean 0 times a later score, so nothing is lost by leaving them out.
"""

from mckl.estimation.gradients.base import ByFactor, Method
from mckl.estimation.gradients.integrands import K1
from mckl.families.scores import Rule

SCORE_TO_GO = Method(
    "score-to-go", "k1 in the reward, return to go", ByFactor(Rule(K1, K1), frozenset({"to-go"}))
)
