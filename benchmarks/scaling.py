"""How time, memory and bytes grow, and the model that the plan of a run counts with.

    python benchmarks/scaling.py [--runs N]

Writes docs/explanation/scaling.md and docs/figures/scaling.png. The time of an estimation step is
fitted by least squares of relative errors, with coefficients that are not negative; the constants
in `mckl.estimation.cpu_time` and `mckl.draw.points` are to be what this prints, rounded.
"""

from __future__ import annotations

import os

os.environ.update(dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1"))

import argparse
import re
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import yaml
from scipy.optimize import nnls
from side_by_side import DOCS, ROOT, machine, snakemake, table
from tqdm import tqdm

from mckl.draw.points import SAMPLERS
from mckl.estimation.cpu_time import estimate_seconds
from mckl.estimation.offered import offered_estimators
from mckl.estimation.traces import checkpoints, trace, traces
from mckl.estimation.values import ESTIMATORS
from mckl.record import tables
from mckl.study import plan as planned
from mckl.study.config import Config, parse
from mckl.study.settings import grid_setting
from mckl.study.trace_table import trace_columns
from mckl.text import count

ROOM = {
    "dimension": (1, 2, 4, 16, 64, 256),
    "samples": (256, 1024, 4096, 16384),
    "replicates": (4, 24, 100),
    "sharing": (1, 3, 12),
    "estimators": (1, 2, 4),
}
LONGEST = 1.0  # seconds of a run, by the model
TERMS = (
    "replicate", "normal", "chi-square", "evaluation", "evaluation and estimator",
    "checkpoint and estimator",
)  # fmt: skip


class Cell(NamedTuple):
    """One run: settings of one dimension that share their draws."""

    dimension: int
    samples: int
    replicates: int
    sharing: int
    estimators: int

    def terms(self, sampler: str) -> list[float]:
        """How often each of `TERMS` is paid."""
        units = self.samples / SAMPLERS[sampler].points.points * self.replicates
        radial = sampler.endswith("-radial")
        own = self.sharing * self.replicates
        return [
            self.replicates,
            units * (1 if radial else self.dimension),
            units if radial and self.dimension > 1 else 0.0,
            own * self.samples,
            own * self.samples * self.estimators,
            own * len(checkpoints(self.samples, 1)) * self.estimators,
        ]

    def seconds(self, sampler: str) -> float:
        """CPU seconds of the run."""
        settings = [grid_setting(self.dimension, 1.25, k / 8) for k in range(self.sharing)]
        chosen = list(ESTIMATORS.values())[: self.estimators]
        began = time.process_time()
        traces(
            {s.name: s.pair for s in settings}, "numpy", SAMPLERS[sampler], chosen,
            seed=1, samples=checkpoints(self.samples, 1), replicates=self.replicates,
        )  # fmt: skip
        return time.process_time() - began

    def forecast(self, sampler: str) -> float:
        """What the plan says of it."""
        return estimate_seconds(
            self.dimension, sampler, self.estimators, self.samples, self.replicates,
            chi_squares=int(self.dimension > 1), sharing=self.sharing,
            checkpoints=len(checkpoints(self.samples, 1)),
        )  # fmt: skip


def measured(runs: int) -> pd.DataFrame:
    """So many random cells of each sampler, the least of three runs of each."""
    rng = np.random.default_rng(1)
    rows = []
    for sampler in tqdm(SAMPLERS, unit="sampler"):
        Cell(4, 256, 4, 1, 4).seconds(sampler)  # imports and caches
        while len(rows) < runs * (list(SAMPLERS).index(sampler) + 1):
            cell = Cell(*(int(rng.choice(values)) for values in ROOM.values()))
            if cell.forecast(sampler) < LONGEST:
                seconds = min(cell.seconds(sampler) for _ in range(3))
                rows.append({"sampler": sampler, "cell": cell, "seconds": seconds})
    return pd.DataFrame(rows)


def fit(cells: pd.DataFrame) -> dict[str, float]:
    """The model's coefficients in seconds, for the point set of these cells."""
    X = np.array([c.terms(s) for c, s in zip(cells["cell"], cells["sampler"], strict=True)])
    y = cells["seconds"].to_numpy()
    scale = X.max(axis=0)
    solution, _ = nnls(X / scale / y[:, None], np.ones(y.size))
    return dict(zip(TERMS, solution / scale, strict=True))


def time_part(cells: pd.DataFrame) -> tuple[str, str]:
    """The fitted coefficients by point set, and how far the plan is off."""
    radial = cells["sampler"].str.removesuffix("-radial")
    coefficients = {points: fit(group) for points, group in cells.groupby(radial)}
    rows = [
        [term, *(f"{coefficients[p][term] * 1e9:,.1f}" for p in coefficients)] for term in TERMS
    ]
    fitted = table("nanoseconds a | " + " | ".join(coefficients), rows)
    off = cells["forecast"] / cells["seconds"]
    quoted = [
        [name, *(f"{off[group].quantile(q):.2f}" for q in (0.0, 0.1, 0.5, 0.9, 1.0))]
        for name, group in cells.groupby("sampler").groups.items()
    ]
    return fitted, table("plan : fact | least | 10 % | median | 90 % | most", quoted)


# Jobs of a study: dimension, offsets, samples, replicates.
JOBS = ((1, (0.0, 0.5, 1.0), 16384, 100), (16, (0.25, 1.0), 16384, 100), (64, (0.25,), 4096, 24))


def jobs_part(schema: Mapping[str, object], tries: int = 5) -> str:
    """Jobs with all estimators that a study has: their forecast by the least time of some tries."""
    rows = []
    for sampler in SAMPLERS:
        ratios = []
        for dimension, offsets, samples, replicates in JOBS:
            config = parse(
                {"sweep": {"dimension": [dimension], "scale": [1.25], "offset": [*offsets]},
                 "cases": {}, "samplers": [sampler], "samples": samples, "replicates": replicates},
                schema,
            )  # fmt: skip
            settings, seconds = config.settings, []
            names = offered_estimators(settings[0].pair, SAMPLERS[sampler], config.estimators)
            for _ in range(tries):
                began = time.process_time()
                traces(
                    {s.name: s.pair for s in settings}, "numpy", SAMPLERS[sampler],
                    [ESTIMATORS[name] for name in names],
                    seed=1, samples=checkpoints(samples, 1), replicates=replicates,
                )  # fmt: skip
                seconds.append(time.process_time() - began)
            ratios.append(planned.chunk_seconds(config, settings) / min(seconds))
        rows.append([sampler, *(f"{ratio:.2f}" for ratio in ratios)])
    shapes = (f"{count(k * r * n)} samples at D = {d}" for d, o, n, r in JOBS for k in [len(o)])
    return table("plan : fact | " + " | ".join(shapes), rows)


# Not by getrusage, whose peak a process inherits from the one that started it.
PEAK = """
def peak():
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) / 1024 for line in status if line.startswith("VmHWM"))
"""
PROBE = """
import sys
from mckl.estimation.values import ESTIMATORS
from mckl.draw.points import SAMPLERS
from mckl.study.settings import grid_setting
from mckl.estimation.traces import trace
d, n, sampler = int(sys.argv[1]), int(sys.argv[2]), SAMPLERS[sys.argv[3]]
trace(grid_setting(d, 1.25, 0.25).pair, "numpy", sampler, list(ESTIMATORS.values()),
      seed=1, samples=[n], replicates=1)
print(peak())
"""


WRITE = """
import sys
import numpy as np
from mckl.record import tables
path, settings, replicates = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
at, estimators = [2**k for k in range(15)], ["k1", "k2", "k3", "cv"]
rows = len(at) * len(estimators) * replicates
same, rng = np.zeros(rows, np.int32), np.random.default_rng(1)
with tables.writer("traces", path, {}) as out:
    for k in range(settings):
        group = tables.table("traces", {
            "setting": tables.keys([f"d{k + 1}-s1-o1"], same),
            "backend": tables.keys(["numpy"], same), "sampler": tables.keys(["iid"], same),
            "estimator": tables.keys(
                estimators, np.repeat(np.arange(4, dtype=np.int32), rows // 4)),
            "replicate": np.tile(np.repeat(np.arange(replicates, dtype=np.int32), 15), 4),
            "samples": np.tile(np.array(at), 4 * replicates),
            "estimate": rng.standard_normal(rows), "std_error": rng.random(rows)})
        out.write_table(group, row_group_size=rows)
"""
AGGREGATE = """
import sys, time
from mckl.record import tables
from mckl.study.settings import grid_setting
from mckl.study.summary_table import summaries
from mckl.study.theory_table import setting_rows, theory_rows
folder, count = sys.argv[1], int(sys.argv[2])
every = [grid_setting(d + 1, 1.0, 1.0) for d in range(count)]
known = tables.table("settings", setting_rows(every)).to_pandas()
exact = theory_rows(every, ["iid"], ["k1", "k2", "k3", "cv"], [2**k for k in range(15)])
theory = tables.concatenate("theory", list(exact)).to_pandas()
with tables.writer("traces", f"{folder}/all.parquet", {}) as out:
    for group in tables.row_groups("traces", f"{folder}/chunk.parquet"):
        out.write_table(group, row_group_size=group.num_rows)
with tables.writer("summary", f"{folder}/summary.parquet", {}) as out:
    for rows in summaries(tables.row_groups("traces", f"{folder}/all.parquet"), known, theory):
        out.write_table(tables.table("summary", rows))
print(time.process_time(), peak())
"""


def python(code: str, *arguments: object) -> str:
    """What a process that runs this code prints."""
    command = [sys.executable, "-c", PEAK + code, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def memory_part() -> str:
    """Peak memory of a process against samples and dimension."""
    rows = []
    for sampler, d, n in (
        ("iid", 1, 10**5), ("iid", 1, 10**7), ("iid", 1, 10**8), ("iid", 10**4, 10**4),
        ("iid", 10**6, 100), ("iid-radial", 10**6, 10**7), ("sobol", 64, 10**5),
        ("sobol", 64, 10**6), ("sobol-radial", 10**6, 10**6),
    ):  # fmt: skip
        peak = float(python(PROBE, d, n, sampler))
        rows.append([sampler, f"{d:,}", f"{n:,}", f"{peak:.0f}"])
    return table("sampler | D | samples | MiB", rows)


def aggregation_part() -> str:
    """The tables `traces` and `summary` made of many rows of traces."""
    rows = []
    for settings, replicates in ((100, 1600), (1000, 160), (1000, 1600)):
        with tempfile.TemporaryDirectory() as folder:
            python(WRITE, f"{folder}/chunk.parquet", settings, replicates)
            size = Path(folder, "chunk.parquet").stat().st_size
            seconds, peak = map(float, python(AGGREGATE, folder, settings).split())
        n = settings * replicates * 60
        rows.append(
            [f"{settings:,}", f"{n:.1e}", f"{size / 1e6:,.0f}", f"{seconds:,.0f}", f"{peak:,.0f}"]
        )
    return table("settings | rows | MB | CPU s | peak MiB", rows)


def bytes_part() -> str:
    """Bytes of a row of traces.parquet."""
    rows = []
    for replicates in (10, 100, 1000):
        setting = grid_setting(4, 1.25, 0.25)
        one = trace(
            setting.pair, "numpy", SAMPLERS["iid"], list(ESTIMATORS.values()),
            seed=1, samples=checkpoints(16384, 1), replicates=replicates,
        )  # fmt: skip
        columns = trace_columns(one, setting, "numpy", "iid", list(ESTIMATORS))
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "traces.parquet"
            tables.write("traces", path, columns, {})
            size = path.stat().st_size
        rows.append([f"{one.estimate.size:,}", f"{size:,}", f"{size / one.estimate.size:.1f}"])
    return table("rows | bytes | bytes a row", rows)


def million_part(study: Config) -> str:
    """A sweep of a million settings, by the plan: 100 values an axis."""
    rows = []
    for axes, held in (("[dimension]", 10**4), ("[dimension, scale]", 100)):
        seconds = [
            planned.chunk_seconds(study, [grid_setting(d, 1.25, 0.25)] * held)
            for d in range(1, 101)
        ]
        jobs, total = 10**6 // held, sum(seconds) * 10**4 / held
        rows.append(
            [axes, f"{jobs:,}", f"{np.mean(seconds) / 60:.1f}", f"{total / 3600:,.0f}",
             f"{max(total / 1000, max(seconds)) / 3600:.1f}"]
        )  # fmt: skip
    return table("one_job_per | jobs | minutes a job | CPU hours | hours on 1,000 cores", rows)


RUNS: Mapping[str, Mapping[str, object] | None] = {
    "the default": None,
    "a small study": {
        "sweep": {"dimension": [1, 2], "scale": [0.8, 1.25], "offset": [0.25]},
        "samples": 1024, "replicates": 10, "samplers": ["iid", "sobol-radial"],
    },
    "many checkpoints": {"samples": 1024, "checkpoints_per_octave": 3},
    "many settings": {
        "sweep": {
            "dimension": [1, 2, 3, 4, 5, 6, 8, 16, 32, 64],
            "scale": [0.8, 0.9, 0.95, 1.0, 1.05, 1.1, 1.25, 1.5, 2, 2.5],
            "offset": [0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 1.0],
        },
        "samples": 64, "replicates": 4, "samplers": ["iid", "sobol-radial"],
    },
}  # fmt: skip
FORECAST = re.compile(
    r"mckl: ([\d,]+) settings: .*?takes about (\S+ \w+) of CPU time, (\S+ \w+) on", re.DOTALL
)


def runs_part(runs: Mapping[str, Mapping[str, object] | None] = RUNS) -> str:
    """Whole runs: what each said before its first job, and what it took."""
    rows = []
    for name, config in runs.items():
        with tempfile.TemporaryDirectory() as folder:
            before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
            done = subprocess.run(
                snakemake(folder, config=config),
                cwd=ROOT,
                check=True,
                capture_output=True,
                text=True,
            )
            wall, after = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
        cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        found = FORECAST.search(done.stderr)
        assert found, done.stderr
        settings, said, said_wall = found.groups()
        rows.append([name, settings, said, f"{cpu:.0f} s", said_wall, f"{wall:.0f} s"])
    return table("study | settings | CPU, plan | CPU, fact | wall, plan | wall, fact", rows)


def figure(path: Path) -> None:
    """Growth with each number, the others held: points measured, lines by the plan."""
    import matplotlib.pyplot as plt

    from mckl.show.figures import theme

    theme.apply()
    base = Cell(dimension=16, samples=4096, replicates=24, sharing=3, estimators=4)
    axes = {
        "dimension": (1, 4, 16, 64, 256, 1024),
        "samples": (256, 1024, 4096, 16384, 65536),
        "replicates": (1, 4, 16, 64, 256),
        "sharing": (1, 2, 4, 8, 12),
    }
    shown = ("iid", "antithetic", "sobol", "iid-radial", "sobol-radial")
    fig, panels = plt.subplots(1, len(axes), figsize=(theme.WIDTH, 2.5), sharey=True)
    for ax, (name, values) in zip(panels, axes.items(), strict=True):
        for sampler in shown:
            cells = [base._replace(**{name: value}) for value in values]
            fact = [min(cell.seconds(sampler) for _ in range(3)) for cell in cells]
            colour = theme.SAMPLER_COLOURS[sampler]
            ax.plot(values, [c.forecast(sampler) for c in cells], color=colour, linewidth=1.0)
            ax.plot(
                values, fact, theme.SAMPLER_MARKERS[sampler], color=colour, markersize=3.5,
                label=sampler,
            )  # fmt: skip
        ax.set_xscale("log", base=2)
        ax.set_yscale("log")
        ax.set_xlabel("settings in a job" if name == "sharing" else name)
    panels[0].set_ylabel("CPU seconds")
    fig.legend(*panels[0].get_legend_handles_labels(), loc="outside upper center", ncols=5)
    path.parent.mkdir(exist_ok=True)
    fig.savefig(path)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=40, help="of each sampler")
    given = parser.parse_args()
    schema = yaml.safe_load((ROOT / "workflow/schemas/config.schema.yaml").read_text())
    study = parse(yaml.safe_load((ROOT / "config.yaml").read_text()), schema)
    cells = measured(given.runs)
    cells["forecast"] = [
        c.forecast(s) for c, s in zip(cells["cell"], cells["sampler"], strict=True)
    ]  # fmt: skip
    fitted, quoted = time_part(cells)
    page = Path(__file__).with_name("pages") / "scaling.md"
    text = page.read_text().format(
        machine=machine(), cells=len(cells), fitted=fitted, quoted=quoted, memory=memory_part(),
        jobs=jobs_part(schema), runs=runs_part(), bytes=bytes_part(),
        aggregation=aggregation_part(), million=million_part(study),
    )  # fmt: skip
    figure(DOCS / "figures" / "scaling.png")
    (DOCS / "explanation" / "scaling.md").write_text(text)
    print(text)


if __name__ == "__main__":
    main()
