"""Writes cost.parquet: the time and memory of all estimation jobs in one table."""

from mckl.record.joblog import log_to

log_to(snakemake.log[0])

from mckl.record import tables
from mckl.record.manifest import manifest

with tables.writer("cost", snakemake.output[0], manifest(snakemake.config)) as out:
    for path in snakemake.input:
        for group in tables.row_groups("cost", path):
            out.write_table(group)
