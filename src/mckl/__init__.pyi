from typing import Any, overload

from mckl.api.logits import full_kl as full_kl
from mckl.api.pairs import advise as advise
from mckl.api.pairs import advise_gradient as advise_gradient
from mckl.api.pairs import estimate as estimate
from mckl.api.pairs import kl as kl
from mckl.api.watch import Watch as Watch
from mckl.api.watch import Watched as Watched
from mckl.estimation.advice import Advice as Advice
from mckl.estimation.divergences import KL as KL
from mckl.estimation.given.estimates import GivenEstimate as GivenEstimate
from mckl.estimation.given.estimates import KLFromLogProbs as KLFromLogProbs
from mckl.estimation.given.groups import KLByGroup as KLByGroup
from mckl.estimation.gradients.gradient_advice import GradientAdvice as GradientAdvice
from mckl.estimation.kl_estimate import KLEstimate as KLEstimate
from mckl.estimation.off_policy.off_policy_advice import OffPolicyAdvice as OffPolicyAdvice
from mckl.record.published import PublishedResults as PublishedResults
from mckl.record.published import PublishedStudy as PublishedStudy
from mckl.record.published import results as results

__version__: str

@overload
def from_log_probs(
    log_q: Any, log_p: Any, *, sequence: Any = None, cluster: Any = None, full_kl: Any = None,
    log_sampler: Any = None, mask: Any = None, group: None = None, tolerance: float | None = None,
    absolute: float | None = None, confidence: float = 0.95, estimator: str | None = None,
) -> KLFromLogProbs: ...  # fmt: skip
@overload
def from_log_probs(
    log_q: Any, log_p: Any, *, sequence: Any = None, cluster: Any = None, full_kl: Any = None,
    log_sampler: Any = None, mask: Any = None, group: Any, tolerance: float | None = None,
    absolute: float | None = None, confidence: float = 0.95, estimator: str | None = None,
) -> KLByGroup: ...  # fmt: skip
