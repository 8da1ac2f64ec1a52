"""The study without its repository on disk: as a module from git, and by snakedeploy."""

from __future__ import annotations

import json
import re
import shutil
import sys
from pathlib import Path

import pytest
import yaml
from workflow.study import CHECKOUT, jobs_in

import mckl
from mckl.record.provenance import differences, load_manifest
from mckl.record.tables import manifest_of

from .conftest import ADDRESS, CONFIG, TAG, Published

MODULE = """
configfile: "config.yaml"


module mckl:
    snakefile:
        {snakefile}
{config}

use rule * from mckl as mckl_*


rule mine:
    default_target: True
    input:
        rules.mckl_manifest.output,
"""
GITHUB = f'github("owner/mckl", path="Snakefile", tag="{TAG}")'
OURS = re.compile(r"^mckl: .*", re.MULTILINE)
WITHOUT_CODE = ("--rerun-triggers", "mtime", "params", "input", "software-env")


def use(folder: Path, snakefile: str = GITHUB, config: str = "    config:\n        config") -> Path:
    """A workflow of somebody who uses the study as a module."""
    folder.mkdir(exist_ok=True)
    (folder / "Snakefile").write_text(MODULE.format(snakefile=snakefile, config=config))
    (folder / "config.yaml").write_text(yaml.safe_dump(CONFIG))
    return folder


def assert_whole(results: Path, page: str) -> None:
    """A run of the installed package is whole, and the report quotes it."""
    manifest = load_manifest(results / "manifest.json")
    assert differences(results, manifest) == {}
    figures = sorted(path.stem for path in (results / "figures").glob("*.svg"))
    assert {"overview", "verification"} <= {*figures}
    settings = manifest_of(results / "tables/settings.parquet")
    assert settings["mckl"] == mckl.__version__
    assert settings["git_commit"] is None, "the job has used the package of the checkout"
    captions = dict(re.findall(r'"name": "([\w-]+)\.svg".*?"caption": "<p><strong>(.*?)</', page))
    assert sorted(captions) == figures
    for figure, caption in captions.items():
        first = (results / f"figures/{figure}.rst").read_text().removeprefix("**").split("**")[0]
        assert json.loads(f'"{caption}"') == first.replace("\\", ""), figure
    assert "has 1 setting (" in page  # the landing page


def test_a_module_from_git_plans_runs_and_reports(published: Published, tmp_path: Path) -> None:
    folder = use(tmp_path / "mine")
    planned = jobs_in(published.run(folder, "--dry-run"))
    assert "mckl_estimate" in " ".join(planned)
    text = published.run(folder)
    assert len(OURS.findall(text)) == 2
    assert "mckl: 1 setting: 192 samples to draw" in text
    assert "Nothing to be done" in published.run(folder)
    published.run(folder, "--report", "report.html")
    assert_whole(folder / "results", (folder / "report.html").read_text())
    # Nothing but results is written, and nothing of the repository beside them.
    assert {path.name for path in folder.iterdir()} == {
        ".snakemake", "Snakefile", "config.yaml", "report.html", "results"
    }  # fmt: skip
    assert not [
        path for path in published.site.rglob("*") if path.name in ("results", ".snakemake")
    ]
    # The tag is in the cache now, so no network is needed any more.
    assert "Nothing to be done" in published.run(folder, GIT_CONFIG_COUNT="0")


def test_snakedeploy_deploys_what_plans_runs_and_reports(
    published: Published, tmp_path: Path
) -> None:
    snakedeploy = str(Path(sys.executable).with_name("snakedeploy"))
    deploy = (snakedeploy, "deploy-workflow", ADDRESS, ".", "--tag", TAG)
    code, text = published.call(tmp_path, *deploy)
    assert code == 0, text
    config = tmp_path / "config/config.yaml"
    assert config.read_bytes() == (published.clone / "config.yaml").read_bytes()
    assert (tmp_path / "config/README.md").read_bytes()
    text = published.run(tmp_path, "--dry-run")  # the default study
    assert re.search(r"^study +1$", text, re.MULTILINE)
    config.write_text(yaml.safe_dump(CONFIG))
    assert "mckl: 1 setting: 192 samples to draw" in published.run(tmp_path)
    assert "Nothing to be done" in published.run(tmp_path)
    published.run(tmp_path, "--report", "report.html")
    assert_whole(tmp_path / "results", (tmp_path / "report.html").read_text())


