"""Writes budget.parquet: the samples that every tolerance needs, setting by setting."""

from mckl.record.joblog import log_to

log_to(snakemake.log[0])

from tqdm import tqdm

from mckl.record import tables
from mckl.record.manifest import manifest
from mckl.study import budget_table, settings

job = snakemake.params.job
chosen = settings.of_job(job, snakemake.config)
summary = tables.read("summary", snakemake.input.summary).to_pandas()
with tables.writer("budget", snakemake.output[0], manifest(snakemake.config)) as out:
    for columns in budget_table.budget_columns(
        tqdm(chosen, unit="setting"),
        job["samplers"], job["estimators"], job["tolerances"], summary,
    ):  # fmt: skip
        out.write_table(tables.table("budget", columns))
