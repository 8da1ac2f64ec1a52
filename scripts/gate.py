"""Fails the run, naming the cells, when theory and measurement disagree."""

from pathlib import Path

from mckl.joblog import log_to

log_to(snakemake.log[0])

from mckl import tables
from mckl.errors import UserError
from mckl.verification import failures, passed_line

verification = tables.read("verification", snakemake.input[0]).to_pandas()
message = failures(verification)
if message:
    raise UserError(message)
Path(snakemake.output[0]).write_text(passed_line(verification) + "\n")
