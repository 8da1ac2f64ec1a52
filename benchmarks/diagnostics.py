"""What the diagnostics of given samples are worth, from the study of intervals and hard cells.

    python benchmarks/diagnostics.py FOLDER CELLS [--runs 1000] [--again 2000]

FOLDER is that of the study `studies/intervals.yaml`, CELLS the file of `benchmarks/cells.py`.
Writes docs/explanation/diagnostics.md. What these do not measure is measured here: dependent
samples, forecasts, and intervals that are looked at all the time.
"""

from __future__ import annotations

import argparse
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from coverage import table
from scipy.stats import beta
from tqdm import tqdm

from mckl.api.watch import Watch
from mckl.draw import backends
from mckl.draw.points import SAMPLERS
from mckl.estimation.anytime import half_width
from mckl.estimation.given import trust, verdict
from mckl.estimation.given.answer import of_summary
from mckl.estimation.given.summary import Summary
from mckl.estimation.given.verdict import DIAGNOSTICS, judge
from mckl.estimation.intervals import Request
from mckl.estimation.values import ESTIMATORS
from mckl.families.registry import sweep_pair
from mckl.study.interval_coverage import coverage
from mckl.study.settings import Setting

DOCS = Path(__file__).parents[1] / "docs"
AT_LEAST = 0.93  # coverage that is aimed at in every cell
LARGE = 1000  # samples from which every estimator may have an interval
ENOUGH = 80  # given intervals from which the coverage of a cell says something


def share(part: float, whole: float) -> str:
    """A share and its standard error."""
    p = part / whole
    return f"{p:.3f} ± {math.sqrt(p * (1 - p) / whole):.3f}"


def percent(part: float, whole: float) -> str:
    return f"{100 * part / whole:.1f}" if whole else "–"


def by_estimator(cells: pd.DataFrame) -> str:
    """Rows of the table by estimator and number of samples."""
    rows = []
    for (name, n), c in cells.groupby(["estimator", "samples"], sort=False):
        s = c[["runs", "given", "covered_given", "withheld", "covered_withheld"]].sum()
        good = s.covered_given + s.covered_withheld
        holds = f"{s.covered_given / s.given:.3f}" if s.given else "–"
        rows.append(
            f"| {name} | {n:,} | {percent(s.given, s.runs)} | {holds} | "
            f"{percent(s.covered_withheld, good)} | {percent(s.given - s.covered_given, s.runs)} |"
        )
    return "\n".join(rows)


def hard(rows: list[dict[str, Any]]) -> str:
    """The table of hard cells."""

    def number(value: float) -> str:
        return "–" if math.isnan(value) or not value else f"{value:.3f}"

    out = []
    for row in rows:
        chosen = [name for name, count in row["chosen"].items() if count > 0.05 * row["runs"]]
        out.append(
            [row["group"], row["cell"], f"{row['runs']:,}", ", ".join(chosen),
             f"{row['trusted_given']:.3f}",
             number(row["trusted_covers"]), "–" if math.isnan(row["trusted_width"]) else
             f"{row['trusted_width']:.2f}", number(row["k1_covers"]), number(row["plain_k1"]),
             number(row["plain_k3-factor"])]
        )  # fmt: skip
    header = (
        "group | cell | runs | trusted | given | contain KL | length | k1's contain KL | plain k1"
    )
    return table(f"{header} | plain k3-factor", out)


def in_cases(cells: pd.DataFrame) -> str:
    """The table of the study's cases, of k1 and estimators by token."""
    chosen = cells[cells.estimator.isin(["k1", "cv", "k3-factor", "cv-factor", "rb"])]
    rows = [
        [c.setting, c.estimator, f"{c.samples:,}", percent(c.given, c.runs),
         f"{c.covered_given / c.given:.2f}" if c.given else "–"]
        for c in chosen.itertuples()
    ]  # fmt: skip
    return table("pair | estimator | samples | given (%) | of these contain KL", rows)


