"""How many Monte Carlo samples it takes to know KL(q||p), with which estimator and sampler.

>>> import mckl
>>> round(mckl.kl({"mean": [1, 4], "sd": 1}, {"mean": [-3, 2], "sd": 2.5}), 6)
2.592581
"""

__version__ = "0.2.0"

# The module of each exported name. A module is imported when its name is first used, so that
# `import mckl` stays fast. The types are in __init__.pyi.
_HOMES = {
    "kl": "api.pairs",
    "advise": "api.pairs",
    "advise_gradient": "api.pairs",
    "estimate": "api.pairs",
    "from_log_probs": "api.log_probs",
    "full_kl": "api.logits",
    "results": "record.published",
    "Watch": "api.watch",
    "Watched": "api.watch",
    "KL": "estimation.divergences",
    "Advice": "estimation.advice",
    "KLEstimate": "estimation.kl_estimate",
    "GradientAdvice": "estimation.gradients.gradient_advice",
    "OffPolicyAdvice": "estimation.off_policy.off_policy_advice",
    "GivenEstimate": "estimation.given.estimates",
    "KLFromLogProbs": "estimation.given.estimates",
    "KLByGroup": "estimation.given.groups",
    "PublishedResults": "record.published",
    "PublishedStudy": "record.published",
}
__all__ = [*_HOMES, "__version__"]


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module 'mckl' has no attribute '{name}'")
    from importlib import import_module  # here, so that `import mckl` imports nothing

    return getattr(import_module(f"mckl.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES})
