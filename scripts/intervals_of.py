"""Runs one job of intervals.parquet and alarms.parquet, for the settings of a chunk."""

import os

os.environ.update(OPENBLAS_NUM_THREADS="1", OMP_NUM_THREADS="1")

from mckl.record.joblog import log_to

log_to(snakemake.log[0])

from tqdm import tqdm

from mckl.record import tables
from mckl.record.manifest import manifest
from mckl.study import settings
from mckl.study.interval_coverage import coverage

job, about = snakemake.params.job, manifest(snakemake.config)
chosen = settings.of_job(job, snakemake.config)
with (
    tables.writer("intervals", snakemake.output.intervals, about) as intervals,
    tables.writer("alarms", snakemake.output.alarms, about) as alarms,
):
    for rows in coverage(tqdm(chosen, unit="setting"), job["samples"], job["runs"], job["seed"]):
        for out, name, found in zip(
            (intervals, alarms), ("intervals", "alarms"), rows, strict=True
        ):
            names = tables.SCHEMAS[name].names
            out.write_table(tables.table(name, {n: [row[n] for row in found] for n in names}))
