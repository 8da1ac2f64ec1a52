"""The return to go with every token's l clamped to [-10, 10], as in OpenRLHF's reward."""

from mckl.estimation.gradients.base import ByFactor, Method
from mckl.estimation.gradients.integrands import K1, clamped
from mckl.families.scores import Rule

_CLAMPED = clamped(K1, -10.0, 10.0)
SCORE_TO_GO_CLAMPED = Method(
    "score-to-go-clamped",
    "k1 clamped to 10 in the reward, return to go",
    ByFactor(Rule(_CLAMPED, _CLAMPED), frozenset({"to-go"})),
)