def without_a_package(site: Path) -> None:
    shutil.rmtree(site / "mckl")
    (site / "mckl").mkdir()
    text = 'raise ModuleNotFoundError("No module named mckl", name="mckl")\n'
    (site / "mckl/__init__.py").write_text(text)


def of_another_version(site: Path) -> None:
    path = site / "mckl/__init__.py"
    path.write_text(path.read_text().replace(f'"{mckl.__version__}"', '"0.0.1"'))
    (site / "mckl/record/shipped.py").unlink()  # an old one may lack anything else


def of_an_older_commit(site: Path) -> None:
    (site / "mckl/record/shipped.py").unlink()


def with_other_code(site: Path) -> None:
    for name in ("text.py", "_shipped/workflow/rules/budget.smk"):
        with (site / "mckl" / name).open("a") as file:
            file.write("# changed\n")


@pytest.mark.parametrize(
    ("change", "line"),
    [
        (without_a_package, "the package mckl is not installed"),
        (of_another_version, "mckl 0.0.1 is installed, but this workflow is of mckl VERSION"),
        (
            with_other_code,
            "the installed mckl VERSION has other code than this workflow "
            "(src/mckl/text.py, workflow/rules/budget.smk)",
        ),
        (
            of_an_older_commit,
            "the installed mckl VERSION has other code than this workflow "
            "(src/mckl/record/shipped.py)",
        ),
    ],
)
def test_an_unfit_package_is_one_line(
    published: Published, tmp_path: Path, change: object, line: str
) -> None:
    site = tmp_path / "site"
    shutil.copytree(published.site, site)
    assert callable(change)
    change(site)
    folder = use(tmp_path / "mine")
    code, text = published.snakemake(folder, "--dry-run", PYTHONPATH=str(site))
    assert code == 1
    (said,) = OURS.findall(text)
    about, _, advice = said.partition(": pip install ")
    assert about == f"mckl: {line.replace('VERSION', mckl.__version__)}"
    assert advice.endswith(f"'mckl[study] @ git+{ADDRESS}@{TAG}'")
    assert "Traceback" not in text
    assert text.strip().endswith(said)


def test_a_module_without_config_is_the_default_study(published: Published, tmp_path: Path) -> None:
    folder = use(tmp_path / "mine", config="")
    text = published.run(folder, "--dry-run")
    default = yaml.safe_load((published.clone / "config.yaml").read_text())
    cells = 1
    for values in default["sweep"].values():
        cells *= len(values)
    assert f"mckl: {cells + len(default['cases'])} settings: " in text


def test_a_clone_on_disk_plans_and_runs_without_the_trigger_code(
    published: Published, tmp_path: Path
) -> None:
    """With the trigger `code`, Snakemake 9.27.1 ends with a TypeError of its own."""
    snakefile = f'gitfile("{published.clone}", path="Snakefile", tag="{TAG}")'
    folder = use(tmp_path / "mine", snakefile)
    assert "mckl: 1 setting: " in published.run(folder, "--dry-run", *WITHOUT_CODE)
    table = "results/tables/settings.parquet"
    published.run(folder, *WITHOUT_CODE, "--", table)
    assert "Nothing to be done" in published.run(folder, *WITHOUT_CODE, "--", table)
    assert manifest_of(folder / table)["git_commit"] is None


def test_what_the_page_says_of_no_network(published: Published, tmp_path: Path) -> None:
    folder = use(tmp_path / "mine")
    alone = {"XDG_CACHE_HOME": str(tmp_path / "cache"), "GIT_CONFIG_COUNT": "0"}
    proxy = "http://[::1]:9"  # nobody listens there
    code, text = published.snakemake(folder, "--dry-run", https_proxy=proxy, **alone)
    assert code == 1
    page = (CHECKOUT / "docs/how-to/troubleshooting.md").read_text()
    for message in ("GitCommandError", "fatal: unable to access 'https://github.com/"):
        assert message in page
        assert message in text
