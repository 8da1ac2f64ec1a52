"""settings.parquet: every setting with its divergences and cumulants."""

from mckl.joblog import log_to

log_to(snakemake.log[0])

from mckl import settings, tables, theory
from mckl.manifest import manifest

chosen = [settings.from_dict(fields) for fields in snakemake.params.job["settings"]]
tables.write(
    "settings", snakemake.output[0], theory.setting_rows(chosen), manifest(snakemake.config)
)
