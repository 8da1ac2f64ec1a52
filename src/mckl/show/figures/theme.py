"""One look for every figure: sizes, palette, and the marks for theory and measurement."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # the explorer has the same colours, and draws nothing with Matplotlib
    from matplotlib.axes import Axes

# Okabe & Ito's colour-blind safe palette; one colour an estimator and a sampler everywhere.
ESTIMATOR_COLOURS: Mapping[str, str] = {
    "k1": "#0072B2",
    "k2": "#E69F00",
    "k3": "#D55E00",
    "cv": "#009E73",
}
SAMPLER_COLOURS: Mapping[str, str] = {
    "iid": "#0072B2",
    "antithetic": "#CC79A7",
    "sobol": "#009E73",
    "iid-radial": "#56B4E9",
    "antithetic-radial": "#999999",
    "sobol-radial": "#E69F00",
}
# In greyscale, estimators and samplers differ by their markers.
ESTIMATOR_MARKERS: Mapping[str, str] = {"k1": "o", "k2": "s", "k3": "^", "cv": "D"}
SAMPLER_MARKERS: Mapping[str, str] = {
    "iid": "o",
    "antithetic": "s",
    "sobol": "^",
    "iid-radial": "D",
    "antithetic-radial": "P",
    "sobol-radial": "v",
}
Q_COLOUR, P_COLOUR, TRUTH, MUTED = "#0072B2", "#D55E00", "#222222", "#777777"
WIDTH = 7.2  # inches: the text width of a page


def apply() -> None:
    """Set the theme for every figure drawn after it."""
    import matplotlib
    import matplotlib.pyplot as plt

    matplotlib.use("Agg")
    plt.rcdefaults()
    plt.rcParams.update(
        {
            "figure.dpi": 100,
            "savefig.dpi": 200,
            "savefig.bbox": "tight",
            "figure.constrained_layout.use": True,
            "font.size": 8.5,
            "axes.titlesize": 8.5,
            "axes.labelsize": 8.5,
            "axes.titlelocation": "left",
            "axes.spines.top": False,
            "axes.spines.right": False,
            "axes.linewidth": 0.7,
            "axes.grid": True,
            "grid.color": "#E4E4E4",
            "grid.linewidth": 0.5,
            "axes.axisbelow": True,
            "xtick.labelsize": 7.5,
            "ytick.labelsize": 7.5,
            "legend.frameon": False,
            "legend.fontsize": 7.5,
            "lines.linewidth": 1.2,
            "lines.markersize": 3.0,
            "svg.hashsalt": "mckl",
            "svg.fonttype": "path",  # the same shapes in every browser, whatever fonts it has
            "pdf.fonttype": 42,
        }
    )


def decades(ax: Axes) -> None:
    """Log-log axes with a tick a decade."""
    from matplotlib.ticker import LogLocator, NullLocator

    ax.set_xscale("log")
    ax.set_yscale("log")
    for axis in (ax.xaxis, ax.yaxis):
        axis.set_major_locator(LogLocator(10.0, numticks=12))
        axis.set_minor_locator(NullLocator())
