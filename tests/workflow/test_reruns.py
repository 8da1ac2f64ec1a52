"""A second run does only what is out of date: the tests compare lists of jobs."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from .conftest import Graph
from .study import CHUNKS, SMALL, TARGETS, Study, jobs_in

ESTIMATES = [f"estimate {chunk}" for chunk in CHUNKS]
NOTEBOOK = SMALL["cases"]["notebook"]


def case(q: dict[str, Any] = NOTEBOOK["q"], p: dict[str, Any] = NOTEBOOK["p"]) -> dict[str, Any]:
    return {**SMALL["cases"], "notebook": {"q": q, "p": p}}


def sweep(**axes: Any) -> dict[str, Any]:
    return {**SMALL["sweep"], **axes}


# A change in the config, and the jobs that it makes out of date by itself. Other samplers, and q
# and p in each other's place, are in the run at the end of this file.
CONFIGS: dict[str, tuple[dict[str, Any], list[str]]] = {
    "another order and the same numbers in other types and in a file": (
        {
            "sweep": {
                "offset": [0.25],
                "scale": [1.25, 0.8],
                "dimension": ["2", 1.0],
                "family": ["student-t( 5.0 )", "normal"],
            },
            "cases": case(q={"mean": "mean.csv", "sd": ["1e0", 1]}),
            "samplers": ["sobol-radial", "iid"],
            "estimators": ["k3", "k1"],
            "samples": 256.0,
            "replicates": "8",
        },
        [],
    ),
    "tolerances": ({"tolerances": [0.5, 0.01]}, ["budget"]),
    "a dimension more and a scale in front": (
        {"sweep": sweep(dimension=[1, 2, 3], scale=[0.5, 0.8, 1.25])},
        [
            *(f"estimate {cell}" for cell in ("d1-s0.5", "d2-s0.5")),
            *(f"estimate d3-s{scale}" for scale in (0.5, 0.8, 1.25)),
            "settings",
            "theory",
        ],
    ),
    "a scale less": ({"sweep": sweep(scale=[0.8])}, ["settings", "theory", "traces"]),
    "samples and replicates swapped": (
        {"samples": SMALL["replicates"], "replicates": SMALL["samples"]},
        [*ESTIMATES, "theory"],
    ),
    "two coordinates swapped": (
        {"cases": case(q={"mean": [4, 1], "sd": [1, 1]})},
        ["estimate case-notebook", "gradients", "notebook", "settings", "theory"],
    ),
    "another seed": (
        {"seed": 1},
        [*ESTIMATES, "gradients", "notebook"],
    ),
    "more replicates": ({"replicates": 9}, [*ESTIMATES]),
    "an estimator more": (
        {"estimators": ["k1", "k2", "k3"]},
        [*ESTIMATES, "theory"],
    ),
    "other chunks": (
        {"one_job_per": ["dimension"]},
        ["estimate d1", "estimate d2"],
    ),
}


@pytest.mark.parametrize("name", CONFIGS)
def test_config(study: Study, graph: Graph, name: str) -> None:
    changes, out_of_date = CONFIGS[name]
    (study.root / "mean.csv").write_text("mean\n1\n4\n")
    study.configure(**changes)
    assert study.jobs() == graph.after(out_of_date)


def touched(path: str) -> Callable[[Study], None]:
    def touch(study: Study) -> None:
        later = time.time() + 1
        os.utime(study.root / path, (later, later))

    return touch


def longer_and_older(path: str, text: str) -> Callable[[Study], None]:
    def change(study: Study) -> None:
        study.append(path, text)
        os.utime(study.root / path, (1e9, 1e9))

    return change


def longer(path: str, text: str) -> Callable[[Study], None]:
    return lambda study: study.append(path, text)


def all_of(*changes: Callable[[Study], None]) -> Callable[[Study], None]:
    """Make several changes, each of which has its own jobs."""

    def change(study: Study) -> None:
        for one in changes:
            one(study)

    return change


COMMENT = "\n# changed\n"
SOURCES: dict[str, tuple[Callable[[Study], None], list[str]]] = {
    "running.py": (
        longer("src/mckl/estimation/running.py", COMMENT),
        [
            *ESTIMATES,
            "gradients",
            "notebook",
            "settings",
            "theory",
        ],
    ),
    "the backend, and a script of an older time": (
        all_of(
            longer("src/mckl/draw/backends/numpy.py", COMMENT),
            longer_and_older("scripts/settings.py", COMMENT),
        ),
        [*ESTIMATES, "notebook", "settings"],
    ),
    "summary.py": (
        longer("src/mckl/study/summary_table.py", COMMENT),
        ["summary"],
    ),
    "a figure's module, a caption, the landing page and plan.py": (
        all_of(
            longer("src/mckl/show/figures/regimes.py", COMMENT),
            longer("workflow/report/figures/coverage.rst", "\nAnd {{ 1 }} sentence more.\n"),
            longer("workflow/report/landing.rst", "\nMore.\n"),
            longer("src/mckl/study/plan.py", COMMENT),
        ),
        ["figure regimes", "figure coverage", "landing"],
    ),
    "theme.py": (  # the explorer has the figures' colours
        longer("src/mckl/show/figures/theme.py", COMMENT),
        ["figures", "explorer"],
    ),
    "scripts of another time, as after a checkout": (
        all_of(*(touched(f"scripts/{name}.py") for name in ("estimate", "theory", "figures"))),
        [],
    ),
}


@pytest.mark.parametrize("name", SOURCES)
def test_source(study: Study, graph: Graph, name: str) -> None:
    change, out_of_date = SOURCES[name]
    change(study)
    assert study.jobs() == graph.after(out_of_date)


@pytest.mark.parametrize(
    ("paths", "out_of_date"),
    [
        # The rows of a chunk are in traces.parquet.
        (["traces/numpy/d1-s0.8.parquet", "verified.txt"], ["gate"]),
        (["tables/traces.parquet", "figures/regimes.pdf"], ["traces", "figure regimes"]),
    ],
    ids=["small", "large"],
)
def test_deleted(study: Study, graph: Graph, paths: list[str], out_of_date: list[str]) -> None:
    for path in paths:
        (study.root / "results" / path).unlink()
    assert study.jobs() == graph.after(out_of_date)


def test_a_dry_run_of_a_fresh_study_names_every_job_and_runs_none(
    fresh: Study, graph: Graph
) -> None:
    text = fresh.run("--dry-run")
    assert len(re.findall(r"^mckl: \d+ settings?: ", text, re.MULTILINE)) == 1
    assert not (fresh.root / "results").exists()
    assert jobs_in(text) == sorted([*ESTIMATES, *({*graph.readers} - {"estimate"})])


def test_what_is_wanted_still_is_kept_and_nothing_else(study: Study, finished: Study) -> None:
    """Another pair of the same name is drawn, and so are a new sampler and case; the rest is not.

    The new case is read from files: what is in them, not their names, makes results out of date.
    """
    less = {"estimators": ["k1"], "samplers": ["iid", "antithetic"]}
    cases = case(q=NOTEBOOK["p"], p=NOTEBOOK["q"])
    mean, covariance = study.root / "mean.npy", study.root / "covariance.npy"
    np.save(mean, np.linspace(0.0, 1.0, 70))
    np.save(covariance, np.eye(70) + 0.1)
    q = {"mean": mean.name, "covariance": covariance.name}
    cases["posterior"] = {"q": q, "p": {"mean": 0, "sd": 1}}
    study.configure(cases=cases, **less)
    study.append("src/mckl/study/summary_table.py", COMMENT)
    # Two traces of the case that changed, one of the other, two of each cell and of the new case.
    drawn, kept = (2 + 1 + 4 * 2 + 2) * SMALL["samples"], (1 + 4 * 2) * SMALL["samples"]
    drawn, kept = (f"{n * SMALL['replicates']:,}" for n in (drawn, kept))
    told = (
        rf"^mckl: 11 settings: {drawn} samples to draw in 7 .*; {kept} are kept from earlier runs$"
    )
    assert re.search(told, study.run(*TARGETS, cores=2), re.MULTILINE)
    assert study.jobs(*TARGETS) == []
    new, old = (s.table("settings").set_index("setting") for s in (study, finished))
    assert new.loc["notebook", "kl"] == old.loc["notebook", "reverse_kl"]
    new, old = (s.table("summary").set_index("setting") for s in (study, finished))
    assert not new.loc["notebook", "mean"].isin(old.loc["notebook", "mean"]).any()
    posterior = new.loc["posterior"]
    assert (posterior["dimension"] == 70).all()
    new = new.drop("posterior")
    new, old = (s.drop("notebook").query("sampler == 'iid'") for s in (new, old))
    assert new.equals(old.query("estimator == 'k1'"))
    draws = SMALL["replicates"] * SMALL["samples"]
    for chunk in CHUNKS:
        log = (study.root / f"results/logs/estimate/numpy/{chunk}.log").read_text()
        # What is taken are the iid traces; a chunk of cells has a normal and a student-t one.
        taken, new = {"case-notebook": (0, 2), "case-tails": (1, 1)}.get(chunk, (2, 2))
        told = f"{new * draws:,} samples drawn; {taken} traces were kept from the last run"
        assert log.endswith(f"{told}\n")

    np.savetxt(study.root / "mean.csv", np.load(mean))
    np.save(covariance, np.eye(70) + 0.2)
    cases["posterior"]["q"]["mean"] = "mean.csv"
    study.configure(cases=cases, **less)
    assert study.jobs(*TARGETS) == sorted(
        ["budget", "estimate case-posterior", "settings", "summary", "theory", "traces", "verify"]
    )
