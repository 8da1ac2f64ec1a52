"""The plan of a run, printed before its first job: settings, jobs, samples, bytes and time."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

from mckl.draw.backends import BACKENDS
from mckl.draw.points import SAMPLERS
from mckl.estimation.cpu_time import estimate_seconds
from mckl.estimation.traces import SETTINGS_AT_ONCE, checkpoints, checkpoints_of
from mckl.estimation.values import ESTIMATORS
from mckl.study.settings import batches, matching
from mckl.text import count, counted, duration, size, some

if TYPE_CHECKING:
    from mckl.study.config import Config
    from mckl.study.settings import Setting

_PER_SETTING = 8e-3  # CPU seconds
_PER_LAW, _PER_SUM = 0.6, 1.2e-7  # CPU seconds of an off-policy law, and of a token of a sample
# CPU seconds to judge the intervals of a run, and for each of its samples beside its draw.
_PER_RUN, _PER_JUDGED = 5e-3, 2.5e-7
_PER_WEIGHT = 7.5e-9  # CPU seconds of one gradient method for one factor of one sample
_BYTES_PER_ROW = 18.0  # of traces.parquet, compressed


# CPU seconds of Snakemake itself, before the first job, and for every job.
_SNAKEMAKE = 2.0
_PER_JOB = 0.1
REPORT = "report"  # Snakemake writes it after the last job; here it counts as a job

STAGES = ("settings, theory", "traces", "summary, budget", "figures", "pages")


class Work(NamedTuple):
    """The CPU seconds of a rule's jobs, and when in the run they can start.

    stage   the name of the stage in the terminal
    level   jobs of a rule wait for those of lower levels
    start   the CPU seconds of a job without settings, mostly for imports
    setting, cell, row, figure
            the CPU seconds for each setting, row of theory.parquet, row of traces.parquet and
            figure
    """

    stage: str
    level: int
    start: float
    setting: float = 0.0
    cell: float = 0.0
    row: float = 0.0
    figure: float = 0.0


RULES: Mapping[str, Work] = {
    "settings": Work("settings, theory", 0, 0.2, setting=3e-3),
    "theory": Work("settings, theory", 0, 2.1, cell=2.3e-4),
    "registered_kl": Work("settings, theory", 0, 5.0, setting=0.01),
    "notebook": Work("traces", 0, 0.2),
    "estimate": Work("traces", 0, 0.0),  # `chunk_seconds` and the backend's start are added
    "traces": Work("traces", 1, 0.1, setting=8e-4, row=1.5e-7),
    "gradients": Work("traces", 0, 0.2),  # `gradient_seconds` are added
    "off_policy": Work("traces", 0, 0.3),  # `off_policy_seconds` are added
    "intervals_of": Work("traces", 0, 0.6),  # `interval_seconds` are added
    "intervals": Work("summary, budget", 1, 0.3),
    "summary": Work("summary, budget", 2, 0.3, setting=1.5e-3, row=4.4e-7),
    "verify": Work("summary, budget", 3, 1.0, cell=6e-5),
    "budget": Work("summary, budget", 3, 0.5, cell=6.5e-5),
    "figures": Work("figures", 4, 0.5, setting=3e-3, figure=0.45),
    "explorer": Work("pages", 4, 0.25, cell=1.8e-5),
    "landing": Work("pages", 5, 0.4, cell=5e-6),
    "gate": Work("pages", 5, 0.25),
    "manifest": Work("pages", 6, 0.25, setting=1e-3, row=1.7e-7),
    REPORT: Work("pages", 7, 1.0, setting=5e-3),
}


class Job(NamedTuple):
    """A job that will run: its rule, and its backend and chunk, or the names of its figures."""

    rule: str
    parts: tuple[str, ...] = ()


class Amount(NamedTuple):
    """The CPU seconds of a job, and the numbers of samples and of trace rows that it makes."""

    seconds: float
    samples: int = 0
    rows: int = 0


class Plan(NamedTuple):
    """The amount of work in a run; seconds and bytes are estimates.

    settings, estimations
            the numbers of settings and of estimation jobs of the whole study
    jobs    the jobs that will run, with their amounts
    kept    the number of values of l that were drawn before and are used again
    not_drawn
            the settings that a backend cannot draw, by the backend's name
    left_out
            samplers that some families lack, with these families of the sweep and cases
    without_gradients
            settings of the chapter on gradients whose family has no gradients
    without_sampler
            settings that `off_policy` names, whose family has no law of a sampler
    without_sums
            estimators by factor and the samplers with which they are left out, because samples
            drawn this way lack the sums over factors (no sampler: all of them); with the families
            of the sweep and cases concerned
    """

    settings: int
    estimations: int
    jobs: Mapping[Job, Amount]
    kept: int = 0
    not_drawn: Mapping[str, Sequence[str]] = {}
    without_gradients: Sequence[str] = ()
    without_sampler: Sequence[str] = ()
    left_out: Mapping[tuple[str, ...], Sequence[str]] = {}
    without_sums: Mapping[tuple[tuple[str, ...], tuple[str, ...]], Sequence[str]] = {}

    @property
    def samples(self) -> int:
        """The number of values of l that will be drawn."""
        return sum(amount.samples for amount in self.jobs.values())

    @property
    def rows(self) -> int:
        """The number of rows of traces that will be written."""
        return sum(amount.rows for amount in self.jobs.values())

    @property
    def cpu_seconds(self) -> float:
        """The CPU seconds of the run, including Snakemake itself."""
        return _SNAKEMAKE + sum(amount.seconds for amount in self.jobs.values())

    @property
    def bytes(self) -> float:
        """The bytes of all traces: the files of jobs, and the table made from them."""
        return 2.0 * self.rows * _BYTES_PER_ROW

    def stages(self, workers: float) -> dict[str, float]:
        """The seconds of each stage from its start to its end, with this number of jobs at a time.

        A stage takes at least as long as its longest chain of jobs that wait for each other.
        """
        out = {}
        for stage in STAGES:
            of_level: dict[int, list[float]] = {}
            for job, amount in self.jobs.items():
                if RULES[job.rule].stage == stage:
                    of_level.setdefault(RULES[job.rule].level, []).append(amount.seconds)
            if of_level:
                total, chain = sum(map(sum, of_level.values())), sum(map(max, of_level.values()))
                out[stage] = max(total / workers, chain)
        return out

    def lines(self, workers: float, where: str) -> list[str]:
        """The lines of the plan for the terminal; `where` names the workers, as in "on 2 cores"."""
        number = {rule: sum(job.rule == rule for job in self.jobs) for rule in RULES}
        running, judging = number["estimate"], number["intervals_of"]
        figures = sum(len(job.parts) for job in self.jobs if job.rule == "figures")
        first = f"{counted(self.settings, 'setting')}: "
        if self.samples:
            few = f"{running:,} of " if running < self.estimations else ""
            kinds = [f"{few}{counted(self.estimations, 'estimation job')}"] if running else []
            kinds += [counted(judging, "interval job")] if judging else []
            first += f"{count(self.samples)} samples to draw in {' and '.join(kinds)}"
            first += f", about {size(self.bytes)}" if self.rows else ""
        else:
            first += "no samples to draw"
        if self.kept:
            first += f"; {count(self.kept)} are kept from earlier runs"
        others = len(self.jobs) - (running + judging if self.samples else 0)
        others -= number["figures"] + number[REPORT]
        more = {"figure": figures, "other job": others}
        also = ", ".join(counted(n, noun) for noun, n in more.items() if n)
        also += " and the report" if number[REPORT] else ""
        wall = sum(self.stages(workers).values())
        lacking = "; ".join(
            f"{some(samplers)} for {some(names)}" for samplers, names in self.left_out.items()
        )
        no_sums = "; ".join(
            f"{some(estimators)}{' with ' if samplers else ''}{some(samplers)} for {some(names)}"
            for (estimators, samplers), names in self.without_sums.items()
        )
        lacked = "; ".join(f"{some(names)} with {x}" for x, names in self.not_drawn.items())
        notes = {
            "left out, as the backend has no such law": lacked,
            "left out, as the family has no such sampler": lacking,
            "left out, as samples do not have the sums that they take": no_sums,
            "without gradients, as the family has none": some(self.without_gradients),
            "without samples of another law, as only policies and categoricals have them": some(
                self.without_sampler
            ),
        }
        return [
            first,
            *(f"{note}: {names}" for note, names in notes.items() if names),
            f"{f'{also}: ' if also else ''}the run takes about "
            f"{duration(self.cpu_seconds)} of CPU time, {duration(wall)} {where}",
        ]


Pairs = Collection[tuple[str, str]]  # of the names of a setting and a sampler


def chunk_seconds(
    config: Config, settings: Sequence[Setting], backend: str = "numpy", kept: Pairs = ()
) -> float:
    """Estimated CPU seconds of the settings of one job with every sampler, but for what is kept."""
    library = BACKENDS[backend]
    stops = checkpoints(config.samples, config.checkpoints_per_octave)
    total = 0.0
    for batch in batches(settings, SETTINGS_AT_ONCE):
        pair, of_case = batch[0].pair, batch[0].case is not None
        groups, chi_squares = (pair.radial_numbers or (1, 1)) if of_case else (1, 1)
        slowness = (
            library.slowness_of(pair.distributions() or ())
            if library.distributions
            else library.slowness
        )
        total += slowness * _PER_SETTING * len(batch)
        total += sum(
            estimate_seconds(
                batch[0].dimension, name, len(those), config.samples,
                config.replicates, groups=groups, chi_squares=chi_squares,
                checkpoints=len(stops), sharing=len(batch), seconds=pair.seconds,
                slowness=slowness, by_factor=sum(bool(ESTIMATORS[e].sums) for e in those),
            )
            for name, those in batch[0].combinations(config.samplers, config.estimators).items()
            if not all((s.name, name) in kept for s in batch)
        )  # fmt: skip
    return total


def gradient_seconds(config: Config) -> float:
    """Estimated CPU seconds of the gradients' estimates."""
    options = config.gradients
    factors = sum(s.dimension for s in config.gradient_settings)
    each = options["samples"] * options["replicates"] * len(options["methods"])
    return float(factors * (_PER_SETTING + _PER_WEIGHT * each))


