"""cost.parquet: the time and memory of an estimation job, in all and by setting and sampler."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from mckl.arrays import in_columns


def _peak() -> float:
    """The largest resident memory of this process so far, in MB."""
    status = Path("/proc/self/status")
    if status.exists():  # getrusage would include the peak of the parent process
        line = next(x for x in status.read_text().splitlines() if x.startswith("VmHWM"))
        return int(line.split()[1]) * 1024 / 1e6
    import resource  # Windows has none

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6  # bytes on macOS


class Meter:
    """Measures the time of one job and of each of its traces.

    The row of the whole job has no setting and no sampler. Its CPU time is that of the process from
    its start, so it exceeds the sum over traces by the time of the start-up.
    """

    def __init__(self, backend: str, chunk: str) -> None:
        self._job, self._backend = f"{backend}/{chunk}", backend
        self._began = time.perf_counter()
        self._rows: list[dict[str, Any]] = []
        self._earlier: list[Mapping[str, Any]] = []
        self.begin()

    def _row(
        self, setting: str | None, sampler: str | None, cpu: float, wall: float, n: int
    ) -> None:
        self._rows.append(
            {
                "job": self._job,
                "setting": setting,
                "backend": self._backend,
                "sampler": sampler,
                "cpu_seconds": cpu,
                "wall_seconds": wall,
                "max_rss": _peak(),
                "samples": n,
                "estimates_per_cpu_second": n / cpu if cpu > 0 else float("nan"),
            }
        )

    def begin(self) -> None:
        """Start the next lap now, after the start-up or a trace that was given up."""
        self._cpu, self._wall = time.process_time(), time.perf_counter()

    def lap(self, settings: Sequence[str], sampler: str, samples: int) -> None:
        """Record the time since the last lap for settings that shared their draws.

        Each setting gets an equal share, and `samples` evaluations of l.
        """
        cpu, wall = time.process_time(), time.perf_counter()
        for setting in settings:
            share = (cpu - self._cpu) / len(settings), (wall - self._wall) / len(settings)
            self._row(setting, sampler, *share, samples)
        self._cpu, self._wall = cpu, wall

    def take_over(self, rows: Iterable[Mapping[str, Any]]) -> None:
        """Record the rows of traces that an earlier run of the job drew."""
        self._earlier += rows

    def columns(self) -> Mapping[str, list[Any]]:
        """The columns of cost.parquet: the laps, then the job.

        The job's time includes the time of traces that were kept from an earlier run, so that it
        still exceeds the sum over traces by the time of the start-up.
        """
        cpu, wall = time.process_time(), time.perf_counter() - self._began
        cpu += sum(row["cpu_seconds"] for row in self._earlier)
        wall += sum(row["wall_seconds"] for row in self._earlier)
        self._rows += map(dict, self._earlier)
        self._row(None, None, cpu, wall, sum(row["samples"] for row in self._rows))
        return in_columns(self._rows)
