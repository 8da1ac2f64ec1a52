"""Writes summary.parquet: statistics over replicates, setting by setting."""

from mckl.record.joblog import log_to

log_to(snakemake.log[0])

from mckl.record import tables
from mckl.record.manifest import manifest
from mckl.study.summary_table import summaries

settings = tables.read("settings", snakemake.input.settings).to_pandas()
theory = tables.read("theory", snakemake.input.theory).to_pandas()
with tables.writer("summary", snakemake.output[0], manifest(snakemake.config)) as out:
    traces = tables.row_groups("traces", snakemake.input.traces)
    for rows in summaries(traces, settings, theory):
        out.write_table(tables.table("summary", rows))