def off_policy_seconds(config: Config) -> float:
    """Estimated CPU seconds of the estimates from samples of another law than q."""
    options = config.off_policy
    laws = [
        s.dimension
        for s in config.off_policy_settings
        for _ in (options["lags"] if s.sampler is None else (None,))
    ]
    each = options["samples"] * options["replicates"]
    return float(sum(_PER_LAW + _PER_SUM * each * tokens for tokens in laws))


def interval_seconds(config: Config, settings: Iterable[Setting]) -> float:
    """Estimated CPU seconds of the intervals of every run of these settings."""
    each, runs = config.samples, config.replicates
    total = 0.0
    for s in settings:
        names = s.combinations(["iid"], [*ESTIMATORS])["iid"]
        total += runs * (_PER_RUN + _PER_JUDGED * each) + estimate_seconds(
            s.dimension, "iid", len(names), each, runs, seconds=s.pair.seconds,
            by_factor=sum(bool(ESTIMATORS[name].sums) for name in names),
        )  # fmt: skip
    return total


def plan(
    config: Config,
    jobs: Iterable[Job],
    kept: Mapping[Job, Pairs] = {},
    current: Iterable[Job] = (),
) -> Plan:
    """The plan of a run with these jobs of a study.

    `kept` has the traces that estimation jobs take over from earlier runs (`mckl.study.earlier`),
    and `current` the estimation jobs that do not run because their traces are up to date.
    """
    settings, chunks = config.settings, config.chunks
    each = config.samples * config.replicates
    numbers = checkpoints(config.samples, config.checkpoints_per_octave)
    has = {s.name: s.combinations(config.samplers, config.estimators) for s in settings}
    stops = {name: len(checkpoints_of(SAMPLERS[name], numbers)) for name in config.samplers}

    def cells(some: Iterable[Setting]) -> int:
        return sum(stops[name] * len(those) for s in some for name, those in has[s.name].items())

    every = cells(settings)
    drawn = sum(cells(those) for chunk in chunks.values() for those in chunk.values())

    def amount(job: Job) -> Amount:
        if job.rule == "estimate":
            backend, chunk = job.parts
            library, members = BACKENDS[backend], chunks[backend][chunk]
            earlier = kept.get(job, ())
            seconds = library.start + chunk_seconds(config, members, backend, earlier)
            new = sum((s.name, name) not in earlier for s in members for name in has[s.name])
            return Amount(_PER_JOB + seconds, new * each, cells(members) * config.replicates)
        if job.rule == "intervals_of":
            members = chunks[config.backends[0]][job.parts[-1]]
            seconds = RULES[job.rule].start + interval_seconds(config, members)
            return Amount(_PER_JOB + seconds, len(members) * each)
        extra = gradient_seconds(config) if job.rule == "gradients" else 0.0
        if job.rule == "off_policy":
            extra = off_policy_seconds(config)
        work, rows = RULES[job.rule], drawn * config.replicates
        grown = work.setting * len(settings) + work.cell * every + work.row * rows
        grown += work.figure * len(job.parts)
        return Amount(_PER_JOB + work.start + grown + extra)

    up_to_date = sum(
        len(has[s.name])
        for backend, chunk in (job.parts for job in current)
        for s in chunks[backend][chunk]
    )
    return Plan(
        settings=len(settings),
        estimations=sum(map(len, chunks.values())),
        jobs={job: amount(job) for job in jobs},
        kept=(sum(map(len, kept.values())) + up_to_date) * each,
        not_drawn=config.left_out,
        without_gradients=[
            s.name
            for s in matching(settings, config.gradients["settings"])
            if s.pair.scores is None
        ],
        without_sampler=[
            s.name
            for s in matching(settings, config.off_policy["settings"])
            if s not in config.off_policy_settings
        ],
        left_out=_left_out(settings, config.samplers),
        without_sums=_without_sums(settings, config, has),
    )


