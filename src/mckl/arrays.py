"""The type of nearly every array here."""

import numpy as np
from numpy.typing import NDArray

Vector = NDArray[np.float64]
