"""A whole run from nothing, and that its tables depend on nothing but the config."""

from __future__ import annotations

import json
import math
import re
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow.parquet as pq
import pytest
import yaml
from tools import need

from mckl.record.provenance import other_numbers
from mckl.record.tables import SCHEMAS
from mckl.show.runlog import answers
from mckl.study.config import parse
from mckl.study.plan import REPORT, STAGES, Job, plan

from .conftest import Graph
from .study import (
    CHECKOUT,
    CHUNKS,
    EXACT,
    FIGURES,
    SMALL,
    TABLES,
    TARGETS,
    Study,
    jobs_in,
    offline,
)

SETTINGS, ESTIMATORS, CHECKPOINTS, REPLICATES = 10, 2, 9, 8
DRAWN = 15  # iid of every setting, sobol-radial of the five normal ones
ROWS = {
    "settings": SETTINGS,
    "theory": DRAWN * ESTIMATORS * CHECKPOINTS,
    "traces": DRAWN * ESTIMATORS * CHECKPOINTS * REPLICATES,
    # Scales of normal and student-t laws, offsets; k1, k2, k3 and cv, in two dimensions by factor.
    "regimes": (22 + 18) * 9 * (4 + 7),
    "gaps": 0,
    "summary": DRAWN * ESTIMATORS * CHECKPOINTS,
    "budget": DRAWN * ESTIMATORS,
    "cost": len(CHUNKS) + DRAWN,
    "gradients": 17 * 5,  # methods of a normal law, numbers of samples
    "notebook": 10_000,
    "notebook-points": 1000,
}


def test_every_target_exists_and_nothing_else(finished: Study) -> None:
    expected = {f"results/tables/{table}.parquet" for table in (*TABLES, *ROWS)}
    outputs = {f"results/{x}/numpy/{chunk}.parquet" for x in ("traces", "cost") for chunk in CHUNKS}
    expected |= outputs | {f"{path}.kept" for path in outputs}
    expected |= {f"results/figures/{f}.{s}" for f in FIGURES for s in ("svg", "png", "pdf", "rst")}
    pages = ("landing.rst", "report.html", "explorer.html", "verified.txt", "manifest.json")
    expected |= {f"results/{name}" for name in pages}
    written = finished.files()
    records = {f for f in written if f.startswith(("results/logs/", "results/benchmarks/"))}
    assert written - records == expected
    assert all((finished.root / path).stat().st_size for path in expected)


def test_the_gate_waits_for_every_figure_and_the_manifest_for_everything(graph: Graph) -> None:
    assert sorted(name for names in graph.figures.values() for name in names) == sorted(FIGURES)
    for rule in (*graph.figures, "verify", "traces"):
        assert "gate" in graph.readers[rule]
    assert all("manifest" in graph.after([rule]) for rule in graph.readers)
    for made, reader in (("gradients", "verify"), ("budget", "verify"), ("theory", "verify")):
        assert reader in graph.readers[made]


def test_every_job_has_a_log_and_a_benchmark(finished: Study, graph: Graph) -> None:
    rules = {*graph.readers} - {"estimate"}
    jobs = {f"estimate/numpy/{chunk}" for chunk in CHUNKS}
    jobs |= {rule.replace("figures_after_", "figures/after_") for rule in rules}
    written = finished.files()
    logs = {f for f in written if "/logs/" in f} - {"results/logs/study.json"}  # of the run
    assert logs == {f"results/logs/{j}.log" for j in jobs}
    benchmarks = {f for f in written if "/benchmarks/" in f}
    assert benchmarks == {f"results/benchmarks/{j}.jsonl" for j in jobs}
    for path in benchmarks:
        assert "s" in json.loads((finished.root / path).read_text())


@pytest.mark.parametrize(("table", "rows"), ROWS.items())
def test_tables_have_their_schema_and_rows(finished: Study, table: str, rows: int) -> None:
    stored = pq.read_table(finished.root / f"results/tables/{table}.parquet")
    assert stored.schema.equals(SCHEMAS[table], check_metadata=False)
    assert stored.num_rows == rows


