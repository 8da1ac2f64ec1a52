"""traces.parquet: the jobs' traces as one table, exactly those of this study."""

from mckl.joblog import log_to

log_to(snakemake.log[0])

from tqdm import tqdm

from mckl import tables
from mckl.manifest import manifest

about = manifest(snakemake.config)
gaps = []
with tables.writer("traces", snakemake.output.traces, about) as out:
    for path in tqdm(list(snakemake.input), unit="file"):
        for group in tables.row_groups("traces", path):
            out.write_table(group, row_group_size=group.num_rows)
        gaps += tables.recorded_gaps(path)
columns = {name: [gap[name] for gap in gaps] for name in tables.SCHEMAS["gaps"].names}
tables.write("gaps", snakemake.output.gaps, columns, about)
