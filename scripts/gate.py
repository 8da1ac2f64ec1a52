"""Fails the run when theory and measurement disagree, naming the cells, or at a gap."""

from pathlib import Path

from mckl.record.joblog import log_to

log_to(snakemake.log[0])

from mckl.errors import UserError
from mckl.record import tables
from mckl.study import gaps
from mckl.study.verification import failures, passed_line

verification = tables.read("verification", snakemake.input.verification).to_pandas()
lost = tables.read("gaps", snakemake.input.gaps).to_pandas()
messages = list(filter(None, [gaps.message(lost), failures(gaps.outside(verification, lost))]))
if messages:
    raise UserError("; ".join(messages))
Path(snakemake.output[0]).write_text(passed_line(verification) + "\n")
