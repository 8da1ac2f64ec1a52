"""theory.parquet: the exact law of every estimate, a row group a setting."""

from mckl.joblog import log_to

log_to(snakemake.log[0])

from tqdm import tqdm

from mckl import settings, tables, theory
from mckl.manifest import manifest

job = snakemake.params.job
chosen = [settings.from_dict(fields) for fields in job["settings"]]
with tables.writer("theory", snakemake.output[0], manifest(snakemake.config)) as out:
    for columns in theory.theory_rows(
        tqdm(chosen, unit="setting"), job["samplers"], job["estimators"], job["samples"]
    ):
        out.write_table(tables.table("theory", columns))
