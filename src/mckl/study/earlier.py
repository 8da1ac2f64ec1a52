"""Reuses traces of an estimation job's last run that its next run needs as well.

Snakemake deletes a job's output before it runs the job again. So the last traces also get a second
name, a hard link. Their manifest has, for each setting, a digest of everything that its numbers
depend on.
"""

from __future__ import annotations

import contextlib
import math
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mckl.draw.points import SAMPLERS
from mckl.errors import UserError
from mckl.estimation.traces import Trace, checkpoints_of
from mckl.record import tables
from mckl.record.manifest import digest, job_digest

# Adding or removing an entry of these lists changes no number of the other entries.
_LISTS = ("settings", "samplers", "estimators", "replicates")
# The keys of a manifest that describe the run and not the software.
_RUN = ("git_commit", "config_digest", "host")
_NUMBERS = ("estimate", "std_error")


def stamped(manifest: Mapping[str, Any], job: Mapping[str, Any], code: str) -> dict[str, Any]:
    """The manifest of a job's traces, with digests of all that the job and each setting depend on.

    manifest   The result of `mckl.record.manifest.manifest` for this run.
    job, code  The parameters of the job, and the digest of the code that it runs.
    """
    common = {name: value for name, value in job.items() if name not in _LISTS}
    software = {name: value for name, value in manifest.items() if name not in _RUN}
    settings = [[s["name"], digest([s, common, code, software])] for s in job["settings"]]
    drawn = {"estimators": job["estimators"], "replicates": job["replicates"]}
    return {**manifest, "job": job_digest(job, code), "settings": settings, "drawn": drawn}


def kept(path: str | Path) -> Path:
    """The second name of a job's output."""
    return Path(f"{path}.kept")


def keep(*paths: str | Path) -> None:
    """Give a job's output its second name, which takes no space on the disk.

    On a file system without hard links nothing is kept, and the next run draws everything.
    """
    for path in paths:
        with contextlib.suppress(OSError):
            kept(path).unlink(missing_ok=True)
            os.link(path, kept(path))


class Earlier:
    """The traces of a job's last run that its next run need not draw.

    There are none if both runs have the same parameters. Such a job runs again because its output
    is missing or damaged, or because the user forces it.

    traces, cost  Paths of the job's output.
    job, about    The parameters of the next run, and its `stamped` manifest.
    """

    def __init__(
        self, traces: str | Path, cost: str | Path, job: Mapping[str, Any], about: Mapping[str, Any]
    ) -> None:
        self._path, self._job = kept(traces), job
        self._row_groups: dict[str, int] = {}
        self._drawn: Mapping[str, Any] = {}
        self.cost: dict[tuple[str, str], dict[str, Any]] = {}
        try:
            last = tables.manifest_of(self._path)
            rows = tables.read("cost", kept(cost)).to_pylist()
        except UserError:  # nothing was kept, or the file is damaged
            return
        if last.get("job") != about["job"]:
            self._drawn = last.get("drawn", {})
            self.cost = {(row["setting"], row["sampler"]): row for row in rows}
            for number, setting in enumerate(last.get("settings", [])):
                if setting in about["settings"]:
                    self._row_groups[setting[0]] = number

    def pairs(
        self, combinations: Mapping[str, Mapping[str, Sequence[str]]]
    ) -> set[tuple[str, str]]:
        """The settings and samplers that `traces` will have, by the record of what was drawn.

        `combinations` has the estimators of each sampler by setting.
        """
        estimators = {*self._drawn.get("estimators", [])}
        if self._drawn.get("replicates", 0) < self._job["replicates"]:
            return set()
        return {
            (setting, sampler)
            for setting in self._row_groups
            for sampler, those in combinations[setting].items()
            if (setting, sampler) in self.cost and estimators >= {*those}
        }

    def traces(self, setting: str, combinations: Mapping[str, Sequence[str]]) -> dict[str, Trace]:
        """The kept traces of a setting, by sampler, of which every row exists.

        `combinations` has the estimators of each sampler (`mckl.study.settings.Setting`). A trace
        with NaN is drawn again, since l may be finite if there are fewer replicates.
        """
        if setting not in self._row_groups:
            return {}
        try:
            (group,) = tables.row_groups("traces", self._path, [self._row_groups[setting]])
        except UserError:
            return {}
        replicates = self._job["replicates"]
        frame = group.to_pandas()
        frame = frame[frame["setting"].eq(setting) & (frame["replicate"] < replicates)]
        traces = {}
        for name, estimators in combinations.items():
            stops = checkpoints_of(SAMPLERS[name], self._job["samples"])
            shape = (len(estimators), replicates, len(stops))
            rows = frame[(frame["sampler"] == name) & frame["estimator"].isin(estimators)]
            whole = len(rows) == math.prod(shape) and not rows["estimate"].isna().any()
            if whole and (setting, name) in self.cost:
                estimate, error = (rows[x].to_numpy().reshape(shape) for x in _NUMBERS)
                traces[name] = Trace(tuple(stops), estimate, error)
        return traces