def test_every_cell_is_there_once(finished: Study) -> None:
    keys = ["setting", "backend", "sampler", "estimator", "samples"]
    traces = finished.table("traces").set_index(keys)
    counts = traces.groupby(level=keys)["replicate"].agg(["size", "nunique"])
    assert (counts == REPLICATES).all(axis=None)
    theory = finished.table("theory")
    verification = finished.table("verification")
    exact = theory[theory["theory"] == "exact"]
    cells = verification[verification["samples"] > 0]
    for quantity in ("mean", "variance"):
        of = cells[(cells["quantity"] == quantity) & (cells["setting"] != "all")]
        assert len(of.merge(exact, on=["setting", "sampler", "estimator", "samples"])) == len(exact)
    rows = verification["quantity"].value_counts()
    assert rows["kl"] == rows["log_ratio_variance"] == SETTINGS
    assert rows["repeats"] == DRAWN
    assert "std_error" in rows
    assert not verification.duplicated([*keys, "quantity"]).any()
    assert verification["passed"].all()


@pytest.mark.parametrize("table", TABLES)
def test_tables_carry_the_manifest(finished: Study, table: str) -> None:
    metadata = pq.read_schema(finished.root / f"results/tables/{table}.parquet").metadata
    manifest = json.loads(metadata[b"mckl"])
    assert {"mckl", "git_commit", "config_digest", "python", "packages"} <= set(manifest)


def test_the_gate_says_what_it_tested(finished: Study) -> None:
    verification = finished.table("verification")
    line = (finished.root / "results/verified.txt").read_text()
    means = verification[(verification["quantity"] == "mean") & (verification["samples"] > 0)]
    means = means[means["setting"] != "all"]
    assert len(means) == len(finished.table("summary"))
    assert re.match(rf"All comparisons agree\. [\d,]+ of {len(means):,} measured means \(", line)
    equal = (verification["test"] == "rounding").sum()
    assert f"{equal:,} further numbers were computed in two ways" in line
    assert f"of {SETTINGS} settings: KL(q||p) in {SETTINGS}, KL(p||q) in " in line
    assert "Not checked: k3_variance_finite (" in line
    for quantity in ("a bias", "a variance", "a standard error", "a coverage"):
        assert re.search(rf"^  {quantity} .* over many cells at once; ", line, re.MULTILINE)


@pytest.mark.parametrize("name", FIGURES)
def test_report_shows_every_figure(finished: Study, name: str) -> None:
    page = (finished.root / "results/report.html").read_text()
    caption = (finished.root / f"results/figures/{name}.rst").read_text()
    assert "{{" not in caption
    assert "{%" not in caption
    plain = re.findall(r"[A-Za-z0-9 ,.%=]{12,}", caption)  # runs without markup
    assert any(re.search(r"\d", run) for run in plain)
    assert all(run.strip() in page for run in plain)
    assert json.dumps(FIGURES[name].question)[1:-1] in page
    assert FIGURES[name].shows in page
    assert f"{name}.svg" in page


def test_report_opens_with_the_landing_page(finished: Study) -> None:
    landing = (finished.root / "results/landing.rst").read_text()
    assert "10 settings" in landing
    assert "{{" not in landing
    assert "10 settings" in (finished.root / "results/report.html").read_text()


def test_report_needs_no_network(finished: Study) -> None:
    page = (finished.root / "results/report.html").read_text()
    assert not re.findall(r"<(?:script|link|img)[^>]+(?:src|href)=[\"']?https?://", page)


def test_the_run_had_no_network(finished: Study) -> None:
    need("a way to run a command without a network (unshare -rn)", offline())
    # `finished` was made under the same prefix and would have failed without it.
    assert (finished.root / "results/verified.txt").exists()


def test_the_plan_comes_once_before_the_first_job(finished: Study) -> None:
    text, log = (finished.root / "run.txt").read_text(), finished.log()
    plan = "mckl: 10 settings: 30,720 samples to draw in 6 estimation jobs, about "
    for said in (text, log):
        assert said.count(plan) == 1
    assert log.index(plan) < log.index("rule estimate:")
    assert len([j for j in jobs_in(log) if j.startswith("estimate ")]) == 6


