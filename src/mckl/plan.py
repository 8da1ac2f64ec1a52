"""What a run is about to do, told before it does it: settings, jobs, samples, bytes and time."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from mckl.backends import LIBRARIES
from mckl.law import LogRatioLaw
from mckl.points import SAMPLERS
from mckl.traces import checkpoints, checkpoints_of

if TYPE_CHECKING:
    from mckl.config import Config
    from mckl.settings import Setting

# Seconds on one core, as cost.parquet of the default study has them.
_PER_EVALUATION = 12e-9
_PER_ESTIMATOR = 6e-9
_PER_CHI_SQUARE = 30e-9
_BYTES_PER_ROW = 17.0  # of traces, compressed


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


def estimate_seconds(
    dimension: int,
    sampler: str,
    estimators: int,
    samples: int,
    replicates: int,
    groups: int = 1,
    chi_squares: int = 1,
) -> float:
    """CPU seconds of one setting with one sampler, about.

    `groups` and `chi_squares` are what a radial sampler draws for a sample.
    """
    points, radial = SAMPLERS[sampler].points, sampler.endswith("-radial")
    per_unit = (groups if radial else dimension) * points.seconds_per_number
    per_unit += chi_squares * _PER_CHI_SQUARE if radial else 0.0
    per_sample = per_unit / points.points + _PER_EVALUATION + estimators * _PER_ESTIMATOR
    return replicates * (points.seconds_per_replicate + samples * per_sample)


def setting_seconds(config: Config, setting: Setting) -> float:
    """CPU seconds of one setting with every sampler of a study, about."""
    groups = LogRatioLaw(setting.pair).groups() if setting.case is not None else (1, 1)
    return sum(
        estimate_seconds(
            setting.dimension,
            name,
            len(config.estimators),
            config.samples,
            config.replicates,
            *groups,
        )
        for name in config.samplers
    )


def plan(config: Config) -> Plan:
    """The plan of a whole study from nothing."""
    settings = config.settings()
    jobs = {name: len(config.chunks(name)) for name in config.backends}
    at = checkpoints(config.samples, config.checkpoints_per_octave)
    per_setting = sum(
        len(checkpoints_of(SAMPLERS[name], at)) * len(config.estimators) * config.replicates
        for name in config.samplers
    )
    rows = len(config.backends) * len(settings) * per_setting
    cpu = sum(setting_seconds(config, setting) for setting in settings)
    return Plan(
        settings=len(settings),
        jobs=sum(jobs.values()),
        samples=len(settings) * len(config.samplers) * len(config.backends)
        * config.samples * config.replicates,
        rows=rows,
        cpu_seconds=sum(
            cpu * LIBRARIES[name].slowness + count * LIBRARIES[name].start
            for name, count in jobs.items()
        ),
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
