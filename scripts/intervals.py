"""Writes intervals.parquet and alarms.parquet from the files of all jobs."""

from mckl.record.joblog import log_to

log_to(snakemake.log[0])

from mckl.record import tables
from mckl.record.manifest import manifest

for name in ("intervals", "alarms"):
    tables.gather(name, snakemake.input[name], snakemake.output[name], manifest(snakemake.config))
