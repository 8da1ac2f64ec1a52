# ruff: noqa: F401, I001 - an import is a registration, and their order is the study's
"""The formulas that libraries compute as a KL, by library. A new one is one file and one line here.

The files hold formulas, their roles and sources, and none of the libraries' code. All sources were
read in November 2026.
"""

from __future__ import annotations

from collections.abc import Mapping

from mckl.study.libraries.base import Library, Use
from mckl.study.libraries.formula import Formula

# Every library imported here is registered; tables, figures and pages keep this order.
from mckl.study.libraries.trl import TRL
from mckl.study.libraries.verl import VERL
from mckl.study.libraries.openrlhf import OPENRLHF
from mckl.study.libraries.open_instruct import OPEN_INSTRUCT
from mckl.study.libraries.nemo_rl import NEMO_RL
from mckl.study.libraries.slime import SLIME
from mckl.study.libraries.prime_rl import PRIME_RL
from mckl.study.libraries.torchtune import TORCHTUNE
from mckl.study.libraries.art import ART
from mckl.study.libraries.skyrl import SKYRL
from mckl.study.libraries.ms_swift import MS_SWIFT
from mckl.study.libraries.roll import ROLL
from mckl.study.libraries.areal import AREAL
from mckl.study.libraries.tfp import TFP

LIBRARIES: Mapping[str, Library] = {
    library.name: library for library in [*globals().values()] if isinstance(library, Library)
}

__all__ = ["LIBRARIES", "Formula", "Library", "Use"]
