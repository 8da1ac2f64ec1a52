"""The gradient estimators of KL(q||p), by name. A new one is one entry here.

k1, k2 and k3 in the names are functions of l = log q(z) - log p(z), used in the reward, where their
value multiplies the score, or as a loss, where their derivative does
(`mckl.estimation.gradients.weights`). For policies a factor is a token.
"""

from __future__ import annotations

from collections.abc import Mapping

from mckl.estimation.gradients.base import ByFactor, Method, Pathwise, Whole
from mckl.estimation.gradients.weights import (
    K1,
    K3,
    SLOPE_OF_K2,
    clamped,
    cut,
    k3_below,
    plus,
    slope,
)
from mckl.families.scores import Rule

_TO_GO = frozenset({"to-go"})
_K1_WITHIN_10 = clamped(K1, -10.0, 10.0)

# Tables, figures and messages keep this order.
METHODS: Mapping[str, Method] = {
    method.name: method
    for method in (
        # The score function estimator, l times the score. It is unbiased, since the score itself
        # has mean 0 (Williams, "Simple statistical gradient-following algorithms", 1992).
        Method("score", "k1 in the reward", Whole(K1), usual=True),
        # With KL(q||p), the mean of l, as the baseline. KL is not known in practice, so this shows
        # what a very good running mean of l would achieve. The baseline need not help: its effect
        # depends on the covariance of l and the squared score.
        Method(
            "score-kl", "k1 in the reward, less KL", Whole(K1, centred=True), at_hand=False,
            drawn="never",
        ),
        # With the mean of l over the whole batch as the baseline. Over n samples its mean is
        # (n - 1)/n times the gradient.
        Method(
            "score-batch", "k1 in the reward, less the batch's mean", Whole(K1, centred=True),
            "batch", drawn="never",
        ),
        # With the mean of l over the other samples as the baseline. It is the sample covariance of
        # l and the score, which is unbiased (Kool, van Hoof and Welling, "Buy 4 REINFORCE samples,
        # get a baseline for free!", 2019).
        Method(
            "score-loo", "k1 in the reward, less the others' mean", Whole(K1, centred=True),
            "leave-one-out",
        ),
        # The derivative of l through the sample, at fixed noise; also known as the
        # reparametrisation trick (Kingma and Welling, 2014).
        Method("pathwise", "pathwise", Pathwise(stick=False)),
        # The pathwise estimator without the part that goes through the score, whose mean is 0.
        # Without it the variance vanishes where q = p (Roeder, Wu and Duvenaud, "Sticking the
        # landing", 2017).
        Method("stl", "sticking the landing", Pathwise(stick=True)),
        # For every token, the gradient of its KL given the tokens before it. It is the derivative
        # of the estimator `rb` with the sampled prefixes held fixed. For sequences of one token it
        # is the gradient itself. For longer ones it leaves out that q also decides which prefixes
        # occur.
        Method(
            "full-sum", "sum over the next token",
            ByFactor(Rule(K1, expected=True), frozenset({"expected"})),
        ),
        # The same, plus every token's score times the KL of the later tokens. It estimates the
        # whole gradient, in which each token's own part is summed over the vocabulary (Amini,
        # Vieira and Cotterell, "Better estimation of the KL divergence between language models",
        # 2025).
        Method(
            "full-sum-to-go", "sum over the next token, with return to go",
            ByFactor(Rule(K1, K1, expected=True), _TO_GO | {"expected"}),
        ),
        # The derivative of l at fixed samples is the score, whose mean is 0.
        Method("k1-loss", "k1 as a loss", Whole(slope(K1))),
        # The derivative of l^2/2 is l times the score, as with k1 in the reward.
        Method("k2-loss", "k2 as a loss", Whole(SLOPE_OF_K2), drawn="never"),
        # The derivative of r - 1 + l is 1 - r times the score. Its mean is the gradient of
        # KL(p||q), which is the other direction.
        Method("k3-loss", "k3 as a loss", Whole(slope(K3)), usual=True),
        # Its mean is the gradient of KL(q||p) less that of KL(p||q).
        Method("k3-reward", "k3 in the reward", Whole(K3)),
        # Weighted by the importance ratio q_theta/q, which is differentiated too. The derivative
        # has two parts, those of k3 in the reward and of k3 as a loss. They add up to l times the
        # score (Tang and Munos, "On a few pitfalls in KL divergence gradient estimation for RL",
        # 2025).
        Method(
            "k3-loss-ratio", "k3 as a loss, ratio differentiated", Whole(plus(K3, slope(K3))),
            drawn="never",
        ),
        # The return to go: every token's score times the sum of its own l and of all later ones.
        # An earlier l times a later score has mean 0, so leaving it out causes no bias.
        Method("score-to-go", "k1 in the reward, return to go", ByFactor(Rule(K1, K1), _TO_GO)),
        # Every factor's own l times its score. For independent factors it is unbiased, and nearly
        # the score function estimator. For tokens it leaves out that a token changes later ones.
        Method(
            "k2-loss-factor", "k2 by factor as a loss", ByFactor(Rule(SLOPE_OF_K2)),
            drawn="sequences",
        ),
        # As in GRPO (Shao et al., "DeepSeekMath", 2024). Every factor descends its own KL(p||q)
        # given the factors before it, which are drawn from q.
        Method(
            "k3-loss-factor", "k3 by factor as a loss", ByFactor(Rule(slope(K3))), drawn="never"
        ),
        # Every factor's own k3 times its score.
        Method(
            "k3-reward-factor", "k3 by factor in the reward", ByFactor(Rule(K3)), drawn="never"
        ),
        # For later tokens the mean of k3 is that of l, so only a token's own part has the wrong
        # direction.
        Method(
            "k3-reward-to-go", "k3 in the reward, return to go", ByFactor(Rule(K3, K3), _TO_GO),
            drawn="never",
        ),
        # Weighted by each factor's importance ratio, which is differentiated too. The two parts of
        # the derivative add up to the factor's own l times its score, as for k2 by factor.
        Method(
            "k3-loss-ratio-factor", "k3 by factor as a loss, ratio differentiated",
            ByFactor(Rule(plus(K3, slope(K3)))), drawn="never",
        ),
        # With the whole l clamped to [-10, 10].
        Method(
            "k1-reward-clamped", "k1 clamped to 10 in the reward", Whole(_K1_WITHIN_10),
            drawn="never",
        ),
        # The return to go with every token's l clamped to [-10, 10], as in OpenRLHF's reward.
        Method(
            "score-to-go-clamped", "k1 clamped to 10 in the reward, return to go",
            ByFactor(Rule(_K1_WITHIN_10, _K1_WITHIN_10), _TO_GO), drawn="never",
        ),
        # With l clamped to [-20, 20] and k3 to 10, as in verl and slime. The derivative of a clamp
        # is 0 beyond its ends. k3 reaches 10 at l = -2.61 and at l = 11.0. So a factor with
        # p > 13.6 q, which q should learn most of all, has no effect, and neither has the clamp of
        # l.
        Method(
            "k3-loss-clamped", "k3 by factor as a loss, clamped to 10",
            ByFactor(Rule(cut(slope(K3), *k3_below(10.0))), frozenset()),
        ),
    )
}  # fmt: skip

__all__ = ["METHODS", "Method"]