def _without_sums(
    settings: Iterable[Setting], config: Config, has: Mapping[str, Mapping[str, Sequence[str]]]
) -> dict[tuple[tuple[str, ...], tuple[str, ...]], list[str]]:
    """The field `without_sums` of `Plan`, for settings with these samplers and estimators."""
    out: dict[tuple[tuple[str, ...], tuple[str, ...]], dict[str, None]] = {}
    judged = set()  # cells of one family mostly have the same combinations, in one object
    for s in settings:
        if s.family is not None:
            if (s.family, id(has[s.name])) in judged:
                continue
            judged.add((s.family, id(has[s.name])))
        lacking: dict[tuple[str, ...], list[str]] = {}  # by the samplers that lack the sums
        for estimator in config.estimators:
            without = [
                name for name in s.offered(config.samplers)
                if estimator not in has[s.name].get(name, ())
            ]  # fmt: skip
            if without:
                every = len(without) == len(s.offered(config.samplers))
                lacking.setdefault(() if every else tuple(without), []).append(estimator)
        for samplers, estimators in lacking.items():
            out.setdefault((tuple(estimators), samplers), {})[s.family or s.name] = None
    return {key: list(names) for key, names in out.items()}


def _left_out(
    settings: Iterable[Setting], samplers: Sequence[str]
) -> dict[tuple[str, ...], list[str]]:
    """The field `left_out` of `Plan`, for these settings."""
    out: dict[tuple[str, ...], dict[str, None]] = {}
    for s in settings:
        has = s.offered(samplers)
        if len(has) < len(samplers):
            missing = tuple(name for name in samplers if name not in has)
            out.setdefault(missing, {})[s.family or s.name] = None
    return {missing: list(names) for missing, names in out.items()}
