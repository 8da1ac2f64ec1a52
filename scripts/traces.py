"""Writes traces.parquet: the traces of all jobs of this study in one table."""

from mckl.record.joblog import log_to

log_to(snakemake.log[0])

from tqdm import tqdm

from mckl.errors import UserError
from mckl.record import tables
from mckl.record.manifest import manifest

about = manifest(snakemake.config)
gaps = []
with tables.writer("traces", snakemake.output.traces, about) as out:
    jobs = zip(snakemake.input, snakemake.params.jobs, strict=True)
    for path, job in tqdm(list(jobs), unit="file"):
        if tables.manifest_of(path).get("job") != job:
            raise UserError(f"{path} is of another config or version: delete it and run again")
        for group in tables.row_groups("traces", path):
            out.write_table(group, row_group_size=group.num_rows)
        gaps += tables.recorded_gaps(path)
columns = {name: [gap[name] for gap in gaps] for name in tables.SCHEMAS["gaps"].names}
tables.write("gaps", snakemake.output.gaps, columns, about)
