"""k3-factor: the mean of sum (r_i - 1 + l_i) over a sample's factors i.

Unbiased and never negative like k3, but its variance is a sum over independent factors where that
of k3 holds the product of every 1 + chi^2_i. By token, language models' penalties use it (GRPO).
Where q_i = 0 and p_i > 0, its mean is less than KL by what p_i has there, summed over factors.
"""

from mckl.estimation.values.base import plain_mean_of_sum
from mckl.exact.law import Law


def _missed(law: Law) -> float:
    """The mean of sum (r_i - 1): 0 unless q misses some of p's mass."""
    return float(law.sums(("ratio",), False, 1)[1]) if law.missed_mass else 0.0


K3_FACTOR = plain_mean_of_sum(
    "k3-factor",
    "k3",
    bias=_missed,
    additive="k3",
    uses_ratio=True,
    never_negative=True,
    weakness="misses the rare, large r = p/q of a factor",
)
