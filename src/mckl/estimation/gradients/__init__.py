# ruff: noqa: F401, I001 - an import is a registration, and their order is the study's
"""The gradient estimators of KL(q||p), by name. A new one is one file here and one line below."""

from __future__ import annotations

from collections.abc import Mapping

from mckl.estimation.gradients.base import Method

# Every method imported here is registered; tables, figures and messages keep this order.
from mckl.estimation.gradients.score import SCORE
from mckl.estimation.gradients.score_kl import SCORE_KL
from mckl.estimation.gradients.score_batch import SCORE_BATCH
from mckl.estimation.gradients.score_loo import SCORE_LOO
from mckl.estimation.gradients.pathwise import PATHWISE
from mckl.estimation.gradients.stl import STL
from mckl.estimation.gradients.full_sum import FULL_SUM
from mckl.estimation.gradients.full_sum_to_go import FULL_SUM_TO_GO
from mckl.estimation.gradients.k1_loss import K1_LOSS
from mckl.estimation.gradients.k2_loss import K2_LOSS
from mckl.estimation.gradients.k3_loss import K3_LOSS
from mckl.estimation.gradients.k3_reward import K3_REWARD
from mckl.estimation.gradients.k3_loss_ratio import K3_LOSS_RATIO
from mckl.estimation.gradients.score_to_go import SCORE_TO_GO
from mckl.estimation.gradients.k2_loss_factor import K2_LOSS_FACTOR
from mckl.estimation.gradients.k3_loss_factor import K3_LOSS_FACTOR
from mckl.estimation.gradients.k3_reward_factor import K3_REWARD_FACTOR
from mckl.estimation.gradients.k3_reward_to_go import K3_REWARD_TO_GO
from mckl.estimation.gradients.k3_loss_ratio_factor import K3_LOSS_RATIO_FACTOR
from mckl.estimation.gradients.k1_reward_clamped import K1_REWARD_CLAMPED
from mckl.estimation.gradients.score_to_go_clamped import SCORE_TO_GO_CLAMPED
from mckl.estimation.gradients.k3_loss_clamped import K3_LOSS_CLAMPED

METHODS: Mapping[str, Method] = {m.name: m for m in [*globals().values()] if isinstance(m, Method)}

__all__ = ["METHODS", "Method"]
