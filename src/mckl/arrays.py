"""Type aliases for the arrays that the whole package uses."""

import numpy as np
from numpy.typing import NDArray

Vector = NDArray[np.float64]
Complex = NDArray[np.complex128]
