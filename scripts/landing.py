"""Writes the report's landing page with the run's numbers."""

from mckl.record.joblog import log_to

log_to(snakemake.log[0])

from mckl.record import tables
from mckl.show.captions import render, template
from mckl.show.landing import landing_numbers, picture

frames = {
    table: tables.read(table, snakemake.input[table]).to_pandas()
    for table in ("settings", "summary", "verification", "gaps")
}
render(
    template("landing.rst"),
    landing_numbers(
        **frames,
        manifest=tables.manifest_of(snakemake.input.summary),
        overview=picture(snakemake.input.png, snakemake.input.caption),
        tolerances=snakemake.params.tolerances,
    ),
    snakemake.output[0],
)
