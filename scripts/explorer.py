"""Writes explorer.html, a self-contained page to browse settings, errors and budgets."""

from pathlib import Path

from mckl.record.joblog import log_to

log_to(snakemake.log[0])

from mckl.record import tables
from mckl.record.shipped import shipped
from mckl.show import explorer

frames = {
    table: tables.read(table, snakemake.input[table]).to_pandas()
    for table in ("settings", "summary", "budget")
}
about = tables.manifest_of(snakemake.input.summary)
folder = shipped() / "workflow" / "report"
with tables.replacing(snakemake.output[0]) as beside:
    Path(beside).write_text(explorer.page(str(folder), **frames, about=about), encoding="utf-8")
