"""The figures, by name. A new figure is one file here, one caption, and one line below.

A figure's module has a function ``draw(frames)``, which takes its tables as data frames. It returns
the Matplotlib figure, and the numbers that its caption (workflow/report/figures/NAME.rst) quotes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    import matplotlib.figure
    import pandas as pd

Frames = Mapping[str, "pd.DataFrame"]

MANY = "How many samples?"
SPEED = "How fast does the error fall?"
ESTIMATOR = "Which estimator?"
SAMPLER = "Which sampler?"
TRUST = "Can I trust it?"
GRADIENT = "What does a loss descend?"
NOTEBOOK = "The notebook, again"
# In the order of reading.
QUESTIONS = (MANY, SPEED, ESTIMATOR, SAMPLER, TRUST, GRADIENT, NOTEBOOK)


class Figure(NamedTuple):
    """A figure's name and tables, and where the report shows it."""

    name: str
    question: str
    shows: str
    tables: tuple[str, ...]
    backends: tuple[str, ...] = ()  # the figure is only drawn if all of these ran
    constant: bool = False  # the same for every config, so that `make docs` draws it, and no run

    @property
    def module(self) -> str:
        """The module that draws the figure."""
        return f"mckl.show.figures.{self.name.replace('-', '_')}"

    @property
    def of_notebook(self) -> bool:
        """Whether the figure needs the case `notebook`."""
        return self.question == NOTEBOOK

    @property
    def of_gradients(self) -> bool:
        """Whether the figure needs a setting whose gradients are measured."""
        return self.question == GRADIENT


FIGURES: Mapping[str, Figure] = {
    figure.name: figure
    for figure in (
        Figure("overview", MANY, "samples for 1 %", ("summary", "theory", "budget", "settings")),
        Figure("error-vs-samples", SPEED, "RMSE against samples", ("summary", "settings")),
        Figure("relative-error", MANY, "what a setting takes", ("settings",)),
        Figure("estimators", ESTIMATOR, "RMSE by estimator", ("summary", "theory", "settings")),
        Figure(
            "factors",
            ESTIMATOR,
            "by factor and of the whole",
            ("summary", "theory", "settings", "budget"),
        ),
        Figure("sequence-length", ESTIMATOR, "samples by length", (), constant=True),
        Figure("regimes", ESTIMATOR, "best by scale and offset", ("settings", "regimes")),
        Figure("tails", ESTIMATOR, "what heavy tails do", (), constant=True),
        Figure("off-policy", ESTIMATOR, "samples of another law", (), constant=True),
        Figure("libraries", ESTIMATOR, "what libraries compute", ("formulas",), constant=True),
        Figure("samplers", SAMPLER, "RMSE by sampler", ("summary", "settings")),
        Figure("cost", SAMPLER, "error per CPU second", ("summary", "cost", "settings", "budget")),
        Figure("samples-needed", MANY, "samples for a tolerance", ("budget", "settings")),
        Figure("coverage", TRUST, "t intervals", ("summary", "settings")),
        Figure("verification", TRUST, "measurement and theory", ("verification", "settings")),
        Figure(
            "backends",
            TRUST,
            "NumPy and TensorFlow",
            ("summary", "settings", "cost"),
            backends=("numpy", "tensorflow"),
        ),
        Figure(
            "registered-kl",
            TRUST,
            "KL by TensorFlow Probability",
            ("registered-kl",),
            backends=("tensorflow",),
        ),
        Figure("losses", GRADIENT, "what each loss descends", ("gradients",)),
        Figure("gradient-error", GRADIENT, "error against samples", ("gradients",)),
        Figure("training", GRADIENT, "gradient descent", ("training",), constant=True),
        Figure("notebook-samples", NOTEBOOK, "points of q and p", ("notebook-points", "settings")),
        Figure("notebook-trace", NOTEBOOK, "running mean", ("notebook", "settings")),
        Figure("notebook-squared-error", NOTEBOOK, "squared error", ("notebook", "settings")),
        Figure("notebook-joint", NOTEBOOK, "samples and estimate", ("notebook", "settings")),
    )
}


