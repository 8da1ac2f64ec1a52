"""Versions, addresses and hooks that stand in several files agree; a release changes them all."""

from __future__ import annotations

import importlib.util
import re
import shutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest
import yaml

import mckl


def module(root: Path, name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"mckl_{name}", root / ".ci" / f"{name}.py")
    assert spec
    assert spec.loader
    loaded = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(loaded)
    return loaded


@pytest.fixture
def copy(root: Path, tmp_path: Path) -> Path:
    release = module(root, "release")
    files = (*release.VERSIONS, release.CHANGELOG, *release.PAGES)
    for name in (*files, "pyproject.toml", ".ci/release.py"):
        target = tmp_path / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(root / name, target)
    return tmp_path


def run(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(folder / ".ci" / "release.py"), *words]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_every_file_names_the_same_version(root: Path) -> None:
    release = module(root, "release")
    assert {*release.versions(root).values()} == {mckl.__version__}
    for page in release.PAGES:
        assert release.tags((root / page).read_text("utf-8")) == {f"v{mckl.__version__}"}


def test_the_repository_has_one_address_or_none(root: Path) -> None:
    address = module(root, "release").repository(root)
    citation = (root / "CITATION.cff").read_text("utf-8")
    assert ("repository-code" in citation) == bool(address)
    tracked = [
        path
        for pattern in ("*.md", "docs/*/*.md", "docs/*/*.py", ".github/**/*.yml", "paper/*")
        for path in root.glob(pattern)
        if path.is_file() and path.suffix in (".md", ".py", ".yml", ".bib")
    ]
    assert len(tracked) > 30
    for path in tracked:
        for found in re.findall(r"https://[\w.]+/(?!OWNER/)[\w-]+/mckl\b", path.read_text("utf-8")):
            assert found == address, f"{path}: {found}, expected the address in pyproject.toml"


def test_a_release_changes_every_file(copy: Path) -> None:
    address = "https://example.org/someone/mckl"
    changelog = copy / "CHANGELOG.md"
    new = "## Unreleased\n\n### Added\n\n- Nothing that exists.\n"
    changelog.write_text(changelog.read_text("utf-8").replace("## Unreleased\n", new, 1), "utf-8")
    for _ in range(2):  # the second time changes nothing
        done = run(copy, "9.8.7", "--repository", f"{address}.git/")
        assert done.returncode == 0, done.stderr
        assert run(copy, "--check", "v9.8.7").returncode == 0
        assert changelog.read_text("utf-8").count("\n## 9.8.7 - ") == 1
    assert run(copy, "--notes").stdout.startswith("### Added\n\n- Nothing that exists.")
    assert f"repository-code: {address}\n" in (copy / "CITATION.cff").read_text("utf-8")
    assert f'repository = "{address}"' in (copy / "pyproject.toml").read_text("utf-8")
    module_page = (copy / "docs/how-to/module.md").read_text("utf-8")
    assert 'github("someone/mckl", path="Snakefile", tag="v9.8.7")' in module_page
    assert f"git+{address}@v9.8.7" in module_page
    wrong = run(copy, "--check", "v9.8.8").stderr.splitlines()
    assert len(wrong) == 6
    assert sum("version 9.8.7, expected 9.8.8" in line for line in wrong) == 4


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["1.2"], "VERSION=1.2: expected three numbers"),
        (["9.8.7", "--repository", "mckl"], "REPOSITORY=mckl: expected the repository's address"),
    ],
)
def test_a_release_says_what_it_needs(copy: Path, words: list[str], message: str) -> None:
    before = {path: path.read_bytes() for path in copy.rglob("*") if path.is_file()}
    if len(words) == 1:
        words += ["--repository", "https://example.org/someone/mckl"]
    done = run(copy, *words)
    assert done.returncode == 1
    assert message in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert before == {path: path.read_bytes() for path in before}


def test_links_of_a_published_readme_are_absolute(root: Path) -> None:
    absolute = module(root, "metadata").absolute
    text = "![A](docs/a.png) [B](docs/b.md#c) [C](https://d.org/e) [F](#f)"
    assert absolute(text, "https://h.org/o/n", "v1.0.0") == (
        "![A](https://h.org/o/n/raw/v1.0.0/docs/a.png) "
        "[B](https://h.org/o/n/blob/v1.0.0/docs/b.md#c) [C](https://d.org/e) [F](#f)"
    )
    readme = absolute((root / "README.md").read_text("utf-8"), "https://h.org/o/n", "v1.0.0")
    assert not re.search(r"\]\((?!https://|#)", readme)


def test_hooks_have_the_pinned_versions(root: Path) -> None:
    pins = dict(
        line.split("==")
        for line in (root / "constraints.txt").read_text("utf-8").split()
        if "==" in line
    )
    hooks = yaml.safe_load((root / ".pre-commit-config.yaml").read_text("utf-8"))["repos"]
    versions = {repo["hooks"][0]["id"]: repo["rev"] for repo in hooks if "rev" in repo}
    for hook, package in (
        ("ruff-check", "ruff"),
        ("codespell", "codespell"),
        ("snakefmt", "snakefmt"),
        ("zizmor", "zizmor"),
    ):
        assert versions[hook] == f"v{pins[package]}"


def test_every_job_calls_a_target_that_exists(root: Path) -> None:
    makefile = (root / "Makefile").read_text("utf-8")
    called = set()
    for path in (root / ".github" / "workflows").glob("*.yml"):
        for job in yaml.safe_load(path.read_text("utf-8"))["jobs"].values():
            called |= {
                step["run"].split()[1]
                for step in job["steps"]
                if step.get("run", "").startswith("make ")
            }
    assert {"lint", "site", "lowest", "dist"} <= called
    assert {name for name in called if not re.search(rf"(?m)^{name}:", makefile)} == set()
