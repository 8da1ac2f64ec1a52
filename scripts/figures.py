"""Draws figures as SVG, PNG and PDF, and writes their captions with the run's numbers."""

from mckl.record.joblog import log_to

log_to(snakemake.log[0])

import matplotlib.pyplot as plt

from mckl.record import tables
from mckl.show.captions import render, template
from mckl.show.figures import FIGURES, draw, save
from mckl.study import gaps

out = snakemake.output
read = {name: tables.read(name, path).to_pandas() for name, path in snakemake.input.items()}
of_each = zip(snakemake.params.figures, out.svg, out.png, out.pdf, out.rst, strict=True)
for name, svg, png, pdf, rst in of_each:
    figure = FIGURES[name]
    frames = {table: read[table] for table in figure.tables}
    drawing, numbers = draw(figure, frames)
    caption = template(snakemake.scriptdir, f"figures/{name}.rst") + gaps.note(frames)
    words = render(caption, numbers, rst)
    save(drawing, [svg, png, pdf], f"{name}: {figure.shows}", words)
    plt.close(drawing)
