"""Writes off-policy.parquet: estimates from samples of another law than q, setting by setting."""

from mckl.record.joblog import log_to

log_to(snakemake.log[0])

from tqdm import tqdm

from mckl.record import tables
from mckl.record.manifest import manifest
from mckl.study import settings
from mckl.study.off_policy import off_policy_rows

job = snakemake.params.job
chosen = tqdm(settings.of_job(job, snakemake.config), unit="setting")
numbers = (job[key] for key in ("lags", "estimators", "seed", "samples", "replicates"))
with tables.writer("off-policy", snakemake.output[0], manifest(snakemake.config)) as out:
    for columns in off_policy_rows(chosen, *numbers):
        out.write_table(tables.table("off-policy", columns))
