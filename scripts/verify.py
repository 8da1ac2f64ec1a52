"""Writes verification.parquet: the comparison of measurements with exact theory."""

from mckl.record.joblog import log_to

log_to(snakemake.log[0])

from mckl.record import tables
from mckl.record.manifest import manifest
from mckl.study.gradient_gate import with_gradients
from mckl.study.off_policy_gate import with_off_policy
from mckl.study.registered import with_registered
from mckl.study.verification import LEVEL, verify

summary = tables.read("summary", snakemake.input.summary).to_pandas()
theory = tables.read("theory", snakemake.input.theory).to_pandas()
registered = snakemake.input.get("registered_kl")
settings = tables.read("settings", snakemake.input.settings).to_pandas()
gradients = tables.read("gradients", snakemake.input.gradients).to_pandas()
budget = tables.read("budget", snakemake.input.budget).to_pandas()
rows = with_gradients(verify(summary, theory, settings, budget), gradients, LEVEL)
if off_policy := snakemake.input.get("off_policy"):
    rows = with_off_policy(rows, tables.read("off-policy", off_policy).to_pandas(), LEVEL)
if registered:
    rows = with_registered(rows, tables.read("registered-kl", registered).to_pandas())
tables.write("verification", snakemake.output[0], rows, manifest(snakemake.config))
