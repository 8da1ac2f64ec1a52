"""Writes settings.parquet: every setting with its divergences and cumulants."""

from mckl.record.joblog import log_to

log_to(snakemake.log[0])

from mckl.record import tables
from mckl.record.manifest import manifest
from mckl.study import settings, theory_table

chosen = settings.of_job(snakemake.params.job, snakemake.config)
tables.write(
    "settings", snakemake.output[0], theory_table.setting_rows(chosen), manifest(snakemake.config)
)
