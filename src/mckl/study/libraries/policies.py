"""The policies on which the formulas are compared, whatever the config."""

from __future__ import annotations

from collections.abc import Mapping

from mckl.families.policy.pair import PolicyPair
from mckl.families.registry import case_pair, sweep_pair
from mckl.study.settings import grid_setting

STATES, TOKENS = 16, 32
FAMILY = f"policy({STATES})"
# (scale, offset) of the policies. q moves away from p step by step, until it hardly ever draws the
# tokens that p prefers. In the last two, p is sharper than q, so that l is large.
STEPS = ((1.0, 0.02), (1.0, 0.1), (1.0, 0.5), (1.0, 1.0), (1.0, 2.0), (1.0, 4.0),
         (0.25, 0.5), (0.1, 0.5))  # fmt: skip
SHARPER = 2  # the number of policies at the end of which p is sharper


def policies() -> Mapping[str, PolicyPair]:
    """The policies by the name of their setting, from nearly equal to far apart."""
    return {
        grid_setting(TOKENS, scale, offset, FAMILY).name: _policy(scale, offset)
        for scale, offset in STEPS
    }


def stopping(offset: float, tokens: int) -> PolicyPair:
    """The policy with scale 1 whose sequences end at token 0, or after `tokens` tokens."""
    chain = _policy(1.0, offset).transitions
    case = {
        "dimension": tokens, "stop": 0,
        "q": {"family": "policy", "logits": chain.log_q},
        "p": {"family": "policy", "logits": chain.log_q - chain.ell},
    }  # fmt: skip
    pair = case_pair(case)
    assert isinstance(pair, PolicyPair)
    return pair


def _policy(scale: float, offset: float) -> PolicyPair:
    pair = sweep_pair(FAMILY, TOKENS, scale, offset)
    assert isinstance(pair, PolicyPair)
    return pair