def forecasts(runs: int) -> str:
    """How often the interval of a forecast contains the exact number of samples needed."""
    rng, rows = np.random.default_rng(3), []
    request = Request(0.01, True, 0.95, 10**18)
    for mean, sd, n in ((0.3, 1.0, 2000), (1.0, 1.0, 2000), (0.0, 1.5, 1000)):
        kl = math.log(sd) + (1.0 + mean**2) / (2.0 * sd**2) - 0.5
        chi = math.expm1(mean**2)
        needed = {"k1": mean**2 if mean else 2.0 * (0.5 - 0.5 / sd**2) ** 2}
        if mean:
            needed |= {"k3": chi - mean**2, "cv": mean**2 - mean**4 / chi}
        held = dict.fromkeys(needed, 0)
        for _ in range(runs):
            z, summary = rng.normal(size=n), Summary()
            ell = math.log(sd) - 0.5 * z**2 + 0.5 * ((z - mean) / sd) ** 2
            summary.update({"ell": ell})
            found = of_summary(summary, request)
            for name, variance in needed.items():
                told = found[name].samples_needed
                exact = variance * (1.959964 / (0.01 * kl)) ** 2
                held[name] += told is not None and told.low <= exact <= told.high
        pair = f"N(0, 1) against N({mean:g}, {sd:g}²), n = {n:,}"
        rows += [[pair, name, f"{count / runs:.3f}"] for name, count in held.items()]
    return table("pair | estimator | contain the exact number", rows)


def power(cells: pd.DataFrame, alarms: pd.DataFrame) -> str:
    """Power and false alarms of each diagnostic, by estimator."""
    keys = ["setting", "estimator", "samples"]
    bad = cells.assign(good=cells.covered_given + cells.covered_withheld)
    total = bad.groupby("estimator")[["runs", "good"]].sum()
    found = (
        alarms.merge(cells[keys], on=keys)
        .groupby(["diagnostic", "estimator"])
        .sum(numeric_only=True)
    )
    names = [name for name in ESTIMATORS if name in total.index]
    rows = []
    for diagnostic in DIAGNOSTICS:
        row = [f"`{diagnostic}`"]
        for name in names:
            if (diagnostic, name) not in found.index:
                row.append("–")
                continue
            a, t = found.loc[(diagnostic, name)], total.loc[name]
            row.append(
                f"{percent(a.alarms - a.alarms_covered, t.runs - t.good)}, "
                f"{percent(a.alarms_covered, t.good)}"
            )
        if set(row[1:]) != {"–"}:
            rows.append(row)
    return table("power, false alarms (%) | " + " | ".join(names), rows)


def dependence(runs: int) -> str:
    """How often dependent samples are noticed, and how often k1's interval then covers."""
    rng, n, rows = np.random.default_rng(1), 2000, []
    x = np.linspace(-0.5, 0.5, n)
    cases = {
        "independent": (0.0, 0.0), "autocorrelation 0.05": (0.05, 0.0),
        "autocorrelation 0.1": (0.1, 0.0), "autocorrelation 0.3": (0.3, 0.0),
        "drift by 0.1 standard deviations": (0.0, 0.1),
        "drift by 0.3 standard deviations": (0.0, 0.3),
        "drift by 1 standard deviation": (0.0, 1.0),
    }  # fmt: skip
    for name, (rho, slope) in cases.items():
        spoke = {"drift": 0, "autocorrelation": 0}
        given = covered = 0
        for _ in range(runs):
            noise = rng.normal(size=n)
            for i in range(1, n if rho else 0):
                noise[i] = rho * noise[i - 1] + math.sqrt(1 - rho * rho) * noise[i]
            summary = Summary()
            summary.update({"ell": 0.5 + noise + slope * x})
            one = judge(summary)[1][0]
            names = {doubt.diagnostic for doubt in one.doubts}
            for key in spoke:
                spoke[key] += key in names
            given += not names
            covered += not names and one.interval[0] <= 0.5 <= one.interval[1]
        rows.append(
            [name, percent(spoke["drift"], runs), percent(spoke["autocorrelation"], runs),
             percent(given, runs), f"{covered / given:.3f}" if given else "–"]
        )  # fmt: skip
    header = "samples | drift (%) | autocorrelation (%) | k1 given (%) | of these contain KL"
    return table(header, rows)


