"""The ways in which people start the study: another folder, one target, a module, a bad config."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml
from snakemake.cli import parse_config

from mckl.errors import UserError
from mckl.record.manifest import digest
from mckl.record.provenance import differences
from mckl.record.tables import manifest_of
from mckl.study.config import parse, schema_defaults, studied

from .conftest import Graph, source_of
from .study import CHECKOUT, CHUNKS, SMALL, TINY, Study, copy_checkout, jobs_in

PLAN = re.compile(r"^mckl: \d+ settings?: .*", re.MULTILINE)


def write(path: Path, config: Any) -> str:
    path.parent.mkdir(exist_ok=True)
    path.write_text(yaml.safe_dump(config))
    return str(path)


def test_another_folder(finished: Study, tmp_path: Path) -> None:
    assert {"results/report.html", "results/verified.txt"} <= finished.files()
    assert differences(finished.root / "results", finished.manifest()) == {}
    checkout = Study(tmp_path / "checkout")
    copy_checkout(checkout)
    after, before = (
        {f.relative_to(root) for f in root.rglob("*") if "__pycache__" not in f.parts}
        for root in (source_of(finished), checkout.root)
    )
    assert after == before


def chunks_of(text: str) -> set[str]:
    """The estimation jobs that a dry run names."""
    return {job.split()[1] for job in jobs_in(text) if "estimate " in job}


TWO = {"q": {"mean": 0, "sd": 1}, "p": {"mean": 1, "sd": 1}}


@pytest.fixture
def copied(tmp_path: Path) -> Study:
    """The small study, which has not run."""
    study = Study(tmp_path / "copied")
    copy_checkout(study)
    return study


GIVEN_WAYS = ["--configfile", "--config", "profile", "module"]


def given(study: Study, folder: Path, how: str, config: dict[str, Any]) -> tuple[Study, list[str]]:
    """The study, and the options by which this config is given to it in one of the ways."""
    if how == "--configfile":
        return study, [how, write(folder / "mine.yaml", config)]
    if how == "--config":
        return study, [how, *words(config)]
    if how == "profile":
        write(folder / "profile/config.yaml", {"config": words(config)})
        return study, ["--profile", str(folder / "profile")]
    other = Study(folder / "other")
    write(other.root / "config.yaml", config)
    text = MODULE.format(snakefile=study.root / "Snakefile", prefix="")
    (other.root / "Snakefile").write_text(text)
    return other, []


@pytest.mark.parametrize("how", GIVEN_WAYS)
def test_a_config_studies_what_it_gives(copied: Study, tmp_path: Path, how: str) -> None:
    """Neither the cases of config.yaml nor its cells, and the axes that are missing are there."""
    sweep = {"dimension": [5], "family": ["normal"], "scale": [1.25], "offset": [0.25]}
    study, options = given(copied, tmp_path, how, {"sweep": sweep, "one_job_per": ["dimension"]})
    text = study.run("--dry-run", *options)
    assert "mckl: 1 setting: " in text
    assert chunks_of(text) == {"d5"}


@pytest.mark.parametrize("how", GIVEN_WAYS)
def test_given_pairs_are_studied_without_the_sweep(copied: Study, tmp_path: Path, how: str) -> None:
    study, options = given(copied, tmp_path, how, {"cases": {"mine": TWO, "tails": None}})
    text = study.run("--dry-run", *options)
    assert "mckl: 1 setting: " in text
    assert chunks_of(text) == {"case-mine"}


@pytest.mark.parametrize("how", ["--configfile", "--config", "profile"])
def test_null_drops_a_case_of_the_file(copied: Study, tmp_path: Path, how: str) -> None:
    copied.configure(cases={**SMALL["cases"], "kept": TWO})
    study, options = given(copied, tmp_path, how, {"cases": {"notebook": None}})
    chunks = chunks_of(study.run("--dry-run", *options))
    assert chunks == ({*CHUNKS} - {"case-notebook"}) | {"case-kept"}


def test_missing_axes_are_those_of_the_file_in_any_folder(copied: Study, tmp_path: Path) -> None:
    path = write(tmp_path / "mine.yaml", {"sweep": {"dimension": [5]}})
    folder = tmp_path / "elsewhere"
    text = copied.run("--dry-run", "--directory", str(folder), "--configfile", path)
    assert "mckl: 4 settings: " in text
    assert chunks_of(text) == {"d5-s0.8", "d5-s1.25"}


def test_one_target_needs_no_more(fresh: Study, graph: Graph) -> None:
    jobs = fresh.jobs("results/figures/error-vs-samples.svg")
    estimates = [job for job in jobs if job.startswith("estimate ")]
    assert len(estimates) == len(CHUNKS)
    others = {*jobs} - {*estimates}
    assert others == {
        graph.draws("error-vs-samples"), "settings", "summary", "theory", "traces"
    }  # fmt: skip


def test_one_target_writes_no_report(study: Study, graph: Graph) -> None:
    figure, report = "results/figures/verification.svg", study.root / "results/report.html"
    before = (study.root / figure).read_bytes()
    (study.root / figure).unlink()
    report.unlink()
    study.run(figure)
    assert jobs_in(study.log()) == [graph.draws(Path(figure).stem)]
    assert (study.root / figure).read_bytes() == before
    assert not report.exists()


MODULE = """
configfile: "config.yaml"


module kl:
    snakefile:
        "{snakefile}"
    config:
        config
{prefix}

use rule * from kl as kl_*


rule mine:
    default_target: True
    input:
        rules.kl_verify.output,
        rules.kl_landing.output,
        rules.kl_figures_after_verify.output.svg,
    output:
        touch("mine.txt"),
