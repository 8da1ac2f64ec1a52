"""Runs one estimation job: the traces of a chunk of settings with one backend."""

import os
import sys

threads = str(snakemake.threads)
os.environ.update(OPENBLAS_NUM_THREADS=threads, OMP_NUM_THREADS=threads)

from mckl.record.joblog import log_to

log_to(snakemake.log[0])
os.dup2(sys.stderr.fileno(), 2)  # C++ libraries do not write through sys.stderr

from mckl.study import job

job.run(
    snakemake.params.job, snakemake.output.traces, snakemake.output.cost,
    name=snakemake.wildcards.chunk, code=snakemake.params.code, config=snakemake.config,
)  # fmt: skip