def watch(runs: int) -> str:
    """Misses at any time of the confidence sequence, and of a 95 % interval looked at as often."""
    start, most, rows = 100, 20_000, []
    n = np.arange(1, most + 1)
    wide = np.array([half_width(int(m), 1.0, 0.95, 10 * start) for m in n])
    short = 1.96 / np.sqrt(n)
    sampler = SAMPLERS["iid"]
    for text, dimension, scale, offset, integrand in (
        ("normal", 1, 1.0, 0.5, "k1"), ("normal", 1, 0.8, 0.0, "k1"), ("normal", 1, 1.0, 0.1, "k3"),
        ("student-t(5)", 4, 1.25, 0.5, "k1"), ("laplace", 4, 1.1, 0.2, "k3"),
    ):  # fmt: skip
        pair = sweep_pair(text, dimension, scale, offset)
        form = pair.form()
        replicates = backends.load("numpy")([form], sampler.points, units=runs * most)
        following = replicates([sampler.key("numpy", form, 1, 0, "watch")])
        missed = peeked = 0
        for _ in range(runs):
            ell = following(most)[0, 0, 0, 0]
            x = ell if integrand == "k1" else np.expm1(-ell) + ell
            mean = x.cumsum() / n
            sd = np.sqrt(
                np.maximum((x * x).cumsum() / n - mean * mean, 0) * n / np.maximum(n - 1, 1)
            )
            off = np.abs(mean - pair.law.kl)[start - 1 :]
            missed += bool((off > (wide * sd)[start - 1 :]).any())
            peeked += bool((off > (short * sd)[start - 1 :]).any())
        rows.append(
            [f"{text}, D = {dimension}, scale {scale:g}, offset {offset:g}", integrand,
             percent(missed, runs), percent(peeked, runs)]
        )  # fmt: skip
    return table("pair | estimator | confidence sequence (%) | 95 % interval (%)", rows)


def half_lives(runs: int) -> str:
    """Coverage at each look of `Watch` with a half-life, over a steady q and one that moves."""
    rng, batch, looks, rows = np.random.default_rng(1), 64, 300, []
    for half_life in (100, 300, 1000):
        row = [f"{half_life}"]
        for estimator, end in (("k1", 0.5), ("k3", 0.5), ("k3", 1.0)):
            given = covered = 0
            for _ in range(runs):
                seen = Watch(estimator=estimator, half_life=half_life)
                for offset in np.linspace(0.5, end, looks):
                    z = rng.normal(size=batch)
                    now = seen.update(-0.5 * z**2, -0.5 * (z - offset) ** 2)
                    if now.interval is not None:
                        given += 1
                        covered += now.interval[0] <= 0.5 * offset**2 <= now.interval[1]
            row.append(percent(covered, given))
        rows.append(row)
    header = "half-life | steady, k1 (%) | steady, k3 (%) | KL from 0.125 to 0.5 nats, k3 (%)"
    return table(header, rows)


