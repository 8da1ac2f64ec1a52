"""The return to go: every token's score times the sum of its own l and of all later ones.

An earlier l times a later score has mean 0, so leaving it out causes no bias.
"""

from mckl.estimation.gradients.base import ByFactor, Method
from mckl.estimation.gradients.integrands import K1
from mckl.families.scores import Rule

SCORE_TO_GO = Method(
    "score-to-go", "k1 in the reward, return to go", ByFactor(Rule(K1, K1), frozenset({"to-go"}))
)
