"""One estimation job: the traces of a chunk of settings with one backend."""

import os

os.environ["OPENBLAS_NUM_THREADS"] = str(snakemake.threads)

from mckl.joblog import log_to

log_to(snakemake.log[0])

from tqdm import tqdm

from mckl import settings, tables
from mckl.estimators import ESTIMATORS
from mckl.manifest import manifest
from mckl.points import SAMPLERS
from mckl.traces import trace, trace_columns

job = snakemake.params.job
chosen = [settings.from_dict(fields) for fields in job["settings"]]
estimators = [ESTIMATORS[name] for name in job["estimators"]]
work = len(chosen) * len(job["samplers"]) * job["replicates"] * max(job["samples"])
with (
    tables.writer("traces", snakemake.output[0], manifest(snakemake.config)) as out,
    tqdm(total=work, unit=" samples", unit_scale=True, mininterval=1) as bar,
):
    for setting in chosen:
        columns = []
        for name in job["samplers"]:
            bar.set_description(f"{setting.name} {name}")
            one = trace(
                setting, job["backend"], SAMPLERS[name], estimators,
                seed=job["seed"], samples=job["samples"], replicates=job["replicates"],
                progress=bar.update,
            )  # fmt: skip
            columns.append(trace_columns(one, setting, job["backend"], name, job["estimators"]))
        group = tables.concatenate("traces", columns)
        out.write_table(group, row_group_size=group.num_rows)
