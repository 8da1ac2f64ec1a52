"""Sticking the landing: the pathwise estimator without the part that goes through the score.

That part has mean 0. Without it the variance vanishes where q = p (Roeder, Wu and Duvenaud,
"Sticking the landing", 2017).
"""

from mckl.estimation.gradients.base import Method, Pathwise

STL = Method("stl", "sticking the landing", Pathwise(stick=True))
