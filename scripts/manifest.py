"""Writes manifest.json: the run's command, config and host, and digests of all its files."""

from mckl.record.joblog import log_to

log_to(snakemake.log[0])

import json
import os
from pathlib import Path

from mckl.record import provenance, tables

run = json.loads(os.environ["MCKL_RUN"])
folder = Path(snakemake.output[0]).parent
left = {Path(path).relative_to(folder).as_posix(): Path(path) for path in snakemake.input}
with tables.replacing(snakemake.output[0]) as beside:
    manifest = provenance.record(snakemake.config, run, left)
    beside.write_text(json.dumps(manifest, indent=2) + "\n", encoding="utf-8")
