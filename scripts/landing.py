"""The report's landing page with the run's numbers."""

from mckl.joblog import log_to

log_to(snakemake.log[0])

from mckl import tables
from mckl.captions import render, template
from mckl.landing import landing_numbers

frames = {
    table: tables.read(table, snakemake.input[table]).to_pandas()
    for table in ("settings", "summary", "verification", "gaps")
}
render(
    template(snakemake.scriptdir, "landing.rst"),
    landing_numbers(**frames, manifest=tables.manifest_of(snakemake.input.summary)),
    snakemake.output[0],
)
