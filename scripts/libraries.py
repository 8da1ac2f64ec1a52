"""Writes formulas.parquet, the formulas that libraries compute as a KL, and its page."""

from mckl.record.joblog import log_to

log_to(snakemake.log[0])

from mckl.record import tables
from mckl.record.manifest import manifest
from mckl.show.captions import template
from mckl.show.libraries import write_page
from mckl.study.libraries.table import formula_rows

path = snakemake.output.table
tables.write("formulas", path, formula_rows(), manifest(snakemake.config))
text = template(snakemake.scriptdir, "libraries.md")
write_page(text, tables.read("formulas", path).to_pandas(), snakemake.output.page)
