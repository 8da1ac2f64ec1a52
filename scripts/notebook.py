"""Writes the notebook's tables: 500 points of q and p, and a running mean of 10,000 samples."""

from mckl.record.joblog import log_to

log_to(snakemake.log[0])

from mckl.record import tables
from mckl.record.manifest import manifest
from mckl.study import notebook, settings

job = snakemake.params.job
setting = settings.from_dict(job["setting"], snakemake.config.get("cases"))
about = manifest(snakemake.config)
tables.write(
    "notebook-points", snakemake.output.points, notebook.points(setting, job["seed"]), about
)
tables.write("notebook", snakemake.output.trace, notebook.running(setting, job["seed"]), about)
