"""The layout in which the workflow catalog expects a study, and the Snakemake that it takes."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from tools import PATIENCE

from .study import CHECKOUT, TINY, Study, copy_checkout, jobs_in

AS_VERSION = """
import sys, snakemake
snakemake.__version__ = sys.argv.pop(1)
from snakemake.cli import main
main()
"""


def test_the_config_of_a_deployment_is_the_default_config() -> None:
    assert (CHECKOUT / "config/config.yaml").read_bytes() == (CHECKOUT / "config.yaml").read_bytes()


def test_the_example_of_its_page_is_a_config(tmp_path: Path) -> None:
    page = (CHECKOUT / "config/README.md").read_text()
    (example,) = re.findall(r"```yaml\n(.*?)```", page, re.DOTALL)
    (tmp_path / "mine.yaml").write_text(example)
    study = Study(CHECKOUT)
    options = ("--directory", str(tmp_path), "--configfile", str(tmp_path / "mine.yaml"))
    assert "mckl: 8 settings: " in study.run("--dry-run", *options)


def test_the_catalog_finds_its_file() -> None:
    usage = yaml.safe_load((CHECKOUT / ".snakemake-workflow-catalog.yml").read_text())["usage"]
    assert usage["report"] is True
    assert usage["software-stack-deployment"]["conda"] is True


def test_the_inner_snakefile_makes_the_whole_study(tmp_path: Path) -> None:
    study = Study(tmp_path / "study")
    copy_checkout(study)
    study.configure(**TINY)
    whole = study.run("--dry-run")
    inner = study.run("--dry-run", "--snakefile", "workflow/Snakefile")
    assert jobs_in(inner) == sorted([*jobs_in(whole), "study"])
    for text in (whole, inner):
        assert " other jobs and the report: " in text


def test_the_range_is_that_of_the_package() -> None:
    project = tomllib.loads((CHECKOUT / "pyproject.toml").read_text())["project"]
    wanted = map(Requirement, project["optional-dependencies"]["study"])
    (snakemake,) = (package for package in wanted if package.name == "snakemake")
    assert {str(part) for part in snakemake.specifier} == {">=9.27", "<10"}


@pytest.mark.parametrize(
    ("version", "fits"), [("9.26.3", False), ("9.27.0", True), ("9.103.1", True), ("10.0", False)]
)
def test_a_snakemake_out_of_range_is_one_line(tmp_path: Path, version: str, fits: bool) -> None:
    snakefile = str(CHECKOUT / "Snakefile")
    options = ["--snakefile", snakefile, "--directory", str(tmp_path), "--list-rules"]
    done = subprocess.run(
        [sys.executable, "-c", AS_VERSION, version, *options], cwd=tmp_path, check=False,
        timeout=PATIENCE, capture_output=True, text=True,
    )  # fmt: skip
    said = [line for line in (done.stdout + done.stderr).splitlines() if "mckl: " in line]
    assert done.returncode == (0 if fits else 1)
    assert (
        said
        == [
            f"mckl: Snakemake {version} is installed, expected >= 9.27 and < 10: "
            "pip install 'snakemake >= 9.27, < 10'"
        ][: 0 if fits else 1]
    )
    assert "Traceback" not in done.stderr


def test_the_picture_has_the_rules_of_the_default_study(tmp_path: Path) -> None:
    """And an arrow wherever a rule waits for another that no third one stands between."""
    picture = (CHECKOUT / "docs/figures/rules.svg").read_text()
    titles = {title.replace("&#45;&gt;", ">") for title in re.findall("<title>(.*?)<", picture)}
    graph = Study(CHECKOUT).run("--rulegraph", "--directory", str(tmp_path))
    number = dict(re.findall(r'^\t(\d+)\[label = "(\w+)"', graph, re.MULTILINE))
    assert set(re.findall(r"<text.*?>(\w+)</text>", picture)) == {*number.values()}, "make docs"
    arrows = {tuple(ends) for ends in re.findall(r"^\t(\d+) -> (\d+)$", graph, re.MULTILINE)}
    following: dict[str, set[str]] = {}

    def after(rule: str) -> set[str]:
        if rule not in following:
            readers = {reader for source, reader in arrows if source == rule}
            following[rule] = readers.union(*map(after, readers))
        return following[rule]

    direct = {
        f"{source}>{reader}" for source, reader in arrows
        if not any(reader in after(other) for first, other in arrows if first == source)
    }  # fmt: skip
    assert {title for title in titles if ">" in title} == direct, "make docs"
