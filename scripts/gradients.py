"""Writes gradients.parquet, setting by setting, and training.parquet, for every method."""

from mckl.record.joblog import log_to

log_to(snakemake.log[0])

from tqdm import tqdm

from mckl.record import tables
from mckl.record.manifest import manifest
from mckl.study import gradients, settings, training

job = snakemake.params.job
about = manifest(snakemake.config)
chosen = settings.of_job(job, snakemake.config)
with tables.writer("gradients", snakemake.output.gradients, about) as out:
    for columns in gradients.rows(
        tqdm(chosen, unit="setting"), job["methods"], job["seed"], job["samples"], job["replicates"]
    ):
        out.write_table(tables.table("gradients", columns))
trained = training.training_rows(job["methods"] if chosen else [], job["seed"])
tables.write("training", snakemake.output.training, trained, about)
