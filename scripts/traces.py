"""traces.parquet: the jobs' traces as one table, exactly those of this study."""

from mckl.joblog import log_to

log_to(snakemake.log[0])

from tqdm import tqdm

from mckl import tables
from mckl.manifest import manifest

with tables.writer("traces", snakemake.output[0], manifest(snakemake.config)) as out:
    for path in tqdm(list(snakemake.input), unit="file"):
        for group in tables.row_groups("traces", path):
            out.write_table(group, row_group_size=group.num_rows)
