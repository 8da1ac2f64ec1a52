"""Writes theory.parquet: the exact law of every estimate, setting by setting."""

from mckl.record.joblog import log_to

log_to(snakemake.log[0])

from tqdm import tqdm

from mckl.record import tables
from mckl.record.manifest import manifest
from mckl.study import settings, theory_table

job = snakemake.params.job
chosen = settings.of_job(job, snakemake.config)
with tables.writer("theory", snakemake.output[0], manifest(snakemake.config)) as out:
    for columns in theory_table.theory_rows(
        tqdm(chosen, unit="setting"), job["samplers"], job["estimators"], job["samples"]
    ):
        out.write_table(tables.table("theory", columns))
