"""What a run is about to do, told before it does it: settings, jobs, samples, bytes and time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from mckl.draw.backends import LIBRARIES
from mckl.draw.points import SAMPLERS
from mckl.estimation.cost import estimate_seconds
from mckl.estimation.traces import SETTINGS_AT_ONCE, checkpoints, checkpoints_of
from mckl.study.settings import batches

if TYPE_CHECKING:
    from mckl.study.config import Config
    from mckl.study.settings import Setting

_PER_SETTING = 8e-3  # CPU seconds
_BYTES_PER_ROW = 18.0  # of traces, compressed


class Plan(NamedTuple):
    """What a study takes: CPU seconds and bytes are estimates."""

    settings: int
    jobs: int
    samples: int
    rows: int
    cpu_seconds: float
    bytes: float

    def line(self) -> str:
        """The plan in one line for the terminal."""
        return (
            f"mckl: {self.settings} settings in {self.jobs} estimation jobs; "
            f"{_count(self.samples)} samples of l, {_count(self.rows)} trace rows; "
            f"about {_size(self.bytes)} and {_time(self.cpu_seconds)} of CPU time for estimation"
        )


def chunk_seconds(config: Config, settings: Sequence[Setting]) -> float:
    """CPU seconds of the settings of one job with every sampler of a study, about."""
    at = checkpoints(config.samples, config.checkpoints_per_octave)
    total = _PER_SETTING * len(settings)
    for batch in batches(settings, SETTINGS_AT_ONCE):
        of_case = batch[0].case is not None
        groups, chi_squares = (batch[0].pair.radial_numbers or (1, 1)) if of_case else (1, 1)
        total += sum(
            estimate_seconds(
                batch[0].dimension, name, len(config.estimators), config.samples,
                config.replicates, groups=groups, chi_squares=chi_squares,
                checkpoints=len(at), sharing=len(batch),
            )
            for name in config.samplers
        )  # fmt: skip
    return total


def plan(config: Config) -> Plan:
    """The plan of a whole study from nothing."""
    settings = config.settings()
    chunks = config.chunks().values()
    start = sum(LIBRARIES[name].start for name in config.backends)
    slowness = sum(LIBRARIES[name].slowness for name in config.backends)
    at = checkpoints(config.samples, config.checkpoints_per_octave)
    per_setting = sum(
        len(checkpoints_of(SAMPLERS[name], at)) * len(config.estimators) * config.replicates
        for name in config.samplers
    )
    rows = len(config.backends) * len(settings) * per_setting
    return Plan(
        settings=len(settings),
        jobs=len(config.backends) * len(chunks),
        samples=len(settings) * len(config.samplers) * len(config.backends)
        * config.samples * config.replicates,
        rows=rows,
        cpu_seconds=sum(start + slowness * chunk_seconds(config, chunk) for chunk in chunks),
        bytes=2.0 * rows * _BYTES_PER_ROW,  # the jobs' files and the table made of them
    )  # fmt: skip


def _count(n: int) -> str:
    return f"{n:,}" if n < 10**6 else f"{n:.2e}".replace("e+0", "e").replace("e+", "e")


def _size(n: float) -> str:
    for unit in ("B", "kB", "MB", "GB", "TB"):
        if n < 1000:
            return f"{n:.0f} {unit}"
        n /= 1000
    return f"{n:.0f} PB"


def _time(seconds: float) -> str:
    for limit, unit, size in ((120, "s", 1), (7200, "min", 60), (172800, "h", 3600)):
        if seconds < limit:
            return f"{seconds / size:.0f} {unit}"
    days = seconds / 86400
    return f"{days:.0f} days" if days < 1000 else f"{days / 365.25:.0f} years"
