"""The sampler `antithetic`: pairs of a point and its mirror image.

One draw serves both points of a pair. For normals g the mirror image is -g, with the same
chi-squares (Hammersley & Morton, "A new Monte Carlo technique: antithetic variates", 1956).
"""

from mckl.draw.points.base import PointSet
from mckl.draw.points.iid import IID

ANTITHETIC = PointSet("antithetic", "anti", mirrored=True, independent=True, start=IID.start)
