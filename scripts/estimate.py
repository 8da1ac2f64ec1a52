"""One estimation job: the traces of a chunk of settings with one backend."""

import os
import sys

threads = str(snakemake.threads)
os.environ.update(OPENBLAS_NUM_THREADS=threads, OMP_NUM_THREADS=threads)

from mckl.record.joblog import log_to

log_to(snakemake.log[0])
os.dup2(sys.stderr.fileno(), 2)  # what C++ libraries say does not go through sys.stderr

from tqdm import tqdm

from mckl.draw import backends
from mckl.draw.points import SAMPLERS
from mckl.estimation.traces import SETTINGS_AT_ONCE, sound_traces
from mckl.estimation.values import ESTIMATORS
from mckl.record import tables
from mckl.record.cost import Meter
from mckl.record.manifest import job_digest, manifest
from mckl.study import settings
from mckl.study.traces import trace_columns

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
    for batch in settings.batches(chosen, SETTINGS_AT_ONCE):
        columns = [[] for setting in batch]
        for name in job["samplers"]:
            bar.set_description(f"{batch[0].name} {name}")
            ran, found = sound_traces(
                {s.name: s.pair for s in batch}, job["backend"], SAMPLERS[name], estimators,
                seed=job["seed"], samples=job["samples"], replicates=job["replicates"],
                dtype=job["dtype"], progress=bar.update,
            )  # fmt: skip
            for gap in found:  # the gate ends the run with them, after the figures
                print(f"\nmckl: {gap}", file=sys.stderr)
            gaps += [gap.where for gap in found]
            lost = {gap.where["setting"] for gap in found}
            meter.lap([s.name for s in batch if s.name not in lost], name, ran[0].evaluations)
            for parts, s, one in zip(columns, batch, ran, strict=True):
                parts.append(trace_columns(one, s, job["backend"], name, job["estimators"]))
        for parts in columns:
            group = tables.concatenate("traces", parts)
            out.write_table(group, row_group_size=group.num_rows)
    tables.record_gaps(out, gaps)
tables.write("cost", snakemake.output.cost, meter.columns(), about)
