"""The ways in which people start the study: another folder, one target, a module, a bad config."""

from __future__ import annotations

import copy
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml
from snakemake.cli import parse_config
from snakemake.utils import update_config

from mckl.errors import UserError
from mckl.record.provenance import differences
from mckl.study.config import parse

from .conftest import Graph, source_of
from .study import CHECKOUT, CHUNKS, SMALL, TINY, Study, copy_checkout, jobs_in

PLAN = re.compile(r"^mckl: \d+ settings? in .*", re.MULTILINE)


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


@pytest.mark.parametrize("where", ["here", "elsewhere"])
def test_a_configfile_extends_the_defaults_in_any_folder(
    fresh: Study, tmp_path: Path, where: str
) -> None:
    """Scales and offset are the defaults, and one of the cases is removed."""
    two = {"q": {"mean": 0, "sd": 1}, "p": {"mean": 1, "sd": 1}}
    fresh.configure(cases={**SMALL["cases"], "kept": two})
    mine = {"sweep": {"dimension": [5]}, "cases": {"notebook": None, "mine": two}}
    path = write(tmp_path / "mine.yaml", mine)
    folder = fresh.root if where == "here" else tmp_path / where
    text = fresh.run("--dry-run", "--directory", str(folder), "--configfile", path)
    assert "mckl: 7 settings in " in text
    chunks = {job.split()[1] for job in jobs_in(text) if job.startswith("estimate ")}
    assert chunks == {"d5-s0.8", "d5-s1.25", "case-kept", "case-mine", "case-tails"}


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
    made += ("budget", "gradients", "training")
    assert tables == {f"results/tables/{table}.parquet" for table in made}
    assert list(inner.table("settings")["setting"]) == ["d3-s0.8-o1"]
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
    merged = copy.deepcopy(dict(SMALL))
    update_config(merged, config if how == "--configfile" else parse_config(words(config)))
    with pytest.raises(UserError) as error:
        parse(
            merged, yaml.safe_load((CHECKOUT / "workflow/schemas/config.schema.yaml").read_text())
        )
    assert str(error.value).startswith(line)


@pytest.mark.parametrize("how", ["--configfile", "--config"])
def test_a_bad_config_is_one_line(fresh: Study, tmp_path: Path, how: str) -> None:
    config, line = BAD[1]
    given = [write(tmp_path / "mine.yaml", config)] if how == "--configfile" else words(config)
    code, text = fresh.snakemake(how, *given)
    assert code == 1
    said = [row for row in text.splitlines() if "mckl:" in row]
    assert len(said) == 1
    assert said[0].startswith(f"mckl: config: {line}")
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
    assert f"mckl: {cells + len(default['cases'])} settings in " in text
    assert default.keys() >= SMALL.keys()