def again(
    cells: pd.DataFrame, samples: int, runs: int
) -> dict[tuple[str, str, int], tuple[int, int]]:
    """Of these cells the intervals given and those that hold KL, in fresh runs.

    The lowest of many cells are low by chance above all; what they are worth shows in other runs.
    """
    found = {}
    settings = [
        Setting(name, None, int(c.dimension), c.scale, c.offset, family=c.family)
        for name, c in cells.drop_duplicates("setting").set_index("setting").iterrows()
    ]
    for rows, _ in coverage(tqdm(settings, unit="setting"), samples, runs, seed=2):
        for row in rows:
            key = (row["setting"], row["estimator"], row["samples"])
            found[key] = (row["given"], row["covered_given"])
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("cells", type=Path)
    parser.add_argument("--runs", type=int, default=1000, help="of what is measured here")
    parser.add_argument("--again", type=int, default=2000, help="runs of each of the worst cells")
    given = parser.parse_args()
    tables = given.folder / "results" / "tables"
    cells, alarms = (
        pd.read_parquet(tables / f"{name}.parquet").astype({"setting": str, "estimator": str})
        for name in ("intervals", "alarms")
    )
    parts = cells.setting.str.extract(r"^(?:(.+)-)?d(\d+)-s([\d.e-]+)-o([\d.e-]+)$")
    cells["family"] = parts[0].fillna("normal").str.replace(r"(\d+)$", r"(\1)", regex=True)
    for i, name in enumerate(("dimension", "scale", "offset"), 1):
        cells[name] = parts[i].astype(float)
    cases, cells = cells[cells.scale.isna()], cells[cells.scale.notna()].copy()
    seconds = sum(
        pd.read_json(path, lines=True).cpu_time.sum()
        for path in (given.folder / "results" / "benchmarks" / "intervals").rglob("*.jsonl")
    )
    cells["coverage"] = cells.covered_given / cells.given
    told = cells[cells.given >= ENOUGH].copy()
    missed = told.given - told.covered_given
    upper = np.where(missed == 0, 1.0, beta.ppf(0.9995, told.covered_given + 1, missed.clip(1)))
    lowest = told.sort_values("coverage").head(10)
    fresh = again(lowest, int(cells.samples.max()), given.again)
    worst = [
        [c.setting, c.estimator, f"{c.samples:,}", f"{c.given:,}", share(c.covered_given, c.given),
         share(*fresh[c.setting, c.estimator, c.samples][::-1])]
        for c in lowest.itertuples()
    ]  # fmt: skip
    page = Path(__file__).with_name("pages") / "diagnostics.md"
    rows = [json.loads(line) for line in given.cells.read_text("utf-8").splitlines()]
    valid = [row for row in rows if row["group"] not in ("weights", "clusters not given")]

    def listed(name: str) -> str:
        return ", ".join(f"{v:g}" if isinstance(v, float) else str(v) for v in cells[name].unique())

    def alarmed(*words: str) -> int:
        reasons = [reason for row in valid for reason in row["reasons"].items()]
        return sum(count for why, count in reasons if any(word in why for word in words))

    def by_k1(words: str) -> str:
        (row,) = (row for row in rows if words in row["cell"])
        return f"{100 * row['chosen'].get('k1', 0) / row['runs']:.0f}"

    text = page.read_text("utf-8").format(
        settings=cells.setting.nunique(), runs=int(cells.runs.max()),
        samples=", ".join(f"{n:,}" for n in sorted(cells.samples.unique())),
        families=listed("family"), dimensions=listed("dimension"), scales=listed("scale"),
        offsets=listed("offset"), minutes=f"{seconds / 60:.0f}", given=cells.given.sum(),
        coverage=cells.covered_given.sum() / cells.given.sum(), cells=len(told), enough=ENOUGH,
        mean=told.coverage.mean(), sound=int((told.coverage >= AT_LEAST).sum()),
        unsound=int(((told.coverage < AT_LEAST) & (upper < AT_LEAST)).sum()),
        worst=table("setting | estimator | samples | given | coverage | in fresh runs", worst),
        again=given.again, by_estimator=by_estimator(cells), large=f"{LARGE:,}",
        power=power(cells[cells.samples >= LARGE], alarms), cases=in_cases(cases), hard=hard(rows),
        valid=sum(row["runs"] for row in valid),
        accused=alarmed("the sum of log", "it is at most", "occurs", "expected natural"),
        dependent_alarms=alarmed("drifts", "depend on"),
        power_1=by_k1("0.00099 in p"), power_2=by_k1("0.002 in p"),
        far=verdict.FAR_RATIO, units=verdict.LEAST_UNITS, sequences=verdict.LEAST_SEQUENCES,
        few_tokens=verdict.FEW_TOKENS,
        shorter=trust.SHORTER, dependent=verdict.DEPENDENT, dependence=dependence(given.runs // 2),
        dependence_runs=given.runs // 2, watch=watch(given.runs), watch_runs=given.runs,
        half_lives=half_lives(given.runs // 20), half_life_runs=given.runs // 20,
        forecasts=forecasts(given.runs), forecast_runs=given.runs,
    )  # fmt: skip
    (DOCS / "explanation" / "diagnostics.md").write_text(text, "utf-8")


if __name__ == "__main__":
    main()
