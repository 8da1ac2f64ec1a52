"""The common look of all figures: sizes, colours, and the marks for theory and measurement."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import cycle, product
from string import ascii_lowercase
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # the explorer uses these colours, but not Matplotlib
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis
    from matplotlib.figure import Figure

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
from mckl.text import power_of_ten


def _radial_last(looks: Mapping[str, T]) -> dict[str, T]:
    """The looks by sampler, in the order of figures: radial forms come last."""
    return {name: looks[name] for name in sorted(looks, key=lambda name: SAMPLERS[name].radial)}


# Every estimator has one colour and one marker in all figures.
ESTIMATOR_MARKERS: Mapping[str, str] = in_turn(ESTIMATORS, "os^DPv*X")
# Samplers have a palette of their own. In pairs: a point set, and its radial form.
SAMPLER_COLOURS: Mapping[str, str] = _radial_last(
    in_turn(
        SAMPLERS,
        ("#332288", "#7E73C4", "#AA4466", "#D98CA6", "#2A7F5F", "#7FB069", "#6B6B2A", "#A8A04A"),
    )
)
SAMPLER_MARKERS: Mapping[str, str] = _radial_last(in_turn(SAMPLERS, "oDsP^v*"))
SAMPLER_DASHES: Mapping[str, tuple[int, tuple[float, ...] | None]] = _radial_last(
    in_turn(
        SAMPLERS,
        (
            (0, None), (0, (4, 1.5)), (0, (5, 1.2, 1, 1.2)), (0, (1, 1)), (0, (2, 2)),
            (0, (7, 1.5)), (0, (5, 1, 1, 1, 1, 1)),
        ),
    )
)  # fmt: skip
# If two gradient methods have the same colour, their markers differ, and no family has both.
_METHOD_LOOKS = {
    "score": (BLUE, "o"), "score-loo": (SKY, "P"), "pathwise": (GREEN, "D"),
    "stl": (PURPLE, "v"),
    "full-sum": (GREEN, "X"), "full-sum-to-go": ("#00413A", "*"), "score-to-go": (PURPLE, "<"),
    "k1-loss": (GREY, "s"), "k3-loss": (ORANGE, "p"), "k3-reward": (VERMILION, "^"),
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
MARGIN = 0.04  # inches around a drawing
WIDTH = 183 / 25.4 - 2 * MARGIN  # inches: with the margins, the text width of a page
# Scales, dimensions, cases and families each keep one colour map, whose colours get lighter.
SCALES, DIMENSIONS, CASES, FAMILIES = "viridis", "plasma", "cividis", "magma"
# Liberation Sans has the widths of Arial; DejaVu Sans has the characters that they lack.
_FONTS = ["Arial", "Helvetica", "Liberation Sans", "DejaVu Sans"]


def apply() -> None:
    """Set the theme for every figure drawn after it."""
    import matplotlib
    import matplotlib.pyplot as plt

    matplotlib.use("Agg")
    plt.rcdefaults()
    plt.rcParams.update(
        {
            "figure.dpi": 200,  # that of saved figures, as widths of text depend on it
            "text.hinting": "no_hinting",
            "savefig.dpi": 200,
            "savefig.bbox": "tight",
            "figure.constrained_layout.use": True,
            "font.family": ["sans-serif", "DejaVu Sans"],
            "font.sans-serif": _FONTS,
            "font.size": 7.5,
            "axes.titlesize": 7.5,
            "axes.labelsize": 7.5,
            "axes.titlelocation": "left",
            "axes.spines.top": False,
            "axes.spines.right": False,
            "axes.linewidth": 0.7,
            "axes.grid": True,
            "grid.color": "#E4E4E4",
            "grid.linewidth": 0.5,
            "axes.axisbelow": True,
            "xtick.labelsize": 7.0,
            "ytick.labelsize": 7.0,
            "legend.frameon": False,
            "legend.fontsize": 7.0,
            "lines.linewidth": 1.2,
            "lines.markersize": 3.0,
            "svg.hashsalt": "mckl",
            "svg.fonttype": "none",  # text that readers can select and search
            "pdf.fonttype": 42,
        }
    )


def plain_number(value: float, _: object = None) -> str:
    """A number at an axis: 0.01, 1,000, and powers of ten beyond."""
    power = math.log10(value) if value > 0 else 0.0
    if not -3 <= power < 4 and abs(power - round(power)) < 1e-9:
        return power_of_ten(round(power))
    return f"{value:,.12g}"


def percent(value: float, _: object = None) -> str:
    """A share at an axis, as a percentage."""
    return f"{100 * value:,.12g} %"


def fix_ticks(axis: Axis, ticks: Sequence[float], form: str = "g") -> None:
    """Give a log axis these ticks, and numbers in this format."""
    from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

    axis.set_major_locator(FixedLocator(list(ticks)))
    axis.set_minor_locator(NullLocator())
    axis.set_major_formatter(FuncFormatter(lambda x, _: format(x, form)))


def decades(ax: Axes) -> None:
    """Give a panel log-log axes with a tick at every power of ten."""
    for axis in ("x", "y"):
        log_axis(ax, axis)


def log_axis(ax: Axes, axis: str, most: int = 12) -> None:
    """Give an axis, "x" or "y", a log scale with ticks at powers of ten."""
    from matplotlib.ticker import LogLocator, NullLocator

    ax.set(**{f"{axis}scale": "log"})
    of_axis = {"x": ax.xaxis, "y": ax.yaxis}[axis]
    of_axis.set_major_locator(LogLocator(10.0, numticks=most))
    of_axis.set_minor_locator(NullLocator())
    of_axis.set_major_formatter(plain_number)


def letter_panels(drawing: Figure) -> None:
    """Put (a), (b), ... before the titles of panels, if there are several."""
    from matplotlib.text import Text

    axes = [
        ax for ax in drawing.axes
        if ax.get_visible() and ax.axison and ax.get_label() != "<colorbar>"
    ]  # fmt: skip
    for letter, ax in zip(ascii_lowercase, axes if len(axes) > 1 else [], strict=False):
        title = ax.get_title(loc="left")
        if not title:
            ax.set_title(f"({letter})", loc="left")
            continue
        # `set_title` would lose the size and the distance of the title.
        texts = (child for child in ax.get_children() if isinstance(child, Text))
        next(x for x in texts if x.get_text() == title).set_text(f"({letter}) {title}")
