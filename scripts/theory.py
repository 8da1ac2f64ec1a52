"""Writes theory.parquet and regimes.parquet: exact laws, for settings and over the plane."""

from mckl.record.joblog import log_to

log_to(snakemake.log[0])

from tqdm import tqdm

from mckl.record import tables
from mckl.record.manifest import manifest
from mckl.study import regime_map, settings, theory_table

job = snakemake.params.job
chosen = settings.of_job(job, snakemake.config)
about = manifest(snakemake.config)
with tables.writer("theory", snakemake.output.theory, about) as out:
    for columns in theory_table.theory_rows(
        tqdm(chosen, unit="setting"), job["samplers"], job["estimators"], job["samples"]
    ):
        out.write_table(tables.table("theory", columns))
with tables.writer("regimes", snakemake.output.regimes, about) as out:
    for columns in regime_map.regime_rows(**job["window"]):
        out.write_table(tables.table("regimes", columns))
