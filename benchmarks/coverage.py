"""How often the intervals of `mckl estimate` hold the KL.

    python benchmarks/coverage.py [--share 1.0]

Writes docs/explanation/coverage.md. Every run goes through the command's own code, with its own
seed; what depends on the pair alone is planned once. Of Sobol' points a pool of independent
scrambles is drawn once a setting and cut into runs.
"""

from __future__ import annotations

import os

os.environ.update(dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1"))

import argparse
import math
import time
from pathlib import Path
from typing import NamedTuple

import numpy as np
from scipy.special import stdtrit
from scipy.stats import beta
from tqdm import tqdm

from mckl.draw.points import SAMPLERS
from mckl.estimation.budget import Forecasts
from mckl.estimation.intervals import Request
from mckl.estimation.kl_estimate import TIGHT, WITHHELD
from mckl.estimation.sequential import SamplingPlan, estimate, plan_stages
from mckl.estimation.traces import trace
from mckl.estimation.values import ESTIMATORS
from mckl.study.settings import Setting, case_setting, grid_setting

DOCS = Path(__file__).parents[1] / "docs"
NOTEBOOK = case_setting(
    "notebook", {"q": {"mean": [1, 4], "sd": [1, 1]}, "p": {"mean": [-3, 2], "sd": [2.5, 2.5]}}
)
BUDGET, CONFIDENCE = 10**8, 0.95
# k1's coverage is asked for to 0.01 on either side, the others' from below alone.
GIVEN = {"k1": 10_000}
GIVEN_ELSE, MOST_RUNS = 4000, 1.5  # times the intervals wanted
AT_LEAST, K1_RANGE = 0.93, (0.94, 0.96)
SCRAMBLES = (5, 10, 20, 30)


class Cell(NamedTuple):
    """One pair, estimator, sampler and relative tolerance."""

    setting: Setting
    estimator: str
    tolerance: float
    sampler: str = "iid-radial"


def cells() -> list[Cell]:
    """The grid: what lost its coverage once, what is given an interval, and k1 everywhere."""
    g = grid_setting
    once = [
        (g(100, 1, 1), 0.01), (g(64, 0.8, 1), 0.01), (g(16, 1, 1), 0.05), (g(64, 1.25, 0.25), 0.05),
        (g(64, 1.1, 0.25), 0.05), (g(64, 0.8, 0.25), 0.05), (g(1, 1.4, 1), 0.1),
        (g(1, 1.4, 1), 0.05), (g(1000, 1.1, 0), 0.01), (NOTEBOOK, 0.05),
    ]  # fmt: skip
    given = [
        (g(1, 1, 1), 0.05), (g(1, 1, 0.25), 0.05), (g(1, 1, 0.1), 0.1), (g(1, 0.8, 0.25), 0.1),
        (g(1, 0.9, 0), 0.1), (g(1, 1.1, 0), 0.1), (g(1, 1.1, 0.25), 0.1), (g(2, 0.8, 1), 0.05),
        (g(4, 0.8, 0.25), 0.05), (g(4, 1.1, 0.25), 0.05), (g(16, 0.9, 0.25), 0.05),
        (g(16, 1.1, 0), 0.1), (g(64, 1.05, 0.1), 0.1), (g(1000, 1, 0.03), 0.1),
    ]  # fmt: skip
    plain = [
        (NOTEBOOK, 0.3), (NOTEBOOK, 0.05), (g(1, 0.3, 0), 0.1), (g(1, 0.8, 0), 0.3),
        (g(1, 1.25, 0), 0.3), (g(1, 1, 1), 0.1), (g(1, 5, 0), 0.05), (g(1, 1.4, 1), 0.1),
        (g(2, 2.5, 1), 0.1), (g(4, 0.8, 0.25), 0.2), (g(4, 1.25, 0.25), 0.3), (g(16, 1, 1), 0.05),
        (g(64, 0.8, 1), 0.02), (g(64, 1.1, 0.25), 0.05), (g(64, 1.25, 0.25), 0.05),
        (g(100, 1, 1), 0.01), (g(1000, 1.1, 0), 0.02), (g(10**6, 1.2, 0.3), 0.01),
    ]  # fmt: skip
    return [
        *(Cell(s, e, t) for s, t in once for e in ("k3", "cv")),
        *(Cell(s, e, t) for s, t in given for e in ("k3", "cv")),
        *(Cell(s, "k1", t) for s, t in plain),
        Cell(g(1, 1, 0.05), "k2", 0.05),
        Cell(g(4, 0.8, 0.25), "k1", 0.1, "antithetic-radial"),
        Cell(g(1, 0.8, 0), "k1", 0.3, "antithetic-radial"),
        Cell(g(1, 1, 0.25), "k3", 0.1, "antithetic-radial"),
        Cell(g(1, 0.8, 0.25), "cv", 0.1, "antithetic-radial"),
    ]


class Coverage(NamedTuple):
    """What the runs of a cell did: how many, and how many of them.

    samples  in the mean run
    reason   why the interval was withheld before anything was drawn; "" where it was not
    """

    cell: Cell
    runs: int
    tight: int
    covered: int
    withheld: int
    samples: float
    reason: str = ""

    @property
    def share(self) -> float:
        """The share of the tight intervals that hold the KL."""
        return self.covered / self.tight if self.tight else math.nan

    def upper(self) -> float:
        """The upper end of the 99.9 % interval of the share (Clopper & Pearson)."""
        missed = self.tight - self.covered
        return 1.0 if missed == 0 else float(beta.ppf(0.9995, self.covered + 1, missed))

    def sound(self) -> bool:
        """Whether the cell is as it should be."""
        if self.reason:
            return True
        if self.cell.estimator == "k1":
            low, high = K1_RANGE
            return low <= self.share <= high and self.withheld < 0.01 * self.runs
        return (self.share if self.tight >= GIVEN_ELSE else self.upper()) >= AT_LEAST


def measured(cell: Cell, share: float) -> Coverage:
    """Runs until enough intervals are given, or half as many runs again."""
    forecasts = Forecasts(cell.setting.pair)
    sampler, estimator = SAMPLERS[cell.sampler], ESTIMATORS[cell.estimator]
    request = Request(cell.tolerance, True, CONFIDENCE, BUDGET)
    planned = plan_stages(forecasts, sampler, estimator, request)
    if planned.withheld:
        return Coverage(cell, 0, 0, 0, 0, 0.0, planned.withheld)
    wanted = int(share * GIVEN.get(cell.estimator, GIVEN_ELSE))
    runs = tight = covered = withheld = samples = 0
    while tight < wanted and runs < MOST_RUNS * wanted:
        done = estimate(forecasts, sampler, estimator, request, seed=runs, planned=planned)
        runs, samples = runs + 1, samples + done.samples
        withheld += done.stopped == WITHHELD
        if done.stopped == TIGHT:
            tight += 1
            covered += abs(done.estimate - forecasts.law.kl) <= done.half_width
    return Coverage(cell, runs, tight, covered, withheld, samples / runs)


def scrambled(setting: Setting, sampler: str, runs: int) -> list[str]:
    """A row of the table of Sobol' points: k1's coverage by the number of scrambles."""
    forecasts = Forecasts(setting.pair)
    request = Request(0.01, True, CONFIDENCE, BUDGET)
    planned: SamplingPlan = plan_stages(forecasts, SAMPLERS[sampler], ESTIMATORS["k1"], request)
    counts = sorted({*SCRAMBLES, planned.least})
    pool = trace(
        setting.pair, "numpy", SAMPLERS[sampler], [ESTIMATORS["k1"]], seed=1,
        samples=[planned.points], replicates=max(SCRAMBLES) * runs, at_once=48,
    ).estimate[0, :, 0] - forecasts.law.kl  # fmt: skip

    def share(count: int) -> str:
        groups = pool[: pool.size // count * count].reshape(-1, count)
        error = groups.std(axis=1, ddof=1) / math.sqrt(count)
        half = stdtrit(count - 1, 0.5 + CONFIDENCE / 2) * error
        return f"{(np.abs(groups.mean(axis=1)) <= half).mean():.3f}"

    shares = {count: share(count) for count in counts}
    return [
        setting.name, sampler, f"{planned.points:,}", *(shares[R] for R in SCRAMBLES),
        f"{planned.least}", shares[planned.least],
    ]  # fmt: skip


def table(header: str, rows: list[list[str]]) -> str:
    """A Markdown table."""
    columns = header.split(" | ")
    rule = ["---", *["---:"] * (len(columns) - 1)]
    return "\n".join("| " + " | ".join(row) + " |" for row in (columns, rule, *rows))


def row(found: Coverage) -> list[str]:
    """A row of the table of coverage."""
    error = math.sqrt(found.share * (1 - found.share) / found.tight) if found.tight else math.nan
    c = found.cell
    return [
        c.setting.name, c.sampler, c.estimator, f"{c.tolerance:g}", f"{found.samples:,.0f}",
        f"{found.tight:,}", f"{100 * found.withheld / found.runs:.2f}",
        f"{found.share:.4f}", f"{error:.4f}",
    ]  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--share", type=float, default=1.0, help="of the runs")
    given = parser.parse_args()
    began = time.process_time()
    found = []
    for cell in tqdm(cells(), unit="cell"):
        found.append(measured(cell, given.share))
        if not found[-1].reason:
            tqdm.write(" ".join(row(found[-1])))
    g = grid_setting
    points = [
        (NOTEBOOK, "sobol"), (NOTEBOOK, "sobol-radial"), (g(1, 0.3, 0), "sobol"),
        (g(1, 1.25, 0.25), "sobol"), (g(1, 1, 1), "sobol"), (g(2, 1.2, 0.3), "sobol"),
        (g(4, 1.1, 0.25), "sobol"), (g(16, 0.8, 0.25), "sobol-radial"),
        (g(64, 1.2, 0.5), "sobol-radial"), (g(1000, 1.1, 0), "sobol-radial"),
    ]  # fmt: skip
    over_points = []
    for setting, sampler in tqdm(points, unit="setting"):
        over_points.append(scrambled(setting, sampler, int(given.share * GIVEN_ELSE)))
        tqdm.write(" ".join(over_points[-1]))
    drawn = [f for f in found if not f.reason]
    k1 = [f for f in drawn if f.cell.estimator == "k1"]
    others = [f for f in drawn if f.cell.estimator != "k1"]
    worst = min(others, key=lambda f: f.share)
    most = max(others, key=lambda f: f.withheld / f.runs)
    page = Path(__file__).with_name("pages") / "coverage.md"
    text = page.read_text().format(
        cells=len(found), drawn=len(drawn), unsound=sum(not f.sound() for f in found),
        k1_low=f"{min(f.share for f in k1):.4f}", k1_high=f"{max(f.share for f in k1):.4f}",
        k1_withheld=f"{100 * max(f.withheld / f.runs for f in k1):.2f}",
        worst=f"{worst.share:.4f} ({worst.cell.estimator}, {worst.cell.setting.name})",
        most=f"{100 * most.withheld / most.runs:.1f} % "
        f"({most.cell.estimator}, {most.cell.setting.name})",
        minutes=f"{(time.process_time() - began) / 60:.0f}",
        k1=table(HEADER, [row(f) for f in k1]), others=table(HEADER, [row(f) for f in others]),
        withheld=table(
            "setting | estimator | tolerance | why",
            [[f.cell.setting.name, f.cell.estimator, f"{f.cell.tolerance:g}", f.reason]
             for f in found if f.reason],
        ),
        scrambles=table(
            "setting | sampler | points of a scramble | "
            + " | ".join(f"R = {R}" for R in SCRAMBLES) + " | R as planned | covers", over_points,
        ),
        runs=f"{int(given.share * GIVEN_ELSE):,}",
    )  # fmt: skip
    (DOCS / "explanation" / "coverage.md").write_text(text)
    print(text)


HEADER = (
    "setting | sampler | estimator | tolerance | samples | intervals | withheld (%) | coverage | ±"
)

if __name__ == "__main__":
    main()
