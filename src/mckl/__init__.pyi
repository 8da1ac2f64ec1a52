from mckl.api.log_probs import from_log_probs as from_log_probs
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
from mckl.estimation.gradients.gradient_advice import GradientAdvice as GradientAdvice
from mckl.estimation.kl_estimate import KLEstimate as KLEstimate

__version__: str
