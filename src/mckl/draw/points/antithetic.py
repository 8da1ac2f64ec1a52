"""antithetic: pairs of mirrored points, +g and -g with the same chi-squares.

A draw is that of one pair; the backend evaluates it at both signs (Hammersley & Morton,
"A new Monte Carlo technique: antithetic variates", 1956).
"""

from mckl.draw.points.base import PointSet
from mckl.draw.points.iid import IID

ANTITHETIC = PointSet("antithetic", "anti", mirrored=True, independent=True, start=IID.start)
