"""Time our kernels and the whole study beside other ways to do the same work.

    python benchmarks/side_by_side.py [--rounds N] [--sweeps N]

Writes docs/explanation/benchmarks.md and docs/figures/benchmarks.png. Everything is interleaved:
in each round every way runs once, so that a machine that slows down slows all of them. Numbers are
medians, with quartiles.
"""

from __future__ import annotations

import os

os.environ.update(dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1"))

import argparse
import datetime
import platform
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pandas as pd
import yaml
from tqdm import tqdm
from ways import Run, Work, of_family, one_core, ours, raw_fill

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
WORK = Work(dimension=64, samples=16384, replicates=12)
DIMENSIONS = (2, 64, 1000, 10**6)
PEERS = (
    "numpy", "scipy", "pandas", "tensorflow", "tensorflow-probability", "torch", "snakemake",
)  # fmt: skip


def interleaved(
    ways: Mapping[str, Run], rounds: int, clock: Callable[[], float] = time.process_time
) -> pd.DataFrame:
    """Seconds of each way in every round; a round before the first is not counted."""
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for turn in tqdm(range(rounds + 1), unit="round"):
        for name, run in ways.items():
            began = clock()
            run()
            if turn:
                seconds[name].append(clock() - began)
    return pd.DataFrame(seconds)


def process(*command: str) -> tuple[float, float]:
    """Wall and CPU seconds of a command and its children."""
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    subprocess.run(command, check=True, cwd=ROOT, capture_output=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return time.perf_counter() - began, cpu


def snakemake(
    directory: str, *arguments: str, config: Mapping[str, object] | None = None
) -> list[str]:
    """The command that runs the study into a directory."""
    command = [sys.executable, "-m", "snakemake", "--cores", "all", "--directory", directory]
    if config is not None:
        file = Path(directory) / "mine.yaml"
        file.write_text(yaml.safe_dump(dict(config)))
        command += ["--configfile", str(file)]
    return [*command, *arguments]


def spread(values: pd.Series, form: str = "{:.3g}") -> str:
    """Median and quartiles as text."""
    low, middle, high = (form.format(values.quantile(q)) for q in (0.25, 0.5, 0.75))
    return f"{middle} ({low} to {high})"


def table(header: str, rows: list[list[str]]) -> str:
    """A Markdown table."""
    columns = header.split(" | ")
    rule = ["---", *["---:"] * (len(columns) - 1)]
    return "\n".join("| " + " | ".join(row) + " |" for row in (columns, rule, *rows))


def one_core_part(rounds: int) -> tuple[str, pd.DataFrame]:
    """The first table, and speeds in values of l times D a second, by way and round."""
    ways = one_core(WORK)
    settings = {name: int(name.split()[-2]) if name.endswith("settings") else 1 for name in ways}
    speed = interleaved(ways, rounds).rdiv(WORK.normals) * pd.Series(settings)
    fill = speed["raw fill"]
    rows = [
        [name, spread(speed[name] / 1e6, "{:.0f}"), spread(speed[name] / fill, "{:.2f}")]
        for name in ways
    ]
    return table("way | M/s | times raw fill", rows), speed


def ratios_part(speed: pd.DataFrame) -> str:
    """The ratios that the study promises, each of the same round."""
    best_tfp = speed[["TFP, eager", "TFP, graph", "TFP, XLA"]].max(axis=1)
    best_notebook = speed[["notebook, NumPy", "notebook, pandas"]].max(axis=1)
    every = speed["ours, iid, all estimators"]
    pairs = [
        ("iid, all estimators, one setting : raw fill", every / speed["raw fill"]),
        ("iid, all estimators, one setting : the notebook's formula", every / best_notebook),
        ("iid, all estimators, one setting : TFP's best way", every / best_tfp),
        ("iid-radial, all estimators : TFP's best way", speed["ours, iid-radial"] / best_tfp),
        ("12 settings that share their draws : one after another, iid",
         speed["ours, iid, 12 settings"] / every),
        ("12 settings that share their draws : one after another, sobol",
         speed["ours, sobol, 12 settings"] / speed["ours, sobol"]),
        ("TensorFlow backend, k1 : TFP's best way", speed["ours, TensorFlow, iid, k1"] / best_tfp),
    ]  # fmt: skip
    return table("ratio | median (quartiles)", [[n, spread(r, "{:.2f}")] for n, r in pairs])


def dimensions_part(rounds: int) -> str:
    """Cost a sample of the radial samplers against the dimension."""
    samples, replicates = WORK.samples, WORK.replicates
    rows = []
    for sampler in ("iid-radial", "sobol-radial"):
        ways = {str(d): ours(Work(d, samples, replicates), sampler) for d in DIMENSIONS}
        cost = interleaved(ways, rounds) / (samples * replicates) * 1e9
        rows += [
            [f"{sampler}, D = {int(d):,}", spread(cost[d], "{:.0f}"),
             spread(cost[d] / cost["2"], "{:.2f}")]
            for d in ways
        ]  # fmt: skip
    return table("sampler | ns a sample | times D = 2", rows)


def limit_part(rounds: int) -> str:
    """The direct kernel beside the raw fill, against the dimension."""
    rows = []
    for dimension in (4, 16, 64, 256, 1024):
        work = WORK._replace(dimension=dimension, replicates=12 * 64 // min(dimension, 64))
        ways = {
            "raw fill": raw_fill(work), "one": ours(work, "iid"),
            "three": ours(work, "iid", offsets=[0.0, 0.5, 1.0]),
        }  # fmt: skip
        cost = interleaved(ways, rounds)
        rows.append(
            [f"{dimension:,}", spread(cost["raw fill"] / cost["one"], "{:.2f}"),
             spread(3 * cost["raw fill"] / cost["three"], "{:.2f}")]
        )  # fmt: skip
    return table("D | one setting | 3 settings of a dimension", rows)


def families_part(rounds: int) -> str:
    """Other families: the plain mean, beside NumPy's own draw, scipy.stats and TFP's best way."""
    work = WORK._replace(replicates=WORK.replicates // 3)
    names = ["NumPy's draw", "scipy.stats", "TFP's best way", "ours", "ours, 3 settings"]
    rows = []
    for family in ("student-t(5)", "laplace", "logistic"):
        speed = interleaved(of_family(work, family), rounds).rdiv(work.normals) / 1e6
        speed["ours, 3 settings"] *= 3
        speed["TFP's best way"] = speed[[x for x in speed if x.startswith("TFP, ")]].max(axis=1)
        rows.append([family, *(spread(speed[name], "{:.0f}") for name in names)])
        for name in names[:3]:
            ratios = [speed[mine] / speed[name] for mine in names[3:]]
            rows.append(
                [f"times {name}", "", "", "", *(spread(ratio, "{:.1f}") for ratio in ratios)]
            )
    return table(" | ".join(["family", *names]), rows)


def sweep_part(sweeps: int) -> tuple[str, float]:
    """The default sweep: the plain loop against the workflow; and a job's start in CPU seconds."""
    config = yaml.safe_load((ROOT / "config.yaml").read_text())
    same = config | {"samplers": ["iid"], "estimators": ["k1"]}
    seconds: dict[str, list[tuple[float, float]]] = {}
    starts = []
    for _ in tqdm(range(sweeps), unit="sweep"):
        with tempfile.TemporaryDirectory() as d:
            ways = {
                "plain loop: iid, k1": [
                    sys.executable, "benchmarks/plain_loop.py", "config.yaml", f"{d}/loop.parquet",
                    str(os.cpu_count()),
                ],
                "workflow: iid, k1, up to traces.parquet": snakemake(
                    d, "--", "results/tables/traces.parquet", config=same
                ),
                "workflow: everything": snakemake(d),
            }  # fmt: skip
            for name, command in ways.items():
                seconds.setdefault(name, []).append(process(*command))
            cost = pd.read_parquet(f"{d}/results/tables/cost.parquet")
            whole = cost["setting"].isna()
            laps = cost[~whole].groupby(cost["job"].astype(str))["cpu_seconds"].sum()
            jobs = cost[whole].set_index(cost.loc[whole, "job"].astype(str))["cpu_seconds"]
            starts.append((jobs - laps).median())
    rows = []
    for name, pairs in seconds.items():
        wall, cpu = (pd.Series(x) for x in zip(*pairs, strict=True))
        rows.append([name, spread(wall, "{:.1f}"), spread(cpu, "{:.1f}")])
    return table("the default sweep | wall s | CPU s", rows), float(np.median(starts))


def dry_part(rounds: int, start: float) -> str:
    """What it takes before the first sample is drawn."""
    ten_thousand = {
        "sweep": {
            "dimension": [2**k for k in range(10)],
            "scale": np.linspace(0.75, 2.5, 25).round(4).tolist(),
            "offset": np.linspace(0.0, 1.0, 40).round(4).tolist(),
        },
        "samplers": ["iid", "iid-radial"],
    }
    with tempfile.TemporaryDirectory() as d:
        (Path(d) / "empty.smk").write_text("rule all:\n")
        dry = {
            "an empty Snakefile": [
                sys.executable, "-m", "snakemake", "-n", "-s", f"{d}/empty.smk", "--directory", d,
            ],
            "the default study": snakemake(d, "-n"),
        }  # fmt: skip
        for axes in (["dimension", "scale"], ["dimension", "scale", "offset"]):
            config = ten_thousand | {"one_job_per": axes}
            (Path(d) / str(len(axes))).mkdir()
            name = f"10,000 settings, one_job_per: [{', '.join(axes)}]"
            dry[name] = snakemake(f"{d}/{len(axes)}", "-n", config=config)
        seconds: dict[str, list[tuple[float, float]]] = {name: [] for name in dry}
        for _ in tqdm(range(rounds), unit="dry run"):
            for name, command in dry.items():
                seconds[name].append(process(*command))
    rows = []
    for name, pairs in seconds.items():
        wall, cpu = (pd.Series(x) for x in zip(*pairs, strict=True))
        rows.append([f"`snakemake -n`: {name}", spread(wall, "{:.1f}"), spread(cpu, "{:.1f}")])
    rows.append(["estimation job before its first sample", "", f"{start:.2f}"])
    return table("start | wall s | CPU s", rows)


def figure(speed: pd.DataFrame, path: Path) -> None:
    """Speeds as bars, from the slowest to the fastest."""
    import matplotlib.pyplot as plt

    from mckl.show.figures import theme

    theme.apply()
    middle = (speed / 1e6).median().sort_values()
    low, high = ((speed / 1e6).quantile(q)[middle.index] for q in (0.25, 0.75))
    mine = [name.startswith("ours") for name in middle.index]
    colours = [theme.ESTIMATOR_COLOURS["k1"] if m else "#B8B8B8" for m in mine]
    fig, ax = plt.subplots(figsize=(theme.WIDTH, 3.9))
    at = np.arange(middle.size)
    ax.barh(at, middle, color=colours, height=0.68)
    ax.errorbar(
        middle,
        at,
        xerr=[middle - low, high - middle],
        fmt="none",
        ecolor=theme.TRUTH,
        linewidth=0.8,
    )
    for y, value, top in zip(at, middle, high, strict=True):
        ax.annotate(
            f"{value:,.0f}", (top, y), xytext=(4, 0), textcoords="offset points", va="center",
            bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.8},
        )  # fmt: skip
    fill = middle["raw fill"]
    ax.axvline(fill, color=theme.TRUTH, linewidth=0.8, linestyle="--")
    ax.set_xscale("log")
    ax.set_yticks(at, middle.index)
    ax.set_xlabel("million normals' worth of log density ratios a second, one core, D = 64")
    ax.grid(axis="y", visible=False)
    ax.set_xlim(middle.min() / 1.6, middle.max() * 1.7)
    path.parent.mkdir(exist_ok=True)
    fig.savefig(path)


def machine(packages: Sequence[str] = PEERS) -> str:
    """The processor, the cores and the versions."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    model = next((x.split(":")[1].strip() for x in lines if x.startswith("model name")), "")
    versions = ", ".join(f"{name} {version(name)}" for name in packages)
    return (
        f"{model or platform.processor()}, {os.cpu_count()} cores, {platform.system()} "
        f"{platform.machine()}, Python {platform.python_version()}, {versions}; "
        f"{datetime.datetime.now(datetime.UTC).date()}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--sweeps", type=int, default=3)
    given = parser.parse_args()
    one, speed = one_core_part(given.rounds)
    limit, dimensions = limit_part(given.rounds), dimensions_part(given.rounds)
    sweep, start = sweep_part(given.sweeps)
    page = Path(__file__).with_name("pages") / "benchmarks.md"
    text = page.read_text().format(
        machine=machine(), rounds=given.rounds, sweeps=given.sweeps, cores=os.cpu_count(),
        one_core=one, ratios=ratios_part(speed), limit=limit, dimensions=dimensions,
        families=families_part(given.rounds), sweep=sweep,
        dry=dry_part(min(given.rounds, 3), start), **WORK._asdict(),
    )  # fmt: skip
    figure(speed, DOCS / "figures" / "benchmarks.png")
    (DOCS / "explanation" / "benchmarks.md").write_text(text)
    print(text)


if __name__ == "__main__":
    main()
