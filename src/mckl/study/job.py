"""One estimation job, which writes the traces of some settings with one backend, and their cost."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tqdm import tqdm

from mckl.draw import backends
from mckl.draw.points import SAMPLERS
from mckl.estimation.traces import SETTINGS_AT_ONCE, sound_traces
from mckl.estimation.values import ESTIMATORS
from mckl.record import tables
from mckl.record.job_cost import Meter
from mckl.record.manifest import manifest
from mckl.study import settings
from mckl.study.earlier import Earlier, keep, stamped
from mckl.study.trace_table import trace_columns


def run(
    job: Mapping[str, Any],
    traces: str | Path,
    cost: str | Path,
    *,
    name: str,
    code: str,
    config: Mapping[str, Any],
) -> int:
    """Write the traces of a job; only those that its last run has not drawn are drawn.

    Progress and gaps are reported on standard error.

    job           The parameters that the traces depend on: settings (as `Setting.as_dict` writes
                  them), backend, dtype, samplers, estimators, seed, samples (the checkpoints) and
                  replicates.
    traces, cost  The paths of the tables that are written.
    name          The job's name in the table cost.
    code, config  The digest of the code that runs, and the config, for the tables' manifest.

    Returns the number of samples that were drawn.

    Raises `UserError` if a file that a case names has changed since the run began.
    """
    meter = Meter(job["backend"], name)
    backends.load(job["backend"], job["dtype"])
    about = stamped(manifest(config), job, code)
    earlier = Earlier(traces, cost, job, about)
    chosen = settings.of_job(job, config)
    each = job["replicates"] * max(job["samples"])
    has = {s.name: s.combinations(job["samplers"], job["estimators"]) for s in chosen}
    work = sum(map(len, has.values())) * each
    gaps, samples, taken = [], 0, 0
    with (
        tables.writer("traces", traces, about) as out,
        tqdm(total=work, unit=" samples", unit_scale=True, mininterval=1) as bar,
    ):
        for batch in settings.batches(chosen, SETTINGS_AT_ONCE):
            traces_of = {s.name: earlier.traces(s.name, has[s.name]) for s in batch}
            for setting, taken_over in traces_of.items():
                meter.take_over(earlier.cost[setting, sampler] for sampler in taken_over)
                bar.total -= len(taken_over) * each
                taken += len(taken_over)
            meter.begin()
            for sampler in job["samplers"]:
                bar.set_description(f"{batch[0].name} {sampler}")
                new = [
                    s for s in batch if sampler in has[s.name] and sampler not in traces_of[s.name]
                ]
                # The settings of a batch have the same family and dimension.
                estimators = has[batch[0].name].get(sampler, ())
                drawn, lost = sound_traces(
                    {s.name: s.pair for s in new}, job["backend"], SAMPLERS[sampler],
                    [ESTIMATORS[name] for name in estimators],
                    seed=job["seed"], samples=job["samples"], replicates=job["replicates"],
                    dtype=job["dtype"], progress=bar.update,
                )  # fmt: skip
                for gap in lost:  # the rule `gate` ends the run with these, after the figures
                    print(f"\nmckl: {gap}", file=sys.stderr)
                gaps += [gap.where for gap in lost]
                if new:
                    without = {gap.where["setting"] for gap in lost}
                    sound = [s.name for s in new if s.name not in without]
                    meter.lap(sound, sampler, drawn[0].evaluations)
                    samples += len(sound) * drawn[0].evaluations
                for s, trace in zip(new, drawn, strict=True):
                    traces_of[s.name][sampler] = trace
            for s in (s for s in batch if has[s.name]):
                parts = [
                    trace_columns(traces_of[s.name][x], s, job["backend"], x, those)
                    for x, those in has[s.name].items()
                ]
                group = tables.concatenate("traces", parts)
                out.write_table(group, row_group_size=group.num_rows)
        tables.record_gaps(out, gaps)
    tables.write("cost", cost, meter.columns(), about)
    keep(traces, cost)
    print(f"{samples:,} samples drawn; {taken} traces were kept from the last run", file=sys.stderr)
    return samples
