"""Fails the run, and says where, if theory and measurement disagree or l is not finite."""

from pathlib import Path

from mckl.record.joblog import log_to

log_to(snakemake.log[0])

from mckl.errors import UserError
from mckl.record import tables
from mckl.study import gaps
from mckl.study.verification import failures
from mckl.study.verified import passed_line

verification = tables.read("verification", snakemake.input.verification).to_pandas()
lost = tables.read("gaps", snakemake.input.gaps).to_pandas()
wrong = [
    gaps.message(lost),
    failures(gaps.outside(verification, lost)),
]
if any(wrong):
    raise UserError("; ".join(filter(None, wrong)))
Path(snakemake.output[0]).write_text(passed_line(verification) + "\n")
