"""One figure as SVG, PNG and PDF, and its caption with the run's numbers."""

from mckl.record.joblog import log_to

log_to(snakemake.log[0])

from mckl.record import tables
from mckl.show.captions import render, template
from mckl.show.figures import FIGURES, draw, save
from mckl.study import gaps

figure = FIGURES[snakemake.params.figure]
frames = {table: tables.read(table, snakemake.input[table]).to_pandas() for table in figure.tables}
drawing, numbers = draw(figure, frames)
save(drawing, [snakemake.output.svg, snakemake.output.png, snakemake.output.pdf])
caption = template(snakemake.scriptdir, f"figures/{figure.name}.rst") + gaps.note(frames)
render(caption, numbers, snakemake.output.rst)
