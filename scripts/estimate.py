"""One estimation job: the traces of a chunk of settings with one backend."""

import os
import sys

threads = str(snakemake.threads)
os.environ.update(OPENBLAS_NUM_THREADS=threads, OMP_NUM_THREADS=threads)

from mckl.joblog import log_to

log_to(snakemake.log[0])
os.dup2(sys.stderr.fileno(), 2)  # what C++ libraries say does not go through sys.stderr

from tqdm import tqdm

from mckl import backends, settings, tables
from mckl.cost import Meter
from mckl.errors import NotFiniteError
from mckl.estimators import ESTIMATORS
from mckl.manifest import job_digest, manifest
from mckl.points import SAMPLERS
from mckl.traces import missing_trace, trace, trace_columns

job = snakemake.params.job
meter = Meter(job["backend"], snakemake.wildcards.chunk)
backends.load(job["backend"], job["dtype"])
meter.begin()
about = manifest(snakemake.config) | {"job": job_digest(job, snakemake.params.code)}
chosen = [settings.from_dict(fields) for fields in job["settings"]]
estimators = [ESTIMATORS[name] for name in job["estimators"]]
gaps = []
work = len(chosen) * len(job["samplers"]) * job["replicates"] * max(job["samples"])
with (
    tables.writer("traces", snakemake.output.traces, about) as out,
    tqdm(total=work, unit=" samples", unit_scale=True, mininterval=1) as bar,
):
    for setting in chosen:
        columns = []
        for name in job["samplers"]:
            bar.set_description(f"{setting.name} {name}")
            try:
                one = trace(
                    setting, job["backend"], SAMPLERS[name], estimators,
                    seed=job["seed"], samples=job["samples"], replicates=job["replicates"],
                    dtype=job["dtype"], progress=bar.update,
                )  # fmt: skip
                meter.lap(setting.name, name, one.evaluations)
            except NotFiniteError as gap:  # the gate ends the run with it, after the others
                print(f"\nmckl: {gap}", file=sys.stderr)
                gaps.append(gap.where)
                one = missing_trace(SAMPLERS[name], estimators, job["samples"], job["replicates"])
                meter.begin()
            columns.append(trace_columns(one, setting, job["backend"], name, job["estimators"]))
        group = tables.concatenate("traces", columns)
        out.write_table(group, row_group_size=group.num_rows)
    tables.record_gaps(out, gaps)
tables.write("cost", snakemake.output.cost, meter.columns(), about)
