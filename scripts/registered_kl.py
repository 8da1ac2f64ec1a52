"""Writes registered-kl.parquet: the KL that TensorFlow Probability has registered, and ours."""

import os
import sys

from mckl.record.joblog import log_to

log_to(snakemake.log[0])
os.environ["OMP_NUM_THREADS"] = str(snakemake.threads)
os.dup2(sys.stderr.fileno(), 2)  # C++ libraries do not write through sys.stderr

from mckl.record import tables
from mckl.record.manifest import manifest
from mckl.study import settings
from mckl.study.registered import registered_rows

chosen = settings.of_job(snakemake.params.job, snakemake.config)
about = manifest(snakemake.config)
tables.write("registered-kl", snakemake.output[0], registered_rows(chosen), about)