def test_a_run_can_be_followed(finished: Study, graph: Graph) -> None:
    text = (finished.root / "run.txt").read_text()
    assert len(text.splitlines()) <= 60
    ends = [text.index(f"mckl: {stage}: done after ") for stage in STAGES]
    assert text.index("the run takes about ") < min(ends)
    page = (finished.root / "results/landing.rst").read_text()
    for answer in answers(page):
        assert text.index(f"mckl: {answer[:60]}") > max(ends)
    assert len(answers(page)) == 4  # samples, estimator, sampler, trust
    assert f"{finished.root}/results/report.html" in text
    (log,) = re.findall("^mckl: Snakemake's whole log: (.*)$", text, re.MULTILINE)
    assert Path(log).read_text() == finished.log()
    assert finished.log().count("Finished jobid") > len(CHUNKS) + len(graph.figures)


def test_the_announced_plan_is_of_exactly_the_jobs_that_ran(finished: Study, graph: Graph) -> None:
    """What they take is compared with their forecast by `make benchmark`."""
    ran = [Job(REPORT)]
    for name in jobs_in(finished.log()):
        rule, _, chunk = name.partition(" ")
        figures = tuple(graph.figures.get(rule, ()))
        known = Job("figures", figures) if figures else Job(rule)
        ran.append(Job(rule, ("numpy", chunk)) if chunk else known)
    schema = yaml.safe_load((CHECKOUT / "workflow/schemas/config.schema.yaml").read_text())
    forecast = plan(parse(dict(SMALL), schema), ran)
    assert {*forecast.jobs} == {*ran}
    text = (finished.root / "run.txt").read_text()
    for line in forecast.lines(2, "on 2 cores"):
        assert f"mckl: {line}\n" in text


def test_a_second_run_has_nothing_to_do(study: Study) -> None:
    text = study.run()
    assert "mckl: nothing to do: the results are up to date\n" in text
    assert "mckl: By theory, a plain mean (k1) takes " in text
    assert " for 10 % error, " in text  # the study's tolerance
    assert "to draw" not in text


def test_nothing_is_left_beside_the_results(finished: Study) -> None:
    assert not [f for f in finished.files() if f.rpartition("/")[2].startswith(".")]
    assert not list(finished.root.glob(".snakemake/incomplete/*"))


@pytest.mark.slow
def test_chunks_and_cores_change_no_number(finished: Study, study: Study) -> None:
    study.configure(one_job_per=["dimension", "scale", "offset"])
    study.run(*TARGETS, cores=1)
    chunks = {c if c.startswith("case-") else f"{c}-o0.25" for c in CHUNKS}
    assert {f.stem for f in study.root.glob("results/traces/numpy/*.parquet")} == {*CHUNKS} | chunks
    for table in EXACT:
        pd.testing.assert_frame_equal(study.table(table), finished.table(table), check_exact=True)
    assert other_numbers(study.root / "results", finished.manifest()) == {}


@pytest.mark.slow
def test_a_bigger_sweep_in_one_job_changes_no_number(finished: Study, fresh: Study) -> None:
    more: dict[str, Any] = {"dimension": [1, 2, 3], "scale": [0.8, 1, 1.25], "offset": [0, 0.25]}
    sweep = {**SMALL["sweep"], **more}
    compared = ("settings", "theory", "traces", "summary")
    fresh.configure(sweep=sweep, estimators=["k1", "k2", "k3"], one_job_per=[])
    fresh.run(*(f"results/tables/{table}.parquet" for table in compared), cores=2)
    made = {f.stem for f in fresh.root.glob("results/traces/numpy/*.parquet")}
    assert made == {"grid", "case-notebook", "case-tails"}
    for table in compared:
        small, big = finished.table(table), fresh.table(table)
        assert len(big) > len(small)
        keys = [key for key in ("setting", "sampler", "estimator") if key in small]
        both = big.merge(small[keys].drop_duplicates(), on=keys)
        pd.testing.assert_frame_equal(both, small, check_exact=True)


def test_small_study_is_what_the_counts_say() -> None:
    sweep = SMALL["sweep"]
    cells = math.prod(map(len, sweep.values()))
    assert cells + len(SMALL["cases"]) == SETTINGS
