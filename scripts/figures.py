"""Draws figures as SVG, PNG and PDF, and writes their captions with the run's numbers."""

from mckl.record.joblog import log_to

log_to(snakemake.log[0])

from mckl.record import tables
from mckl.show.captions import template
from mckl.show.figures import FIGURES, publish
from mckl.study import gaps

read = {name: tables.read(name, path).to_pandas() for name, path in snakemake.input.items()}
for name, svg in zip(snakemake.params.figures, snakemake.output.svg, strict=True):
    frames = {table: read[table] for table in FIGURES[name].tables}
    caption = template(f"figures/{name}.rst") + gaps.note(frames)
    publish(FIGURES[name], frames, caption, svg.removesuffix(".svg"))