"""


def test_a_module_without_config_is_the_default_study(copied: Study, tmp_path: Path) -> None:
    other = Study(tmp_path / "other")
    write(other.root / "config.yaml", {"samples": "of the other workflow"})
    text = MODULE.format(snakefile=copied.root / "Snakefile", prefix="")
    (other.root / "Snakefile").write_text(text.replace("    config:\n        config\n", ""))
    text = other.run("--dry-run")
    assert "mckl: 10 settings: " in text
    assert chunks_of(text) == {*CHUNKS}


@pytest.mark.slow
def test_as_a_module(fresh: Study, tmp_path: Path) -> None:
    """With a prefix in earnest, and without one, where paths stay as they are, in a dry run."""
    other = Study(tmp_path / "other")
    write(other.root / "config.yaml", dict(TINY))

    def use(prefix: str) -> None:
        text = MODULE.format(snakefile=fresh.root / "Snakefile", prefix=prefix)
        (other.root / "Snakefile").write_text(text)

    use("")
    printed = other.run("--dry-run")
    assert len(PLAN.findall(printed)) == 1
    assert re.search("^    output: results/tables/verification.parquet$", printed, re.MULTILINE)
    planned = jobs_in(printed)

    use('    prefix:\n        "study"\n')
    printed = other.run(cores=2)
    assert len(PLAN.findall(printed)) == 1
    assert jobs_in(other.log()) == planned
    inner = Study(other.root / "study")
    tables = {f for f in inner.files() if f.startswith("results/tables/")}
    made = ("settings", "theory", "traces", "gaps", "summary", "verification")
    made += ("regimes", "budget", "gradients", "cost")
    assert tables == {f"results/tables/{table}.parquet" for table in made}
    assert list(inner.table("settings")["setting"]) == ["d3-s0.8-o1"]
    schema = yaml.safe_load((CHECKOUT / "workflow/schemas/config.schema.yaml").read_text())
    whole = studied(TINY, schema_defaults(schema))  # with what the module does not give
    about = manifest_of(inner.root / "results/tables/settings.parquet")
    assert about["config_digest"] == digest(whole)
    assert jobs_in(other.run("--dry-run")) == []
    other.run("--report", "report.html")
    page = (other.root / "report.html").read_text()
    assert "verification.svg" in page
    assert "has 1 setting (" in (inner.root / "results/landing.rst").read_text()
    assert "has 1 setting (" in page


BAD: list[tuple[dict[str, Any], str]] = [
    ({"sweep": {"dimenson": [1]}}, "sweep.dimenson: unknown key: did you mean 'dimension'?"),
    ({"sweep": {"scale": [-1.5]}}, "sweep.scale[0]: '-1.5', expected a number from 1e-30"),
    ({"samples": "many"}, "samples: 'many', expected an integer from 2 to 10^12"),
    ({"estimators": []}, "estimators: '[]', expected a list of different estimators"),
    ({"samplers": ["sobel"]}, "samplers[0]: 'sobel' is not a sampler: did you mean 'sobol'?"),
    ({"cases": {"a/b": None}}, "cases: 'a/b' is not a name of letters"),
]
ONLY = [next(iter(config)) for config, _ in BAD]


def words(config: dict[str, Any]) -> list[str]:
    """A config as words for `--config`."""
    flow = {k: yaml.safe_dump(v, default_flow_style=True) for k, v in config.items()}
    return [f"{k}={v.removesuffix('...').strip()}" for k, v in flow.items()]


@pytest.mark.parametrize(("config", "line"), BAD, ids=ONLY)
@pytest.mark.parametrize("how", ["--configfile", "--config"])
def test_a_bad_config_is_refused(how: str, config: dict[str, Any], line: str) -> None:
    """As Snakemake passes the config to the Snakefile, numbers of the command line are text."""
    mine = config if how == "--configfile" else parse_config(words(config))
    schema = yaml.safe_load((CHECKOUT / "workflow/schemas/config.schema.yaml").read_text())
    with pytest.raises(UserError) as error:
        parse(mine, schema, SMALL)
    assert str(error.value).startswith(line)


@pytest.mark.parametrize("how", ["--configfile", "--config"])
def test_a_bad_config_is_a_line_for_each_mistake(fresh: Study, tmp_path: Path, how: str) -> None:
    config, line = BAD[1]
    given = words({**config, "replicates": "x"})
    if how == "--configfile":  # and a key that its file has twice
        given = [write(tmp_path / "mine.yaml", {"seed": 1})]
        (tmp_path / "mine.yaml").write_text("sweep:\n  scale: [1]\nseed: 1\nsweep:\n  scale: [2]\n")
    code, text = fresh.snakemake(how, *given)
    assert code == 1
    said = [row for row in text.splitlines() if "mckl:" in row]
    if how == "--configfile":
        assert said == [f"mckl: config: {given[0]}: sweep (line 4): the key occurs twice"]
    else:
        first, second = said
        assert first.startswith(f"mckl: config: {line}")
        assert second == "mckl: config: replicates: 'x', expected an integer from 1 to 10^9"
    assert "Traceback" not in text
    assert not (fresh.root / "results").exists()


def test_defaults_need_no_configfile(tmp_path: Path) -> None:
    study = Study(tmp_path / "study")
    copy_checkout(study)
    shutil.copy2(CHECKOUT / "config.yaml", study.root)
    default = yaml.safe_load((CHECKOUT / "config.yaml").read_text())
    cells = 1
    for values in default["sweep"].values():
        cells *= len(values)
    text = study.run("--dry-run", "results/tables/settings.parquet")
    assert f"mckl: {cells + len(default['cases'])} settings: no samples to draw\n" in text
    assert default.keys() >= SMALL.keys()
