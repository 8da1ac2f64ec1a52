from mckl.api.given import GivenEstimate as GivenEstimate
from mckl.api.given import KLFromLogProbs as KLFromLogProbs
from mckl.api.given import from_log_probs as from_log_probs
from mckl.api.pairs import Advice as Advice
from mckl.api.pairs import KLEstimate as KLEstimate
from mckl.api.pairs import advise as advise
from mckl.api.pairs import estimate as estimate
from mckl.api.pairs import kl as kl
from mckl.api.watch import Watch as Watch
from mckl.api.watch import Watched as Watched

__version__: str