# The explorer is a page, which the report shows among the figures.
EXPLORER = Figure("explorer", MANY, "every setting, to browse", ("settings", "summary", "budget"))


def report_places(names: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Category and labels of these figures and the explorer, numbered in the order of reading.

    Snakemake's report sorts both as text. Each item has one label, since the report makes a toggle
    of a second one if it has two values, and such a category cannot be opened.
    """
    shown = [*(FIGURES[name] for name in names), EXPLORER]
    by_question = [[f for f in shown if f.question == question] for question in QUESTIONS]
    return {
        figure.name: {
            "category": f"{i}. {figure.question}",
            "labels": {"figure": f"{j}. {figure.name}: {figure.shows}"},
        }
        for i, figures in enumerate(filter(None, by_question), 1)
        for j, figure in enumerate(figures, 1)
    }


def draw(figure: Figure, frames: Frames) -> tuple[matplotlib.figure.Figure, dict[str, Any]]:
    """Draw a figure from its tables; returns the drawing and the numbers for its caption."""
    from mckl.show.figures import theme

    theme.apply()
    as_text = {name: with_text(frame) for name, frame in frames.items()}
    drawing, numbers = import_module(figure.module).draw(as_text)
    theme.letter_panels(drawing)
    return drawing, numbers


def with_text(frame: pd.DataFrame) -> pd.DataFrame:
    """The frame with categories as text, so that grouping makes no empty groups."""
    kinds = [name for name, kind in frame.dtypes.items() if kind == "category"]
    return frame.astype(dict.fromkeys(kinds, object))


def publish(figure: Figure, frames: Frames, caption: str, stem: str) -> None:
    """Draw a figure, and write it as stem.svg, .png and .pdf and its filled caption as stem.rst."""
    import matplotlib.pyplot as plt

    from mckl.show.captions import render

    drawing, numbers = draw(figure, frames)
    name = Path(stem).name
    words = render(caption, numbers, f"{stem}.rst")
    paths = [f"{stem}.{kind}" for kind in ("svg", "png", "pdf")]
    save(drawing, paths, f"{name}: {figure.shows}", words)
    plt.close(drawing)


def save(
    drawing: matplotlib.figure.Figure, paths: Sequence[str], title: str, description: str
) -> None:
    """Write a drawing to each path, as its suffix says; equal drawings give equal bytes.

    SVG has the title and the description for readers who cannot see the figure.
    """
    import matplotlib
    from fontTools.subset import Options

    from mckl.show.figures.theme import MARGIN

    # A PDF has no use for a font's layout tables, and cutting them down takes longer than drawing.
    Options._drop_tables_default = [*{*Options._drop_tables_default, "GDEF", "GPOS", "GSUB"}]
    # The layout is computed once, since `savefig` would compute it again for every format. It draws
    # once if the figure has no layout engine, and twice with one, even with "none".
    if layout := drawing.get_layout_engine():
        layout.execute(drawing)
    box = drawing.get_tightbbox().padded(MARGIN)
    metadata = {
        "svg": {"Title": title, "Date": None},
        "pdf": {"Title": title, "Subject": description, "CreationDate": None},
        "png": {"Title": title, "Description": description},
    }
    with matplotlib.rc_context({"figure.constrained_layout.use": False}):
        drawing.set_layout_engine(None)
        for path in paths:
            suffix = path.rsplit(".", 1)[-1]
            drawing.savefig(path, metadata=metadata[suffix], bbox_inches=box)
            if suffix == "svg":
                svg = Path(path)
                words = f"</title>\n <desc>{escape(description)}</desc>"
                text = svg.read_text(encoding="utf-8").replace("</title>", words, 1)
                svg.write_text(text, encoding="utf-8")
