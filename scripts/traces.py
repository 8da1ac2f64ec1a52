"""Writes traces.parquet, gaps.parquet and cost.parquet from the files of all estimation jobs."""

from mckl.record.joblog import log_to

log_to(snakemake.log[0])

from tqdm import tqdm

from mckl.errors import UserError
from mckl.record import tables
from mckl.record.manifest import manifest

about, paths = manifest(snakemake.config), snakemake.input.traces
gaps = []
for path, job in zip(paths, snakemake.params.jobs, strict=True):
    if tables.manifest_of(path).get("job") != job:
        raise UserError(f"{path} is of another config or version: delete it and run again")
    gaps += tables.recorded_gaps(path)
tables.gather("traces", tqdm(paths, unit="file"), snakemake.output.traces, about)
tables.gather("cost", snakemake.input.cost, snakemake.output.cost, about)
columns = {name: [gap[name] for gap in gaps] for name in tables.SCHEMAS["gaps"].names}
tables.write("gaps", snakemake.output.gaps, columns, about)
