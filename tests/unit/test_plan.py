"""The plan that a run announces, against what it does."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from mckl.draw.points import SAMPLERS
from mckl.study.config import parse
from mckl.study.plan import REPORT, RULES, STAGES, Job, chunk_seconds, plan


def everything(config):
    """The jobs of a whole run, with two figures."""
    estimates = [
        Job("estimate", (backend, chunk))
        for backend, jobs in config.chunks.items()
        for chunk in jobs
    ]
    figures = [Job("figures", ("one", "two"))]
    left_out = {"estimate", "figures", "registered_kl", "intervals_of", "intervals"}
    left_out |= set() if config.off_policy_settings else {"off_policy"}
    others = [Job(rule) for rule in RULES if rule not in left_out]
    return [*estimates, *figures, *others]


SWEEP = {"dimension": [1, 2], "scale": [0.8, 1.25], "offset": [0.0, 0.25]}
ONE_CASE = {"notebook": {"q": {"mean": [1, 4], "sd": 1}, "p": {"mean": [-3, 2], "sd": 2.5}}}
TOKEN = {
    side: {"family": "categorical", "probabilities": weights}
    for side, weights in (("q", [0.7, 0.3]), ("p", [0.5, 0.5]))
}


def test_the_plan_counts_what_will_be_done(schema):
    config = parse(
        {
            "sweep": SWEEP, "samples": 100, "replicates": 10, "samplers": ["iid", "antithetic"],
            "estimators": ["k1", "k2", "k3"], "one_job_per": ["dimension"], "cases": ONE_CASE,
        },
        schema,
    )  # fmt: skip
    p = plan(config, everything(config))
    assert p.settings == 9  # 8 cells and the notebook
    assert p.estimations == 3  # two dimensions and the notebook
    assert p.samples == 9 * 2 * 100 * 10
    # checkpoints 1, 2, 4, ..., 64, 100; a pair cannot stop at 1
    assert p.rows == 9 * 3 * 10 * (8 + 7)
    assert p.bytes > 0
    first, second = p.lines(2, "on 2 cores")
    assert first.startswith("9 settings: 18,000 samples to draw in 3 estimation jobs, about ")
    assert second.startswith("2 figures, 12 other jobs and the report: the run takes about ")
    assert second.endswith(" s on 2 cores")


def test_only_what_will_run_is_planned(schema):
    config = parse({"sweep": SWEEP, "cases": ONE_CASE}, schema)
    every = everything(config)
    left = [job for job in every if job.parts != ("numpy", "d1") and job.rule != "settings"]
    p, fewer = plan(config, every), plan(config, left)
    missing = p.jobs[Job("estimate", ("numpy", "d1"))].seconds + p.jobs[Job("settings")].seconds
    assert fewer.cpu_seconds == pytest.approx(p.cpu_seconds - missing)
    assert " in 2 of 3 estimation jobs, about " in fewer.lines(1, "")[0]
    first, *_ = plan(config, [Job("gate")]).lines(1, "")
    assert first == "9 settings: no samples to draw"


def test_what_is_kept_is_not_drawn_and_takes_no_time(schema):
    config = parse(
        {"sweep": SWEEP, "cases": {}, "samples": 100, "replicates": 10, "samplers": ["iid"]}, schema
    )
    chunks = config.chunks["numpy"]
    whole = [(s.name, "iid") for s in chunks["d2"]]
    first, second = (Job("estimate", ("numpy", chunk)) for chunk in chunks)
    new = plan(config, [first, second])
    part = plan(config, [first, second], {second: whole[:1]})
    assert (new.samples, part.samples, part.kept) == (8000, 7000, 1000)
    assert part.lines(1, "")[0].endswith("; 1,000 are kept from earlier runs")
    taken = plan(config, [second], {second: whole}, [first])
    assert taken.jobs[second].seconds < new.jobs[second].seconds
    first_line, *_, second_line = taken.lines(1, "")
    assert first_line == "8 settings: no samples to draw; 8,000 are kept from earlier runs"
    assert second_line.startswith("1 other job: the run takes about ")


def test_samplers_that_a_family_lacks_are_counted_out_and_told_once(schema):
    families = ["normal", "student-t(3)", "laplace"]
    config = parse(
        {"sweep": SWEEP | {"family": families}, "cases": {"next-token": TOKEN},
         "samples": 64, "replicates": 5, "samplers": ["iid", "sobol", "sobol-radial"],
         "estimators": ["k1"]},
        schema,
    )  # fmt: skip
    p = plan(config, everything(config))
    # 24 cells, of which 8 have sobol-radial, and a token with iid alone
    assert p.samples == (24 * 2 + 8 + 1) * 64 * 5
    assert p.rows == (24 * 2 + 8 + 1) * 7 * 5
    assert p.lines(1, "")[1] == (
        "left out, as the family has no such sampler: sobol-radial for student-t(3), laplace; "
        "sobol, sobol-radial for next-token"
    )


def test_cores_help_as_far_as_jobs_need_not_wait_for_each_other(schema):
    config = parse({"sweep": SWEEP, "cases": ONE_CASE}, schema)
    p = plan(config, everything(config))
    one, two, many = (p.stages(cores) for cores in (1, 2, 10**6))
    assert list(one) == list(STAGES)
    jobs = sum(amount.seconds for amount in p.jobs.values())
    assert sum(one.values()) == pytest.approx(jobs)
    for stage in STAGES:
        assert one[stage] / 2 <= two[stage] <= one[stage]
        assert (
            max(a.seconds for j, a in p.jobs.items() if RULES[j.rule].stage == stage) <= many[stage]
        )
    traces = p.jobs[Job("traces")].seconds
    longest = max(
        amount.seconds
        for job, amount in p.jobs.items()
        if RULES[job.rule].stage == "traces" and job.rule != "traces"
    )
    assert many["traces"] == pytest.approx(traces + longest)


def test_the_plan_grows_with_the_work(schema):
    def planned(**changes):
        config = parse({"sweep": SWEEP, "cases": ONE_CASE} | changes, schema)
        return plan(config, everything(config))

    def drawing(p):
        return sum(a.seconds for job, a in p.jobs.items() if job.rule == "estimate")

    base = planned(samples=2**14)
    more = planned(samples=2**18)
    assert more.samples == 16 * base.samples
    assert drawing(more) > 4 * drawing(base)
    huge = planned(samples=10**12, replicates=10**9, samplers=["iid"])
    assert "years" in huge.lines(1, "")[-1]
    full, radial = (
        planned(
            sweep={"dimension": [10_000], "scale": [1.2], "offset": [0]}, samplers=[name], cases={}
        )
        for name in ("iid", "iid-radial")
    )
    assert drawing(full) > 100 * drawing(radial)
    wide = planned(sweep=SWEEP | {"offset": [k / 100 for k in range(100)]})
    for rule in ("theory", "summary", "budget", "figures", "explorer", REPORT):
        one, other = (
            sum(a.seconds for j, a in p.jobs.items() if j.rule == rule) for p in (base, wide)
        )
        assert other > one


def test_every_rule_of_the_workflow_is_in_the_plan():
    rules = Path(__file__).parents[2] / "workflow/rules"
    named = {
        m
        for path in rules.glob("*.smk")
        for m in re.findall(r"^rule (\w+):", path.read_text(), re.M)
    }
    assert named == set(RULES) - {"figures", REPORT}


def test_the_study_of_intervals_is_forecast(schema):
    """A target of its own, whose runs draw no more than its own samples."""
    sweep = SWEEP | {"family": ["normal", "policy(8)"]}
    given = {"sweep": sweep, "samples": 1000, "replicates": 50, "one_job_per": ["family"]}
    config = parse(given, schema)
    jobs = [Job("intervals_of", (chunk,)) for chunk in config.chunks["numpy"]]
    p = plan(config, [*jobs, Job("intervals")])
    assert p.samples == 16 * 1000 * 50
    assert p.rows == 0
    first, *_, last = p.lines(2, "on 2 cores")
    assert first == "16 settings: 800,000 samples to draw in 2 interval jobs"
    assert last.startswith("1 other job: the run takes about ")
    assert {*p.stages(2)} == {"traces", "summary, budget"}
    longer = parse(given | {"replicates": 500}, schema)
    assert plan(longer, jobs).cpu_seconds > 3.0 * plan(config, jobs).cpu_seconds


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_the_forecast_of_a_job_grows_with_all_that_it_does(schema, sampler):
    """What jobs take is compared with their forecast by `make benchmark`."""

    def seconds(dimension=4, offsets=(0.0, 0.5), estimators=("k1", "k2"), **changes):
        sweep = {"dimension": [dimension], "scale": [1.25], "offset": [*offsets]}
        known = {"sweep": sweep, "cases": {}, "samplers": [sampler], "samples": 1024,
                 "replicates": 10, "estimators": [*estimators]}  # fmt: skip
        config = parse(known | changes, schema)
        return chunk_seconds(config, config.settings)

    base, radial = seconds(), SAMPLERS[sampler].radial
    assert base < seconds(samples=2048) < 2 * base
    assert base < seconds(offsets=(0.0, 0.5, 1.0)) < 1.5 * base  # settings share their draws
    assert base < seconds(checkpoints_per_octave=2)
    assert base < seconds(estimators=("k1", "k2", "k3"))
    assert (seconds(dimension=64) > base) == (not radial)
    assert (seconds(dimension=64) == base) == radial
    once, twice, thrice = (seconds(replicates=n) for n in (10, 20, 30))
    assert thrice - twice == pytest.approx(twice - once, rel=1e-9)
    if not radial:  # sums over factors take time in every coordinate
        whole, factor = (seconds(estimators=("k1", name)) for name in ("k2", "k2-factor"))
        assert factor > whole
    one, other = (seconds(1, estimators=("k1", name)) for name in ("k2", "k2-factor"))
    assert one == other  # the only factor is the whole


def test_the_plan_says_which_estimators_samples_lack_the_sums_for(schema):
    sweep = {"dimension": [1, 4], "scale": [1.25], "offset": [0.0]}
    config = parse(
        {"sweep": sweep, "cases": {}, "samplers": ["iid", "iid-radial"],
         "estimators": ["k1", "k3-factor", "rb"]},
        schema,
    )  # fmt: skip
    made = plan(config, [])
    assert made.without_sums == {
        (("rb",), ()): ["normal"],
        (("k3-factor",), ("iid-radial",)): ["normal"],
    }
    line = "left out, as samples do not have the sums that they take: rb for normal; k3-factor with"
    assert any(told.startswith(line) for told in made.lines(2, "on 2 cores"))


@pytest.mark.parametrize(
    ("changes", "cpu", "wall"),
    [
        ({}, 64, 37),  # config.yaml
        (
            {"sweep": {"dimension": [1, 2], "scale": [1.25], "offset": [0.25]}, "cases": {}},
            17.4,
            11,
        ),
    ],
)
def test_the_forecast_is_near_what_two_runs_took(schema, changes, cpu, wall):
    """Seconds measured on two idle cores."""
    root = Path(__file__).parents[2]
    config = parse(yaml.safe_load((root / "config.yaml").read_text()) | changes, schema)
    jobs = {job for job in everything(config) if job.rule != "figures"}
    figures = [5, 5, 1] if changes else [5, 5, 4, 2, 1]  # drawn after each table
    jobs |= {Job("figures", tuple(f"{n}-{k}" for k in range(n))) for n in figures[1:]}
    jobs |= {Job("figures", ("a", "b", "c", "d", "e"))}
    made = plan(config, [j for j in jobs if j.rule != "notebook" or not changes])
    assert made.cpu_seconds == pytest.approx(cpu, rel=0.2)
    assert sum(made.stages(2).values()) == pytest.approx(wall, rel=0.2)
