"""Writes intervals.parquet and alarms.parquet from the files of all jobs."""

from mckl.record.joblog import log_to

log_to(snakemake.log[0])

from mckl.record import tables
from mckl.record.manifest import manifest

for name in ("intervals", "alarms"):
    with tables.writer(name, snakemake.output[name], manifest(snakemake.config)) as out:
        for path in snakemake.input[name]:
            for group in tables.row_groups(name, path):
                out.write_table(group)
