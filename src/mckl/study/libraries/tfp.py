"""TensorFlow Probability: functions of a whole sample's log density ratio.

k1 of the whole is the sum of the factors' k1.
"""

from mckl.study.libraries.base import SEQUENCE_SUMS, Library, Use
from mckl.study.libraries.formula import K1, Formula

_VI = "tensorflow_probability/python/vi/csiszar_divergence.py"
_K3 = Formula("k3", whole=True)

TFP = Library(
    name="TensorFlow Probability",
    version="0.26.0-dev",
    source="tensorflow/probability",
    commit="c847a4160de3",
    date="2026-04-16",
    uses=(
        Use(
            "loss", K1, f"{_VI}:219-227, 237-282, 1115-1129", SEQUENCE_SUMS,
            differentiated="value and ratio",
            note="kl_reverse in monte_carlo_variational_loss, whose gradient is the score "
            "function's where a sample cannot be reparameterized",
        ),
        Use(
            "loss", _K3, f"{_VI}:219-230, 237-282", SEQUENCE_SUMS, default=False,
            differentiated="value and ratio", note="kl_reverse with self_normalized",
        ),
        Use(
            "metric", K1, "tensorflow_probability/python/layers/distribution_layer.py:1351-1355",
            SEQUENCE_SUMS, note="KLDivergenceRegularizer, one sample by default",
        ),
    ),
)  # fmt: skip
