"""The formulas that libraries compute as a KL, their exact laws, and their simulation."""

from mckl.study.libraries.base import Library, Use
from mckl.study.libraries.catalogue import LIBRARIES
from mckl.study.libraries.formula import Formula

__all__ = ["LIBRARIES", "Formula", "Library", "Use"]
