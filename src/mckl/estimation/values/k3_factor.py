"""The estimator k3-factor: the mean of sum (r_i - 1 + l_i) over a sample's factors i.

Like k3 it is never negative, and unbiased if E r_i = 1 for all factors. Over independent factors
its variance is a sum, while that of k3 contains the product of all 1 + chi^2_i. With tokens as
factors it is the penalty of GRPO (Shao et al., "DeepSeekMath", 2024). If q_i = 0 where p_i > 0, its
mean is less than KL by p_i's probability there, added up over factors.
"""

from mckl.estimation.values.base import plain_mean_of_sum

K3_FACTOR = plain_mean_of_sum(
    "k3-factor",
    "k3",
    additive="k3",
    uses_ratio=True,
    never_negative=True,
    weakness="misses the rare, large r = p/q of a factor",
)
