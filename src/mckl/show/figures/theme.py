"""The common look of all figures: sizes, colours, and the marks for theory and measurement."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import cycle, product
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:  # the explorer uses these colours, but not Matplotlib
    from matplotlib.axes import Axes

from mckl.draw.points import SAMPLERS
from mckl.estimation.gradients import METHODS
from mckl.estimation.values import ESTIMATORS, Estimator

T = TypeVar("T")

# Okabe & Ito's palette for the colour blind; brown replaces their yellow, too light for lines.
_BLUE, _SKY, _GREEN, _ORANGE = "#0072B2", "#56B4E9", "#009E73", "#E69F00"
_VERMILION, _PURPLE, _GREY, _BROWN = "#D55E00", "#CC79A7", "#999999", "#5D3A1A"


def _in_turn(registry: Iterable[str], looks: Sequence[T]) -> dict[str, T]:
    """A look for every name, in the order of registration, so that new names change no others."""
    return dict(zip(registry, cycle(looks), strict=False))


def _radial_last(looks: Mapping[str, T]) -> dict[str, T]:
    """The looks by sampler, in the order of figures: radial forms come last."""
    return {name: looks[name] for name in sorted(looks, key=lambda name: SAMPLERS[name].radial)}


def _darker(colour: str) -> str:
    """A colour with three fifths of its brightness."""
    return "#" + "".join(f"{int(colour[i : i + 2], 16) * 3 // 5:02X}" for i in (1, 3, 5))


def of_whole(estimator: Estimator) -> str:
    """The name of the same estimator for the whole l; "" if the registry has none."""
    name = estimator.whole.name if estimator.whole is not None else ""
    return name if name in ESTIMATORS else ""


def _colours(colours: Sequence[str]) -> dict[str, str]:
    """A colour for every estimator; one by factor has the hue of the same one for the whole l."""
    looks = _in_turn([name for name, e in ESTIMATORS.items() if not of_whole(e)], colours)

    def colour(name: str) -> str:
        whole = of_whole(ESTIMATORS[name])
        return _darker(colour(whole)) if whole else looks[name]

    return {name: colour(name) for name in ESTIMATORS}


# Every estimator and sampler has one colour in all figures. In greyscale, markers differ.
ESTIMATOR_COLOURS: Mapping[str, str] = _colours(
    (_BLUE, _ORANGE, _VERMILION, _GREEN, _PURPLE, _SKY, _GREY, _BROWN)
)
ESTIMATOR_MARKERS: Mapping[str, str] = _in_turn(ESTIMATORS, "os^DPv*X")
# In pairs: a point set, and its radial form.
SAMPLER_COLOURS: Mapping[str, str] = _radial_last(
    _in_turn(SAMPLERS, (_BLUE, _SKY, _PURPLE, _GREY, _GREEN, _ORANGE, _VERMILION, _BROWN))
)
SAMPLER_MARKERS: Mapping[str, str] = _radial_last(_in_turn(SAMPLERS, "oDsP^v*"))
SAMPLER_DASHES: Mapping[str, tuple[int, tuple[float, ...] | None]] = _radial_last(
    _in_turn(SAMPLERS, ((0, None), (0, (4, 1.5)), (0, (5, 1.2, 1, 1.2)), (0, (1, 1)), (0, (2, 2))))
)
SAMPLER_HATCHES: Mapping[str, str] = _radial_last(
    _in_turn(SAMPLERS, ("", "----", "//////", "xxxx", "......", "oooo", "++++"))
)
# If two gradient methods have the same colour, their markers differ, and no family has both.
_METHOD_LOOKS = {
    "score": (_BLUE, "o"), "score-loo": (_SKY, "P"), "pathwise": (_GREEN, "D"),
    "stl": (_PURPLE, "v"),
    "full-sum": (_GREEN, "X"), "full-sum-to-go": ("#00413A", "*"), "score-to-go": (_PURPLE, "<"),
    "k1-loss": (_GREY, "s"), "k3-loss": (_ORANGE, "s"), "k3-reward": (_VERMILION, "^"),
    "k3-loss-clamped": (_BROWN, "h"), "k2-loss-factor": ("#8A7600", ">"),
}  # fmt: skip
# Methods that have no look yet take one in turn.
_METHOD_LOOKS |= zip(
    [name for name, m in METHODS.items() if m.drawn != "never" and name not in _METHOD_LOOKS],
    cycle(product((_BLUE, _VERMILION, _GREEN, _GREY), "dpH")),
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
