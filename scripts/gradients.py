"""Writes gradients.parquet: the estimates of every method, setting by setting."""

from mckl.record.joblog import log_to

log_to(snakemake.log[0])

from tqdm import tqdm

from mckl.record import tables
from mckl.record.manifest import manifest
from mckl.study import gradients, settings

job = snakemake.params.job
chosen = settings.of_job(job, snakemake.config)
with tables.writer("gradients", snakemake.output[0], manifest(snakemake.config)) as out:
    for columns in gradients.rows(
        tqdm(chosen, unit="setting"), job["methods"], job["seed"], job["samples"], job["replicates"]
    ):
        out.write_table(tables.table("gradients", columns))
