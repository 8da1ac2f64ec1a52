"""The common look of all figures: sizes, colours, and the marks for theory and measurement."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import cycle, product
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # the explorer uses these colours, but not Matplotlib
    from matplotlib.axes import Axes

from mckl.draw.points import SAMPLERS
from mckl.estimation.gradients import METHODS
from mckl.estimation.looks import (
    BLUE,
    BROWN,
    GREEN,
    GREY,
    ORANGE,
    PURPLE,
    SKY,
    VERMILION,
    T,
    in_turn,
)
from mckl.estimation.looks import ESTIMATOR_COLOURS as ESTIMATOR_COLOURS
from mckl.estimation.looks import of_whole as of_whole
from mckl.estimation.values import ESTIMATORS


def _radial_last(looks: Mapping[str, T]) -> dict[str, T]:
    """The looks by sampler, in the order of figures: radial forms come last."""
    return {name: looks[name] for name in sorted(looks, key=lambda name: SAMPLERS[name].radial)}


# Every estimator and sampler has one colour in all figures. In greyscale, markers differ.
ESTIMATOR_MARKERS: Mapping[str, str] = in_turn(ESTIMATORS, "os^DPv*X")
# In pairs: a point set, and its radial form.
SAMPLER_COLOURS: Mapping[str, str] = _radial_last(
    in_turn(SAMPLERS, (BLUE, SKY, PURPLE, GREY, GREEN, ORANGE, VERMILION, BROWN))
)
SAMPLER_MARKERS: Mapping[str, str] = _radial_last(in_turn(SAMPLERS, "oDsP^v*"))
SAMPLER_DASHES: Mapping[str, tuple[int, tuple[float, ...] | None]] = _radial_last(
    in_turn(SAMPLERS, ((0, None), (0, (4, 1.5)), (0, (5, 1.2, 1, 1.2)), (0, (1, 1)), (0, (2, 2))))
)
SAMPLER_HATCHES: Mapping[str, str] = _radial_last(
    in_turn(SAMPLERS, ("", "----", "//////", "xxxx", "......", "oooo", "++++"))
)
# If two gradient methods have the same colour, their markers differ, and no family has both.
_METHOD_LOOKS = {
    "score": (BLUE, "o"), "score-loo": (SKY, "P"), "pathwise": (GREEN, "D"),
    "stl": (PURPLE, "v"),
    "full-sum": (GREEN, "X"), "full-sum-to-go": ("#00413A", "*"), "score-to-go": (PURPLE, "<"),
    "k1-loss": (GREY, "s"), "k3-loss": (ORANGE, "s"), "k3-reward": (VERMILION, "^"),
    "k3-loss-clamped": (BROWN, "h"), "k2-loss-factor": ("#8A7600", ">"),
}  # fmt: skip
# Methods that have no look yet take one in turn.
_METHOD_LOOKS |= zip(
    [name for name, m in METHODS.items() if m.drawn != "never" and name not in _METHOD_LOOKS],
    cycle(product((BLUE, VERMILION, GREEN, GREY), "dpH")),
    strict=False,
)
METHOD_COLOURS: Mapping[str, str] = {name: look[0] for name, look in _METHOD_LOOKS.items()}
METHOD_MARKERS: Mapping[str, str] = {name: look[1] for name, look in _METHOD_LOOKS.items()}
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
            "svg.fonttype": "path",  # text looks the same in every browser, whatever its fonts
            "pdf.fonttype": 42,
        }
    )


def decades(ax: Axes) -> None:
    """Give a panel log-log axes with a tick at every power of ten."""
    from matplotlib.ticker import LogLocator, NullLocator

    ax.set_xscale("log")
    ax.set_yscale("log")
    for axis in (ax.xaxis, ax.yaxis):
        axis.set_major_locator(LogLocator(10.0, numticks=12))
        axis.set_minor_locator(NullLocator())
